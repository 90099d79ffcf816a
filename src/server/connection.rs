//! A connection as a value with no socket inside: bytes in, steps out, time as an argument.
//!
//! ```text
//!          feed                 screened               feed
//! Head ─────────▶ Screening ───────────────▶ Body ─────────▶ Serving ─┐
//!  ▲    (Step::Head)            (Step::Wait)     (Step::Request)      │ answered
//!  └──────────────────────────────────────────────────────────────────┘
//! any ─▶ Over, by a refusal, an end or a deadline; then every step is Step::Close
//! ```
//!
//! One request is out at a time: bytes that follow it wait in `buffer` until it is answered.

use super::alike::Before;
use super::body::Decoder;
use super::head::{Parsed, Room, Scan, Understood, glimpse, parse};
use super::incoming::Incoming;
use super::limits::Limits;
use super::message::{Head, Manner, Pass, Request};
use super::refusal::Refusal;
use super::turned::Turned;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What to do next.
#[derive(Debug)]
pub enum Step {
    /// Feed more bytes when they come, or tell of the deadline.
    Wait,
    /// A head is complete: look at [`Connection::head`], then call [`Connection::screened`] or end.
    Head,
    /// Serve this, then call [`Connection::answered`].
    Request(Box<Ready>),
    /// Answer with this, then close.
    Refuse(Refusal),
    /// Close without a word.
    Close,
}

/// A complete request and what its answer must heed.
#[derive(Debug)]
pub struct Ready {
    /// The request.
    pub request: Request,
    /// What the answer must heed.
    pub manner: Manner,
}

/// One caller's connection.
#[derive(Debug)]
pub struct Connection {
    limits: Arc<Limits>,
    peer: IpAddr,
    phase: Phase,
    /// When the present phase began; in `Head`, when its first byte came or the last answer was given.
    since: Instant,
    scan: Scan,
    /// Bytes that are not used yet: of a head, or following a request that is out.
    buffer: Vec<u8>,
    incoming: Option<Incoming>,
    /// What the screening of the present request said.
    pass: Pass,
    /// What was understood of a head that was refused.
    refused: Understood,
    /// The last request's boxes, for the next one.
    spare: Option<Box<Ready>>,
    /// The last complete request, by which the next one's head may be known.
    before: Option<Before>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Screening,
    Body,
    Serving,
    Over,
}

/// Buffers up to this are kept for the next bytes.
const KEEP_BYTES_MAX: usize = 4 << 10;

impl Connection {
    /// A new connection, at `now`.
    #[must_use]
    pub fn new(limits: Arc<Limits>, peer: IpAddr, now: Instant) -> Self {
        Self {
            limits,
            peer,
            phase: Phase::Head,
            since: now,
            scan: Scan::default(),
            buffer: Vec::new(),
            incoming: None,
            pass: Pass::default(),
            refused: Understood::default(),
            spare: None,
            before: None,
        }
    }

    /// Bytes came.
    pub fn feed(&mut self, bytes: &[u8], now: Instant) -> Step {
        match self.phase {
            Phase::Over => Step::Close,
            Phase::Screening | Phase::Serving => {
                self.buffer.extend_from_slice(bytes);
                Step::Wait
            }
            Phase::Body => self.feed_body(bytes, now),
            Phase::Head if self.buffer.is_empty() => {
                if !bytes.is_empty() {
                    self.since = now;
                }
                self.feed_head(bytes, now, true)
            }
            Phase::Head => {
                let mut buffer = std::mem::take(&mut self.buffer);
                buffer.extend_from_slice(bytes);
                self.feed_stored(buffer, now)
            }
        }
    }

    /// The complete head, while it is screened.
    #[must_use]
    pub fn head(&self) -> Option<(&Head, Manner)> {
        self.incoming.as_ref().map(|incoming| (&incoming.parsed.head, incoming.parsed.manner))
    }

    /// Whether the caller waits for `100 Continue`.
    #[must_use]
    pub fn wants_continue(&self) -> bool {
        self.incoming.as_ref().is_some_and(|incoming| {
            let untouched = incoming.body.is_empty() && !incoming.complete && incoming.broken.is_none();
            incoming.parsed.expects_continue && untouched
        })
    }

