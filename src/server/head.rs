//! A request's head: found in the bytes, checked where the parser is lenient, parsed once.
//!
//! In scope: the request line, the fields, how the body is framed, whether the connection stays.
//! Out of scope: sockets, time, bodies.

use super::body::{Framing, is_token};
use super::limits::{HEADERS_CEILING, Limits};
use super::message::{Head, Headers, Manner, Method, Pass, Span};
use super::refusal::Refusal;
use super::target::{is_host, normal_form_in};
use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::ops::Range;

/// Looks for a head's end, and goes on where it stopped when more bytes have come.
#[derive(Debug, Default, Clone, Copy)]
pub struct Scan {
    /// Bytes before this one are fine.
    at: usize,
    /// Where the present line began.
    line: usize,
    /// The request line is complete and fine.
    first: bool,
}

impl Scan {
    /// Checks `bytes`, which begin with the head's first byte and only ever grow; its length when it is complete.
    ///
    /// # Errors
    /// As soon as no further byte could make it right.
    pub fn advance(&mut self, bytes: &[u8], limits: &Limits) -> Result<Option<usize>, Refusal> {
        let visible = bytes.len().min(limits.header_bytes_max);
        let first_line_max = limits.target_bytes_max + METHOD_BYTES_MAX + " HTTP/1.1 ".len();
        while let Some(found) = control(&bytes[self.at..visible]) {
            let at = self.at + found;
            // Whether more of the line has already come must not matter.
            if !self.first && at > first_line_max {
                return Err(Refusal::TargetTooLong);
            }
            match bytes[at] {
                b'\t' => self.at = at + 1,
                b'\r' => match bytes.get(at + 1) {
                    Some(b'\n') if at + 2 <= limits.header_bytes_max => {
                        if self.end_of_line(bytes, at, limits)? {
                            return Ok(Some(at + 2));
                        }
                    }
                    Some(b'\n') => return Err(Refusal::HeaderTooLarge),
                    Some(_) => return Err(Refusal::Malformed("a carriage return without its line feed")),
                    None => {
                        self.at = at;
                        return Ok(None);
                    }
                },
                b'\n' => return Err(Refusal::Malformed("a line feed without its carriage return")),
                _ => return Err(Refusal::Malformed("a control character in the head")),
            }
        }
        self.at = visible;
        if !self.first && visible > first_line_max {
            return Err(Refusal::TargetTooLong);
        }
        if bytes.len() >= limits.header_bytes_max { Err(Refusal::HeaderTooLarge) } else { Ok(None) }
    }

    /// The line that ends before `at` is complete; true when it is the empty one.
    fn end_of_line(&mut self, bytes: &[u8], at: usize, limits: &Limits) -> Result<bool, Refusal> {
        let line = &bytes[self.line..at];
        self.at = at + 2;
        self.line = self.at;
        if !self.first && at == 0 {
            // RFC 9112, section 2.2: one empty line before the request line is forgiven; the parser skips it too.
        } else if !self.first {
            self.first = true;
            check_request_line(line, limits)?;
        } else if line.is_empty() {
            return Ok(true);
        } else if line[0] == b' ' || line[0] == b'\t' {
            return Err(Refusal::Malformed("a header line begins with a blank"));
        }
        Ok(false)
    }
}

/// Where the first control character is. Whole blocks are judged at once, in a form the compiler turns into vector
/// instructions.
fn control(bytes: &[u8]) -> Option<usize> {
    let is_control = |byte: &u8| *byte < b' ' || *byte == 0x7f;
    let (blocks, _) = bytes.as_chunks::<16>();
    let quiet = |block: &&[u8; 16]| !block.iter().fold(false, |any, byte| any | is_control(byte));
    let at = blocks.iter().take_while(quiet).count() * 16;
    bytes[at..].iter().position(is_control).map(|ahead| at + ahead)
}

/// Longer methods are none of ours.
const METHOD_BYTES_MAX: usize = 32;

/// RFC 9112, section 3: three parts, one blank between them, nothing else.
fn check_request_line(line: &[u8], limits: &Limits) -> Result<(), Refusal> {
    const WRONG: Refusal = Refusal::Malformed("the request line must be: method, target, HTTP/1.1");
    let mut parts = line.split(|byte| *byte == b' ');
    let (Some(method), Some(target), Some(version), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(WRONG);
    };
    if method.is_empty() || target.is_empty() || !method.iter().all(|byte| is_token(*byte)) {
        return Err(WRONG);
    }
    match version {
        b"HTTP/1.1" | b"HTTP/1.0" => {}
        [b'H', b'T', b'T', b'P', b'/', major, b'.', minor]
            if major.is_ascii_digit() && minor.is_ascii_digit() =>
        {
            return Err(Refusal::UnsupportedVersion);
        }
        _ => return Err(WRONG),
    }
    if method.len() > METHOD_BYTES_MAX {
        return Err(Refusal::NotImplemented);
    }
    if target.len() > limits.target_bytes_max {
        return Err(Refusal::TargetTooLong);
    }
    if method == b"CONNECT" { Err(Refusal::MethodNotAllowed) } else { Ok(()) }
}

