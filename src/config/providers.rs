//! Providers: from `providers:`, else from the original's `llm:`, else from what the environment offers.

use super::callers;
use super::env;
use super::file::At;
use super::presets::{self, PRESETS, Preset};
use super::quirks;
use super::reading::{Reading, Section};
use super::value;
use super::{Kind, Provider};
use crate::domain::key::Secret;
use crate::domain::price::Vendor;
use std::net::IpAddr;
use std::path::PathBuf;

/// Where Ollama listens unless told otherwise.
const OLLAMA_PORT: u16 = 11_434;

/// The providers and what was said about their order.
pub(super) struct Found {
    pub(super) providers: Vec<Provider>,
    /// Every name that was written, in order, also of a provider that is wrong; with its place and path.
    pub(super) names: Vec<(String, At, String)>,
    /// Whether the names come from the file's `providers:`; a reference to another name is then wrong.
    pub(super) declared: bool,
}

impl Found {
    pub(super) fn knows(&self, name: &str) -> bool {
        self.names.iter().any(|(known, ..)| known == name)
    }
}

/// What is known about a provider from outside its section.
#[derive(Default)]
struct Given {
    /// The type, and where it was written.
    word: Option<(String, At, String)>,
    base_url: Option<String>,
    key: Option<String>,
    model: Option<String>,
    models: Vec<String>,
    retries: Option<u32>,
    max_tokens: Option<u64>,
    weight: Option<u32>,
}

/// Reads all providers.
pub(super) fn read(reading: &mut Reading<'_>, root: &Section<'_>) -> Found {
    let llm = root.section("llm");
    let mut found = Found { providers: Vec::new(), names: Vec::new(), declared: false };
    let written = root.section("providers").named();
    if !written.is_empty() {
        found.declared = true;
        let weights = root.section("routing").section("weights");
        for (name, section) in written {
            let weight = weights.count(&name).and_then(|weight| u32::try_from(weight).ok());
            let given = if llm.text("provider").as_deref() == Some(&name) {
                primary(reading, &llm)
            } else {
                Given::default()
            };
            add(reading, &mut found, &section, &name, &Given { word: None, weight, ..given });
        }
        beside_providers(reading, &llm, &found);
    } else if ["provider", "model", "api_key", "endpoint", "backup_providers"]
        .iter()
        .any(|k| llm.written(k).is_some())
    {
        from_llm(reading, &llm, &mut found);
    } else {
        without_file(reading, root, &mut found);
    }
    found
}

fn add(reading: &mut Reading<'_>, found: &mut Found, section: &Section<'_>, name: &str, given: &Given) {
    found.names.push((name.to_owned(), section.at, section.path.clone()));
    if !section.is_no_section() {
        found.providers.extend(provider(reading, section, name, given));
    }
}

/// What the original's `llm:` says about its provider; `LLM_MODEL` stands for `llm.model`.
fn primary(reading: &Reading<'_>, llm: &Section<'_>) -> Given {
    let word = llm.text("provider").unwrap_or_else(|| "ollama".to_owned());
    Given {
        word: Some((word, llm.at_of("provider"), llm.path_of("provider"))),
        base_url: llm.text("endpoint"),
        key: llm.text("api_key"),
        model: env::set(reading.env, "LLM_MODEL").or_else(|| llm.text("model")),
        models: Vec::new(),
        retries: llm.section("retry").count("max_retries").and_then(|count| u32::try_from(count).ok()),
        max_tokens: llm.section("options").count("max_tokens"),
        weight: None,
    }
}

/// `llm:` as a list of providers: itself, then its backups.
fn from_llm(reading: &mut Reading<'_>, llm: &Section<'_>, found: &mut Found) {
    if llm.is_wrong("provider") {
        return;
    }
    let backups = llm.items("backup_providers");
    let itself = ["provider", "model", "api_key", "endpoint"].iter().any(|key| llm.written(key).is_some());
    if itself || backups.is_empty() {
        let given = primary(reading, llm);
        let name = given.word.as_ref().map(|(word, ..)| word.clone()).unwrap_or_default();
        let section = Section::unwritten("providers.*", llm.path.clone(), llm.at_of("provider"));
        add(reading, found, &section, &name, &given);
    }
    let (retries, max_tokens) = (primary(reading, llm).retries, primary(reading, llm).max_tokens);
    for backup in backups {
        let Some(word) = backup.need(reading, "provider") else { continue };
        let mut name = word.clone();
        let mut number = 1;
        while found.knows(&name) {
            number += 1;
            name = format!("{word}-{number}");
        }
        let given = Given {
            word: Some((word, backup.at_of("provider"), backup.path_of("provider"))),
            key: backup.text("api_key"),
            model: backup.text("model"),
            retries,
            max_tokens,
            ..Given::default()
        };
        let section = Section::unwritten("providers.*", backup.path.clone(), backup.at);
        add(reading, found, &section, &name, &given);
    }
}

