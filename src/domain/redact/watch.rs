//! A text that comes in pieces: what may be the beginning of a match is held back until it is one or is none.

use super::engine::{Rules, Scratch};

/// The most that is held back of one text. A match that is longer may be missed across pieces; e-mail addresses,
/// account numbers and keys are below 600.
pub const HELD_BYTES_MAX: usize = 1_024;

/// One text under way.
#[derive(Debug, Clone, Default)]
pub struct Watch {
    /// The last character that was let go, for the borders of words, and what is held back.
    text: String,
    /// Where what is held back begins.
    at: usize,
}

impl Watch {
    /// Takes one more piece, and appends to `out` what may go. Whether anything was replaced.
    pub fn push(
        &mut self,
        (rules, scratch): (&Rules, &mut Scratch),
        piece: &str,
        counts: &mut [u64],
        out: &mut String,
    ) -> bool {
        self.text.push_str(piece);
        self.go((rules, scratch), counts, out, false)
    }

    /// The text is complete: appends what was held back. Whether anything was replaced.
    pub fn end(
        &mut self,
        (rules, scratch): (&Rules, &mut Scratch),
        counts: &mut [u64],
        out: &mut String,
    ) -> bool {
        let replaced = self.go((rules, scratch), counts, out, true);
        *self = Self::default();
        replaced
    }

    /// Bytes held back.
    #[must_use]
    pub fn held(&self) -> usize {
        self.text.len() - self.at
    }

    fn go(
        &mut self,
        (rules, scratch): (&Rules, &mut Scratch),
        counts: &mut [u64],
        out: &mut String,
        complete: bool,
    ) -> bool {
        let mut replaced = false;
        loop {
            let hold = if complete { self.text.len() } else { self.hold(rules, scratch) };
            match rules.next(&self.text, self.at, scratch) {
                // It begins before anything that may still grow, so it cannot grow itself.
                Some(found) if found.start < hold => {
                    if rules.refuses(found, &self.text) {
                        out.push_str(&self.text[self.at..found.end]);
                    } else {
                        out.push_str(&self.text[self.at..found.start]);
                        out.push_str(rules.hit(found, counts));
                        replaced = true;
                    }
                    self.at = found.end;
                }
                _ => {
                    out.push_str(&self.text[self.at..hold]);
                    self.at = hold;
                    break;
                }
            }
        }
        let last = self.text[..self.at].char_indices().next_back().map_or(0, |(at, _)| at);
        self.text.drain(..last);
        self.at -= last;
        replaced
    }

    /// Where to hold back from, but for no more than [`HELD_BYTES_MAX`].
    fn hold(&self, rules: &Rules, scratch: &mut Scratch) -> usize {
        let begins = rules.begins(&self.text, self.at, scratch);
        let mut least = self.text.len().saturating_sub(HELD_BYTES_MAX);
        while !self.text.is_char_boundary(least) {
            least += 1;
        }
        begins.max(least)
    }
}
