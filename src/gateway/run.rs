//! The failover loop: asks the candidates in order until one answers, under one deadline for all of them.
//!
//! What a failure means is decided by its verdict alone: [`Tally::again`] says whether the same provider is
//! asked once more, [`Run::go_on`] whether the next one is.

use super::again::{Again, Tally, weight};
use super::audience::Audience;
use super::cancel::Reason;
use super::ports::{Cached, Outcome, Question, Trail};
use super::resort::nobody;
use super::slot::{Entry, Skip, Slot};
use super::told::Told;
use super::{Gateway, OnStreamFailure};
use crate::domain::balance::Timed;
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Fault, Verdict};
use crate::domain::route::Candidate;
use std::time::{Duration, Instant};

/// One question on its way through the candidates.
pub(super) struct Run<'a> {
    pub(super) gateway: &'a Gateway,
    pub(super) question: &'a Question,
    pub(super) audience: Audience<'a>,
    pub(super) start: Instant,
    /// No first token, and no whole answer, after this.
    pub(super) deadline: Instant,
    pub(super) trail: Trail,
    /// Present once the stream is committed.
    pub(super) told: Option<Told>,
    /// Whether there is a second candidate who could go on with a broken stream.
    pub(super) resumable: bool,
    /// The last real cause of failure.
    cause: Option<Failure>,
    /// The soonest that anybody who was busy asks us to come back.
    soonest: Option<Duration>,
    /// Who failed last, for the one who is asked next.
    pub(super) from: Option<(&'a Slot, Fault)>,
    /// How many were asked since the beginning, or since the stream broke.
    pub(super) asked: usize,
}

/// What came of one candidate.
enum Visit {
    Served(Outcome),
    /// Ask the next one.
    Next(Failure),
    /// Nobody else can help.
    End(Failure),
}

/// What came of an attempt that failed.
pub(super) enum Failed {
    /// The caller has heard nothing of it.
    Unheard(Failure),
    /// The caller had heard something of it.
    BrokeOff(Failure),
    /// Nobody was asked: it cannot be paid for.
    Unpaid(Failure),
}

impl<'a> Run<'a> {
    pub(super) fn new(
        gateway: &'a Gateway,
        question: &'a Question,
        audience: Audience<'a>,
        start: Instant,
    ) -> Self {
        Self {
            gateway,
            question,
            audience,
            start,
            deadline: start + gateway.settings.request_timeout,
            trail: Trail { cached: gateway.cache.as_ref().map(|_| Cached::Miss), ..Trail::default() },
            told: None,
            resumable: false,
            cause: None,
            soonest: None,
            from: None,
            asked: 0,
        }
    }

    /// Asks until somebody answers or nobody is left.
    pub(super) fn run(&mut self) -> Outcome {
        let gateway = self.gateway;
        let (gist, pinned) = (&self.question.gist, self.question.pinned.as_deref());
        let order = if gist.subject.allows_stand_ins() {
            gateway.routes.candidates(gist.model.as_deref(), pinned)
        } else {
            gateway.routes.servers(gist.model.as_deref(), pinned)
        };
        let candidates = gateway.arranged(order, Timed::of(gist), gateway.ticket());
        self.resumable =
            gateway.settings.on_stream_failure == OnStreamFailure::Continue && candidates.len() > 1;
        self.through(&candidates)
    }

