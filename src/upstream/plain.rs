//! Plain HTTP/1.1 of our own, over the same sockets as ureq: one request, its answer's head and body.
//!
//! For providers that are asked without TLS and without a proxy: models in the same house. ureq's part of such a call
//! is a third of everything a request costs; what is needed of it here is small. Strict: what is not HTTP/1.1 is
//! garbage. In scope: a request of known length, an answer by length, in chunks or until the end, one kept connection.
//! Out of scope: redirects, codings other than `chunked`, upgrades, retries (that is [`super::http::send`]'s).

use super::agent::HEAD_BYTES_MAX;
use super::faults;
use super::line::Line;
use super::names::Names;
use super::requests::Sending;
use super::shelf::Shelf;
use super::sockets::Sockets;
use super::wait::Waits;
use super::wire::Wire;
use crate::clock::Clock;
use crate::domain::failure::Fault;
use std::io::ErrorKind;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::time::Duration;
use ureq::Error;

/// Fields of an answer's head; as many as ureq takes.
const FIELDS_MAX: usize = 128;
/// The line that says how long a chunk is, its extensions included.
const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;

/// The connections to one provider.
pub(super) struct Plain {
    sockets: Sockets,
    shelf: Shelf<Wire>,
    connect_timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// What an answer's head says of interest.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// The status.
    pub(super) status: u16,
    /// Whether the body is one JSON text.
    pub(super) is_json: bool,
    /// How long it asks us to wait.
    pub(super) waits: Waits,
    /// How long the body is, where it says so.
    pub(super) length: Option<u64>,
    chunked: bool,
    /// Whether the connection serves another call.
    keeps: bool,
}

/// A body under way.
pub(super) struct Body {
    /// `None` once it was given back or closed.
    wire: Option<Wire>,
    framing: Framing,
    keeps: bool,
    line: Arc<Line>,
    plain: Arc<Plain>,
}

/// Where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// After so many bytes.
    Length(u64),
    /// A chunk's line comes next.
    ChunkLine,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// The line break behind a chunk comes next.
    ChunkEnd,
    /// Fields behind the last chunk, of which so many bytes were read.
    Trailer(usize),
    /// With the connection.
    UntilClose,
    Over,
}

impl Plain {
    /// Nothing is connected yet. At most `most` connections rest.
    pub(super) fn new(names: Names, clock: Arc<dyn Clock>, most: usize, connect_timeout: Duration) -> Self {
        let sockets = Sockets { clock: Arc::clone(&clock), names };
        Self { sockets, shelf: Shelf::new(most), connect_timeout, clock }
    }

    /// Sends one request and waits for its answer's head.
    ///
    /// # Errors
    /// The fault of an exchange that came to nothing. Every status is an answer.
    pub(super) fn send(
        self: &Arc<Self>,
        request: &Sending<'_>,
        line: &Arc<Line>,
    ) -> Result<(Heard, Body), Fault> {
        let failed = |error: Error| faults::before_the_head(&error, line);
        let mut wire = self.wire(request, line).map_err(failed)?;
        request.write_head(wire.letter());
        wire.post(request.body()).map_err(failed)?;
        let heard = loop {
            if let Some(heard) = head(&mut wire)? {
                break heard;
            }
            if !wire.hear().map_err(failed)? {
                return Err(failed(Error::Io(ErrorKind::UnexpectedEof.into())));
            }
            line.hear();
        };
        let framing = match (heard.status, heard.length) {
            (204 | 304, _) | (_, Some(0)) => Framing::Over,
            _ if heard.chunked => Framing::ChunkLine,
            (_, Some(length)) => Framing::Length(length),
            (_, None) => Framing::UntilClose,
        };
        let mut body = Body {
            wire: Some(wire),
            framing,
            keeps: heard.keeps,
            line: Arc::clone(line),
            plain: Arc::clone(self),
        };
        if framing == Framing::Over {
            body.end();
        }
        Ok((heard, body))
    }

    /// A connection that rested, or a new one.
    fn wire(&self, request: &Sending<'_>, line: &Arc<Line>) -> Result<Wire, Error> {
        let now = line.begun();
        while let Some(mut wire) = self.shelf.take(now) {
            if wire.serve(Arc::clone(line), now) {
                return Ok(wire);
            }
        }
        self.sockets.dial(request.uri(), self.connect_timeout, line)
    }
}

