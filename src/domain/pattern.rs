//! Patterns of model names: `*` is any run of characters, everything else is itself.

/// A pattern such as `gpt-*`. Case counts, as it does in the providers' own names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: Box<str>,
    /// Where its first star is.
    star: Option<usize>,
}

impl Pattern {
    /// Takes a pattern as it is written in the file.
    #[must_use]
    pub fn new(pattern: &str) -> Self {
        Self { text: pattern.into(), star: pattern.find('*') }
    }

    /// Whether the whole of `name` fits.
    #[must_use]
    pub fn matches(&self, name: &str) -> bool {
        let Some(star) = self.star else { return *self.text == *name };
        let (pattern, name) = (self.text.as_bytes(), name.as_bytes());
        if !name.starts_with(&pattern[..star]) {
            return false;
        }
        star + 1 == pattern.len() || Self::goes_on(&pattern[star..], &name[star..])
    }

    /// Whether the whole of `name` fits a pattern that begins with a star.
    fn goes_on(pattern: &[u8], name: &[u8]) -> bool {
        let (mut p, mut n) = (0, 0);
        // Where to go back to when the last star was given too little: the byte after it, and its end so far.
        let mut star: Option<(usize, usize)> = None;
        while n < name.len() {
            if pattern.get(p) == Some(&b'*') {
                p += 1;
                star = Some((p, n));
            } else if pattern.get(p) == Some(&name[n]) {
                p += 1;
                n += 1;
            } else if let Some((after, end)) = star {
                p = after;
                n = end + 1;
                star = Some((after, n));
            } else {
                return false;
            }
        }
        pattern[p..].iter().all(|byte| *byte == b'*')
    }

    /// The one name it fits, when there is no star in it.
    #[must_use]
    pub fn exact(&self) -> Option<&str> {
        if self.star.is_some() { None } else { Some(&self.text) }
    }

    /// How specific it is: its characters that are not stars, in bytes.
    #[must_use]
    pub fn weight(&self) -> usize {
        self.text.bytes().filter(|byte| *byte != b'*').count()
    }
}

impl From<&str> for Pattern {
    fn from(pattern: &str) -> Self {
        Self::new(pattern)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_run_of_characters_and_nothing_else_is_special() {
        let fits = |pattern: &str, name: &str| Pattern::new(pattern).matches(name);
        for (pattern, name) in [
            ("gpt-*", "gpt-4o"),
            ("gpt-*", "gpt-"),
            ("*", ""),
            ("*", "anything/at:all"),
            ("*mini*", "gpt-4o-mini-2024"),
            ("a*b*c", "a-b-b-c"),
            ("a**c", "abc"),
            ("llama3.2", "llama3.2"),
            ("*é", "café"),
        ] {
            assert!(fits(pattern, name), "{pattern} should fit {name}");
        }
        for (pattern, name) in [
            ("gpt-*", "xgpt-4"),
            ("gpt-*", "GPT-4"),
            ("a*b*c", "a-b-b-d"),
            ("llama3.2", "llama3x2"),
            ("", "a"),
            ("a", ""),
            ("*b", "ba"),
        ] {
            assert!(!fits(pattern, name), "{pattern} should not fit {name}");
        }
    }

    #[test]
    fn only_a_pattern_without_a_star_names_a_model() {
        assert_eq!(Pattern::new("gpt-4o").exact(), Some("gpt-4o"));
        assert_eq!(Pattern::new("gpt-*").exact(), None);
    }
}
