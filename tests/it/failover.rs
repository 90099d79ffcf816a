//! The first request already succeeds when the preferred provider fails, and traffic returns when it is back.

use crate::rig::{CHAT, HELLO_STREAM, PATIENCE, Rig};
use hapax::simulate::Simulator;
use std::time::Duration;

const OPENAI: &str = "openai_compatible";

fn text_of(provider: &str) -> String {
    Simulator::expected_text(&format!("model-{provider}"), "Hello")
}

#[test]
fn whatever_the_preferred_provider_does_the_first_request_succeeds_through_the_next() {
    for fault in [
        "status=500",
        "status=503",
        "status=529",
        "status=408",
        "status=401",
        "status=402",
        "down",
        "close",
        "reset",
        "garbage",
        "garbage_http",
        "empty",
        "empty=content",
        "error_200",
        "redirect",
        "cut_after=2",
        "unknown_model",
        "context_length",
        "status=429,header=Retry-After:60",
        "no_finish",
    ] {
        let rig = Rig::built(&[OPENAI, OPENAI], ", retries: 0", "");
        rig.behave(0, fault);
        for body in [crate::rig::HELLO, HELLO_STREAM] {
            let answer = rig.post(CHAT, body);
            assert_eq!(answer.status, 200, "{fault}: {}", answer.text());
            let resumed = body == HELLO_STREAM && matches!(fault, "cut_after=2" | "no_finish");
            if !resumed {
                // A whole answer without an end mark is still whole.
                let by = if fault == "no_finish" { "a" } else { "b" };
                assert_eq!(answer.said(), text_of(by), "{fault}");
                assert_eq!(answer.header("x-hapax-provider"), Some(by), "{fault}");
            }
            assert!(answer.whole && (body != HELLO_STREAM || answer.is_done()), "{fault}");
        }
    }
}

#[test]
fn whose_reason_a_caller_reads_stands_in_the_head_and_whose_failure_does_not() {
    let rig = Rig::built(&[OPENAI, OPENAI], ", retries: 0", "");
    for (fault, reader) in [("status=422", Some("a")), ("status=503", None)] {
        rig.behave(0, fault);
        rig.behave(1, fault);
        let answer = rig.post(CHAT, crate::rig::HELLO);
        assert_eq!(answer.header("x-hapax-provider"), reader, "{fault}");
        assert_eq!(answer.header("x-hapax-model"), reader.map(|_| "model-a"), "{fault}");
    }
}

#[test]
fn a_refused_connection_fails_over_and_traffic_returns_by_itself() {
    let rig = Rig::built(
        &[OPENAI, "anthropic"],
        ", retries: 0",
        "circuit_breaker: {failure_threshold: 2, timeout: 10s}\n",
    );
    assert_eq!(rig.chat().header("x-hapax-provider"), Some("a"));
    rig.provider(0).stop_listening();
    rig.provider(0).hang_up();
    for _ in 0..5 {
        let answer = rig.chat();
        assert_eq!((answer.status, answer.header("x-hapax-provider")), (200, Some("b")));
    }
    assert_eq!(rig.get("/health").json()["providers"]["a"]["circuit"], "open");
    assert!(rig.provider(0).resume());
    assert_eq!(rig.chat().header("x-hapax-provider"), Some("b"), "the breaker is still open");
    rig.advance(Duration::from_secs(20));
    assert_eq!(rig.chat().header("x-hapax-provider"), Some("a"), "the trial succeeds");
    assert_eq!(rig.get("/health").json()["providers"]["a"]["circuit"], "closed");
}

#[test]
fn a_silent_provider_is_given_up_and_not_asked_twice() {
    let rig = Rig::built(&[OPENAI, "ollama"], ", timeouts: {first_token: 200ms, connect: 1s}", "");
    rig.behave(0, "stall");
    let answer = rig.chat();
    assert_eq!((answer.status, answer.header("x-hapax-provider")), (200, Some("b")));
    assert_eq!(rig.asked(0).len(), 1);
    let story = answer.header("x-hapax-attempts").expect("a story").to_owned();
    assert!(story.starts_with("a:first_token_timeout:") && story.contains(", b:200:"), "{story}");
}

#[test]
fn a_callers_mistake_is_told_at_once_and_nobody_else_is_asked() {
    let rig = Rig::new(&[OPENAI, OPENAI]);
    rig.behave(0, "bad_request");
    let answer = rig.chat();
    assert_eq!(answer.status, 400);
    assert_eq!(answer.json()["error"]["type"], "invalid_request_error");
    assert!(rig.asked(1).is_empty());
}

