//! A stream whose texts are looked through while they pass: each choice's words, thoughts and arguments on their own.
//!
//! Words that may become a match are taken out of their frame and wait; they go with the next words, or in a frame
//! like the last one when something else comes: another kind of content, the end of a block, a finish. So whoever
//! reads hears the same words, a little later.

use super::super::json::{self, Scan};
use super::body::{NO_TEXT, Walk, disjoint, probabilities, unquoted};
use super::fragments::Fragments;
use super::lookout::{Lent, Lookout};
use crate::domain::chat::{Delta, Frame};
use crate::domain::redact::{Mode, Watch};
use std::ops::Range;
use std::sync::Arc;

/// Texts under way at once; past it the oldest ends.
const LANES_MAX: usize = 256;

/// Looks through one stream.
pub struct Redactor {
    lent: Lent,
    counts: Vec<u64>,
    lanes: Vec<Lane>,
}

/// What a text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Text,
    Reasoning,
    Arguments(u32),
}

/// One text under way.
struct Lane {
    choice: u32,
    kind: Kind,
    watch: Watch,
    inner: Fragments,
    /// Something was replaced in it.
    touched: bool,
    /// The last frame it was told in, and where in it the text stands.
    like: Option<(Vec<u8>, Range<usize>)>,
}

/// Strings of a frame: where each stands and what it says.
type Strings = Vec<(Range<usize>, String)>;

impl Redactor {
    /// For one stream.
    #[must_use]
    pub fn new(lookout: &Arc<Lookout>) -> Self {
        Self { lent: lookout.lend(), counts: lookout.counts(), lanes: Vec::new() }
    }

    /// What was found since it was asked last, by rule.
    pub fn counted(&mut self) -> Vec<u64> {
        let none = self.lent.redaction().rules.counts();
        std::mem::replace(&mut self.counts, none)
    }

    /// Passes one frame; `out` gets what may go.
    pub fn frame(&mut self, frame: Frame, out: &mut Vec<Frame>) {
        let mut out = Out { frames: out, enforce: self.enforces() };
        self.make_room(&frame, &mut out);
        if frame.deltas.is_empty() && frame.verbatim.as_deref().is_some_and(ends_block) {
            self.flush(|_| true, &mut out);
        }
        for delta in &frame.deltas {
            match delta {
                Delta::Text { choice, .. } => self.flush(others(*choice, Kind::Text), &mut out),
                Delta::Reasoning { choice, text, .. } if !text.is_empty() => {
                    self.flush(others(*choice, Kind::Reasoning), &mut out);
                }
                Delta::Arguments { choice, call, .. } => {
                    self.flush(others(*choice, Kind::Arguments(*call)), &mut out);
                }
                // A signature ends the thoughts.
                Delta::Reasoning { choice, .. } | Delta::ToolCall { choice, .. } => {
                    self.flush(|lane| lane.choice == *choice, &mut out);
                }
                Delta::Finish { choice, .. } if !speaks(&frame, *choice) => {
                    self.flush(|lane| lane.choice == *choice, &mut out);
                }
                Delta::Finish { .. } | Delta::Start { .. } | Delta::Usage(_) => {}
            }
        }
        if out.enforce {
            out.frames.extend(self.rewritten(frame));
        } else {
            self.count_only(&frame);
            out.frames.push(frame);
        }
    }

    /// The stream has ended: `out` gets what was held back.
    pub fn end(&mut self, out: &mut Vec<Frame>) {
        let enforce = self.enforces();
        self.flush(|_| true, &mut Out { frames: out, enforce });
    }

    fn enforces(&self) -> bool {
        self.lent.redaction().mode == Mode::Enforce
    }

    fn count_only(&mut self, frame: &Frame) {
        for delta in &frame.deltas {
            if let Some((choice, kind, text)) = said(delta) {
                let finishes = finishes(frame, choice);
                let _ = self.pass((choice, kind), text, finishes);
            }
        }
    }

