//! What a restart needs to know of the slots: circuits that are not closed, who asked for patience, and whose limit is
//! used up how far.

use super::Gateway;
use super::slot::{BUSY_MAX, Slot};
use crate::domain::breaker::OPEN_MAX;
use crate::domain::keepsake::Keepsake;
use std::time::{Duration, Instant, SystemTime};

/// `openai` or `openai/gpt-4o`; until when it refuses; its wait in milliseconds.
const CIRCUIT: &str = "circuit";
/// `openai`; until when it asked not to be asked.
const BUSY: &str = "busy";
/// `openai`; when the requests of its own limit are whole again, and when its tokens are.
const REQUESTS: &str = "provider_requests";
const TOKENS: &str = "provider_tokens";

impl Gateway {
    /// Everything about the slots that a restart should not forget.
    #[must_use]
    pub fn keepsakes(&self) -> Vec<Keepsake> {
        let (now, today) = (self.house.now(), self.house.today());
        self.slots.iter().flat_map(|slot| of(slot, now, today)).collect()
    }

    /// Puts the slots where they stood before a restart. What is about providers that are not here is passed over.
    pub fn recall(&self, kept: &[Keepsake]) {
        let (now, today) = (self.house.now(), self.house.today());
        for keepsake in kept {
            let provider = keepsake.name.split_once('/').map_or(&*keepsake.name, |(provider, _)| provider);
            let Some(slot) = self.slots.iter().find(|slot| &*slot.name == provider) else { continue };
            match keepsake.kind.as_str() {
                CIRCUIT => {
                    let refusing = keepsake.ahead(today, OPEN_MAX.max(self.settings.breaker.timeout));
                    let wait = Duration::from_millis(keepsake.value);
                    slot.resume(keepsake.name.split_once('/').map(|(_, model)| model), (refusing, wait), now);
                }
                REQUESTS => slot.resume_used((keepsake.ahead(today, Duration::MAX), Duration::ZERO), now),
                TOKENS => slot.resume_used((Duration::ZERO, keepsake.ahead(today, Duration::MAX)), now),
                BUSY => slot.resume_busy(now + keepsake.ahead(today, BUSY_MAX)),
                _ => {}
            }
        }
    }
}

fn of(slot: &Slot, now: Instant, today: SystemTime) -> Vec<Keepsake> {
    let (circuits, busy) = slot.trouble(now);
    let milliseconds = |wait: Duration| u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
    let circuits = circuits.into_iter().map(|(name, (refusing, wait))| {
        Keepsake::new(CIRCUIT, &name, moment(today, refusing), milliseconds(wait))
    });
    let (requests, tokens) = slot.whole_in(now);
    let used = |kind, whole_in: Duration| {
        (!whole_in.is_zero()).then(|| Keepsake::new(kind, &slot.name, today + whole_in, 0))
    };
    circuits
        .chain(busy.map(|left| Keepsake::new(BUSY, &slot.name, moment(today, left), 0)))
        .chain(used(REQUESTS, requests))
        .chain(used(TOKENS, tokens))
        .collect()
}

/// A moment of the calendar to the nearest second, so that it is the same when it is asked for again: two clocks are read
/// for it, and they do not tick together.
fn moment(today: SystemTime, ahead: Duration) -> SystemTime {
    let since = (today + ahead).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_secs((since + Duration::from_millis(500)).as_secs())
}
