//! What a key of the file means, in words: for `hapax help KEY`.

use super::keys::{Effect, Row, child, rows};
use super::kinds::Kind;
use super::spelling;

/// What may be written at `key` — as in the file or in a problem's line, `auth.keys[0].name` or `circuitBreaker.timeout` —
/// and at every key below it; none when no such key loads. Empty: the keys of the top.
pub fn describe(key: &str) -> Option<String> {
    if key.is_empty() {
        let top = rows().filter(|row| !row.path.contains('.') && row.effect == Effect::Used);
        return Some(top.map(block).collect());
    }
    let found = find(key)?;
    let below = format!("{}.", found.path);
    let all = rows().filter(|row| row.path.starts_with(&below) && row.effect == Effect::Used);
    Some(std::iter::once(found).chain(all).map(block).collect())
}

/// The row behind a path with the operator's own names and numbers in it.
fn find(key: &str) -> Option<&'static Row> {
    let mut found: Option<&'static Row> = None;
    for word in key.split('.') {
        // A place in a list says nothing about the key.
        let word = word.split('[').next().unwrap_or(word);
        if word.is_empty() {
            continue;
        }
        let parent = match found {
            Some(row) if matches!(row.kind, Kind::Listed) => format!("{}.[]", row.path),
            Some(row) => row.path.to_owned(),
            None => String::new(),
        };
        found = Some(child(&parent, &spelling::snake(word))?);
    }
    found
}

/// The key, what may be written, and what it means.
fn block(row: &'static Row) -> String {
    let path = row.path.replace(".[]", "[]").replace('*', "NAME");
    let words = match row.effect {
        Effect::Gone => "no effect".to_owned(),
        Effect::Used if row.default.is_empty() => row.kind.words(),
        Effect::Used => format!("{}; default {}", row.kind.words(), row.default),
    };
    format!("{path}: {}\n  {}\n", words.replace('`', ""), row.meaning)
}

#[cfg(test)]
mod tests {
    use super::describe;

    #[test]
    fn a_key_is_described_however_it_is_spelled() {
        let words = "circuit_breaker.failure_threshold: number, 1–1,000,000; default 3\n  \
                     consecutive failures that open it\n";
        for spelled in ["circuit_breaker.failure_threshold", "circuitBreaker.failureThreshold"] {
            assert_eq!(describe(spelled).as_deref(), Some(words));
        }
        for spelled in ["auth.keys[3].name", "auth.keys.name", "auth.keys.[].name"] {
            let words = describe(spelled).expect(spelled);
            assert!(words.starts_with("auth.keys[].name: text\n") && words.lines().count() == 2, "{words}");
        }
        assert!(
            describe("providers.openai.base_url")
                .is_some_and(|words| words.starts_with("providers.NAME.base_url"))
        );
        assert_eq!(describe("server.wrokers"), None);
    }

    #[test]
    fn a_section_is_described_with_all_that_is_below_it() {
        let words = describe("providers").expect("a section");
        assert!(words.contains("providers.NAME.timeouts.idle: duration; default 60s\n"), "{words}");
        let top = describe("").expect("the top");
        assert!(top.contains("\nauth: section\n") && !top.contains("auth.keys"), "{top}");
    }

    #[test]
    fn what_is_past_says_why_and_is_not_offered() {
        assert!(
            describe("server.http3")
                .is_some_and(|words| words == "server.http3: no effect\n  HTTP/3 is not offered\n")
        );
        assert!(describe("server").is_some_and(|words| !words.contains("http3")));
    }
}
