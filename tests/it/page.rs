//! The status page and what it lives on: one file, nothing from elsewhere, live to a bounded number of watchers.

use crate::rig::caller::Conversation;
use crate::rig::{CHAT, HELLO, HELLO_STREAM, PATIENCE, Rig};
use hapax::api::WATCHERS_MAX;

const OPENAI: &str = "openai_compatible";
const LIVE: &str = "/v1/status/live";

/// Comments before it is said that no event comes: each of them means that nothing happened for 15 s, which on a machine
/// with too much to do says little.
const COMMENTS_MAX: usize = 4;

/// The next event of a stream of server-sent events.
fn event(watcher: &mut Conversation) -> Option<serde_json::Value> {
    let mut comments = 0;
    let text = loop {
        let chunk = watcher.chunk().filter(|chunk| !chunk.is_empty())?;
        let text = String::from_utf8(chunk).expect("events are UTF-8");
        if !text.starts_with(':') {
            break text;
        }
        comments += 1;
        assert!(comments <= COMMENTS_MAX, "no news came");
    };
    let data = text.strip_prefix("data: ").unwrap_or_else(|| panic!("no news, but {text:?}"));
    assert!(text.ends_with("\n\n"), "an event is whole: {text:?}");
    Some(serde_json::from_str(data).expect("events are JSON"))
}

fn watch(rig: &Rig, headers: &[(&str, &str)]) -> (u16, Conversation) {
    let mut watcher = rig.connect();
    watcher.send("GET", LIVE, headers, "");
    let (status, headers) = watcher.head();
    if status == 200 {
        let media = headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("content-type"));
        assert_eq!(media.map(|(_, value)| value.as_str()), Some("text/event-stream"));
    }
    (status, watcher)
}

#[test]
fn the_page_is_one_file_that_asks_nobody_else() {
    let rig = Rig::new(&[OPENAI]);
    let page = rig.get("/");
    let policy = page.header("content-security-policy").expect("it has a policy");
    for rule in ["default-src 'none'", "connect-src 'self'", "frame-ancestors 'none'"] {
        assert!(policy.contains(rule), "{rule} is missing in {policy}");
    }
    let text = page.text().replace("http://www.w3.org/2000/svg", "");
    for elsewhere in ["http://", "https://", "src=", "@import", "url(", "<link rel=\"stylesheet", "//cdn"] {
        assert!(!text.contains(elsewhere), "{elsewhere} is in the page");
    }
    for needed in
        ["lang=\"en\"", "name=\"viewport\"", "prefers-color-scheme: dark", "role=\"status\"", "<noscript>"]
    {
        assert!(text.contains(needed), "{needed} is missing");
    }
    assert!(!text.contains("innerHTML"), "what providers and callers said is text, never markup");
    assert!(page.body.len() < 32 << 10, "{} bytes", page.body.len());
}

#[test]
fn a_watcher_hears_of_a_request_without_asking_again() {
    let rig = Rig::built(&[OPENAI, "anthropic"], ", retries: 0", "");
    rig.behave(0, "status=503");
    let (status, mut watcher) = watch(&rig, &[]);
    assert_eq!(status, 200);
    let first = event(&mut watcher).expect("it begins with the present state");
    assert_eq!(
        (first["providers"][0]["name"].as_str(), first["recent"].as_array().map(Vec::len)),
        (Some("a"), Some(0))
    );
    assert_eq!(rig.ask("POST", CHAT, &[("X-Request-ID", "seen-live")], HELLO_STREAM).status, 200);
    let told = loop {
        let told = event(&mut watcher).expect("it goes on");
        if told["recent"][0]["request_id"] == "seen-live" {
            break told;
        }
    };
    assert_eq!(told["recent"][0]["attempts"].as_array().map(Vec::len), Some(2));
    assert_eq!(told["recent"][0]["attempts"][0]["outcome"], "503");
    let (failed, served) = (&told["providers"][0], &told["providers"][1]);
    assert_eq!(failed["first_tokens_ms"], serde_json::json!([null]), "a failure has no latency");
    assert_eq!(served["first_tokens_ms"].as_array().map(Vec::len), Some(1));
    let failure = failed["last_failure"].as_str().expect("it is told in words");
    assert!(failure.starts_with("503") && failed["last_failure_at"].is_string(), "{failure}");
}

