//! Where one provider's connections rest between calls: the last one put down is the first one taken up.

use parking_lot::Mutex;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// A connection that rested longer is not used again: balancers close at 60 s, and what lies between may forget it without
/// a word. Servers that close earlier (many do after 5 s) are seen to have done so when one is taken up.
const REST_MAX: Duration = Duration::from_secs(50);

/// Connections at rest.
pub(super) struct Shelf<T> {
    /// The connections at rest and since when, the oldest first. Held to push or pop, never while one closes.
    resting: Mutex<VecDeque<(Instant, T)>>,
    /// No more rest at once.
    most: usize,
}

impl<T> Shelf<T> {
    /// Lets at most `most` connections rest.
    pub(super) fn new(most: usize) -> Self {
        Self { resting: Mutex::default(), most }
    }

    /// The one that was put down last, unless it is too old.
    pub(super) fn take(&self, now: Instant) -> Option<T> {
        let mut resting = self.resting.lock();
        let (since, inner) = resting.pop_back()?;
        if now.saturating_duration_since(since) <= REST_MAX {
            return Some(inner);
        }
        // The others have rested longer still.
        let stale = std::mem::take(&mut *resting);
        drop(resting);
        drop((inner, stale));
        None
    }

    /// Puts one down.
    pub(super) fn put(&self, inner: T, now: Instant) {
        let mut resting = self.resting.lock();
        let full = resting.len() >= self.most;
        let oldest = resting.front().map(|(since, _)| now.saturating_duration_since(*since));
        let let_go = if full || oldest > Some(REST_MAX) { resting.pop_front() } else { None };
        if self.most > 0 {
            resting.push_back((now, inner));
        }
        drop(resting);
        drop(let_go);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    #[test]
    fn the_last_one_put_down_is_taken_first_and_old_ones_not_at_all() {
        let clock = ManualClock::new();
        let shelf = Shelf::new(3);
        for name in ["a", "b", "c", "d"] {
            shelf.put(name, clock.now());
        }
        assert_eq!(shelf.take(clock.now()), Some("d"));
        clock.advance(REST_MAX);
        shelf.put("e", clock.now());
        assert_eq!(shelf.take(clock.now()), Some("e"));
        assert_eq!(shelf.take(clock.now()), Some("c"), "just young enough");
        clock.advance(Duration::from_millis(1));
        shelf.put("f", clock.now());
        assert_eq!(shelf.resting.lock().len(), 1, "the old one is let go of when another is put down");
        clock.advance(REST_MAX * 2);
        assert_eq!(shelf.take(clock.now()), None);
        assert!(shelf.resting.lock().is_empty());
    }
}
