//! HTTP/1.1 as a provider speaks it (RFC 9112): requests read from a connection, heads and chunks written to a buffer.

use super::line::Line;
use std::io::{self, Write};

/// Headers of one request.
pub(super) const HEADERS_MAX: usize = 128;
/// Bytes of one head.
const HEAD_BYTES_MAX: usize = 64 << 10;
/// Bytes of one body.
const BODY_BYTES_MAX: usize = 64 << 20;
/// Bytes of buffer that a connection keeps between requests.
const BUFFER_BYTES_KEPT: usize = 64 << 10;
/// Bytes asked for in one read.
const READ_BYTES: usize = 16 << 10;

/// A complete request.
#[derive(Debug, Default)]
pub(super) struct Request {
    /// The head's bytes.
    pub head: Vec<u8>,
    /// The body, without transfer coding.
    pub body: Vec<u8>,
    /// `POST`.
    pub method: String,
    /// Path and query.
    pub path: String,
    /// The `Authorization` header.
    pub authorization: Option<String>,
    /// The `x-api-key` header.
    pub api_key: Option<String>,
    /// `x-goog-api-key`.
    pub goog_api_key: Option<String>,
    /// `api-key`.
    pub azure_key: Option<String>,
    /// Whether there is an `anthropic-version` header.
    pub anthropic_version: bool,
    /// Whether the connection may serve another request.
    pub keep_alive: bool,
    /// Whether the peer understands chunks (HTTP/1.1).
    pub chunks: bool,
}

/// Why there is no request.
#[derive(Debug)]
pub(super) enum NoRequest {
    /// The connection ended, between requests or within one.
    Ended,
    /// It is not HTTP, or too large: answer with this status and close.
    Wrong(u16),
}

impl From<io::Error> for NoRequest {
    fn from(_: io::Error) -> Self {
        Self::Ended
    }
}

/// How a request's body is delimited.
enum Length {
    Known(usize),
    Chunked,
}

/// Reads one request after another; keeps what was read too far.
#[derive(Debug, Default)]
pub(super) struct Reader {
    buffer: Vec<u8>,
}