/// `providers:` wins over `llm:`; what `llm:` says in vain is named.
fn beside_providers(reading: &mut Reading<'_>, llm: &Section<'_>, found: &Found) {
    if let (Some(at), Some(name)) = (llm.written("provider"), llm.text("provider"))
        && !found.knows(&name)
    {
        reading.warn(at, "llm.provider", "has no effect: providers does not list it");
    }
    if let Some(at) = llm.written("backup_providers") {
        reading.warn(at, "llm.backup_providers", "has no effect beside providers");
    }
}

/// Every provider whose key is in the environment, and Ollama.
fn without_file(reading: &mut Reading<'_>, root: &Section<'_>, found: &mut Found) {
    let mut model = env::set(reading.env, "LLM_MODEL");
    for preset in PRESETS.iter().filter(|preset| !preset.models_without_file.is_empty()) {
        let has_key = env::set(reading.env, &env::key_variable(preset.word)).is_some();
        if !has_key && preset.kind != Kind::Ollama {
            continue;
        }
        let models = preset.models_without_file.iter().map(|pattern| (*pattern).to_owned());
        let models = model.clone().into_iter().chain(models).collect();
        let given = Given { model: model.take(), models, ..Given::default() };
        let section = Section::unwritten("providers.*", format!("providers.{}", preset.word), root.at);
        add(reading, found, &section, preset.word, &given);
    }
}

/// Whose prices hold: those of the type, or of the type that lives at this address.
fn vendor(preset: &Preset, base_url: &str) -> Vendor {
    let at_home = |known: &&Preset| !known.base_url.is_empty() && known.base_url == base_url;
    match Vendor::by_word(preset.word) {
        Vendor::Other => {
            PRESETS.iter().find(at_home).map_or(Vendor::Other, |known| Vendor::by_word(known.word))
        }
        known => known,
    }
}

