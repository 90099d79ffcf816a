//! Who may ask: keys known by their hash, what a key allows, how often it may ask, and what a caller never chooses.

use crate::rig::{CHAT, HELLO, Rig};
use hapax::domain::key::Hash;
use std::time::Duration;

const OPENAI: &str = "openai_compatible";

fn keyed(more: &str) -> Rig {
    let hash = Hash::of("hpx_good");
    let rest = format!("auth:\n  keys:\n    - {{name: bot, hash: \"{hash}\"{more}}}\n");
    Rig::with(&[OPENAI, OPENAI], &rest)
}

#[test]
fn no_byte_of_a_caller_without_a_known_key_reaches_a_provider() {
    let rig = keyed("");
    for headers in [
        &[][..],
        &[("Authorization", "Bearer hpx_bad")],
        &[("X-API-Key", "hpx_goo")],
        &[("Authorization", "Basic hpx_good")],
        &[("Authorization", "Bearer sk-a")],
    ] {
        let answer = rig.ask("POST", CHAT, headers, HELLO);
        assert_eq!(answer.status, 401, "{headers:?}");
        assert_eq!(answer.json()["error"]["type"], "authentication_error");
        assert!(answer.header("www-authenticate").is_some() && answer.header("x-request-id").is_some());
    }
    assert_eq!(rig.ask("POST", &format!("{CHAT}?api_key=hpx_good"), &[], HELLO).status, 401);
    assert!(rig.asked(0).is_empty() && rig.asked(1).is_empty());
    for headers in [[("Authorization", "Bearer hpx_good")], [("x-api-key", "hpx_good")]] {
        assert_eq!(rig.ask("POST", CHAT, &headers, HELLO).status, 200);
    }
    let sent = &rig.asked(0)[0];
    assert_eq!(sent.header("authorization"), Some("Bearer sk-a"), "ours, not the caller's");
    assert_eq!(sent.header("x-api-key"), None);
}

#[test]
fn probes_and_metrics_need_no_key_and_the_status_does() {
    let rig = keyed("");
    for path in
        ["/health", "/v1/health", "/health/live", "/health/ready", "/health/provider/a", "/metrics", "/"]
    {
        assert_eq!(rig.get(path).status, 200, "{path}");
    }
    for path in ["/v1/status", "/v1/models"] {
        assert_eq!(rig.get(path).status, 401, "{path}");
    }
}

#[test]
fn a_key_uses_only_the_models_it_may_and_chooses_a_provider_only_if_it_may() {
    let rig = keyed(", models: ['a-*']");
    let good = ("Authorization", "Bearer hpx_good");
    let body =
        |model: &str| format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
    assert_eq!(rig.ask("POST", CHAT, &[good], &body("a-one")).status, 200);
    let refused = rig.ask("POST", CHAT, &[good], &body("b-one"));
    assert_eq!((refused.status, refused.json()["error"]["type"].clone()), (403, "permission_error".into()));
    let pin = ("X-Hapax-Provider", "b");
    assert_eq!(rig.ask("POST", CHAT, &[good, pin], &body("a-one")).status, 403);
    let rig = keyed(", pin: true");
    let answer = rig.ask("POST", CHAT, &[good, pin], HELLO);
    assert_eq!((answer.status, answer.header("x-hapax-provider")), (200, Some("b")));
}

#[test]
fn an_expired_key_is_told_apart_from_an_unknown_one() {
    let rig = keyed(", expires: 2020-01-01");
    let answer = rig.ask("POST", CHAT, &[("X-API-Key", "hpx_good")], HELLO);
    assert_eq!((answer.status, answer.json()["error"]["code"].clone()), (401, "expired_api_key".into()));
}

#[test]
fn ten_a_minute_is_ten_and_the_eleventh_learns_when_to_come_back() {
    let rig = keyed(", limits: {requests_per_minute: 10}");
    let ask = || rig.ask("POST", CHAT, &[("X-API-Key", "hpx_good")], HELLO);
    for left in (0..10).rev() {
        let answer = ask();
        assert_eq!(answer.status, 200);
        assert_eq!(answer.header("x-ratelimit-limit-requests"), Some("10"));
        assert_eq!(answer.header("x-ratelimit-remaining-requests"), Some(left.to_string().as_str()));
    }
    let refused = ask();
    assert_eq!(refused.status, 429);
    let after: u64 = refused.header("retry-after").and_then(|value| value.parse().ok()).expect("a moment");
    rig.advance(Duration::from_secs(after));
    assert_eq!(ask().status, 200, "the moment named is the moment of admission");
    assert!(rig.get("/metrics").text().contains("hapax_rate_limit_hits_total{client=\"bot\"} 1"));
}

#[test]
fn without_keys_the_limit_is_per_address() {
    let rig = Rig::with(
        &[OPENAI],
        "rate_limit: {requests_per_minute: 2}\nserver: {trusted_proxies: [127.0.0.0/8]}\n",
    );
    let from = |client: &str| rig.ask("POST", CHAT, &[("X-Forwarded-For", client)], HELLO).status;
    assert_eq!([from("203.0.113.1"), from("203.0.113.1"), from("203.0.113.1")], [200, 200, 429]);
    assert_eq!(from("203.0.113.2"), 200);
}
