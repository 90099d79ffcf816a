//! The effective configuration, as YAML that loads again, with every secret redacted; and where it can connect to.

use super::page::Page;
use super::value;
use super::{CallerKey, Level, LogFormat, OnStreamFailure, Provider, Settings, Strategy};
use super::{quirks, redaction};
use crate::domain::key::Secret;
use crate::domain::limit::Limits;
use crate::domain::price::NANO_USD;
use crate::domain::quirks::Quirks;
use crate::domain::redact::{Rule, named};
use crate::domain::words::OddCharacters;
use std::fmt::Write;

/// What stands in the place of a secret.
const REDACTED: &str = "\"***\"";

/// The effective configuration as YAML; secrets print as `***`.
#[must_use]
pub fn effective(settings: &Settings) -> String {
    let mut page = Page::default();
    server(&mut page, settings);
    page.open("providers");
    for provider in &settings.providers {
        provider_section(&mut page, provider);
    }
    page.close();
    page.texts("provider_preference", &settings.preference);
    page.open("models");
    for model in &settings.models {
        let targets: Vec<String> =
            model.targets.iter().map(|(provider, model)| format!("{provider}/{model}")).collect();
        page.texts(&quote(&model.name), &targets);
    }
    page.close();
    page.open("routing");
    page.line(
        "strategy",
        match settings.strategy {
            Strategy::Preference => "preference",
            Strategy::Weighted => "weighted",
            Strategy::LeastBusy => "least_busy",
            Strategy::Fastest => "fastest",
        },
    );
    page.close();
    page.open("circuit_breaker");
    page.line("failure_threshold", settings.breaker.failure_threshold);
    page.duration("interval", settings.breaker.interval);
    page.duration("timeout", settings.breaker.timeout);
    page.line("max_requests", settings.breaker.max_requests);
    page.close();
    page.open("health_check");
    page.duration("interval", settings.health.interval);
    page.duration("timeout", settings.health.timeout);
    page.line("failure_threshold", settings.health.failure_threshold);
    page.close();
    page.open("retry");
    page.duration("wait_max", settings.retry_wait_max);
    page.close();
    answers(&mut page, settings);
    page.open("auth");
    page.line("wrong_keys_per_minute", settings.wrong_keys_per_minute);
    page.open("keys");
    for key in &settings.keys {
        caller_key(&mut page, key);
    }
    page.close();
    page.close();
    governed(&mut page, settings);
    page.open("usage");
    let path = settings.usage.path.as_ref().map(|path| quote(&path.display().to_string()));
    page.line("path", path.unwrap_or_else(|| "null".to_owned()));
    page.duration("keep", settings.usage.keep);
    page.close();
    page.line("system_prompt", settings.system_prompt.as_deref().map_or("null".to_owned(), quote));
    page.open("logging");
    page.line("level", level(settings.logging.level));
    page.line("format", if settings.logging.format == LogFormat::Text { "text" } else { "json" });
    page.line("prompts", settings.logging.prompts);
    page.close();
    page.text
}

/// What becomes of answers on their way.
fn answers(page: &mut Page, settings: &Settings) {
    page.open("streams");
    page.line(
        "on_failure",
        if settings.on_stream_failure == OnStreamFailure::End { "end" } else { "continue" },
    );
    page.duration("keep_alive", settings.keep_alive);
    page.close();
    page.line("deduplicate", if settings.deduplicate { "always" } else { "\"off\"" });
    page.open("validation");
    let word = match settings.odd_characters {
        OddCharacters::Refuse => "refuse",
        OddCharacters::Replace => "replace",
        OddCharacters::Pass => "pass",
    };
    page.line("control_characters", word);
    page.close();
    page.open("redaction");
    page.line("mode", redaction::word(settings.redaction.as_ref()));
    page.open("rules");
    for rule in settings.redaction.iter().flat_map(|redaction| &redaction.rules) {
        redaction_rule(page, rule);
    }
    page.close();
    page.close();
    page.open("cache");
    page.line("enabled", settings.cache.is_some());
    if let Some(cache) = settings.cache {
        page.duration("ttl", cache.ttl);
        page.size("bytes_max", cache.bytes_max);
    }
    page.close();
}

