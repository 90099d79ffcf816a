//! The door of the gateway: a question joins the flight of its like, leads one, or goes alone.

use super::Gateway;
use super::audience::Audience;
use super::cancel::Cancel;
use super::flight::{Boarded, Lead, News, Seat, Shared};
use super::ports::{Listener, Outcome, Question, Trail};
use super::run::{Run, left};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Fault};
use crate::gateway::cancel::Reason;
use std::sync::Arc;
use std::time::Instant;

impl Gateway {
    /// Puts a question to the candidates until one answers. `leave` fires when the caller has left; `listener`
    /// hears a stream. Returns when the caller need not wait any more, and, for the one who leads a flight,
    /// not before nobody else does.
    pub fn ask(&self, question: Question, leave: &Cancel, listener: &mut dyn Listener) -> (Outcome, Trail) {
        let start = self.house.now();
        if question.gist.stream {
            listener.wait(self.settings.keep_alive);
        }
        if !self.settings.deduplicate || !question.deduplicate {
            return self.alone(&question, leave, listener, start);
        }
        let question = Arc::new(question);
        match self.flights.board(&question) {
            Boarded::Alone => self.alone(&question, leave, listener, start),
            Boarded::Lead(lead) => self.lead(lead, (&question, leave), listener, start),
            Boarded::Follow(seat) => self.follow(seat, leave, listener, start),
        }
    }

    fn alone(
        &self,
        question: &Question,
        leave: &Cancel,
        listener: &mut dyn Listener,
        start: Instant,
    ) -> (Outcome, Trail) {
        let (outcome, trail, _) = Run::new(self, question, Audience::alone(listener, leave), start).run();
        (outcome, trail)
    }

    fn lead(
        &self,
        lead: Lead<'_>,
        (question, leave): (&Question, &Cancel),
        listener: &mut dyn Listener,
        start: Instant,
    ) -> (Outcome, Trail) {
        let flight = Arc::clone(&lead.flight);
        let (watched, signal) = (Arc::clone(&flight), leave.clone());
        let _hook = leave.on_fire(move || {
            if let Some(reason) = signal.fired() {
                watched.leader_left(reason);
            }
        });
        let audience = Audience::leading(&mut *listener, &flight);
        let (outcome, trail, rest) = Run::new(self, question, audience, start).run();
        let shared = match &outcome {
            Outcome::Whole(answer) => Shared::Whole(Arc::clone(answer)),
            Outcome::Streamed => Shared::Streamed,
            Outcome::Broken(failure) => Shared::Broken(failure.clone()),
            Outcome::Failed(failure) => Shared::Failed(failure.clone()),
        };
        lead.end(shared, &trail);
        // Now that nobody waits for it.
        if rest.pay(listener) { (outcome, trail) } else { (Outcome::Broken(left(Reason::CallerLeft)), trail) }
    }

    fn follow(
        &self,
        mut seat: Seat,
        leave: &Cancel,
        listener: &mut dyn Listener,
        start: Instant,
    ) -> (Outcome, Trail) {
        self.house.tell(&Event::Deduplicated);
        let _hook = seat.watch(leave);
        let patience = start + self.settings.request_timeout;
        let mut trail = Trail { deduplicated: true, ..Trail::default() };
        let mut begun = false;
        let failure = loop {
            let heard = match seat.next(leave, patience) {
                News::Begun(leaders) => {
                    trail = self.as_heard(&leaders, start);
                    begun = true;
                    listener.begin(&trail)
                }
                News::Frames(frames) => frames.iter().try_for_each(|frame| listener.frame(frame)),
                News::Ended(end) => {
                    let upstream = trail.upstream;
                    trail = self.as_heard(&end.trail, start);
                    if begun {
                        trail.upstream = upstream;
                    }
                    match end.shared.clone() {
                        Shared::Whole(answer) => return (Outcome::Whole(answer), trail),
                        Shared::Streamed => return (Outcome::Streamed, trail),
                        Shared::Broken(failure) | Shared::Failed(failure) => break failure,
                        Shared::Lost => break Failure::new(Fault::Internal, "the shared call was lost"),
                    }
                }
                News::Behind => break Failure::new(Fault::Internal, "fell too far behind a shared stream"),
                News::CallerLeft(reason) => break left(reason),
                News::Late => break Failure::new(Fault::TotalTimeout, "no answer in time"),
            };
            if heard.is_err() {
                break left(Reason::CallerLeft);
            }
        };
        (if begun { Outcome::Broken(failure) } else { Outcome::Failed(failure) }, trail)
    }

    /// The leader's trail as a follower's: shared, and not accounted twice.
    fn as_heard(&self, leaders: &Trail, start: Instant) -> Trail {
        let upstream = self.house.now().saturating_duration_since(start);
        Trail { deduplicated: true, usage: None, upstream, ..leaders.clone() }
    }
}