    /// The head passes the screening with this.
    pub fn passes(&mut self, pass: Pass) {
        self.pass = pass;
    }

    /// The head passed the screening, which took no time worth speaking of.
    pub fn screened(&mut self) -> Step {
        let Some(incoming) = &self.incoming else { return Step::Close };
        if let Some(refusal) = incoming.broken {
            return self.refuse(refusal);
        }
        self.phase = Phase::Body;
        if incoming.complete { self.complete(self.since) } else { Step::Wait }
    }

    /// The request was answered and the connection stays.
    pub fn answered(&mut self, now: Instant) -> Step {
        if self.phase == Phase::Over {
            return Step::Close;
        }
        self.phase = Phase::Head;
        self.since = now;
        self.scan = Scan::default();
        self.incoming = None;
        self.refused = Understood::default();
        if self.buffer.is_empty() {
            self.buffer = Vec::new();
            return Step::Wait;
        }
        let buffer = std::mem::take(&mut self.buffer);
        self.feed_stored(buffer, now)
    }

    /// A request is over: its boxes serve the next one, unless they are large.
    pub fn reuse(&mut self, mut over: Box<Ready>) {
        over.request.body = Vec::new();
        if over.request.headers.held() <= KEEP_BYTES_MAX {
            self.spare = Some(over);
        }
    }