    /// The frame with what may go; `None` when nothing of it is left.
    fn rewritten(&mut self, frame: Frame) -> Option<Frame> {
        let Frame { deltas, verbatim } = frame;
        let json = verbatim.as_deref().and_then(payload);
        let mut strings: Option<Strings> = json.map(|(at, text)| strings(text, at));
        let alone = deltas.iter().filter(|delta| said(delta).is_some()).count() == 1
            && !deltas.iter().any(|delta| matches!(delta, Delta::Finish { .. } | Delta::ToolCall { .. }));
        let ends: Vec<u32> = deltas.iter().filter_map(finished).collect();
        let (mut kept, mut edits, mut told) = (Vec::with_capacity(deltas.len()), Vec::new(), None);
        for mut delta in deltas {
            if let Some((choice, kind, text)) = said(&delta) {
                let place = strings.as_mut().and_then(|strings| take(strings, text));
                // An object of arguments, not a piece of its text.
                let whole = strings.is_some() && place.is_none() && matches!(kind, Kind::Arguments(_));
                let before = whole.then(|| self.counts.clone());
                let new = self.pass((choice, kind), text, ends.contains(&choice) || whole);
                // It is rewritten, and counted, by the look through the rest of the frame.
                self.counts = before.unwrap_or(std::mem::take(&mut self.counts));
                match place {
                    Some(place) => {
                        told = Some((choice, kind, place.clone()));
                        edits.push((place, quoted(&new)));
                    }
                    None if whole => {}
                    None => strings = None,
                }
                if new.is_empty() && !matches!(delta, Delta::Reasoning { signature: Some(_), .. }) {
                    continue;
                }
                set(&mut delta, new);
            }
            if let Delta::Reasoning { choice, signature: Some(signature), .. } = &mut delta
                && self.lane(*choice, Kind::Reasoning).touched
            {
                let place = strings.as_mut().and_then(|strings| take(strings, signature));
                edits.extend(place.map(|place| (place, quoted(""))));
                signature.clear();
            }
            kept.push(delta);
        }
        let original = verbatim.filter(|_| strings.is_some());
        let verbatim = original.as_deref().map(|bytes| self.spelled(bytes, edits));
        if let (Some(old), Some(bytes), Some((choice, kind, place)), true) =
            (original, &verbatim, told, alone)
        {
            // The text stands where it stood, unless something before it was rewritten, too.
            let begin = place.start;
            let same = bytes.get(..begin) == old.get(..begin);
            let like = bytes.get(begin..).filter(|_| same).and_then(|rest| string_at(rest, begin));
            self.lane(choice, kind).like = like.map(|place| (bytes.clone(), place));
        }
        (!kept.is_empty() || verbatim.is_some()).then_some(Frame { deltas: kept, verbatim })
    }

    /// The frame's bytes with these edits, and with whatever else is found in them.
    fn spelled(&mut self, bytes: &[u8], mut edits: Vec<(Range<usize>, Vec<u8>)>) -> Vec<u8> {
        let Some((at, text)) = payload(bytes) else { return bytes.to_vec() };
        // Only what no lane has looked at: its texts are counted already.
        let mut walk = Walk::new(self.lent.parts(), &mut self.counts);
        walk.pass_over(edits.iter().map(|(place, _)| place.start - at).collect());
        let _ = walk.value(&mut Scan::new(text), "");
        let moved = |(place, new): (Range<usize>, Vec<u8>)| (place.start + at..place.end + at, new);
        edits.extend(walk.edits.into_iter().map(moved));
        edits.extend(probabilities(text).into_iter().map(moved));
        disjoint(bytes, edits)
    }