/// A head and what it says about the rest of the conversation.
#[derive(Debug)]
pub struct Parsed {
    /// The head.
    pub head: Head,
    /// How the body ends.
    pub framing: Framing,
    /// What the answer must heed.
    pub manner: Manner,
    /// The caller waits for `100 Continue` before it sends the body.
    pub expects_continue: bool,
    /// Where in the head the digits of its `Content-Length` stand.
    pub digits: Option<Range<usize>>,
}

/// What the answer to a refused head needs to know of it.
#[derive(Debug, Default)]
pub struct Understood {
    /// The method.
    pub method: Option<Method>,
    /// The target's path in its normal form, or as it came when it has none.
    pub path: Option<String>,
    /// The header fields.
    pub headers: Headers,
    /// HEAD: the answer has no body.
    pub head_only: bool,
}

/// Fields by which a caller shows who he is: what the screening said of them holds as long as they are the same.
const CREDENTIALS: [&str; 2] = ["authorization", "x-api-key"];

/// What a head is put in: fresh, or that of a request that is over.
#[derive(Debug, Default)]
pub struct Room {
    pub(super) path: String,
    pub(super) headers: Headers,
    /// What its screening said.
    pub(super) pass: Pass,
}

/// Parses a complete head, as found by [`Scan`]. When it is refused, `understood` receives as much as was.
///
/// # Errors
/// When it breaks a rule of RFC 9112 or exceeds a limit.
pub fn parse(
    bytes: &[u8],
    peer: IpAddr,
    limits: &Limits,
    (understood, room): (&mut Understood, Room),
) -> Result<Parsed, Refusal> {
    let mut table = [const { MaybeUninit::uninit() }; HEADERS_CEILING];
    let mut request = httparse::Request::new(&mut []);
    match request.parse_with_uninit_headers(bytes, &mut table) {
        Ok(httparse::Status::Complete(length)) if length == bytes.len() => {}
        Err(httparse::Error::TooManyHeaders) => {
            *understood = glimpse(bytes, limits);
            return Err(Refusal::TooManyHeaders);
        }
        Err(httparse::Error::HeaderName) => return Err(Refusal::Malformed("a header's name is not a token")),
        _ => return Err(Refusal::Malformed("the head is not HTTP/1.1")),
    }
    let method = request.method.unwrap_or_default();
    understood.head_only = method == "HEAD";
    let raw = request.path.unwrap_or_default();
    let target = normal_form_in(room.path, method, raw.as_bytes()).inspect_err(|_| {
        understood.method = Some(Method::from(method));
        understood.path = raw.split('?').next().map(str::to_owned);
    })?;
    let old = request.version == Some(0);
    let mut headers = room.headers;
    let is_known = headers.show_the_same(&CREDENTIALS, request.headers);
    let known = if is_known { room.pass } else { Pass::default() };
    let (facts, framing) = match fields(bytes, request.headers, (old, limits), &mut headers) {
        Ok(fields) => fields,
        Err(refusal) => {
            let (method, path) = (Some(Method::from(method)), Some(target.path));
            *understood = Understood { method, path, headers, head_only: understood.head_only };
            return Err(refusal);
        }
    };
    let content_length = match framing {
        Framing::Length(length) => Some(length),
        Framing::Chunked => None,
    };
    let manner = Manner {
        keep_alive: !facts.close && (!old || facts.keep_alive),
        old,
        head_only: understood.head_only,
    };
    let method = Method::from(method);
    let head = Head { method, path: target.path, query: target.query, headers, peer, content_length, known };
    let digits = facts.digits.map(|(from, to)| from as usize..to as usize);
    Ok(Parsed { head, framing, manner, expects_continue: facts.expects_continue && !old, digits })
}

/// What can be understood of a head that is too long, or did not come as a whole: a request line that is complete, and as
/// many fields as are.
#[cold]
#[inline(never)]
pub(super) fn glimpse(bytes: &[u8], limits: &Limits) -> Understood {
    let bytes = &bytes[..bytes.len().min(limits.header_bytes_max)];
    let mut table = [httparse::EMPTY_HEADER; HEADERS_CEILING];
    let mut request = httparse::Request::new(&mut table);
    // Whatever it says: what it has read until then is right.
    let _ = request.parse(bytes);
    let method = request.method.unwrap_or_default();
    let path = request.path.map(|raw| {
        let normal = normal_form_in(String::new(), method, raw.as_bytes()).map(|target| target.path);
        normal.unwrap_or_else(|_| raw.split('?').next().unwrap_or_default().to_owned())
    });
    let mut headers = Headers::default();
    let read = request.headers.iter().take_while(|header| !header.name.is_empty());
    headers.refill(bytes, read.map(|header| span(bytes, header)));
    let head_only = method == "HEAD";
    Understood { method: request.method.map(Method::from), path, headers, head_only }
}

