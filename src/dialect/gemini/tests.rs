//! Gemini as providers speak it: golden pairs, answers, streams, errors.

use super::*;
use crate::dialect::{Defaults, Outgoing, Reader, ask, open, read_error};
use crate::domain::chat::*;
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::Dialect;
use std::time::Duration;

const REQUEST: &str = include_str!("../../../tests/golden/gemini/request.json");
const TRANSLATED: &str = include_str!("../../../tests/golden/gemini/translated.json");
const ANSWER: &str = include_str!("../../../tests/golden/gemini/answer.json");
const STREAM: &str = include_str!("../../../tests/golden/gemini/stream.sse");

fn asked(body: &str, model: &str, so_far: Option<&str>) -> Result<Outgoing, Failure> {
    let (gist, words) = open(Dialect::OpenAiChat, body.as_bytes().to_vec()).expect("a request");
    ask(Dialect::Gemini, (&gist, &words), model, so_far, &Defaults::default())
}

fn sent(body: &str, model: &str) -> serde_json::Value {
    let out = asked(body, model, None).expect("it can be translated");
    serde_json::from_slice(&out.body.joined()).expect("JSON")
}

fn text(text: &str) -> Part {
    Part::Text { text: text.to_owned(), cache_control: None }
}

#[test]
fn a_request_arrives_in_the_vendors_words() {
    let out = asked(REQUEST, "gemini-2.5-flash", None).expect("it can be translated");
    assert_eq!(String::from_utf8(out.body.into_vec()).expect("text"), TRANSLATED.trim_end());
    assert_eq!(out.path, "/models/gemini-2.5-flash:generateContent");
    assert_eq!(out.dropped, ["user", "logit_bias"]);
}

#[test]
fn the_models_name_is_part_of_the_path_and_cannot_leave_it() {
    let hello = r#"{"stream":true,"messages":[{"role":"user","content":"q"}]}"#;
    let path = |model: &str| asked(hello, model, None).expect("fine").path.into_owned();
    assert_eq!(path("gemini-x"), "/models/gemini-x:streamGenerateContent?alt=sse");
    assert_eq!(path("tunedModels/mine"), "/tunedModels/mine:streamGenerateContent?alt=sse");
    assert_eq!(path("a?key=b#c%"), "/models/a%3Fkey=b%23c%25:streamGenerateContent?alt=sse");
}

#[test]
fn text_already_delivered_is_the_models_beginning() {
    let hello = r#"{"messages":[{"role":"user","content":"q"}]}"#;
    let out = asked(hello, "gemini-x", Some("Once upon")).expect("fine");
    let sent: serde_json::Value = serde_json::from_slice(&out.body.joined()).expect("JSON");
    assert_eq!(sent["contents"][1], serde_json::json!({"role": "model", "parts": [{"text": "Once upon"}]}));
}

