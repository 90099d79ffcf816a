//! What the status page remembers of events: each provider's last latencies, how many requests there were, and how many
//! of them were saved.

use crate::domain::event::Event;
use crate::domain::failure::Fault;
use crate::domain::quick::Seed;
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
    beats: Mutex<HashMap<String, Beats, Seed>>,
    counts: Counts,
}

/// Counted since the start.
#[derive(Debug, Default)]
struct Counts {
    requests: AtomicU64,
    failed: AtomicU64,
    resumed: AtomicU64,
    aborted: AtomicU64,
    deduplicated: AtomicU64,
}

/// The same, as they are now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub(super) struct Counted {
    /// Requests answered, whatever the answer; probes, scrapes and the page's own left out.
    requests: u64,
    /// Those answered with a 5xx.
    requests_failed: u64,
    /// Streams that broke and went on elsewhere.
    streams_resumed: u64,
    /// Streams that broke and could not be saved.
    streams_aborted: u64,
    /// Requests that shared another one's call.
    deduplicated: u64,
}

/// The last attempts at one provider, oldest first.
#[derive(Debug, Clone, Default, serde::Serialize)]
pub(super) struct Beats {
    /// Milliseconds each whole answer took; `None`: the attempt failed.
    latencies_ms: VecDeque<Option<u64>>,
    /// Milliseconds until each stream's first content; `None`: the attempt failed, before or after it.
    first_tokens_ms: VecDeque<Option<u64>>,
}

impl Pulse {
    /// Remembers what it is told, and tells `next`.
    #[must_use]
    pub fn new(next: Arc<dyn Observer>) -> Self {
        Self { next, beats: Mutex::default(), counts: Counts::default() }
    }

    /// What was counted since the start.
    pub(super) fn counted(&self) -> Counted {
        let now = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let Counts { requests, failed, resumed, aborted, deduplicated } = &self.counts;
        Counted {
            requests: now(requests),
            requests_failed: now(failed),
            streams_resumed: now(resumed),
            streams_aborted: now(aborted),
            deduplicated: now(deduplicated),
        }
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
            // A caller who left says nothing about the provider.
            Event::Attempted { fault: Some(Fault::CallerLeft), .. } => {}
            Event::Attempted { provider, fault: None, took, stream: false } => {
                let took = milliseconds(*took);
                self.beat(provider, |beats| push(&mut beats.latencies_ms, Some(took)));
            }
            Event::Attempted { provider, fault: Some(_), stream, .. } => self.beat(provider, |beats| {
                push(if *stream { &mut beats.first_tokens_ms } else { &mut beats.latencies_ms }, None);
            }),
            Event::FirstToken { provider, after } => {
                let after = milliseconds(*after);
                self.beat(provider, |beats| push(&mut beats.first_tokens_ms, Some(after)));
            }
            Event::StreamResumed { .. } => one_more(&self.counts.resumed),
            Event::StreamAborted { .. } => one_more(&self.counts.aborted),
            Event::Deduplicated => one_more(&self.counts.deduplicated),
            Event::Answered(record) | Event::Refused(record) if !record.routine => {
                one_more(&self.counts.requests);
                if record.status >= 500 {
                    one_more(&self.counts.failed);
                }
            }
            _ => {}
        }
        self.next.observe(event);
    }
}

fn one_more(count: &AtomicU64) {
    count.fetch_add(1, Ordering::Relaxed);
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

    struct Deaf;

    impl Observer for Deaf {
        fn observe(&self, _event: &Event<'_>) {}
    }

    #[test]
    fn only_the_last_attempts_of_providers_in_service_are_remembered() {
        let pulse = Pulse::new(Arc::new(Deaf));
        for index in 0..100 {
            let (took, fault) = (Duration::from_millis(index), (index % 2 == 1).then_some(Fault::Refused));
            pulse.observe(&Event::Attempted { provider: "a", fault, took, stream: false });
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