/// Reads the fields into `all`, also where they do not fit together.
fn fields(
    bytes: &[u8],
    headers: &[httparse::Header<'_>],
    (old, limits): (bool, &Limits),
    all: &mut Headers,
) -> Result<(Facts, Framing), Refusal> {
    all.refill(bytes, headers.iter().map(|header| span(bytes, header)));
    if headers.len() > limits.headers_max {
        return Err(Refusal::TooManyHeaders);
    }
    let mut facts = Facts::default();
    for header in headers {
        facts.read(header.name, header.value)?;
        if facts.digits.is_none() && facts.length.is_some() {
            facts.digits = Some(place(bytes, header.value));
        }
    }
    let framing = facts.framing(old, limits)?;
    facts.check(old)?;
    Ok((facts, framing))
}

fn span(bytes: &[u8], header: &httparse::Header<'_>) -> Span {
    Span { name: place(bytes, header.name.as_bytes()), value: place(bytes, header.value) }
}

/// Where `part` lies in `whole`, of which it is a part. An empty part may lie anywhere.
fn place(whole: &[u8], part: &[u8]) -> (u32, u32) {
    let from = (part.as_ptr() as usize).wrapping_sub(whole.as_ptr() as usize);
    let to = from.wrapping_add(part.len());
    (u32::try_from(from).unwrap_or(0), u32::try_from(to).unwrap_or(0))
}

/// What the fields say that the server itself must know.
#[derive(Default)]
struct Facts {
    hosts: u32,
    length: Option<u64>,
    digits: Option<(u32, u32)>,
    coding: Option<Coding>,
    close: bool,
    keep_alive: bool,
    expects_continue: bool,
    expects_else: bool,
    encoded: bool,
}

#[derive(Clone, Copy, PartialEq)]
enum Coding {
    Chunked,
    Other,
}

impl Facts {
    fn read(&mut self, name: &str, value: &[u8]) -> Result<(), Refusal> {
        match name.len() {
            4 if name.eq_ignore_ascii_case("host") => {
                self.hosts += 1;
                if !is_host(value) {
                    return Err(Refusal::Malformed("the Host is not a host"));
                }
            }
            6 if name.eq_ignore_ascii_case("expect") => {
                if value.eq_ignore_ascii_case(b"100-continue") {
                    self.expects_continue = true;
                } else {
                    self.expects_else = true;
                }
            }
            10 if name.eq_ignore_ascii_case("connection") => {
                for token in value.split(|byte| *byte == b',').map(<[u8]>::trim_ascii) {
                    self.close |= token.eq_ignore_ascii_case(b"close");
                    self.keep_alive |= token.eq_ignore_ascii_case(b"keep-alive");
                }
            }
            14 if name.eq_ignore_ascii_case("content-length") => {
                let before = self.length.replace(length(value)?);
                only_once(before.is_none(), "Content-Length is said twice")?;
            }
            16 if name.eq_ignore_ascii_case("content-encoding") => {
                self.encoded |= !value.eq_ignore_ascii_case(b"identity");
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                let chunked = value.eq_ignore_ascii_case(b"chunked");
                let coding = if chunked { Coding::Chunked } else { Coding::Other };
                let before = self.coding.replace(coding);
                only_once(before.is_none(), "Transfer-Encoding is said twice")?;
            }
            _ => {}
        }
        Ok(())
    }

    fn framing(&self, old: bool, limits: &Limits) -> Result<Framing, Refusal> {
        match (self.coding, self.length) {
            (Some(_), _) if old => Err(Refusal::Malformed("Transfer-Encoding has no place in HTTP/1.0")),
            (Some(_), Some(_)) => {
                Err(Refusal::Malformed("Content-Length and Transfer-Encoding exclude each other"))
            }
            (Some(Coding::Other), None) => Err(Refusal::NotImplemented),
            (Some(Coding::Chunked), None) => Ok(Framing::Chunked),
            (None, Some(length)) if length > limits.body_bytes_max as u64 => Err(Refusal::BodyTooLarge),
            (None, length) => Ok(Framing::Length(length.unwrap_or(0))),
        }
    }

    fn check(&self, old: bool) -> Result<(), Refusal> {
        if self.hosts > 1 || (self.hosts == 0 && !old) {
            return Err(Refusal::Malformed("there must be exactly one Host"));
        }
        if self.encoded {
            return Err(Refusal::UnsupportedEncoding);
        }
        if self.expects_else && !old { Err(Refusal::Expectation) } else { Ok(()) }
    }
}

fn only_once(once: bool, otherwise: &'static str) -> Result<(), Refusal> {
    if once { Ok(()) } else { Err(Refusal::Malformed(otherwise)) }
}

/// Digits only, and no more than 2^63 - 1.
pub(super) fn length(value: &[u8]) -> Result<u64, Refusal> {
    const WRONG: Refusal = Refusal::Malformed("Content-Length is not a number");
    if value.is_empty() || value.len() > 19 || !value.iter().all(u8::is_ascii_digit) {
        return Err(WRONG);
    }
    let number = value.iter().fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0'));
    if number > i64::MAX.unsigned_abs() { Err(WRONG) } else { Ok(number) }
}
