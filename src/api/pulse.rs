//! What the status page remembers of events: each provider's last latencies, streams saved, requests saved.

use crate::domain::event::Event;
use crate::gateway::ports::Observer;
use parking_lot::Mutex;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Attempts remembered of each provider.
const BEATS_MAX: usize = 40;
/// Providers remembered at once; names change with the configuration only.
const PROVIDERS_MAX: usize = 256;

/// An observer on the way to the next one.
pub struct Pulse {
    next: Arc<dyn Observer>,
    /// Guards the rings; held to push or to copy.
    beats: Mutex<HashMap<String, Beats>>,
    resumed: AtomicU64,
    deduplicated: AtomicU64,
}

/// The last attempts at one provider, oldest first.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Beats {
    /// Milliseconds each took; `None`: it failed.
    latencies_ms: VecDeque<Option<u64>>,
    /// Milliseconds until each stream's first content.
    first_tokens_ms: VecDeque<u64>,
}

impl Pulse {
    /// Remembers what it is told, and tells `next`.
    #[must_use]
    pub fn new(next: Arc<dyn Observer>) -> Self {
        Self { next, beats: Mutex::default(), resumed: AtomicU64::new(0), deduplicated: AtomicU64::new(0) }
    }

    /// Streams that broke and went on elsewhere, since the start.
    pub(super) fn resumed(&self) -> u64 {
        self.resumed.load(Ordering::Relaxed)
    }

    /// Requests that shared another one's call, since the start.
    pub(super) fn deduplicated(&self) -> u64 {
        self.deduplicated.load(Ordering::Relaxed)
    }

    /// One provider's last attempts.
    pub(super) fn of(&self, provider: &str) -> Beats {
        self.beats.lock().get(provider).cloned().unwrap_or_default()
    }

    /// Forgets every provider that is not in service any more.
    pub(super) fn keep(&self, in_service: impl Fn(&str) -> bool) {
        self.beats.lock().retain(|name, _| in_service(name));
    }

    fn beat(&self, provider: &str, note: impl FnOnce(&mut Beats)) {
        let mut all = self.beats.lock();
        if let Some(beats) = all.get_mut(provider) {
            note(beats);
        } else if all.len() < PROVIDERS_MAX {
            note(all.entry(provider.to_owned()).or_default());
        }
    }
}

impl Observer for Pulse {
    fn observe(&self, event: &Event<'_>) {
        match event {
            Event::Attempted { provider, fault, took } => {
                let took = fault.is_none().then(|| milliseconds(*took));
                self.beat(provider, |beats| push(&mut beats.latencies_ms, took));
            }
            Event::FirstToken { provider, after } => {
                let after = milliseconds(*after);
                self.beat(provider, |beats| push(&mut beats.first_tokens_ms, after));
            }
            Event::StreamResumed { .. } => {
                self.resumed.fetch_add(1, Ordering::Relaxed);
            }
            Event::Deduplicated => {
                self.deduplicated.fetch_add(1, Ordering::Relaxed);
            }
            _ => {}
        }
        self.next.observe(event);
    }
}

fn push<T>(ring: &mut VecDeque<T>, beat: T) {
    if ring.len() >= BEATS_MAX {
        ring.pop_front();
    }
    ring.push_back(beat);
}

/// Whole milliseconds.
pub(super) fn milliseconds(took: Duration) -> u64 {
    u64::try_from(took.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::failure::Fault;

    struct Deaf;

    impl Observer for Deaf {
        fn observe(&self, _event: &Event<'_>) {}
    }

    #[test]
    fn only_the_last_attempts_of_providers_in_service_are_remembered() {
        let pulse = Pulse::new(Arc::new(Deaf));
        for index in 0..100 {
            let fault = (index % 2 == 1).then_some(Fault::Refused);
            pulse.observe(&Event::Attempted { provider: "a", fault, took: Duration::from_millis(index) });
        }
        let beats = pulse.of("a").latencies_ms;
        assert_eq!((beats.len(), beats[0], beats[BEATS_MAX - 1]), (BEATS_MAX, Some(60), None));
        pulse.keep(|name| name != "a");
        assert!(pulse.of("a").latencies_ms.is_empty());
        for index in 0..1_000 {
            let name = format!("p{index}");
            pulse.observe(&Event::FirstToken { provider: &name, after: Duration::ZERO });
        }
        assert_eq!(pulse.beats.lock().len(), PROVIDERS_MAX);
    }
}
