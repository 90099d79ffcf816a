//! What was told of a stream, frame by frame and in little room, to be told again.
//!
//! Nearly every frame is like one before it but for its text. So a reel is a row of runs: a whole frame, and of those
//! that follow only what is different. What is played is what was recorded, to the byte.
//!
//! ```text
//! run:   whole frame ─▶ note ─▶ note ─▶ ...           note:  way and length of the text · text · what the way needs
//! ```
//!
//! | way | the frame's bytes are |
//! |---|---|
//! | `PLAIN` | the first one's, with this text in its place |
//! | `SPELLED` | the first one's, with the text's place spelled as given: escapes |
//! | `ENDED` | the first one's up to the text, the text, and the rest of them but for what is given |
//! | `OTHER` | the first one's but for what is given |
//!
//! "But for what is given": so many bytes from the beginning, these, and so many to the end.

use super::chat::{Delta, Frame};
use std::collections::VecDeque;
use std::sync::Arc;

/// Notes of one run; past it another run begins.
const NOTES_BYTES_MAX: usize = 4 << 10;
/// Room for notes is taken in steps.
const STEP_BYTES: usize = 512;
/// A frame with a longer text, or more bytes, begins a run.
const NOTED_BYTES_MAX: usize = 1 << 10;
/// Runs that begin because their second frame was too unlike the first; after so many, unlike ones are noted all the same.
const ANEW_MAX: u8 = 2;

const PLAIN: usize = 0;
const SPELLED: usize = 1;
const ENDED: usize = 2;
const OTHER: usize = 3;

/// What was told, in order.
#[derive(Debug, Default)]
pub struct Reel {
    runs: VecDeque<Run>,
    /// Runs that were let go.
    gone: usize,
    bytes: usize,
    anew: u8,
}

#[derive(Debug)]
struct Run {
    first: Arc<First>,
    notes: Vec<u8>,
}

/// A whole frame, and where in its bytes its text stands as it is.
#[derive(Debug)]
struct First {
    frame: Frame,
    text: Option<usize>,
}

/// Where on a reel somebody has come to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Place {
    run: usize,
    /// Notes of it that were read; `None`: not even its first frame was.
    at: Option<usize>,
}

/// Some frames, taken off the reel: it may go on while they are played.
#[derive(Debug)]
pub struct Clip {
    first: Arc<First>,
    begun: bool,
    notes: Vec<u8>,
    at: usize,
}

/// What is next on a reel.
#[derive(Debug)]
pub enum Next {
    /// These.
    Clip(Clip),
    /// Nothing yet.
    Nothing,
    /// It was let go.
    Gone,
}

impl Reel {
    /// Bytes it takes.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Records one more frame; how many bytes it takes more than before.
    pub fn record(&mut self, frame: &Frame) -> usize {
        let before = self.bytes;
        if !self.note(frame) {
            let first = First::new(frame.clone());
            self.bytes += size_of::<Run>() + size_of::<First>() + size_of_frame(frame);
            self.runs.push_back(Run { first: Arc::new(first), notes: Vec::new() });
        }
        self.bytes - before
    }

    /// Notes a frame that is like the first one of the last run.
    fn note(&mut self, frame: &Frame) -> bool {
        let Some(run) = self.runs.back_mut() else { return false };
        let Some(note) = Note::of(&run.first, frame) else { return false };
        if note.way == OTHER && run.notes.is_empty() && self.anew < ANEW_MAX {
            self.anew += 1;
            return false;
        }
        let length = note.length_at_most();
        if run.notes.len() + length > NOTES_BYTES_MAX {
            return false;
        }
        if run.notes.capacity() - run.notes.len() < length {
            let had = run.notes.capacity();
            run.notes.reserve_exact(length.max(STEP_BYTES));
            self.bytes += run.notes.capacity() - had;
        }
        note.write(&mut run.notes);
        true
    }

    /// Lets the oldest frames go; how many bytes that frees. `None`: there are none.
    pub fn let_go(&mut self) -> Option<usize> {
        let run = self.runs.pop_front()?;
        self.gone += 1;
        let freed =
            size_of::<Run>() + size_of::<First>() + size_of_frame(&run.first.frame) + run.notes.capacity();
        self.bytes -= freed;
        Some(freed)
    }