    /// When [`Connection::expired`] is due.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match self.phase {
            Phase::Head if self.buffer.is_empty() => Some(self.since + self.limits.idle_timeout),
            Phase::Head => Some(self.since + self.limits.header_timeout),
            Phase::Body => {
                let received = self.incoming.as_ref().map_or(0, |incoming| incoming.body.len()) as u64;
                let earned = received / self.limits.body_bytes_per_second_min.max(1);
                let slowest = self.limits.body_grace + Duration::from_secs(earned);
                Some(self.since + slowest.min(self.limits.body_timeout))
            }
            Phase::Screening | Phase::Serving | Phase::Over => None,
        }
    }

    /// The deadline passed.
    pub fn expired(&mut self) -> Step {
        if self.is_idle() || self.phase == Phase::Over {
            return Step::Close;
        }
        if self.phase == Phase::Head {
            self.refused = glimpse(&self.buffer, &self.limits);
        }
        self.refuse(Refusal::TooSlow)
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.phase == Phase::Head && self.buffer.is_empty()
    }

    /// What is known of the request under way, for who refuses it, and the manner of the connection's last answer.
    #[must_use]
    pub fn understood(&self) -> (Turned<'_>, Manner) {
        if let Some(Incoming { parsed: Parsed { head, manner, .. }, .. }) = &self.incoming {
            return (Turned::head(head, self.since), Manner { keep_alive: false, ..*manner });
        }
        let Understood { method, path, headers, head_only } = &self.refused;
        let turned = Turned {
            method: method.as_deref().unwrap_or_default(),
            path: path.as_deref(),
            headers,
            peer: self.peer,
            received: self.since,
        };
        (turned, Manner { head_only: *head_only, ..Manner::LAST })
    }

    /// Bytes of memory held for this connection.
    #[must_use]
    pub fn held(&self) -> usize {
        self.buffer.capacity() + self.incoming.as_ref().map_or(0, Incoming::held)
    }

    /// Where the next bytes of a large body may be put without a detour; then call [`Connection::filled`].
    pub fn room(&mut self) -> Option<&mut Vec<u8>> {
        if self.phase != Phase::Body {
            return None;
        }
        self.incoming.as_mut()?.room()
    }

    /// So many bytes were appended to [`Connection::room`].
    pub fn filled(&mut self, count: usize, now: Instant) -> Step {
        let Some(incoming) = &mut self.incoming else { return Step::Close };
        if let Decoder::Length(missing) = &mut incoming.decoder {
            let whole = usize::try_from(*missing).unwrap_or(usize::MAX);
            if count > whole {
                let end = incoming.body.len() - (count - whole);
                self.buffer = incoming.body.split_off(end);
            }
            *missing -= count.min(whole) as u64;
            incoming.complete = *missing == 0;
        }
        if incoming.complete { self.complete(now) } else { Step::Wait }
    }

    /// The buffer was taken out to be looked at; an incomplete head goes back.
    fn feed_stored(&mut self, buffer: Vec<u8>, now: Instant) -> Step {
        let step = self.feed_head(&buffer, now, false);
        if self.phase == Phase::Head {
            self.buffer = buffer;
        }
        step
    }

    /// `bytes` begin with the head's first byte. What is left over is stored; an incomplete head only when `fresh`.
    fn feed_head(&mut self, bytes: &[u8], now: Instant, fresh: bool) -> Step {
        let found = match self.known(bytes) {
            Some(found) => Ok(Some(found)),
            None => self.parsed(bytes),
        };
        let (length_of_head, parsed) = match found {
            Ok(Some(found)) => found,
            Ok(None) => {
                if fresh {
                    self.buffer.extend_from_slice(bytes);
                }
                return Step::Wait;
            }
            Err(refusal) => return self.refuse(refusal),
        };
        let decoder = Decoder::new(parsed.framing);
        let mut incoming = Incoming { parsed, decoder, body: Vec::new(), complete: false, broken: None };
        let bytes = &bytes[length_of_head..];
        incoming.room_for(bytes.len());
        let rest = incoming.take(bytes, &self.limits);
        self.buffer.extend_from_slice(rest);
        self.phase = Phase::Screening;
        self.since = now;
        self.incoming = Some(incoming);
        Step::Head
    }

    /// A head that is the last one again.
    fn known(&mut self, bytes: &[u8]) -> Option<(usize, Parsed)> {
        let found = self.before.as_ref()?.again(bytes, self.spare.as_mut()?, &self.limits)?;
        self.refused.head_only = found.1.manner.head_only;
        Some(found)
    }

    /// A head, if it is complete.
    fn parsed(&mut self, bytes: &[u8]) -> Result<Option<(usize, Parsed)>, Refusal> {
        let end = self.scan.advance(bytes, &self.limits).inspect_err(|refusal| {
            if *refusal == Refusal::HeaderTooLarge {
                self.refused = glimpse(bytes, &self.limits);
            }
        });
        let Some(length) = end? else { return Ok(None) };
        let room = self.spare.as_mut().map_or_else(Room::default, |spare| Room {
            path: std::mem::take(&mut spare.request.path),
            headers: std::mem::take(&mut spare.request.headers),
            pass: spare.request.pass,
        });
        let parsed = parse(&bytes[..length], self.peer, &self.limits, (&mut self.refused, room))?;
        Ok(Some((length, parsed)))
    }

    fn feed_body(&mut self, bytes: &[u8], now: Instant) -> Step {
        let Some(incoming) = &mut self.incoming else { return Step::Close };
        let rest = incoming.take(bytes, &self.limits);
        self.buffer.extend_from_slice(rest);
        match (incoming.broken, incoming.complete) {
            (Some(refusal), _) => self.refuse(refusal),
            (None, true) => self.complete(now),
            (None, false) => Step::Wait,
        }
    }

    fn complete(&mut self, now: Instant) -> Step {
        let Some(Incoming { parsed, body, .. }) = self.incoming.take() else { return Step::Close };
        self.phase = Phase::Serving;
        if self.buffer.capacity() > KEEP_BYTES_MAX && self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        let pass = std::mem::take(&mut self.pass);
        self.before = Before::of(&parsed);
        let Parsed { head: Head { method, path, query, headers, peer, .. }, manner, .. } = parsed;
        let request = Request { method, path, query, headers, body, peer, received: now, pass };
        let ready = Ready { request, manner };
        Step::Request(match self.spare.take() {
            Some(mut spare) => {
                *spare = ready;
                spare
            }
            None => Box::new(ready),
        })
    }

    fn refuse(&mut self, refusal: Refusal) -> Step {
        self.phase = Phase::Over;
        self.buffer = Vec::new();
        if let Some(Incoming { parsed: Parsed { head, manner, .. }, .. }) = self.incoming.take() {
            let Head { method, path, headers, .. } = head;
            let head_only = manner.head_only;
            self.refused = Understood { method: Some(method), path: Some(path), headers, head_only };
        }
        Step::Refuse(refusal)
    }
}

#[cfg(test)]
mod tests;
