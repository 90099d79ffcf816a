//! Makes and registers what the table of names describes.

use super::family::Family;
use super::names::{self, Kind, Metric};
use prometheus::core::{self, Collector, Desc};
use prometheus::proto::MetricType;
use prometheus::{Counter, Gauge, Histogram, HistogramOpts, IntCounter, IntGauge, Opts, Registry};
use std::collections::HashMap;

/// Seconds; a completion takes from milliseconds (a local error) to minutes (a long answer).
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Makes and registers a metric of the table in one step.
pub(super) struct Maker(pub(super) Registry);

impl Maker {
    pub(super) fn counters(&self, name: &str) -> prometheus::Result<Family<IntCounter>> {
        self.family(name, IntCounter::with_opts)
    }

    pub(super) fn sums(&self, name: &str) -> prometheus::Result<Family<Counter>> {
        self.family(name, Counter::with_opts)
    }

    pub(super) fn counter(&self, name: &str) -> prometheus::Result<IntCounter> {
        self.registered(IntCounter::with_opts(options(described(name)?))?)
    }

    pub(super) fn gauges(&self, name: &str) -> prometheus::Result<Family<IntGauge>> {
        self.family(name, IntGauge::with_opts)
    }

    pub(super) fn amounts(&self, name: &str) -> prometheus::Result<Family<Gauge>> {
        self.family(name, Gauge::with_opts)
    }

    pub(super) fn histograms(&self, name: &str) -> prometheus::Result<Family<Histogram>> {
        self.family(name, |options| {
            Histogram::with_opts(HistogramOpts::from(options).buckets(SECONDS.to_vec()))
        })
    }

    pub(super) fn histogram(&self, name: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let options = HistogramOpts::from(options(described(name)?)).buckets(buckets.to_vec());
        self.registered(Histogram::with_opts(options)?)
    }

    fn family<C: core::Metric + 'static>(
        &self,
        name: &str,
        make: fn(Opts) -> prometheus::Result<C>,
    ) -> prometheus::Result<Family<C>> {
        let metric = described(name)?;
        let labels = metric.labels.iter().map(|label| (*label).to_owned()).collect();
        let desc = Desc::new(metric.name.to_owned(), metric.help.to_owned(), labels, HashMap::new())?;
        let kind = match metric.kind {
            Kind::Counter => MetricType::COUNTER,
            Kind::Gauge => MetricType::GAUGE,
            Kind::Histogram => MetricType::HISTOGRAM,
        };
        let child = move |labels| make(options(metric).const_labels(labels));
        self.registered(Family::new(desc, kind, Box::new(child)))
    }

    fn registered<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

fn options(metric: &Metric) -> Opts {
    Opts::new(metric.name, metric.help)
}

/// What the table says of a name.
fn described(name: &str) -> prometheus::Result<&'static Metric> {
    names::of(name).ok_or_else(|| prometheus::Error::Msg(format!("{name} is not in the table of metrics")))
}
