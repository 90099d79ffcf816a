//! Rules that take private words out of a text: patterns with names, found in one pass, also across the pieces of a stream.
//!
//! Of all rules the match that begins first counts, of those that begin together the rule written first; what was put
//! in its place is not looked at again. A stream holds back what may be the beginning of a match, and nothing else.

mod builtin;
mod engine;
mod pattern;
mod watch;

pub use builtin::{NAMES, named};
pub use engine::{Rules, Scratch};
pub use pattern::{PATTERN_BYTES_MAX, Pattern};
pub use watch::{HELD_BYTES_MAX, Watch};

use std::sync::Arc;

/// Rules at most; each is a label in the metrics.
pub const RULES_MAX: usize = 64;

/// One rule, as the operator wrote it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rule {
    /// Its name in the metrics.
    pub name: String,
    /// What it finds.
    pub pattern: Pattern,
    /// What is put in its place.
    pub replace: String,
    /// Whether it looks at requests.
    pub on_requests: bool,
    /// Whether it looks at answers.
    pub on_answers: bool,
}

/// What is done with what is found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// It is counted.
    Monitor,
    /// It is replaced, and counted.
    Enforce,
}

/// Rules in service for one direction.
#[derive(Debug, Clone)]
pub struct Redaction {
    /// What is done with what is found.
    pub mode: Mode,
    /// What is looked for.
    pub rules: Arc<Rules>,
}

impl Redaction {
    /// The rules of one direction; `None` when there are none.
    ///
    /// # Errors
    /// When they are too large together.
    pub fn of(mode: Mode, rules: &[Rule], on: impl Fn(&Rule) -> bool) -> Result<Option<Self>, String> {
        let chosen: Vec<&Rule> = rules.iter().filter(|rule| on(rule)).collect();
        if chosen.is_empty() {
            return Ok(None);
        }
        Ok(Some(Self { mode, rules: Arc::new(Rules::new(&chosen)?) }))
    }
}

#[cfg(test)]
mod tests;