    /// Puts a piece into its text, and gives what may go.
    fn pass(&mut self, (choice, kind): (u32, Kind), piece: &str, last: bool) -> String {
        let at = self.place(choice, kind);
        let Self { lanes, lent, counts } = self;
        let (redaction, scratch) = lent.parts();
        let (lane, rules, mut out) = (&mut lanes[at], &*redaction.rules, String::new());
        lane.touched |= match kind {
            Kind::Arguments(_) => lane.inner.push((rules, scratch), piece, counts, &mut out),
            Kind::Text | Kind::Reasoning => lane.watch.push((rules, scratch), piece, counts, &mut out),
        };
        if last {
            lane.touched |= match kind {
                Kind::Arguments(_) => lane.inner.end((rules, scratch), counts, &mut out),
                Kind::Text | Kind::Reasoning => lane.watch.end((rules, scratch), counts, &mut out),
            };
        }
        out
    }

    /// Lets go what these texts hold back.
    fn flush(&mut self, which: impl Fn(&Lane) -> bool, out: &mut Out<'_>) {
        for at in 0..self.lanes.len() {
            if which(&self.lanes[at]) {
                self.let_go(at, out);
            }
        }
    }

    /// Lets go what this text holds back, in a frame like its last one.
    fn let_go(&mut self, at: usize, out: &mut Out<'_>) {
        let (choice, kind) = (self.lanes[at].choice, self.lanes[at].kind);
        let rest = self.pass((choice, kind), "", true);
        if rest.is_empty() || !out.enforce {
            return;
        }
        let like = self.lanes[at].like.as_ref();
        let verbatim = like.map(|(bytes, place)| json::replace(bytes, &mut [(place.clone(), quoted(&rest))]));
        out.frames.push(Frame { deltas: vec![delta_of(choice, kind, rest)], verbatim });
    }

    /// Makes room for the texts that begin with this frame: the oldest one ends, and nothing of it is lost.
    fn make_room(&mut self, frame: &Frame, out: &mut Out<'_>) {
        let known = |choice, kind| self.lanes.iter().any(|lane| (lane.choice, lane.kind) == (choice, kind));
        let begin = frame.deltas.iter().filter_map(said).filter(|(choice, kind, _)| !known(*choice, *kind));
        let most = LANES_MAX.saturating_sub(begin.count());
        while self.lanes.len() > most {
            self.let_go(0, out);
            self.lanes.remove(0);
        }
    }

    fn lane(&mut self, choice: u32, kind: Kind) -> &mut Lane {
        let at = self.place(choice, kind);
        &mut self.lanes[at]
    }

    fn place(&mut self, choice: u32, kind: Kind) -> usize {
        let known = self.lanes.iter().position(|lane| (lane.choice, lane.kind) == (choice, kind));
        known.unwrap_or_else(|| {
            if self.lanes.len() == LANES_MAX {
                self.lanes.remove(0);
            }
            let (watch, inner) = (Watch::default(), Fragments::default());
            self.lanes.push(Lane { choice, kind, watch, inner, touched: false, like: None });
            self.lanes.len() - 1
        })
    }
}

/// Where frames go.
struct Out<'o> {
    frames: &'o mut Vec<Frame>,
    enforce: bool,
}

fn others(choice: u32, kind: Kind) -> impl Fn(&Lane) -> bool {
    move |lane| lane.choice == choice && lane.kind != kind
}

fn said(delta: &Delta) -> Option<(u32, Kind, &str)> {
    match delta {
        Delta::Text { choice, text } => Some((*choice, Kind::Text, text)),
        Delta::Reasoning { choice, text, .. } if !text.is_empty() => Some((*choice, Kind::Reasoning, text)),
        Delta::Arguments { choice, call, fragment } => Some((*choice, Kind::Arguments(*call), fragment)),
        _ => None,
    }
}

fn finished(delta: &Delta) -> Option<u32> {
    if let Delta::Finish { choice, .. } = delta { Some(*choice) } else { None }
}

fn finishes(frame: &Frame, choice: u32) -> bool {
    frame.deltas.iter().any(|delta| finished(delta) == Some(choice))
}

