//! The door of the gateway: a question finds its answer kept, joins the flight of its like, leads one, or goes alone.

use super::Gateway;
use super::audience::{Audience, Rest};
use super::cache::{self, Cached, Keeping, Kept, Look, Place, Said};
use super::cancel::{Cancel, Heed};
use super::flight::{Boarded, Lead, News, Seat, Shared};
use super::ports::{Listener, Outcome, Question, Trail};
use super::run::{Run, left};
use crate::domain::chat::Frame;
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Fault};
use crate::gateway::cancel::Reason;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What stands beside a question on its way.
struct Terms<'a> {
    /// Fires when the caller has left.
    leave: &'a Arc<Cancel>,
    start: Instant,
    /// Where the answer will be kept, when answers are.
    place: Option<Place>,
}

impl Gateway {
    /// Puts a question to the candidates, now, until one answers. `leave` fires when the caller has left; `listener`
    /// hears a stream. Returns when the caller need not wait any more, and, for the one who leads a flight, not before
    /// nobody else does. The question is boxed: it is handed on through five levels.
    pub fn ask(
        &self,
        (question, start): (Box<Question>, Instant),
        leave: &Arc<Cancel>,
        listener: &mut dyn Listener,
    ) -> (Outcome, Trail) {
        let place = match self.look(&question, start) {
            Some(Look::Hit(kept, age)) => return self.again(&kept, age, listener),
            Some(Look::Miss(place)) => Some(place),
            None => None,
        };
        let terms = &Terms { leave, start, place };
        if question.gist.stream {
            listener.wait(self.settings.keep_alive);
        }
        if !self.settings.deduplicate || !question.deduplicate {
            return self.alone(&question, terms, listener);
        }
        match self.flights.board(question) {
            Boarded::Alone(question) => self.alone(&question, terms, listener),
            Boarded::Lead(lead) => self.lead(lead, terms, listener),
            Boarded::Follow(seat) => self.follow(seat, terms, listener),
        }
    }

    /// A question sets out. A function of its own, as those behind the wait: what it copies is not on the stack of who
    /// waits.
    #[inline(never)]
    fn begin<'a>(&'a self, question: &'a Question, terms: &Terms<'_>, audience: Audience<'a>) -> Run<'a> {
        Run::new(self, question, audience.keeping(self.keeping(question, terms)), terms.start)
    }

    #[inline(never)]
    fn alone(&self, question: &Question, terms: &Terms<'_>, listener: &mut dyn Listener) -> (Outcome, Trail) {
        let mut run = self.begin(question, terms, Audience::alone(listener, terms.leave));
        let outcome = run.run();
        self.end(terms, run, outcome, None)
    }

    #[inline(never)]
    fn lead(&self, lead: Lead<'_>, terms: &Terms<'_>, listener: &mut dyn Listener) -> (Outcome, Trail) {
        let flight = &lead.flight;
        let _hook = terms.leave.on_fire_here(Arc::clone(flight) as Arc<dyn Heed>);
        let mut run = self.begin(&flight.question, terms, Audience::leading(listener, flight));
        let outcome = run.run();
        self.end(terms, run, outcome, Some(&lead))
    }

    /// A question has its answer, or none: it is kept, and who followed is told.
    #[inline(never)]
    fn end(
        &self,
        terms: &Terms<'_>,
        run: Run<'_>,
        outcome: Outcome,
        lead: Option<&Lead<'_>>,
    ) -> (Outcome, Trail) {
        let Run { trail, audience, .. } = run;
        let mut rest = audience.rest();
        // Before the flight lands: whoever comes then finds it kept.
        self.keep(terms, &outcome, &trail, &mut rest);
        let Some(lead) = lead else { return (outcome, trail) };
        lead.end(|| shared(&outcome), &trail);
        // Now that nobody waits for it.
        if rest.pay() { (outcome, trail) } else { (Outcome::Broken(left(Reason::CallerLeft)), trail) }
    }

    #[inline(never)]
    fn follow(&self, mut seat: Seat, terms: &Terms<'_>, listener: &mut dyn Listener) -> (Outcome, Trail) {
        let (leave, start) = (terms.leave, terms.start);
        self.house.tell(&Event::Deduplicated);
        let _hook = seat.watch(leave);
        let patience = start + self.settings.request_timeout;
        let mut trail = Trail { deduplicated: true, ..Trail::default() };
        let (mut begun, mut frame) = (false, Frame::default());
        let failure = loop {
            let heard = match seat.next(leave, patience) {
                News::Begun(leaders) => {
                    trail = self.as_heard(&leaders, start);
                    begun = true;
                    listener.begin(&trail)
                }
                News::Frames(mut clip) => {
                    let mut heard = Ok(());
                    while heard.is_ok() && clip.next(&mut frame) {
                        heard = listener.frame(&frame);
                    }
                    heard.and_then(|()| listener.flush())
                }
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

    /// Looks for a kept answer; `None` when answers are not kept.
    fn look(&self, question: &Question, now: Instant) -> Option<Look> {
        let cache = self.cache.as_ref().filter(|_| cache::worth_keeping(question.gist.subject))?;
        let look = cache.look(question, now);
        self.house.tell(&Event::Looked { hit: matches!(look, Look::Hit(..)) });
        Some(look)
    }

    /// Gives a kept answer.
    #[inline(never)]
    fn again(&self, kept: &Kept, age: Duration, listener: &mut dyn Listener) -> (Outcome, Trail) {
        let trail = Trail { cached: Some(Cached::Hit(age)), ..kept.trail.clone() };
        let told = match &kept.said {
            Said::Whole(answer) => return (Outcome::Whole(Arc::clone(answer)), trail),
            Said::Streamed(told) => told,
        };
        let heard = listener.begin(&trail).and_then(|()| told.play(|frame| listener.frame(frame)));
        (heard.map_or_else(|_| Outcome::Broken(left(Reason::CallerLeft)), |()| Outcome::Streamed), trail)
    }

    fn keeping(&self, question: &Question, terms: &Terms<'_>) -> Option<Keeping> {
        self.cache.as_ref().filter(|_| question.gist.stream)?.keeping(terms.place.as_ref())
    }

    /// Keeps an answer that came to its proper end.
    fn keep(&self, terms: &Terms<'_>, outcome: &Outcome, trail: &Trail, rest: &mut Rest<'_>) {
        let (Some(cache), Some(place)) = (&self.cache, &terms.place) else { return };
        let now = self.house.now();
        let gone = match (outcome, rest.kept()) {
            (Outcome::Whole(answer), _) => cache.keep(place, answer, trail, now),
            (Outcome::Streamed, Some(told)) => cache.keep_stream(place, told, trail, now),
            (Outcome::Streamed | Outcome::Broken(_) | Outcome::Failed(_), _) => 0,
        };
        if gone > 0 {
            self.house.tell(&Event::Evicted { answers: gone });
        }
    }

    /// The leader's trail as a follower's: shared, and not accounted twice.
    fn as_heard(&self, leaders: &Trail, start: Instant) -> Trail {
        let upstream = self.house.now().saturating_duration_since(start);
        Trail { deduplicated: true, usage: None, nano_usd: None, upstream, ..leaders.clone() }
    }
}

/// What followers get of an outcome.
fn shared(outcome: &Outcome) -> Shared {
    match outcome {
        Outcome::Whole(answer) => Shared::Whole(Arc::clone(answer)),
        Outcome::Streamed => Shared::Streamed,
        Outcome::Broken(failure) => Shared::Broken(failure.clone()),
        Outcome::Failed(failure) => Shared::Failed(failure.clone()),
    }
}
