//! What a slot carries over a restart: circuits that are not closed, how long it is busy, and what of its limit is used.

use super::{ModelBreaker, Slot};
use std::time::{Duration, Instant};

/// How long a breaker refuses still, and its present wait.
type Trouble = (Duration, Duration);

impl Slot {
    /// What is worth knowing after a restart: circuits that are not closed, by name, and how long it is busy.
    pub(in crate::gateway) fn trouble(&self, now: Instant) -> (Vec<(String, Trouble)>, Option<Duration>) {
        let state = self.state.lock();
        let own = state.breaker.trouble(now).map(|trouble| (self.name.to_string(), trouble));
        let of_model = |known: &ModelBreaker| Some((known.label.to_string(), known.breaker.trouble(now)?));
        let circuits = own.into_iter().chain(state.models.iter().filter_map(of_model)).collect();
        let busy = state.busy_until.filter(|until| now < *until).map(|until| until - now);
        (circuits, busy)
    }

    /// Opens its circuit, or a model's, as it was before a restart.
    pub(in crate::gateway) fn resume(&self, model: Option<&str>, trouble: Trouble, now: Instant) {
        let mut state = self.state.lock();
        match model {
            None => state.breaker.resume(trouble, now),
            Some(model) => {
                let place = state.place_for(self, model, now);
                state.models[place].breaker.resume(trouble, now);
            }
        }
    }

    /// It asked for patience before a restart.
    pub(in crate::gateway) fn resume_busy(&self, until: Instant) {
        self.state.lock().busy_until = Some(until);
    }

    /// In how much time the requests and tokens of its own limit are whole again.
    pub(in crate::gateway) fn whole_in(&self, now: Instant) -> (Duration, Duration) {
        self.state.lock().rule.as_mut().map_or((Duration::ZERO, Duration::ZERO), |rule| rule.whole_in(now))
    }

    /// So much of its own limit was used before a restart.
    pub(in crate::gateway) fn resume_used(&self, whole_in: (Duration, Duration), now: Instant) {
        if let Some(rule) = &mut self.state.lock().rule {
            rule.restore(whole_in, now);
        }
    }
}
