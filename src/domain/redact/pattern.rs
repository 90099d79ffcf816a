//! One pattern: read, made ASCII where Unicode would need tables, and what a beginning of its matches looks like.

use super::builtin::Check;
use regex_syntax::hir::{
    self, Capture, Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind, Look, Repetition,
};

/// A pattern's text; real ones are below 200.
pub const PATTERN_BYTES_MAX: usize = 1_024;
/// Groups within each other.
const NEST_MAX: u32 = 16;
/// Steps of a chain whose beginnings are told apart; what is behind them may be anything.
const STEPS_MAX: usize = 32;

/// A pattern that finds at least one character. `\d`, `\w`, `\s`, `\b` and a leading `(?i)` mean ASCII.
#[derive(Debug, Clone)]
pub struct Pattern {
    text: String,
    pub(super) whole: Hir,
    /// What a match that is not complete may look like.
    pub(super) begun: Hir,
    /// What a pattern cannot say.
    pub(super) check: Option<Check>,
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text && self.check.is_some() == other.check.is_some()
    }
}

impl Eq for Pattern {}

impl Pattern {
    /// Reads a pattern in the syntax of Rust's `regex`.
    ///
    /// # Errors
    /// What is wrong with it, in a sentence.
    pub fn new(text: &str) -> Result<Self, String> {
        Self::checked(text, None)
    }

    pub(super) fn checked(text: &str, check: Option<Check>) -> Result<Self, String> {
        if text.len() > PATTERN_BYTES_MAX {
            return Err(format!("must be at most {PATTERN_BYTES_MAX} bytes"));
        }
        let (bare, folded) = text.strip_prefix("(?i)").map_or((text, false), |bare| (bare, true));
        let mut parser = regex_syntax::ParserBuilder::new().nest_limit(NEST_MAX).build();
        let read = parser.parse(&in_ascii(bare)).map_err(|error| reason(&error))?;
        let whole = plain(&read, folded);
        match whole.properties().minimum_len() {
            None => return Err("can never match".to_owned()),
            Some(0) => return Err("must not match the empty text".to_owned()),
            Some(_) => {}
        }
        let begun = begun(&whole);
        let pattern = Self { text: text.to_owned(), whole, begun, check };
        super::engine::fits(&pattern).then_some(pattern).ok_or_else(|| "is too large".to_owned())
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }
}

/// The parser's reason in one line.
fn reason(error: &regex_syntax::Error) -> String {
    let said = error.to_string();
    let last =
        said.lines().rev().find_map(|line| line.strip_prefix("error: ")).unwrap_or("it cannot be read");
    format!("is no pattern: {last}")
}

/// Perl's classes, which mean all of Unicode to the parser, as their ASCII members. They may stand within brackets.
fn in_ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        if c != '\\' {
            out.push(c);
            continue;
        }
        match rest.next() {
            Some('d') => out.push_str("[0-9]"),
            Some('D') => out.push_str("[^0-9]"),
            Some('w') => out.push_str("[0-9A-Za-z_]"),
            Some('W') => out.push_str("[^0-9A-Za-z_]"),
            Some('s') => out.push_str("[\\t\\n\\x0B\\x0C\\r ]"),
            Some('S') => out.push_str("[^\\t\\n\\x0B\\x0C\\r ]"),
            Some(other) => out.extend(['\\', other]),
            None => out.push('\\'),
        }
    }
    out
}

