//! What every endpoint answers: statuses, errors in the caller's own dialect, HEAD, CORS, probes under full load.

use crate::rig::{CHAT, HELLO, HELLO_STREAM, PATIENCE, Rig, at_once};
use std::time::Duration;

const OPENAI: &str = "openai_compatible";

#[test]
fn errors_come_in_the_endpoints_own_dialect() {
    let rig = Rig::new(&[OPENAI]);
    let wrong = r#"{"messages":[{"role":"user"},{"role":"wizard","content":"x"}]}"#;
    let openai = rig.post(CHAT, wrong);
    assert_eq!(openai.status, 400);
    assert_eq!(openai.json()["error"]["param"], "messages[1].role");
    assert_eq!(openai.json()["error"]["type"], "invalid_request_error");
    let anthropic = rig.post("/v1/messages", wrong);
    assert_eq!((anthropic.status, anthropic.json()["type"].clone()), (400, "error".into()));
    assert_eq!(anthropic.json()["error"]["type"], "invalid_request_error");
    let ollama = rig.post("/api/chat", wrong);
    assert!(ollama.status == 400 && ollama.json()["error"].is_string());
    let flat = rig.post("/v1/completions", r#"{"messages":7}"#);
    assert_eq!((flat.status, flat.json()["type"].clone()), (400, "validation_error".into()));
    assert!(flat.json()["error"]["message"].is_string() && flat.json()["request_id"].is_string());
    for answer in [&openai, &anthropic, &ollama, &flat] {
        assert_eq!(answer.header("content-type"), Some("application/json"));
    }
    assert!(rig.asked(0).is_empty());
}

#[test]
fn a_path_that_is_none_is_said_so_in_the_words_of_those_beside_it() {
    let rig = Rig::new(&[OPENAI]);
    let below = |path: &str| {
        let answer = rig.post(path, HELLO);
        assert_eq!(answer.status, 404, "{path}");
        answer.json()
    };
    let message = "there is nothing at this path";
    for path in ["/api/pull", "/api/chat/more", "/api/"] {
        assert_eq!(below(path), serde_json::json!({"error": message}), "{path}");
    }
    for path in ["/v1/messages/batches", "/v1/messages/batches/b_1"] {
        let told = below(path);
        assert_eq!((&told["type"], &told["error"]["message"]), (&"error".into(), &message.into()), "{path}");
        assert_eq!(told["error"]["type"], "not_found_error");
    }
    // Everybody else finds the sentence where his own client looks for it.
    for path in ["/nothing", "/api", "/apiary", "/v1/messagesque", "/v1/files"] {
        let told = below(path);
        assert_eq!(
            (&told["message"], &told["error"]["message"]),
            (&message.into(), &message.into()),
            "{path}"
        );
    }
}

#[test]
fn usage_is_asked_for_upstream_always_and_mentioned_only_to_who_asked() {
    let rig = Rig::new(&[OPENAI]);
    let asking = HELLO_STREAM.replacen('{', "{\"stream_options\":{\"include_usage\":true},", 1);
    let [quiet, asked] = [HELLO_STREAM, &asking].map(|body| rig.post(CHAT, body));
    assert!(rig.asked(0).iter().all(|asked| String::from_utf8_lossy(&asked.body).contains("include_usage")));
    assert!(quiet.is_done() && asked.is_done() && quiet.said() == asked.said());
    // As OpenAI has it: null in every chunk but the last, or no word of it.
    let (chunks, nulls) =
        (asked.text().matches("data: {").count(), asked.text().matches("],\"usage\":null}").count());
    assert!(chunks > 3 && nulls == chunks - 1, "{}", asked.text());
    assert!(!quiet.text().contains("usage"), "{}", quiet.text());
    assert_eq!(quiet.text().matches("data: {").count(), chunks - 1);
}

#[test]
fn a_wrong_path_method_or_media_type_is_said_so() {
    let rig = Rig::new(&[OPENAI]);
    assert_eq!(rig.get("/nothing").status, 404);
    let answer = rig.get(CHAT);
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(rig.post("/health", "{}").status, 405);
    assert_eq!(rig.ask("POST", CHAT, &[("Content-Type", "text/plain")], HELLO).status, 415);
    for media in ["application/json; charset=utf-8", "Application/JSON"] {
        assert_eq!(rig.ask("POST", CHAT, &[("Content-Type", media)], HELLO).status, 200);
    }
    assert_eq!(rig.ask("POST", CHAT, &[("Content-Encoding", "gzip")], HELLO).status, 415);
}

#[test]
fn head_works_wherever_get_does() {
    let rig = Rig::new(&[OPENAI]);
    for path in ["/health", "/metrics", "/v1/models", "/health/live", "/"] {
        let mut conversation = rig.connect();
        conversation.send("HEAD", path, &[], "");
        let answer = conversation.answer_to("HEAD");
        assert_eq!(answer.status, 200, "{path}");
        assert!(answer.header("content-length").is_some_and(|length| length != "0"), "{path}");
        conversation.send("GET", "/health/live", &[], "");
        assert_eq!(conversation.answer().status, 200, "nothing followed the head of {path}");
    }
}

#[test]
fn a_browser_of_an_allowed_origin_may_ask() {
    let rig = Rig::with(&[OPENAI], "server: {cors_origins: ['https://app.example']}\n");
    let origin = ("Origin", "https://app.example");
    let mut conversation = rig.connect();
    conversation.send("OPTIONS", CHAT, &[origin, ("Access-Control-Request-Method", "POST")], "");
    let preflight = conversation.answer();
    assert_eq!(
        (preflight.status, preflight.header("access-control-allow-origin")),
        (204, Some("https://app.example"))
    );
    assert!(
        preflight.header("access-control-allow-headers").is_some_and(|names| names.contains("Authorization"))
    );
    assert_eq!(preflight.header("allow"), Some("POST, OPTIONS"));
    let allowed = rig.ask("POST", CHAT, &[origin], HELLO);
    assert_eq!(allowed.header("access-control-allow-origin"), Some("https://app.example"));
    let other = rig.ask("POST", CHAT, &[("Origin", "https://evil.example")], HELLO);
    assert_eq!(other.header("access-control-allow-origin"), None);
}

#[test]
fn a_request_id_is_kept_and_travels_upstream() {
    let rig = Rig::new(&[OPENAI]);
    let answer = rig.ask("POST", CHAT, &[("X-Request-ID", "trace-7.a_B")], HELLO);
    assert_eq!(answer.header("x-request-id"), Some("trace-7.a_B"));
    assert_eq!(rig.asked(0)[0].header("x-request-id"), Some("trace-7.a_B"));
    let made = rig.ask("POST", CHAT, &[("X-Request-ID", "bad id")], HELLO);
    assert!(made.header("x-request-id").is_some_and(|id| id.starts_with("req_")));
}

#[test]
fn models_are_listed_and_shown() {
    let rig = Rig::with(&[OPENAI, OPENAI], "models: {fast: [b/b-1, a/a-1]}\n");
    let list = rig.get("/v1/models").json();
    let ids: Vec<&str> =
        list["data"].as_array().expect("a list").iter().filter_map(|m| m["id"].as_str()).collect();
    assert_eq!(ids, ["fast", "model-a", "model-b"]);
    assert_eq!(rig.get("/v1/models/fast").json()["object"], "model");
    assert_eq!(rig.get("/v1/models/slow").json()["error"]["code"], "model_not_found");
}

#[test]
fn probes_answer_while_every_worker_is_busy_and_the_rest_is_shed() {
    let rig = Rig::with(&[OPENAI], "server: {workers: 4, queue: 2}\ndeduplicate: \"off\"\n");
    rig.behave(0, "hold");
    let statuses = std::thread::scope(|scope| {
        let held: Vec<_> = (0..4).map(|_| scope.spawn(|| rig.chat().status)).collect();
        assert_eq!(rig.provider(0).wait_for(4, PATIENCE).len(), 4, "every worker waits for the provider");
        for path in ["/health", "/metrics", "/health/live", "/health/ready"] {
            assert_eq!(rig.get(path).status, 200, "{path}");
        }
        // The one that asks is served by the control lane; the ones before it may not have put their pens down yet.
        rig.wait_for_metric("hapax_workers_busy 5");
        // Two wait in the queue, the rest is shed at once and told to come back.
        let more = scope.spawn(|| at_once(8, |_| rig.chat()));
        rig.wait_for_metric("hapax_rejected_total{reason=\"queue_full\"} 6");
        rig.provider(0).gate().open();
        let (served, shed): (Vec<_>, Vec<_>) =
            more.join().expect("no panic").into_iter().partition(|answer| answer.status == 200);
        assert_eq!((served.len(), shed.len()), (2, 6));
        assert!(shed.iter().all(|answer| (answer.status, answer.header("retry-after")) == (503, Some("1"))));
        held.into_iter().map(|thread| thread.join().expect("no panic")).collect::<Vec<_>>()
    });
    assert_eq!(statuses, [200; 4]);
}

#[test]
fn health_tells_degraded_from_down() {
    let rig = Rig::built(&[OPENAI, OPENAI], ", retries: 0", "circuit_breaker: {failure_threshold: 1}\n");
    assert_eq!(rig.get("/health").json()["status"], "ok");
    rig.provider(0).behave("down").expect("known");
    assert_eq!(rig.chat().status, 200);
    let degraded = rig.get("/health");
    assert_eq!((degraded.status, degraded.json()["status"].clone()), (200, "degraded".into()));
    assert_eq!(rig.get("/health/provider/a").status, 503);
    rig.provider(1).behave("down").expect("known");
    assert_eq!(rig.chat().status, 502);
    let down = rig.get("/health");
    assert_eq!((down.status, down.json()["status"].clone()), (503, "down".into()));
    assert_eq!(rig.get("/health/live").status, 200);
    assert_eq!(rig.get("/health/provider/nobody").status, 404);
}

#[test]
fn a_drained_house_finishes_what_is_under_way_and_takes_nothing_new() {
    let rig = Rig::new(&[OPENAI]);
    rig.behave(0, "hold");
    let answer = std::thread::scope(|scope| {
        let held = scope.spawn(|| rig.chat());
        assert_eq!(rig.provider(0).wait_for(1, PATIENCE).len(), 1);
        let mut idle = rig.connect();
        idle.send("GET", "/health/ready", &[], "");
        assert_eq!(idle.answer().status, 200);
        rig.house().drain();
        assert!(idle.is_closed(), "an idle connection is closed");
        rig.provider(0).gate().open();
        held.join().expect("no panic")
    });
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("connection"), Some("close"));
    assert!(std::net::TcpStream::connect(rig.address()).is_err(), "nobody listens any more");
}

