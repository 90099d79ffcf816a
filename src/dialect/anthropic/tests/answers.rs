//! The vendor's whole answers and errors, read and worded.

use super::*;

#[test]
fn an_answer_survives_the_way_through_the_domain() {
    let answer = read_answer(ANSWER.as_bytes(), None).expect("it is an answer");
    let usage = Usage { input: 38, cached: 10, cache_write: 3, output: 89, ..Usage::default() };
    assert_eq!(answer.usage, Some(usage));
    let body = write_answer(&answer, &wording());
    assert_eq!(String::from_utf8_lossy(&body), ANSWER.trim());
    assert_eq!(facts(ANSWER.as_bytes()).expect("it is an answer"), (CLASSIC.into(), Some(usage)));
}

#[test]
fn stop_reasons_are_mapped_both_ways() {
    let rows = [
        ("end_turn", Finish::Stop, "end_turn"),
        ("stop_sequence", Finish::Stop, "end_turn"),
        ("max_tokens", Finish::Length, "max_tokens"),
        ("model_context_window_exceeded", Finish::Length, "max_tokens"),
        ("pause_turn", Finish::Length, "max_tokens"),
        ("tool_use", Finish::ToolCalls, "tool_use"),
        ("refusal", Finish::ContentFilter, "refusal"),
    ];
    for (reason, finish, back) in rows {
        let body = format!(
            r#"{{"type":"message","model":"m","content":[{{"type":"text","text":"x"}}],"stop_reason":"{reason}"}}"#
        );
        let answer = read_answer(body.as_bytes(), None).expect("it is an answer");
        let Content::Said { choices, .. } = &answer.content else { panic!("translated") };
        assert_eq!(choices[0].finish, finish, "{reason}");
        has(
            &String::from_utf8_lossy(&write_answer(&answer, &wording())),
            &format!(r#""stop_reason":"{back}""#),
        );
        let event = format!(r#"data: {{"type":"message_delta","delta":{{"stop_reason":"{reason}"}}}}"#);
        assert_eq!(deltas(&event, None).0, [Delta::Finish { choice: 0, finish }], "{reason}");
    }
}

#[test]
fn answers_that_are_none_are_told_apart() {
    let rows = [
        ("", Fault::Empty),
        (" \n", Fault::Empty),
        ("<html>", Fault::Garbage),
        ("{}", Fault::Garbage),
        (&ANSWER[..100], Fault::Truncated),
        (r#"{"content":[{"type":"text","text":"x"}],"stop_reason":null}"#, Fault::Truncated),
        (r#"{"content":[],"stop_reason":"end_turn"}"#, Fault::Empty),
        (r#"{"content":[{"type":"text","text":""}],"stop_reason":"end_turn"}"#, Fault::Empty),
        (r#"{"type":"error","error":{"type":"overloaded_error","message":"m"}}"#, Fault::ErrorInBody),
    ];
    for (body, fault) in rows {
        assert_eq!(read_answer(body.as_bytes(), None).expect_err(body).fault, fault, "{body}");
        assert_eq!(facts(body.as_bytes()).expect_err(body).fault, fault, "{body}");
    }
    assert!(facts(br#"{"content":[],"stop_reason":"refusal"}"#).is_ok());
}

#[test]
fn errors_are_judged_by_type_then_words_then_status() {
    let rows = [
        (
            400,
            "invalid_request_error",
            "prompt is too long: 210000 tokens > 200000 maximum",
            Fault::ContextLength,
        ),
        (400, "invalid_request_error", "Your credit balance is too low", Fault::PaymentRequired),
        (400, "invalid_request_error", "Output blocked by content filtering policy", Fault::ContentPolicy),
        (400, "invalid_request_error", "messages.0: bad", Fault::BadRequest),
        (401, "authentication_error", "invalid x-api-key", Fault::KeyRefused),
        (402, "billing_error", "pay", Fault::PaymentRequired),
        (403, "permission_error", "no", Fault::KeyRefused),
        (404, "not_found_error", "model: claude-9", Fault::UnknownModel),
        (404, "not_found_error", "Not found", Fault::NotFound),
        (413, "request_too_large", "big", Fault::TooLarge),
        (429, "rate_limit_error", "slow down", Fault::Busy),
        (500, "api_error", "oops", Fault::ServerError),
        (529, "overloaded_error", "Overloaded", Fault::Overloaded),
    ];
    for (status, kind, words, fault) in rows {
        let body = format!(r#"{{"type":"error","error":{{"type":"{kind}","message":"{words}"}}}}"#);
        let failure = read_error(status, body.as_bytes());
        assert_eq!((failure.fault, failure.status), (fault, Some(status)), "{words}");
        assert_eq!(failure.code.as_deref(), Some(kind));
    }
    assert_eq!(read_error(529, b"<html>").fault, Fault::Overloaded);
    let words = "temperature: Extra inputs are not permitted";
    let body = format!(r#"{{"error":{{"type":"invalid_request_error","message":"{words}"}}}}"#);
    let failure = read_error(400, body.as_bytes());
    assert_eq!((failure.param.as_deref(), failure.message.as_str()), (Some("temperature"), words));
}

#[test]
fn an_answer_of_another_vendor_gets_an_id_of_this_one() {
    let answer = Answer {
        model: String::new(),
        usage: None,
        content: Content::Said {
            id: Some("chatcmpl-1".to_owned()),
            choices: vec![Choice {
                parts: vec![text("x"), call("call_1", "{oops")],
                finish: Finish::ToolCalls,
            }],
        },
    };
    let body = String::from_utf8(write_answer(&answer, &wording())).expect("JSON is UTF-8");
    has(&body, r#"{"id":"msg_r1","type":"message","role":"assistant","model":"served","#);
    has(&body, r#""input":{"raw_arguments":"{oops"}"#);
}
