//! A request that has arrived: whatever happens to it, its record is written.

use super::errors::class_of;
use crate::domain::event::{Event, Record};
use crate::gateway::ports::{Observer, Trail};
use std::time::Duration;

/// Takes an arrival back when a panic keeps its record from being written.
pub(super) struct Active<'a> {
    observer: &'a dyn Observer,
    pub(super) endpoint: Option<&'static str>,
}

impl<'a> Active<'a> {
    /// A request begins to be served.
    pub(super) fn arrive(observer: &'a dyn Observer, endpoint: &'static str) -> Self {
        observer.observe(&Event::Arrived { endpoint });
        Self { observer, endpoint: Some(endpoint) }
    }
}

impl Drop for Active<'_> {
    fn drop(&mut self) {
        if let Some(endpoint) = self.endpoint {
            let trail = Trail::default();
            self.observer.observe(&Event::Answered(Record {
                request_id: "",
                trace_id: None,
                endpoint,
                routine: false,
                method: "",
                status: 500,
                took: Duration::ZERO,
                overhead: None,
                error: Some(class_of(500).hapax),
                served: None,
                attempts: &trail.attempts,
                usage: None,
                nano_usd: None,
                stream: false,
                deduplicated: false,
                cached: None,
                bytes_in: 0,
                bytes_out: 0,
                key: None,
                client: None,
                said: None,
            }));
        }
    }
}
