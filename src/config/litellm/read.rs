//! What LiteLLM's file says, as far as it means something here.

use super::super::file::{At, Entry, Node, Value};
use super::super::presets;
use super::super::render::quote;
use super::{Account, Carried, Deployment, Env, hash};

/// LiteLLM's words for providers that are called otherwise here.
const KINDS: &[(&str, &str)] = &[
    ("openai", "openai"),
    ("text-completion-openai", "openai"),
    ("azure", "azure"),
    ("anthropic", "anthropic"),
    ("gemini", "gemini"),
    ("ollama", "ollama"),
    ("ollama_chat", "ollama"),
    ("groq", "groq"),
    ("mistral", "mistral"),
    ("deepseek", "deepseek"),
    ("openrouter", "openrouter"),
    ("together_ai", "together"),
    ("xai", "xai"),
    ("hosted_vllm", "vllm"),
    ("vllm", "vllm"),
    ("llamafile", "openai_compatible"),
    ("lm_studio", "lmstudio"),
    ("openai_like", "openai_compatible"),
    ("custom_openai", "openai_compatible"),
];

/// Our word for LiteLLM's strategies, and what is different.
const STRATEGIES: &[(&str, &str, &str)] = &[
    ("simple-shuffle", "weighted", ""),
    ("weighted-pick", "weighted", ""),
    ("least-busy", "least_busy", ""),
    ("latency-based-routing", "fastest", ""),
    ("usage-based-routing", "least_busy", "here it goes by calls under way, not by tokens"),
    ("usage-based-routing-v2", "least_busy", "here it goes by calls under way, not by tokens"),
    ("cost-based-routing", "preference", "put the cheapest provider first in provider_preference"),
];

const CALLERS: &str = "callers set this in their requests";
const ELSEWHERE: &str = "there is nothing like it here";

/// Reads the whole file.
pub(super) fn carried(tree: &Node, env: Env<'_>) -> Result<Carried, (At, String)> {
    let Value::Map(entries) = &tree.value else {
        return Err((tree.at, "is not a mapping: a configuration of LiteLLM has a model_list".to_owned()));
    };
    let mut carried = Carried::default();
    let mut listed = false;
    for Entry { key, value, at } in entries {
        match key.as_str() {
            "model_list" => {
                listed = true;
                for item in items(value) {
                    carried.deployment(item);
                }
            }
            "litellm_settings" | "router_settings" => carried.settings(key, value),
            "general_settings" => carried.general(value, env),
            "environment_variables" => {
                carried.note(*at, "environment_variables: set these where Hapax is started");
            }
            other => carried.note(*at, &format!("{other}: {ELSEWHERE}")),
        }
    }
    if !listed {
        return Err((
            tree.at,
            "has no model_list, so it is not a configuration of LiteLLM's proxy".to_owned(),
        ));
    }
    carried.deployments.sort_by_key(|deployment| deployment.order);
    Ok(carried)
}

impl Carried {
    fn note(&mut self, at: At, words: &str) {
        self.notes.push((at.line, words.to_owned()));
    }