fn redaction_rule(page: &mut Page, rule: &Rule) {
    let name = quote(&rule.name);
    // A pattern that comes with its name has a check besides.
    let own = named(&rule.name).as_ref() != Some(&rule.pattern);
    let pattern = if own { format!(", pattern: {}", quote(rule.pattern.text())) } else { String::new() };
    let on = [("requests", rule.on_requests), ("answers", rule.on_answers)];
    let on: Vec<&str> = on.iter().filter(|(_, looks)| *looks).map(|(word, _)| *word).collect();
    page.item(&format!(
        "{{name: {name}{pattern}, replace: {}, on: [{}]}}",
        quote(&rule.replace),
        on.join(", ")
    ));
}

/// Every `host:port` the configuration can make Hapax connect to, once each. A provider behind a proxy is reached
/// only through it.
#[must_use]
pub fn egress(settings: &Settings) -> Vec<String> {
    let mut hosts: Vec<String> = Vec::new();
    for provider in &settings.providers {
        let Ok(url) = value::url(provider.proxy.as_ref().map_or(&provider.base_url, Secret::reveal)) else {
            continue;
        };
        let host = format!("{}:{}", url.host, url.port_or_default());
        if !hosts.contains(&host) {
            hosts.push(host);
        }
    }
    hosts
}

fn server(page: &mut Page, settings: &Settings) {
    let server = &settings.server;
    page.open("server");
    page.line("listen", quote(&server.listen));
    page.line("workers", server.workers);
    page.line("queue", server.queue);
    page.line("connections_max", server.connections_max);
    page.line("connections_per_address_max", server.connections_per_address_max);
    page.size("header_bytes_max", server.header_bytes_max);
    page.size("body_bytes_max", server.body_bytes_max);
    page.size("memory_max", server.memory_max);
    page.duration("header_timeout", server.header_timeout);
    page.duration("body_timeout", server.body_timeout);
    page.duration("idle_timeout", server.idle_timeout);
    page.duration("write_timeout", server.write_timeout);
    page.duration("request_timeout", server.request_timeout);
    page.duration("shutdown_timeout", server.shutdown_timeout);
    let networks: Vec<String> =
        server.trusted_proxies.iter().map(|n| format!("{}/{}", n.address, n.prefix)).collect();
    page.texts("trusted_proxies", &networks);
    page.texts("cors_origins", &settings.cors_origins);
    page.close();
}

fn provider_section(page: &mut Page, provider: &Provider) {
    page.open(&quote(&provider.name));
    page.line("type", provider.type_word);
    page.line("base_url", quote(&provider.base_url));
    let keys = vec![REDACTED; provider.keys.len()];
    page.line("api_keys", format!("[{}]", keys.join(", ")));
    page.line("model", quote(&provider.model));
    page.texts("models", &provider.models);
    page.line("max_concurrency", provider.max_concurrency);
    page.open("limits");
    page.line("requests_per_minute", optional(provider.limits.requests_per_minute));
    page.line("tokens_per_minute", optional(provider.limits.tokens_per_minute));
    page.close();
    page.open("timeouts");
    page.duration("connect", provider.connect_timeout);
    page.duration("first_token", provider.first_token_timeout);
    page.duration("answer", provider.answer_timeout);
    page.duration("idle", provider.idle_timeout);
    page.duration("total", provider.total_timeout);
    page.close();
    page.line("retries", provider.retries);
    page.line("weight", provider.weight);
    page.line(
        "ca_file",
        provider.ca_file.as_ref().map_or("null".to_owned(), |path| quote(&path.to_string_lossy())),
    );
    page.line(
        "proxy",
        provider.proxy.as_ref().map_or("null".to_owned(), |proxy| quote(&without_user(proxy.reveal()))),
    );
    page.open("headers");
    for (name, _) in &provider.headers {
        page.line(&quote(name), REDACTED);
    }
    page.close();
    page.line("max_tokens", provider.max_tokens);
    page.line("version", quote(&provider.version));
    page.line("num_ctx", optional(provider.num_ctx));
    page.line("keep_alive", provider.keep_alive.as_deref().map_or("null".to_owned(), quote));
    page.line("api_version", provider.api_version.as_deref().map_or("null".to_owned(), quote));
    page.open("deployments");
    for (model, deployment) in &provider.deployments {
        page.line(&quote(model), quote(deployment));
    }
    page.close();
    capabilities(page, provider);
    page.close();
}