#[test]
fn instructions_alone_and_gemmas_instructions_are_said_by_the_person() {
    let alone = sent(r#"{"messages":[{"role":"system","content":"s"}]}"#, "gemini-x");
    assert_eq!(alone["contents"][0]["parts"][0]["text"], "s");
    assert!(alone.get("systemInstruction").is_none());
    let both = r#"{"messages":[{"role":"system","content":"s"},{"role":"user","content":"q"}]}"#;
    let gemma = sent(both, "gemma-3-27b-it");
    assert_eq!(gemma["contents"][0]["parts"], serde_json::json!([{"text": "s"}, {"text": "q"}]));
    let opened = r#"{"messages":[{"role":"assistant","content":"a"},{"role":"user","content":"q"}]}"#;
    assert_eq!(sent(opened, "gemini-x")["contents"][0]["role"], "user");
    assert_eq!(
        asked(r#"{"messages":[{"role":"user","content":" "}]}"#, "g", None).expect_err("mute").fault,
        Fault::BadRequest
    );
}

#[test]
fn a_call_without_a_signature_gets_the_vendors_word_for_none() {
    let body = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","tool_calls":[{"id":"a","type":"function","function":{"name":"f","arguments":"{}"}}]},{"role":"tool","tool_call_id":"a","content":"1"}]}"#;
    let signature = |model: &str| sent(body, model)["contents"][1]["parts"][0]["thoughtSignature"].clone();
    assert_eq!(signature("gemini-3-pro-preview"), "skip_thought_signature_validator");
    assert!(signature("gemini-2.5-pro").is_null());
}

#[test]
fn what_cannot_be_said_is_refused_with_its_place() {
    let image = r#"{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"https://x/y.png"}}]}]}"#;
    let failure = asked(image, "gemini-x", None).expect_err("by address");
    assert_eq!(
        (failure.fault, failure.param.as_deref()),
        (Fault::Untranslatable, Some("messages[0].content"))
    );
    let orphan =
        r#"{"messages":[{"role":"user","content":"q"},{"role":"tool","tool_call_id":"a","content":"1"}]}"#;
    let failure = asked(orphan, "gemini-x", None).expect_err("an orphan");
    assert_eq!(
        (failure.fault, failure.param.as_deref()),
        (Fault::BadRequest, Some("messages[1].tool_call_id"))
    );
}

#[test]
fn a_structured_answer_has_a_schema_or_where_tools_exclude_it_words() {
    let format = r#""response_format":{"type":"json_schema","json_schema":{"name":"n","schema":{"type":"object","properties":{"a":{"const":"x"}},"additionalProperties":false}}}"#;
    let plain = format!(r#"{{"messages":[{{"role":"user","content":"q"}}],{format}}}"#);
    let config = &sent(&plain, "gemini-2.5-flash")["generationConfig"];
    assert_eq!(config["responseMimeType"], "application/json");
    assert_eq!(config["responseSchema"]["properties"]["a"]["enum"][0], "x");
    let tools = r#""tools":[{"type":"function","function":{"name":"f"}}]"#;
    let both = format!(r#"{{"messages":[{{"role":"user","content":"q"}}],{format},{tools}}}"#);
    let out = asked(&both, "gemini-2.5-flash", None).expect("fine");
    assert_eq!(out.dropped, ["response_format"]);
    assert!(String::from_utf8_lossy(&out.body.joined()).contains("satisfies this schema"));
    assert!(sent(&both, "gemini-3-pro")["generationConfig"]["responseSchema"].is_object());
}

#[test]
fn an_answer_is_read_with_its_thoughts_calls_and_tokens() {
    let answer = read_answer(ANSWER.as_bytes(), None).expect("a proper one");
    let Content::Said { id, choices } = answer.content else { panic!("said") };
    assert_eq!((id.as_deref(), answer.model.as_str()), (Some("aB-1_x"), "gemini-2.5-flash"));
    let call = |id: &str, name: &str, arguments: &str| {
        Part::ToolCall(ToolCall { id: id.into(), name: name.into(), arguments: arguments.into() })
    };
    assert_eq!(
        choices[0].parts,
        [
            Part::Reasoning { text: "Hmm.".into(), signature: None },
            text("It rains."),
            Part::Reasoning { text: String::new(), signature: Some("gemini:c2ln".into()) },
            call("call_aB1x_0", "weather", r#"{"city":"Oslo"}"#),
            call("fc-9", "time", "{}"),
        ]
    );
    assert_eq!(choices[0].finish, Finish::ToolCalls);
    assert_eq!(
        answer.usage,
        Some(Usage { input: 11, cached: 4, output: 8, reasoning: 3, ..Usage::default() })
    );
}

#[test]
fn a_stream_is_read_chunk_by_chunk_at_any_split() {
    let read = |pieces: &[&[u8]]| {
        let mut reader = Reader::new(Dialect::Gemini, Dialect::OpenAiChat, None);
        let mut deltas = Vec::new();
        for piece in pieces {
            reader.feed(piece);
            while let Some(frame) = reader.next().expect("a good stream") {
                deltas.extend(frame.deltas);
            }
        }
        reader.close().expect("a finish is an end");
        deltas
    };
    let whole = read(&[STREAM.as_bytes()]);
    let finish = |delta: &Delta| matches!(delta, Delta::Finish { finish: Finish::ToolCalls, .. });
    assert!(whole.iter().any(finish));
    assert!(whole.contains(&Delta::Reasoning {
        choice: 0,
        text: String::new(),
        signature: Some("gemini:c2ln".into())
    }));
    let last = whole.iter().rev().find_map(|delta| match delta {
        Delta::Usage(usage) => Some((usage.input, usage.output, usage.reasoning)),
        _ => None,
    });
    assert_eq!(last, Some((10, 8, 3)));
    for at in 0..STREAM.len() {
        assert_eq!(read(&[&STREAM.as_bytes()[..at], &STREAM.as_bytes()[at..]]), whole, "split at {at}");
    }
}

fn answered(body: &str) -> Result<Finish, Fault> {
    match read_answer(body.as_bytes(), None) {
        Ok(Answer { content: Content::Said { choices, .. }, .. }) => Ok(choices[0].finish),
        Ok(_) => Err(Fault::Internal),
        Err(failure) => Err(failure.fault),
    }
}

#[test]
fn every_end_means_something() {
    let ended = |reason: &str, parts: &str| {
        answered(&format!(
            r#"{{"candidates":[{{"content":{{"parts":[{parts}]}},"finishReason":"{reason}"}}]}}"#
        ))
    };
    let said = r#"{"text":"a"}"#;
    assert_eq!(ended("STOP", said), Ok(Finish::Stop));
    assert_eq!(ended("STOP", ""), Err(Fault::Empty));
    assert_eq!(ended("MAX_TOKENS", ""), Ok(Finish::Length));
    for filtered in ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "OTHER", "NEW_REASON"]
    {
        assert_eq!(ended(filtered, ""), Ok(Finish::ContentFilter), "{filtered}");
    }
    assert_eq!(ended("MALFORMED_FUNCTION_CALL", ""), Err(Fault::ErrorInBody));
    assert_eq!(answered(r#"{"candidates":[{"content":{"parts":[{"text":"a"}]}}]}"#), Err(Fault::Truncated));
    assert_eq!(answered(r#"{"promptFeedback":{"blockReason":"SAFETY"}}"#), Err(Fault::ContentPolicy));
    assert_eq!(answered(r#"{"error":{"code":500}}"#), Err(Fault::ErrorInBody));
    assert_eq!(answered("{}"), Err(Fault::Garbage));
    assert_eq!(answered(""), Err(Fault::Empty));
    assert_eq!(answered(r#"{"candidates":["#), Err(Fault::Truncated));
}

#[test]
fn errors_are_judged_by_status_word_and_details() {
    let read = |status: u16, word: &str, message: &str, details: &str| {
        let body = format!(
            r#"{{"error":{{"code":{status},"message":"{message}","status":"{word}","details":[{details}]}}}}"#
        );
        read_error(Dialect::Gemini, status, body.as_bytes())
    };
    let rows = [
        (400, "INVALID_ARGUMENT", "API key not valid. Please pass a valid API key.", Fault::KeyRefused),
        (400, "INVALID_ARGUMENT", "Invalid value at 'x'", Fault::BadRequest),
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            Fault::ContextLength,
        ),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", Fault::KeyRefused),
        (403, "PERMISSION_DENIED", "no", Fault::KeyRefused),
        (404, "NOT_FOUND", "models/x is not found for API version v1beta", Fault::UnknownModel),
        (429, "RESOURCE_EXHAUSTED", "quota", Fault::Busy),
        (500, "INTERNAL", "oops", Fault::ServerError),
        (503, "UNAVAILABLE", "The model is overloaded.", Fault::Overloaded),
        (504, "DEADLINE_EXCEEDED", "late", Fault::ServerError),
    ];
    for (status, word, message, fault) in rows {
        let failure = read(status, word, message, "");
        assert_eq!((failure.fault, failure.status), (fault, Some(status)), "{word} {message}");
    }
    let retry = r#"{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34.5s"}"#;
    let busy = read(429, "RESOURCE_EXHAUSTED", "quota", retry);
    assert_eq!(busy.retry_after, Some(Duration::from_millis(34_500)));
    let field = r#"{"@type":"type.googleapis.com/google.rpc.BadRequest","fieldViolations":[{"field":"generation_config.temperature"}]}"#;
    assert_eq!(
        read(400, "INVALID_ARGUMENT", "no", field).param.as_deref(),
        Some("generation_config.temperature")
    );
    assert_eq!(
        read_error(Dialect::Gemini, 400, b"[{\"error\":{\"status\":\"NOT_FOUND\",\"message\":\"model\"}}]")
            .fault,
        Fault::UnknownModel
    );
    assert_eq!(read_error(Dialect::Gemini, 502, b"<html>").fault, Fault::ServerError);
}
