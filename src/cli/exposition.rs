//! The text of `/metrics`: what was counted, and what is read off the rooms now.

use crate::api::Api;
use crate::domain::budget::Allowance;
use crate::ledger::Ledger;
use crate::server;
use crate::telemetry::{self, Metrics};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Weak};

/// The text of `/metrics`: what was counted, and what is read off the rooms now.
pub(super) fn text(
    metrics: &Metrics,
    api: &Weak<Api>,
    (door, ledger): (Option<&Arc<server::Gauges>>, &Ledger),
    sink: &telemetry::Sink,
) -> String {
    let number = |value: usize| i64::try_from(value).unwrap_or(i64::MAX);
    let (ledger_pending, log_dropped) = (number(ledger.pending()), sink.dropped());
    let mut gauges = telemetry::Gauges { log_dropped, ledger_pending, ..telemetry::Gauges::default() };
    let mut kept = 0;
    if let Some(api) = api.upgrade() {
        let gateway = Arc::clone(&api.state().gateway);
        gauges.healthy = gateway.snapshot().into_iter().map(|slot| (slot.name, slot.healthy)).collect();
        gauges.circuits = gateway.circuits();
        let budget = |(key, allowance, spent): (String, Allowance, u64)| {
            (key, allowance.nano_usd, allowance.nano_usd.saturating_sub(spent))
        };
        gauges.budgets = api.budgets().into_iter().map(budget).collect();
        let (answers, bytes) = gateway.kept();
        gauges.cache_entries = number(answers);
        kept = bytes;
    }
    if let Some(door) = door {
        gauges.connections = number(door.connections.load(Ordering::Relaxed));
        gauges.queue_depth = number(door.queue_depth.load(Ordering::Relaxed));
        gauges.workers_busy = number(door.workers_busy.load(Ordering::Relaxed));
        gauges.memory = vec![
            ("requests", number(door.memory_bytes.load(Ordering::Relaxed))),
            ("calls", number(door.memory_of_others().saturating_sub(kept))),
            ("cache", number(kept)),
        ];
        gauges.rejected = door.rejections().collect();
    }
    metrics.render(&gauges)
}