/// One provider; `None` when it is wrong, which is then reported.
fn provider(reading: &mut Reading<'_>, section: &Section<'_>, name: &str, given: &Given) -> Option<Provider> {
    let preset = preset(reading, section, name, given)?;
    let base_url = base_url(reading, section, preset, given);
    let keys = keys(reading, section, name, (given, preset));
    let model = model(reading, section, preset, given);
    let (base_url, model) = (base_url?, model?);
    warn_about_keys(reading, section, name, &base_url, keys.is_empty(), preset);
    let capabilities = section.section("capabilities");
    if let Some(at) = capabilities.written("responses").filter(|_| !quirks::may_have_responses(preset.kind)) {
        let path = capabilities.path_of("responses");
        reading.problem(at, &path, format!("type {} has no Responses", preset.word));
    }
    let timeouts = section.section("timeouts");
    let listed = section.plain_texts("models");
    let models = match (listed.is_empty(), given.models.is_empty()) {
        (false, _) => listed,
        (true, false) => given.models.clone(),
        (true, true) => vec![model.clone()],
    };
    let headers = section.section("headers");
    let header =
        |(name, _): (String, Section<'_>)| headers.text(&name).map(|value| (name, Secret::new(value)));
    let deployments = section.section("deployments");
    let deployment =
        |(model, _): (String, Section<'_>)| deployments.text(&model).map(|deployment| (model, deployment));
    let retries = if section.written("retries").is_some() { None } else { given.retries };
    let max_tokens = if section.written("max_tokens").is_some() { None } else { given.max_tokens };
    let weight = if section.written("weight").is_some() { None } else { given.weight };
    Some(Provider {
        name: name.to_owned(),
        kind: preset.kind,
        type_word: preset.word,
        vendor: vendor(preset, &base_url.plain()),
        base_url: base_url.plain(),
        keys: keys.into_iter().map(Secret::new).collect(),
        model,
        models,
        max_concurrency: section.number("max_concurrency"),
        limits: callers::per_minute(&section.section("limits")),
        connect_timeout: timeouts.duration("connect"),
        first_token_timeout: timeouts.duration("first_token"),
        answer_timeout: timeouts.duration(match ["answer", "first_token"].map(|key| timeouts.written(key)) {
            [Some(_), _] => "answer",
            [None, Some(_)] => "first_token",
            [None, None] => "total",
        }),
        idle_timeout: timeouts.duration("idle"),
        total_timeout: timeouts.duration("total"),
        retries: retries.unwrap_or_else(|| section.small("retries")),
        ca_file: section.text("ca_file").map(PathBuf::from),
        proxy: section.text("proxy").map(Secret::new),
        headers: headers.named().into_iter().filter_map(header).collect(),
        max_tokens: max_tokens.or_else(|| section.count("max_tokens")).unwrap_or(1),
        version: section.text("version").unwrap_or_default(),
        num_ctx: section.count("num_ctx"),
        keep_alive: section.text("keep_alive"),
        weight: weight.unwrap_or_else(|| section.small("weight")),
        api_version: section.text("api_version"),
        deployments: deployments.named().into_iter().filter_map(deployment).collect(),
        quirks: quirks::read(section, preset),
    })
}

/// The type: as written, else as the name says.
fn preset(
    reading: &mut Reading<'_>,
    section: &Section<'_>,
    name: &str,
    given: &Given,
) -> Option<&'static Preset> {
    if section.is_wrong("type") {
        return None;
    }
    let written = section.text("type").map(|word| (word, section.at_of("type"), section.path_of("type")));
    let said = written.or_else(|| given.word.clone());
    let unsaid = said.is_none();
    let (word, at, path) = said.unwrap_or_else(|| (name.to_owned(), section.at, section.path_of("type")));
    let message = match presets::preset(&word) {
        Some(preset) => return Some(preset),
        None if unsaid => {
            format!("is needed, as {word} is not a type itself; one of: {}", presets::offered())
        }
        None => format!("must be one of: {}", presets::offered()),
    };
    reading.problem(at, &path, message);
    None
}

fn base_url(
    reading: &mut Reading<'_>,
    section: &Section<'_>,
    preset: &Preset,
    given: &Given,
) -> Option<value::Url> {
    if section.is_wrong("base_url") {
        return None;
    }
    let said = section.text("base_url").or_else(|| given.base_url.clone());
    let from_environment = if said.is_none() && preset.kind == Kind::Ollama { ollama(reading) } else { None };
    if from_environment.is_some() {
        return from_environment;
    }
    let said = said.unwrap_or_else(|| preset.base_url.to_owned());
    if said.is_empty() {
        reading.problem(
            section.at,
            &section.path_of("base_url"),
            format!("is needed for type {}", preset.word),
        );
        return None;
    }
    value::base_url(&said).ok()
}

/// Ollama's address from `OLLAMA_ENDPOINT`, a URL, or Ollama's own `OLLAMA_HOST`, which may be less than one.
fn ollama(reading: &mut Reading<'_>) -> Option<value::Url> {
    let (variable, text) = ["OLLAMA_ENDPOINT", "OLLAMA_HOST"]
        .into_iter()
        .find_map(|variable| env::set(reading.env, variable).map(|text| (variable, text)))?;
    let bare = !text.contains("://");
    let full = match (bare, text.strip_prefix(':')) {
        (true, Some(port)) => format!("http://127.0.0.1:{port}"),
        (true, None) => format!("http://{text}"),
        (false, _) => text,
    };
    match value::base_url(&full) {
        Ok(mut url) => {
            if bare && url.port.is_none() {
                url.port = Some(OLLAMA_PORT);
            }
            // Where Ollama listens on every interface, it is asked on this one.
            let address = url.host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
            if address.is_ok_and(|address| address.is_unspecified()) {
                "127.0.0.1".clone_into(&mut url.host);
            }
            Some(url)
        }
        Err(why) => {
            reading.problem_in_environment(variable, why);
            None
        }
    }
}

/// The keys as written, else from `<NAME>_API_KEY`, else from the vendor's own variable for a provider called like its
/// type.
fn keys(
    reading: &mut Reading<'_>,
    section: &Section<'_>,
    name: &str,
    (given, preset): (&Given, &Preset),
) -> Vec<String> {
    let mut keys: Vec<String> = section.text("api_key").into_iter().collect();
    keys.extend(section.plain_texts("api_keys"));
    if keys.is_empty() {
        keys.extend(given.key.clone());
    }
    let own = name == preset.word && !preset.key_variable.is_empty();
    let variables = [env::key_variable(name), preset.key_variable.to_owned()];
    let said = |variable: &String| env::set(reading.env, variable).map(|key| (variable.clone(), key));
    if keys.is_empty()
        && let Some((variable, key)) = variables[..=usize::from(own)].iter().find_map(said)
    {
        match value::secret(&key, false) {
            Ok(()) => keys.push(key),
            Err(why) => reading.problem_in_environment(&variable, why),
        }
    }
    keys
}

fn model(reading: &mut Reading<'_>, section: &Section<'_>, preset: &Preset, given: &Given) -> Option<String> {
    if section.is_wrong("model") {
        return None;
    }
    let preset_model = Some(preset.model.to_owned()).filter(|model| !model.is_empty());
    let model = section.text("model").or_else(|| given.model.clone()).or(preset_model);
    if model.is_none() {
        reading.problem(section.at, &section.path_of("model"), format!("is needed for type {}", preset.word));
    }
    model
}

fn warn_about_keys(
    reading: &mut Reading<'_>,
    section: &Section<'_>,
    name: &str,
    url: &value::Url,
    no_key: bool,
    preset: &Preset,
) {
    let path = section.path_of("api_key");
    if no_key && url.https && url.plain() == preset.base_url {
        let variable = env::key_variable(name);
        reading.warn(
            section.at,
            &path,
            &format!("no key: {} will refuse every request (or set {variable})", url.host),
        );
    }
    if !no_key && !url.https && !url.is_loopback() {
        reading.warn(section.at, &path, "the key travels unencrypted: base_url is http");
    }
}