/// Takes a complete head out of the wire's input; `None` when more must come. Interim answers are passed over.
fn head(wire: &mut Wire) -> Result<Option<Heard>, Fault> {
    loop {
        let input = wire.input();
        let mut table = [const { MaybeUninit::uninit() }; FIELDS_MAX];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let parsed = config.parse_response_with_uninit_headers(&mut response, input, &mut table);
        let used = match parsed {
            Ok(httparse::Status::Complete(used)) if used <= HEAD_BYTES_MAX => used,
            Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(_) => return Err(Fault::AnswerTooLarge),
            Err(_) => return Err(Fault::Garbage),
        };
        let heard = heard(&response)?;
        wire.consume(used);
        match heard.status {
            100 | 102..200 => {}
            // Nobody asked to switch protocols.
            101 => return Err(Fault::Garbage),
            _ => return Ok(Some(heard)),
        }
    }
}

/// Reads the fields that matter (RFC 9112, section 6.3).
fn heard(response: &httparse::Response<'_, '_>) -> Result<Heard, Fault> {
    let status = response.code.ok_or(Fault::Garbage)?;
    let mut heard = Heard { status, keeps: response.version == Some(1), ..Heard::default() };
    let mut coded = false;
    for field in response.headers.iter() {
        let name = field.name;
        let text = || std::str::from_utf8(field.value).unwrap_or_default().trim();
        let lists = |word: &str| text().split(',').any(|item| item.trim().eq_ignore_ascii_case(word));
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                heard.keeps = !lists("close") && (heard.keeps || lists("keep-alive"));
            }
            11 if name.eq_ignore_ascii_case("retry-after") => heard.waits.seconds = Some(text().to_owned()),
            12 if name.eq_ignore_ascii_case("content-type") => heard.is_json = is_json(text()),
            14 if name.eq_ignore_ascii_case("content-length") => {
                let length = digits(field.value).ok_or(Fault::Garbage)?;
                if heard.length.is_some_and(|known| known != length) {
                    return Err(Fault::Garbage);
                }
                heard.length = Some(length);
            }
            14 if name.eq_ignore_ascii_case("retry-after-ms") => {
                heard.waits.milliseconds = Some(text().to_owned())
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                coded = true;
                heard.chunked = text().eq_ignore_ascii_case("chunked");
            }
            _ => {}
        }
    }
    if coded {
        // We take no other coding. The length then means nothing, and who says both is not trusted with another call.
        if !heard.chunked {
            return Err(Fault::Garbage);
        }
        heard.keeps &= heard.length.take().is_none();
    }
    Ok(heard)
}

