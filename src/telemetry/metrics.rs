//! Counts events for Prometheus. Every label has a closed set of values; the names are the contract's, section 4.

use super::counted::{Http, Upstream, Used};
use super::family::Family;
use super::maker::Maker;
use super::{names, process};
use crate::domain::event::{Circuit, Event};
use crate::domain::price::NANO_USD;
use crate::domain::quick::Seed;
use parking_lot::{Mutex, RwLock};
use prometheus::{Encoder, Gauge, Histogram, IntCounter, IntGauge, Registry, TextEncoder};
use std::borrow::Cow;
use std::collections::{BTreeMap, HashSet};

/// The type of error that is the operator's, not a caller's.
const KEY_REFUSED: &str = "provider_key_refused";

/// All metrics of one gateway, in a registry of their own.
pub struct Metrics {
    registry: Registry,
    http: Http,
    upstream: Upstream,
    breakers: Breakers,
    checks: Checks,
    deduplicated: IntCounter,
    redactions: Family<IntCounter>,
    looked: Family<IntCounter>,
    evicted: IntCounter,
    limited: Family<IntCounter>,
    broke: Family<IntCounter>,
    unpriced: Family<IntCounter>,
    uncounted: Family<IntCounter>,
    /// What keys may cost, and what is left of it.
    budgets: [Family<Gauge>; 2],
    used: Used,
    ledger_errors: IntCounter,
    log_dropped: IntCounter,
    reloads: Family<IntCounter>,
    config: Family<IntGauge>,
    memory: Family<IntGauge>,
    /// Held while a scrape is written: two at once would clear each other's gauges.
    scrape: Mutex<()>,
}

struct Breakers {
    state: Family<IntGauge>,
    failures: Family<IntCounter>,
    trips: Family<IntCounter>,
    /// The models somebody configured: the only ones a label may name. Guards the set alone.
    models: RwLock<HashSet<String, Seed>>,
}

