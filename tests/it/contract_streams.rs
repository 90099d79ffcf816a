//! Streams end to end, through the socket: continued at every cut between every two dialects, and kept alive.

use crate::rig::{CHAT, HELLO, HELLO_STREAM, PATIENCE, Rig, until};
use hapax::simulate::Simulator;
use std::time::Duration;

const KINDS: [&str; 3] = ["openai_compatible", "anthropic", "ollama"];
const BODY: &str = r#"{"model":"one","stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;

/// How a second provider meets a stream that another began.
const MANNERS: [&str; 6] = ["ok", "pace=1ms", "no_prefill", "repeats", "repeats=6", "strays"];

#[test]
fn a_stream_cut_anywhere_is_one_whole_answer_or_an_explicit_error_between_any_two_dialects() {
    let whole = Simulator::expected_text("one", "Hello");
    let tokens = whole.split_inclusive(' ').count();
    for first in KINDS {
        for second in KINDS {
            let rig = Rig::built(
                &[first, second],
                ", retries: 0",
                "models: {one: [a/one, b/one]}\ncircuit_breaker: {failure_threshold: 1000}\n",
            );
            for cut in 0..=tokens {
                for manner in MANNERS {
                    rig.behave(0, &format!("cut_after={cut}"));
                    rig.behave(1, manner);
                    let answer = rig.post(CHAT, BODY);
                    let story = format!("{first} to {second}, cut after {cut}, {manner}: {}", answer.text());
                    assert_eq!(answer.status, 200, "{story}");
                    if answer.is_done() && manner == "strays" && cut > 0 {
                        // Whoever goes on with other words goes on.
                        let said = answer.said();
                        let (begun, rest) = said.split_once("On the other hand:").expect(&story);
                        assert_eq!(format!("{begun}{rest}"), whole, "{story}");
                    } else if answer.is_done() {
                        assert_eq!(answer.said(), whole, "{story}");
                    } else {
                        assert!(answer.text().contains("\"error\""), "{story}");
                        assert!(manner == "no_prefill", "only a refusal may end it: {story}");
                    }
                }
                rig.behave(1, "bad_request");
                let answer = rig.post(CHAT, BODY);
                if cut > 0 {
                    assert!(!answer.is_done() && answer.text().contains("\"error\""), "{}", answer.text());
                    assert!(whole.starts_with(&answer.said()));
                } else {
                    assert_eq!(answer.status, 400);
                }
            }
        }
    }
}

#[test]
fn a_provider_of_openais_kind_is_asked_to_go_on_and_told_not_to_repeat() {
    let rig = Rig::built(&[KINDS[0], KINDS[0]], ", retries: 0", "");
    rig.behave(0, "cut_after=4");
    // Newer models refuse a conversation that ends with the assistant's words.
    rig.behave(1, "no_prefill");
    let answer = rig.post(CHAT, HELLO_STREAM);
    assert!(answer.is_done(), "{}", answer.text());
    let asked = rig.asked(1).pop().expect("b was asked").json();
    let messages = asked["messages"].as_array().expect("messages");
    let roles: Vec<_> = messages.iter().filter_map(|message| message["role"].as_str()).collect();
    assert_eq!(roles, ["user", "assistant", "user"]);
    assert!(answer.said().starts_with(messages[1]["content"].as_str().expect("text")));
}

