//! Each misbehaviour exactly as promised, in every dialect.

use super::super::{End, Simulator};
use super::client::*;
use serde_json::{Value, json};
use std::time::Instant;

fn expected() -> String {
    Simulator::expected_text("m", "hello there")
}

/// How the only completion request ended.
fn end(simulator: &Simulator) -> End {
    simulator.wait_ended(0, PATIENCE).expect("it ends").end
}

fn now() -> Instant {
    super::super::line::machine_now()
}

#[test]
fn statuses_come_with_the_vendors_words_and_the_wanted_headers() {
    for path in CHATS {
        for stream in [false, true] {
            let simulator = behaving("status=429,header=Retry-After:2");
            let answer = hello(&simulator, path, stream);
            assert_eq!((answer.status, answer.how), (429, How::Complete));
            assert!(answer.head.contains("Retry-After: 2\r\n"));
            assert!(!answer.json()["error"].is_null());
            assert_eq!(end(&simulator), End::Answered);
        }
    }
    let literal = hello(&behaving(r#"status=500,body={"a":[1,2]}"#), CHATS[0], false);
    assert_eq!((literal.status, literal.json()), (500, json!({"a": [1, 2]})));
}

#[test]
fn vendors_complain_in_their_own_words() {
    let cases = [
        (CHATS[0], "context_length", 400, "context_length_exceeded"),
        (CHATS[0], "unknown_model", 404, "model_not_found"),
        (CHATS[0], "content_policy", 400, "content_policy_violation"),
        (CHATS[0], "insufficient_quota", 429, "insufficient_quota"),
        (CHATS[0], "bad_request", 400, "temperature"),
        (CHATS[1], "context_length", 400, "prompt is too long"),
        (CHATS[1], "unknown_model", 404, "model: m"),
        (CHATS[1], "status=529", 529, "overloaded_error"),
        (CHATS[1], "insufficient_quota", 400, "credit balance is too low"),
        (CHATS[2], "unknown_model", 404, "model 'm' not found"),
        (CHATS[2], "context_length", 400, "exceeds the context length"),
    ];
    for (path, behaviour, status, words) in cases {
        let answer = hello(&behaving(behaviour), path, true);
        assert_eq!(answer.status, status, "{path} {behaviour}");
        assert!(answer.text().contains(words), "{path} {behaviour}: {}", answer.text());
    }
}

#[test]
fn a_model_that_takes_no_prefill_refuses_it_and_answers_everything_else() {
    for path in CHATS {
        let simulator = behaving("no_prefill");
        assert_eq!(hello(&simulator, path, true).status, 200);
        let mut asked = question("m", "hello there", true);
        let prefill = json!({"role": "assistant", "content": "You said"});
        asked["messages"].as_array_mut().expect("messages").push(prefill);
        let refused = ask(&simulator, path, &asked);
        assert_eq!(refused.status, 400);
        assert!(refused.text().contains("prefill"));
    }
}

#[test]
fn no_http_at_all() {
    for (behaviour, how) in [("close", How::Closed), ("reset", How::Reset)] {
        for path in CHATS {
            let simulator = behaving(behaviour);
            let answer = hello(&simulator, path, true);
            assert_eq!((answer.status, answer.how), (0, how), "{behaviour}");
            assert_eq!(end(&simulator), End::Misbehaved);
        }
    }
    let garbage = hello(&behaving("garbage_http"), CHATS[0], false);
    assert_eq!((garbage.status, garbage.how), (0, How::Closed));
    assert!(garbage.head.starts_with("SSH-2.0"));
}

#[test]
fn a_provider_that_is_down_closes_what_it_accepts_and_what_is_open() {
    let simulator = simulator();
    let mut open = Client::to(&simulator);
    open.post(CHATS[0], &question("m", "x", false));
    assert_eq!(open.answer().status, 200);
    simulator.behave("down").expect("a behaviour");
    open.post(CHATS[0], &question("m", "x", false));
    assert_eq!(open.answer().how, How::Closed);
    assert_eq!(Client::to(&simulator).answer().how, How::Closed);
    assert_eq!(simulator.completions(), 2);
}

#[test]
fn two_hundred_without_an_answer() {
    for path in CHATS {
        for stream in [false, true] {
            let garbage = hello(&behaving("garbage"), path, stream);
            assert_eq!((garbage.status, garbage.how), (200, How::Complete));
            assert!(serde_json::from_slice::<Value>(&garbage.body).is_err());
            let empty = hello(&behaving("empty"), path, stream);
            assert_eq!((empty.status, empty.how, empty.body.len()), (200, How::Complete, 0));
            let hollow = hello(&behaving("empty=content"), path, stream);
            assert!(hollow.tokens().is_empty() && !hollow.json_frames().is_empty());
            let error = hello(&behaving("error_200"), path, stream);
            assert_eq!((error.status, error.how), (200, How::Complete));
            assert_eq!(error.json_frames().len(), 1);
            assert!(!error.json_frames()[0]["error"].is_null());
        }
    }
}

#[test]
fn a_redirect_leads_where_following_it_would_be_seen() {
    let simulator = behaving("redirect");
    let answer = hello(&simulator, CHATS[0], false);
    assert_eq!(answer.status, 307);
    assert!(answer.head.contains(&format!("Location: {}/redirected", simulator.url())));
}

#[test]
fn streams_break_off_after_exactly_so_many_tokens() {
    for path in CHATS {
        for count in [0, 1, 5] {
            for (behaviour, how) in [("cut_after", How::Closed), ("reset_after", How::Reset)] {
                let simulator = behaving(&format!("{behaviour}={count}"));
                let answer = hello(&simulator, path, true);
                assert_eq!((answer.tokens().len(), answer.how), (count, how), "{path} {behaviour}={count}");
                assert!(expected().starts_with(&answer.tokens().concat()));
                assert_eq!(end(&simulator), End::Misbehaved);
            }
        }
        let simulator = behaving("cut_after=500");
        let answer = hello(&simulator, path, true);
        assert_eq!((answer.tokens().concat(), answer.how), (expected(), How::Closed));
        assert!(!answer.text().contains("stop\""), "the finish must not have been sent");
    }
}

#[test]
fn whole_answers_break_off_in_the_middle() {
    for path in CHATS {
        for (behaviour, how) in [("cut_after=5", How::Closed), ("reset_after=5", How::Reset)] {
            let answer = hello(&behaving(behaviour), path, false);
            assert_eq!((answer.status, answer.how), (200, how));
            assert!(!answer.body.is_empty());
        }
    }
}

#[test]
fn bodies_are_cut_at_exactly_that_byte() {
    for path in CHATS {
        for stream in [false, true] {
            let healthy = hello(&simulator(), path, stream).body;
            for bytes in [0, 1, 123, healthy.len() - 1] {
                let simulator = behaving(&format!("cut_at_byte={bytes}"));
                let answer = hello(&simulator, path, stream);
                assert_eq!((answer.body.len(), answer.how), (bytes, How::Closed), "{path} {stream}");
                assert_eq!(end(&simulator), End::Misbehaved);
            }
            let far = hello(&behaving("cut_at_byte=100000"), path, stream);
            assert_eq!(far.how, How::Complete);
        }
    }
}

#[test]
fn a_stall_lasts_until_the_peer_leaves_and_that_is_noticed_at_once() {
    for (behaviour, stream) in
        [("stall", true), ("stall", false), ("stall_after=5", true), ("stall_after=5", false)]
    {
        for path in CHATS {
            let simulator = behaving(behaviour);
            let mut client = Client::to(&simulator);
            client.post(path, &question("m", "hello there", stream));
            assert_eq!(simulator.wait_for(1, PATIENCE).len(), 1);
            match (behaviour, stream) {
                ("stall", _) => {}
                (_, true) => assert_eq!(client.until_tokens(5).tokens().len(), 5),
                (_, false) => assert_eq!(client.until_half().status, 200),
            }
            assert!(client.is_silent(), "{behaviour}");
            assert_eq!(simulator.seen()[0].end, End::InProgress);
            let left = now();
            drop(client);
            let End::PeerClosed(noticed) = end(&simulator) else { panic!("it stalls until the peer leaves") };
            assert!(noticed >= left && noticed < left + PATIENCE / 10);
            assert_eq!(simulator.wait_connections(0, PATIENCE), 0);
        }
    }
}

#[test]
fn a_peer_that_leaves_is_noticed_during_every_wait() {
    for behaviour in
        ["delay=5m", "first=5m", "pace=5m", "hold", "hold_after=2", "pace=1ms,endless", "endless"]
    {
        let simulator = behaving(behaviour);
        let mut client = Client::to(&simulator);
        client.post(CHATS[0], &question("m", "hello there", true));
        assert_eq!(simulator.wait_for(1, PATIENCE)[0].end, End::InProgress, "{behaviour}");
        drop(client);
        assert!(matches!(end(&simulator), End::PeerClosed(_)), "{behaviour}");
    }
}

#[test]
fn an_error_frame_in_the_middle_ends_the_stream_cleanly() {
    for path in CHATS {
        let simulator = behaving("error_after=3");
        let answer = hello(&simulator, path, true);
        assert_eq!((answer.tokens().len(), answer.how), (3, How::Complete));
        let frames = answer.json_frames();
        assert!(!frames.last().expect("frames")["error"].is_null());
        assert_eq!(end(&simulator), End::Answered);
        let whole = hello(&simulator, path, false);
        assert_eq!((whole.status, whole.json()["error"].is_null()), (200, false));
    }
}

#[test]
fn a_malformed_frame_comes_before_the_third_and_costs_no_token() {
    for path in CHATS {
        let answer = hello(&behaving("malformed_at=3"), path, true);
        assert_eq!((answer.tokens().concat(), answer.how), (expected(), How::Complete));
        let frames = answer.frames();
        let is_broken = |frame: &&String| frame.starts_with('{') && frame.parse::<Value>().is_err();
        let broken: Vec<&String> = frames.iter().filter(is_broken).collect();
        assert_eq!(broken.len(), 1);
        let before = answer.text().find(&format!("{}\n", broken[0])).expect("it is there");
        let before = Answer { body: answer.body[..before].to_vec(), ..answer };
        assert_eq!(before.tokens().len(), 2);
        let whole = hello(&behaving("malformed_at=3"), path, false);
        assert_eq!((whole.status, whole.how), (200, How::Complete));
        assert!(serde_json::from_slice::<Value>(&whole.body).is_err());
    }
}

#[test]
fn an_end_without_sentinel_or_without_finish_is_clean_http() {
    for (path, finish, sentinel) in
        [(CHATS[0], "\"finish_reason\":\"stop\"", "[DONE]"), (CHATS[1], "end_turn", "message_stop")]
    {
        let no_end = hello(&behaving("no_end"), path, true);
        assert_eq!(no_end.how, How::Complete);
        assert!(no_end.text().contains(finish) && !no_end.text().contains(sentinel));
        let no_finish = hello(&behaving("no_finish"), path, true);
        assert_eq!((no_finish.how, no_finish.tokens().concat()), (How::Complete, expected()));
        assert!(!no_finish.text().contains(finish) && !no_finish.text().contains(sentinel));
    }
    for behaviour in ["no_end", "no_finish"] {
        let answer = hello(&behaving(behaviour), CHATS[2], true);
        assert_eq!((answer.how, answer.tokens().concat()), (How::Complete, expected()));
        assert!(!answer.text().contains("\"done\":true"));
    }
}

#[test]
fn as_many_tokens_as_wanted() {
    let simulator = behaving("tokens=50,reasoning=2");
    let answer = hello(&simulator, CHATS[0], true);
    assert_eq!(answer.tokens(), Simulator::expected_tokens("m", "hello there", 50));
    let reasoning = answer.json_frames();
    let reasoning = reasoning.iter().filter(|f| f["choices"][0]["delta"]["reasoning_content"].is_string());
    assert_eq!(reasoning.count(), 2);
    let usage = hello(&simulator, CHATS[0], false).json();
    assert_eq!(usage["usage"]["completion_tokens"], 52);
}

#[test]
fn endless_does_not_end() {
    for (stream, path) in [(true, CHATS[0]), (false, CHATS[2])] {
        let simulator = behaving("endless");
        let mut client = Client::to(&simulator);
        client.post(path, &question("m", "hello there", stream));
        if stream {
            assert_eq!(client.until_tokens(500).tokens().len(), 500);
        } else {
            let mut piece = [0; 4096];
            for _ in 0..200 {
                std::io::Read::read_exact(&mut client.stream, &mut piece).expect("more");
            }
        }
        drop(client);
        assert!(matches!(end(&simulator), End::PeerClosed(_)));
    }
}

#[test]
fn waits_last_at_least_as_long_as_wanted() {
    for (behaviour, stream, millis) in [
        ("delay=40ms", false, 40),
        ("first=40ms", false, 40),
        ("first=40ms", true, 40),
        ("pace=5ms,tokens=11", true, 50),
        ("first=20ms,pace=5ms,tokens=5", true, 40),
    ] {
        let simulator = behaving(behaviour);
        let before = now();
        assert_eq!(hello(&simulator, CHATS[1], stream).how, How::Complete);
        assert!((now() - before).as_millis() >= millis, "{behaviour}");
    }
}

#[test]
fn comments_come_while_a_stream_waits() {
    for (path, comment) in [(CHATS[0], ": keep-alive\n\n"), (CHATS[1], "event: ping"), (CHATS[2], "\n\n")] {
        let answer = hello(&behaving("first=60ms,comments=5ms"), path, true);
        assert!(answer.text().contains(comment), "{path}");
        assert_eq!(answer.tokens().concat(), expected());
    }
}

#[test]
fn the_gate_holds_before_the_head_and_between_tokens() {
    let simulator = behaving("hold");
    let mut client = Client::to(&simulator);
    client.post(CHATS[0], &question("m", "hello there", false));
    assert_eq!(simulator.wait_for(1, PATIENCE).len(), 1);
    assert!(client.is_silent());
    simulator.gate().open();
    assert_eq!(client.answer().status, 200);
    simulator.gate().close();
    simulator.behave("hold_after=3").expect("a behaviour");
    client.post(CHATS[0], &question("m", "hello there", true));
    assert_eq!(client.until_tokens(3).tokens().len(), 3);
    assert!(client.is_silent());
    simulator.gate().open();
    assert_eq!(simulator.wait_ended(1, PATIENCE).expect("it ends").end, End::Answered);
}

#[test]
fn a_literal_body_can_be_a_stream() {
    let simulator = behaving("body=data: {\"x\":1}\n\ndata: [DONE]\n\n");
    let answer = hello(&simulator, CHATS[0], true);
    assert!(answer.head.contains("text/event-stream"));
    assert_eq!(answer.frames(), ["{\"x\":1}", "[DONE]"]);
}