struct Checks {
    duration: Family<Histogram>,
    errors: Family<IntCounter>,
    healthy: Family<IntGauge>,
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
    /// Answers kept.
    pub cache_entries: i64,
    /// Requests refused at the door since the start, by reason.
    pub rejected: Vec<(&'static str, u64)>,
    /// Each provider, and whether it is healthy.
    pub healthy: Vec<(String, bool)>,
    /// Each breaker's name and state.
    pub circuits: Vec<(String, Circuit)>,
    /// Log lines dropped since the start.
    pub log_dropped: u64,
    /// Sums that are not in the ledger's file.
    pub ledger_pending: i64,
    /// Each key's budget and what is left of it, in nano-USD.
    pub budgets: Vec<(String, u64, u64)>,
}

impl Metrics {
    /// Registers everything. `hash` names the configuration in service.
    ///
    /// # Errors
    /// Never with the names written here; the registry's own error otherwise.
    pub fn new(hash: &str) -> prometheus::Result<Self> {
        let make = Maker(Registry::new());
        make.gauges("hapax_build_info")?.with_label_values(&[env!("CARGO_PKG_VERSION")]).set(1);
        let metrics = Self {
            http: Http::new(&make)?,
            upstream: Upstream::new(&make)?,
            breakers: Breakers::new(&make)?,
            checks: Checks::new(&make)?,
            deduplicated: make.counter("hapax_deduplicated_requests_total")?,
            redactions: make.counters("hapax_redactions_total")?,
            looked: make.counters("hapax_cache_requests_total")?,
            evicted: make.counter("hapax_cache_evictions_total")?,
            limited: make.counters("hapax_rate_limit_hits_total")?,
            broke: make.counters("hapax_budget_stops_total")?,
            unpriced: make.counters("hapax_unpriced_requests_total")?,
            uncounted: make.counters("hapax_uncounted_answers_total")?,
            budgets: [make.amounts("hapax_budget_usd")?, make.amounts("hapax_budget_remaining_usd")?],
            used: Used::new(&make)?,
            ledger_errors: make.counter("hapax_ledger_errors_total")?,
            log_dropped: make.counter("hapax_log_lines_dropped_total")?,
            reloads: make.counters("hapax_config_reloads_total")?,
            config: make.gauges("hapax_config_info")?,
            memory: make.gauges("hapax_memory_bytes")?,
            scrape: Mutex::new(()),
            registry: make.0,
        };
        metrics.config.with_label_values(&[hash]).set(1);
        // Counters that alerts watch begin at 0: a rise from nothing is no rise to Prometheus.
        for result in ["success", "failure"] {
            metrics.reloads.with_label_values(&[result]);
        }
        metrics.http.errors.with_label_values(&[KEY_REFUSED]);
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

    /// The models that breakers' labels may name from now on.
    pub fn configured(&self, models: HashSet<String, Seed>) {
        *self.breakers.models.write() = models;
    }

    /// Whether it was never told before that nobody knows what this costs.
    pub(super) fn never_unpriced(&self, provider: &str, model: &str) -> bool {
        self.unpriced.with_label_values(&[provider, model]).get() == 0
    }

    /// Whether it was never told before that this provider's counts cannot be relied on.
    pub(super) fn never_uncounted(&self, provider: &str) -> bool {
        self.uncounted.with_label_values(&[provider]).get() == 0
    }

    /// Counts one event.
    pub(super) fn count(&self, event: &Event<'_>) {
        match event {
            Event::Arrived { endpoint } => self.http.active(endpoint, 1),
            Event::Lost { endpoint } => self.http.active(endpoint, -1),
            Event::Answered(record) => {
                self.http.active(record.endpoint, -1);
                self.http.answered(record);
            }
            Event::Refused(record) => self.http.answered(record),
            Event::Attempted { provider, fault, took, stream: _ } => {
                let outcome = fault.map_or("success", |fault| fault.word());
                self.upstream.attempted(provider, outcome, took.as_secs_f64());
            }
            Event::FirstToken { provider, after } => {
                self.upstream.first_token(provider, after.as_secs_f64());
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
            Event::BreakerFailed { name } => {
                self.breakers.failures.with_label_values(&[&*self.breakers.label(name)]).inc();
            }
            Event::BreakerMoved { name, to: Circuit::Open } => {
                self.breakers.trips.with_label_values(&[&*self.breakers.label(name)]).inc();
            }
            // The state itself is read off the breakers when somebody asks.
            Event::BreakerMoved { .. } => {}
            Event::KeySetAside { .. } => self.http.errors.with_label_values(&[KEY_REFUSED]).inc(),
            Event::Checked { provider, fault, took, .. } => {
                self.checks.duration.with_label_values(&[provider]).observe(took.as_secs_f64());
                if fault.is_some() {
                    self.checks.errors.with_label_values(&[provider]).inc();
                }
            }
            Event::LedgerFailed { .. } => self.ledger_errors.inc(),
            Event::LedgerRecovered => {}
            Event::Deduplicated => self.deduplicated.inc(),
            Event::Redacted { rule, on, times } => {
                self.redactions.with_label_values(&[rule, on]).inc_by(*times)
            }
            Event::Looked { hit } => {
                self.looked.with_label_values(&[if *hit { "hit" } else { "miss" }]).inc()
            }
            Event::Evicted { answers } => self.evicted.inc_by(*answers as u64),
            Event::Limited { client } => self.limited.with_label_values(&[client]).inc(),
            Event::OverBudget { key } => self.broke.with_label_values(&[key]).inc(),
            Event::Unpriced { provider, model } => self.unpriced.with_label_values(&[provider, model]).inc(),
            Event::Uncounted { provider } => self.uncounted.with_label_values(&[provider]).inc(),
            Event::Used { key, model, known, usage, nano_usd, .. } => {
                self.used.count(key, if *known { model } else { "other" }, usage, *nano_usd);
            }
        }
    }

    /// Everything in Prometheus' text format, version 0.0.4.
    #[must_use]
    pub fn render(&self, gauges: &Gauges) -> String {
        let _one_at_a_time = self.scrape.lock();
        self.read_off(gauges);
        let mut out = Vec::with_capacity(32 * 1024);
        // Writing text to memory fails only for metrics without values, which the encoder leaves out by itself.
        let _ = TextEncoder::new().encode(&self.registry.gather(), &mut out);
        let mut out = String::from_utf8(out).unwrap_or_default();
        names::append(&mut out, "hapax_connections", gauges.connections);
        names::append(&mut out, "hapax_queue_depth", gauges.queue_depth);
        names::append(&mut out, "hapax_cache_entries", gauges.cache_entries);
        names::append(&mut out, "hapax_workers_busy", gauges.workers_busy);
        names::append(&mut out, "hapax_ledger_pending", gauges.ledger_pending);
        process::append(&mut out);
        out
    }

    /// Takes over what the other rooms say; what they no longer name is forgotten.
    fn read_off(&self, gauges: &Gauges) {
        self.checks.healthy.reset();
        for (name, healthy) in &gauges.healthy {
            self.checks.healthy.with_label_values(&[name]).set(i64::from(*healthy));
        }
        let mut worst: BTreeMap<Cow<'_, str>, i64> = BTreeMap::new();
        for (name, circuit) in &gauges.circuits {
            let state = worst.entry(self.breakers.label(name)).or_default();
            *state = (*state).max(*circuit as i64);
        }
        self.breakers.state.reset();
        for (name, state) in worst {
            self.breakers.state.with_label_values(&[&*name]).set(state);
        }
        self.budgets.iter().for_each(Family::reset);
        for (key, whole, left) in &gauges.budgets {
            for (family, nano) in self.budgets.iter().zip([whole, left]) {
                family.with_label_values(&[key]).set(*nano as f64 / NANO_USD as f64);
            }
        }
        for (reason, count) in &gauges.rejected {
            let counter = self.http.rejected.with_label_values(&[reason]);
            counter.inc_by(count.saturating_sub(counter.get()));
        }
        for (purpose, bytes) in &gauges.memory {
            self.memory.with_label_values(&[purpose]).set(*bytes);
        }
        self.log_dropped.inc_by(gauges.log_dropped.saturating_sub(self.log_dropped.get()));
    }
}

impl Breakers {
    fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            state: make.gauges("circuit_breaker_state")?,
            failures: make.counters("circuit_breaker_failures_total")?,
            trips: make.counters("circuit_breaker_trips_total")?,
            models: RwLock::default(),
        })
    }

