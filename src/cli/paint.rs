//! Colours and progress for people at a terminal; in a pipe, and with `NO_COLOR` (no-color.org), plain words alone.

use std::io::{IsTerminal, Write};

/// What a word says besides itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tone {
    /// All is well.
    Good,
    /// Look here.
    Bad,
    /// Of lesser weight.
    Dim,
}

/// Words on standard output in their tone.
pub(super) fn tinted(tone: Tone, words: &str) -> String {
    tinted_if(wanted(std::io::stdout().is_terminal()), tone, words)
}

fn wanted(terminal: bool) -> bool {
    let said = crate::config::process_environment;
    terminal
        && said("NO_COLOR").is_none_or(|value| value.is_empty())
        && said("TERM").is_none_or(|value| value != "dumb")
}

/// ECMA-48, section 8.3.117.
fn tinted_if(wanted: bool, tone: Tone, words: &str) -> String {
    let code = match tone {
        Tone::Good => 32,
        Tone::Bad => 31,
        Tone::Dim => 2,
    };
    if wanted { format!("\x1b[{code}m{words}\x1b[0m") } else { words.to_owned() }
}

/// Says on a terminal what is being waited for; nothing in a pipe. Gone when dropped.
pub(super) struct Waiting {
    shown: usize,
}

impl Waiting {
    /// From now on.
    pub(super) fn for_what(words: &str) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self { shown: 0 };
        }
        // A terminal that is gone needs no progress.
        let _ = write!(std::io::stderr(), "\r{words} ...");
        Self { shown: words.chars().count() + 4 }
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        if self.shown > 0 {
            let _ = write!(std::io::stderr(), "\r{:1$}\r", "", self.shown);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_for_terminals_only() {
        assert_eq!(tinted_if(false, Tone::Bad, "no"), "no");
        assert_eq!(tinted_if(true, Tone::Bad, "no"), "\x1b[31mno\x1b[0m");
        assert!(!wanted(false));
    }
}
