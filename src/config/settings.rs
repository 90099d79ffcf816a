//! From values by key to settings as meant: references checked, environment applied, odd combinations named.

use super::callers;
use super::env;
use super::file::{At, Node, Value};
use super::keys;
use super::kinds::Parsed;
use super::providers::{self, Found};
use super::reading::{Reading, Section};
use super::redaction;
use super::value;
use super::{
    Breaker, Cache, Health, Level, LogFormat, Logging, OnStreamFailure, Server, Settings, Strategy, Usage,
    VirtualModel,
};
use crate::domain::words::OddCharacters;
use std::net::IpAddr;
use std::path::PathBuf;

/// Reads everything from a checked tree. The settings count only when the reading has no problem afterwards.
pub(super) fn settings(reading: &mut Reading<'_>, tree: &Node, hash: String) -> Settings {
    let root = Section::root(tree);
    let keys = callers::caller_keys(reading, &root);
    let server = server(reading, &root, !keys.is_empty());
    let found = providers::read(reading, &root);
    let preference = preference(reading, &root, &found);
    let models = virtual_models(reading, &root, &found);
    let prices = callers::prices(reading, &root);
    callers::unpriced(reading, &root, (&found, &models), &prices);
    let routes = callers::routes(reading, &root);
    not_ourselves(reading, &server.listen, &found);
    more_workers_than_work(reading, &root, &found);
    let logging = logging(reading, &root);
    let cors_origins = match (root.section("server").written("cors_origins"), keys.is_empty()) {
        (None, false) => vec!["*".to_owned()],
        _ => root.section("server").plain_texts("cors_origins"),
    };
    let redaction = redaction::read(reading, &root);
    let cache = cache(reading, &root, server.memory_max);
    let breaker = root.section("circuit_breaker");
    let is_continue = root.section("streams").text("on_failure").as_deref() != Some("end");
    reading.warnings.sort_by_key(|(at, _)| (at.line, at.column));
    Settings {
        server,
        providers: found.providers,
        preference,
        strategy: strategy(&root),
        models,
        breaker: Breaker {
            failure_threshold: breaker.small("failure_threshold"),
            interval: breaker.duration("interval"),
            timeout: breaker.duration("timeout"),
            max_requests: breaker.small("max_requests"),
        },
        health: health(&root),
        retry_wait_max: root.section("retry").duration("wait_max"),
        on_stream_failure: if is_continue { OnStreamFailure::Continue } else { OnStreamFailure::End },
        keep_alive: root.section("streams").duration("keep_alive"),
        cache,
        redaction,
        odd_characters: match root.section("validation").text("control_characters").as_deref() {
            Some("replace") => OddCharacters::Replace,
            Some("pass") => OddCharacters::Pass,
            _ => OddCharacters::Refuse,
        },
        deduplicate: root.text("deduplicate").as_deref() != Some("off"),
        keys,
        per_address: callers::limits(&root.section("rate_limit")),
        wrong_keys_per_minute: root.section("auth").small("wrong_keys_per_minute"),
        routes,
        own_prices: prices,
        usage: Usage {
            path: root.section("usage").text("path").map(PathBuf::from),
            keep: root.section("usage").duration("keep"),
        },
        system_prompt: root.text("system_prompt").or_else(|| root.section("llm").text("system_prompt")),
        cors_origins,
        logging,
        warnings: reading.warnings.iter().map(|(_, warning)| warning.clone()).collect(),
        hash,
    }
}

