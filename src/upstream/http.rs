//! One HTTP exchange: send, wait for the head, read the body within bounds. Knows nothing of dialects.
//!
//! Two ways lead to a provider: ureq, which speaks TLS and through proxies, and for plain HTTP a short one of our own.

use super::agent;
use super::faults;
use super::line::{Bound, Dialling, Line};
use super::names::Names;
use super::plain::{self, Plain};
use super::reply::is_json;
use super::requests::Sending;
use super::wait::Waits;
use crate::clock::Clock;
use crate::config::Provider;
use crate::domain::failure::Fault;
use crate::gateway::cancel::{Cancel, Heed, Hook};
use crate::memory::Held;
use std::io::Read;
use std::sync::Arc;
use std::time::Instant;
use ureq::http::header::{CONTENT_TYPE, TRANSFER_ENCODING};
use ureq::http::{HeaderMap, Version};
use ureq::{Agent, BodyReader, Error, SendBody};

/// What is reserved for a body on the word of its `Content-Length`.
const RESERVE_BYTES_MAX: u64 = 1024 * 1024;
/// What is taken at once of a body that ureq reads.
const READ_BYTES: usize = 4 * 1024;
/// Steps in which a body grows and is counted.
const HELD_STEP_BYTES: usize = 64 * 1024;
/// Beyond the body, so that its end can be read without growing.
const RESERVE_BYTES_MORE: u64 = 64;

/// How calls to one provider go.
pub(super) enum Way {
    /// Over sockets of our own.
    Plain(Arc<Plain>),
    /// With TLS, or through a proxy.
    Ureq(Agent),
}

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
    body: Body,
    length: Option<u64>,
    line: Arc<Line>,
    _hook: Hook,
}

enum Body {
    Plain(Box<plain::Body>),
    /// And where its pieces are put.
    Ureq(Box<BodyReader<'static>>, Vec<u8>),
}

impl Way {
    /// The way to this provider; nothing is connected yet.
    ///
    /// # Errors
    /// A proxy that cannot be used, a CA file that cannot be read.
    pub(super) fn to(settings: &Provider, names: Names, clock: Arc<dyn Clock>) -> Result<Self, String> {
        // A name and a password before the host are ureq's business.
        let is_plain = settings.base_url.starts_with("http://") && !settings.base_url.contains('@');
        if is_plain && settings.proxy.is_none() {
            // A CA file that cannot be read is a mistake even where it is not needed.
            agent::check(settings)?;
            let plain = Plain::new(names, clock, settings.max_concurrency, settings.connect_timeout);
            return Ok(Self::Plain(Arc::new(plain)));
        }
        agent::build(settings, names, clock).map(Self::Ureq)
    }