impl Reader {
    /// Reads the next complete request.
    pub(super) fn request(&mut self, line: &Line) -> Result<Request, NoRequest> {
        let (mut request, length, expects) = loop {
            if let Some(found) = self.head()? {
                break found;
            }
            if self.buffer.len() > HEAD_BYTES_MAX {
                return Err(NoRequest::Wrong(431));
            }
            self.more(line)?;
            line.set_busy(true);
        };
        // Nobody is asked to send what is not taken.
        if matches!(length, Length::Known(length) if length > BODY_BYTES_MAX) {
            return Err(NoRequest::Wrong(413));
        }
        if expects {
            (&line.stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        request.body = match length {
            Length::Known(length) => self.take(line, length)?,
            Length::Chunked => self.chunks(line)?,
        };
        Ok(request)
    }

    /// Parses the head, if it has arrived, and takes it out of the buffer.
    fn head(&mut self) -> Result<Option<(Request, Length, bool)>, NoRequest> {
        let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
        let mut parsed = httparse::Request::new(&mut headers);
        let size = match parsed.parse(&self.buffer) {
            Ok(httparse::Status::Complete(size)) => size,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(_) => return Err(NoRequest::Wrong(400)),
        };
        let minor = parsed.version.unwrap_or(1);
        let mut request = Request {
            method: parsed.method.unwrap_or_default().to_owned(),
            path: parsed.path.unwrap_or_default().to_owned(),
            keep_alive: minor == 1,
            chunks: minor == 1,
            ..Request::default()
        };
        let (mut length, mut expects) = (Length::Known(0), false);
        for header in parsed.headers.iter() {
            let value = std::str::from_utf8(header.value).unwrap_or_default().trim();
            let is = |name: &str| header.name.eq_ignore_ascii_case(name);
            if is("content-length") {
                length = Length::Known(value.parse().map_err(|_| NoRequest::Wrong(400))?);
            } else if is("transfer-encoding") {
                length = Length::Chunked;
            } else if is("connection") {
                request.keep_alive = match value.to_ascii_lowercase().as_str() {
                    "close" => false,
                    "keep-alive" => true,
                    _ => request.keep_alive,
                };
            } else if is("authorization") {
                request.authorization = Some(value.to_owned());
            } else if is("x-api-key") {
                request.api_key = Some(value.to_owned());
            } else if is("x-goog-api-key") {
                request.goog_api_key = Some(value.to_owned());
            } else if is("api-key") {
                request.azure_key = Some(value.to_owned());
            } else if is("anthropic-version") {
                request.anthropic_version = true;
            } else if is("expect") {
                expects = value.eq_ignore_ascii_case("100-continue");
            }
        }
        request.head = self.buffer.drain(..size).collect();
        Ok(Some((request, length, expects)))
    }

    /// Takes exactly this many bytes.
    fn take(&mut self, line: &Line, length: usize) -> Result<Vec<u8>, NoRequest> {
        while self.buffer.len() < length {
            self.more(line)?;
        }
        let taken = self.buffer.drain(..length).collect();
        self.buffer.shrink_to(BUFFER_BYTES_KEPT);
        Ok(taken)
    }

    /// Takes a chunked body, its trailers thrown away.
    fn chunks(&mut self, line: &Line) -> Result<Vec<u8>, NoRequest> {
        let mut body = Vec::new();
        loop {
            let (start, size) = match httparse::parse_chunk_size(&self.buffer) {
                Ok(httparse::Status::Complete((start, size))) => {
                    (start, usize::try_from(size).unwrap_or(usize::MAX))
                }
                Ok(httparse::Status::Partial) if self.buffer.len() < HEAD_BYTES_MAX => {
                    self.more(line)?;
                    continue;
                }
                _ => return Err(NoRequest::Wrong(400)),
            };
            if size > BODY_BYTES_MAX - body.len() {
                return Err(NoRequest::Wrong(413));
            }
            self.take(line, start)?;
            if size == 0 {
                self.trailers(line)?;
                return Ok(body);
            }
            body.extend_from_slice(&self.take(line, size)?);
            if self.take(line, 2)? != b"\r\n" {
                return Err(NoRequest::Wrong(400));
            }
        }
    }

    /// Takes lines up to and with the empty one.
    fn trailers(&mut self, line: &Line) -> Result<(), NoRequest> {
        let mut taken = 0;
        loop {
            let end = self.buffer.windows(2).position(|window| window == b"\r\n");
            match end {
                Some(end) => {
                    self.take(line, end + 2)?;
                    taken += end;
                    if end == 0 {
                        return Ok(());
                    }
                }
                None => self.more(line)?,
            }
            if taken + self.buffer.len() > HEAD_BYTES_MAX + READ_BYTES {
                return Err(NoRequest::Wrong(431));
            }
        }
    }

    /// Reads what is there, at least one byte.
    fn more(&mut self, line: &Line) -> Result<(), NoRequest> {
        let before = self.buffer.len();
        self.buffer.resize(before + READ_BYTES.max(before), 0);
        let read = line.read(&mut self.buffer[before..]);
        self.buffer.truncate(before + *read.as_ref().unwrap_or(&0));
        if read? == 0 { Err(NoRequest::Ended) } else { Ok(()) }
    }
}

/// The head of an answer.
pub(super) struct Head<'a> {
    /// `200`.
    pub status: u16,
    /// `application/json`.
    pub content_type: &'a str,
    /// The body's length; without one it is chunked, or ends with the connection.
    pub length: Option<usize>,
    /// Whether the peer understands chunks.
    pub chunks: bool,
    /// Whether the connection stays open.
    pub keep_alive: bool,
    /// Further headers; they win over ours.
    pub extra: &'a [(String, String)],
}

impl Head<'_> {
    /// Appends it to a buffer.
    pub(super) fn write(&self, out: &mut Vec<u8>) {
        let mut line = |text: std::fmt::Arguments<'_>| {
            // Writing to memory does not fail.
            let _ = out.write_fmt(text);
        };
        let given = |name: &str| self.extra.iter().any(|(other, _)| other.eq_ignore_ascii_case(name));
        line(format_args!("HTTP/1.1 {} {}\r\n", self.status, reason(self.status)));
        if !self.content_type.is_empty() && !given("content-type") {
            line(format_args!("Content-Type: {}\r\n", self.content_type));
        }
        match self.length {
            Some(length) => line(format_args!("Content-Length: {length}\r\n")),
            None if self.chunks => line(format_args!("Transfer-Encoding: chunked\r\n")),
            None => {}
        }
        if !self.keep_alive {
            line(format_args!("Connection: close\r\n"));
        }
        for (name, value) in self.extra {
            line(format_args!("{name}: {value}\r\n"));
        }
        line(format_args!("\r\n"));
    }
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        307 => "Temporary Redirect",
        400 => "Bad Request",
        401 => "Unauthorized",
        404 => "Not Found",
        429 => "Too Many Requests",
        500 => "Internal Server Error",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        529 => "Overloaded",
        _ => "Status",
    }
}
