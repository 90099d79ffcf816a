//! The vendor's whole answers and errors, read and worded.

use super::*;

#[test]
fn an_answer_survives_the_way_through_the_domain() {
    let answer = read_answer(ANSWER.as_bytes(), None).expect("it is an answer");
    let usage = Usage { input: 26, output: 298, ..Usage::default() };
    assert_eq!(answer.usage, Some(usage));
    let Content::Said { choices, .. } = &answer.content else { panic!("translated") };
    assert_eq!(choices[0].finish, Finish::ToolCalls);
    assert_eq!(String::from_utf8_lossy(&write_as(Form::Chat, &answer, &wording())), ANSWER.trim());
    assert_eq!(facts(ANSWER.as_bytes()).expect("it is an answer"), ("llama3.2".to_owned(), Some(usage)));
}

#[test]
fn why_an_answer_ended_is_mapped_both_ways() {
    for (reason, finish, back) in
        [("stop", Finish::Stop, "stop"), ("length", Finish::Length, "length"), ("", Finish::Stop, "stop")]
    {
        let body =
            format!(r#"{{"model":"m","message":{{"content":"x"}},"done":true,"done_reason":"{reason}"}}"#);
        let answer = read_answer(body.as_bytes(), None).expect("it is an answer");
        assert_eq!(answer.usage, None);
        let Content::Said { choices, .. } = &answer.content else { panic!("translated") };
        assert_eq!(choices[0].finish, finish);
        has(
            &String::from_utf8_lossy(&write_as(Form::Chat, &answer, &wording())),
            &format!(r#""done_reason":"{back}""#),
        );
    }
}

#[test]
fn answers_that_are_none_are_told_apart() {
    let rows = [
        ("", Fault::Empty),
        ("<html>", Fault::Garbage),
        ("{}", Fault::Garbage),
        (&ANSWER[..100], Fault::Truncated),
        (r#"{"message":{"content":"x"},"done":false}"#, Fault::Truncated),
        (r#"{"message":{"content":""},"done":true,"done_reason":"load"}"#, Fault::Empty),
        (r#"{"message":{"content":""},"done":true,"done_reason":"stop"}"#, Fault::Empty),
        (r#"{"error":"llama runner process has terminated"}"#, Fault::ErrorInBody),
    ];
    for (body, fault) in rows {
        assert_eq!(read_answer(body.as_bytes(), None).expect_err(body).fault, fault, "{body}");
        assert_eq!(facts(body.as_bytes()).expect_err(body).fault, fault, "{body}");
        if fault == Fault::ErrorInBody || fault == Fault::Garbage {
            let read = Events::new(None).read(None, body, &mut Vec::new());
            assert_eq!(read.expect_err(body).fault, fault, "{body}");
        }
    }
}

#[test]
fn errors_are_judged_by_words_then_by_status() {
    let rows = [
        (404, "model 'llama9' not found", Fault::UnknownModel),
        (404, "model \\\"x\\\" not found, try pulling it first", Fault::UnknownModel),
        (404, "404 page not found", Fault::NotFound),
        (400, "registry.ollama.ai/library/x does not support tools", Fault::Untranslatable),
        (400, "the input length exceeds the context length", Fault::ContextLength),
        (400, "json: cannot unmarshal", Fault::BadRequest),
        (401, "unauthorized", Fault::KeyRefused),
        (429, "too many", Fault::Busy),
        (500, "llama runner process has terminated", Fault::ServerError),
        (503, "server busy, please try again.  maximum pending requests exceeded", Fault::Busy),
        (503, "loading", Fault::ServerError),
    ];
    for (status, words, fault) in rows {
        let body = format!(r#"{{"error":"{words}"}}"#);
        assert_eq!(read_error(status, body.as_bytes()).fault, fault, "{words}");
        let body = format!(r#"{{"error":{{"message":"{words}"}}}}"#);
        assert_eq!(read_error(status, body.as_bytes()).fault, fault, "{words}");
    }
    assert_eq!(read_error(502, b"<html>").fault, Fault::ServerError);
}

#[test]
fn days_are_those_of_the_calendar() {
    let rows = [
        (0, "1970-01-01T00:00:00Z"),
        (951_782_399, "2000-02-28T23:59:59Z"),
        (LEAP_DAY, "2024-02-29T12:00:00Z"),
        (4_107_542_400, "2100-03-01T00:00:00Z"),
    ];
    for (seconds, expected) in rows {
        assert_eq!(rfc3339(seconds), expected);
    }
}
