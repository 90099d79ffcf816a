//! The table of metric names: the contract's, section 4. Dashboards, alerts and documentation are held to it.

/// How a metric behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises, until the process ends.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts observations in buckets, in seconds.
    Histogram,
}

/// One metric: what it is called, how it behaves, by what it is divided, what it means.
#[derive(Debug, Clone, Copy)]
pub struct Metric {
    /// As Prometheus knows it.
    pub name: &'static str,
    /// How it behaves.
    pub kind: Kind,
    /// Its labels; every one has a closed set of values.
    pub labels: &'static [&'static str],
    /// One sentence.
    pub help: &'static str,
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

/// Every metric there is.
pub const METRICS: &[Metric] = &[
    counter("hapax_http_requests_total", &["endpoint", "status"], "HTTP requests, by answer."),
    histogram(
        "hapax_http_request_duration_seconds",
        &["endpoint"],
        "From the complete request to the last byte of the answer.",
    ),
    gauge("hapax_http_active_requests", &["endpoint"], "HTTP requests being served."),
    counter("hapax_errors_total", &["type"], "Error answers, by type."),
    gauge("circuit_breaker_state", &["name"], "0 closed, 1 half-open, 2 open."),
    histogram("hapax_health_check_duration_seconds", &["provider"], "Duration of health checks."),
    counter("hapax_deduplicated_requests_total", &[], "Requests answered from another one's flight."),
    counter(
        "hapax_redactions_total",
        &["rule", "on"],
        "What redaction rules found, in requests and answers.",
    ),
    counter("hapax_cache_requests_total", &["result"], "Looks for a kept answer: hit or miss."),
    counter("hapax_cache_evictions_total", &[], "Kept answers let go to make room."),
    gauge("hapax_cache_entries", &[], "Answers kept."),
    counter("hapax_rate_limit_hits_total", &["client"], "Requests refused by a limit."),
    counter("hapax_health_check_errors_total", &["provider"], "Failed health checks."),
    gauge("hapax_healthy_providers", &["provider"], "1 when the provider is healthy."),
    histogram("hapax_request_latency_seconds", &["provider"], "Duration of attempts at providers."),
    counter("circuit_breaker_failures_total", &["name"], "Failures counted by a breaker."),
    counter("circuit_breaker_trips_total", &["name"], "Times a breaker opened."),
    counter("hapax_provider_requests_total", &["provider", "outcome"], "Attempts, by provider and outcome."),
    counter("hapax_failovers_total", &["from", "to", "reason"], "Times the next provider was asked."),
    counter("hapax_retries_total", &["provider", "reason"], "Times the same provider was asked again."),
    histogram("hapax_time_to_first_token_seconds", &["provider"], "From asking to the first content."),
    counter("hapax_streams_resumed_total", &["from", "to"], "Broken streams continued elsewhere."),
    counter(
        "hapax_streams_aborted_total",
        &["provider", "reason"],
        "Broken streams that could not be saved.",
    ),
    counter(
        "hapax_budget_stops_total",
        &["key"],
        "Requests refused and streams ended because a budget was used up.",
    ),
    gauge("hapax_budget_usd", &["key"], "What a key may cost in its period."),
    gauge("hapax_budget_remaining_usd", &["key"], "What is left of it, reservations not taken off."),
    counter(
        "hapax_unpriced_requests_total",
        &["provider", "model"],
        "Requests of keys with a budget whose price is not known.",
    ),
    counter(
        "hapax_uncounted_answers_total",
        &["provider"],
        "Answers whose tokens are estimated: the provider told no count that can be.",
    ),
    counter("hapax_tokens_total", &["key", "model", "direction"], "Tokens used."),
    counter("hapax_cost_usd_total", &["key", "model"], "USD they cost, where the price is known."),
    counter("hapax_ledger_errors_total", &[], "Times the ledger's file could not be written."),
    gauge("hapax_ledger_pending", &[], "Sums of usage that are not in the ledger's file."),
    histogram("hapax_overhead_seconds", &[], "Hapax's own time in a request."),
    gauge("hapax_queue_depth", &[], "Complete requests waiting for a worker."),
    gauge("hapax_workers_busy", &[], "Workers serving a request."),
    gauge("hapax_connections", &[], "Open connections."),
    gauge("hapax_memory_bytes", &["use"], "Bytes in use, by use."),
    counter("hapax_rejected_total", &["reason"], "Requests refused at the door."),
    counter("hapax_log_lines_dropped_total", &[], "Log lines dropped because the log was blocked."),
    counter("hapax_config_reloads_total", &["result"], "Configuration reloads, by result."),
    gauge("hapax_config_info", &["hash"], "The configuration in service."),
    gauge("hapax_build_info", &["version"], "The version in service."),
    counter("process_cpu_seconds_total", &[], "Total user and system CPU time spent in seconds."),
    gauge("process_threads", &[], "Number of OS threads in the process."),
    gauge("process_virtual_memory_bytes", &[], "Virtual memory size in bytes."),
    gauge("process_resident_memory_bytes", &[], "Resident memory size in bytes."),
    gauge("process_start_time_seconds", &[], "Start time since unix epoch in seconds."),
    gauge("process_open_fds", &[], "Number of open file descriptors."),
    gauge("process_max_fds", &[], "Maximum number of open file descriptors."),
];

/// The metric of a name.
pub(super) fn of(name: &str) -> Option<&'static Metric> {
    METRICS.iter().find(|metric| metric.name == name)
}

/// One value of a metric without labels, in the text format.
pub(super) fn append(out: &mut String, name: &str, value: impl std::fmt::Display) {
    let Some(Metric { name, kind, help, .. }) = of(name) else { return };
    let kind = if *kind == Kind::Counter { "counter" } else { "gauge" };
    out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} {kind}\n{name} {value}\n"));
}
