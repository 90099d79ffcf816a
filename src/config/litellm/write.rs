//! What was read of LiteLLM's file, as a file of ours.

use super::super::presets;
use super::super::render::quote;
use super::super::value;
use super::{Account, Carried, Deployment, Imported};
use std::fmt::Write as _;
use std::time::Duration;

/// Most attempts at one provider before the next one is asked: what our file allows.
const RETRIES_MAX: i128 = 10;
/// Calls under way at one provider: what our file allows.
const CONCURRENCY_MAX: i128 = 65_536;

/// A provider of ours and the deployments it stands for.
struct Provider<'c> {
    name: String,
    account: &'c Account,
    deployments: Vec<&'c Deployment>,
}

/// Words the file and its notes.
pub(super) fn imported(mut carried: Carried) -> Imported {
    let mut notes = std::mem::take(&mut carried.notes);
    let providers = providers(&carried.deployments);
    let groups = groups(&carried, &providers);
    let mut yaml = String::new();
    let listen = match carried.master_key {
        Some(_) => "0.0.0.0:4000",
        None => "127.0.0.1:4000",
    };
    let _ = writeln!(yaml, "server:\n  listen: {}               # LiteLLM's port", quote(listen));
    if let Some(seconds) = carried.request_timeout {
        let _ = writeln!(yaml, "  request_timeout: {}", duration(seconds));
    }
    yaml.push_str("providers:\n");
    for provider in &providers {
        provider.write(&carried, &mut yaml, &mut notes);
    }
    let names: Vec<String> = providers.iter().map(|provider| quote(&provider.name)).collect();
    let _ = writeln!(yaml, "provider_preference: [{}]", names.join(", "));
    if let Some(strategy) = carried.strategy {
        let _ = writeln!(yaml, "routing: {{strategy: {strategy}}}");
    }
    if !groups.is_empty() {
        yaml.push_str("models:\n");
        for (group, targets) in &groups {
            let targets: Vec<String> = targets.iter().map(|target| quote(target)).collect();
            let _ = writeln!(yaml, "  {}: [{}]", quote(group), targets.join(", "));
        }
    }
    write_breaker(&carried, &mut yaml);
    if let Some(hash) = &carried.master_key {
        let _ = writeln!(yaml, "auth:\n  keys:\n    - {{name: master, hash: \"{hash}\"}}");
    } else {
        notes.push((0, "no key is asked for, so it listens on the loopback interface only".to_owned()));
    }
    notes.sort();
    let notes: Vec<String> = notes
        .into_iter()
        .map(|(line, words)| if line == 0 { words } else { format!("line {line}: {words}") })
        .collect();
    let mut head = "# Written by `hapax import litellm`. Next: hapax check --config FILE\n".to_owned();
    if !notes.is_empty() {
        head.push_str("#\n# Not carried over, or different here:\n");
        notes.iter().for_each(|note| head.push_str(&format!("# - {note}\n")));
    }
    Imported { yaml: format!("{head}\n{yaml}"), notes }
}

fn write_breaker(carried: &Carried, yaml: &mut String) {
    let threshold =
        carried.allowed_fails.map(|fails| format!("failure_threshold: {}", fails.clamp(0, 999_999) + 1));
    let timeout = carried.cooldown.map(|seconds| format!("timeout: {}", duration(seconds)));
    let said: Vec<String> = threshold.into_iter().chain(timeout).collect();
    if !said.is_empty() {
        let _ = writeln!(yaml, "circuit_breaker: {{{}}}", said.join(", "));
    }
}

/// One provider for each account, called by its type, in the order in which they are named.
fn providers(deployments: &[Deployment]) -> Vec<Provider<'_>> {
    let mut providers: Vec<Provider<'_>> = Vec::new();
    for deployment in deployments {
        let account = &deployment.account;
        if let Some(known) = providers.iter_mut().find(|provider| provider.account == account) {
            known.deployments.push(deployment);
            continue;
        }
        let like = providers.iter().filter(|provider| provider.account.kind == account.kind).count();
        let name = if like == 0 { account.kind.to_owned() } else { format!("{}-{}", account.kind, like + 1) };
        providers.push(Provider { name, account, deployments: vec![deployment] });
    }
    providers
}