    fn deployment(&mut self, item: &Node) {
        let Some(group) = get(item, "model_name").and_then(text) else {
            return self.note(item.at, "a model without a model_name is left out");
        };
        let Some(parameters) = get(item, "litellm_params") else {
            return self.note(item.at, &format!("{group}: without litellm_params it is left out"));
        };
        let Some(model) = get(parameters, "model").and_then(text) else {
            return self.note(item.at, &format!("{group}: without a model it is left out"));
        };
        let said = |key: &str| get(parameters, key).and_then(text).filter(|value| !value.is_empty());
        let based = said("api_base").or_else(|| said("base_url"));
        let (word, model) = match said("custom_llm_provider") {
            Some(word) => (word, model.strip_prefix(&format!("{word}/")).unwrap_or(model)),
            None => split(model),
        };
        let Some((_, kind)) = KINDS.iter().find(|(theirs, _)| *theirs == word) else {
            let words = format!("{group}: {word} cannot be asked by Hapax; this deployment is left out");
            return self.note(item.at, &words);
        };
        // OpenAI's dialect at another host is not OpenAI.
        let kind = match *kind {
            "openai" if based.is_some_and(|url| !url.contains("api.openai.com")) => "openai_compatible",
            kind => kind,
        };
        if presets::preset(kind).is_some_and(|preset| preset.base_url.is_empty()) && based.is_none() {
            let words =
                format!("{group}: {word} without api_base is left out; write base_url where Hapax is to ask");
            return self.note(item.at, &words);
        }
        let account = Account {
            kind,
            base_url: based.map(|url| spelled(url.trim_end_matches("/chat/completions"))),
            api_key: said("api_key").map(spelled),
            api_version: said("api_version").map(spelled),
            headers: headers(parameters),
        };
        if said("api_key").is_some_and(|key| !key.starts_with("os.environ/")) {
            self.note(
                item.at,
                &format!(
                    "{group}: its key is written down; ${{VARIABLE}} or file:/path keeps it out of the file"
                ),
            );
        }
        let number = |key: &str| get(parameters, key).and_then(number);
        let whole = |key: &str| get(parameters, key).and_then(integer);
        self.deployments.push(Deployment {
            group: group.to_owned(),
            at: item.at,
            account,
            model: model.to_owned(),
            order: whole("order").unwrap_or(i128::MAX),
            weight: whole("weight").and_then(|weight| u32::try_from(weight).ok()),
            total_timeout: number("timeout"),
            first_token_timeout: number("stream_timeout"),
            retries: whole("max_retries").or_else(|| whole("num_retries")),
            max_concurrency: whole("max_parallel_requests"),
        });
        self.strangers(group, parameters);
    }

    /// Names what a deployment says besides.
    fn strangers(&mut self, group: &str, parameters: &Node) {
        for Entry { key, at, .. } in entries(parameters) {
            let why = match key.as_str() {
                "model"
                | "api_base"
                | "base_url"
                | "api_key"
                | "api_version"
                | "custom_llm_provider"
                | "order"
                | "weight"
                | "timeout"
                | "stream_timeout"
                | "max_retries"
                | "num_retries"
                | "max_parallel_requests"
                | "extra_headers"
                | "headers"
                | "organization"
                | "drop_params" => continue,
                "rpm" | "tpm" => {
                    "a provider's own limits are not kept here; it is passed over while it says 429"
                }
                "temperature"
                | "max_tokens"
                | "max_completion_tokens"
                | "top_p"
                | "seed"
                | "stop"
                | "stream"
                | "presence_penalty"
                | "frequency_penalty" => CALLERS,
                "input_cost_per_token" | "output_cost_per_token" => "see prices",
                _ => ELSEWHERE,
            };
            self.note(*at, &format!("{group}: litellm_params.{key}: {why}"));
        }
    }

    /// `litellm_settings` and `router_settings` know many of the same keys.
    fn settings(&mut self, section: &str, node: &Node) {
        for Entry { key, value, at } in entries(node) {
            match key.as_str() {
                "fallbacks" | "context_window_fallbacks" => self.fallbacks(value),
                "default_fallbacks" => {
                    self.default_fallbacks.extend(items(value).iter().filter_map(text).map(str::to_owned))
                }
                "num_retries" => self.retries = integer(value),
                "request_timeout" | "timeout" => self.request_timeout = number(value),
                "allowed_fails" => self.allowed_fails = integer(value),
                "cooldown_time" => self.cooldown = number(value),
                "model_group_alias" => {
                    for alias in entries(value) {
                        let group = text(&alias.value).or_else(|| get(&alias.value, "model").and_then(text));
                        self.aliases.extend(group.map(|group| (alias.key.clone(), group.to_owned())));
                    }
                }
                "routing_strategy" => self.strategy(*at, text(value).unwrap_or_default()),
                "drop_params" | "modify_params" => {}
                "content_policy_fallbacks" => {
                    self.note(*at, "content_policy_fallbacks: a refusal goes to the caller")
                }
                "cache" | "cache_params" => {
                    self.note(*at, &format!("{section}.{key}: see cache and deduplicate"))
                }
                "set_verbose" | "json_logs" => self.note(*at, &format!("{section}.{key}: see logging")),
                "callbacks" | "success_callback" | "failure_callback" => {
                    self.note(
                        *at,
                        &format!("{section}.{key}: Hapax sends nothing anywhere; Prometheus asks /metrics"),
                    );
                }
                "redis_host" | "redis_port" | "redis_password" | "redis_url" => {
                    self.note(*at, &format!("{section}.{key}: each gateway keeps its own state"));
                }
                _ => self.note(*at, &format!("{section}.{key}: {ELSEWHERE}")),
            }
        }
    }

