//! What a verdict means for the same provider: is it asked again, at once, after a pause, or not at all.

use super::house::House;
use super::slot::Slot;
use crate::domain::failure::{Failure, Verdict};
use std::time::Duration;

/// Whether the same provider is asked again.
pub(super) enum Again {
    No,
    AtOnce,
    After(Duration),
}

/// What was already tried at one provider.
#[derive(Default)]
pub(super) struct Tally {
    retries: u32,
    busy: u32,
    stale: bool,
    keys_left: Option<usize>,
}

impl Tally {
    /// Whether this failure is worth asking the same provider again.
    pub(super) fn again(
        &mut self,
        slot: &Slot,
        failure: &Failure,
        (house, wait_max): (&House, Duration),
    ) -> Again {
        match failure.verdict() {
            Verdict::Provider if self.retries < slot.retries => {
                self.retries += 1;
                Again::After(house.backoff(self.retries - 1))
            }
            Verdict::Busy => {
                self.busy += 1;
                match failure.retry_after {
                    Some(wait) if wait > wait_max => Again::No,
                    Some(wait) if self.busy <= slot.retries.max(1) => Again::After(wait),
                    None if self.busy == 1 => Again::After(house.backoff(0)),
                    Some(_) | None => Again::No,
                }
            }
            Verdict::OurKey if slot.keys > 1 => {
                let left = slot.provider.keys_left();
                // Each refusal must have cost a key, or this would never end.
                let fewer = self.keys_left.replace(left).is_none_or(|before| left < before);
                if left > 0 && fewer { Again::AtOnce } else { Again::No }
            }
            Verdict::StaleConnection if !self.stale => {
                self.stale = true;
                Again::AtOnce
            }
            Verdict::Provider
            | Verdict::OurKey
            | Verdict::StaleConnection
            | Verdict::Caller
            | Verdict::Capacity
            | Verdict::UnknownModel
            | Verdict::Silence
            | Verdict::CallerLeft
            | Verdict::Untranslatable
            | Verdict::Internal => Again::No,
        }
    }
}

/// How much a failure says: what broke at a provider says more than what one of them cannot do.
pub(super) fn weight(failure: &Failure) -> u8 {
    match failure.verdict() {
        Verdict::Untranslatable => 0,
        Verdict::Capacity | Verdict::UnknownModel => 1,
        Verdict::Caller
        | Verdict::OurKey
        | Verdict::Busy
        | Verdict::Provider
        | Verdict::Silence
        | Verdict::StaleConnection
        | Verdict::CallerLeft
        | Verdict::Internal => 2,
    }
}
