//! A JSON text whose strings are looked through, each as a whole: a caller's body, a provider's complete answer.

use super::super::json::{self, Bad, Scan};
use super::fragments::Fragments;
use super::lookout::Lookout;
use crate::domain::chat::{Answer, Content, Part};
use crate::domain::redact::{Mode, Redaction, Scratch};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Values that are no text: names of things, of types and of fields, what schemas compare with, data and signatures.
pub(super) const NO_TEXT: [&str; 31] = [
    "id",
    "type",
    "role",
    "model",
    "object",
    "name",
    "call_id",
    "tool_call_id",
    "tool_use_id",
    "file_id",
    "previous_response_id",
    "signature",
    "encrypted_content",
    "data",
    "file_data",
    "images",
    "media_type",
    "mime_type",
    "created_at",
    "finish_reason",
    "stop_reason",
    "done_reason",
    "system_fingerprint",
    "service_tier",
    "detail",
    "format",
    "required",
    "enum",
    "const",
    "pattern",
    "$ref",
];

/// What the walk is within.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Within {
    /// What is said.
    Words,
    /// What is given to a tool as an object: whatever its members are called, they are words.
    Given,
    /// What a tool takes: its members may be called like what is given to one.
    Schema,
}

/// One walk through a text.
pub(super) struct Walk<'r> {
    redaction: &'r Redaction,
    scratch: &'r mut Scratch,
    counts: &'r mut [u64],
    pub(super) edits: Vec<(Range<usize>, Vec<u8>)>,
    /// A thought was rewritten, and the signature behind it is not its own any more.
    unsigned: bool,
    /// Thoughts in a request are the provider's own, and signed.
    keep_thoughts: bool,
    within: Within,
    /// Where strings begin that were looked through before.
    seen: Vec<usize>,
}

impl<'r> Walk<'r> {
    pub(super) fn new((redaction, scratch): (&'r Redaction, &'r mut Scratch), counts: &'r mut [u64]) -> Self {
        Self {
            redaction,
            scratch,
            counts,
            edits: Vec::new(),
            unsigned: false,
            keep_thoughts: false,
            within: Within::Words,
            seen: Vec::new(),
        }
    }

    /// Passes over the strings that begin at these places.
    pub(super) fn pass_over(&mut self, seen: Vec<usize>) {
        self.seen = seen;
    }

    /// Steps over the next value, a member called `key` or an item of one.
    pub(super) fn value(&mut self, scan: &mut Scan<'_>, key: &str) -> Result<(), Bad> {
        match scan.peek() {
            b'{' => {
                let outer = self.within;
                self.within = match (outer, key) {
                    (Within::Words, "input" | "arguments") => Within::Given,
                    (Within::Words, "input_schema" | "parameters" | "schema") => Within::Schema,
                    _ => outer,
                };
                scan.object(|scan, key| self.value(scan, &key))?;
                self.within = outer;
                Ok(())
            }
            b'[' => scan.array(|scan, _| self.value(scan, key)).map(drop),
            b'"' => {
                let at = scan.position();
                let raw = scan.value()?;
                self.string(key, at, raw);
                Ok(())
            }
            _ => scan.value().map(drop),
        }
    }

    fn string(&mut self, key: &str, at: usize, raw: &str) {
        let place = at..at + raw.len();
        let given = self.within == Within::Given;
        if !given && key == "signature" && std::mem::take(&mut self.unsigned) {
            self.edits.push((place, b"\"\"".to_vec()));
            return;
        }
        let thought = !given && key == "thinking";
        if self.seen.contains(&at)
            || (!given && NO_TEXT.contains(&key))
            || (thought && self.keep_thoughts)
            || raw.starts_with("\"data:")
        {
            return;
        }
        let text = unquoted(raw);
        let Some(new) = self.rewritten(!given && key == "arguments", &text) else { return };
        self.unsigned |= thought;
        let mut quoted = Vec::with_capacity(new.len() + 2);
        json::push(&mut quoted, &new);
        self.edits.push((place, quoted));
    }

    /// The text as it should be; `None` when it may stay as it is. Arguments of a tool are JSON within a string.
    pub(super) fn rewritten(&mut self, arguments: bool, text: &str) -> Option<String> {
        let rules = &*self.redaction.rules;
        let enforce = self.redaction.mode == Mode::Enforce;
        if arguments {
            let (mut inner, mut out) = (Fragments::default(), String::new());
            let mut replaced = inner.push((rules, self.scratch), text, self.counts, &mut out);
            replaced |= inner.end((rules, self.scratch), self.counts, &mut out);
            return (replaced && enforce).then_some(out);
        }
        match rules.apply(text, self.scratch, self.counts) {
            Cow::Owned(new) if enforce => Some(new),
            _ => None,
        }
    }
}