/// Each name callers use with its complete list: the group's own deployments, then those it falls back to.
fn groups(carried: &Carried, providers: &[Provider<'_>]) -> Vec<(String, Vec<String>)> {
    let own = |group: &str| -> Vec<String> {
        let of_group = |deployment: &&Deployment| deployment.group == group && !is_pattern(&deployment.model);
        let target = |deployment: &Deployment| {
            let provider = providers.iter().find(|provider| *provider.account == deployment.account)?;
            Some(format!("{}/{}", provider.name, deployment.model))
        };
        carried.deployments.iter().filter(of_group).filter_map(target).collect()
    };
    let mut groups: Vec<(String, Vec<String>)> = Vec::new();
    for name in carried.deployments.iter().map(|deployment| deployment.group.as_str()) {
        if groups.iter().any(|(known, _)| known == name) {
            continue;
        }
        let after =
            carried.fallbacks.iter().find(|(group, _)| group == name).map_or(&[][..], |(_, after)| after);
        let after = after.iter().chain(&carried.default_fallbacks);
        let mut targets: Vec<String> = Vec::new();
        for target in own(name).into_iter().chain(after.flat_map(|group| own(group))) {
            if !targets.contains(&target) {
                targets.push(target);
            }
        }
        if targets.is_empty() {
            continue;
        }
        groups.push((name.to_owned(), targets));
    }
    for (alias, group) in &carried.aliases {
        let targets = groups.iter().find(|(name, _)| name == group).map(|(_, targets)| targets.clone());
        groups.extend(targets.map(|targets| (alias.clone(), targets)));
    }
    groups
}

impl Provider<'_> {
    fn write(&self, carried: &Carried, yaml: &mut String, notes: &mut Vec<(usize, String)>) {
        let Account { kind, base_url, api_key, api_version, headers } = self.account;
        let _ = writeln!(yaml, "  {}:", self.name);
        let mut line = |key: &str, value: String| {
            let _ = writeln!(yaml, "    {key}: {value}");
        };
        let first = &self.deployments[0];
        line("type", (*kind).to_owned());
        for (key, value) in [("base_url", base_url), ("api_key", api_key), ("api_version", api_version)] {
            if let Some(value) = value {
                line(key, value.clone());
            }
        }
        let (patterns, models): (Vec<_>, Vec<_>) = self
            .deployments
            .iter()
            .map(|deployment| deployment.model.as_str())
            .partition(|model| is_pattern(model));
        let usual = presets::preset(kind).map_or("", |preset| preset.model);
        let model = models.first().copied().unwrap_or(usual);
        if model.is_empty() {
            notes.push((
                first.at.line,
                format!("{}: write the model it is asked for when a caller names none", self.name),
            ));
        }
        line("model", if model.is_empty() { "CHANGE-ME".to_owned() } else { quote(model) });
        if !patterns.is_empty() {
            let patterns: Vec<String> = patterns.iter().map(|pattern| quote(pattern)).collect();
            line("models", format!("[{}]", patterns.join(", ")));
            let group = &first.group;
            notes.push((
                first.at.line,
                format!("{group}: callers name these models as the provider does, or as {}/MODEL", self.name),
            ));
        }
        let timeouts: Vec<String> =
            [("first_token", first.first_token_timeout), ("total", first.total_timeout)]
                .into_iter()
                .filter_map(|(key, seconds)| Some(format!("{key}: {}", duration(seconds?))))
                .collect();
        if !timeouts.is_empty() {
            line("timeouts", format!("{{{}}}", timeouts.join(", ")));
        }
        if let Some(retries) = first.retries.or(carried.retries) {
            line("retries", retries.clamp(0, RETRIES_MAX).to_string());
        }
        if let Some(weight) = first.weight {
            line("weight", weight.min(1_000_000).to_string());
        }
        if let Some(most) = first.max_concurrency {
            line("max_concurrency", most.clamp(1, CONCURRENCY_MAX).to_string());
        }
        if !headers.is_empty() {
            let headers: Vec<String> =
                headers.iter().map(|(name, value)| format!("{}: {value}", quote(name))).collect();
            line("headers", format!("{{{}}}", headers.join(", ")));
        }
        self.differences(notes);
    }

    /// Names what a provider's other deployments say otherwise than its first.
    fn differences(&self, notes: &mut Vec<(usize, String)>) {
        let first = &self.deployments[0];
        for other in &self.deployments[1..] {
            let same = (
                other.weight,
                other.total_timeout,
                other.first_token_timeout,
                other.retries,
                other.max_concurrency,
            ) == (
                first.weight,
                first.total_timeout,
                first.first_token_timeout,
                first.retries,
                first.max_concurrency,
            );
            if !same {
                let words = format!(
                    "{}: weight, timeouts, retries and bounds are those of {}, a provider's first",
                    other.group, first.group
                );
                notes.push((other.at.line, words));
            }
        }
    }
}

fn is_pattern(model: &str) -> bool {
    model.contains('*')
}

/// Seconds as our file writes them.
fn duration(seconds: f64) -> String {
    value::duration_text(Duration::try_from_secs_f64(seconds.clamp(0.001, 86_400.0)).unwrap_or_default())
}
