//! NDJSON as it arrives: pieces of any size in, whole lines out.

use crate::domain::failure::{Failure, Fault};

/// One line; real ones are below 64 KiB.
pub const LINE_BYTES_MAX: usize = 1 << 20;

/// Collects pieces and gives lines back, without their ends. Blank lines are skipped, CRLF is an end too.
#[derive(Debug, Default)]
pub struct Lines {
    buffer: Vec<u8>,
    /// Where the next line starts.
    start: usize,
    /// Up to here there is no line end after `start`.
    searched: usize,
}

impl Lines {
    /// Nothing has arrived.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes more bytes.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 {
            self.buffer.drain(..self.start);
            self.searched -= self.start;
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// Whether all that was fed was given back.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// The next whole line, if one has arrived.
    ///
    /// # Errors
    /// `AnswerTooLarge` when the line, finished or not, is longer than [`LINE_BYTES_MAX`].
    #[expect(clippy::should_implement_trait, reason = "a lending iterator: lines borrow the buffer")]
    pub fn next(&mut self) -> Result<Option<&[u8]>, Failure> {
        loop {
            let Some(at) = self.buffer[self.searched..].iter().position(|byte| *byte == b'\n') else {
                self.searched = self.buffer.len();
                return if self.searched - self.start > LINE_BYTES_MAX { Err(too_long()) } else { Ok(None) };
            };
            let (start, end) = (self.start, self.searched + at);
            (self.start, self.searched) = (end + 1, end + 1);
            if end - start > LINE_BYTES_MAX {
                return Err(too_long());
            }
            if !blank(&self.buffer[start..end]) {
                return Ok(Some(without_cr(&self.buffer[start..end])));
            }
        }
    }

    /// The connection ended: what arrived after the last line end, if anything.
    #[must_use]
    pub fn rest(&mut self) -> Option<&[u8]> {
        let start = std::mem::replace(&mut self.start, self.buffer.len());
        self.searched = self.buffer.len();
        let rest = &self.buffer[start..];
        (!blank(rest)).then(|| without_cr(rest))
    }
}

fn blank(line: &[u8]) -> bool {
    line.iter().all(u8::is_ascii_whitespace)
}

fn without_cr(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

fn too_long() -> Failure {
    Failure::new(Fault::AnswerTooLarge, "a line of the provider's answer is too long")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::new();
        let mut out = Vec::new();
        for piece in pieces {
            lines.feed(piece);
            while let Some(line) = lines.next().expect("no line is too long") {
                out.push(String::from_utf8(line.to_vec()).expect("a whole line is whole UTF-8"));
            }
        }
        if let Some(line) = lines.rest() {
            out.push(String::from_utf8(line.to_vec()).expect("a whole line is whole UTF-8"));
        }
        out
    }

    #[test]
    fn lines_are_the_same_wherever_the_bytes_are_split() {
        let bytes = "{\"a\":\"é🦀\"}\r\n\n  \n{\"b\":2}\n{\"c\":\"語\"}".as_bytes();
        let expected = ["{\"a\":\"é🦀\"}", "{\"b\":2}", "{\"c\":\"語\"}"];
        for split in 0..=bytes.len() {
            assert_eq!(all(&[&bytes[..split], &bytes[split..]]), expected, "split at {split}");
        }
        let single: Vec<&[u8]> = bytes.chunks(1).collect();
        assert_eq!(all(&single), expected);
    }

    #[test]
    fn a_line_of_the_limit_passes_and_one_byte_more_fails() {
        let mut lines = Lines::new();
        lines.feed(&vec![b'x'; LINE_BYTES_MAX]);
        lines.feed(b"\n");
        assert_eq!(lines.next().expect("within the limit").map(<[u8]>::len), Some(LINE_BYTES_MAX));
        lines.feed(&vec![b'x'; LINE_BYTES_MAX + 1]);
        assert_eq!(lines.next().expect_err("over the limit").fault, Fault::AnswerTooLarge);
    }

    #[test]
    fn an_unfinished_line_does_not_grow_without_bound() {
        let mut lines = Lines::new();
        let mut fed = 0;
        while lines.next().is_ok() {
            lines.feed(&[b'x'; 4096]);
            fed += 4096;
            assert!(fed <= LINE_BYTES_MAX + 4096);
        }
    }
}