#[test]
fn a_stream_with_nothing_to_say_yet_is_kept_alive_and_a_later_failure_is_told_in_it() {
    for (path, comment) in [(CHAT, ": "), ("/v1/messages", "event: ping")] {
        for fails in [false, true] {
            let rig = Rig::built(&[KINDS[0]], ", retries: 0", "streams: {keep_alive: 8s}\n");
            rig.provider(0).script(&[if fails { "hold,status=503" } else { "hold" }]);
            let body = HELLO_STREAM.replacen('{', "{\"max_tokens\":500,", 1);
            let mut conversation = rig.connect();
            conversation.send("POST", path, &[], &body);
            assert_eq!(rig.provider(0).wait_for(1, PATIENCE).len(), 1);
            rig.advance(Duration::from_secs(8));
            let (status, headers) = conversation.head();
            assert_eq!(status, 200);
            assert!(
                headers.iter().any(|(name, value)| name == "Content-Type" && value == "text/event-stream")
            );
            for round in 0..3 {
                if round > 0 {
                    rig.advance(Duration::from_secs(8));
                }
                let chunk = conversation.chunk().expect("it goes on");
                assert!(String::from_utf8_lossy(&chunk).starts_with(comment));
            }
            rig.provider(0).gate().open();
            let mut rest = String::new();
            while let Some(chunk) = conversation.chunk().filter(|chunk| !chunk.is_empty()) {
                rest.push_str(&String::from_utf8_lossy(&chunk));
            }
            let ended = rest.contains("[DONE]") || rest.contains("message_stop");
            assert_eq!((ended, rest.contains("\"error\"")), (!fails, fails), "{rest}");
        }
    }
}

/// Waits until the poller, which has nothing else to do, has looked at every deadline.
fn has_looked_round(rig: &Rig) {
    let before = rig.house().heartbeat();
    until("the poller has looked round twice", || rig.house().heartbeat() >= before + 2);
}

#[test]
fn what_has_no_comments_keeps_its_status_for_what_comes() {
    let rig = Rig::built(&[KINDS[0]], ", retries: 0", "streams: {keep_alive: 8s}\n");
    for (path, body, pause, kept) in [
        ("/api/chat", HELLO_STREAM, 8000, false),
        (CHAT, HELLO, 8000, false),
        (CHAT, HELLO_STREAM, 7990, false),
        (CHAT, HELLO_STREAM, 8000, true),
    ] {
        let asked = rig.asked(0).len();
        rig.provider(0).script(&["hold,status=503"]);
        let mut caller = rig.connect();
        caller.send("POST", path, &[], body);
        assert_eq!(rig.provider(0).wait_for(asked + 1, PATIENCE).len(), asked + 1);
        rig.advance(Duration::from_millis(pause));
        has_looked_round(&rig);
        rig.provider(0).gate().open();
        assert_eq!(caller.answer().status, if kept { 200 } else { 502 }, "{path} {pause}");
        rig.provider(0).gate().close();
    }
}

#[test]
fn a_slow_whole_answer_is_waited_for_where_a_stream_is_given_up() {
    let kinds = [KINDS[0], KINDS[0]];
    let rig = Rig::built(&kinds, ", retries: 0, timeouts: {first_token: 200ms, answer: 20s}", "");
    rig.behave(0, "delay=600ms");
    assert_eq!(rig.post(CHAT, HELLO).header("x-hapax-provider"), Some("a"));
    assert_eq!(rig.post(CHAT, HELLO_STREAM).header("x-hapax-provider"), Some("b"));
}

#[test]
fn a_leader_who_does_not_read_does_not_hold_his_followers_up() {
    let rig = Rig::built(&[KINDS[0]], "", "server: {write_timeout: 60s}\n");
    // More than a socket's buffers hold, less than a caller may lag behind.
    rig.behave(0, "hold,tokens=18000");
    let mut leader = rig.connect();
    leader.send("POST", CHAT, &[], HELLO_STREAM);
    assert_eq!(rig.provider(0).wait_for(1, PATIENCE).len(), 1);
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| rig.post(CHAT, HELLO_STREAM));
        rig.wait_for_metric("hapax_deduplicated_requests_total 1");
        rig.provider(0).gate().open();
        assert!(follower.join().expect("no panic").is_done());
    });
    assert!(leader.answer().is_done(), "he hears the rest when he reads on");
}

#[test]
fn traffic_is_shared_by_weight() {
    let rig = Rig::built(&[KINDS[0], KINDS[1]], "", "routing: {strategy: weighted, weights: {a: 3, b: 1}}\n");
    for _ in 0..40 {
        assert_eq!(rig.chat().status, 200);
    }
    let first = rig.asked(0).len();
    assert!((28..=32).contains(&first), "{first} of 40");
}