    /// Takes what follows this place, as much as one run has of it, and moves the place behind it.
    pub fn take(&self, place: &mut Place) -> Next {
        if place.run < self.gone {
            return Next::Gone;
        }
        let Some(run) = self.runs.get(place.run - self.gone) else { return Next::Nothing };
        let (begun, from) = (place.at.is_some(), place.at.unwrap_or(0));
        if begun && from == run.notes.len() {
            if self.runs.len() == place.run - self.gone + 1 {
                return Next::Nothing;
            }
            *place = Place { run: place.run + 1, at: None };
            return self.take(place);
        }
        place.at = Some(run.notes.len());
        Next::Clip(Clip { first: Arc::clone(&run.first), begun, notes: run.notes[from..].to_vec(), at: 0 })
    }

    /// Tells all of it, frame by frame, until `hear` has enough.
    ///
    /// # Errors
    /// What `hear` fails with.
    pub fn play<E>(&self, mut hear: impl FnMut(&Frame) -> Result<(), E>) -> Result<(), E> {
        let (mut place, mut frame) = (Place { run: self.gone, at: None }, Frame::default());
        while let Next::Clip(mut clip) = self.take(&mut place) {
            while clip.next(&mut frame) {
                hear(&frame)?;
            }
        }
        Ok(())
    }
}

impl Clip {
    /// Puts the next frame in the place of `frame`, whose room is used again; false at its end.
    pub fn next(&mut self, frame: &mut Frame) -> bool {
        if !std::mem::replace(&mut self.begun, true) {
            frame.clone_from(&self.first.frame);
            return true;
        }
        let mut notes = Notes(&self.notes[self.at..]);
        let read = notes.read(&self.first, frame).is_some();
        self.at = self.notes.len() - notes.0.len();
        read
    }
}

impl First {
    fn new(frame: Frame) -> Self {
        let text = match (said(&frame), &frame.verbatim) {
            (Some(text), Some(bytes)) if !text.is_empty() => {
                let quoted =
                    |window: &[u8]| matches!(window, [b'"', inner @ .., b'"'] if inner == text.as_bytes());
                bytes.windows(text.len() + 2).position(quoted).map(|at| at + 1)
            }
            _ => None,
        };
        Self { frame, text }
    }

    /// Its bytes up to the text and behind it.
    fn parts(&self) -> Option<(&[u8], &[u8])> {
        let (before, rest) = self.frame.verbatim.as_ref()?.split_at_checked(self.text?)?;
        Some((before, rest.get(said(&self.frame)?.len()..)?))
    }
}

/// What is different in a frame that is like another one.
struct Note<'a> {
    way: usize,
    text: &'a str,
    /// How it is spelled.
    raw: &'a [u8],
    /// Bytes kept from the beginning, those in their place, and bytes kept to the end.
    change: (usize, &'a [u8], usize),
}

impl<'a> Note<'a> {
    fn of(first: &First, frame: &'a Frame) -> Option<Self> {
        let text = said(frame)?;
        if !alike(&first.frame.deltas, &frame.deltas) || text.len() > NOTED_BYTES_MAX {
            return None;
        }
        let note = |way, raw, change| Some(Self { way, text, raw, change });
        let (old, new) = match (&first.frame.verbatim, &frame.verbatim) {
            (Some(old), Some(new)) => (old, new),
            (None, None) => return note(PLAIN, &[], (0, &[], 0)),
            _ => return None,
        };
        if new.len() > NOTED_BYTES_MAX {
            return None;
        }
        if let Some((before, after)) = first.parts()
            && let Some(rest) = new.strip_prefix(before)
        {
            if let Some(raw) = rest.strip_suffix(after) {
                let way = if raw == text.as_bytes() { PLAIN } else { SPELLED };
                return note(way, raw, (0, &[], 0));
            }
            if let Some(rest) = rest.strip_prefix(text.as_bytes()) {
                return note(ENDED, &[], difference(after, rest));
            }
        }
        note(OTHER, &[], difference(old, new))
    }

