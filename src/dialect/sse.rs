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
        if self.is_empty() || !self.begun && !self.begin() {
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
            let raw = &self.buffer[begin..begin + length];
            if is_one_line(raw) {
                return Ok(Some(one_line(&self.buffer[begin..begin + length])));
            }
            if has_data(raw) {
                return Ok(Some(parse(&self.buffer[begin..begin + length])));
            }
        }
    }

    /// What was fed and is not cut yet, once the stream's beginning is behind us.
    #[must_use]
    pub fn rest(&self) -> &[u8] {
        if self.begun { &self.buffer[self.start..] } else { &[] }
    }

    /// Whether the next bytes that are fed will begin a frame.
    #[must_use]
    pub fn between(&self) -> bool {
        self.begun && self.is_empty()
    }

    /// Whether all that was fed is cut.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Passes over a whole frame, this long, that was found in [`Lines::rest`] by somebody else.
    pub fn skip(&mut self, length: usize) {
        self.start += length;
        self.search = Search::default();
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
            let Some(ahead) = line_end(&bytes[search.at..]) else {
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

/// Where the first LF or CR is. Words at a time: most bytes of a stream are looked at here.
fn line_end(bytes: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const TOPS: u64 = ONES << 7;
    // A byte that equals the mark becomes zero, and only then can taking one from it set its top bit (below the
    // first such byte nothing else does; Hacker's Delight, 6-1).
    let zeros = |word: u64| word.wrapping_sub(ONES) & !word & TOPS;
    let mut at = 0;
    while let Some((word, _)) = bytes[at..].split_first_chunk::<8>() {
        let word = u64::from_le_bytes(*word);
        let found = zeros(word ^ (ONES * u64::from(b'\n'))) | zeros(word ^ (ONES * u64::from(b'\r')));
        if found != 0 {
            return Some(at + found.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    bytes[at..].iter().position(|&b| b == b'\n' || b == b'\r').map(|ahead| at + ahead)
}

/// What nearly every frame is: one line of data, ended by LF, and the blank one.
fn is_one_line(raw: &[u8]) -> bool {
    raw.starts_with(b"data: ") && line_end(raw).is_some_and(|end| raw[end..] == *b"\n\n")
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

fn one_line(raw: &[u8]) -> Sse<'_> {
    Sse { event: None, data: Cow::Borrowed(&raw[b"data: ".len()..raw.len() - 2]), raw }
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

#[cfg(test)]
mod tests {
    use super::*;

    type Seen = Vec<(Option<String>, String, Vec<u8>)>;

    fn drain(lines: &mut Lines, seen: &mut Seen) {
        while let Some(frame) = lines.next().expect("within the limit") {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("whole characters");
            seen.push((frame.event.map(text), text(&frame.data), frame.raw.to_vec()));
        }
    }

    fn read(pieces: &[&[u8]]) -> Seen {
        let mut lines = Lines::default();
        let mut seen = Seen::new();
        for piece in pieces {
            lines.feed(piece);
            drain(&mut lines, &mut seen);
        }
        seen
    }

    fn data(seen: &Seen) -> Vec<&str> {
        seen.iter().map(|(_, data, _)| data.as_str()).collect()
    }

    const ENDS: [&str; 3] = ["\n", "\r\n", "\r"];

    fn stream(end: &str) -> String {
        "\u{feff}data: grüß 😀\n\n: hello\n\nevent: x\ndata:a\ndata:  b\nid: 7\n\n: ping\ndata: c\n\n\n\ndata\n\n"
            .replace('\n', end)
    }

    #[test]
    fn any_split_gives_the_same_frames_whatever_ends_the_lines() {
        for end in ENDS {
            let text = stream(end);
            let whole = read(&[text.as_bytes()]);
            assert_eq!(data(&whole), ["grüß 😀", "a\n b", "c", ""], "{end:?}");
            assert_eq!(whole[1].0.as_deref(), Some("x"));
            for at in 0..=text.len() {
                let (left, right) = text.as_bytes().split_at(at);
                assert_eq!(read(&[left, right]), whole, "{end:?} at {at}");
            }
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(read(&bytes), whole, "{end:?} byte by byte");
        }
    }

    #[test]
    fn mixed_line_ends_do_not_depend_on_the_split() {
        let text = b"data: a\r\r\ndata: b\n\r\ndata: c\r\n\rdata: d\r\n\r\n";
        let whole = read(&[text]);
        assert_eq!(data(&whole), ["a", "b", "c", "d"]);
        for at in 0..=text.len() {
            let (left, right) = text.split_at(at);
            assert_eq!(read(&[left, right]), whole, "at {at}");
        }
    }

    #[test]
    fn a_frame_keeps_the_bytes_it_came_in() {
        let text = b"event: x\r\ndata: 1\r\n\r\ndata: 2\n\n";
        let whole = read(&[text]);
        let raw: Vec<&[u8]> = whole.iter().map(|(_, _, raw)| raw.as_slice()).collect();
        assert_eq!(raw, [&b"event: x\r\ndata: 1\r\n\r\n"[..], b"data: 2\n\n"]);
    }

    #[test]
    fn a_frame_ended_by_cr_alone_is_not_held_back() {
        assert_eq!(data(&read(&[b"data: 1\r\r"])), ["1"]);
    }

    #[test]
    fn a_frame_without_its_blank_line_is_none() {
        assert_eq!(data(&read(&[b"data: 1\n\ndata: 2\n"])), ["1"]);
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_finished_or_not() {
        let long = [b"data: ", "x".repeat(FRAME_BYTES_MAX).as_bytes()].concat();
        let mut lines = Lines::default();
        lines.feed(&long);
        assert_eq!(lines.next().expect_err("too long").fault, Fault::AnswerTooLarge);
        let mut lines = Lines::default();
        lines.feed(&long);
        lines.feed(b"\n\n");
        assert_eq!(lines.next().expect_err("too long").fault, Fault::AnswerTooLarge);
        let mut lines = Lines::default();
        lines.feed(&long[..FRAME_BYTES_MAX - 2]);
        lines.feed(b"\n\n");
        assert!(lines.next().expect("within the limit").is_some());
    }

    #[test]
    fn the_buffer_does_not_grow_with_the_stream() {
        let mut lines = Lines::default();
        for _ in 0..10_000 {
            lines.feed(b"data: some words of an answer\n\ndata: and");
            lines.feed(b" more\n\nda");
            lines.feed(b"ta: x\n\n");
            while lines.next().expect("within the limit").is_some() {}
        }
        assert!(lines.buffer.capacity() < 4096);
    }
}
