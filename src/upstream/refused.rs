//! Parameters a model was found not to take: left out of its next requests at once, instead of being refused each time.
//!
//! A refused request is sent once more without what was refused, and again where something else is. What is remembered is
//! each refusal itself, once the request without the parameters was served, and only one that every other request would meet: what one caller's value
//! or conversation was refused for is no reason to leave out another's. It is forgotten after a while: providers learn.

use super::http::Incoming;
use super::line::Bound;
use super::{Asked, Upstream};
use crate::dialect::{self, Outgoing};
use crate::domain::failure::Failure;
use crate::domain::words::Dialect;
use crate::gateway::ports::Call;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Parameters that may be refused one after the other within one question: providers name one at a time.
const YIELDS_MAX: usize = 4;
/// How long a refusal is believed.
const BELIEVED_FOR: Duration = Duration::from_secs(600);
/// Refusals remembered of one provider, all its models together; the oldest goes first.
const REFUSALS_MAX: usize = 32;
/// Bytes of a model's name worth remembering; callers choose some of them.
const MODEL_BYTES_MAX: usize = 256;

/// What one provider's models were found not to take.
#[derive(Default)]
pub(super) struct Refusals {
    /// There are some: most providers refuse nothing, and are not asked about it.
    any: AtomicBool,
    /// Guards the list, the oldest first; held to look or to add.
    known: Mutex<Vec<Refusal>>,
}

struct Refusal {
    target: Dialect,
    model: String,
    failure: Failure,
    since: Instant,
}

impl Upstream {
    /// As [`Upstream::post`], without what the model is known to refuse; and where it refuses something it does not take,
    /// once more without that, until it refuses no more.
    pub(super) fn post_yielding(
        &self,
        outgoing: &mut Outgoing,
        asked: &Asked<'_>,
        call: &Call,
        last: Bound,
    ) -> Result<(Box<Incoming>, Bound), Failure> {
        let whom = (asked.target, asked.model);
        self.refusals.heed(whom, outgoing, || self.clock.now());
        match self.post(outgoing, asked, call, last) {
            Ok(done) => Ok(done),
            Err(failure) => self.yield_to(failure, outgoing, asked, (call, last)),
        }
    }

    /// Asks again without what was refused, as long as that is a parameter.
    #[cold]
    #[inline(never)]
    fn yield_to(
        &self,
        mut failure: Failure,
        outgoing: &mut Outgoing,
        asked: &Asked<'_>,
        (call, last): (&Call, Bound),
    ) -> Result<(Box<Incoming>, Bound), Failure> {
        let whom = (asked.target, asked.model);
        let mut refused = Vec::new();
        let done = loop {
            match dialect::yielding(asked.target, outgoing, &failure) {
                Some(again) if refused.len() < YIELDS_MAX => *outgoing = again,
                _ => return Err(failure),
            }
            refused.push(failure);
            failure = match self.post(outgoing, asked, call, last) {
                Ok(done) => break done,
                Err(failure) => failure,
            };
        };
        refused.into_iter().for_each(|failure| self.refusals.note(whom, failure, self.clock.now()));
        Ok(done)
    }
}

impl Refusals {
    /// Makes the request one that this model takes, by what is known.
    fn heed(&self, whom: (Dialect, &str), outgoing: &mut Outgoing, now: impl FnOnce() -> Instant) {
        if self.any.load(Ordering::Relaxed) {
            self.heed_known(whom, outgoing, now());
        }
    }

    #[cold]
    #[inline(never)]
    fn heed_known(&self, whom: (Dialect, &str), outgoing: &mut Outgoing, now: Instant) {
        let failures: Vec<Failure> = {
            let mut known = self.known.lock();
            known.retain(|refusal| now.saturating_duration_since(refusal.since) < BELIEVED_FOR);
            self.any.store(!known.is_empty(), Ordering::Relaxed);
            known.iter().filter(|one| one.is_of(whom)).map(|one| one.failure.clone()).collect()
        };
        for failure in failures {
            if let Some(yielding) = dialect::yielding(whom.0, outgoing, &failure) {
                *outgoing = yielding;
            }
        }
    }