    fn through(&mut self, candidates: &[Candidate<'a>]) -> Outcome {
        let gateway = self.gateway;
        let mut skipped: Vec<(Candidate<'a>, Skip)> = Vec::new();
        let mut now = self.start;
        for candidate in candidates {
            let slot = &gateway.slots[candidate.offer];
            match slot.admit((candidate.model, self.question.tokens), (&gateway.house, now)) {
                Err(skip) => skipped.push((*candidate, skip)),
                Ok(entry) => {
                    if let Some(outcome) = self.visit_one(slot, candidate.model, entry) {
                        return outcome;
                    }
                    now = gateway.house.now();
                }
            }
        }
        self.in_vain(&skipped)
    }

    /// Nobody answered; those who were passed over may be asked after all.
    #[cold]
    #[inline(never)]
    fn in_vain(&mut self, skipped: &[(Candidate<'a>, Skip)]) -> Outcome {
        if self.asked == 0
            && !skipped.is_empty()
            && let Some(outcome) = self.last_resort(skipped)
        {
            return outcome;
        }
        let nobody = || nobody(self.gateway.slots.is_empty());
        let mut cause = self.cause.take().unwrap_or_else(nobody);
        if cause.verdict() == Verdict::Busy {
            cause.retry_after = self.soonest.or(cause.retry_after);
        }
        self.fail(cause)
    }

    /// Visits one candidate; the outcome, if this decides it.
    pub(super) fn visit_one(&mut self, slot: &'a Slot, model: &'a str, entry: Entry<'a>) -> Option<Outcome> {
        if self.from.is_some() && self.told.is_none() {
            self.turn_to(slot);
        }
        self.asked += 1;
        match self.attempt(slot, model, entry) {
            Ok(outcome) => Some(outcome),
            Err(failed) => self.in_trouble((slot, model), failed),
        }
    }

    /// Tells that another one is asked now.
    #[cold]
    #[inline(never)]
    fn turn_to(&self, slot: &Slot) {
        if let Some((from, fault)) = self.from {
            self.gateway.house.tell(&Event::FailedOver { from: &from.name, to: &slot.name, fault });
        }
    }

    /// Goes on after a first attempt that failed. A function of its own: most requests see none, and would keep its
    /// stack while they wait.
    #[cold]
    #[inline(never)]
    fn in_trouble(&mut self, whom: (&'a Slot, &'a str), failed: Failed) -> Option<Outcome> {
        match self.insist(whom, failed) {
            Visit::Served(outcome) => Some(outcome),
            Visit::End(failure) => Some(self.fail(failure)),
            Visit::Next(failure) => {
                self.remember(failure);
                None
            }
        }
    }

    /// Asks the same one again, as often as its failures allow.
    fn insist(&mut self, (slot, model): (&'a Slot, &'a str), mut failed: Failed) -> Visit {
        let house = &self.gateway.house;
        let patience = self.gateway.settings.retry_wait_max;
        let mut tally = Tally::default();
        loop {
            let failure = match failed {
                Failed::BrokeOff(failure) => return self.broke_off(failure),
                Failed::Unpaid(failure) => return Visit::End(failure),
                Failed::Unheard(failure) => failure,
            };
            let pause = match tally.again(slot, &failure, (house, patience)) {
                Again::No => return self.go_on(slot, failure),
                Again::AtOnce => Duration::ZERO,
                Again::After(pause) if house.now() + pause < self.deadline => pause,
                Again::After(_) => return self.go_on(slot, failure),
            };
            if !pause.is_zero() {
                let until = house.now() + pause;
                if let Some(reason) = self.audience.cancel.wait(pause) {
                    return Visit::End(left(reason));
                }
                slot.waited(until);
            }
            let entry = match slot.admit((model, self.question.tokens), (house, house.now())) {
                Ok(admitted) => admitted,
                Err(_) => return self.go_on(slot, failure),
            };
            house.tell(&Event::Retried { provider: &slot.name, fault: failure.fault });
            failed = match self.attempt(slot, model, entry) {
                Ok(outcome) => return Visit::Served(outcome),
                Err(failed) => failed,
            };
        }
    }

    /// Whether this failure is worth asking the next provider.
    fn go_on(&mut self, slot: &'a Slot, failure: Failure) -> Visit {
        if self.told.is_none() {
            self.from = Some((slot, failure.fault));
        }
        match failure.verdict() {
            Verdict::CallerLeft => Visit::End(failure),
            // A beginning that one provider does not accept may suit the next.
            Verdict::Caller if self.told.is_none() => Visit::End(failure),
            Verdict::Caller
            | Verdict::Capacity
            | Verdict::UnknownModel
            | Verdict::OurKey
            | Verdict::Busy
            | Verdict::Provider
            | Verdict::Silence
            | Verdict::StaleConnection
            | Verdict::Untranslatable
            | Verdict::Internal => {
                if self.gateway.house.now() >= self.deadline {
                    Visit::End(failure)
                } else {
                    Visit::Next(failure)
                }
            }
        }
    }

    /// A committed stream broke: whether another provider can go on.
    fn broke_off(&mut self, failure: Failure) -> Visit {
        self.asked = 0;
        self.cause = Some(failure.clone());
        let resumable = self.told.as_ref().is_some_and(Told::resumable);
        if matches!(failure.verdict(), Verdict::CallerLeft)
            || failure.fault == Fault::OverBudget
            || !resumable
        {
            return Visit::End(failure);
        }
        // The first token came in time; the one who goes on has as long as the first had.
        self.deadline = self.gateway.house.now() + self.gateway.settings.request_timeout;
        Visit::Next(failure)
    }

    /// Who is asked now because the stream broke elsewhere.
    pub(super) fn broken_at(&self) -> Option<&'a Slot> {
        self.from.map(|(slot, _)| slot)
    }

    /// Keeps the failure that says most: what broke at a provider rather than what one of them cannot do, the
    /// later rather than the earlier; and once a stream broke, only what broke it.
    #[cold]
    #[inline(never)]
    pub(super) fn remember(&mut self, failure: Failure) {
        if self.told.is_some() && self.cause.is_some() {
            return;
        }
        if failure.verdict() == Verdict::Busy {
            self.soonest = match (self.soonest, failure.retry_after) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
        if self.cause.as_ref().is_none_or(|known| weight(&failure) >= weight(known)) {
            self.cause = Some(failure);
        }
    }

    pub(super) fn fail(&mut self, failure: Failure) -> Outcome {
        if self.told.is_none() {
            return Outcome::Failed(failure);
        }
        if failure.verdict() != Verdict::CallerLeft
            && let Some((slot, fault)) = self.from
        {
            self.gateway.house.tell(&Event::StreamAborted { provider: &slot.name, fault });
        }
        Outcome::Broken(failure)
    }
}

/// What a question ends with when nobody waits for the answer.
pub(super) fn left(reason: Reason) -> Failure {
    let words = match reason {
        Reason::CallerLeft => "the caller left",
        Reason::Shutdown => "Hapax is shutting down",
    };
    Failure::new(Fault::CallerLeft, words)
}
