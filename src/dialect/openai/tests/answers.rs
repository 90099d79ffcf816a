//! Whole answers, and errors.

use super::*;

const ANSWER: &str = r#"{"id":"chatcmpl-9","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":null,"reasoning":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}}"#;

#[test]
fn an_answer_is_read_and_worded() {
    let usage = Usage { input: 3, cached: 1, output: 4, reasoning: 2, ..Usage::default() };
    assert_eq!(facts(ANSWER.as_bytes()).expect("proper"), ("gpt-x".into(), Some(usage)));
    let answer = read_answer(ANSWER.as_bytes(), None).expect("proper");
    let call = ToolCall { id: "c1".into(), name: "f".into(), arguments: "{}".into() };
    let parts = vec![Part::Reasoning { text: "hm".into(), signature: None }, Part::ToolCall(call)];
    let choices = vec![Choice { parts, finish: Finish::ToolCalls }];
    let content = Content::Said { id: Some("chatcmpl-9".into()), choices };
    assert_eq!(answer, Answer { model: "gpt-x".into(), usage: Some(usage), content });
    let written = write_answer(Dialect::OpenAiChat, &answer, &wording());
    assert_eq!(
        String::from_utf8(written).expect("text"),
        r#"{"id":"chatcmpl-r1","object":"chat.completion","created":7,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":null,"refusal":null,"reasoning_content":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},"logprobs":null,"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}}"#
    );
    let unwrapped = read_answer(ANSWER.as_bytes(), Some("f")).expect("proper");
    let Content::Said { choices, .. } = unwrapped.content else { panic!("said") };
    assert_eq!((choices[0].parts.last(), choices[0].finish), (Some(&text("{}")), Finish::Stop));
}

#[test]
fn an_answer_that_is_none_is_told_by_its_fault() {
    let cases = [
        ("", Fault::Empty),
        ("<html>", Fault::Garbage),
        (r#"{"hello":1}"#, Fault::Garbage),
        (r#"{"error":{"message":"no"}}"#, Fault::ErrorInBody),
        (r#"{"object":"error","message":"no"}"#, Fault::ErrorInBody),
        (r#"{"choices":[]}"#, Fault::Empty),
        (r#"{"choices":[{"message":{"content":""},"finish_reason":"stop"}]}"#, Fault::Empty),
        (r#"{"choices":[{"message":{"content":"x"},"finish_reason":"error"}]}"#, Fault::ErrorInBody),
    ];
    for (body, fault) in cases {
        assert_eq!(facts(body.as_bytes()).expect_err(body).fault, fault, "{body}");
    }
    for at in 1..ANSWER.len() {
        assert_eq!(facts(&ANSWER.as_bytes()[..at]).expect_err("cut").fault, Fault::Truncated, "at {at}");
    }
    assert!(facts(br#"{"choices":[{"message":{"content":null},"finish_reason":"length"}]}"#).is_ok());
    assert!(facts(br#"{"choices":[{"message":{"content":[{"type":"text","text":"x"}]}}]}"#).is_ok());
}

#[test]
fn errors_are_judged_by_code_words_and_status() {
    let of = |status, code: &str, message: &str| {
        read_error(
            status,
            format!(r#"{{"error":{{"message":"{message}","type":"t","param":"p","code":"{code}"}}}}"#)
                .as_bytes(),
        )
        .fault
    };
    assert_eq!(of(400, "context_length_exceeded", ""), Fault::ContextLength);
    assert_eq!(of(400, "", "This model's maximum context length is 8192 tokens."), Fault::ContextLength);
    assert_eq!(of(404, "model_not_found", ""), Fault::UnknownModel);
    assert_eq!(of(404, "", "The model `x` does not exist"), Fault::UnknownModel);
    assert_eq!(of(404, "", "Invalid URL"), Fault::NotFound);
    assert_eq!(of(400, "content_policy_violation", ""), Fault::ContentPolicy);
    assert_eq!(of(400, "content_filter", ""), Fault::ContentPolicy);
    assert_eq!(of(429, "insufficient_quota", ""), Fault::PaymentRequired);
    assert_eq!(of(429, "rate_limit_exceeded", ""), Fault::Busy);
    assert_eq!(of(400, "", "'max_tokens' is not supported with this model."), Fault::BadRequest);
    assert_eq!(of(500, "", "maximum context length"), Fault::ServerError);
    let statuses = [
        (301, Fault::Redirect),
        (401, Fault::KeyRefused),
        (402, Fault::PaymentRequired),
        (403, Fault::KeyRefused),
        (408, Fault::ServerError),
        (413, Fault::TooLarge),
        (422, Fault::BadRequest),
        (429, Fault::Busy),
        (503, Fault::ServerError),
        (529, Fault::Overloaded),
    ];
    for (status, fault) in statuses {
        let failure = read_error(status, b"<html>nginx</html>");
        assert_eq!((failure.fault, failure.status), (fault, Some(status)));
    }
    let refused = read_error(401, br#"{"error":{"message":"Incorrect API key provided: sk-abc"}}"#);
    assert!(!refused.message.contains("sk-"));
    let bad =
        read_error(400, br#"{"error":{"message":"bad temperature","param":"temperature","code":null}}"#);
    assert_eq!((bad.message.as_str(), bad.param.as_deref()), ("bad temperature", Some("temperature")));
    for body in [
        r#"{"message":"why","code":400}"#,
        r#"{"detail":"why"}"#,
        r#"[{"error":{"message":"why"}}]"#,
        r#"{"error":"why"}"#,
    ] {
        assert_eq!(read_error(400, body.as_bytes()).message, "why", "{body}");
    }
}

#[test]
fn an_error_has_openais_form() {
    let complaint = Complaint {
        status: 400,
        kind: "invalid_request_error",
        message: "no".into(),
        code: None,
        param: Some("model".into()),
        request_id: "r".into(),
        retry_after: None,
    };
    assert_eq!(
        String::from_utf8(write_error(&complaint)).expect("text"),
        r#"{"error":{"message":"no","type":"invalid_request_error","param":"model","code":null}}"#
    );
}
