//! With a cache, the same question of the same caller is answered without asking anybody, and the answer says so.

use crate::rig::{CHAT, HELLO, HELLO_STREAM, Rig, caller::Answer};
use hapax::domain::digest;
use std::time::Duration;

const ON: &str = "cache: {enabled: true}\n";
const TYPES: [&str; 4] = ["openai_compatible", "anthropic", "ollama", "gemini"];

/// Everything the cache says of an answer.
fn told(answer: &Answer) -> (u16, Option<&str>, Option<&str>) {
    (answer.status, answer.header("x-hapax-cache"), answer.header("age"))
}

#[test]
fn the_second_answer_is_the_first_one_again_whole_and_streamed_from_every_kind_of_provider() {
    for kind in TYPES {
        let rig = Rig::with(&[kind], ON);
        for body in [HELLO, HELLO_STREAM] {
            let asked = rig.asked(0).len();
            let first = rig.post(CHAT, body);
            rig.advance(Duration::from_millis(2_900));
            let second = rig.post(CHAT, body);
            assert_eq!(told(&first), (200, Some("miss"), None));
            assert_eq!(told(&second), (200, Some("hit"), Some("2")));
            assert_eq!((second.said(), rig.asked(0).len()), (first.said(), asked + 1), "{kind}");
            assert!(second.whole && (body == HELLO || second.is_done()));
            for header in ["x-hapax-provider", "x-hapax-model", "content-type"] {
                assert_eq!(second.header(header), first.header(header), "{header}");
            }
            assert!(first.header("x-hapax-attempts").is_some());
            assert!(second.header("x-hapax-attempts").is_none(), "nobody was asked");
            if kind == "openai_compatible" && body == HELLO {
                assert_eq!(second.body, first.body, "byte for byte");
            }
        }
    }
}

#[test]
fn without_a_cache_nothing_is_said_of_one() {
    let rig = Rig::new(&["openai_compatible"]);
    for _ in 0..2 {
        assert_eq!(told(&rig.chat()), (200, None, None));
    }
    assert_eq!(rig.asked(0).len(), 2);
}

#[test]
fn a_caller_may_have_it_fresh_or_not_kept_at_all() {
    let rig = Rig::with(&["openai_compatible"], ON);
    let ask = |wish: &str| {
        let answer = rig.ask("POST", CHAT, &[("Cache-Control", wish)], HELLO);
        (answer.status, answer.header("x-hapax-cache").map(str::to_owned))
    };
    let (miss, hit) = ((200, Some("miss".to_owned())), (200, Some("hit".to_owned())));
    for (wish, expected, asked) in [
        ("no-store", &miss, 1),
        ("max-age=60", &miss, 2),
        ("max-age=60", &hit, 2),
        ("no-cache", &miss, 3),
        ("no-store", &miss, 4),
        ("no-transform", &hit, 4),
    ] {
        assert_eq!((&ask(wish), rig.asked(0).len()), (expected, asked), "{wish}");
    }
    rig.advance(Duration::from_secs(61));
    assert_eq!((ask("max-age=60"), ask("max-age=60")), (miss.clone(), hit));
    rig.advance(Duration::from_secs(600));
    assert_eq!(ask(""), miss, "ten minutes are over");
}

#[test]
fn one_caller_never_gets_what_was_kept_for_another() {
    let hash = |key: &str| digest::hex(&digest::sha256(key.as_bytes()));
    let keys = format!(
        "{ON}auth: {{keys: [{{name: one, hash: 'sha256:{}'}}, {{name: two, hash: 'sha256:{}'}}]}}\n",
        hash("hpx_1"),
        hash("hpx_2")
    );
    let rig = Rig::with(&["openai_compatible"], &keys);
    let ask = |key: &str| {
        let answer = rig.ask("POST", CHAT, &[("X-API-Key", key)], HELLO);
        answer.header("x-hapax-cache").map(str::to_owned)
    };
    let found: Vec<_> = ["hpx_1", "hpx_2", "hpx_1", "hpx_2"].into_iter().filter_map(ask).collect();
    assert_eq!(found, ["miss", "miss", "hit", "hit"]);
    assert_eq!(rig.asked(0).len(), 2);
}

#[test]
fn an_error_is_never_kept() {
    let rig = Rig::with(&["openai_compatible"], ON);
    rig.provider(0).script(&["status=400", "cut_after=2", "cut_after=2"]);
    assert_eq!(told(&rig.chat()), (400, Some("miss"), None));
    let broken = rig.post(CHAT, HELLO_STREAM);
    assert!(!broken.is_done());
    assert_eq!(told(&rig.post(CHAT, HELLO_STREAM)).1, Some("miss"));
    assert_eq!(told(&rig.chat()), (200, Some("miss"), None));
    assert_eq!(told(&rig.chat()), (200, Some("hit"), Some("0")));
}

#[test]
fn metrics_and_log_tell_hits_and_nothing_is_accounted_twice() {
    let rig = Rig::with(&["openai_compatible"], ON);
    rig.chat();
    let tokens = |text: &str| {
        let lines = text.lines().filter(|line| line.starts_with("hapax_tokens_total"));
        lines.map(str::to_owned).collect::<Vec<_>>()
    };
    let before = tokens(&rig.get("/metrics").text());
    assert!(!before.is_empty());
    for _ in 0..3 {
        rig.chat();
    }
    let text = rig.get("/metrics").text();
    assert_eq!(tokens(&text), before);
    for line in [
        "hapax_cache_requests_total{result=\"miss\"} 1",
        "hapax_cache_requests_total{result=\"hit\"} 3",
        "hapax_cache_entries 1",
        "hapax_cache_evictions_total 0",
    ] {
        assert!(text.lines().any(|other| other == line), "{line} is missing in {text}");
    }
    let bytes = text.lines().find_map(|line| line.strip_prefix("hapax_memory_bytes{use=\"cache\"} "));
    assert!(bytes.and_then(|bytes| bytes.parse::<u32>().ok()).is_some_and(|bytes| bytes > 500), "{text}");
    let lines: Vec<String> =
        rig.logged().lines().filter(|line| line.contains(CHAT)).map(str::to_owned).collect();
    let mut told: Vec<(bool, bool)> = lines
        .iter()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).expect("a JSON line"))
        .map(|line| (line["cache"] == "hit", line.get("usage").is_some()))
        .collect();
    // A line is written once its answer has left: another worker may be quicker.
    told.sort_unstable();
    assert_eq!(told, [(false, true), (true, false), (true, false), (true, false)]);
}

#[test]
fn a_reload_that_changes_nobody_keeps_the_answers_and_one_that_does_drops_them() {
    let kinds = ["openai_compatible"];
    let rig = Rig::with(&kinds, ON);
    rig.chat();
    rig.reload(&kinds, &format!("{ON}rate_limit: {{requests_per_minute: 1000}}\n"));
    assert_eq!(told(&rig.chat()).1, Some("hit"));
    rig.reload(&kinds, "cache: {enabled: true, ttl: 1m}\n");
    assert_eq!(told(&rig.chat()).1, Some("miss"));
    rig.reload(&kinds, "");
    assert_eq!(told(&rig.chat()).1, None);
    rig.reload(&kinds, ON);
    assert_eq!(told(&rig.chat()).1, Some("miss"));
    assert!(rig.get("/metrics").text().contains("hapax_memory_bytes{use=\"calls\"} 0"));
}
