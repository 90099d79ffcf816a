//! A follower's place on a flight: hears what was already sent, then the rest live.

use super::{End, Flight};
use crate::domain::reel::{Clip, Next, Place};
use crate::gateway::cancel::{Cancel, Hook, Reason};
use crate::gateway::ports::Trail;
use std::sync::Arc;
use std::time::Instant;

/// A follower's seat; dropping it leaves the flight.
pub(in crate::gateway) struct Seat {
    pub(super) flight: Arc<Flight>,
    pub(super) at: Place,
    pub(super) begun: bool,
}

/// What a follower hears next.
pub(in crate::gateway) enum News {
    /// The stream is committed.
    Begun(Arc<Trail>),
    /// More frames, never none.
    Frames(Clip),
    /// It is over, and every frame was heard.
    Ended(Arc<End>),
    /// The follower has fallen too far behind.
    Behind,
    /// The follower's own caller has left.
    CallerLeft(Reason),
    /// The follower's own patience is over.
    Late,
}

impl Seat {
    /// Makes the caller's departure wake the follower.
    pub(in crate::gateway) fn watch<'a>(&self, leave: &'a Cancel) -> Hook<&'a Cancel> {
        let flight = Arc::clone(&self.flight);
        leave.on_fire_here(Arc::new(move |_| flight.wake()))
    }

    /// Waits for what comes next. After `patience` it waits no longer for
    /// the stream's beginning, or for the whole answer.
    pub(in crate::gateway) fn next(&mut self, leave: &Cancel, patience: Instant) -> News {
        let mut state = self.flight.state.lock();
        loop {
            if let Some(reason) = leave.fired() {
                return News::CallerLeft(reason);
            }
            if !self.begun
                && let Some(trail) = &state.begun
            {
                self.begun = true;
                return News::Begun(Arc::clone(trail));
            }
            match state.told.take(&mut self.at) {
                Next::Clip(clip) => return News::Frames(clip),
                Next::Gone => return News::Behind,
                Next::Nothing => {}
            }
            if let Some(end) = &state.end {
                return News::Ended(Arc::clone(end));
            }
            if self.begun {
                self.flight.news.wait(&mut state);
            } else if self.flight.news.wait_until(&mut state, patience).timed_out()
                && state.begun.is_none()
                && state.end.is_none()
            {
                return News::Late;
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let abandoned = {
            let mut state = self.flight.state.lock();
            state.followers -= 1;
            let abandoned = state.followers == 0 && !state.leader;
            state.sealed |= abandoned;
            abandoned
        };
        if abandoned {
            self.flight.cancel.fire(Reason::CallerLeft);
        }
    }
}