/// What the type brought along is written out, too: it decides what is sent.
fn capabilities(page: &mut Page, provider: &Provider) {
    let known: &Quirks = &provider.quirks;
    page.open("capabilities");
    if !known.refuses.is_empty() {
        page.texts("refuses", &known.refuses);
    }
    let flags = [
        ("sampling", known.sampling),
        ("prefill", known.prefill),
        ("forced_tool", known.forced_tool),
        ("short_call_ids", known.short_call_ids),
        ("reasoning_back", known.reasoning_back),
    ];
    for (name, flag) in flags {
        if let Some(flag) = flag {
            page.line(name, flag);
        }
    }
    if let Some(thinking) = known.thinking {
        page.line("thinking", quirks::thinking_word(thinking));
    }
    if let Some(bound) = known.output_bound {
        page.line("output_bound", bound.word());
    }
    if quirks::may_have_responses(provider.kind) {
        page.line("responses", known.responses.word());
    }
    page.close();
}

fn without_user(proxy: &str) -> String {
    value::url(proxy).map_or_else(
        |_| "***".to_owned(),
        |url| match &url.userinfo {
            Some(_) => url.plain().replacen("://", "://***@", 1),
            None => url.plain(),
        },
    )
}

fn caller_key(page: &mut Page, key: &CallerKey) {
    let expires = key.expires.map_or("null".to_owned(), |at| quote(&value::date_text(at)));
    let hashes = vec![REDACTED; key.hashes.len()].join(", ");
    let quoted = |texts: &[String]| texts.iter().map(|text| quote(text)).collect::<Vec<_>>().join(", ");
    let labels: Vec<String> =
        key.labels.iter().map(|(name, text)| format!("{}: {}", quote(name), quote(text))).collect();
    page.item(&format!(
        "{{name: {}, hashes: [{hashes}], models: [{}], endpoints: [{}], labels: {{{}}}, expires: {expires}, pin: {}, admin: {}, limits: {}{}}}",
        quote(&key.name),
        quoted(&key.models),
        quoted(&key.endpoints),
        labels.join(", "),
        key.may_pin,
        key.admin,
        limits(&key.limits),
        key.budget.map_or_else(String::new, |budget| {
            format!(", budget: {{usd: {}, per: {}}}", usd(budget.nano_usd, NANO_USD), budget.per.word())
        }),
    ));
}

fn limits(limits: &Limits) -> String {
    format!(
        "{{requests_per_minute: {}, tokens_per_minute: {}, concurrent: {}}}",
        optional(limits.requests_per_minute),
        optional(limits.tokens_per_minute),
        optional(limits.concurrent)
    )
}

/// What stands between callers and providers: `rate_limit`, `routes`, `prices`.
fn governed(page: &mut Page, settings: &Settings) {
    page.line("rate_limit", limits(&settings.per_address));
    page.open("routes");
    for route in &settings.routes {
        page.item(&format!("{{path: {}, limits: {}}}", quote(&route.path), limits(&route.limits)));
    }
    page.close();
    page.open("prices");
    for (pattern, price) in &settings.own_prices {
        let [input, cached, cache_write, output] =
            [price.input, price.cached, price.cache_write, price.output].map(|nano| usd(nano, 1_000));
        page.line(
            &quote(pattern),
            format!("{{input: {input}, cached: {cached}, cache_write: {cache_write}, output: {output}}}"),
        );
    }
    page.close();
}

/// A whole number of small units as a decimal of large ones, exactly.
fn usd(small: u64, per_large: u64) -> String {
    let (whole, rest) = (small / per_large, small % per_large);
    if rest == 0 {
        return whole.to_string();
    }
    let width = per_large.to_string().len() - 1;
    format!("{whole}.{}", format!("{rest:0width$}").trim_end_matches('0'))
}

fn level(level: Level) -> &'static str {
    match level {
        Level::Error => "error",
        Level::Warn => "warn",
        Level::Info => "info",
        Level::Debug => "debug",
        Level::Trace => "trace",
    }
}

fn optional(value: Option<impl ToString>) -> String {
    value.map_or("null".to_owned(), |value| value.to_string())
}

/// A double-quoted scalar with a dollar sign that stays one; plain where nothing could misread it.
pub(super) fn quote(text: &str) -> String {
    let plain = text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/'))
        && !["true", "false", "null", "yes", "no", "on", "off", "inf", "nan"]
            .contains(&text.to_ascii_lowercase().as_str());
    if plain {
        return text.to_owned();
    }
    let mut quoted = String::from("\"");
    for character in text.chars() {
        match character {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            '$' => quoted.push_str("$$"),
            other if other.is_control() => {
                // Writing to a String cannot fail.
                let _ = write!(quoted, "\\u{:04x}", u32::from(other));
            }
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}