#[test]
fn a_reload_refuses_nobody_and_changes_who_is_asked() {
    let rig = Rig::new(&[OPENAI, OPENAI]);
    let mut conversation = rig.connect();
    let mut ask = || {
        conversation.send("POST", CHAT, &[], HELLO);
        conversation.answer().header("x-hapax-provider").map(str::to_owned)
    };
    assert_eq!(ask().as_deref(), Some("a"));
    rig.reload(&[OPENAI, OPENAI], "provider_preference: [b, a]\n");
    assert_eq!(ask().as_deref(), Some("b"));
    rig.wait_for_metric("hapax_config_reloads_total{result=\"success\"} 1");
    // Counted once the answer has left; counters survive the reload.
    rig.wait_for_metric("hapax_http_requests_total{endpoint=\"/v1/chat/completions\",status=\"200\"} 2");
}

#[test]
fn who_is_turned_away_before_his_head_was_whole_keeps_what_he_said_of_himself() {
    let rig = Rig::with(&[OPENAI], "server: {header_timeout: 10s}\n");
    let begun = |method: &str, rest: &str| {
        let mut conversation = rig.connect();
        let id = "Host: x\r\nX-Request-ID: mine.1\r\n";
        conversation.raw(format!("{method} /v1/messages HTTP/1.1\r\n{id}{rest}").as_bytes());
        conversation
    };
    let large = begun("POST", &format!("A: {}", "x".repeat(16 << 10))).answer();
    let many = begun("POST", &format!("{}\r\n", "A: b\r\n".repeat(200))).answer();
    let (mut slow, mut head) = (begun("POST", "Authoriz"), begun("HEAD", "Authoriz"));
    // Who comes after them and is answered came after what they said.
    assert_eq!(rig.get("/health/live").status, 200);
    rig.advance(Duration::from_secs(11));
    let (slow, head) = (slow.answer(), head.answer_to("HEAD"));
    for (answer, status) in [(&large, 431), (&many, 431), (&slow, 408), (&head, 408)] {
        assert_eq!((answer.status, answer.header("x-request-id")), (status, Some("mine.1")));
    }
    for answer in [&large, &many, &slow] {
        let told = answer.json();
        assert_eq!((&told["type"], &told["request_id"]), (&"error".into(), &"mine.1".into()));
    }
    assert!(head.body.is_empty());
    rig.wait_for_metric("hapax_http_requests_total{endpoint=\"/v1/messages\",status=\"408\"} 2");
}

