//! When everybody was passed over: one who is only busy is waited for, one who is broken is tried anyway.

use super::ports::Outcome;
use super::run::{Run, left};
use super::slot::Skip;
use crate::domain::failure::{Failure, Fault};
use crate::domain::route::Candidate;
use std::time::Duration;

/// Rounds of waiting for a provider that is busy; their sum is bounded by the patience for a `Retry-After`.
const BUSY_ROUNDS_MAX: u32 = 64;
/// What a caller is told to wait when only our own caps stood in the way.
const SATURATED_RETRY: Duration = Duration::from_secs(1);

impl<'a> Run<'a> {
    /// The outcome, if somebody could be asked after all and that decided it.
    pub(super) fn last_resort(&mut self, skipped: &[(Candidate<'a>, Skip)]) -> Option<Outcome> {
        if skipped
            .iter()
            .any(|(_, skip)| matches!(skip, Skip::Busy { .. } | Skip::Limited { .. } | Skip::Saturated))
        {
            let outcome = self.wait_for_the_busy(skipped);
            if outcome.is_some() || self.asked > 0 {
                return outcome;
            }
        }
        self.try_the_broken(skipped)
    }

    /// Tries the one closest to recovery although its breaker or its checks object.
    fn try_the_broken(&mut self, skipped: &[(Candidate<'a>, Skip)]) -> Option<Outcome> {
        let house = &self.gateway.house;
        let recovery = |skip: &Skip| match skip {
            Skip::Open { until } => Some(*until),
            Skip::Unhealthy => Some(house.now() + self.gateway.settings.health.interval),
            Skip::Busy { .. } | Skip::Limited { .. } | Skip::Saturated => None,
        };
        let (_, candidate) = skipped
            .iter()
            .filter_map(|(candidate, skip)| Some((recovery(skip)?, candidate)))
            .min_by_key(|(at, _)| *at)?;
        let slot = &self.gateway.slots[candidate.offer];
        match slot.admit_anyway((candidate.model, self.question.tokens), (house, house.now())) {
            Ok(entry) => self.visit_one(slot, candidate.model, entry),
            Err(_) => {
                self.all_busy(None);
                None
            }
        }
    }

    /// Waits for the first of them to be free again, as long as a `Retry-After` would be waited out.
    fn wait_for_the_busy(&mut self, skipped: &[(Candidate<'a>, Skip)]) -> Option<Outcome> {
        let house = &self.gateway.house;
        let patience = (house.now() + self.gateway.settings.retry_wait_max).min(self.deadline);
        for round in 0..BUSY_ROUNDS_MAX {
            let now = house.now();
            let waits = skipped.iter().filter_map(|(candidate, _)| {
                let slot = &self.gateway.slots[candidate.offer];
                let wait = match slot.objection((candidate.model, self.question.tokens), now) {
                    None => Duration::ZERO,
                    Some(Skip::Busy { until } | Skip::Limited { until }) => {
                        until.saturating_duration_since(now)
                    }
                    Some(Skip::Saturated) => house.backoff(round) / 4,
                    Some(Skip::Open { .. } | Skip::Unhealthy) => return None,
                };
                Some((wait, slot, candidate))
            });
            let Some((wait, slot, candidate)) = waits.min_by_key(|(wait, ..)| *wait) else { break };
            if now + wait > patience {
                self.all_busy(Some(wait));
                return None;
            }
            if let Some(reason) = self.audience.cancel.wait(wait) {
                return Some(self.fail(left(reason)));
            }
            slot.waited(now + wait);
            if let Ok(entry) = slot.admit((candidate.model, self.question.tokens), (house, house.now())) {
                return self.visit_one(slot, candidate.model, entry);
            }
        }
        self.all_busy(None);
        None
    }

    fn all_busy(&mut self, soonest: Option<Duration>) {
        let retry_after = Some(soonest.unwrap_or_default().max(SATURATED_RETRY));
        self.remember(Failure { retry_after, ..Failure::new(Fault::Saturated, "every provider is busy") });
    }
}

/// When there was nobody to pass over.
pub(super) fn nobody(none_at_all: bool) -> Failure {
    if none_at_all {
        Failure::new(Fault::Refused, "no provider is configured")
    } else {
        let words = "no provider of that name serves this model";
        Failure { code: Some("unknown_provider".to_owned()), ..Failure::new(Fault::BadRequest, words) }
    }
}
