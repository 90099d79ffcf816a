//! What is counted with every request: its endpoint's metrics, its provider's, and its key's.
//!
//! Their children are found once and looked at without a lock; each is there once it was asked for, and not before.

use super::children::Often;
use super::family::Family;
use super::maker::Maker;
use crate::domain::chat::Usage;
use crate::domain::digits::{DECIMAL_BYTES, decimal};
use crate::domain::event::Record;
use crate::domain::price::NANO_USD;
use prometheus::{Counter, Histogram, IntCounter, IntGauge};
use std::sync::OnceLock;

/// Seconds of our own time in a request.
const OVERHEAD: &[f64] = &[0.000_05, 0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.01, 0.05, 0.1, 1.0];

/// What callers see.
pub(super) struct Http {
    requests: Family<IntCounter>,
    durations: Family<Histogram>,
    active: Family<IntGauge>,
    /// The children of these three.
    endpoints: Often<&'static str, OfEndpoint>,
    pub(super) errors: Family<IntCounter>,
    pub(super) rejected: Family<IntCounter>,
    overhead: Histogram,
}

/// One endpoint's children.
#[derive(Default)]
struct OfEndpoint {
    active: OnceLock<IntGauge>,
    duration: OnceLock<Histogram>,
    /// By status.
    requests: Often<u16, IntCounter>,
}

/// What was used.
pub(super) struct Used {
    tokens: Family<IntCounter>,
    cost: Family<Counter>,
    /// The children of both, by key and model.
    children: Often<(Box<str>, Box<str>), OfModel>,
}

/// What one key used of one model.
struct OfModel {
    input: IntCounter,
    output: IntCounter,
    /// There once something was priced.
    cost: OnceLock<Counter>,
}

/// What providers do.
pub(super) struct Upstream {
    requests: Family<IntCounter>,
    latency: Family<Histogram>,
    first_token: Family<Histogram>,
    /// The children of these three.
    providers: Often<Box<str>, OfProvider>,
    pub(super) failovers: Family<IntCounter>,
    pub(super) retries: Family<IntCounter>,
    pub(super) resumed: Family<IntCounter>,
    pub(super) aborted: Family<IntCounter>,
}

/// One provider's children.
#[derive(Default)]
struct OfProvider {
    latency: OnceLock<Histogram>,
    first_token: OnceLock<Histogram>,
    /// By what came of it.
    requests: Often<&'static str, IntCounter>,
}

impl Http {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            requests: make.counters("hapax_http_requests_total")?,
            durations: make.histograms("hapax_http_request_duration_seconds")?,
            active: make.gauges("hapax_http_active_requests")?,
            endpoints: Often::default(),
            errors: make.counters("hapax_errors_total")?,
            rejected: make.counters("hapax_rejected_total")?,
            overhead: make.histogram("hapax_overhead_seconds", OVERHEAD)?,
        })
    }

    fn endpoint(&self, endpoint: &'static str, show: impl FnOnce(&OfEndpoint)) {
        self.endpoints.with(|known| *known == endpoint, || (endpoint, OfEndpoint::default()), show);
    }

    pub(super) fn active(&self, endpoint: &'static str, more: i64) {
        let find = || self.active.with_label_values(&[endpoint]);
        self.endpoint(endpoint, |of| of.active.get_or_init(find).add(more));
    }

    pub(super) fn answered(&self, record: &Record<'_>) {
        let (endpoint, status) = (record.endpoint, record.status);
        let request = || {
            let mut digits = [0; DECIMAL_BYTES];
            (status, self.requests.with_label_values(&[endpoint, decimal(status.into(), &mut digits)]))
        };
        let duration = || self.durations.with_label_values(&[endpoint]);
        self.endpoint(endpoint, |of| {
            of.requests.with(|known| *known == status, request, |requests| requests.inc());
            of.duration.get_or_init(duration).observe(record.took.as_secs_f64());
        });
        if let Some(error) = record.error {
            self.errors.with_label_values(&[error]).inc();
        }
        if let Some(overhead) = record.overhead {
            self.overhead.observe(overhead.as_secs_f64());
        }
    }
}

impl Used {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        let (tokens, cost) = (make.counters("hapax_tokens_total")?, make.sums("hapax_cost_usd_total")?);
        Ok(Self { tokens, cost, children: Often::default() })
    }

    pub(super) fn count(&self, key: &str, model: &str, usage: &Usage, nano_usd: Option<u64>) {
        let find = || {
            let tokens = |direction| self.tokens.with_label_values(&[key, model, direction]);
            let child = OfModel { input: tokens("input"), output: tokens("output"), cost: OnceLock::new() };
            ((key.into(), model.into()), child)
        };
        self.children.with(
            |(theirs, of)| **of == *model && **theirs == *key,
            find,
            |child| {
                child.input.inc_by(usage.input);
                child.output.inc_by(usage.output);
                if let Some(nano) = nano_usd {
                    let cost = child.cost.get_or_init(|| self.cost.with_label_values(&[key, model]));
                    cost.inc_by(nano as f64 / NANO_USD as f64);
                }
            },
        );
    }
}

impl Upstream {
    pub(super) fn new(make: &Maker) -> prometheus::Result<Self> {
        Ok(Self {
            requests: make.counters("hapax_provider_requests_total")?,
            latency: make.histograms("hapax_request_latency_seconds")?,
            first_token: make.histograms("hapax_time_to_first_token_seconds")?,
            providers: Often::default(),
            failovers: make.counters("hapax_failovers_total")?,
            retries: make.counters("hapax_retries_total")?,
            resumed: make.counters("hapax_streams_resumed_total")?,
            aborted: make.counters("hapax_streams_aborted_total")?,
        })
    }

    fn provider(&self, provider: &str, show: impl FnOnce(&OfProvider)) {
        self.providers.with(|known| **known == *provider, || (provider.into(), OfProvider::default()), show);
    }

    pub(super) fn attempted(&self, provider: &str, outcome: &'static str, took: f64) {
        let request = || (outcome, self.requests.with_label_values(&[provider, outcome]));
        let latency = || self.latency.with_label_values(&[provider]);
        self.provider(provider, |of| {
            of.requests.with(|known| *known == outcome, request, |requests| requests.inc());
            of.latency.get_or_init(latency).observe(took);
        });
    }

    pub(super) fn first_token(&self, provider: &str, after: f64) {
        let find = || self.first_token.with_label_values(&[provider]);
        self.provider(provider, |of| of.first_token.get_or_init(find).observe(after));
    }
}
