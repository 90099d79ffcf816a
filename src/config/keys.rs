//! The table of keys: every key that loads, what it holds, its default, and whether it has an effect.
//!
//! Unknown keys, suggestions, ranges, defaults, warnings and the check of `docs/configuration.md` all read this
//! table. `*` stands for a name of the operator's own, `[]` for an item of a list.

use super::checks::*;
use super::kinds::Kind::{self, *};
use super::{quirks, value};

/// Whether a key changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Used,
    /// A key of the Go original, or of its documentation, that has no effect; why, or what to use instead.
    Gone(&'static str),
}

/// One key.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// As one would write it; empty: none.
    pub(super) default: &'static str,
    pub(super) effect: Effect,
}

/// Finds a key by its path in the table.
pub(super) fn row(path: &str) -> Option<&'static Row> {
    ROWS.iter().find(|row| row.path == path)
}

/// Finds `key` below `parent` (empty: the top), as itself or as one of the operator's names.
pub(super) fn child(parent: &str, key: &str) -> Option<&'static Row> {
    let join = |key: &str| if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
    row(&join(key)).or_else(|| row(&join("*")))
}

/// The keys directly below `parent`.
pub(super) fn children(parent: &str) -> impl Iterator<Item = &'static str> + '_ {
    ROWS.iter().filter_map(move |row| {
        let below =
            if parent.is_empty() { row.path } else { row.path.strip_prefix(parent)?.strip_prefix('.')? };
        (!below.contains('.') && !matches!(below, "*" | "[]")).then_some(below)
    })
}

const fn used(path: &'static str, kind: Kind, default: &'static str) -> Row {
    Row { path, kind, default, effect: Effect::Used }
}

const fn gone(path: &'static str, default: &'static str, why: &'static str) -> Row {
    Row { path, kind: Any, default, effect: Effect::Gone(why) }
}

fn pattern(text: &str) -> Result<(), String> {
    crate::domain::redact::Pattern::new(text).map(drop)
}