/// Whether a media type is `application/json`, whatever its parameters.
pub(super) fn is_json(media: &str) -> bool {
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Digits and nothing else.
fn digits(value: &[u8]) -> Option<u64> {
    let number = value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.filter(|_| !value.is_empty())
}

impl Body {
    /// Reads some of it; 0 is its end.
    ///
    /// # Errors
    /// The fault that ended it; `Truncated` when it ended before its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Fault> {
        let piece = self.piece()?;
        let amount = piece.len().min(buffer.len());
        buffer[..amount].copy_from_slice(&piece[..amount]);
        self.took(amount);
        Ok(amount)
    }

    /// Reads some of it, at most this much, to the end of `whole`; 0 is the body's end.
    ///
    /// # Errors
    /// As [`Body::read`].
    pub(super) fn append(&mut self, whole: &mut Vec<u8>, at_most: usize) -> Result<usize, Fault> {
        let piece = self.piece()?;
        let amount = piece.len().min(at_most);
        whole.extend_from_slice(&piece[..amount]);
        self.took(amount);
        Ok(amount)
    }

    /// What is there of the body, once something is; nothing at its end.
    fn piece(&mut self) -> Result<&[u8], Fault> {
        loop {
            let left = match self.framing {
                Framing::Over => return Ok(&[]),
                Framing::Length(left) | Framing::Chunk(left) => left,
                Framing::UntilClose => u64::MAX,
                Framing::ChunkLine | Framing::ChunkEnd | Framing::Trailer(_) => {
                    self.between()?;
                    continue;
                }
            };
            if self.input().is_empty() && !self.more()? {
                // Only a body without a length may end so.
                if self.framing != Framing::UntilClose {
                    return Err(Fault::Truncated);
                }
                self.keeps = false;
                self.end();
                return Ok(&[]);
            }
            let input = self.input();
            let amount = usize::try_from(left).map_or(input.len(), |left| left.min(input.len()));
            // A body may be over before its bytes are taken, never after.
            return Ok(&self.input()[..amount]);
        }
    }

    /// So many bytes of the piece were used.
    fn took(&mut self, amount: usize) {
        if let Some(wire) = &mut self.wire {
            wire.consume(amount);
        }
        let amount = amount as u64;
        match &mut self.framing {
            Framing::Length(left) => {
                *left = left.saturating_sub(amount);
                if *left == 0 {
                    self.end();
                }
            }
            Framing::Chunk(left) => {
                *left = left.saturating_sub(amount);
                if *left == 0 {
                    self.framing = Framing::ChunkEnd;
                }
            }
            _ => {}
        }
    }

    /// Reads what stands between two chunks, or behind the last one (RFC 9112, section 7.1).
    fn between(&mut self) -> Result<(), Fault> {
        let length = self.line_length()?;
        let text = &self.input()[..length];
        let next = match self.framing {
            Framing::ChunkEnd if text.is_empty() => Framing::ChunkLine,
            Framing::ChunkLine => match chunk_size(text).ok_or(Fault::Garbage)? {
                0 => Framing::Trailer(0),
                size => Framing::Chunk(size),
            },
            Framing::Trailer(_) if text.is_empty() => Framing::Over,
            Framing::Trailer(before) if before + length <= HEAD_BYTES_MAX => {
                Framing::Trailer(before + length)
            }
            _ => return Err(Fault::Garbage),
        };
        if let Some(wire) = &mut self.wire {
            wire.consume(length + 2);
        }
        self.framing = next;
        if next == Framing::Over {
            self.end();
        }
        Ok(())
    }

    /// How long the next line is, without its end, once the whole of it is there.
    fn line_length(&mut self) -> Result<usize, Fault> {
        loop {
            let input = self.input();
            if let Some(at) = input.iter().position(|byte| *byte == b'\n') {
                return at.checked_sub(1).filter(|at| input[*at] == b'\r').ok_or(Fault::Garbage);
            }
            if input.len() > CHUNK_LINE_BYTES_MAX {
                return Err(Fault::Garbage);
            }
            if !self.more()? {
                return Err(Fault::Truncated);
            }
        }
    }

    fn input(&self) -> &[u8] {
        self.wire.as_ref().map_or(&[], Wire::input)
    }

    /// Waits for more bytes; false at the connection's end.
    fn more(&mut self) -> Result<bool, Fault> {
        let Some(wire) = &mut self.wire else { return Ok(false) };
        match wire.hear() {
            Ok(false) if self.line.story().cut => Err(Fault::CallerLeft),
            Ok(more) => Ok(more),
            Err(error) => Err(faults::in_the_body(&error, &self.line)),
        }
    }

    /// The body is over: the connection rests, or closes.
    fn end(&mut self) {
        self.framing = Framing::Over;
        let Some(mut wire) = self.wire.take() else { return };
        let now = self.plain.clock.now();
        if self.keeps && wire.input().is_empty() && wire.rest(now) {
            self.plain.shelf.put(wire, now);
        }
    }
}

/// A chunk's size: hexadecimal digits, then at most an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?.trim_ascii_end();
    let size = std::str::from_utf8(size).ok()?;
    let is_hex = size.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex { u64::from_str_radix(size, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunks_size_is_hexadecimal_and_nothing_else() {
        for (line, size) in [("0", Some(0)), ("1F", Some(31)), ("a;b=c", Some(10)), ("a ", Some(10))] {
            assert_eq!(chunk_size(line.as_bytes()), size, "{line}");
        }
        for wrong in ["", "+1", "-1", " 1", "0x1", "1 1", "g", ";a", "10000000000000000"] {
            assert_eq!(chunk_size(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        assert_eq!(digits(b"18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "+1", "-1", "1,1", "1 ", "0x1", "18446744073709551616"] {
            assert_eq!(digits(wrong.as_bytes()), None, "{wrong}");
        }
    }

    fn told(head: &str) -> Result<Heard, Fault> {
        let mut table = [httparse::EMPTY_HEADER; 8];
        let mut response = httparse::Response::new(&mut table);
        assert!(response.parse(head.as_bytes()).expect("it is HTTP").is_complete());
        heard(&response)
    }

    #[test]
    fn a_connection_is_kept_when_both_sides_know_where_the_answer_ends() {
        for (fields, keeps) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 3", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", true),
            ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 3", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 3", false),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3", true),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3", false),
        ] {
            assert_eq!(told(&format!("{fields}\r\n\r\n")).map(|heard| heard.keeps), Ok(keeps), "{fields}");
        }
        for wrong in [
            "content-length: 3\r\ncontent-length: 4",
            "content-length: +3",
            "content-length: ",
            "transfer-encoding: gzip, chunked",
        ] {
            let head = format!("HTTP/1.1 200 OK\r\n{wrong}\r\n\r\n");
            assert_eq!(told(&head).map(|heard| heard.status), Err(Fault::Garbage), "{wrong}");
        }
    }
}