/// Whether a frame says something of a choice, and so can take what is held back of it.
fn speaks(frame: &Frame, choice: u32) -> bool {
    frame.deltas.iter().any(|delta| said(delta).is_some_and(|(other, ..)| other == choice))
}

fn set(delta: &mut Delta, new: String) {
    match delta {
        Delta::Text { text, .. } | Delta::Reasoning { text, .. } => *text = new,
        Delta::Arguments { fragment, .. } => *fragment = new,
        _ => {}
    }
}

fn delta_of(choice: u32, kind: Kind, text: String) -> Delta {
    match kind {
        Kind::Text => Delta::Text { choice, text },
        Kind::Reasoning => Delta::Reasoning { choice, text, signature: None },
        Kind::Arguments(call) => Delta::Arguments { choice, call, fragment: text },
    }
}

/// Anthropic ends a block of text with a frame that means nothing else; Responses with several, which say it again.
fn ends_block(bytes: &[u8]) -> bool {
    let has = |mark: &[u8]| bytes.windows(mark.len()).any(|window| window == mark);
    has(b"content_block_stop") || has(b".done\"")
}

/// The JSON of a frame, and where it begins: a line of its own, or the one data line of a server-sent event.
fn payload(bytes: &[u8]) -> Option<(usize, &str)> {
    let at = bytes.iter().position(|byte| *byte == b'{')?;
    let text = std::str::from_utf8(&bytes[at..]).ok()?;
    let mut scan = Scan::new(text);
    scan.value().ok()?;
    let length = scan.here();
    Some((at, &text[..length]))
}

/// All strings of a JSON text that begins at `at`.
fn strings(text: &str, at: usize) -> Strings {
    fn look(scan: &mut Scan<'_>, key: &str, at: usize, found: &mut Strings) -> Result<(), json::Bad> {
        match scan.peek() {
            b'{' => scan.object(|scan, key| look(scan, &key, at, found)),
            b'[' => scan.array(|scan, _| look(scan, key, at, found)).map(drop),
            b'"' => {
                let begin = scan.position() + at;
                let raw = scan.value()?;
                // What says "assistant" may be a role.
                if key == "signature" || !NO_TEXT.contains(&key) {
                    found.push((begin..begin + raw.len(), unquoted(raw).into_owned()));
                }
                Ok(())
            }
            _ => scan.value().map(drop),
        }
    }
    let mut found = Vec::new();
    // It was read to its end before.
    let _ = look(&mut Scan::new(text), "", at, &mut found);
    found
}

/// The place of the string that says this, which is then taken.
fn take(strings: &mut Strings, text: &str) -> Option<Range<usize>> {
    let at = strings.iter().position(|(_, said)| said == text)?;
    Some(strings.remove(at).0)
}

/// The place of the string at the beginning of these bytes.
fn string_at(rest: &[u8], at: usize) -> Option<Range<usize>> {
    let text = std::str::from_utf8(rest).ok()?;
    let raw = Scan::new(text).value().ok().filter(|raw| raw.starts_with('"'))?;
    Some(at..at + raw.len())
}

fn quoted(text: &str) -> Vec<u8> {
    let mut out = Vec::with_capacity(text.len() + 2);
    json::push(&mut out, text);
    out
}

#[cfg(test)]
mod tests {
    use super::super::tests::redaction;
    use super::*;

    #[test]
    fn no_more_texts_are_under_way_than_the_limit() {
        let mut redactor = Redactor::new(&Lookout::new(redaction(Mode::Enforce)));
        let mut out = Vec::new();
        for choice in 0..=u32::try_from(LANES_MAX).expect("it is small") {
            let deltas = vec![Delta::Text { choice, text: "bob".to_owned() }];
            redactor.frame(Frame { deltas, verbatim: None }, &mut out);
            assert!(redactor.lanes.len() <= LANES_MAX);
        }
        redactor.end(&mut out);
        assert_eq!(out.len(), LANES_MAX + 1, "the oldest is told when it is let go of");
    }
}