    fn ask(&self, request: &Sending<'_>, line: &Arc<Line>) -> Result<Answered, Fault> {
        match self {
            Self::Plain(plain) => plain.send(request, line).map(|(head, body)| Answered {
                status: head.status,
                is_json: head.is_json,
                waits: head.waits,
                length: head.length,
                body: Body::Plain(body),
            }),
            Self::Ureq(agent) => through_ureq(agent, request, line),
        }
    }
}

/// A function of its own, so that who waits on the plain way does not keep ureq's stack.
#[inline(never)]
fn through_ureq(agent: &Agent, request: &Sending<'_>, line: &Arc<Line>) -> Result<Answered, Fault> {
    let _dialling: Dialling = line.dial();
    let run = match request.body() {
        None => agent.run(request.for_ureq()),
        Some(body) => {
            let mut reader = body.reader();
            agent.run(request.for_ureq().map(|()| SendBody::from_reader(&mut reader)))
        }
    };
    let (head, body) = run.map_err(|error| faults::before_the_head(&error, line))?.into_parts();
    if !is_framed(head.version, &head.headers) {
        return Err(Fault::Garbage);
    }
    Ok(Answered {
        status: head.status.as_u16(),
        is_json: says_json(&head.headers),
        waits: Waits::of(&head.headers),
        length: body.content_length(),
        body: Body::Ureq(Box::new(body.into_reader()), Vec::new()),
    })
}

/// What both ways come to.
struct Answered {
    status: u16,
    is_json: bool,
    waits: Waits,
    length: Option<u64>,
    body: Body,
}

/// Whether the body is framed in a way that cannot be read in two: ureq takes any list that has `chunked` in it, and goes
/// by the length when it is not there.
fn is_framed(version: Version, headers: &HeaderMap) -> bool {
    let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
    match (codings.next(), codings.next()) {
        (None, _) => true,
        (Some(only), None) => version == Version::HTTP_11 && only.as_bytes().eq_ignore_ascii_case(b"chunked"),
        (Some(_), Some(_)) => false,
    }
}

fn says_json(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(is_json)
}

/// Sends a request and waits for the head, until `bound`. A kept connection that proves dead before a first byte is
/// replaced once, at once and silently.
///
/// # Errors
/// The fault of an exchange that came to nothing. Every status is an answer.
pub(super) fn send(
    way: &Way,
    (clock, now): (&Arc<dyn Clock>, Instant),
    cancel: &Arc<Cancel>,
    bound: Bound,
    request: &Sending<'_>,
) -> Result<Box<Incoming>, Fault> {
    let line = Line::new(Arc::clone(clock), bound, now);
    let hook = cancel.on_fire(Arc::clone(&line) as Arc<dyn Heed>);
    let mut again = true;
    let answered = loop {
        match way.ask(request, &line) {
            Err(Fault::StaleConnection) if std::mem::take(&mut again) => line.start_over(),
            other => break other?,
        }
    };
    Ok(incoming(answered, line, hook))
}

/// Boxed: it is handed up through five levels, and each would have its own copy on the stack of who waits.
#[inline(never)]
fn incoming(answered: Answered, line: Arc<Line>, hook: Hook) -> Box<Incoming> {
    let Answered { status, is_json, waits, length, body } = answered;
    Box::new(Incoming { status, is_json, waits, body, length, line, _hook: hook })
}

impl Body {
    /// Hands some of it to `take`, from where it was received; how much, 0 at its end.
    fn hand(&mut self, take: &mut dyn FnMut(&[u8]), line: &Line) -> Result<usize, Fault> {
        match self {
            Self::Plain(body) => body.hand(take),
            Self::Ureq(body, room) => {
                room.resize(READ_BYTES, 0);
                let amount =
                    body.read(room).map_err(|error| faults::in_the_body(&Error::from(error), line))?;
                take(&room[..amount]);
                Ok(amount)
            }
        }
    }

    /// Hands on what is there of it without waiting; `None`: nothing, as far as can be told.
    fn at_hand(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<Option<usize>, Fault> {
        match self {
            Self::Plain(body) => body.at_hand(take),
            Self::Ureq(..) => Ok(None),
        }
    }

    /// Appends up to this much of it to `whole`; less only at its end. `whole` keeps what came even when it fails.
    fn append(&mut self, whole: &mut Vec<u8>, at_most: usize, line: &Line) -> Result<usize, Fault> {
        match self {
            Self::Plain(body) => {
                let mut amount = 0;
                while amount < at_most {
                    match body.append(whole, at_most - amount)? {
                        0 => break,
                        more => amount += more,
                    }
                }
                Ok(amount)
            }
            Self::Ureq(body, _) => {
                let limit = u64::try_from(at_most).unwrap_or(u64::MAX);
                let read = body.by_ref().take(limit).read_to_end(whole);
                read.map_err(|error| faults::in_the_body(&Error::from(error), line))
            }
        }
    }
}

impl Incoming {
    /// Hands some of the body to `take`; how much, 0 at its end. The bound's wait begins now, if that is known.
    ///
    /// # Errors
    /// The fault that ended it; `Truncated` when it ended before its end.
    pub(super) fn hand(
        &mut self,
        take: &mut dyn FnMut(&[u8]),
        (bound, now): (Bound, Option<Instant>),
    ) -> Result<usize, Fault> {
        self.line.bind_from(bound, now);
        match self.body.hand(take, &self.line) {
            // The end of a body without a length may be our own doing.
            Ok(0) if self.line.was_cut() => Err(Fault::CallerLeft),
            other => other,
        }
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
            let amount = self.body.append(body, HELD_STEP_BYTES, &self.line)?;
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
        self.body.append(body, bytes_max.saturating_add(1), &self.line)?;
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
