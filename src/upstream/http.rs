//! One HTTP exchange: send, wait for the head, read the body within bounds. Knows nothing of dialects.

use super::faults;
use super::line::{Bound, Dialling, Line};
use crate::clock::Clock;
use crate::dialect::Body;
use crate::domain::failure::Fault;
use crate::gateway::cancel::{Cancel, Hook};
use crate::memory::Held;
use std::io::Read;
use std::sync::Arc;
use ureq::http::header::CONTENT_LENGTH;
use ureq::http::{HeaderMap, HeaderValue, Request};
use ureq::{Agent, BodyReader, SendBody};

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
    /// The headers.
    pub(super) headers: HeaderMap,
    // In this order: the connection is let go before the line and the hook that may cut it.
    body: BodyReader<'static>,
    length: Option<u64>,
    line: Arc<Line>,
    _hook: Hook,
}

/// Sends what `make` makes, with the body, and waits for the head, until `bound`. A kept connection that proves dead before a
/// first byte is replaced once, at once and silently: then `make` is called again.
///
/// # Errors
/// The fault of an exchange that came to nothing. Every status is an answer.
pub(super) fn send(
    (agent, body): (&Agent, Option<&Body>),
    clock: &Arc<dyn Clock>,
    cancel: &Cancel,
    bound: Bound,
    make: impl Fn() -> Request<()>,
) -> Result<Incoming, Fault> {
    let line = Line::new(Arc::clone(clock), bound);
    let cut = Arc::clone(&line);
    let hook = cancel.on_fire(move || cut.cut());
    let attempt = || {
        let _dialling: Dialling = line.dial();
        let ran = match body {
            None => agent.run(make()),
            Some(body) => {
                let mut reader = body.reader();
                let mut request = make().map(|()| SendBody::from_reader(&mut reader));
                request.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(body.len()));
                agent.run(request)
            }
        };
        ran.map_err(|error| faults::before_the_head(&error, &line))
    };
    let response = match attempt() {
        Err(Fault::StaleConnection) => {
            line.start_over();
            attempt()?
        }
        other => other?,
    };
    let (head, body) = response.into_parts();
    let length = body.content_length();
    Ok(Incoming {
        status: head.status.as_u16(),
        headers: head.headers,
        body: body.into_reader(),
        length,
        line,
        _hook: hook,
    })
}

impl Incoming {
    /// Reads some of the body; 0 is its end.
    ///
    /// # Errors
    /// The fault that ended it; `Truncated` when it ended before its end.
    pub(super) fn read(&mut self, buffer: &mut [u8], bound: Bound) -> Result<usize, Fault> {
        self.line.bind(bound);
        match self.body.read(buffer) {
            // The end of a body without a length may be our own doing.
            Ok(0) if self.line.story().cut => Err(Fault::CallerLeft),
            Ok(amount) => Ok(amount),
            Err(error) => Err(faults::in_the_body(error, &self.line)),
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
        let limit = u64::try_from(HELD_STEP_BYTES).unwrap_or(u64::MAX);
        loop {
            if !held.grow(2 * HELD_STEP_BYTES) {
                return Err(Fault::NoMemory);
            }
            let amount = (&mut self.body)
                .take(limit)
                .read_to_end(body)
                .map_err(|error| faults::in_the_body(error, &self.line))?;
            if body.len() > bytes_max {
                return Err(Fault::AnswerTooLarge);
            }
            if amount < HELD_STEP_BYTES {
                return if self.line.story().cut { Err(Fault::CallerLeft) } else { Ok(()) };
            }
        }
    }

    /// Reads the whole body into `body`, which keeps what came even when it fails.
    ///
    /// # Errors
    /// As [`Incoming::read`]; `AnswerTooLarge` past `bytes_max`.
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
        let reserve = self.length.unwrap_or(0).min(RESERVE_BYTES_MAX) + RESERVE_BYTES_MORE;
        body.reserve(usize::try_from(reserve).unwrap_or(0));
        self.line.bind(bound);
        let mut limited = (&mut self.body).take(limit.saturating_add(1));
        if let Err(error) = limited.read_to_end(body) {
            return Err(faults::in_the_body(error, &self.line));
        }
        if self.line.story().cut {
            return Err(Fault::CallerLeft);
        }
        if body.len() > bytes_max { Err(Fault::AnswerTooLarge) } else { Ok(()) }
    }
}
