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

#[test]
fn a_key_with_endpoints_asks_there_and_nowhere_else() {
    let rig = keyed(", endpoints: [/v1/chat/completions, '/v1/models*', /v1/completions]");
    let at = |method: &str, path: &str, body: &str| {
        let answer = rig.ask(method, path, &[("X-API-Key", "hpx_good")], body);
        (answer.status, answer.json())
    };
    assert_eq!(at("POST", CHAT, HELLO).0, 200);
    assert_eq!(at("GET", "/v1/models", "").0, 200);
    assert_eq!(at("POST", "/v1/completion", HELLO).0, 200, "the endpoint's other name");
    for path in ["/api/chat", "/v1/messages", "/v1/embeddings"] {
        let (status, body) = at("POST", path, HELLO);
        assert_eq!(status, 403, "{path}: {body}");
    }
    let (_, body) = at("POST", "/v1/embeddings", HELLO);
    assert_eq!(body["error"]["code"], "endpoint_not_allowed");
    assert_eq!(rig.asked(0).len(), 2);
    let log = rig.logged();
    let refused: Vec<&str> = log.lines().filter(|line| line.contains("\"status\":403")).collect();
    assert!(refused.len() == 4 && refused.iter().all(|line| line.contains("\"key\":\"bot\"")), "{log}");
}

#[test]
fn two_keys_of_one_name_are_one_caller_while_one_replaces_the_other() {
    let (old, new) = (Hash::of("hpx_old"), Hash::of("hpx_new"));
    let rest = format!(
        "auth:\n  keys:\n    - {{name: bot, hashes: [\"{old}\", \"{new}\"], limits: {{requests_per_minute: 3}}}}\n"
    );
    let rig = Rig::with(&[OPENAI], &rest);
    let ask = |key: &str| rig.ask("POST", CHAT, &[("X-API-Key", key)], HELLO);
    let left = ["hpx_old", "hpx_new", "hpx_old"].map(|key| {
        let answer = ask(key);
        assert_eq!(answer.status, 200);
        answer.header("x-ratelimit-remaining-requests").map(str::to_owned)
    });
    assert_eq!(left, ["2", "1", "0"].map(|left| Some(left.to_owned())));
    assert_eq!(ask("hpx_new").status, 429);
}

#[test]
fn a_flood_of_wrong_keys_is_slowed_and_a_good_one_from_the_same_address_never() {
    let hash = Hash::of("hpx_good");
    let rest = format!("auth:\n  wrong_keys_per_minute: 3\n  keys: [{{name: bot, hash: \"{hash}\"}}]\n");
    let rig = Rig::with(&[OPENAI], &rest);
    let ask = |key: &str| rig.ask("POST", CHAT, &[("X-API-Key", key)], HELLO);
    let statuses = [1, 2, 3, 4, 5].map(|number| ask(&format!("hpx_wrong{number}")).status);
    assert_eq!(statuses, [401, 401, 401, 429, 429]);
    let refused = ask("hpx_wrong");
    assert_eq!(refused.json()["error"]["code"], "too_many_wrong_keys");
    assert_eq!(ask("hpx_good").status, 200);
    assert_eq!(rig.ask("POST", CHAT, &[], HELLO).status, 401, "no key is not a wrong one");
    let after: u64 = refused.header("retry-after").and_then(|value| value.parse().ok()).expect("a moment");
    rig.advance(Duration::from_secs(after));
    assert_eq!(ask("hpx_wrong").status, 401);
    assert_eq!(rig.asked(0).len(), 1);
}

#[test]
fn an_endpoint_has_a_limit_for_all_callers_together() {
    let rig = Rig::with(
        &[OPENAI],
        "routes: [{path: /v1/chat/completions, limits: {requests_per_minute: 2}}]\nserver: {trusted_proxies: [127.0.0.0/8]}\n",
    );
    let from = |client: &str, path: &str| rig.ask("POST", path, &[("X-Forwarded-For", client)], HELLO);
    assert_eq!(from("203.0.113.1", CHAT).header("x-ratelimit-limit-requests"), Some("2"));
    assert_eq!(from("203.0.113.2", CHAT).status, 200);
    let refused = from("203.0.113.3", CHAT);
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("30")));
    assert_eq!(from("203.0.113.3", "/v1/completions").status, 200, "another endpoint");
}

#[test]
fn tokens_are_limited_by_what_was_really_used() {
    let rig = keyed(", limits: {tokens_per_minute: 2000}");
    let body = r#"{"max_tokens":1500,"messages":[{"role":"user","content":"Hello"}]}"#;
    let ask = |body: &str| rig.ask("POST", CHAT, &[("X-API-Key", "hpx_good")], body);
    let first = ask(body);
    let usage = &first.json()["usage"];
    let used = usage["total_tokens"].as_u64().expect("the provider reports it");
    assert_eq!(first.header("x-ratelimit-limit-tokens"), Some("2000"));
    let left = |header: &str| header.parse::<u64>().expect("a number");
    let reserved = 2_000 - first.header("x-ratelimit-remaining-tokens").map(left).expect("it is told");
    assert!((1_500..1_600).contains(&reserved), "{reserved}");
    let second = ask(body);
    assert_eq!(second.status, 200, "what the first did not use is there again");
    assert_eq!(second.header("x-ratelimit-remaining-tokens").map(left), Some(2_000 - used - reserved));
}

