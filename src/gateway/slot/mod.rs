//! A provider in service: its breakers, its health, its permits, and what is known of it.
//!
//! Refused, reset, name, TLS and silence count against the provider; error statuses and bad bodies against one
//! model at it. A request needs leave from both breakers, and hands both permits back with its [`Entry`].

mod bell;
mod entry;
mod lock;
mod restart;
#[cfg(test)]
mod tests;

use bell::Bell;
pub(super) use entry::{Ended, Entry, Pace};

use super::SlotSettings;
use super::house::House;
use super::ports::Provider;
use super::status::{ModelStatus, SlotStatus};
use crate::domain::balance::{Load, Timed};
use crate::domain::breaker::{Breaker, Permit, Refused, Settings};
use crate::domain::event::{Circuit, Event};
use crate::domain::failure::Failure;
use crate::domain::health::Health;
use crate::domain::limit::Limits;
use crate::domain::rule::Rule;
use lock::Lock;
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Breakers for single models of one provider; past it failures count for one breaker called `other`.
pub const MODEL_BREAKERS_MAX: usize = 256;
/// A provider that asks for more patience than this is asked again all the same.
pub const BUSY_MAX: Duration = Duration::from_secs(3_600);

/// Why a provider is passed over at the moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Skip {
    Unhealthy,
    Open {
        until: Instant,
    },
    Busy {
        until: Instant,
    },
    /// Its own limit per minute is reached.
    Limited {
        until: Instant,
    },
    Saturated,
}

pub(super) struct Slot {
    pub(super) name: Arc<str>,
    pub(super) provider: Arc<dyn Provider>,
    pub(super) retries: u32,
    /// Keys at the start: a pool of one has no next key to try.
    pub(super) keys: usize,
    /// Its share among equals.
    pub(super) weight: u32,
    pub(super) max_concurrency: usize,
    /// As told at the beginning; a reload changes the rule, not this.
    pub(super) limits: Limits,
    breaker: Settings,
    /// Guards everything that changes. Held for a few comparisons, never across a call or an observation.
    state: Lock<State>,
    /// Guards what the checking thread waits for.
    bell: Mutex<Bell>,
    rung: Condvar,
}

struct State {
    breaker: Breaker,
    /// Made by a model's first failure, never removed; the one past the bound is everybody else's.
    models: Vec<ModelBreaker>,
    health: Health,
    last_check: Option<SystemTime>,
    busy_until: Option<Instant>,
    in_flight: usize,
    /// What it was asked for in the last minute, where that is limited.
    rule: Option<Box<Rule>>,
    requests: u64,
    errors: u64,
    /// The last good whole answer's.
    latency: Option<Duration>,
    /// The last good stream's, until its first content.
    first_token: Option<Duration>,
    /// Of each kind of question: how long good answers took, smoothed over the last few.
    paces: [Option<Duration>; Timed::KINDS],
    /// The last failure, when and in words.
    last_failure: Option<(SystemTime, String)>,
}

struct ModelBreaker {
    model: String,
    /// `openai/gpt-4o`.
    label: Arc<str>,
    breaker: Breaker,
}

/// Something a breaker did: `None`, it counted a failure.
type Moves = Vec<(Arc<str>, Option<Circuit>)>;

impl Slot {
    pub(super) fn new(
        told: &SlotSettings,
        provider: Arc<dyn Provider>,
        (breaker, health_threshold): (Settings, u32),
        now: Instant,
    ) -> Self {
        let state = State {
            breaker: Breaker::new(breaker, now),
            models: Vec::new(),
            health: Health::new(health_threshold),
            last_check: None,
            busy_until: None,
            in_flight: 0,
            rule: told.limits.any().then(|| Box::new(Rule::new(&told.limits))),
            requests: 0,
            errors: 0,
            latency: None,
            first_token: None,
            paces: [None; Timed::KINDS],
            last_failure: None,
        };
        Self {
            name: told.name.as_str().into(),
            keys: provider.keys_left(),
            provider,
            retries: told.retries,
            weight: told.weight,
            max_concurrency: told.max_concurrency.max(1),
            limits: told.limits,
            breaker,
            state: Lock::new(state),
            bell: Mutex::default(),
            rung: Condvar::new(),
        }
    }