#[test]
fn who_is_turned_away_at_the_door_is_told_of_like_anybody_else() {
    let rig = Rig::with(&[OPENAI], "server: {body_bytes_max: 1KiB, cors_origins: ['https://app.example']}\n");
    let fields = [("X-Request-ID", "mine.1"), ("Origin", "https://app.example")];
    let large = rig.ask("POST", CHAT, &fields, &"x".repeat(1025));
    assert_eq!((large.status, large.header("x-request-id")), (413, Some("mine.1")));
    assert_eq!(large.header("access-control-allow-origin"), Some("https://app.example"));
    let asked = rig.ask("OPTIONS", CHAT, &[("X-Request-ID", "mine.2")], "");
    assert_eq!((asked.status, asked.header("x-request-id")), (204, Some("mine.2")));
    let [no_host, strange] =
        [&b"GET /health HTTP/1.1\r\n\r\n"[..], b"GET /health HTTP/3.0\r\n\r\n"].map(|bytes| {
            let mut conversation = rig.connect();
            conversation.raw(bytes);
            conversation.answer()
        });
    assert_eq!((no_host.status, strange.status), (400, 505));
    for (endpoint, status) in [(CHAT, 413), (CHAT, 204), ("/health", 400), ("other", 505)] {
        rig.wait_for_metric(&format!(
            "hapax_http_requests_total{{endpoint=\"{endpoint}\",status=\"{status}\"}} 1"
        ));
    }
    let ids = [&large, &asked, &strange].map(|answer| answer.header("x-request-id").map(str::to_owned));
    let log = rig.logged();
    let told: Vec<serde_json::Value> =
        log.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for (id, status, method) in [(&ids[0], 413, "POST"), (&ids[1], 204, "OPTIONS"), (&ids[2], 505, "")] {
        let lines: Vec<_> = told.iter().filter(|line| line["request_id"].as_str() == id.as_deref()).collect();
        assert_eq!(lines.len(), 1, "{id:?} in {log}");
        assert_eq!((&lines[0]["status"], &lines[0]["method"]), (&status.into(), &method.into()));
        assert_eq!(lines[0]["client"], "127.0.0.1");
    }
}