fn server(reading: &mut Reading<'_>, root: &Section<'_>, has_keys: bool) -> Server {
    let server = root.section("server");
    let listen = listen(reading, &server);
    if !has_keys && !is_local(&listen) {
        let at = server.written("listen").or_else(|| server.written("port")).unwrap_or_default();
        let message = format!(
            "{listen} is open to other machines and auth.keys is empty: whoever reaches it uses your providers"
        );
        reading.warn(at, "server.listen", &message);
    }
    let read_timeout = server.written("read_timeout").map(|_| server.duration("read_timeout"));
    let either = |key: &str, old: &str| {
        let use_old = server.written(key).is_none() && server.written(old).is_some();
        server.number(if use_old { old } else { key })
    };
    let header_timeout = match (server.written("header_timeout"), read_timeout) {
        (None, Some(old)) => old.min(server.duration("header_timeout")),
        _ => server.duration("header_timeout"),
    };
    let body_timeout = match (server.written("body_timeout"), read_timeout) {
        (None, Some(old)) => old,
        _ => server.duration("body_timeout"),
    };
    let old_queue = root.section("queue");
    let queue = match (server.written("queue"), old_queue.flag("enabled"), old_queue.written("initial_size"))
    {
        (None, true, Some(_)) => old_queue.number("initial_size"),
        _ => server.number("queue"),
    };
    let (body_bytes_max, memory_max) = (server.number("body_bytes_max"), server.number("memory_max"));
    if body_bytes_max > memory_max {
        let at = server.written("body_bytes_max").unwrap_or_else(|| server.at_of("memory_max"));
        reading.problem(at, "server.body_bytes_max", "must be at most server.memory_max");
    }
    Server {
        listen,
        workers: server.number("workers"),
        queue,
        connections_max: server.number("connections_max"),
        connections_per_address_max: server.number("connections_per_address_max"),
        header_bytes_max: either("header_bytes_max", "max_header_bytes"),
        body_bytes_max,
        memory_max,
        header_timeout,
        body_timeout,
        idle_timeout: server.duration("idle_timeout"),
        write_timeout: server.duration("write_timeout"),
        request_timeout: server.duration("request_timeout"),
        shutdown_timeout: server.duration("shutdown_timeout"),
        trusted_proxies: server
            .plain_texts("trusted_proxies")
            .iter()
            .filter_map(|t| value::network(t).ok())
            .collect(),
    }
}

/// Kept answers. They count towards `server.memory_max`, and requests must have room beside them.
fn cache(reading: &mut Reading<'_>, root: &Section<'_>, memory_max: usize) -> Option<Cache> {
    let cache = root.section("cache");
    if !cache.flag("enabled") {
        return None;
    }
    let (ttl, bytes_max) = (cache.duration("ttl"), cache.number("bytes_max"));
    if bytes_max > memory_max / 2 {
        let at = cache.written("bytes_max").unwrap_or_else(|| cache.at_of("enabled"));
        reading.problem(at, "cache.bytes_max", "must be at most half of server.memory_max");
    }
    Some(Cache { ttl, bytes_max })
}

/// Where to listen: `listen`; else `host` and `port`, all interfaces if only the port is written, as the original
/// did; else loopback. `HAPAX_LISTEN`, then `HAPAX_HOST` and `HAPAX_PORT`, replace what they name.
fn listen(reading: &mut Reading<'_>, server: &Section<'_>) -> String {
    let old = ["port", "host"].into_iter().find(|key| server.written(key).is_some());
    if let (Some(_), Some(old)) = (server.written("listen"), old) {
        reading.problem(server.at_of(old), &server.path_of(old), "is already said by server.listen");
    }
    let default = || server.text("listen").and_then(|text| value::listen(&text).ok());
    let (mut host, mut port) = default().unwrap_or_else(|| ("127.0.0.1".to_owned(), 8080));
    let mut written = server.written("listen").is_some();
    if !written && old.is_some() {
        host = server
            .text("host")
            .and_then(|text| value::host(&text).ok())
            .unwrap_or_else(|| "0.0.0.0".to_owned());
        port = server.count("port").and_then(|port| u16::try_from(port).ok()).unwrap_or(port);
        written = true;
    }
    if let Some(text) = env::set(reading.env, "HAPAX_LISTEN") {
        match value::listen(&text) {
            Ok(both) => ((host, port), written) = (both, true),
            Err(why) => reading.problem_in_environment("HAPAX_LISTEN", why),
        }
    }
    if let Some(text) = env::set(reading.env, "HAPAX_PORT") {
        match text.parse() {
            Ok(number) => port = number,
            Err(_) => reading.problem_in_environment("HAPAX_PORT", "must be a port, 0 to 65535"),
        }
        if !written {
            "0.0.0.0".clone_into(&mut host);
        }
    }
    if let Some(text) = env::set(reading.env, "HAPAX_HOST") {
        match value::host(&text) {
            Ok(name) => host = name,
            Err(why) => reading.problem_in_environment("HAPAX_HOST", why),
        }
    }
    format!("{host}:{port}")
}

