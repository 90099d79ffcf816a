//! What was asked and answered, for a log that is to tell it: bounded, and kept only where the operator says so.

use crate::domain::chat::{Delta, Frame};
use std::borrow::Cow;
use std::sync::Arc;

/// Of a question, and of an answer, the log tells no more than this.
pub const SAID_BYTES_MAX: usize = 64 << 10;

/// One question and what has been heard of its answer.
#[derive(Debug)]
pub(super) struct Transcript {
    prompt: Arc<Vec<u8>>,
    answer: Vec<u8>,
    /// Whether there was more to hear than is kept.
    cut: bool,
}

impl Transcript {
    /// Begins with what was asked.
    pub(super) fn new(prompt: &Arc<Vec<u8>>) -> Self {
        Self { prompt: Arc::clone(prompt), answer: Vec::new(), cut: false }
    }

    /// More of the answer.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        let room = SAID_BYTES_MAX - self.answer.len();
        self.cut |= bytes.len() > room;
        self.answer.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// What a frame says in words.
    pub(super) fn hear_frame(&mut self, frame: &Frame) {
        for delta in &frame.deltas {
            if let Delta::Text { text, .. } = delta {
                self.hear(text.as_bytes());
            }
        }
    }

    /// Question and answer as text, each cut at [`SAID_BYTES_MAX`] and marked when it is.
    pub(super) fn text(&self) -> (Cow<'_, str>, Cow<'_, str>) {
        let prompt = &self.prompt[..self.prompt.len().min(SAID_BYTES_MAX)];
        (marked(prompt, prompt.len() < self.prompt.len()), marked(&self.answer, self.cut))
    }
}

fn marked(bytes: &[u8], cut: bool) -> Cow<'_, str> {
    let text = String::from_utf8_lossy(bytes);
    // A character that was cut in half has become a mark of its own.
    if cut { Cow::Owned(format!("{}…", text.trim_end_matches('\u{fffd}'))) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_is_kept_to_the_bound_and_marked_one_past_it() {
        let whole = Arc::new(vec![b'q'; SAID_BYTES_MAX]);
        let mut transcript = Transcript::new(&whole);
        transcript.hear(&vec![b'a'; SAID_BYTES_MAX - 1]);
        transcript.hear(b"b");
        let (prompt, answer) = transcript.text();
        assert_eq!((prompt.len(), answer.len()), (SAID_BYTES_MAX, SAID_BYTES_MAX));
        assert!(answer.ends_with("ab"));

        transcript.hear(b"c");
        assert!(transcript.text().1.ends_with("ab…"));
        let longer = Arc::new("ü".repeat(SAID_BYTES_MAX / 2 + 1).into_bytes());
        assert!(Transcript::new(&longer).text().0.ends_with("ü…"));
        let odd = Arc::new(format!("x{}", "ü".repeat(SAID_BYTES_MAX / 2)).into_bytes());
        assert!(Transcript::new(&odd).text().0.ends_with("ü…"));
    }
}
