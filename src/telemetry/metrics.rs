//! Counts events for Prometheus. Every label has a closed set of values; the names are the contract's, section 4.

use super::process;
use crate::domain::event::{Circuit, Event, Record};
use prometheus::{
    Encoder, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts, Registry, TextEncoder,
};

/// Seconds; a completion takes from milliseconds (a local error) to minutes (a long answer).
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];
/// Seconds of our own time in a request.
const OVERHEAD: &[f64] = &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1.0];

/// All metrics of one gateway, in a registry of their own.
pub struct Metrics {
    registry: Registry,
    http: Http,
    upstream: Upstream,
    breakers: Breakers,
    checks: Checks,
    deduplicated: IntCounter,
    limited: IntCounterVec,
    tokens: IntCounterVec,
    log_dropped: IntCounter,
    reloads: IntCounterVec,
    config: IntGaugeVec,
    memory: IntGaugeVec,
}

/// What callers see.
struct Http {
    requests: IntCounterVec,
    durations: HistogramVec,
    active: IntGaugeVec,
    errors: IntCounterVec,
    rejected: IntCounterVec,
    overhead: prometheus::Histogram,
}

/// What providers do.
struct Upstream {
    requests: IntCounterVec,
    latency: HistogramVec,
    first_token: HistogramVec,
    failovers: IntCounterVec,
    retries: IntCounterVec,
    resumed: IntCounterVec,
    aborted: IntCounterVec,
}

struct Breakers {
    state: IntGaugeVec,
    failures: IntCounterVec,
    trips: IntCounterVec,
}

struct Checks {
    duration: HistogramVec,
    errors: IntCounterVec,
    healthy: IntGaugeVec,
}

