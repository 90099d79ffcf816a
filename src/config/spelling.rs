//! How keys are spelled: camelCase means snake_case, and a slip is met with the key that was probably meant.

use super::keys::{Effect, Row, children, rows};

/// Writes a camelCase key as snake_case: `maxRequests`, `baseURL` and `APIKey` become `max_requests`, `base_url`, `api_key`.
pub(super) fn snake(key: &str) -> String {
    let letters: Vec<char> = key.chars().collect();
    let mut out = String::with_capacity(key.len() + 4);
    for (index, letter) in letters.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|i| letters.get(i));
        let after = letters.get(index + 1);
        let starts_word = before.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
            || (before.is_some_and(char::is_ascii_uppercase) && after.is_some_and(char::is_ascii_lowercase));
        if letter.is_ascii_uppercase() && starts_word {
            out.push('_');
        }
        out.push(letter.to_ascii_lowercase());
    }
    out
}

/// The known key an unknown one below `parent` was probably meant to be: a near neighbour, else one of the same
/// name elsewhere.
pub(super) fn suggestion(parent: &str, key: &str) -> Option<String> {
    let key = snake(key).replace('-', "_");
    let near = children(parent)
        .map(|known| (distance(&key, known), known))
        .filter(|(distance, known)| *distance <= (known.len() / 3).max(1))
        .min_by_key(|(distance, _)| *distance);
    let elsewhere = || {
        let named = |row: &&Row| row.path.rsplit('.').next() == Some(&key) && row.effect == Effect::Used;
        rows().find(named).map(|row| row.path.replace("*", "<name>"))
    };
    near.map(|(_, known)| known.to_owned()).or_else(elsewhere)
}

/// Insertions, deletions, replacements and swaps of neighbours between two words.
fn distance(one: &str, other: &str) -> usize {
    let (one, other): (Vec<char>, Vec<char>) = (one.chars().take(64).collect(), other.chars().collect());
    let mut rows = vec![(0..=other.len()).collect::<Vec<usize>>()];
    for i in 1..=one.len() {
        let mut row = vec![i];
        for j in 1..=other.len() {
            let change = usize::from(one[i - 1] != other[j - 1]);
            let mut best = (row[j - 1] + 1).min(rows[i - 1][j] + 1).min(rows[i - 1][j - 1] + change);
            if i > 1 && j > 1 && one[i - 1] == other[j - 2] && one[i - 2] == other[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[one.len()][other.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn camel_case_means_snake_case() {
        for (camel, expected) in [
            ("maxRequests", "max_requests"),
            ("baseURL", "base_url"),
            ("baseUrl", "base_url"),
            ("APIKey", "api_key"),
            ("apiKeys", "api_keys"),
            ("providerPreference", "provider_preference"),
            ("http3", "http3"),
            ("already_snake", "already_snake"),
            ("numCtx", "num_ctx"),
        ] {
            assert_eq!(snake(camel), expected);
        }
    }

    #[test]
    fn a_slip_is_met_with_the_nearest_key() {
        for (parent, key, expected) in [
            ("circuit_breaker", "max_request", Some("max_requests")),
            ("circuit_breaker", "maxRequest", Some("max_requests")),
            ("circuit_breaker", "failure-threshold", Some("failure_threshold")),
            ("server", "wrokers", Some("workers")),
            ("", "provider", Some("providers")),
            ("", "workers", Some("server.workers")),
            ("server", "retries", Some("providers.<name>.retries")),
            ("", "colour", None),
        ] {
            assert_eq!(suggestion(parent, key).as_deref(), expected, "{parent} {key}");
        }
    }
}
