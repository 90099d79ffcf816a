//! Our keys at one provider: a refused one is set aside, not the provider.

use crate::domain::failure::{Failure, Fault};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use ureq::http::HeaderValue;

/// After this a key that was set aside is tried again.
const ASIDE_FOR: Duration = Duration::from_secs(300);

/// The pool, in the order of the configuration.
pub(super) struct Keys {
    keys: Vec<Key>,
    /// Whether one was ever set aside: where none was, nobody looks.
    refused: AtomicBool,
}

struct Key {
    /// The header's whole value, marked sensitive: it does not print.
    value: HeaderValue,
    /// Since when it is set aside, and why. Guards only itself.
    aside: Mutex<Option<(Instant, Fault)>>,
}

/// Why no key could be used.
pub(super) enum Refused {
    /// Every key had been set aside before; this is why the last one was.
    Before(Fault),
    /// The last key was refused just now, or something else went wrong.
    Now(Failure),
}

impl Keys {
    /// A pool of header values.
    pub(super) fn new(values: Vec<HeaderValue>) -> Self {
        let key = |value| Key { value, aside: Mutex::new(None) };
        Self { keys: values.into_iter().map(key).collect(), refused: AtomicBool::new(false) }
    }

    /// How many are in service; a provider without keys has one.
    pub(super) fn left(&self, now: Instant) -> usize {
        if self.keys.is_empty() {
            return 1;
        }
        self.keys.iter().filter(|key| key.in_service(now)).count()
    }

    /// Tries with the keys in service, in order, until one is not refused.
    pub(super) fn try_each<T>(
        &self,
        now: Instant,
        mut attempt: impl FnMut(Option<&HeaderValue>) -> Result<T, Failure>,
    ) -> Result<T, Refused> {
        if self.keys.is_empty() {
            return attempt(None).map_err(Refused::Now);
        }
        let mut refused = None;
        let all = || !self.refused.load(Ordering::Relaxed);
        for key in self.keys.iter().filter(|key| all() || key.in_service(now)) {
            match self.attempt(key, now, &mut attempt) {
                Err(failure) if is_refusal(failure.fault) => refused = Some(failure),
                other => return other.map_err(Refused::Now),
            }
        }
        Err(refused.map_or_else(|| Refused::Before(self.last_fault()), Refused::Now))
    }

    /// As [`Keys::try_each`], and when none is in service with the others, too: one that works is back.
    pub(super) fn try_all<T>(
        &self,
        now: Instant,
        mut attempt: impl FnMut(Option<&HeaderValue>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let mut last = match self.try_each(now, &mut attempt) {
            Ok(done) => return Ok(done),
            Err(Refused::Now(failure)) => return Err(failure),
            Err(Refused::Before(fault)) => Failure::new(fault, ""),
        };
        for key in &self.keys {
            match self.attempt(key, now, &mut attempt) {
                Err(failure) if is_refusal(failure.fault) => last = failure,
                other => return other,
            }
        }
        Err(last)
    }

    fn attempt<T>(
        &self,
        key: &Key,
        now: Instant,
        attempt: &mut impl FnMut(Option<&HeaderValue>) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let outcome = attempt(Some(&key.value));
        match &outcome {
            Ok(_) if self.refused.load(Ordering::Relaxed) => *key.aside.lock() = None,
            Err(failure) if is_refusal(failure.fault) => {
                *key.aside.lock() = Some((now, failure.fault));
                self.refused.store(true, Ordering::Relaxed);
            }
            Ok(_) | Err(_) => {}
        }
        outcome
    }

    fn last_fault(&self) -> Fault {
        let last = self.keys.iter().filter_map(|key| *key.aside.lock()).max_by_key(|(since, _)| *since);
        last.map_or(Fault::KeyRefused, |(_, fault)| fault)
    }
}

impl Key {
    fn in_service(&self, now: Instant) -> bool {
        self.aside.lock().is_none_or(|(since, _)| now.saturating_duration_since(since) >= ASIDE_FOR)
    }
}

fn is_refusal(fault: Fault) -> bool {
    matches!(fault, Fault::KeyRefused | Fault::PaymentRequired)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    fn pool() -> (ManualClock, Keys) {
        let keys = ["one", "two", "three"].map(HeaderValue::from_static).to_vec();
        (ManualClock::new(), Keys::new(keys))
    }

    /// Asks with a provider that refuses some keys; says which were tried.
    fn ask(keys: &Keys, now: Instant, refuses: &[&str]) -> (Vec<String>, bool) {
        let mut tried = Vec::new();
        let outcome = keys.try_each(now, |key| {
            let key = key.unwrap().to_str().unwrap().to_owned();
            tried.push(key.clone());
            if refuses.contains(&key.as_str()) { Err(Failure::new(Fault::KeyRefused, "no")) } else { Ok(()) }
        });
        (tried, outcome.is_ok())
    }

    #[test]
    fn a_refused_key_is_set_aside_and_the_next_one_is_tried_at_once() {
        let (clock, keys) = pool();
        assert_eq!(ask(&keys, clock.now(), &["one"]), (vec!["one".into(), "two".into()], true));
        assert_eq!(keys.left(clock.now()), 2);
        assert_eq!(ask(&keys, clock.now(), &[]), (vec!["two".into()], true));
    }

    #[test]
    fn an_empty_pool_asks_nobody_and_remembers_why() {
        let (clock, keys) = pool();
        assert!(!ask(&keys, clock.now(), &["one", "two", "three"]).1);
        assert_eq!(keys.left(clock.now()), 0);
        let outcome = keys.try_each(clock.now(), |_| Ok(()));
        assert!(matches!(outcome, Err(Refused::Before(Fault::KeyRefused))));
    }

    #[test]
    fn a_key_returns_after_a_while_or_when_a_check_accepts_it() {
        let (clock, keys) = pool();
        assert!(!ask(&keys, clock.now(), &["one", "two", "three"]).1);
        assert!(keys.try_all(clock.now(), |_| Ok(())).is_ok());
        assert_eq!(keys.left(clock.now()), 1);
        clock.advance(ASIDE_FOR);
        assert_eq!(keys.left(clock.now()), 3);
    }

    #[test]
    fn other_failures_do_not_touch_the_keys() {
        let (clock, keys) = pool();
        let outcome: Result<(), _> =
            keys.try_each(clock.now(), |_| Err(Failure::new(Fault::ServerError, "down")));
        assert!(matches!(outcome, Err(Refused::Now(failure)) if failure.fault == Fault::ServerError));
        assert_eq!(keys.left(clock.now()), 3);
    }

    #[test]
    fn a_provider_without_keys_is_asked_without_one() {
        let keys = Keys::new(Vec::new());
        let now = ManualClock::new().now();
        assert_eq!(keys.left(now), 1);
        assert!(
            keys.try_each(now, |key| key.map_or(Ok(()), |_| Err(Failure::new(Fault::Internal, "")))).is_ok()
        );
    }
}