    fn length_at_most(&self) -> usize {
        const NUMBERS_BYTES: usize = 8; // four numbers, none of them beyond fourteen bits
        NUMBERS_BYTES + self.text.len() + self.raw.len() + self.change.1.len()
    }

    fn write(&self, out: &mut Vec<u8>) {
        number(out, self.text.len() << 2 | self.way);
        out.extend_from_slice(self.text.as_bytes());
        match self.way {
            PLAIN => {}
            SPELLED => {
                number(out, self.raw.len());
                out.extend_from_slice(self.raw);
            }
            _ => {
                let (kept, new, left) = self.change;
                number(out, kept);
                number(out, left);
                number(out, new.len());
                out.extend_from_slice(new);
            }
        }
    }
}

/// Notes that are read; `None` at their end.
struct Notes<'a>(&'a [u8]);

impl<'a> Notes<'a> {
    fn read(&mut self, first: &First, frame: &mut Frame) -> Option<()> {
        let number = self.number()?;
        let (way, text) = (number & 3, self.bytes(number >> 2)?);
        match &first.frame.verbatim {
            None => frame.verbatim = None,
            Some(old) => {
                let out = frame.verbatim.get_or_insert_default();
                out.clear();
                match (way, first.parts()) {
                    (PLAIN | SPELLED, Some((before, after))) => {
                        let raw = if way == PLAIN { text } else { self.sized()? };
                        [before, raw, after].into_iter().for_each(|part| out.extend_from_slice(part));
                    }
                    (ENDED, Some((before, after))) => {
                        out.extend_from_slice(before);
                        out.extend_from_slice(text);
                        self.changed(after, out)?;
                    }
                    _ => self.changed(old, out)?,
                }
            }
        }
        if !alike(&first.frame.deltas, &frame.deltas) {
            frame.deltas.clone_from(&first.frame.deltas);
        }
        if let [
            Delta::Text { text: said, .. }
            | Delta::Reasoning { text: said, .. }
            | Delta::Arguments { fragment: said, .. },
        ] = frame.deltas.as_mut_slice()
        {
            said.clear();
            // It came out of a text.
            said.push_str(std::str::from_utf8(text).ok()?);
        }
        Some(())
    }

    fn changed(&mut self, old: &[u8], out: &mut Vec<u8>) -> Option<()> {
        let (kept, left) = (self.number()?, self.number()?);
        out.extend_from_slice(old.get(..kept)?);
        out.extend_from_slice(self.sized()?);
        out.extend_from_slice(&old[old.len().checked_sub(left)?..]);
        Some(())
    }

    fn sized(&mut self) -> Option<&'a [u8]> {
        let length = self.number()?;
        self.bytes(length)
    }

    fn bytes(&mut self, length: usize) -> Option<&'a [u8]> {
        let (bytes, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(bytes)
    }

    /// Seven bits a byte, the lowest first; the top bit says that more follow.
    fn number(&mut self) -> Option<usize> {
        let (mut number, mut shift) = (0, 0);
        loop {
            let (byte, rest) = self.0.split_first()?;
            self.0 = rest;
            number |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if *byte < 0x80 {
                return Some(number);
            }
        }
    }
}

fn number(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
}

/// What a frame says, if it is one piece of something that comes in pieces.
fn said(frame: &Frame) -> Option<&str> {
    match frame.deltas.as_slice() {
        [Delta::Text { text, .. } | Delta::Reasoning { text, signature: None, .. }] => Some(text),
        [Delta::Arguments { fragment, .. }] => Some(fragment),
        _ => None,
    }
}

/// Whether both say one piece of the same.
fn alike(one: &[Delta], other: &[Delta]) -> bool {
    match (one, other) {
        ([Delta::Text { choice, .. }], [Delta::Text { choice: same, .. }])
        | (
            [Delta::Reasoning { choice, signature: None, .. }],
            [Delta::Reasoning { choice: same, signature: None, .. }],
        ) => choice == same,
        ([Delta::Arguments { choice, call, .. }], [Delta::Arguments { choice: same, call: also, .. }]) => {
            (choice, call) == (same, also)
        }
        _ => false,
    }
}

