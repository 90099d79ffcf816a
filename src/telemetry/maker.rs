//! Makes and registers what the table of names describes.

use super::names;
use prometheus::core::Collector;
use prometheus::{
    CounterVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGaugeVec, Opts,
    Registry,
};

/// Seconds; a completion takes from milliseconds (a local error) to minutes (a long answer).
const SECONDS: &[f64] =
    &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Makes and registers a metric of the table in one step.
pub(super) struct Maker(pub(super) Registry);

impl Maker {
    pub(super) fn counters(&self, name: &str) -> prometheus::Result<IntCounterVec> {
        let (options, labels) = described(name)?;
        self.registered(IntCounterVec::new(options, labels)?)
    }

    pub(super) fn sums(&self, name: &str) -> prometheus::Result<CounterVec> {
        let (options, labels) = described(name)?;
        self.registered(CounterVec::new(options, labels)?)
    }

    pub(super) fn counter(&self, name: &str) -> prometheus::Result<IntCounter> {
        self.registered(IntCounter::with_opts(described(name)?.0)?)
    }

    pub(super) fn gauges(&self, name: &str) -> prometheus::Result<IntGaugeVec> {
        let (options, labels) = described(name)?;
        self.registered(IntGaugeVec::new(options, labels)?)
    }

    pub(super) fn histograms(&self, name: &str) -> prometheus::Result<HistogramVec> {
        let (options, labels) = described(name)?;
        self.registered(HistogramVec::new(HistogramOpts::from(options).buckets(SECONDS.to_vec()), labels)?)
    }

    pub(super) fn histogram(&self, name: &str, buckets: &[f64]) -> prometheus::Result<Histogram> {
        let options = HistogramOpts::from(described(name)?.0).buckets(buckets.to_vec());
        self.registered(Histogram::with_opts(options)?)
    }

    pub(super) fn registered<M: Collector + Clone + 'static>(&self, metric: M) -> prometheus::Result<M> {
        self.0.register(Box::new(metric.clone()))?;
        Ok(metric)
    }
}

/// What the table says of a name.
fn described(name: &str) -> prometheus::Result<(Opts, &'static [&'static str])> {
    let metric = names::of(name)
        .ok_or_else(|| prometheus::Error::Msg(format!("{name} is not in the table of metrics")))?;
    Ok((Opts::new(metric.name, metric.help), metric.labels))
}
