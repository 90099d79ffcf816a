//! A request being served: however it ends, it is not counted among them any more.

use crate::domain::event::Event;
use crate::gateway::ports::Observer;

/// Takes an arrival back when a panic keeps its record from being written. The server then has the request turned away,
/// and that is its record.
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
            self.observer.observe(&Event::Lost { endpoint });
        }
    }
}
