//! What happened, worded for machines: metrics for Prometheus and one log line per request. Observing never blocks.

mod children;
mod counted;
mod family;
mod journal;
mod logger;
mod maker;
mod metrics;
mod names;
mod process;
mod sink;

pub use logger::{Logging, start};
pub use metrics::{Gauges, Metrics};
pub use names::{Kind, METRICS, Metric};
pub use sink::{Sink, Writer};

use crate::clock::Clock;
use crate::domain::event::Event;
use crate::gateway::ports::Observer;
use std::sync::Arc;

/// The one observer: counts every event and words those worth a line.
pub struct Telemetry {
    metrics: Arc<Metrics>,
    logging: Logging,
    clock: Arc<dyn Clock>,
}

impl Telemetry {
    /// Joins the metrics and the log.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>, logging: Logging, clock: Arc<dyn Clock>) -> Self {
        Self { metrics, logging, clock }
    }
}

impl Observer for Telemetry {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Unpriced { provider, model } if self.metrics.never_unpriced(provider, model) => {
                log::warn!(
                    "what {model} at {provider} costs is not known, so no budget counts it: see prices"
                );
            }
            Event::Uncounted { provider } if self.metrics.never_uncounted(provider) => {
                log::warn!("{provider} does not count tokens, or counts what cannot be: they are estimated");
            }
            _ => {}
        }
        self.metrics.count(event);
        journal::tell(event, &self.logging, &*self.clock);
    }
}
