//! One attempt at one provider: asked, and its end told to breakers, trail, observers and purse.

use super::account::Tokens;
use super::pay::Bill;
use super::ports::{Attempt, Call, Outcome, Reply, Tried};
use super::run::{Failed, Run, left};
use super::slot::{Ended, Entry, Pace, Slot};
use super::told::Told;
use crate::domain::balance::Timed;
use crate::domain::chat::Usage;
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Fault, Verdict};
use std::borrow::Cow;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// One attempt under way.
pub(super) struct Stint<'a> {
    pub(super) slot: &'a Slot,
    pub(super) model: &'a str,
    /// The same, for the trail.
    pub(super) name: Arc<str>,
    pub(super) began: Instant,
    /// Whether the caller has heard from this attempt; it then has its line in the trail.
    pub(super) heard: bool,
    /// How long a stream's first content took.
    pub(super) first_token: Option<Duration>,
    pub(super) tokens: Tokens,
    pub(super) bill: Bill,
    /// Whether the provider was asked at all.
    pub(super) asked: bool,
    /// Bytes of a broken stream's text that the question carried besides.
    pub(super) carried: usize,
}

impl<'a> Run<'a> {
    /// One attempt. Before and behind the provider's own time are functions of their own: a thread keeps the stack of
    /// its deepest call while it waits.
    pub(super) fn attempt(
        &mut self,
        slot: &'a Slot,
        model: &'a str,
        mut entry: Entry<'a>,
    ) -> Result<Outcome, Failed> {
        let bill = self.open_bill(slot, model).map_err(Failed::Unpaid)?;
        let mut stint = self.stint(slot, model, (entry.since, bill));
        let cancel = self.audience.cancel;
        let reply = match cancel.fired() {
            Some(reason) => Err(left(reason)),
            None => {
                stint.asked = true;
                let call = Call { began: stint.began, deadline: self.deadline, cancel: Arc::clone(cancel) };
                let so_far = self.told.as_ref().and_then(Told::so_far);
                slot.provider.ask(Attempt { question: self.question, model, so_far }, &call)
            }
        };
        let result = self.hear(reply, &mut stint, &mut entry);
        self.close(&mut stint, entry, result)
    }