#[test]
fn whole_answers_and_first_tokens_are_timed_apart() {
    let rig = Rig::built(&[OPENAI], ", retries: 0", "");
    let told = |rig: &Rig| rig.get("/v1/status").json()["providers"][0].clone();
    assert_eq!(rig.chat().status, 200);
    let whole = told(&rig);
    assert!(whole["latency_ms"].is_u64() && whole["first_token_ms"].is_null(), "{whole}");
    assert_eq!(rig.post(CHAT, HELLO_STREAM).status, 200);
    let both = told(&rig);
    let lengths = |of: &serde_json::Value| {
        ["latencies_ms", "first_tokens_ms"].map(|name| of[name].as_array().map(Vec::len))
    };
    assert!(both["first_token_ms"].is_u64());
    assert_eq!((lengths(&whole), lengths(&both)), ([Some(1), Some(0)], [Some(1), Some(1)]));
    rig.behave(0, "status=500");
    assert_eq!(rig.chat().status, 502);
    assert_eq!(lengths(&told(&rig)), [Some(2), Some(1)], "where a whole answer failed, no stream did");
}

#[test]
fn requests_and_failures_are_counted_and_whoever_only_looks_is_not() {
    let rig = Rig::built(&[OPENAI], ", retries: 0", "");
    for path in ["/", "/health", "/metrics", "/v1/status"] {
        assert_eq!(rig.get(path).status, 200);
    }
    assert_eq!(rig.chat().status, 200);
    assert_eq!(rig.post(CHAT, "{").status, 400);
    rig.behave(0, "status=500");
    assert_eq!(rig.chat().status, 502);
    // Each is counted once its caller has his answer, and by a worker of its own: in any order.
    for status in [200, 400, 502] {
        let counted = format!("{{endpoint=\"/v1/chat/completions\",status=\"{status}\"}} 1");
        rig.wait_for_metric(&format!("hapax_http_requests_total{counted}"));
    }
    let told = rig.get("/v1/status").json();
    assert_eq!((&told["requests"], &told["requests_failed"]), (&3.into(), &1.into()));
}

#[test]
fn the_page_has_words_for_everything_that_can_go_wrong() {
    let page = include_str!("../../src/api/page.html");
    let table =
        page.split("const WORDS = {").nth(1).and_then(|rest| rest.split('}').next()).expect("it is there");
    let known: Vec<&str> = table.split("\", ").filter_map(|entry| entry.trim().split(':').next()).collect();
    let source = include_str!("../../src/domain/failure.rs");
    let words = source.split("pub fn word(self)").nth(1).expect("it is there");
    let words = words.split("\n    }\n").next().expect("it ends");
    let all: Vec<&str> =
        words.lines().filter_map(|line| line.split("=> \"").nth(1)?.split('"').next()).collect();
    assert!(all.len() > 25, "{all:?}");
    for word in all {
        assert!(known.contains(&word), "the page has no words for {word}");
    }
}

#[test]
fn streams_resumed_and_requests_saved_are_counted() {
    let rig = Rig::built(&[OPENAI, OPENAI], ", retries: 0", "models: {one: [a/one, b/one]}\n");
    rig.behave(0, "cut_after=3");
    let body = r#"{"model":"one","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
    assert!(rig.post(CHAT, body).is_done());
    rig.behave(0, "hold");
    std::thread::scope(|scope| {
        let asked = rig.asked(0).len();
        let callers: Vec<_> = (0..2).map(|_| scope.spawn(|| rig.chat().status)).collect();
        assert_eq!(
            rig.provider(0).wait_for(asked + 1, PATIENCE).len() - asked,
            1,
            "one call for two callers"
        );
        rig.wait_for_metric("hapax_deduplicated_requests_total 1");
        rig.provider(0).gate().open();
        assert!(callers.into_iter().all(|caller| caller.join().expect("no panic") == 200));
    });
    let status = rig.get("/v1/status").json();
    assert_eq!((&status["streams_resumed"], &status["deduplicated"]), (&1.into(), &1.into()));
}