/// What is read off the other rooms when Prometheus asks, rather than told by events.
#[derive(Debug, Clone, Default)]
pub struct Gauges {
    /// Open connections.
    pub connections: i64,
    /// Complete requests waiting for a worker.
    pub queue_depth: i64,
    /// Workers serving a request.
    pub workers_busy: i64,
    /// Bytes in use, by use.
    pub memory: Vec<(&'static str, i64)>,
    /// Requests refused at the door since the start, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// Each provider, and whether it is healthy.
    pub healthy: Vec<(String, bool)>,
    /// Each breaker's name and state.
    pub circuits: Vec<(String, Circuit)>,
    /// Log lines dropped since the start.
    pub log_dropped: u64,
}

impl Metrics {
    /// Registers everything. `hash` names the configuration in service.
    ///
    /// # Errors
    /// Never with the names written here; the registry's own error otherwise.
    pub fn new(hash: &str) -> prometheus::Result<Self> {
        let make = Maker(Registry::new());
        let build = make.gauges("hapax_build_info", "The version in service.", &["version"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            http: Http::new(&make)?,
            upstream: Upstream::new(&make)?,
            breakers: Breakers::new(&make)?,
            checks: Checks::new(&make)?,
            deduplicated: make.counter(
                "hapax_deduplicated_requests_total",
                "Requests answered from another one's flight.",
            )?,
            limited: make.counters(
                "hapax_rate_limit_hits_total",
                "Requests refused by a limit.",
                &["client"],
            )?,
            tokens: make.counters("hapax_tokens_total", "Tokens used.", &["key", "model", "direction"])?,
            log_dropped: make
                .counter("hapax_log_lines_dropped_total", "Log lines dropped because the log was blocked.")?,
            reloads: make.counters(
                "hapax_config_reloads_total",
                "Configuration reloads by result.",
                &["result"],
            )?,
            config: make.gauges("hapax_config_info", "The configuration in service.", &["hash"])?,
            memory: make.gauges("hapax_memory_bytes", "Bytes in use, by use.", &["use"])?,
            registry: make.0,
        };
        metrics.config.with_label_values(&[hash]).set(1);
        Ok(metrics)
    }

    /// A reload was tried; a successful one names the configuration now in service.
    pub fn reloaded(&self, hash: Option<&str>) {
        let result = if hash.is_some() { "success" } else { "failure" };
        self.reloads.with_label_values(&[result]).inc();
        if let Some(hash) = hash {
            self.config.reset();
            self.config.with_label_values(&[hash]).set(1);
        }
    }

    /// Counts one event.
    pub(super) fn count(&self, event: &Event<'_>) {
        match event {
            Event::Arrived { endpoint } => self.http.active.with_label_values(&[endpoint]).inc(),
            Event::Answered(record) => {
                self.http.active.with_label_values(&[record.endpoint]).dec();
                self.answered(record);
            }
            Event::Refused(record) => self.answered(record),
            Event::Attempted { provider, fault, took } => {
                let outcome = fault.map_or("success", |fault| fault.word());
                self.upstream.requests.with_label_values(&[provider, outcome]).inc();
                self.upstream.latency.with_label_values(&[provider]).observe(took.as_secs_f64());
            }
            Event::FirstToken { provider, after } => {
                self.upstream.first_token.with_label_values(&[provider]).observe(after.as_secs_f64());
            }
            Event::Retried { provider, fault } => {
                self.upstream.retries.with_label_values(&[provider, fault.word()]).inc()
            }
            Event::FailedOver { from, to, fault } => {
                self.upstream.failovers.with_label_values(&[from, to, fault.word()]).inc();
            }
            Event::StreamResumed { from, to } => self.upstream.resumed.with_label_values(&[from, to]).inc(),
            Event::StreamAborted { provider, fault } => {
                self.upstream.aborted.with_label_values(&[provider, fault.word()]).inc();
            }
            Event::BreakerFailed { name } => self.breakers.failures.with_label_values(&[name]).inc(),
            Event::BreakerMoved { name, to } => {
                self.breakers.state.with_label_values(&[name]).set(*to as i64);
                if *to == Circuit::Open {
                    self.breakers.trips.with_label_values(&[name]).inc();
                }
            }
            Event::KeySetAside { .. } => self.http.errors.with_label_values(&["provider_key_refused"]).inc(),
            Event::Checked { provider, fault, took, healthy } => {
                self.checks.duration.with_label_values(&[provider]).observe(took.as_secs_f64());
                self.checks.healthy.with_label_values(&[provider]).set(i64::from(*healthy));
                if fault.is_some() {
                    self.checks.errors.with_label_values(&[provider]).inc();
                }
            }
            Event::Deduplicated => self.deduplicated.inc(),
            Event::Limited { client } => self.limited.with_label_values(&[client]).inc(),
            Event::Used { key, model, usage } => {
                self.tokens.with_label_values(&[key, model, "input"]).inc_by(usage.input);
                self.tokens.with_label_values(&[key, model, "output"]).inc_by(usage.output);
            }
        }
    }

    fn answered(&self, record: &Record<'_>) {
        let mut digits = [0; 5];
        let status = decimal(record.status, &mut digits);
        self.http.requests.with_label_values(&[record.endpoint, status]).inc();
        self.http.durations.with_label_values(&[record.endpoint]).observe(record.took.as_secs_f64());
        if let Some(error) = record.error {
            self.http.errors.with_label_values(&[error]).inc();
        }
        if let Some(overhead) = record.overhead {
            self.http.overhead.observe(overhead.as_secs_f64());
        }
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self, gauges: &Gauges) -> String {
        for (name, healthy) in &gauges.healthy {
            self.checks.healthy.with_label_values(&[name]).set(i64::from(*healthy));
        }
        for (name, circuit) in &gauges.circuits {
            self.breakers.state.with_label_values(&[name]).set(*circuit as i64);
        }
        for (reason, count) in &gauges.rejected {
            let counter = self.http.rejected.with_label_values(&[reason]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        for (purpose, bytes) in &gauges.memory {
            self.memory.with_label_values(&[purpose]).set(*bytes);
        }
        self.log_dropped.inc_by(gauges.log_dropped.saturating_sub(self.log_dropped.get()));
        let mut out = Vec::with_capacity(16 * 1024);
        // Writing text to memory fails only for metrics without values, which the encoder leaves out by itself.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        let mut out = String::from_utf8(out).unwrap_or_default();
        plain(&mut out, "hapax_connections", "Open connections.", gauges.connections);
        plain(&mut out, "hapax_queue_depth", "Complete requests waiting for a worker.", gauges.queue_depth);
        plain(&mut out, "hapax_workers_busy", "Workers serving a request.", gauges.workers_busy);
        process::append(&mut out);
        out
    }
}

impl Http {
    fn new(make: &Maker) -> prometheus::Result<Self> {
        let took = "Time from the complete request to the last byte of the answer.";
        Ok(Self {
            requests: make.counters(
                "hapax_http_requests_total",
                "HTTP requests answered.",
                &["endpoint", "status"],
            )?,
            durations: make.histograms("hapax_http_request_duration_seconds", took, &["endpoint"])?,
            active: make.gauges(
                "hapax_http_active_requests",
                "HTTP requests being served.",
                &["endpoint"],
            )?,
            errors: make.counters("hapax_errors_total", "Error answers by type.", &["type"])?,
            rejected: make.counters("hapax_rejected_total", "Requests refused at the door.", &["reason"])?,
            overhead: make.histogram("hapax_overhead_seconds", "Hapax's own time in a request.", OVERHEAD)?,
        })
    }
}

impl Upstream {
    fn new(make: &Maker) -> prometheus::Result<Self> {
        let outcomes = ["provider", "outcome"];
        let moves = ["from", "to", "reason"];
        Ok(Self {
            requests: make.counters(
                "hapax_provider_requests_total",
                "Attempts by provider and outcome.",
                &outcomes,
            )?,
            latency: make.histograms(
                "hapax_request_latency_seconds",
                "Duration of attempts at providers.",
                &["provider"],
            )?,
            first_token: make.histograms(
                "hapax_time_to_first_token_seconds",
                "From asking to the first content.",
                &["provider"],
            )?,
            failovers: make.counters(
                "hapax_failovers_total",
                "Times the next provider was asked.",
                &moves,
            )?,
            retries: make.counters(
                "hapax_retries_total",
                "Times the same provider was asked again.",
                &["provider", "reason"],
            )?,
            resumed: make.counters(
                "hapax_streams_resumed_total",
                "Broken streams continued elsewhere.",
                &["from", "to"],
            )?,
            aborted: make.counters(
                "hapax_streams_aborted_total",
                "Broken streams that could not be saved.",
                &["provider", "reason"],
            )?,
        })
    }
}

impl Breakers {
    fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            state: make.gauges("circuit_breaker_state", "0 closed, 1 half-open, 2 open.", &["name"])?,
            failures: make.counters(
                "circuit_breaker_failures_total",
                "Failures counted by a breaker.",
                &["name"],
            )?,
            trips: make.counters("circuit_breaker_trips_total", "Times a breaker opened.", &["name"])?,
        })
    }
}

impl Checks {
    fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            duration: make.histograms(
                "hapax_health_check_duration_seconds",
                "Duration of health checks.",
                &["provider"],
            )?,
            errors: make.counters(
                "hapax_health_check_errors_total",
                "Failed health checks.",
                &["provider"],
            )?,
            healthy: make.gauges(
                "hapax_healthy_providers",
                "1 when the provider is healthy.",
                &["provider"],
            )?,
        })
    }
}

