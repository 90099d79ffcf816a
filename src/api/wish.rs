//! What a caller wants of the cache, read from his `Cache-Control` (RFC 9111, section 5.2.1).

use super::State;
use crate::gateway::cache::Wish;
use crate::server::Headers;
use std::time::Duration;

/// Directives read; a caller who sends more is not understood beyond them.
const DIRECTIVES_MAX: usize = 16;

/// The caller's wish; nothing is read when no answers are kept.
pub(super) fn of(state: &State, headers: &Headers) -> Wish {
    if !state.gateway.keeps_answers() {
        return Wish::default();
    }
    headers.get("cache-control").map_or_else(Wish::default, read)
}

fn read(field: &str) -> Wish {
    let mut wish = Wish::default();
    for directive in field.split(',').take(DIRECTIVES_MAX) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let (name, value) = (name.trim(), value.trim().trim_matches('"'));
        if name.eq_ignore_ascii_case("no-store") {
            (wish.look, wish.keep) = (false, false);
        } else if name.eq_ignore_ascii_case("no-cache") {
            wish.look = false;
        } else if name.eq_ignore_ascii_case("max-age") {
            // A number that cannot be read is taken for the strictest one (RFC 9111, section 4.2.1).
            wish.age_max = Some(Duration::from_secs(value.parse().unwrap_or(0)));
        }
    }
    wish
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_is_read_as_the_standard_says() {
        let every = Wish::default();
        let aged = |seconds| Wish { age_max: Some(Duration::from_secs(seconds)), ..every };
        for (field, wish) in [
            ("", every),
            ("no-cache", Wish { look: false, ..every }),
            ("No-Store", Wish { look: false, keep: false, ..every }),
            ("max-age=60", aged(60)),
            ("max-age = \"60\" , only-if-cached", aged(60)),
            ("max-age=nonsense", aged(0)),
            ("max-stale=5, no-transform", every),
            ("no-cache, max-age=5", Wish { look: false, ..aged(5) }),
        ] {
            assert_eq!(read(field), wish, "{field}");
        }
        let many = format!("{}no-store", "x,".repeat(DIRECTIVES_MAX));
        assert_eq!(read(&many), every);
        assert!(!read(&many[2..]).keep);
    }
}