    /// What strategies go by, for a question of this kind.
    pub(super) fn load(&self, timed: Timed) -> Load {
        let state = self.state.lock();
        Load { weight: self.weight, in_flight: state.in_flight, latency: state.paces[timed as usize] }
    }

    /// Other limits from now on; what was used stays used.
    pub(super) fn resize(&self, limits: &Limits, now: Instant) {
        let mut state = self.state.lock();
        match &mut state.rule {
            Some(rule) if limits.any() => rule.resize(limits, now),
            rule => *rule = limits.any().then(|| Box::new(Rule::new(limits))),
        }
    }

    /// Asks for leave to ask this provider for this model, and for so many tokens.
    pub(super) fn admit<'a>(
        &'a self,
        (model, tokens): (&'a str, u64),
        (house, now): (&'a House, Instant),
    ) -> Result<Entry<'a>, Skip> {
        let mut moves = Moves::new();
        let entry = {
            let mut state = self.state.lock();
            if let Some(skip) = self.hindrance(&mut state, (model, tokens), now) {
                return Err(skip);
            }
            let open = |refused: Refused| Skip::Open { until: refused.until };
            let provider = state.breaker.admit(now).map_err(open)?;
            if provider.began_trial() {
                moves.push((Arc::clone(&self.name), Some(Circuit::HalfOpen)));
            }
            let mut of_model = None;
            if let Some(place) = state.place_of(model) {
                let known = &mut state.models[place];
                let permit = known.breaker.admit(now).map_err(open)?;
                if permit.began_trial() {
                    moves.push((Arc::clone(&known.label), Some(Circuit::HalfOpen)));
                }
                of_model = Some((place, permit));
            }
            self.enter(&mut state, (house, now), (model, tokens), (provider, of_model))
        };
        self.report(house, moves);
        Ok(entry)
    }

    /// Leave although breakers or checks object, for when there is nobody else. Busy and saturated still refuse.
    pub(super) fn admit_anyway<'a>(
        &'a self,
        (model, tokens): (&'a str, u64),
        (house, now): (&'a House, Instant),
    ) -> Result<Entry<'a>, Skip> {
        let mut state = self.state.lock();
        match self.hindrance(&mut state, (model, tokens), now) {
            Some(skip @ (Skip::Busy { .. } | Skip::Limited { .. } | Skip::Saturated)) => return Err(skip),
            _ if state.in_flight >= self.max_concurrency => return Err(Skip::Saturated),
            _ => {}
        }
        if let Some(skip) = state.limited(tokens, now) {
            return Err(skip);
        }
        let provider = state.breaker.admit_anyway();
        let of_model = state.place_of(model).map(|place| (place, state.models[place].breaker.admit_anyway()));
        Ok(self.enter(&mut state, (house, now), (model, tokens), (provider, of_model)))
    }

    /// Why this provider would be passed over now, if it would. Changes nothing.
    pub(super) fn objection(&self, asked: (&str, u64), now: Instant) -> Option<Skip> {
        self.hindrance(&mut self.state.lock(), asked, now)
    }

    fn hindrance(&self, state: &mut State, (model, tokens): (&str, u64), now: Instant) -> Option<Skip> {
        let of_model = state.place_of(model).and_then(|place| state.models[place].breaker.refuses(now));
        let refused = match (state.breaker.refuses(now), of_model) {
            (Some(one), Some(other)) => Some(one.until.max(other.until)),
            (one, other) => one.or(other).map(|refused| refused.until),
        };
        if let Some(until) = refused {
            return Some(Skip::Open { until });
        }
        if !state.health.healthy() {
            return Some(Skip::Unhealthy);
        }
        if let Some(until) = state.busy_until.filter(|until| now < *until) {
            return Some(Skip::Busy { until });
        }
        if state.in_flight >= self.max_concurrency {
            return Some(Skip::Saturated);
        }
        state.limited(tokens, now)
    }

    fn enter<'a>(
        &'a self,
        state: &mut State,
        (house, since): (&'a House, Instant),
        (model, tokens): (&'a str, u64),
        (provider, of_model): (Permit, Option<(usize, Permit)>),
    ) -> Entry<'a> {
        if let Some(rule) = &mut state.rule {
            rule.take(tokens);
        }
        state.in_flight += 1;
        state.requests += 1;
        Entry { slot: self, house, since, model, tokens: (tokens, None), permits: Some((provider, of_model)) }
    }