#[test]
fn watchers_are_bounded_and_a_place_is_free_when_one_leaves() {
    let rig = Rig::new(&[OPENAI]);
    let mut watchers: Vec<_> = (0..WATCHERS_MAX).map(|_| watch(&rig, &[])).collect();
    assert!(watchers.iter().all(|(status, _)| *status == 200));
    assert_eq!(watch(&rig, &[]).0, 503);
    let refused = rig.get(LIVE);
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("1")));
    assert_eq!(rig.get("/v1/status").status, 200, "whoever is refused can still ask");
    assert_eq!(rig.chat().status, 200, "and work goes on");
    watchers.pop();
    rig.wait_for_metric(&format!("hapax_http_active_requests{{endpoint=\"{LIVE}\"}} {}", WATCHERS_MAX - 1));
    assert_eq!(watch(&rig, &[]).0, 200);
}

#[test]
fn a_gateway_of_few_workers_keeps_them_for_work() {
    let rig = Rig::with(&[OPENAI], "server: {workers: 4}\n");
    assert_eq!(watch(&rig, &[]).0, 503);
}

#[test]
fn a_watcher_is_let_go_when_the_house_drains_and_when_another_configuration_is_in_service() {
    let rig = Rig::new(&[OPENAI]);
    let (_, mut watcher) = watch(&rig, &[]);
    assert!(event(&mut watcher).is_some());
    rig.reload(&[OPENAI], "circuit_breaker: {failure_threshold: 7}\n");
    while event(&mut watcher).is_some() {}
    let (_, mut watcher) = watch(&rig, &[]);
    assert!(event(&mut watcher).is_some());
    rig.house().drain();
    while event(&mut watcher).is_some() {}
}

#[test]
fn with_keys_the_state_is_shown_to_callers_with_a_key_only() {
    let hash = hapax::domain::key::Hash::of("hpx_secret");
    let rig = Rig::with(&[OPENAI], &format!("auth: {{keys: [{{name: bot, hash: \"{hash}\"}}]}}\n"));
    assert_eq!(rig.get("/").status, 200, "the page itself says nothing");
    for path in ["/v1/status", LIVE, "/v1/status/explain"] {
        assert_eq!(rig.get(path).status, 401, "{path}");
    }
    let key = ("Authorization", "Bearer hpx_secret");
    assert_eq!(watch(&rig, &[key]).0, 200);
    assert_eq!(rig.ask("GET", "/v1/status", &[key], "").status, 200);
    assert_eq!(rig.ask("POST", CHAT, &[key], HELLO).status, 200);
}

#[test]
fn budgets_are_shown_to_an_admin_and_to_each_key_its_own() {
    let hash = hapax::domain::key::Hash::of;
    let yaml = format!(
        "prices: {{model-a: {{input: 1000, output: 1000}}}}\nauth:\n  keys:\n    \
         - {{name: bot, hash: \"{}\", budget: {{usd: 50, per: day}}}}\n    \
         - {{name: other, hash: \"{}\", budget: {{usd: 7, per: week}}}}\n    \
         - {{name: boss, hash: \"{}\", admin: true}}\n",
        hash("hpx_bot"),
        hash("hpx_other"),
        hash("hpx_boss")
    );
    let rig = Rig::with(&[OPENAI], &yaml);
    assert_eq!(rig.ask("POST", CHAT, &[("Authorization", "Bearer hpx_bot")], HELLO).status, 200);
    let seen_by = |key: &str| {
        let bearer = format!("Bearer {key}");
        rig.ask("GET", "/v1/status", &[("Authorization", &bearer)], "").json()["budgets"].clone()
    };
    let names = |budgets: &serde_json::Value| -> Vec<String> {
        budgets
            .as_array()
            .expect("a list")
            .iter()
            .map(|one| one["key"].as_str().expect("a name").to_owned())
            .collect()
    };
    let all = seen_by("hpx_boss");
    assert_eq!(
        (names(&all), names(&seen_by("hpx_other"))),
        (vec!["bot".to_owned(), "other".to_owned()], vec!["other".to_owned()])
    );
    assert_eq!(
        (&all[0]["usd"], &all[0]["per"], &all[1]["spent_usd"]),
        (&50.0.into(), &"day".into(), &0.0.into())
    );
    let spent = all[0]["spent_usd"].as_f64().expect("a number");
    assert!(spent > 0.01 && spent < 1.0, "{spent}");
}