fn is_local(listen: &str) -> bool {
    let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A provider that is Hapax itself would ask itself for ever.
fn not_ourselves(reading: &mut Reading<'_>, listen: &str, found: &Found) {
    let Ok((host, port)) = value::listen(listen) else { return };
    let open = matches!(host.as_str(), "0.0.0.0" | "[::]");
    for provider in &found.providers {
        let Ok(url) = value::url(&provider.base_url) else { continue };
        let same_host = url.host == host || (url.is_loopback() && (open || is_local(listen)));
        if url.port_or_default() != port || !same_host {
            continue;
        }
        if let Some((_, at, path)) = found.names.iter().find(|(name, ..)| *name == provider.name) {
            reading.problem(
                *at,
                &format!("{path}.base_url"),
                format!("{} is Hapax's own address", provider.base_url),
            );
        }
    }
}

/// Who raises the number of workers wants that many requests at once: the providers' own bounds may not let him.
fn more_workers_than_work(reading: &mut Reading<'_>, root: &Section<'_>, found: &Found) {
    let server = root.section("server");
    let (Some(at), Some(row)) = (server.written("workers"), keys::row("server.workers")) else { return };
    let (workers, default) = (server.number("workers"), row.default.parse().unwrap_or(usize::MAX));
    let calls = found.providers.iter().fold(0_usize, |sum, one| sum.saturating_add(one.max_concurrency));
    if workers > default && workers > calls {
        let message = format!(
            "{workers} requests at once are more than the {calls} calls that all providers together take: \
             see providers.*.max_concurrency"
        );
        reading.warn(at, "server.workers", &message);
    }
}

/// Every provider once: those named, then the rest in the file's order.
fn preference(reading: &mut Reading<'_>, root: &Section<'_>, found: &Found) -> Vec<String> {
    let mut order: Vec<String> = Vec::new();
    for (at, name) in root.texts("provider_preference") {
        if order.contains(&name) {
            reading.problem(at, "provider_preference", format!("names {name} twice"));
        } else if found.knows(&name) {
            order.push(name);
        } else if found.declared {
            reading.problem(at, "provider_preference", format!("names {name}, which is not among providers"));
        } else {
            reading.warn(
                at,
                "provider_preference",
                &format!("{name} is passed over: there is no such provider"),
            );
        }
    }
    if order.is_empty() {
        order.extend(root.section("llm").text("provider").filter(|name| found.knows(name)));
    }
    for (name, ..) in &found.names {
        if !order.contains(name) {
            order.push(name.clone());
        }
    }
    order.retain(|name| found.providers.iter().any(|provider| provider.name == *name));
    order
}

fn virtual_models(reading: &mut Reading<'_>, root: &Section<'_>, found: &Found) -> Vec<VirtualModel> {
    let models = root.section("models");
    let mut read = Vec::new();
    for (name, section) in models.named() {
        let mut targets = Vec::new();
        for (at, text) in models.texts(&name) {
            let Some((provider, model)) = text.split_once('/') else { continue };
            if !found.knows(provider) {
                reading.problem(at, &section.path, format!("names {provider}, which is not among providers"));
            }
            targets.push((provider.to_owned(), model.to_owned()));
        }
        if targets.is_empty() && !models.is_wrong(&name) {
            reading.problem(section.at, &section.path, "needs at least one provider/model");
        }
        read.push(VirtualModel { name, targets });
    }
    read
}

fn health(root: &Section<'_>) -> Health {
    let (ours, old) = (root.section("health_check"), root.section("llm").section("health_check"));
    let either =
        |key: &str| if ours.written(key).is_none() && old.written(key).is_some() { &old } else { &ours };
    Health {
        interval: either("interval").duration("interval"),
        timeout: either("timeout").duration("timeout"),
        failure_threshold: either("failure_threshold").small("failure_threshold"),
    }
}

fn strategy(root: &Section<'_>) -> Strategy {
    match root.section("routing").text("strategy").as_deref() {
        Some("weighted") => Strategy::Weighted,
        Some("least_busy") => Strategy::LeastBusy,
        Some("fastest") => Strategy::Fastest,
        _ => Strategy::Preference,
    }
}

fn logging(reading: &mut Reading<'_>, root: &Section<'_>) -> Logging {
    let logging = root.section("logging");
    let mut word = |key: &str, variable: &str| {
        let mut word = logging.text(key).unwrap_or_default();
        let row = keys::row(&format!("logging.{key}"));
        if let (Some(text), Some(row)) = (env::set(reading.env, variable), row) {
            match row.kind.parse(&Value::Text(text)) {
                Ok(Parsed::Text(known)) => word = known,
                Ok(_) => {}
                Err((_, why)) => reading.problem_in_environment(variable, why),
            }
        }
        word
    };
    let level = match word("level", "LOG_LEVEL").as_str() {
        "error" => Level::Error,
        "warn" => Level::Warn,
        "debug" => Level::Debug,
        "trace" => Level::Trace,
        _ => Level::Info,
    };
    let format = if word("format", "LOG_FORMAT") == "text" { LogFormat::Text } else { LogFormat::Json };
    Logging { level, format, prompts: logging.flag("prompts") }
}

/// A tree that says nothing: every key has its default.
pub(super) fn nothing() -> Node {
    Node { at: At::default(), value: Value::Null }
}
