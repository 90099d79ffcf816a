//! All rules at once: lazy automata, whose time is linear in the text whatever the patterns are.

use super::builtin::Check;
use super::{Pattern, Rule};
use regex_automata::hybrid::dfa::{Cache, DFA};
use regex_automata::nfa::thompson::{Compiler, Config, WhichCaptures};
use regex_automata::{Anchored, Input, MatchKind};
use regex_syntax::hir::Hir;
use std::borrow::Cow;

/// The largest automaton of one rule, and of all together; usual rules need a hundredth of it.
const RULE_BYTES_MAX: usize = 256 << 10;
const RULES_BYTES_MAX: usize = 2 << 20;
/// States remembered per automaton and text; past it they are forgotten and found anew.
const STATES_BYTES_MAX: usize = 1 << 20;

/// Rules, ready to be looked for.
#[derive(Debug)]
pub struct Rules {
    names: Vec<String>,
    replacements: Vec<String>,
    checks: Vec<Option<Check>>,
    /// Finds where a match ends.
    forward: DFA,
    /// Finds where it begins.
    backward: DFA,
    /// Finds where something begins that may become a match.
    begun: DFA,
}

/// What looking needs to remember; one per text or stream.
#[derive(Debug)]
pub struct Scratch {
    forward: Cache,
    backward: Cache,
    begun: Cache,
}

impl Scratch {
    /// What it holds in memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.forward.memory_usage() + self.backward.memory_usage() + self.begun.memory_usage()
    }
}

/// A match: bytes from, to, and the rule's number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) rule: usize,
}

impl Rules {
    /// Makes rules ready.
    ///
    /// # Errors
    /// When they are too large together.
    pub fn new(rules: &[&Rule]) -> Result<Self, String> {
        let patterns: Vec<&Pattern> = rules.iter().map(|rule| &rule.pattern).collect();
        let [forward, backward, begun] =
            automata(&patterns, RULES_BYTES_MAX).ok_or("the patterns are too large together")?;
        Ok(Self {
            names: rules.iter().map(|rule| rule.name.clone()).collect(),
            replacements: rules.iter().map(|rule| rule.replace.clone()).collect(),
            checks: patterns.iter().map(|pattern| pattern.check).collect(),
            forward,
            backward,
            begun,
        })
    }

    /// What looking needs.
    #[must_use]
    pub fn scratch(&self) -> Scratch {
        Scratch {
            forward: self.forward.create_cache(),
            backward: self.backward.create_cache(),
            begun: self.begun.create_cache(),
        }
    }

    /// The rules' names, by number.
    #[must_use]
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Nothing found yet, by rule.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        vec![0; self.names.len()]
    }

    /// A whole text with everything replaced; counts what was found.
    #[must_use]
    pub fn apply<'t>(&self, text: &'t str, scratch: &mut Scratch, counts: &mut [u64]) -> Cow<'t, str> {
        let mut out = String::new();
        let mut at = 0;
        while let Some(found) = self.find(text, at, scratch) {
            out.push_str(&text[at..found.start]);
            out.push_str(self.hit(found, counts));
            at = found.end;
        }
        if at == 0 {
            return Cow::Borrowed(text);
        }
        out.push_str(&text[at..]);
        Cow::Owned(out)
    }

    /// Counts a match, and says what takes its place.
    pub(super) fn hit(&self, found: Found, counts: &mut [u64]) -> &str {
        counts[found.rule] += 1;
        &self.replacements[found.rule]
    }

    /// The first match from here on; what its rule's check refuses is passed over as a whole.
    pub(super) fn find(&self, text: &str, from: usize, scratch: &mut Scratch) -> Option<Found> {
        let mut at = from;
        loop {
            let found = self.next(text, at, scratch)?;
            let passes = self.checks[found.rule].is_none_or(|check| check(&text[found.start..found.end]));
            if passes {
                return Some(found);
            }
            at = found.end;
        }
    }

    /// The first match, checked or not.
    pub(super) fn next(&self, text: &str, from: usize, scratch: &mut Scratch) -> Option<Found> {
        let input = Input::new(text).range(from..);
        // No automaton of ours gives up: none quits on a byte, and forgotten states are found anew.
        let end = self.forward.try_search_fwd(&mut scratch.forward, &input).ok()??;
        let back = Input::new(text).range(from..end.offset()).anchored(Anchored::Pattern(end.pattern()));
        let start = self.backward.try_search_rev(&mut scratch.backward, &back).ok()??;
        Some(Found { start: start.offset(), end: end.offset(), rule: end.pattern().as_usize() })
    }

    /// Whether a rule's check refuses this match.
    pub(super) fn refuses(&self, found: Found, text: &str) -> bool {
        self.checks[found.rule].is_some_and(|check| !check(&text[found.start..found.end]))
    }

    /// Where, from here on, something begins that goes on to the end of the text and may become a match.
    pub(super) fn begins(&self, text: &str, from: usize, scratch: &mut Scratch) -> usize {
        let input = Input::new(text).range(from..).anchored(Anchored::Yes);
        let found = self.begun.try_search_rev(&mut scratch.begun, &input);
        found.ok().flatten().map_or(text.len(), |start| start.offset())
    }
}

/// Whether one pattern is small enough.
pub(super) fn fits(pattern: &Pattern) -> bool {
    automata(&[pattern], RULE_BYTES_MAX).is_some()
}

fn automata(patterns: &[&Pattern], bytes_max: usize) -> Option<[DFA; 3]> {
    let whole: Vec<&Hir> = patterns.iter().map(|pattern| &pattern.whole).collect();
    let begun: Vec<&Hir> = patterns.iter().map(|pattern| &pattern.begun).collect();
    Some([
        automaton(&whole, false, MatchKind::LeftmostFirst, bytes_max)?,
        automaton(&whole, true, MatchKind::All, bytes_max)?,
        automaton(&begun, true, MatchKind::All, 4 * bytes_max)?,
    ])
}

fn automaton(patterns: &[&Hir], reverse: bool, kind: MatchKind, bytes_max: usize) -> Option<DFA> {
    let config =
        Config::new().reverse(reverse).which_captures(WhichCaptures::None).nfa_size_limit(Some(bytes_max));
    let nfa = Compiler::new().configure(config).build_many_from_hir(patterns).ok()?;
    let config = DFA::config()
        .match_kind(kind)
        .starts_for_each_pattern(reverse)
        .cache_capacity(STATES_BYTES_MAX)
        .skip_cache_capacity_check(true);
    DFA::builder().configure(config).build_from_nfa(nfa).ok()
}