fn plain(out: &mut String, name: &str, help: &str, value: i64) {
    out.push_str(&format!("# HELP {name} {help}\n# TYPE {name} gauge\n{name} {value}\n"));
}

/// A status as text, without an allocation.
fn decimal(status: u16, digits: &mut [u8; 5]) -> &str {
    let mut start = digits.len();
    let mut rest = status;
    while start > 0 {
        start -= 1;
        digits[start] = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        if rest == 0 {
            break;
        }
    }
    std::str::from_utf8(&digits[start..]).unwrap_or("0")
}

/// Makes and registers a metric in one step.
struct Maker(Registry);

impl Maker {
    fn counters(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntCounterVec> {
        let metric = IntCounterVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn counter(&self, name: &str, help: &str) -> prometheus::Result<IntCounter> {
        let metric = IntCounter::new(name, help)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn gauges(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<IntGaugeVec> {
        let metric = IntGaugeVec::new(Opts::new(name, help), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn histograms(&self, name: &str, help: &str, labels: &[&str]) -> prometheus::Result<HistogramVec> {
        let metric = HistogramVec::new(HistogramOpts::new(name, help).buckets(SECONDS.to_vec()), labels)?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }

    fn histogram(
        &self,
        name: &str,
        help: &str,
        buckets: &[f64],
    ) -> prometheus::Result<prometheus::Histogram> {
        let metric =
            prometheus::Histogram::with_opts(HistogramOpts::new(name, help).buckets(buckets.to_vec()))?;
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Fault;
    use std::time::Duration;

    #[test]
    fn a_status_is_written_in_decimal() {
        let mut digits = [0; 5];
        assert_eq!(decimal(0, &mut digits), "0");
        assert_eq!(decimal(499, &mut digits), "499");
        assert_eq!(decimal(65_535, &mut digits), "65535");
    }

    #[test]
    fn events_become_the_contracts_metrics() {
        let metrics = Metrics::new("abc").expect("names are valid");
        metrics.count(&Event::Attempted {
            provider: "openai",
            fault: Some(Fault::Refused),
            took: Duration::from_millis(3),
        });
        metrics.count(&Event::FailedOver { from: "openai", to: "ollama", fault: Fault::Refused });
        metrics.count(&Event::BreakerMoved { name: "openai", to: Circuit::Open });
        let gauges = Gauges { rejected: vec![("queue_full", 3)], log_dropped: 2, ..Gauges::default() };
        let _ = metrics.render(&gauges);
        let text = metrics.render(&gauges);
        for line in [
            "hapax_provider_requests_total{outcome=\"refused\",provider=\"openai\"} 1",
            "hapax_failovers_total{from=\"openai\",reason=\"refused\",to=\"ollama\"} 1",
            "circuit_breaker_state{name=\"openai\"} 2",
            "circuit_breaker_trips_total{name=\"openai\"} 1",
            "hapax_rejected_total{reason=\"queue_full\"} 3",
            "hapax_log_lines_dropped_total 2",
            "hapax_config_info{hash=\"abc\"} 1",
        ] {
            assert!(text.contains(line), "{line} is missing in:\n{text}");
        }
    }
}