    #[inline(never)]
    fn stint(&self, slot: &'a Slot, model: &'a str, (began, bill): (Instant, Bill)) -> Stint<'a> {
        let so_far = self.told.as_ref().and_then(Told::so_far);
        Stint {
            slot,
            model,
            name: model.into(),
            began,
            heard: false,
            first_token: None,
            tokens: Tokens::default(),
            bill,
            asked: false,
            carried: so_far.map_or(0, str::len),
        }
    }

    /// Takes an answer as it is, or a stream frame by frame.
    #[inline(never)]
    fn hear(
        &mut self,
        reply: Result<Reply, Failure>,
        stint: &mut Stint<'a>,
        entry: &mut Entry<'a>,
    ) -> Result<Outcome, Failure> {
        match reply? {
            Reply::Whole { .. } if self.told.is_some() => {
                Err(Failure::new(Fault::Garbage, "a stream was to be continued, and the answer is none"))
            }
            Reply::Whole { answer, dropped } => {
                stint.tokens.note_whole(&answer);
                self.trail.dropped = dropped;
                Ok(Outcome::Whole(Arc::new(answer)))
            }
            Reply::Stream { mut frames, dropped } => {
                self.relay(stint, entry, frames.as_mut(), dropped).map(|()| Outcome::Streamed)
            }
        }
    }

    /// What broke because we broke it is nobody's fault.
    #[cold]
    fn excuse(&self, failure: Failure) -> Failure {
        self.audience.cancel.fired().map_or(failure, left)
    }

    /// Tells everyone how an attempt ended: breakers, trail, observers.
    #[inline(never)]
    fn close(
        &mut self,
        stint: &mut Stint<'a>,
        mut entry: Entry<'a>,
        result: Result<Outcome, Failure>,
    ) -> Result<Outcome, Failed> {
        let result = result.map_err(|failure| self.excuse(failure));
        let house = &self.gateway.house;
        let now = house.now();
        let took = now.saturating_duration_since(stint.began);
        if let Ok(Outcome::Whole(_)) = &result {
            self.trail.upstream = now.saturating_duration_since(self.start);
        }
        let failure = result.as_ref().err();
        let used = self.used(
            stint,
            result.as_ref().map(|outcome| match outcome {
                Outcome::Whole(answer) => Some(&**answer),
                Outcome::Streamed | Outcome::Broken(_) | Outcome::Failed(_) => None,
            }),
        );
        entry.used(stint.asked.then(|| used.map_or(0, Usage::total)));
        let ended = match failure {
            None => Ended::Well,
            Some(failure) if failure.verdict() == Verdict::CallerLeft => Ended::CallerLeft,
            Some(failure) => Ended::Failed(failure),
        };
        let (first_token, timed) = (stint.first_token, Timed::of(&self.question.gist));
        entry.end(ended, Pace { first_token, took, at: Some(now), timed });
        let outcome = failure.map_or(Cow::Borrowed("200"), Failure::outcome);
        if stint.heard {
            if let Some(line) = self.trail.attempts.last_mut() {
                (line.outcome, line.took) = (outcome, took);
            }
        } else {
            self.record(stint, outcome, took);
        }
        if failure.is_none() && used.is_some_and(|usage| usage.estimated) {
            house.tell(&Event::Uncounted { provider: &stint.slot.name });
        }
        house.tell(&Event::Attempted {
            provider: &stint.slot.name,
            fault: failure.map(|failure| failure.fault),
            took,
            stream: self.question.gist.stream,
        });
        if failure.is_some_and(|failure| failure.verdict() == Verdict::OurKey) {
            house.tell(&Event::KeySetAside { provider: &stint.slot.name });
        }
        self.account(stint, used);
        if let Some(tab) = stint.bill.tab.take() {
            tab.settle(used, house.today());
        }
        // What a caller did wrong he is told in the provider's words.
        let is_read = |failure: &Failure| failure.verdict() == Verdict::Caller && failure.status.is_some();
        if !stint.heard && result.as_ref().err().is_none_or(is_read) {
            self.trail.served = Some((Arc::clone(&stint.slot.name), Arc::clone(&stint.name)));
        }
        match result {
            Ok(outcome) => Ok(outcome),
            Err(failure) if stint.heard => {
                self.from = Some((stint.slot, failure.fault));
                if let Some(told) = &mut self.told {
                    told.broke_off(used);
                }
                Err(Failed::BrokeOff(failure))
            }
            Err(failure) => Err(Failed::Unheard(failure)),
        }
    }

    /// A line in the trail.
    pub(super) fn record(&mut self, stint: &Stint<'_>, outcome: Cow<'static, str>, took: Duration) {
        let (provider, model) = (Arc::clone(&stint.slot.name), Arc::clone(&stint.name));
        // Most have one: room for four would be kept as long as a stream lasts.
        self.trail.attempts.reserve_exact(1);
        self.trail.attempts.push(Tried { provider, model, outcome, took });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each of these is handed from call to call on the way to a provider and back: a byte more is a byte more in every
    /// frame between, on the stack of each worker that waits. What is larger belongs in a box.
    #[test]
    fn what_is_handed_on_around_the_wait_for_a_provider_is_small() {
        let sizes = [
            ("failure", size_of::<Failure>(), 96),
            ("outcome", size_of::<Outcome>(), 104),
            ("reply", size_of::<Result<Reply, Failure>>(), 144),
            ("stint", size_of::<Stint<'_>>(), 288),
            ("run", size_of::<Run<'_>>(), 632),
        ];
        for (what, bytes, bytes_max) in sizes {
            assert!(bytes <= bytes_max, "{what}: {bytes} bytes");
        }
    }
}
