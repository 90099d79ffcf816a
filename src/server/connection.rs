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

use super::body::{Decoder, Framing};
use super::head::{Parsed, Room, Scan, Understood, parse};
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
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Head,
    Screening,
    Body,
    Serving,
    Over,
}

/// A request on its way in.
#[derive(Debug)]
struct Incoming {
    parsed: Parsed,
    decoder: Decoder,
    body: Vec<u8>,
    complete: bool,
    /// A refusal found in bytes that came with the head; told after the screening.
    broken: Option<Refusal>,
}

/// Buffers up to this are kept for the next bytes.
const KEEP_BYTES_MAX: usize = 4 << 10;
/// A body's room grows from this, doubling, up to its length: what is only announced costs nothing.
const BODY_ROOM_MIN: usize = 16 << 10;

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
        let idle = self.is_idle();
        if idle || self.phase == Phase::Over { Step::Close } else { self.refuse(Refusal::TooSlow) }
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
        self.buffer.capacity() + self.incoming.as_ref().map_or(0, |incoming| incoming.body.capacity())
    }

    /// Where the next bytes of a large body may be put without a detour; then call [`Connection::filled`].
    pub fn room(&mut self) -> Option<&mut Vec<u8>> {
        if self.phase != Phase::Body {
            return None;
        }
        let incoming = self.incoming.as_mut()?;
        let Decoder::Length(missing) = incoming.decoder else { return None };
        let missing = usize::try_from(missing).ok()?;
        let body = &mut incoming.body;
        if body.capacity() == body.len() {
            body.reserve_exact(missing.min(body.len().max(BODY_ROOM_MIN)));
        }
        Some(body)
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
        let length_of_head = match self.scan.advance(bytes, &self.limits) {
            Ok(Some(length)) => length,
            Ok(None) => {
                if fresh {
                    self.buffer.extend_from_slice(bytes);
                }
                return Step::Wait;
            }
            Err(refusal) => return self.refuse(refusal),
        };
        let room = self.spare.as_mut().map_or_else(Room::default, |spare| Room {
            path: std::mem::take(&mut spare.request.path),
            headers: std::mem::take(&mut spare.request.headers),
        });
        let head = &bytes[..length_of_head];
        let parsed = match parse(head, self.peer, &self.limits, (&mut self.refused, room)) {
            Ok(parsed) => parsed,
            Err(refusal) => return self.refuse(refusal),
        };
        let decoder = Decoder::new(parsed.framing);
        let room = match parsed.framing {
            Framing::Length(length) => {
                let present = bytes.len() - length_of_head;
                usize::try_from(length).unwrap_or(0).min(present * 2)
            }
            Framing::Chunked => 0,
        };
        let body = Vec::with_capacity(room);
        let mut incoming = Incoming { parsed, decoder, body, complete: false, broken: None };
        let rest = incoming.take(&bytes[length_of_head..], &self.limits);
        self.buffer.extend_from_slice(rest);
        self.phase = Phase::Screening;
        self.since = now;
        self.incoming = Some(incoming);
        Step::Head
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
        let Some(Incoming { parsed: Parsed { head, manner, .. }, body, .. }) = self.incoming.take() else {
            return Step::Close;
        };
        self.phase = Phase::Serving;
        if self.buffer.capacity() > KEEP_BYTES_MAX && self.buffer.is_empty() {
            self.buffer = Vec::new();
        }
        let Head { method, path, query, headers, peer, .. } = head;
        let pass = std::mem::take(&mut self.pass);
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

impl Incoming {
    /// Takes the body's part of `bytes`; what follows the body is left.
    fn take<'a>(&mut self, bytes: &'a [u8], limits: &Limits) -> &'a [u8] {
        match self.decoder.take(bytes, &mut self.body, limits) {
            Ok((used, complete)) => {
                self.complete = complete;
                &bytes[used..]
            }
            Err(refusal) => {
                self.broken = Some(refusal);
                &[]
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};

    /// What a connection made of some bytes: requests as `METHOD path body`, then a status or nothing.
    #[derive(Debug, PartialEq, Eq)]
    struct Story(Vec<String>, Option<u16>);

    fn connection(limits: &Limits) -> (Connection, ManualClock) {
        let clock = ManualClock::new();
        let peer = IpAddr::from([127, 0, 0, 1]);
        (Connection::new(Arc::new(limits.clone()), peer, clock.now()), clock)
    }

    fn told(pieces: &[&[u8]], limits: &Limits) -> Story {
        let (mut connection, clock) = connection(limits);
        let now = clock.now();
        let mut requests = Vec::new();
        for piece in pieces {
            let mut step = connection.feed(piece, now);
            loop {
                step = match step {
                    Step::Wait => break,
                    Step::Head => connection.screened(),
                    Step::Request(ready) => {
                        let Request { method, path, body, .. } = ready.request;
                        requests.push(format!("{method} {path} {}", body.escape_ascii()));
                        connection.answered(now)
                    }
                    Step::Refuse(refusal) => return Story(requests, Some(refusal.status())),
                    Step::Close => return Story(requests, Some(0)),
                };
            }
        }
        Story(requests, None)
    }

    /// Whole and byte by byte must come to the same.
    fn story_within(wire: &str, limits: &Limits) -> Story {
        let whole = told(&[wire.as_bytes()], limits);
        let pieces: Vec<&[u8]> = wire.as_bytes().chunks(1).collect();
        assert_eq!(whole, told(&pieces, limits), "{}", wire.escape_default());
        whole
    }

    fn story(wire: &str) -> Story {
        story_within(wire, &Limits::default())
    }

    fn refused(wire: &str) -> Option<u16> {
        let Story(requests, status) = story(wire);
        assert!(requests.is_empty(), "{}", wire.escape_default());
        status
    }

    #[test]
    fn pipelined_requests_come_out_one_by_one_in_order() {
        let wire = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
                    POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\
                    \r\nHEAD /d?e HTTP/1.0\r\n\r\n";
        let requests = ["GET /a ", "POST /b hello", "POST /c hi", "HEAD /d "].map(str::to_owned).to_vec();
        assert_eq!(story(wire), Story(requests, None));
    }

    #[test]
    fn what_is_not_http_is_refused_as_soon_as_it_shows() {
        for (wire, status) in [
            ("GET /\r\n", 400),
            ("GET / HTTP/1.2\r\n", 505),
            ("GET / HTTP/2.0\r\n", 505),
            ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
            ("\u{16}\u{3}\u{1}\u{2}\0\u{1}", 400),
            ("CONNECT x:443 HTTP/1.1\r\n", 405),
            ("GET / HTTP/1.1 x\r\n", 400),
            ("GET / HTTP/1.10\r\n", 400),
            ("GET / http/1.1\r\n", 400),
            ("GET  / HTTP/1.1\r\n", 400),
            ("GET\t/ HTTP/1.1\r\n", 400),
            (" GET / HTTP/1.1\r\n", 400),
            ("\r\n\r\n", 400),
            ("G(T / HTTP/1.1\r\n", 400),
            ("\nGET / HTTP/1.1\r\n", 400),
            ("GET / HTTP/1.1\n", 400),
            ("GET / HTTP/1.1\r\r\n", 400),
        ] {
            assert_eq!(refused(wire), Some(status), "{}", wire.escape_default());
        }
        assert_eq!(refused(&format!("{} / HTTP/1.1\r\n", "X".repeat(33))), Some(501));
    }

    #[test]
    fn broken_fields_are_refused() {
        for field in [
            "Host: x\nA: b",
            "Host: x\rA: b",
            "A: \0",
            "A: \u{1}",
            "A: \u{7f}",
            "A: b\r\n c",
            "A : b",
            " A: b",
            ": b",
            "A b",
            "Host: y",
            "A\u{e4}: b",
            "Transfer-Encoding: chunked\r\nContent-Length: 3",
            "Content-Length: +3",
            "Content-Length: -1",
            "Content-Length: 3, 3",
            "Content-Length: abc",
            "Content-Length: ",
            "Content-Length: 9223372036854775808",
            "Content-Length: 99999999999999999999",
            "Content-Length: 0\r\nContent-Length: 0",
            "Content-Length: 0x3",
            "Content-Length: 1 2",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
        ] {
            let wire = format!("POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
            assert_eq!(refused(&wire), Some(400), "{}", wire.escape_default());
        }
        for (field, status) in [
            ("Transfer-Encoding: gzip, chunked", 501),
            ("Transfer-Encoding: chunked, chunked", 501),
            ("Transfer-Encoding: identity", 501),
            ("Transfer-Encoding: xchunked", 501),
            ("Content-Encoding: gzip", 415),
            ("Expect: a-pony", 417),
            ("Content-Length: 16777217", 413),
        ] {
            let wire = format!("POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
            assert_eq!(refused(&wire), Some(status), "{field}");
        }
        for host in ["", "Host:\r\n", "Host: a/b\r\n", "Host: a@b\r\n", "Host: a b\r\n"] {
            assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{host}\r\n")), Some(400), "{host}");
        }
        assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Some(400));
    }

    #[test]
    fn each_limit_holds_one_past_it() {
        let limits =
            Limits { header_bytes_max: 100, headers_max: 3, target_bytes_max: 20, ..Limits::default() };
        let head = |length: usize| {
            let frame = "GET / HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n".len();
            format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(length - frame))
        };
        assert_eq!(story_within(&head(100), &limits), Story(vec!["GET / ".to_owned()], None));
        assert_eq!(story_within(&head(101), &limits).1, Some(431));
        let fields =
            |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
        assert_eq!(story_within(&fields(3), &limits).1, None);
        assert_eq!(story_within(&fields(4), &limits).1, Some(431));
        let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(length - 1));
        assert_eq!(story_within(&target(20), &limits).1, None);
        assert_eq!(story_within(&target(21), &limits).1, Some(414));
        let limits = Limits { target_bytes_max: 20, ..Limits::default() };
        assert_eq!(story_within(&"x".repeat(70), &limits).1, Some(414));
        let limits = Limits { body_bytes_max: 3, ..Limits::default() };
        let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(story_within(&format!("{chunked}3\r\nabc\r\n0\r\n\r\n"), &limits).1, None);
        assert_eq!(story_within(&format!("{chunked}4\r\n"), &limits).1, Some(413));
    }

    #[test]
    fn every_phase_has_a_deadline_of_its_own() {
        let limits = Limits::default();
        let (mut connection, clock) = connection(&limits);
        let begun = clock.now();
        assert_eq!(connection.deadline(), Some(begun + limits.idle_timeout));
        clock.advance(Duration::from_secs(5));
        let _ = connection.feed(b"POST / HTTP/1.1\r\nHost: x\r\n", clock.now());
        let first_byte = clock.now();
        clock.advance(Duration::from_secs(5));
        let _ = connection.feed(b"Content-Length: 100000\r\n", clock.now());
        assert_eq!(connection.deadline(), Some(first_byte + limits.header_timeout));
        assert!(matches!(connection.feed(b"\r\n", clock.now()), Step::Head));
        assert!(matches!(connection.screened(), Step::Wait));
        let head_complete = clock.now();
        assert_eq!(connection.deadline(), Some(head_complete + limits.body_grace));
        let _ = connection.feed(&[b'x'; 2048], clock.now());
        assert_eq!(connection.deadline(), Some(head_complete + limits.body_grace + Duration::from_secs(2)));
        let _ = connection.feed(&[b'x'; 60_000], clock.now());
        assert_eq!(connection.deadline(), Some(head_complete + limits.body_timeout));
        assert!(matches!(connection.expired(), Step::Refuse(Refusal::TooSlow)));
        assert!(matches!(connection.feed(b"x", clock.now()), Step::Close));
    }

    #[test]
    fn a_large_body_goes_straight_into_its_place_and_costs_only_what_has_come() {
        let (mut connection, clock) = connection(&Limits::default());
        let now = clock.now();
        let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n";
        assert!(matches!(connection.feed(head, now), Step::Head));
        assert!(matches!(connection.screened(), Step::Wait));
        assert!(connection.held() < 1024);
        let mut sent = 0;
        let step = loop {
            let room = connection.room().expect("a body is under way");
            let count = (room.capacity() - room.len()).min(100_000);
            room.extend(std::iter::repeat_n(b'x', count));
            sent += count;
            match connection.filled(count, now) {
                Step::Wait => assert!(connection.held() <= (2 * sent).max(32 << 10)),
                step => break step,
            }
        };
        let Step::Request(ready) = step else { panic!("complete, so a request") };
        assert_eq!(ready.request.body.len(), 16_000_000);
        assert!(matches!(connection.answered(now), Step::Wait));
        assert_eq!(connection.held(), 0);
    }
}
