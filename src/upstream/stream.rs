//! A provider's stream, frame by frame: who speaks in time is listened to, who only clears his throat is not.
//!
//! ```text
//!   waiting for content ──content──▶ speaking ──end mark──▶ lingering ─▶ pool
//!        │ first-token timeout          │ idle timeout, moved only by what has a meaning
//!        ▼                              ▼
//!      failed: the connection is closed, every further question gets the same answer
//! ```

use super::faults;
use super::http::Incoming;
use super::line::Bound;
use crate::clock::Clock;
use crate::dialect::Reader;
use crate::domain::chat::{Answer, Choice, Content, Delta, Frame, Part};
use crate::domain::failure::{Failure, Fault};
use crate::gateway::ports::{Came, Frames, Wait};
use std::sync::Arc;
use std::time::Duration;

/// How long the transport's end is waited for after the stream's own, to keep the connection.
const LINGER: Duration = Duration::from_millis(10);
/// Reads within [`LINGER`].
const LINGER_READS_MAX: usize = 4;

/// Makes frames of bytes: [`Reader`], or a test's.
pub(super) trait Parse {
    /// Takes more bytes. The first of them may be a frame that can be read where they are: whether it was, and is in the
    /// place of this one.
    fn take(&mut self, bytes: &[u8], frame: &mut Frame) -> bool;
    /// Puts the next whole frame in the place of this one; whether one has arrived.
    fn read(&mut self, frame: &mut Frame) -> Result<bool, Failure>;
    /// Whether there is nothing left to read.
    fn is_empty(&self) -> bool;
    /// Whether the end mark has been read.
    fn ended(&self) -> bool;
    /// The connection ended: was that a proper end?
    fn close(&mut self) -> Result<(), Failure>;
}

impl Parse for Reader {
    fn take(&mut self, bytes: &[u8], frame: &mut Frame) -> bool {
        Reader::take(self, bytes, frame)
    }

    fn read(&mut self, frame: &mut Frame) -> Result<bool, Failure> {
        Reader::read(self, frame)
    }

    fn is_empty(&self) -> bool {
        Reader::is_empty(self)
    }

    fn ended(&self) -> bool {
        Reader::ended(self)
    }

    fn close(&mut self) -> Result<(), Failure> {
        Reader::close(self)
    }
}

/// What a stream needs besides its bytes.
pub(super) struct Manners {
    /// The provider's configured name, for failures.
    pub(super) provider: Arc<str>,
    /// The clock its patience is measured with.
    pub(super) clock: Arc<dyn Clock>,
    /// Until when the first content must have come.
    pub(super) first_token: Bound,
    /// Patience between contents.
    pub(super) idle: Duration,
}

/// A stream under way.
pub(super) struct Stream<P> {
    manners: Manners,
    parser: P,
    /// `None` once the connection was given back or closed.
    incoming: Option<Incoming>,
    bound: Bound,
    /// Content has come.
    spoken: bool,
    /// Something with a meaning has come since the last wait: the idle clock starts anew with the next one, so that the
    /// time a slow caller takes is not the provider's.
    renew: bool,
    finishing: Finishing,
    failed: Option<Failure>,
}

impl<P: Parse> Stream<P> {
    /// A stream whose head has come.
    pub(super) fn new(incoming: Incoming, parser: P, manners: Manners) -> Self {
        let bound = manners.first_token;
        Self {
            manners,
            parser,
            incoming: Some(incoming),
            bound,
            spoken: false,
            renew: false,
            finishing: Finishing::default(),
            failed: None,
        }
    }

    fn advance(&mut self, frame: &mut Frame, wait: Wait) -> Result<Came, Failure> {
        let mut has_read = false;
        loop {
            if !self.parser.is_empty() && self.parser.read(frame)? {
                self.note(frame)?;
                return Ok(Came::Frame);
            }
            if self.parser.ended() {
                return Ok(self.linger(wait));
            }
            // What has arrived is read even when the time is up; what means nothing does not extend it.
            if has_read {
                self.check_patience()?;
            }
            let mut came = false;
            match self.hand(wait, &mut |parser, bytes| came = parser.take(bytes, frame)) {
                Ok(None) => return Ok(if self.incoming.is_none() { Came::End } else { Came::Nothing }),
                Ok(Some(0)) => {
                    self.incoming = None;
                    self.parser.close()?;
                }
                Ok(Some(_)) => {}
                Err(fault) => self.break_off(fault)?,
            }
            if came {
                self.note(frame)?;
                return Ok(Came::Frame);
            }
            has_read = true;
        }
    }

    /// Hands the parser what comes next; how much, 0 at the end. `None`: the connection is gone, or nothing is at hand.
    fn hand(&mut self, wait: Wait, to: &mut dyn FnMut(&mut P, &[u8])) -> Result<Option<usize>, Fault> {
        let Some(incoming) = &mut self.incoming else { return Ok(None) };
        let parser = &mut self.parser;
        let mut take = |bytes: &[u8]| to(parser, bytes);
        if wait == Wait::NotAtAll {
            return incoming.at_hand(&mut take);
        }
        let mut left = None;
        if std::mem::take(&mut self.renew) {
            let idle = self.manners.idle;
            self.bound = Bound::new(self.manners.clock.now() + idle, Fault::IdleTimeout);
            left = Some(idle);
        }
        incoming.hand(&mut take, (self.bound, left)).map(Some)
    }