/// What stands in a quoted string. Half a character in an escape is none, and read as the sign for that.
pub(super) fn unquoted(raw: &str) -> Cow<'_, str> {
    let bare = raw.get(1..raw.len().saturating_sub(1)).unwrap_or_default();
    if !bare.contains('\\') {
        return Cow::Borrowed(bare);
    }
    let read = serde_json::from_str::<String>(raw);
    let read = read.or_else(|_| serde_json::from_slice(&json::replaced(raw.as_bytes().to_vec())));
    read.map_or(Cow::Borrowed(bare), Cow::Owned)
}

/// A caller's body with what was found replaced; `None` when it may stay as it is. What is not JSON stays so.
#[must_use]
pub fn request(lookout: &Arc<Lookout>, body: &[u8], counts: &mut [u64]) -> Option<Vec<u8>> {
    let text = std::str::from_utf8(body).ok()?;
    let mut lent = lookout.lend();
    let mut walk = Walk::new(lent.parts(), counts);
    walk.keep_thoughts = true;
    let walked = walk.value(&mut Scan::new(text), "");
    if walked.is_err() || walk.edits.is_empty() {
        return None;
    }
    Some(json::replace(body, &mut walk.edits))
}

/// A provider's complete answer with what was found replaced.
pub fn answer(lookout: &Arc<Lookout>, answer: &mut Answer, counts: &mut [u64]) {
    let mut lent = lookout.lend();
    let mut walk = Walk::new(lent.parts(), counts);
    match &mut answer.content {
        Content::Verbatim { body, .. } => {
            let Ok(text) = std::str::from_utf8(body) else { return };
            if walk.value(&mut Scan::new(text), "").is_ok() && !walk.edits.is_empty() {
                let mut edits = walk.edits;
                edits.extend(probabilities(text));
                *body = disjoint(body, edits);
            }
        }
        Content::Said { choices, .. } => {
            for part in choices.iter_mut().flat_map(|choice| &mut choice.parts) {
                said(&mut walk, part);
            }
        }
        Content::Vectors(_) => {}
    }
}

fn said(walk: &mut Walk<'_>, part: &mut Part) {
    match part {
        Part::Text { text, .. } => {
            *text = walk.rewritten(false, text).unwrap_or_else(|| std::mem::take(text))
        }
        Part::Reasoning { text, signature } => {
            if let Some(new) = walk.rewritten(false, text) {
                (*text, *signature) = (new, None);
            }
        }
        Part::ToolCall(call) => {
            if let Some(new) = walk.rewritten(true, &call.arguments) {
                call.arguments = new;
            }
        }
        Part::Image(_) | Part::ToolResult { .. } => {}
    }
}

/// Where the probabilities of single tokens stand: they say the text once more, cut where nothing can be found.
pub(super) fn probabilities(text: &str) -> Vec<(Range<usize>, Vec<u8>)> {
    fn look(scan: &mut Scan<'_>, found: &mut Vec<(Range<usize>, Vec<u8>)>) -> Result<(), Bad> {
        match scan.peek() {
            b'{' => scan.object(|scan, key| {
                if key != "logprobs" {
                    return look(scan, found);
                }
                let at = scan.position();
                let raw = scan.value()?;
                if raw != "null" {
                    found.push((at..at + raw.len(), b"null".to_vec()));
                }
                Ok(())
            }),
            b'[' => scan.array(|scan, _| look(scan, found)).map(drop),
            _ => scan.value().map(drop),
        }
    }
    let mut found = Vec::new();
    // What is not JSON has none.
    let _ = look(&mut Scan::new(text), &mut found);
    found
}

/// As [`json::replace`]; an edit within another one is part of it.
pub(super) fn disjoint(body: &[u8], mut edits: Vec<(Range<usize>, Vec<u8>)>) -> Vec<u8> {
    edits.sort_by_key(|(range, _)| (range.start, std::cmp::Reverse(range.end)));
    let mut end = 0;
    edits.retain(|(range, _)| {
        let apart = range.start >= end;
        end = end.max(range.end);
        apart
    });
    json::replace(body, &mut edits)
}
