//! One HTTP exchange: send, wait for the head, read the body within bounds. Knows nothing of dialects.

use super::client::{Body, Client};
use super::line::{Bound, Line};
use super::reply::Head;
use super::requests::Sending;
use super::wait::Waits;
use crate::clock::Clock;
use crate::domain::failure::Fault;
use crate::gateway::cancel::{Cancel, Heed, Hook};
use crate::memory::Held;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is reserved for a body on the word of its `Content-Length`.
const RESERVE_BYTES_MAX: u64 = 1024 * 1024;
/// Steps in which a body grows and is counted.
const HELD_STEP_BYTES: usize = 64 * 1024;
/// Beyond the body, so that its end can be read without growing.
const RESERVE_BYTES_MORE: u64 = 64;

/// A response whose head has come. Dropping it before its end closes the connection; read to its end, the
/// connection rests in the pool.
pub(super) struct Incoming {
    /// The status.
    pub(super) status: u16,
    /// Whether the body is one JSON text.
    pub(super) is_json: bool,
    /// How long it asks us to wait.
    pub(super) waits: Waits,
    // In this order: the connection is let go before the line and the hook that may cut it.
    body: Box<Body>,
    length: Option<u64>,
    line: Arc<Line>,
    _hook: Hook,
}

/// Sends a request and waits for the head, until `bound`. A kept connection that proves dead before a first byte is
/// replaced once, at once and silently.
///
/// # Errors
/// The fault of an exchange that came to nothing. Every status is an answer.
pub(super) fn send(
    client: &Arc<Client>,
    (clock, now): (&Arc<dyn Clock>, Instant),
    cancel: &Arc<Cancel>,
    bound: Bound,
    request: &Sending<'_>,
) -> Result<Box<Incoming>, Fault> {
    let line = Line::new(Arc::clone(clock), bound, now);
    let hook = cancel.on_fire(Arc::clone(&line) as Arc<dyn Heed>);
    let mut again = true;
    let (head, body) = loop {
        match client.send(request, &line) {
            Err(Fault::StaleConnection) if std::mem::take(&mut again) => line.start_over(),
            other => break other?,
        }
    };
    Ok(incoming(head, body, line, hook))
}

/// Boxed: it is handed up through five levels, and each would have its own copy on the stack of who waits.
#[inline(never)]
fn incoming(head: Head, body: Box<Body>, line: Arc<Line>, hook: Hook) -> Box<Incoming> {
    let Head { status, is_json, waits, length, .. } = head;
    Box::new(Incoming { status, is_json, waits, body, length, line, _hook: hook })
}

impl Incoming {
    /// Hands some of the body to `take`; how much, 0 at its end. The bound's first wait lasts at most
    /// so long, if that is known.
    ///
    /// # Errors
    /// The fault that ended it; `Truncated` when it ended before its end.
    pub(super) fn hand(
        &mut self,
        take: &mut dyn FnMut(&[u8]),
        (bound, left): (Bound, Option<Duration>),
    ) -> Result<usize, Fault> {
        self.line.bind_from(bound, left);
        match self.body.hand(take) {
            // The end of a body without a length may be our own doing.
            Ok(0) if self.line.was_cut() => Err(Fault::CallerLeft),
            other => other,
        }
    }

    /// Whether it is known that nothing of the body is at hand.
    pub(super) fn is_dry(&self) -> bool {
        self.body.is_dry()
    }

    /// Hands on what has been received of the body already; 0 at its end, `None` where there is nothing.
    ///
    /// # Errors
    /// As [`Incoming::hand`].
    pub(super) fn at_hand(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<Option<usize>, Fault> {
        match self.body.at_hand(take) {
            Ok(Some(0)) if self.line.story().cut => Err(Fault::CallerLeft),
            other => other,
        }
    }

    /// Reads the whole body into `body`, counted twice in `held`: it is held once more in the caller's words.
    ///
    /// # Errors
    /// As [`Incoming::read_all`]; `NoMemory` when there is no room for it.
    pub(super) fn read_held(
        &mut self,
        body: &mut Vec<u8>,
        (bytes_max, held): (usize, &mut Held),
        bound: Bound,
    ) -> Result<(), Fault> {
        self.line.bind(bound);
        if self.length.is_some_and(|length| length > bytes_max as u64) {
            return Err(Fault::AnswerTooLarge);
        }
        self.reserve(body, HELD_STEP_BYTES as u64);
        loop {
            if !held.grow(2 * HELD_STEP_BYTES) {
                return Err(Fault::NoMemory);
            }
            let amount = self.body.append(body, HELD_STEP_BYTES)?;
            if body.len() > bytes_max {
                return Err(Fault::AnswerTooLarge);
            }
            if amount < HELD_STEP_BYTES {
                return if self.line.was_cut() { Err(Fault::CallerLeft) } else { Ok(()) };
            }
        }
    }

    /// Reads the whole body into `body`, which keeps what came even when it fails.
    ///
    /// # Errors
    /// As [`Incoming::hand`]; `AnswerTooLarge` past `bytes_max`.
    pub(super) fn read_all(
        &mut self,
        body: &mut Vec<u8>,
        bytes_max: usize,
        bound: Bound,
    ) -> Result<(), Fault> {
        let limit = u64::try_from(bytes_max).unwrap_or(u64::MAX);
        if self.length.is_some_and(|length| length > limit) {
            return Err(Fault::AnswerTooLarge);
        }
        self.reserve(body, RESERVE_BYTES_MAX);
        self.line.bind(bound);
        self.body.append(body, bytes_max.saturating_add(1))?;
        if self.line.was_cut() {
            return Err(Fault::CallerLeft);
        }
        if body.len() > bytes_max { Err(Fault::AnswerTooLarge) } else { Ok(()) }
    }

    /// Makes room for the whole, but at most for so much.
    fn reserve(&self, body: &mut Vec<u8>, at_most: u64) {
        let reserve = self.length.unwrap_or(0).min(at_most) + RESERVE_BYTES_MORE;
        body.reserve(usize::try_from(reserve).unwrap_or(0));
    }
}
