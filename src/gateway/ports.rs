//! The holes the outside fills: who answers questions, who listens to the answer, who is told what happened.

pub use super::cache::Cached;
use super::cache::Wish;
use super::cancel::Cancel;
use super::meter::Purse;
use crate::domain::chat::{Answer, Frame, Usage};
use crate::domain::event::Event;
pub use crate::domain::event::Tried;
use crate::domain::failure::Failure;
use crate::domain::usage::{self, tokens_of};
use crate::domain::words::{Gist, Words};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What a caller asks, after the door has checked who he is.
#[derive(Debug, Clone)]
pub struct Question {
    /// Who asks: flights and limits never cross callers.
    pub caller: Caller,
    /// The endpoint's label, as in the metrics.
    pub endpoint: &'static str,
    /// What the door read of it.
    pub gist: Gist,
    /// The whole of it, in the caller's dialect.
    pub words: Words,
    /// `X-Hapax-Provider`: ask this one only.
    pub pinned: Option<String>,
    /// `X-Hapax-Deduplicate: off` makes this false.
    pub deduplicate: bool,
    /// How many tokens it may come to, before anybody has counted.
    pub tokens: u64,
    /// What pays for it, when the caller's key has a budget.
    pub purse: Option<Purse>,
    /// What the caller wants of the cache, when there is one.
    pub wish: Wish,
    /// Travels upstream as `X-Request-ID`.
    pub request_id: Arc<str>,
    /// Headers of the caller's that a provider of his own dialect must see, such as `anthropic-beta`.
    pub passed: Vec<(&'static str, String)>,
    /// Travels upstream as it came: the trace this is a part of (W3C Trace Context).
    pub traceparent: Option<String>,
}

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// By the name of his key.
    Key(Arc<str>),
    /// By his address, when no key is configured.
    Address(std::net::IpAddr),
}

impl Caller {
    /// The name of the caller's key, if he has one.
    #[must_use]
    pub fn key_name(&self) -> Option<&str> {
        match self {
            Self::Key(name) => Some(name),
            Self::Address(_) => None,
        }
    }
}

/// One attempt's bounds: until when, and who may stop it earlier.
#[derive(Debug, Clone)]
pub struct Call {
    /// When it began.
    pub began: Instant,
    /// No answer is worth having after this. For a stream: no first token.
    pub deadline: Instant,
    /// Fires when nobody waits any more; a blocked read must end within a second.
    pub cancel: Arc<Cancel>,
}

/// One attempt at one provider: which model to ask for, and what was already delivered.
#[derive(Debug, Clone, Copy)]
pub struct Attempt<'a> {
    /// The question.
    pub question: &'a Question,
    /// The model to ask for, in the provider's own words.
    pub model: &'a str,
    /// The text a broken stream has already delivered, to be continued.
    pub so_far: Option<&'a str>,
}

/// A configured upstream. Implemented by `upstream`, and by scripted ones in tests.
pub trait Provider: Send + Sync {
    /// Asks, and returns as soon as the answer is complete or the stream's head has come. Every status that is
    /// not a success, and every body that is not what the dialect says, is a [`Failure`].
    ///
    /// # Errors
    /// Whatever went wrong, with its fault.
    fn ask(&self, attempt: Attempt<'_>, call: &Call) -> Result<Reply, Failure>;

    /// Asks, free of charge, whether the provider is reachable and accepts our key.
    ///
    /// # Errors
    /// Whatever went wrong, with its fault.
    fn check(&self, call: &Call) -> Result<(), Failure>;

    /// About how many tokens a question has, for when nobody says.
    fn weigh_question(&self, question: &Question) -> u64 {
        tokens_of(question.words.body.len())
    }

    /// About how many tokens a whole answer has: `output`, and of it `reasoning`.
    fn weigh_answer(&self, answer: &Answer) -> Usage {
        usage::weigh(answer)
    }

    /// How many keys are in service; 0 means every key was refused. Providers without keys say 1.
    fn keys_left(&self) -> usize {
        1
    }
}

/// What a provider replies.
pub enum Reply {
    /// All at once.
    Whole {
        /// The answer.
        answer: Answer,
        /// The caller's parameters the provider's dialect has no place for.
        dropped: Vec<String>,
    },
    /// Frame by frame.
    Stream {
        /// The frames; dropping them closes the connection.
        frames: Box<dyn Frames>,
        /// The caller's parameters the provider's dialect has no place for.
        dropped: Vec<String>,
    },
}

/// The frames of one provider's stream.
pub trait Frames {
    /// Puts the next frame in the place of `frame`, whose room is used again. An end without a finish is `Truncated`,
    /// silence is `FirstTokenTimeout` before the first content and `IdleTimeout` after it.
    ///
    /// # Errors
    /// Whatever broke the stream.
    fn next(&mut self, frame: &mut Frame, wait: Wait) -> Result<Came, Failure>;

