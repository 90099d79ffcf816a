//! One request's presence at a provider: taken with leave of both breakers, ended with what came of it.

use super::{BUSY_MAX, Moves, Slot, State, words_of};
use crate::domain::balance::{self, Timed};
use crate::domain::breaker::{Outcome, Permit};
use crate::domain::failure::{Blame, Failure, Fault, Verdict};
use crate::gateway::house::House;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What came of an entry.
#[derive(Debug, Clone, Copy)]
pub(in crate::gateway) enum Ended<'f> {
    Well,
    Failed(&'f Failure),
    CallerLeft,
    /// We panicked over it: whatever this model answers, we cannot bear it.
    Panicked,
}

/// How fast it went.
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::gateway) struct Pace {
    /// Of a stream: until its first content.
    pub(in crate::gateway) first_token: Option<Duration>,
    /// All of it.
    pub(in crate::gateway) took: Duration,
    /// When it was over, if somebody has looked at the clock.
    pub(in crate::gateway) at: Option<Instant>,
    /// By what it is compared.
    pub(in crate::gateway) timed: Timed,
}

/// One request's presence at a provider. It must end; one that is dropped in a panic counts as a failure.
#[must_use = "it must be ended with what came of it"]
pub(in crate::gateway) struct Entry<'a> {
    pub(super) slot: &'a Slot,
    pub(super) house: &'a House,
    /// When it was taken.
    pub(in crate::gateway) since: Instant,
    pub(super) model: &'a str,
    /// Tokens reserved of the provider's own limit, and those used; `None`: it was not asked.
    pub(super) tokens: (u64, Option<u64>),
    pub(super) permits: Option<(Permit, Option<(usize, Permit)>)>,
}

impl Entry<'_> {
    /// It works: a trial has succeeded before its answer is complete. From here on it is a request like any other.
    pub(in crate::gateway) fn proven(&mut self) {
        let on_trial = |permits: &(Permit, Option<(usize, Permit)>)| {
            permits.0.on_trial() || permits.1.as_ref().is_some_and(|(_, permit)| permit.on_trial())
        };
        if !self.permits.as_ref().is_some_and(on_trial) {
            return;
        }
        let (now, chance) = (self.house.now(), self.house.chance());
        let mut moves = Moves::new();
        if let Some((provider, of_model)) = self.permits.take() {
            let mut state = self.slot.state.lock();
            let moved = state.breaker.settle(provider, Outcome::Good, now, chance);
            moves.extend(moved.map(|to| (Arc::clone(&self.slot.name), Some(to))));
            let of_model = of_model.map(|(place, permit)| {
                let known = &mut state.models[place];
                let moved = known.breaker.settle(permit, Outcome::Good, now, chance);
                moves.extend(moved.map(|to| (Arc::clone(&known.label), Some(to))));
                (place, known.breaker.admit_anyway())
            });
            self.permits = Some((state.breaker.admit_anyway(), of_model));
        }
        self.slot.report(self.house, moves);
    }

    /// So many tokens were used. Until it is said, and with `None`, the provider was not asked, and nothing counts
    /// towards its limit.
    pub(in crate::gateway) fn used(&mut self, tokens: Option<u64>) {
        self.tokens.1 = tokens;
    }

    /// Ends it: both breakers, the permits and the statistics are told.
    pub(in crate::gateway) fn end(mut self, ended: Ended<'_>, pace: Pace) {
        self.settle(ended, pace);
    }

    fn settle(&mut self, ended: Ended<'_>, pace: Pace) {
        let Some((provider, of_model)) = self.permits.take() else { return };
        let (now, chance) = (pace.at.unwrap_or_else(|| self.house.now()), self.house.chance());
        let blame = match ended {
            Ended::Well | Ended::CallerLeft => Blame::Nobody,
            Ended::Panicked => Blame::Model,
            Ended::Failed(failure) => failure.fault.blame(),
        };
        let (of_provider, on_model) = match (ended, blame) {
            (Ended::Well, _) => (Outcome::Good, Outcome::Good),
            // A trial that we could not bear has failed; otherwise nothing is proven about reaching the provider.
            (Ended::Panicked, _) if provider.on_trial() => (Outcome::Bad, Outcome::Bad),
            (Ended::Panicked, _) => (Outcome::Unproven, Outcome::Bad),
            (_, Blame::Nobody) => (Outcome::Unproven, Outcome::Unproven),
            (_, Blame::Provider) => (Outcome::Bad, Outcome::Unproven),
            // It could be reached: that much is proven for the provider.
            (_, Blame::Model) => (Outcome::Good, Outcome::Bad),
        };
        let mut moves = Moves::new();
        let today = matches!(ended, Ended::Failed(_)).then(|| self.house.today());
        {
            let mut state = self.slot.state.lock();
            let state = &mut *state;
            state.in_flight -= 1;
            if let Some(rule) = &mut state.rule {
                match self.tokens {
                    (reserved, Some(used)) => rule.settle(reserved, used),
                    (reserved, None) => rule.take_back(reserved),
                }
            }
            state.note(ended, pace, (now, today));
            if of_provider == Outcome::Bad {
                moves.push((Arc::clone(&self.slot.name), None));
            }
            let moved = state.breaker.settle(provider, of_provider, now, chance);
            moves.extend(moved.map(|to| (Arc::clone(&self.slot.name), Some(to))));
            let of_model = of_model.or_else(|| {
                // The first failure of this model: from here on it is watched.
                (on_model == Outcome::Bad).then(|| {
                    let place = state.place_for(self.slot, self.model, now);
                    (place, state.models[place].breaker.admit_anyway())
                })
            });
            if let Some((place, permit)) = of_model {
                let known = &mut state.models[place];
                if on_model == Outcome::Bad {
                    moves.push((Arc::clone(&known.label), None));
                }
                let moved = known.breaker.settle(permit, on_model, now, chance);
                moves.extend(moved.map(|to| (Arc::clone(&known.label), Some(to))));
            }
        }
        self.slot.report(self.house, moves);
    }
}

impl Drop for Entry<'_> {
    fn drop(&mut self) {
        if self.permits.is_some() {
            let ended = if std::thread::panicking() { Ended::Panicked } else { Ended::CallerLeft };
            self.settle(ended, Pace::default());
        }
    }
}

impl State {
    fn note(&mut self, ended: Ended<'_>, pace: Pace, (now, today): (Instant, Option<SystemTime>)) {
        match ended {
            Ended::Well => {
                match pace.first_token {
                    Some(after) => self.first_token = Some(after),
                    None => self.latency = Some(pace.took),
                }
                let known = &mut self.paces[pace.timed as usize];
                *known = Some(balance::smoothed(*known, pace.first_token.unwrap_or(pace.took)));
            }
            Ended::CallerLeft => {}
            Ended::Panicked => self.errors += 1,
            Ended::Failed(failure) => {
                if failure.verdict() != Verdict::Caller {
                    self.errors += 1;
                    self.last_failure = today.map(|today| (today, words_of(failure)));
                }
                if failure.fault == Fault::Busy
                    && let Some(wait) = failure.retry_after
                {
                    let until = now + wait.min(BUSY_MAX);
                    self.busy_until = Some(self.busy_until.map_or(until, |known| known.max(until)));
                }
            }
        }
    }
}