    /// A breaker's name as a label: `openai`, `openai/gpt-4o`, or `openai/other` for a model nobody configured,
    /// because callers choose those.
    fn label<'a>(&self, name: &'a str) -> Cow<'a, str> {
        match name.split_once('/') {
            Some((provider, model)) if !self.models.read().contains(model) => {
                Cow::Owned(format!("{provider}/other"))
            }
            _ => Cow::Borrowed(name),
        }
    }
}

impl Checks {
    fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            duration: make.histograms("hapax_health_check_duration_seconds")?,
            errors: make.counters("hapax_health_check_errors_total")?,
            healthy: make.gauges("hapax_healthy_providers")?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Usage;
    use crate::domain::event::Record;
    use crate::domain::failure::Fault;
    use std::time::Duration;

    #[test]
    fn events_become_the_contracts_metrics() {
        let metrics = Metrics::new("abc").expect("names are valid");
        metrics.count(&Event::Attempted {
            provider: "openai",
            fault: Some(Fault::Refused),
            took: Duration::from_millis(3),
            stream: false,
        });
        metrics.count(&Event::FailedOver { from: "openai", to: "ollama", fault: Fault::Refused });
        metrics.count(&Event::BreakerMoved { name: "openai", to: Circuit::Open });
        let circuits = vec![("openai".to_owned(), Circuit::Open)];
        let gauges =
            Gauges { circuits, rejected: vec![("queue_full", 3)], log_dropped: 2, ..Gauges::default() };
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

    /// One of each thing that can happen.
    fn everything_happens(metrics: &Metrics) {
        let provider = "a";
        let (fault, took) = (Fault::Refused, Duration::from_millis(3));
        let usage = Usage { input: 1, output: 2, ..Usage::default() };
        let record = Record {
            request_id: "r",
            trace_id: None,
            endpoint: "/v1/chat/completions",
            routine: false,
            method: "POST",
            status: 502,
            took,
            overhead: Some(took),
            error: Some("provider_error"),
            served: None,
            attempts: &[],
            usage: Some(usage),
            nano_usd: None,
            stream: false,
            deduplicated: false,
            cached: None,
            bytes_in: 0,
            bytes_out: 0,
            key: None,
            client: None,
            said: None,
        };
        for event in [
            Event::Arrived { endpoint: "/v1/chat/completions" },
            Event::Attempted { provider, fault: None, took, stream: true },
            Event::FirstToken { provider, after: took },
            Event::Retried { provider, fault },
            Event::FailedOver { from: "a", to: "b", fault },
            Event::StreamResumed { from: "a", to: "b" },
            Event::StreamAborted { provider, fault },
            Event::BreakerFailed { name: "a" },
            Event::BreakerMoved { name: "a", to: Circuit::Open },
            Event::Checked { provider, fault: Some(fault), took, healthy: false },
            Event::Deduplicated,
            Event::Redacted { rule: "email", on: "answers", times: 2 },
            Event::Looked { hit: true },
            Event::Evicted { answers: 2 },
            Event::Limited { client: "address" },
            Event::OverBudget { key: "bot" },
            Event::Unpriced { provider: "a", model: "m" },
            Event::Uncounted { provider: "a" },
            Event::Used {
                key: "none",
                provider: "a",
                model: "m",
                known: true,
                endpoint: "/v1/chat/completions",
                usage,
                nano_usd: Some(1_500),
            },
            Event::Answered(record),
        ] {
            metrics.count(&event);
        }
        metrics.reloaded(Some("def"));
    }

    #[test]
    fn what_has_no_price_or_no_count_is_new_once() {
        let metrics = Metrics::new("abc").expect("names are valid");
        assert!(metrics.never_unpriced("a", "m"));
        metrics.count(&Event::Unpriced { provider: "a", model: "m" });
        assert!(!metrics.never_unpriced("a", "m") && metrics.never_unpriced("a", "n"));
        assert!(metrics.never_uncounted("a"));
        metrics.count(&Event::Uncounted { provider: "a" });
        assert!(!metrics.never_uncounted("a") && metrics.never_uncounted("b"));
    }

    #[test]
    fn every_metric_of_the_table_exists_and_no_other() {
        let metrics = Metrics::new("abc").expect("names are valid");
        everything_happens(&metrics);
        let gauges = Gauges {
            healthy: vec![("a".to_owned(), true)],
            circuits: vec![("a".to_owned(), Circuit::Open)],
            memory: vec![("requests", 1)],
            rejected: vec![("queue_full", 1)],
            budgets: vec![("bot".to_owned(), 2_000_000_000, 1_500_000_000)],
            ..Gauges::default()
        };
        let text = metrics.render(&gauges);
        assert!(text.contains("hapax_budget_usd{key=\"bot\"} 2\n"), "{text}");
        assert!(text.contains("hapax_budget_remaining_usd{key=\"bot\"} 1.5\n"), "{text}");
        let typed: BTreeMap<&str, &str> =
            text.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split_once(' ')).collect();
        let kind = |kind| match kind {
            names::Kind::Counter => "counter",
            names::Kind::Gauge => "gauge",
            names::Kind::Histogram => "histogram",
        };
        let table: BTreeMap<&str, &str> =
            names::METRICS.iter().map(|metric| (metric.name, kind(metric.kind))).collect();
        assert_eq!(typed, table);
    }

    #[test]
    fn a_model_nobody_configured_has_no_label_of_its_own() {
        let metrics = Metrics::new("abc").expect("names are valid");
        metrics.configured(["gpt-4o".to_owned()].into_iter().collect());
        let circuits = vec![
            ("openai/gpt-4o".to_owned(), Circuit::Closed),
            ("openai/mine".to_owned(), Circuit::Open),
            ("openai/yours".to_owned(), Circuit::Closed),
        ];
        let text = metrics.render(&Gauges { circuits, ..Gauges::default() });
        assert!(text.contains("circuit_breaker_state{name=\"openai/gpt-4o\"} 0"), "{text}");
        assert!(text.contains("circuit_breaker_state{name=\"openai/other\"} 2"), "{text}");
        assert!(!text.contains("mine") && !text.contains("yours"), "{text}");
        let later = metrics.render(&Gauges::default());
        assert!(!later.contains("circuit_breaker_state{"), "forgotten: {later}");
    }
}
