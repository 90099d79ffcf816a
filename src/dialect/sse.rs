//! Server-sent events: bytes in pieces of any size, whole frames out, exactly as they came.
//!
//! Lines end in LF, CRLF or CR (WHATWG HTML, section 9.2). A frame ends with a blank line; what has no blank line
//! at the stream's end is not a frame.

use crate::domain::failure::{Failure, Fault};
use std::borrow::Cow;

/// One frame, and so one line; real ones are below 64 KiB.
pub const FRAME_BYTES_MAX: usize = 1 << 20;

/// The blank byte order mark some servers begin with.
const BOM: &[u8] = b"\xef\xbb\xbf";

/// Collects bytes and cuts them into frames.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the unread part of the buffer begins.
    start: usize,
    /// How far the unread part has been searched without finding a frame's end.
    search: Search,
    /// Whether the stream's beginning (and so a byte order mark) is behind us.
    begun: bool,
}

/// Where the search for the blank line stands; positions count from the frame's beginning.
#[derive(Debug, Clone, Copy, Default)]
struct Search {
    /// Everything before this has been looked at.
    at: usize,
    /// Where the line under way begins.
    line: usize,
    /// The line before ended in a CR alone.
    lone_cr: bool,
}

/// One frame that carries data.
#[derive(Debug, PartialEq, Eq)]
pub struct Sse<'a> {
    /// The `event:` field.
    pub event: Option<&'a [u8]>,
    /// The `data:` fields, joined by LF.
    pub data: Cow<'a, [u8]>,
    /// The frame as it came, its blank line included.
    pub raw: &'a [u8],
}

impl Lines {
    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > self.buffer.len() / 2 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame that carries data; comments and empty frames are passed over.
    ///
    /// # Errors
    /// `AnswerTooLarge` when a frame is longer than [`FRAME_BYTES_MAX`].
    #[expect(clippy::should_implement_trait, reason = "a lending iterator: frames borrow the buffer")]
    pub fn next(&mut self) -> Result<Option<Sse<'_>>, Failure> {
        if !self.begun && !self.begin() {
            return Ok(None);
        }
        loop {
            let length = self.find_end();
            if length.unwrap_or(self.buffer.len() - self.start) > FRAME_BYTES_MAX {
                return Err(Failure::new(Fault::AnswerTooLarge, "the provider sent a frame over 1 MiB"));
            }
            let Some(length) = length else { return Ok(None) };
            let begin = self.start;
            self.start += length;
            self.search = Search::default();
            if has_data(&self.buffer[begin..begin + length]) {
                return Ok(Some(parse(&self.buffer[begin..begin + length])));
            }
        }
    }

    /// Passes over the byte order mark; `false` while it cannot be told yet.
    fn begin(&mut self) -> bool {
        let rest = &self.buffer[self.start..];
        if rest.len() < BOM.len() && BOM.starts_with(rest) {
            return false;
        }
        if rest.starts_with(BOM) {
            self.start += BOM.len();
        }
        self.begun = true;
        true
    }

    /// Length of the next frame, its blank line included.
    fn find_end(&mut self) -> Option<usize> {
        let bytes = &self.buffer[self.start..];
        let search = &mut self.search;
        loop {
            let Some(ahead) = bytes[search.at..].iter().position(|&b| b == b'\n' || b == b'\r') else {
                search.at = bytes.len();
                return None;
            };
            let end = search.at + ahead;
            let blank = end == search.line;
            let mut next = end + 1;
            let cr = bytes[end] == b'\r';
            // After a line that ended in a CR alone, a blank CR is complete: waiting for an LF would hold the
            // frame back until the next one.
            if cr && !(blank && search.lone_cr) {
                match bytes.get(next) {
                    None => {
                        search.at = end;
                        return None;
                    }
                    Some(b'\n') => next += 1,
                    Some(_) => {}
                }
            }
            if blank {
                return Some(next);
            }
            *search = Search { at: next, line: next, lone_cr: cr && next == end + 1 };
        }
    }
}

/// The frame's lines, without their ends.
fn lines(raw: &[u8]) -> impl Iterator<Item = &[u8]> {
    // A CRLF yields one empty line too many, which means nothing inside a frame.
    raw.split(|&b| b == b'\n' || b == b'\r').filter(|line| !line.is_empty())
}

/// The value of a field's line: after the colon and one space.
fn field<'a>(line: &'a [u8], name: &str) -> Option<&'a [u8]> {
    let rest = line.strip_prefix(name.as_bytes())?;
    match rest {
        [] => Some(rest),
        [b':', b' ', value @ ..] | [b':', value @ ..] => Some(value),
        _ => None,
    }
}

fn has_data(raw: &[u8]) -> bool {
    lines(raw).any(|line| field(line, "data").is_some())
}

fn parse(raw: &[u8]) -> Sse<'_> {
    let mut event = None;
    let mut data: Option<Cow<'_, [u8]>> = None;
    for line in lines(raw) {
        if let Some(value) = field(line, "data") {
            match &mut data {
                None => data = Some(Cow::Borrowed(value)),
                Some(all) => {
                    let all = all.to_mut();
                    all.push(b'\n');
                    all.extend_from_slice(value);
                }
            }
        } else if let Some(value) = field(line, "event") {
            event = Some(value);
        }
    }
    Sse { event, data: data.unwrap_or_default(), raw }
}