    /// `[{"gpt-4o": ["claude", "llama"]}, ...]`
    fn fallbacks(&mut self, node: &Node) {
        for Entry { key, value, .. } in items(node).iter().flat_map(entries) {
            let groups: Vec<String> = items(value).iter().filter_map(text).map(str::to_owned).collect();
            match self.fallbacks.iter_mut().find(|(group, _)| group == key) {
                Some((_, known)) => known.extend(groups),
                None => self.fallbacks.push((key.clone(), groups)),
            }
        }
    }

    fn strategy(&mut self, at: At, word: &str) {
        match STRATEGIES.iter().find(|(theirs, ..)| *theirs == word) {
            Some((_, ours, difference)) => {
                self.strategy = Some(ours);
                if !difference.is_empty() {
                    self.note(at, &format!("routing_strategy {word}: {difference}"));
                }
            }
            None => self.note(at, &format!("routing_strategy {word}: {ELSEWHERE}")),
        }
    }

    fn general(&mut self, node: &Node, env: Env<'_>) {
        for Entry { key, value, at } in entries(node) {
            match (key.as_str(), text(value)) {
                ("master_key", Some(master)) => {
                    let known = match master.strip_prefix("os.environ/") {
                        Some(variable) => env(variable),
                        None => Some(master.to_owned()),
                    };
                    match known {
                        Some(master) => self.master_key = Some(hash(&master)),
                        None => self.note(*at, "master_key: its variable is not set here, so nobody is asked for a key: `hapax keys new NAME` makes one"),
                    }
                }
                ("database_url" | "database_connection_pool_limit" | "store_model_in_db", _) => {
                    self.note(*at, &format!("general_settings.{key}: there is no database; keys made with LiteLLM's API are not in its file: `hapax keys new NAME` for each caller"));
                }
                _ => self.note(*at, &format!("general_settings.{key}: {ELSEWHERE}")),
            }
        }
    }
}

/// LiteLLM's provider and the model: `groq/llama3`, or a name it knows the vendor of.
fn split(model: &str) -> (&str, &str) {
    match model.split_once('/') {
        Some(found) => found,
        None if model.starts_with("claude") => ("anthropic", model),
        None if model.starts_with("gemini") => ("gemini", model),
        None => ("openai", model),
    }
}

/// A value as our file spells it: a variable stays one, everything else is text whatever is in it.
fn spelled(value: &str) -> String {
    match value.strip_prefix("os.environ/") {
        Some(variable) => format!("${{{}:-}}", variable.trim()),
        None => quote(value),
    }
}

fn headers(parameters: &Node) -> Vec<(String, String)> {
    let written =
        ["extra_headers", "headers"].iter().filter_map(|key| get(parameters, key)).flat_map(entries);
    let mut headers: Vec<_> =
        written.filter_map(|entry| Some((entry.key.clone(), spelled(text(&entry.value)?)))).collect();
    let organization = get(parameters, "organization").and_then(text);
    headers.extend(organization.map(|name| ("OpenAI-Organization".to_owned(), spelled(name))));
    headers
}

fn entries(node: &Node) -> &[Entry] {
    if let Value::Map(entries) = &node.value { entries } else { &[] }
}

fn items(node: &Node) -> &[Node] {
    if let Value::List(items) = &node.value { items } else { &[] }
}

fn get<'n>(node: &'n Node, key: &str) -> Option<&'n Node> {
    entries(node).iter().find(|entry| entry.key == key).map(|entry| &entry.value)
}

fn text(node: &Node) -> Option<&str> {
    if let Value::Text(text) = &node.value { Some(text.trim()) } else { None }
}

fn integer(node: &Node) -> Option<i128> {
    if let Value::Integer(number) = node.value { Some(number) } else { None }
}

#[expect(clippy::cast_precision_loss, reason = "seconds and counts of a configuration are small")]
fn number(node: &Node) -> Option<f64> {
    match node.value {
        Value::Integer(number) => Some(number as f64),
        Value::Decimal(number) => Some(number),
        _ => None,
    }
}