/// The same without groups to be remembered, with ASCII's borders of words, and in both cases if `folded`.
fn plain(hir: &Hir, folded: bool) -> Hir {
    let all = |parts: &[Hir]| parts.iter().map(|part| plain(part, folded)).collect();
    match hir.kind() {
        HirKind::Empty => Hir::empty(),
        HirKind::Literal(hir::Literal(bytes)) if folded => {
            let text = std::str::from_utf8(bytes).unwrap_or_default();
            Hir::concat(text.chars().map(in_both_cases).collect())
        }
        HirKind::Literal(hir::Literal(bytes)) => Hir::literal(bytes.clone()),
        HirKind::Class(Class::Unicode(class)) if folded => {
            let mut both = class.clone();
            for (from, to, other) in [('a', 'z', 'A'), ('A', 'Z', 'a')] {
                let mut letters = class.clone();
                letters.intersect(&ClassUnicode::new([ClassUnicodeRange::new(from, to)]));
                let moved = |letter: char| char::from(letter as u8 - from as u8 + other as u8);
                let ranges = letters
                    .iter()
                    .map(|range| ClassUnicodeRange::new(moved(range.start()), moved(range.end())));
                both.union(&ClassUnicode::new(ranges));
            }
            Hir::class(Class::Unicode(both))
        }
        HirKind::Class(class) => Hir::class(class.clone()),
        HirKind::Look(Look::WordUnicode) => Hir::look(Look::WordAscii),
        HirKind::Look(Look::WordUnicodeNegate) => Hir::look(Look::WordAsciiNegate),
        HirKind::Look(look) => Hir::look(*look),
        HirKind::Repetition(repetition) => {
            let sub = Box::new(plain(&repetition.sub, folded));
            Hir::repetition(Repetition { sub, ..repetition.clone() })
        }
        HirKind::Capture(Capture { sub, .. }) => plain(sub, folded),
        HirKind::Concat(parts) => Hir::concat(all(parts)),
        HirKind::Alternation(parts) => Hir::alternation(all(parts)),
    }
}

fn in_both_cases(letter: char) -> Hir {
    if !letter.is_ascii_alphabetic() {
        return Hir::literal(letter.to_string().into_bytes());
    }
    let both = [letter.to_ascii_lowercase(), letter.to_ascii_uppercase()];
    Hir::class(Class::Unicode(ClassUnicode::new(both.map(|one| ClassUnicodeRange::new(one, one)))))
}

/// What the beginnings of everything that matches look like, the whole of it and nothing at all included. It may
/// allow more than that (then more is held back), and never less.
fn begun(hir: &Hir) -> Hir {
    let or_nothing = |some: Hir| Hir::alternation(vec![some, Hir::empty()]);
    match hir.kind() {
        HirKind::Empty | HirKind::Look(_) => Hir::empty(),
        HirKind::Literal(hir::Literal(bytes)) => {
            let step = |rest: Hir, byte: &u8| or_nothing(Hir::concat(vec![Hir::literal([*byte]), rest]));
            let told = bytes.get(..STEPS_MAX).unwrap_or(bytes);
            told.iter().rev().fold(behind(bytes.len()), step)
        }
        HirKind::Class(_) => or_nothing(hir.clone()),
        HirKind::Repetition(repetition) => {
            let before = Repetition {
                min: 0,
                max: repetition.max.map(|max| max.saturating_sub(1)),
                ..repetition.clone()
            };
            Hir::concat(vec![Hir::repetition(before), begun(&repetition.sub)])
        }
        HirKind::Capture(Capture { sub, .. }) => begun(sub),
        HirKind::Concat(parts) => {
            let step = |rest: Hir, part: &Hir| {
                Hir::alternation(vec![begun(part), Hir::concat(vec![part.clone(), rest])])
            };
            let told = parts.get(..STEPS_MAX).unwrap_or(parts);
            told.iter().rev().fold(behind(parts.len()), step)
        }
        HirKind::Alternation(parts) => Hir::alternation(parts.iter().map(begun).collect()),
    }
}

/// What follows the steps of a chain that are told apart: nothing, or anything when there are more.
fn behind(steps: usize) -> Hir {
    if steps <= STEPS_MAX {
        return Hir::empty();
    }
    let sub = Box::new(Hir::dot(hir::Dot::AnyChar));
    Hir::repetition(Repetition { min: 0, max: None, greedy: true, sub })
}