#[test]
fn when_all_fail_the_last_real_cause_is_told_in_words() {
    let rig = Rig::built(&[OPENAI, OPENAI], ", retries: 0", "");
    rig.behave(0, "status=500");
    rig.behave(1, "status=503");
    let answer = rig.chat();
    assert_eq!(answer.status, 502);
    let words = answer.json()["error"]["message"].as_str().expect("words").to_owned();
    assert!(!words.is_empty() && !words.contains("127.0.0.1") && !words.contains("sk-"), "{words}");
    assert_eq!(answer.header("x-hapax-attempts").map(|story| story.matches(':').count()), Some(4));
}

#[test]
fn when_all_are_busy_the_caller_learns_when_to_come_back() {
    let rig = Rig::new(&[OPENAI, OPENAI]);
    rig.behave(0, "status=429,header=Retry-After:30");
    rig.behave(1, "status=429,header=Retry-After:20");
    let answer = rig.chat();
    assert_eq!(answer.status, 429);
    let after: u64 = answer.header("retry-after").and_then(|value| value.parse().ok()).expect("a moment");
    assert!((1..=20).contains(&after), "{after}");
}

#[test]
fn a_sick_model_does_not_take_its_providers_other_models_down() {
    let rig = Rig::built(&[OPENAI, OPENAI], ", retries: 0", "circuit_breaker: {failure_threshold: 2}\n");
    rig.provider(0).behave_model("a-sick", "status=500");
    let ask = |model: &str| {
        let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
        rig.post(CHAT, &body).header("x-hapax-provider").map(str::to_owned)
    };
    for _ in 0..4 {
        assert_eq!(ask("a-sick").as_deref(), Some("b"));
    }
    assert_eq!(ask("a-well").as_deref(), Some("a"));
    let metrics = rig.get("/metrics").text();
    // Callers choose such names, so they share one label.
    assert!(metrics.contains("circuit_breaker_state{name=\"a/other\"} 2"), "{metrics}");
    assert!(metrics.contains("circuit_breaker_state{name=\"a\"} 0"), "{metrics}");
}

#[test]
fn a_stream_cut_half_way_is_finished_by_the_next_provider() {
    // Both providers are asked for the same model, so that the whole answer is known.
    for kinds in [[OPENAI, OPENAI], [OPENAI, "anthropic"], ["anthropic", "ollama"], ["ollama", OPENAI]] {
        let rig = Rig::built(&kinds, ", retries: 0", "models: {one: [a/one, b/one]}\n");
        let body = r#"{"model":"one","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;
        for fault in ["cut_after=5", "reset_after=3", "error_after=4"] {
            rig.behave(0, fault);
            let answer = rig.post(CHAT, body);
            assert_eq!(answer.status, 200, "{kinds:?} {fault}");
            assert_eq!(answer.said(), Simulator::expected_text("one", "Hello"), "{kinds:?} {fault}");
            assert!(answer.is_done(), "{kinds:?} {fault}");
        }
    }
}

#[test]
fn a_stream_that_cannot_be_saved_never_looks_complete() {
    let rig = Rig::built(&[OPENAI], ", retries: 0", "");
    for fault in ["cut_after=5", "reset_after=3", "error_after=4", "no_finish"] {
        rig.behave(0, fault);
        let answer = rig.post(CHAT, HELLO_STREAM);
        assert!(!answer.is_done(), "{fault}: {}", answer.text());
        assert!(answer.text().contains("\"error\""), "{fault}: {}", answer.text());
    }
}

#[test]
fn a_caller_who_leaves_ends_the_call_upstream() {
    let rig = Rig::new(&[OPENAI]);
    for (fault, body) in [("stall", crate::rig::HELLO), ("stall_after=2", HELLO_STREAM)] {
        rig.provider(0).forget();
        rig.behave(0, fault);
        let mut conversation = rig.connect();
        conversation.send("POST", CHAT, &[], body);
        if body == HELLO_STREAM {
            assert_eq!(conversation.head().0, 200);
        }
        assert_eq!(rig.provider(0).wait_for(1, PATIENCE).len(), 1);
        drop(conversation);
        let seen = rig.provider(0).wait_ended(0, PATIENCE).expect("it ended");
        assert!(matches!(seen.end, hapax::simulate::End::PeerClosed(_)), "{fault}: {:?}", seen.end);
    }
}
