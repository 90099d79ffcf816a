//! One normal form of the target for key check, limits, lanes and routing alike.

use crate::rig::{CHAT, HELLO, Rig};
use hapax::domain::key::Hash;

const KEY: (&str, &str) = ("Authorization", "Bearer hpx_good");

/// Spellings of the chat endpoint.
const SAME: &[&str] = &[
    CHAT,
    "//v1/chat/completions",
    "/v1/./chat//completions",
    "/v1/%2e/chat/completions",
    "/%76%31/chat/completions",
    "/x/%2e%2e/v1/chat/completions",
    "/health/../v1/chat/completions",
    "/health/%2E%2e/v1/chat/completions",
    "/v1/chat/completions?key=hpx_good",
    "http://elsewhere/v1/chat/completions",
    "http://[::1]:80//v1/chat/completions",
];

/// What only looks like it.
const OTHERS: &[(&str, u16)] = &[
    ("/v1/chat", 404),
    ("/v1/./chat", 404),
    ("/v1/chat/completions/", 404),
    ("/v1/chat%2fcompletions", 404),
    ("/v1/chat/completions;x", 404),
    ("/V1/chat/completions", 404),
    ("/v1/chat/%252e%252e/chat/completions", 404),
    ("/health%2f..%2fv1/chat/completions", 400),
    ("/health/..%2fv1/chat/completions", 400),
    ("/v1/chat/completions%20", 404),
    ("/v1/chat/completions%00", 400),
    ("/v1/chat/completions%0d%0aX-API-Key:%20hpx_good", 400),
    ("/%2e%2e/v1/chat/completions", 400),
    ("/../v1/chat/completions", 400),
    ("/v1\\chat\\completions", 400),
    ("/v1/chat/completions#", 400),
    ("/v1/chat/completions%", 400),
    ("http://user@elsewhere/v1/chat/completions", 400),
    ("ftp://elsewhere/v1/chat/completions", 400),
    ("v1/chat/completions", 400),
    ("*", 400),
];

fn keyed(more: &str) -> Rig {
    let hash = Hash::of("hpx_good");
    Rig::with(&["openai"], &format!("auth:\n  keys:\n    - {{name: bot, hash: \"{hash}\"{more}}}\n"))
}

#[test]
fn no_spelling_of_a_path_reaches_a_provider_without_a_key() {
    let rig = keyed("");
    for path in SAME {
        assert_eq!(rig.ask("POST", path, &[], HELLO).status, 401, "{path}");
    }
    for (path, status) in OTHERS {
        let found = rig.ask("POST", path, &[], HELLO).status;
        assert!(found == *status || found == 401, "{path}: {found}");
    }
    assert!(rig.asked(0).is_empty());
    for path in ["/v1/status", "//v1/status", "/health/../v1/status", "/%761/status", "http://x/v1/status"] {
        assert_eq!(rig.get(path).status, 401, "{path}");
    }
}

#[test]
fn every_spelling_of_a_path_is_the_same_endpoint_with_the_same_limit_and_label() {
    let rig = keyed(&format!(", limits: {{requests_per_minute: {}}}", SAME.len()));
    for (count, path) in SAME.iter().enumerate() {
        let answer = rig.ask("POST", path, &[KEY], HELLO);
        assert_eq!(answer.status, 200, "{path}");
        let left = (SAME.len() - count - 1).to_string();
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(&*left), "{path}");
    }
    assert_eq!(rig.ask("POST", SAME[1], &[KEY], HELLO).status, 429);
    assert_eq!(rig.asked(0).len(), SAME.len());
    let label = format!(
        "hapax_http_requests_total{{endpoint=\"/v1/chat/completions\",status=\"200\"}} {}",
        SAME.len()
    );
    rig.wait_for_metric(&label);
}

#[test]
fn what_only_looks_like_a_path_is_nothing_even_with_a_key() {
    let rig = keyed("");
    for (path, status) in OTHERS {
        assert_eq!(rig.ask("POST", path, &[KEY], HELLO).status, *status, "{path}");
    }
    assert!(rig.asked(0).is_empty());
}