/// How `new` comes of `old`: bytes kept from the beginning, others in the place of the rest, bytes kept to the end.
fn difference<'a>(old: &[u8], new: &'a [u8]) -> (usize, &'a [u8], usize) {
    let kept = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, rest) = (&old[kept..], &new[kept..]);
    let left = old.iter().rev().zip(rest.iter().rev()).take_while(|(old, new)| old == new).count();
    (kept, &rest[..rest.len() - left], left)
}

/// What a frame costs to keep whole, roughly.
#[must_use]
pub fn size_of_frame(frame: &Frame) -> usize {
    let said = |delta: &Delta| {
        size_of::<Delta>()
            + match delta {
                Delta::Text { text, .. } | Delta::Reasoning { text, .. } => text.len(),
                Delta::Arguments { fragment, .. } => fragment.len(),
                Delta::Start { id, model: name } | Delta::ToolCall { id, name, .. } => id.len() + name.len(),
                Delta::Finish { .. } | Delta::Usage(_) => 0,
            }
    };
    let deltas: usize = frame.deltas.iter().map(said).sum();
    size_of::<Frame>() + deltas + frame.verbatim.as_ref().map_or(0, Vec::len)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Finish;

    fn chunk(text: &str, spelled: &str, more: &str) -> Frame {
        let bytes = format!(
            "data: {{\"id\":\"chatcmpl-1\",\"choices\":[{{\"delta\":{{\"content\":\"{spelled}\"}}}}]{more}}}\n\n"
        );
        let deltas = vec![Delta::Text { choice: 0, text: text.to_owned() }];
        Frame { deltas, verbatim: Some(bytes.into_bytes()) }
    }

    fn plain(text: &str) -> Frame {
        chunk(text, text, "")
    }

    #[track_caller]
    fn holds(frames: &[Frame]) -> Reel {
        let mut reel = Reel::default();
        let mut taken = 0;
        let (mut place, mut frame, mut live) = (Place::default(), Frame::default(), Vec::new());
        for next in frames {
            taken += reel.record(next);
            // Somebody who hears every third as it comes.
            if live.len().is_multiple_of(3) {
                while let Next::Clip(mut clip) = reel.take(&mut place) {
                    while clip.next(&mut frame) {
                        live.push(frame.clone());
                    }
                }
            }
        }
        while let Next::Clip(mut clip) = reel.take(&mut place) {
            while clip.next(&mut frame) {
                live.push(frame.clone());
            }
        }
        assert_eq!(live, frames);
        let mut heard = Vec::new();
        let all: Result<(), ()> = reel.play(|frame| {
            heard.push(frame.clone());
            Ok(())
        });
        assert_eq!((all, heard.as_slice()), (Ok(()), frames));
        assert_eq!(reel.bytes(), taken);
        reel
    }

    #[test]
    fn frames_that_differ_in_their_text_cost_little_more_than_it() {
        let frames: Vec<Frame> = (0..1_000).map(|number| plain(&format!("word{number:04} "))).collect();
        let reel = holds(&frames);
        let words = 1_000 * 9;
        assert!(reel.bytes() < words + words / 3, "{} bytes for {words}", reel.bytes());
        // The same without the provider's bytes.
        let bare: Vec<Frame> = frames.into_iter().map(|frame| Frame { verbatim: None, ..frame }).collect();
        assert!(holds(&bare).bytes() < words + words / 3);
    }

    #[test]
    fn escapes_and_stuffing_cost_themselves() {
        let stuffed = |number: usize| chunk("word ", "word ", &format!(",\"obfuscation\":\"x{number:07}\""));
        let frames: Vec<Frame> = (0..100).map(stuffed).collect();
        assert!(holds(&frames).bytes() < 100 * 25 + 2_500);
        let broken: Vec<Frame> = (0..100).map(|_| chunk("a\n", "a\\n", "")).collect();
        let frames: Vec<Frame> = std::iter::once(plain("word ")).chain(broken).collect();
        assert!(holds(&frames).bytes() < 100 * 8 + 2_500);
    }

    #[test]
    fn whatever_is_told_is_told_again() {
        let finish =
            Frame { deltas: vec![Delta::Finish { choice: 0, finish: Finish::Stop }], verbatim: None };
        let think = |text: &str, signature: Option<&str>| {
            let (text, signature) = (text.to_owned(), signature.map(str::to_owned));
            Frame { deltas: vec![Delta::Reasoning { choice: 1, text, signature }], verbatim: None }
        };
        let call = |call, fragment: &str| {
            let delta = Delta::Arguments { choice: 0, call, fragment: fragment.to_owned() };
            Frame { verbatim: Some(format!("{delta:?}").into_bytes()), deltas: vec![delta] }
        };
        let two = Frame { deltas: [plain("a").deltas, plain("b").deltas].concat(), verbatim: None };
        let kinds = [
            plain("a"),
            plain("content"),
            plain(""),
            plain("ü🦀"),
            chunk("\"", "\\\"", ""),
            chunk("a", "a", ",\"n\":1"),
            chunk("a", "\\u0061", ",\"n\":2"),
            Frame { verbatim: None, ..plain("a") },
            Frame { verbatim: Some(Vec::new()), ..plain("a") },
            Frame { deltas: Vec::new(), verbatim: Some(b": ping\n\n".to_vec()) },
            Frame::default(),
            Frame { deltas: vec![Delta::Text { choice: 1, text: "a".to_owned() }], ..plain("a") },
            finish,
            think("hm", None),
            think("", Some("s")),
            call(0, "{\"a\""),
            call(1, ":1}"),
            two,
            plain(&"long ".repeat(300)),
        ];
        holds(&kinds);
        // In thousands of orders.
        let mut seed = 7_u64;
        for _ in 0..500 {
            let frames: Vec<Frame> = (0..40)
                .map(|_| {
                    seed =
                        seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    kinds[(seed >> 33) as usize % kinds.len()].clone()
                })
                .collect();
            holds(&frames);
        }
    }

    #[test]
    fn a_note_and_a_run_have_limits() {
        let text = |bytes: usize| Frame { verbatim: None, ..plain(&"x".repeat(bytes)) };
        for (bytes, runs) in [(NOTED_BYTES_MAX, 1), (NOTED_BYTES_MAX + 1, 2)] {
            assert_eq!(holds(&[text(1), text(bytes)]).runs.len(), runs, "{bytes}");
        }
        // Of three bytes each, with one for way and length, and room for the largest numbers.
        let most = (NOTES_BYTES_MAX - 8 - 3) / 4 + 1;
        for (notes, runs) in [(most, 1), (most + 1, 2)] {
            assert_eq!(holds(&vec![text(3); notes + 1]).runs.len(), runs, "{notes}");
        }
        let stranger = |number: usize| {
            let bytes = format!("{{\"at\":{number},\"content\":\"a\"}}\n").into_bytes();
            Frame { verbatim: Some(bytes), ..plain("a") }
        };
        let frames: Vec<Frame> = (0..20).map(stranger).collect();
        assert_eq!(holds(&frames).runs.len(), usize::from(ANEW_MAX) + 1);
    }

    #[test]
    fn what_was_let_go_is_gone_and_what_is_kept_is_told() {
        let mut reel = Reel::default();
        let (mut early, mut late) = (Place::default(), Place::default());
        let bytes = reel.record(&Frame::default());
        assert!(matches!(reel.take(&mut late), Next::Clip(_)));
        let more = reel.record(&plain("a"));
        assert!(matches!(reel.take(&mut late), Next::Clip(_)));
        assert!(matches!(reel.take(&mut late), Next::Nothing));
        assert_eq!((reel.let_go(), reel.bytes()), (Some(bytes), more));
        assert!(matches!(reel.take(&mut early), Next::Gone));
        reel.record(&plain("b"));
        let Next::Clip(mut clip) = reel.take(&mut late) else { panic!("there is one more") };
        let mut frame = Frame::default();
        assert!(clip.next(&mut frame) && frame == plain("b") && !clip.next(&mut frame));
        assert!(reel.let_go().is_some() && reel.let_go().is_none());
        assert_eq!(reel.bytes(), 0);
    }
}