    /// Without what this refusal is about the model served the request.
    fn note(&self, (target, model): (Dialect, &str), failure: Failure, now: Instant) {
        if model.len() > MODEL_BYTES_MAX || !dialect::lasting(&failure) {
            return;
        }
        let mut known = self.known.lock();
        known.retain(|one| !one.is_of((target, model)) || one.failure.message != failure.message);
        if known.len() == REFUSALS_MAX {
            known.remove(0);
        }
        known.push(Refusal { target, model: model.to_owned(), failure, since: now });
        self.any.store(true, Ordering::Relaxed);
    }
}

impl Refusal {
    fn is_of(&self, (target, model): (Dialect, &str)) -> bool {
        self.target == target && self.model == model
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use crate::domain::failure::Fault;

    const OPENAI: Dialect = Dialect::OpenAiChat;

    fn refusal(message: &str) -> Failure {
        Failure { status: Some(400), ..Failure::new(Fault::BadRequest, message) }
    }

    fn asked(refusals: &Refusals, model: &str, body: &str, now: Instant) -> (String, Vec<String>) {
        let mut outgoing = Outgoing {
            path: "/x".into(),
            body: body.as_bytes().to_vec().into(),
            dropped: Vec::new(),
            unwrap_tool: None,
        };
        refusals.heed((OPENAI, model), &mut outgoing, || now);
        (String::from_utf8(outgoing.body.into_vec()).expect("text"), outgoing.dropped)
    }

    #[test]
    fn what_a_model_refused_is_left_out_for_that_model_until_it_is_forgotten() {
        let (refusals, clock) = (Refusals::default(), ManualClock::new());
        let body = r#"{"seed":1,"x":2}"#;
        let whole = (body.to_owned(), Vec::new());
        let without = (r#"{"x":2}"#.to_owned(), vec!["seed".to_owned()]);
        refusals.note((OPENAI, "m"), refusal("Unsupported parameter: 'seed' is not supported"), clock.now());
        assert_eq!(asked(&refusals, "m", body, clock.now()), without);
        assert_eq!(asked(&refusals, "n", body, clock.now()), whole);
        clock.advance(BELIEVED_FOR);
        assert_eq!(asked(&refusals, "m", body, clock.now()), whole);
        assert!(!refusals.any.load(Ordering::Relaxed));
    }

    #[test]
    fn what_another_request_would_not_meet_is_not_remembered_and_memory_is_bounded() {
        let (refusals, now) = (Refusals::default(), ManualClock::new().now());
        let ours_alone = [
            "`temperature` and `top_p` cannot both be specified",
            "Unsupported value: 'reasoning_effort' does not support 'minimal' with this model",
            "Unsupported parameter: 'logprobs' is not supported when reasoning",
            "messages.1.content.0: a turn must start with a thinking block",
            "This model does not support assistant message prefill",
        ];
        ours_alone.iter().for_each(|words| refusals.note((OPENAI, "m"), refusal(words), now));
        let of_a_value =
            Failure { code: Some("unsupported_value".into()), ..refusal("Unsupported parameter: 'seed'") };
        refusals.note((OPENAI, "m"), of_a_value, now);
        refusals.note((OPENAI, &"m".repeat(MODEL_BYTES_MAX + 1)), refusal("Unknown parameter: 'seed'"), now);
        assert!(refusals.known.lock().is_empty());
        for index in 0..=REFUSALS_MAX {
            refusals.note((OPENAI, &format!("m{index}")), refusal("Unknown parameter: 'seed'"), now);
            refusals.note((OPENAI, &format!("m{index}")), refusal("Unknown parameter: 'seed'"), now);
        }
        assert_eq!(refusals.known.lock().len(), REFUSALS_MAX);
        assert!(refusals.known.lock().iter().all(|one| one.model != "m0"), "the oldest went first");
    }
}