    /// Tells of what the breakers did, and wakes the checker when one of them opened. Called without the lock.
    fn report(&self, house: &House, moves: Moves) {
        for (name, moved) in moves {
            match moved {
                None => house.tell(&Event::BreakerFailed { name: &name }),
                Some(to) => {
                    house.tell(&Event::BreakerMoved { name: &name, to });
                    if to == Circuit::Open {
                        self.ring();
                    }
                }
            }
        }
    }

    /// Records a check; `None`: it went well. Returns whether the provider counts as healthy now.
    pub(super) fn checked(&self, failed: Option<&Failure>, house: &House) -> bool {
        let (now, today) = (house.now(), house.today());
        let mut state = self.state.lock();
        state.last_check = Some(today);
        match failed {
            None => {
                state.health.good();
                state.breaker.relent(now);
            }
            Some(failure) => {
                state.health.bad();
                state.last_failure = Some((today, words_of(failure)));
            }
        }
        state.health.healthy()
    }

    /// Whether a check is more urgent than usual.
    pub(super) fn troubled(&self, now: Instant) -> bool {
        let state = self.state.lock();
        let open = state.breaker.state(now) != Circuit::Closed;
        open || state.health.consecutive_fails() > 0
    }

    /// Somebody waited until then, as the provider asked: it is busy no longer, unless it said so again.
    pub(super) fn waited(&self, until: Instant) {
        let mut state = self.state.lock();
        if state.busy_until.is_some_and(|busy| busy <= until) {
            state.busy_until = None;
        }
    }

    /// Where everything stands.
    pub(super) fn status(&self, now: Instant) -> SlotStatus {
        let keys_left = self.provider.keys_left();
        let state = self.state.lock();
        SlotStatus {
            name: self.name.to_string(),
            healthy: state.health.healthy(),
            circuit: state.breaker.state(now),
            last_check: state.last_check,
            consecutive_fails: state.health.consecutive_fails(),
            latency: state.latency,
            first_token: state.first_token,
            error_count: state.errors,
            request_count: state.requests,
            in_flight: state.in_flight,
            keys_left,
            busy_for: state.busy_until.map(|until| until.saturating_duration_since(now)),
            last_failure: state.last_failure.clone(),
            models: state
                .models
                .iter()
                .map(|known| ModelStatus {
                    name: known.label.to_string(),
                    model: known.model.clone(),
                    circuit: known.breaker.state(now),
                })
                .collect(),
        }
    }
}

impl State {
    /// Whether its own limit refuses a request of so many tokens, and until when.
    fn limited(&mut self, tokens: u64, now: Instant) -> Option<Skip> {
        let (_, wait) = self.rule.as_mut()?.refuses(tokens, now)?;
        Some(Skip::Limited { until: now + wait })
    }

    /// Where this model's breaker is, if it has ever failed; everybody else's once the list is full.
    fn place_of(&self, model: &str) -> Option<usize> {
        self.models
            .iter()
            .take(MODEL_BREAKERS_MAX)
            .position(|known| known.model == model)
            .or_else(|| (self.models.len() > MODEL_BREAKERS_MAX).then_some(MODEL_BREAKERS_MAX))
    }

    /// The same, made if need be.
    fn place_for(&mut self, slot: &Slot, model: &str, now: Instant) -> usize {
        if let Some(place) = self.place_of(model) {
            return place;
        }
        let model = if self.models.len() < MODEL_BREAKERS_MAX { model } else { "other" };
        let label = format!("{}/{model}", slot.name).into();
        let breaker = Breaker::new(slot.breaker, now);
        self.models.push(ModelBreaker { model: model.to_owned(), label, breaker });
        self.models.len() - 1
    }
}

/// What anyone may read of a failure. The provider's own words are the caller's alone: they may repeat his.
fn words_of(failure: &Failure) -> String {
    match failure.status {
        Some(status) => format!("{status}: {}", failure.fault),
        None => failure.fault.to_string(),
    }
}
