//! A provider whose answers are looked through before anybody hears them: callers, followers and the cache alike.

use crate::dialect::redact::{self, Lookout, Redactor};
use crate::domain::chat::{Answer, Frame, Usage};
use crate::domain::event::Event;
use crate::domain::failure::Failure;
use crate::domain::redact::Redaction;
use crate::domain::words::Subject;
use crate::gateway::ports::{Attempt, Call, Came, Frames, Observer, Provider, Question, Reply, Wait};
use std::collections::VecDeque;
use std::sync::Arc;

/// Who is told how often a rule found something.
#[derive(Clone)]
struct Teller {
    lookout: Arc<Lookout>,
    observer: Arc<dyn Observer>,
}

impl Teller {
    fn tell(&self, counts: &[u64]) {
        for (rule, times) in self.lookout.names().iter().zip(counts) {
            if *times > 0 {
                self.observer.observe(&Event::Redacted { rule, on: "answers", times: *times });
            }
        }
    }
}

/// A provider behind the rules for answers.
pub struct Redacted {
    inner: Arc<dyn Provider>,
    teller: Teller,
}

impl Redacted {
    /// Puts the rules before a provider.
    #[must_use]
    pub fn new(inner: Arc<dyn Provider>, redaction: Redaction, observer: Arc<dyn Observer>) -> Self {
        Self { inner, teller: Teller { lookout: Lookout::new(redaction), observer } }
    }
}

impl Provider for Redacted {
    fn ask(&self, attempt: Attempt<'_>, call: &Call) -> Result<Reply, Failure> {
        let chat = attempt.question.gist.subject == Subject::Chat;
        let lookout = &self.teller.lookout;
        Ok(match self.inner.ask(attempt, call)? {
            Reply::Whole { mut answer, dropped } if chat => {
                let mut counts = lookout.counts();
                redact::answer(lookout, &mut answer, &mut counts);
                self.teller.tell(&counts);
                Reply::Whole { answer, dropped }
            }
            Reply::Stream { frames, dropped } => {
                let (redactor, teller) = (Redactor::new(lookout), self.teller.clone());
                let ready = VecDeque::new();
                let frames = Box::new(Watched { inner: frames, redactor, teller, ready, ended: false });
                Reply::Stream { frames, dropped }
            }
            whole @ Reply::Whole { .. } => whole,
        })
    }

    fn check(&self, call: &Call) -> Result<(), Failure> {
        self.inner.check(call)
    }

    fn keys_left(&self) -> usize {
        self.inner.keys_left()
    }

    fn weigh_question(&self, question: &Question) -> u64 {
        self.inner.weigh_question(question)
    }

    fn weigh_answer(&self, answer: &Answer) -> Usage {
        self.inner.weigh_answer(answer)
    }
}

/// A stream behind the rules.
struct Watched {
    inner: Box<dyn Frames>,
    redactor: Redactor,
    teller: Teller,
    /// Frames that may go.
    ready: VecDeque<Frame>,
    ended: bool,
}

impl Frames for Watched {
    fn next(&mut self, frame: &mut Frame, wait: Wait) -> Result<Came, Failure> {
        while self.ready.is_empty() && !self.ended {
            let mut out = Vec::new();
            // What is held back when a stream breaks was not told, and whoever goes on begins before it.
            match self.inner.next(frame, wait)? {
                Came::Frame => self.redactor.frame(std::mem::take(frame), &mut out),
                Came::End => {
                    self.redactor.end(&mut out);
                    self.ended = true;
                }
                Came::Nothing => return Ok(Came::Nothing),
            }
            self.teller.tell(&self.redactor.counted());
            self.ready.extend(out);
        }
        let Some(next) = self.ready.pop_front() else { return Ok(Came::End) };
        *frame = next;
        Ok(Came::Frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::{Delta, Finish};
    use crate::domain::redact::{Mode, Pattern, Rule};
    use parking_lot::Mutex;

    struct Said(VecDeque<Frame>);

    impl Frames for Said {
        fn next(&mut self, frame: &mut Frame, _: Wait) -> Result<Came, Failure> {
            let Some(next) = self.0.pop_front() else { return Ok(Came::End) };
            *frame = next;
            Ok(Came::Frame)
        }
    }

    #[derive(Default)]
    struct Told(Mutex<u64>);

    impl Observer for Told {
        fn observe(&self, event: &Event<'_>) {
            if let Event::Redacted { times, .. } = event {
                *self.0.lock() += times;
            }
        }
    }

    #[test]
    fn what_waits_when_a_stream_ends_is_told_also_of_a_choice_that_never_finished() {
        let rule = Rule {
            name: "own".to_owned(),
            pattern: Pattern::new("t=[0-9]+").expect("it is one"),
            replace: "x".to_owned(),
            on_requests: false,
            on_answers: true,
        };
        let redaction = Redaction::of(Mode::Enforce, &[rule], |_| true).expect("small").expect("some");
        let lookout = Lookout::new(redaction);
        for (waits, heard, found) in [("and t", "and t", 0), ("and t=12", "and x", 1)] {
            let text = |choice, text: &str| Delta::Text { choice, text: text.to_owned() };
            let deltas =
                vec![text(0, "One"), text(1, waits), Delta::Finish { choice: 0, finish: Finish::Stop }];
            let frame = |delta| Frame { deltas: vec![delta], verbatim: None };
            let inner = Box::new(Said(deltas.into_iter().map(frame).collect()));
            let observer = Arc::new(Told::default());
            let teller = Teller { lookout: Arc::clone(&lookout), observer: observer.clone() };
            let (redactor, ready) = (Redactor::new(&lookout), VecDeque::new());
            let mut stream = Watched { inner, redactor, teller, ready, ended: false };
            let (mut second, mut frame) = (String::new(), Frame::default());
            while stream.next(&mut frame, Wait::Patiently) == Ok(Came::Frame) {
                for delta in &frame.deltas {
                    if let Delta::Text { choice: 1, text } = delta {
                        second.push_str(text);
                    }
                }
            }
            assert_eq!((second.as_str(), *observer.0.lock()), (heard, found));
        }
    }
}