fn direction(text: &str) -> Result<(), String> {
    if ["requests", "answers"].contains(&text) {
        Ok(())
    } else {
        Err("must be requests or answers".to_owned())
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE_MAX: u64 = 1_000_000; // requests per minute; more is no limit at all
const TOKENS_MAX: u64 = 1_000_000_000_000; // per minute; more is no limit at all
const ONE: u64 = 1; // millisecond: no duration of zero

const NO_HTTP3: &str = "HTTP/3 is not offered";
const NO_RETRY: &str = "a failing provider is left for the next one at once; see retry.wait_max";
const NO_ROUTES: &str = "the endpoints are fixed";
const CALLERS_DO: &str = "callers set this in their requests";
const SEE_SERVER_QUEUE: &str = "the queue is never written to disk; see server.queue";
const ALWAYS: &str = "health checks cost nothing and always run";

/// Every key that loads.
#[rustfmt::skip] // one row, one line
pub(super) static ROWS: &[Row] = &[
    used("server", Section, ""),
    used("server.listen", Text(listen), "127.0.0.1:8080"),
    used("server.host", Text(host), ""),
    used("server.port", Count(0, 65535), ""),
    used("server.workers", Count(1, 65_536), "512"),
    used("server.queue", Count(1, 1_000_000), "512"),
    used("server.connections_max", Count(1, 1_000_000), "4096"),
    used("server.connections_per_address_max", Count(1, 1_000_000), "1024"),
    used("server.header_bytes_max", Size(KIB, 16 * MIB), "16KiB"),
    used("server.body_bytes_max", Size(KIB, GIB), "16MiB"),
    used("server.memory_max", Size(MIB, 1024 * GIB), "256MiB"),
    used("server.header_timeout", Duration(ONE), "10s"),
    used("server.body_timeout", Duration(ONE), "30s"),
    used("server.idle_timeout", Duration(ONE), "75s"),
    used("server.write_timeout", Duration(ONE), "30s"),
    used("server.request_timeout", Duration(ONE), "10m"),
    used("server.shutdown_timeout", Duration(0), "30s"),
    used("server.trusted_proxies", Texts(network), "[]"),
    used("server.cors_origins", Texts(value::origin), ""),
    used("server.read_timeout", Duration(ONE), ""),
    used("server.max_header_bytes", Size(KIB, 16 * MIB), ""),
    gone("server.http3", "", NO_HTTP3),
    used("providers", Named(value::name), ""),
    used("providers.*", Section, ""),
    used("providers.*.type", Text(any_text), ""),
    used("providers.*.base_url", Text(base_url), ""),
    used("providers.*.api_key", Secret, ""),
    used("providers.*.api_keys", Secrets, "[]"),
    used("providers.*.model", Text(value::model), ""),
    used("providers.*.models", Texts(value::model), ""),
    used("providers.*.max_concurrency", Count(1, 65_536), "64"),
    used("providers.*.timeouts", Section, ""),
    used("providers.*.timeouts.connect", Duration(ONE), "5s"),
    used("providers.*.timeouts.first_token", Duration(ONE), "60s"),
    used("providers.*.timeouts.answer", Duration(ONE), ""),
    used("providers.*.timeouts.idle", Duration(ONE), "60s"),
    used("providers.*.timeouts.total", Duration(ONE), "10m"),
    used("providers.*.limits", Section, ""),
    used("providers.*.limits.requests_per_minute", Count(1, MINUTE_MAX), ""),
    used("providers.*.limits.tokens_per_minute", Count(1, TOKENS_MAX), ""),
    used("providers.*.retries", Count(0, 10), "1"),
    used("providers.*.ca_file", Text(value::existing_file), ""),
    used("providers.*.proxy", Text(proxy), ""),
    used("providers.*.headers", Named(header), ""),
    used("providers.*.headers.*", SecretLine, ""),
    used("providers.*.max_tokens", Count(1, 10_000_000), "4096"),
    used("providers.*.version", Text(value::name), "2023-06-01"),
    used("providers.*.num_ctx", Count(1, 100_000_000), ""),
    used("providers.*.keep_alive", KeepAlive, ""),
    used("providers.*.api_version", Text(value::name), ""),
    used("providers.*.deployments", Named(value::model), ""),
    used("providers.*.deployments.*", Text(value::name), ""),
    used("providers.*.capabilities", Section, ""),
    used("providers.*.capabilities.refuses", Texts(value::name), ""),
    used("providers.*.capabilities.sampling", Flag, ""),
    used("providers.*.capabilities.thinking", Choice(quirks::THINKING), ""),
    used("providers.*.capabilities.prefill", Flag, ""),
    used("providers.*.capabilities.forced_tool", Flag, ""),
    used("providers.*.capabilities.output_bound", Choice(quirks::BOUNDS), ""),
    used("providers.*.capabilities.short_call_ids", Flag, ""),
    used("providers.*.capabilities.reasoning_back", Flag, ""),
    used("providers.*.capabilities.responses", Choice(quirks::RESPONSES), ""),
    used("providers.*.weight", Count(0, 1_000_000), "1"),
    used("provider_preference", Texts(any_text), "[]"),
    used("routing", Section, ""),
    used("routing.strategy", Choice(&["preference", "weighted", "least_busy", "fastest"]), "preference"),
    used("routing.weights", Named(value::name), ""),
    used("routing.weights.*", Count(0, 1_000_000), ""),
    used("models", Named(value::model), ""),
    used("models.*", Texts(target), ""),
    used("circuit_breaker", Section, ""),
    used("circuit_breaker.failure_threshold", Count(1, 1_000_000), "3"),
    used("circuit_breaker.interval", Duration(ONE), "30s"),
    used("circuit_breaker.timeout", Duration(ONE), "10s"),
    used("circuit_breaker.max_requests", Count(1, 1_000_000), "1"),
    gone("circuit_breaker.test_mode", "false", "it only served the original's own tests"),
    used("health_check", Section, ""),
    used("health_check.interval", Duration(100), "1m"),
    used("health_check.timeout", Duration(ONE), "5s"),
    used("health_check.failure_threshold", Count(1, 1_000_000), "3"),
    gone("health_check.enabled", "true", ALWAYS),
    used("retry", Section, ""),
    used("retry.wait_max", Duration(0), "2s"),
    used("streams", Section, ""),
    used("streams.on_failure", Choice(&["continue", "end"]), "continue"),
    used("streams.keep_alive", Duration(ONE), "10s"),
    used("deduplicate", Choice(&["always", "off"]), "always"),
    used("cache", Section, ""),
    used("cache.enabled", Flag, "false"),
    used("cache.ttl", Duration(ONE), "10m"),
    used("cache.bytes_max", Size(MIB, 1024 * GIB), "32MiB"),
    used("redaction", Section, ""),
    used("redaction.mode", Choice(&["off", "monitor", "enforce"]), "off"),
    used("redaction.rules", Listed, "[]"),
    used("redaction.rules.[]", Section, ""),
    used("redaction.rules.[].name", Text(value::name), ""),
    used("redaction.rules.[].pattern", Text(pattern), ""),
    used("redaction.rules.[].replace", Text(any_text), ""),
    used("redaction.rules.[].on", Texts(direction), "[]"),
    used("auth", Section, ""),
    used("auth.keys", Listed, "[]"),
    used("auth.keys.[]", Section, ""),
    used("auth.keys.[].name", Text(value::name), ""),
    used("auth.keys.[].hash", Text(hash), ""),
    used("auth.keys.[].hashes", Texts(hash), "[]"),
    used("auth.keys.[].models", Texts(value::model), "[]"),
    used("auth.keys.[].endpoints", Texts(path), "[]"),
    used("auth.keys.[].labels", Named(value::name), ""),
    used("auth.keys.[].labels.*", Text(label), ""),
    used("auth.keys.[].admin", Flag, "false"),
    used("auth.keys.[].expires", Text(date), ""),
    used("auth.keys.[].pin", Flag, "false"),
    used("auth.keys.[].limits", Section, ""),
    used("auth.keys.[].limits.requests_per_minute", Count(1, MINUTE_MAX), ""),
    used("auth.keys.[].limits.tokens_per_minute", Count(1, TOKENS_MAX), ""),
    used("auth.keys.[].limits.concurrent", Count(1, 1_000_000), ""),
    used("auth.keys.[].budget", Section, ""),
    used("auth.keys.[].budget.usd", Amount, ""),
    used("auth.keys.[].budget.per", Choice(&["day", "week", "month"]), "month"),
    used("auth.wrong_keys_per_minute", Count(1, MINUTE_MAX), "30"),
    used("rate_limit", Section, ""),
    used("rate_limit.requests_per_minute", Count(1, MINUTE_MAX), ""),
    used("rate_limit.tokens_per_minute", Count(1, TOKENS_MAX), ""),
    used("rate_limit.concurrent", Count(1, 1_000_000), ""),
    used("routes", Listed, "[]"),
    used("routes.[]", Section, ""),
    used("routes.[].path", Text(path), ""),
    used("routes.[].limits", Section, ""),
    used("routes.[].limits.requests_per_minute", Count(1, MINUTE_MAX), ""),
    used("routes.[].limits.tokens_per_minute", Count(1, TOKENS_MAX), ""),
    used("routes.[].limits.concurrent", Count(1, 1_000_000), ""),
    gone("routes.[].handler", "", NO_ROUTES),
    gone("routes.[].version", "", NO_ROUTES),
    gone("routes.[].methods", "", NO_ROUTES),
    gone("routes.[].headers", "", NO_ROUTES),
    gone("routes.[].middleware", "", NO_ROUTES),
    gone("routes.[].health_check", "", NO_ROUTES),
    used("prices", Named(value::model), ""),
    used("prices.*", Section, ""),
    used("prices.*.input", Amount, ""),
    used("prices.*.cached", Amount, ""),
    used("prices.*.cache_write", Amount, ""),
    used("prices.*.output", Amount, ""),
    used("usage", Section, ""),
    used("usage.path", Text(any_text), ""),
    used("usage.keep", Duration(86_400_000), "400d"),
    used("system_prompt", Text(any_text), ""),
    used("logging", Section, ""),
    used("logging.level", Choice(&["error", "warn", "info", "debug", "trace"]), "info"),
    used("logging.format", Choice(&["json", "text"]), "json"),
    used("logging.prompts", Flag, "false"),
    used("llm", Section, ""),
    used("llm.provider", Text(any_text), ""),
    used("llm.model", Text(value::model), ""),
    used("llm.api_key", Secret, ""),
    used("llm.endpoint", Text(base_url), ""),
    used("llm.system_prompt", Text(any_text), ""),
    used("llm.options", Named(any_text), ""),
    used("llm.options.max_tokens", Count(1, 10_000_000), ""),
    gone("llm.options.*", "", CALLERS_DO),
    used("llm.retry", Section, ""),
    used("llm.retry.max_retries", Count(0, 10), ""),
    gone("llm.retry.initial_delay", "", NO_RETRY),
    gone("llm.retry.max_delay", "", NO_RETRY),
    gone("llm.retry.multiplier", "", NO_RETRY),
    gone("llm.retry.retryable_errors", "", NO_RETRY),
    used("llm.backup_providers", Listed, "[]"),
    used("llm.backup_providers.[]", Section, ""),
    used("llm.backup_providers.[].provider", Text(any_text), ""),
    used("llm.backup_providers.[].model", Text(value::model), ""),
    used("llm.backup_providers.[].api_key", Secret, ""),
    used("llm.health_check", Section, ""),
    gone("llm.health_check.enabled", "true", ALWAYS),
    used("llm.health_check.interval", Duration(100), ""),
    used("llm.health_check.timeout", Duration(ONE), ""),
    used("llm.health_check.failure_threshold", Count(1, 1_000_000), ""),
    gone("llm.max_context_tokens", "", "providers judge a prompt's length themselves"),
    gone("llm.cache", "", "see cache and deduplicate"),
    used("queue", Section, ""),
    used("queue.enabled", Flag, "false"),
    used("queue.initial_size", Count(1, 1_000_000), ""),
    gone("queue.state_path", "", SEE_SERVER_QUEUE),
    gone("queue.save_interval", "", SEE_SERVER_QUEUE),
    gone("processing", "", "answers are passed on as they are"),
    gone("metrics", "", "metrics are always served at /metrics"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value_of_its_key() {
        for row in ROWS {
            row.kind.parse_default(row.default).unwrap_or_else(|why| panic!("{}: {why:?}", row.path));
        }
    }

    #[test]
    fn every_key_stands_once_and_below_its_section() {
        for (index, row) in ROWS.iter().enumerate() {
            assert!(ROWS[index + 1..].iter().all(|other| other.path != row.path), "{} twice", row.path);
            if let Some((parent, last)) = row.path.rsplit_once('.') {
                let kind = super::row(parent).map(|row| row.kind);
                let fits = match kind {
                    Some(Section) => last != "*" && last != "[]",
                    Some(Named(_)) => true,
                    Some(Listed) => last == "[]",
                    _ => false,
                };
                assert!(fits, "{} has no fitting parent", row.path);
            }
            assert_eq!(super::super::spelling::snake(row.path), row.path, "the table is in snake_case");
        }
    }
}
