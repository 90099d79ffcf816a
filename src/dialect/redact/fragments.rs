//! A tool's arguments, which are JSON in pieces of any size: each string within them is a text of its own.
//!
//! ```text
//!   outside ──"──▶ inside ──\──▶ escape ──its last character──▶ inside
//!      ▲              │ "
//!      └──────────────┘ what is held back goes first
//! ```

use super::super::json;
use crate::domain::redact::{Rules, Scratch, Watch};

/// One half of a pair, `\ud83d`, and the longest escape, `\ud83d\ude00`.
const HALF_CHARS: usize = 6;
const ESCAPE_CHARS: usize = 2 * HALF_CHARS;

/// Arguments under way.
#[derive(Debug, Clone, Default)]
pub(super) struct Fragments {
    inside: bool,
    /// An escape that is not complete.
    escape: String,
    watch: Watch,
}

impl Fragments {
    /// Takes one more piece, and appends to `out` what may go. Whether anything was replaced.
    pub(super) fn push(
        &mut self,
        (rules, scratch): (&Rules, &mut Scratch),
        piece: &str,
        counts: &mut [u64],
        out: &mut String,
    ) -> bool {
        let (mut plain, mut said, mut replaced) = (String::new(), String::new(), false);
        for letter in piece.chars() {
            if self.waits_in_vain(letter) {
                plain.push(char::REPLACEMENT_CHARACTER);
                self.escape.drain(..HALF_CHARS);
            }
            if !self.inside {
                self.inside = letter == '"';
                out.push(letter);
            } else if !self.escape.is_empty() || letter == '\\' {
                self.escaped(letter, &mut plain);
            } else if letter == '"' {
                replaced |= self.watch.push((rules, scratch), &plain, counts, &mut said);
                replaced |= self.watch.end((rules, scratch), counts, &mut said);
                plain.clear();
                escape_into(out, &said);
                said.clear();
                out.push('"');
                self.inside = false;
            } else {
                plain.push(letter);
            }
        }
        if self.inside {
            replaced |= self.watch.push((rules, scratch), &plain, counts, &mut said);
            escape_into(out, &said);
        }
        replaced
    }

    /// Nothing follows: appends what was held back.
    pub(super) fn end(
        &mut self,
        rules: (&Rules, &mut Scratch),
        counts: &mut [u64],
        out: &mut String,
    ) -> bool {
        let mut said = String::new();
        let replaced = self.watch.end(rules, counts, &mut said);
        escape_into(out, &said);
        out.push_str(&self.escape);
        *self = Self::default();
        replaced
    }

    /// Whether the first half of a character, which waits for the second, does not get it: then it is none, and what
    /// follows means what it means by itself.
    fn waits_in_vain(&self, letter: char) -> bool {
        let Some(begun) = self.escape.get(HALF_CHARS..) else { return false };
        match begun.len() {
            0 => letter != '\\',
            1 => letter != 'u',
            2 => !matches!(letter, 'd' | 'D'),
            3 => !matches!(letter, 'c'..='f' | 'C'..='F'),
            _ => !letter.is_ascii_hexdigit(),
        }
    }

    /// One more character of an escape; what it means, once it is complete.
    fn escaped(&mut self, letter: char, plain: &mut String) {
        self.escape.push(letter);
        let length = self.escape.chars().count();
        let complete = match self.escape.as_bytes().get(1) {
            None => false,
            Some(b'u') => match self.escape.get(2..6).map(|digits| u32::from_str_radix(digits, 16)) {
                // The first half of a character waits for the second.
                Some(Ok(0xd800..=0xdbff)) => length == ESCAPE_CHARS,
                Some(_) => true,
                None => length >= 6,
            },
            Some(_) => true,
        };
        if complete {
            let escape = std::mem::take(&mut self.escape);
            match serde_json::from_str::<String>(&format!("\"{escape}\"")) {
                Ok(text) => plain.push_str(&text),
                Err(_) => plain.push(char::REPLACEMENT_CHARACTER),
            }
        }
    }
}

/// Appends a text as it stands within quotes.
fn escape_into(out: &mut String, text: &str) {
    let mut quoted = Vec::with_capacity(text.len() + 2);
    json::push(&mut quoted, text);
    // JSON of a text is text between two quotes.
    out.push_str(
        std::str::from_utf8(&quoted).ok().and_then(|all| all.get(1..all.len() - 1)).unwrap_or_default(),
    );
}