#[test]
fn a_key_sees_its_own_requests_and_an_admins_key_everybodys() {
    let [one, two, chief] = ["hpx_one", "hpx_two", "hpx_chief"].map(Hash::of);
    let rest = format!(
        "auth:\n  keys: [{{name: one, hash: \"{one}\"}}, {{name: two, hash: \"{two}\"}}, {{name: chief, hash: \"{chief}\", admin: true}}]\n"
    );
    let rig = Rig::with(&[OPENAI], &rest);
    // On one connection: the next request is read when all that belongs to the last one is done, its record too.
    let mut conversation = rig.connect();
    let mut as_key = |method: &str, path: &str, key: &str| {
        conversation.send(method, path, &[("X-API-Key", key)], HELLO);
        conversation.answer()
    };
    for key in ["hpx_one", "hpx_two", "hpx_two"] {
        assert_eq!(as_key("POST", CHAT, key).status, 200);
    }
    let seen = ["hpx_one", "hpx_two", "hpx_chief"].map(|key| {
        let status = as_key("GET", "/v1/status", key).json();
        status["recent"].as_array().map_or(0, Vec::len)
    });
    assert_eq!(seen, [1, 2, 3]);
}

#[test]
fn a_calendar_that_jumps_changes_nothing_but_what_is_told_by_the_calendar() {
    const YEARS: Duration = Duration::from_secs(50 * 365 * 86_400);
    let hash = Hash::of("hpx_good");
    let good = [("Authorization", "Bearer hpx_good")];
    let rig = Rig::with(
        &[OPENAI, OPENAI],
        &format!(
            "auth:\n  keys:\n    - {{name: bot, hash: \"{hash}\", expires: 2070-01-01, \
             limits: {{requests_per_minute: 60}}, budget: {{usd: 50, per: month}}}}\n\
             circuit_breaker: {{failure_threshold: 1, timeout: 10s}}\ncache: {{enabled: true}}\n"
        ),
    );
    let ask = || rig.ask("POST", CHAT, &[good[0], ("X-Hapax-Deduplicate", "off")], HELLO);
    let served = |answer: &crate::rig::caller::Answer| answer.header("x-hapax-provider").map(str::to_owned);
    rig.behave(0, "status=500");
    assert_eq!((ask().status, rig.asked(0).len()), (200, 1));
    rig.behave(0, "ok");
    // Half a century back, today again, and beyond the key's end. (No kernel lets a calendar stand before 1970.)
    for (ahead, expected) in [(false, 200), (true, 200), (true, 401), (false, 200)] {
        rig.jump(ahead, YEARS);
        let answer = ask();
        assert_eq!(answer.status, expected, "ahead: {ahead}");
        assert_eq!(rig.get("/metrics").status, 200);
        // What is open stays open for its ten seconds, whatever year it is.
        assert!(expected != 200 || served(&answer).as_deref() == Some("b"));
    }
    assert_eq!(rig.asked(0).len(), 1);
}

#[test]
fn a_key_known_by_the_request_before_it_is_looked_at_again_each_time() {
    let [good, other] = ["hpx_good", "hpx_else"].map(Hash::of);
    // The same head again, and one of which only the key is the same.
    for ids in [["same"; 8], ["1", "2", "3", "4", "5", "6", "7", "8"]] {
        let rig = keyed(", expires: 2070-01-01");
        let reload = |keys: &str| rig.reload(&[OPENAI, OPENAI], &format!("auth:\n  keys: [{keys}]\n"));
        let connect = || {
            let (mut conversation, mut ids) = (rig.connect(), ids.into_iter());
            move |key: &str| {
                let fields = [("Authorization", key), ("X-Request-ID", ids.next().unwrap())];
                conversation.send("POST", CHAT, &fields, HELLO);
                conversation.answer().status
            }
        };
        const KEY: &str = "Bearer hpx_good";
        let mut ask = connect();
        assert_eq!((ask(KEY), ask(KEY)), (200, 200));
        reload(&format!(
            "{{name: other, hash: \"{other}\"}}, {{name: bot, hash: \"{good}\", endpoints: [\"/v1/models\"]}}"
        ));
        assert_eq!(ask(KEY), 403, "the key has another place and may do less");
        let mut ask = connect();
        reload(&format!("{{name: bot, hash: \"{good}\", expires: 2070-01-01}}"));
        assert_eq!((ask(KEY), ask(KEY)), (200, 200));
        rig.jump(true, Duration::from_secs(60 * 365 * 86_400));
        assert_eq!(ask(KEY), 401, "it has expired since");
        let mut ask = connect();
        rig.jump(false, Duration::from_secs(60 * 365 * 86_400));
        assert_eq!((ask(KEY), ask(KEY)), (200, 200));
        assert_eq!(ask("Bearer hpx_goof"), 401, "it is another one");
        let mut ask = connect();
        assert_eq!((ask(KEY), ask(KEY)), (200, 200));
        reload(&format!("{{name: bot, hash: \"{other}\"}}"));
        assert_eq!(ask(KEY), 401, "it was taken away");
    }
}