    /// Whether it is known that nothing is at hand: who asks for it all the same hears [`Came::Nothing`].
    fn are_out(&self) -> bool {
        false
    }
}

/// Whether to wait for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// As long as patience lasts.
    Patiently,
    /// Not at all: only what is at hand.
    NotAtAll,
}

/// What came of asking for a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Came {
    /// The next one.
    Frame,
    /// A proper end.
    End,
    /// Nothing that is at hand; never for who waits.
    Nothing,
}

/// The caller's end of a stream. Implemented by `api`, and by recorders in tests.
pub trait Listener: Send {
    /// The stream is committed: the head may be written. Called once, before the first frame.
    ///
    /// # Errors
    /// [`Left`] when the caller cannot be reached any more.
    fn begin(&mut self, trail: &Trail) -> Result<(), Left>;

    /// One more frame. It may stay here until [`Listener::flush`], which is called before anything is waited for.
    ///
    /// # Errors
    /// [`Left`] when the caller cannot be reached any more.
    fn frame(&mut self, frame: &Frame) -> Result<(), Left>;

    /// What was told leaves for the caller.
    ///
    /// # Errors
    /// [`Left`] when the caller cannot be reached any more.
    fn flush(&mut self) -> Result<(), Left> {
        Ok(())
    }

    /// It may take long until [`Listener::begin`]: each time `every` has passed, the caller may be told something that
    /// means nothing, the head before it. A failure is then told in-band, as after the beginning.
    fn wait(&mut self, every: Duration) {
        let _ = every;
    }

    /// Whether the next frame would be heard without delay.
    fn ready(&self) -> bool {
        true
    }
}

/// The caller is gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left;

/// Who is told what happened. Implemented by `telemetry`, and by recorders in tests.
pub trait Observer: Send + Sync {
    /// Something happened. Never blocks, never called under a lock.
    fn observe(&self, event: &Event<'_>);
}

/// The story of one request: who was asked, what came of it, who answered.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trail {
    /// Every try, in order.
    pub attempts: Vec<Tried>,
    /// Whose answer the caller reads: provider and model asked for. After a splice, the last one.
    pub served: Option<(Arc<str>, Arc<str>)>,
    /// Whether the answer was shared from another request's flight.
    pub deduplicated: bool,
    /// What the cache had to do with it; `None` when there is none.
    pub cached: Option<Cached>,
    /// Parameters the serving provider had no place for.
    pub dropped: Vec<String>,
    /// Tokens used over all attempts, as far as known. None for a follower, for the leader accounts, and for a kept
    /// answer.
    pub usage: Option<Usage>,
    /// What they cost, in nano-USD, as far as prices are known.
    pub nano_usd: Option<u64>,
    /// When the first byte of the request's answer came from upstream, measured from the question.
    pub upstream: Duration,
}

/// How a question ended.
#[derive(Debug)]
pub enum Outcome {
    /// With a complete answer.
    Whole(Arc<Answer>),
    /// The listener heard a stream to its proper end.
    Streamed,
    /// The listener was committed to and the stream could not be saved: an error frame is due, and no end mark.
    Broken(Failure),
    /// Nothing was committed; this is the last real cause.
    Failed(Failure),
}