    /// Takes notice of a frame; one without meaning is not worth the time it came too late.
    fn note(&mut self, frame: &Frame) -> Result<(), Failure> {
        self.spoken |= frame.deltas.iter().any(Delta::is_content);
        self.renew |= self.spoken && !frame.deltas.is_empty();
        self.finishing.note(&frame.deltas);
        self.check_patience()
    }

    fn check_patience(&mut self) -> Result<(), Failure> {
        if !self.renew && self.incoming.is_some() && self.manners.clock.now() >= self.bound.until {
            self.break_off(self.bound.fault)?;
        }
        Ok(())
    }

    /// The connection failed. After a finish that is an end like any other.
    fn break_off(&mut self, fault: Fault) -> Result<(), Failure> {
        self.incoming = None;
        match fault {
            Fault::Truncated => self.parser.close(),
            Fault::IdleTimeout if self.finishing.is_done() => self.parser.close(),
            _ => Err(faults::failure(&self.manners.provider, fault)),
        }
    }

    /// Reads the transport's end, if it is there: then the connection is kept. Else it is closed.
    fn linger(&mut self, wait: Wait) -> Came {
        let Some(mut incoming) = self.incoming.take() else { return Came::End };
        let mut until = None;
        for _ in 0..LINGER_READS_MAX {
            match incoming.at_hand(&mut |_| {}) {
                Ok(Some(0)) | Err(_) => return Came::End,
                Ok(Some(_)) => {}
                Ok(None) if wait == Wait::NotAtAll => {
                    self.incoming = Some(incoming);
                    return Came::Nothing;
                }
                Ok(None) => {
                    let until = *until.get_or_insert_with(|| self.manners.clock.now() + LINGER);
                    let bound = Bound::new(until, Fault::IdleTimeout);
                    if matches!(incoming.hand(&mut |_| {}, (bound, None)), Ok(0) | Err(_)) {
                        return Came::End;
                    }
                }
            }
        }
        Came::End
    }
}

impl<P: Parse> Frames for Stream<P> {
    fn next(&mut self, frame: &mut Frame, wait: Wait) -> Result<Came, Failure> {
        if let Some(failure) = &self.failed {
            return Err(failure.clone());
        }
        let came = self.advance(frame, wait);
        if let Err(failure) = &came {
            self.incoming = None;
            self.failed = Some(failure.clone());
        }
        came
    }

    fn are_out(&self) -> bool {
        let dry = self.incoming.as_ref().is_some_and(Incoming::is_dry);
        dry && self.failed.is_none() && self.parser.is_empty() && !self.parser.ended()
    }
}

/// Which choices have begun and not finished.
#[derive(Debug, Default)]
struct Finishing {
    any: bool,
    open: Vec<u32>,
}

/// Choices followed; more of them are never all done.
const CHOICES_MAX: usize = 128;

impl Finishing {
    fn note(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            match delta {
                Delta::Text { choice, .. }
                | Delta::Reasoning { choice, .. }
                | Delta::ToolCall { choice, .. }
                | Delta::Arguments { choice, .. } => {
                    if self.open.len() < CHOICES_MAX && !self.open.contains(choice) {
                        self.open.push(*choice);
                    }
                }
                Delta::Finish { choice, .. } => {
                    self.any = true;
                    self.open.retain(|open| open != choice);
                }
                Delta::Start { .. } | Delta::Usage(_) => {}
            }
        }
    }

    fn is_done(&self) -> bool {
        self.any && self.open.is_empty()
    }
}

/// A complete answer where a stream was asked for, told in one frame.
pub(super) struct Told(Option<Frame>);

impl Told {
    /// Of an answer that was read as [`Content::Said`].
    pub(super) fn new(answer: Answer) -> Self {
        let mut deltas = Vec::new();
        if let Content::Said { id, choices } = answer.content {
            deltas.push(Delta::Start { id: id.unwrap_or_default(), model: answer.model });
            for (choice, said) in (0_u32..).zip(choices) {
                tell(choice, said, &mut deltas);
            }
        }
        deltas.extend(answer.usage.map(Delta::Usage));
        Self(Some(Frame { deltas, verbatim: None }))
    }
}

fn tell(choice: u32, said: Choice, deltas: &mut Vec<Delta>) {
    let mut call = 0;
    for part in said.parts {
        match part {
            Part::Text { text, .. } if !text.is_empty() => deltas.push(Delta::Text { choice, text }),
            Part::Reasoning { text, signature } => deltas.push(Delta::Reasoning { choice, text, signature }),
            Part::ToolCall(tool) => {
                deltas.push(Delta::ToolCall { choice, call, id: tool.id, name: tool.name });
                deltas.push(Delta::Arguments { choice, call, fragment: tool.arguments });
                call += 1;
            }
            Part::Text { .. } | Part::Image(_) | Part::ToolResult { .. } => {}
        }
    }
    deltas.push(Delta::Finish { choice, finish: said.finish });
}

impl Frames for Told {
    fn next(&mut self, frame: &mut Frame, _: Wait) -> Result<Came, Failure> {
        let Some(told) = self.0.take() else { return Ok(Came::End) };
        *frame = told;
        Ok(Came::Frame)
    }
}
