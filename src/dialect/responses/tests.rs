//! What Responses promises its callers, bytes in and events out.

use super::*;
use crate::dialect::{Complaint, Wording};
use crate::domain::chat::{
    Answer, Chat, Choice, Content, Delta, Finish, Image, Part, Reasoning, Role, Usage,
};
use crate::domain::failure::{Failure, Fault};

const STREAM: &str = include_str!("../../../tests/golden/responses/stream.sse");
const ANSWER: &str = include_str!("../../../tests/golden/responses/answer.json");
const REQUEST: &str = include_str!("../../../tests/golden/responses/request.json");

fn wording() -> Wording {
    Wording { request_id: "r".into(), created: 1_700_000_000, model: "asked".into(), ..Wording::default() }
}

fn decoded(body: &str) -> Result<Chat, Failure> {
    decode(&open(body.as_bytes().to_vec()).expect(body).1)
}

fn text(text: &str) -> Part {
    Part::Text { text: text.into(), cache_control: None }
}

fn said(text: &str) -> Delta {
    Delta::Text { choice: 0, text: text.into() }
}

fn usage() -> Usage {
    Usage { input: 12, cached: 4, output: 9, reasoning: 3, ..Usage::default() }
}

/// Thinking, text and a call, as a stream.
fn deltas() -> Vec<Delta> {
    vec![
        Delta::Start { id: "x".into(), model: "served".into() },
        Delta::Reasoning { choice: 0, text: "Hm".into(), signature: None },
        Delta::Reasoning { choice: 0, text: "m.".into(), signature: Some("s1".into()) },
        said("Hé"),
        said("llo"),
        Delta::ToolCall { choice: 0, call: 0, id: "c1".into(), name: "weather".into() },
        Delta::Arguments { choice: 0, call: 0, fragment: "{\"city\":".into() },
        Delta::Arguments { choice: 0, call: 0, fragment: "\"Oslo\"}".into() },
        Delta::Finish { choice: 0, finish: Finish::ToolCalls },
        Delta::Usage(usage()),
    ]
}

fn written(deltas: &[Delta]) -> String {
    let (mut writer, mut out) = (Writer::new(wording()), Vec::new());
    for delta in deltas {
        writer.delta(delta, &mut out);
    }
    writer.end(&mut out);
    writer.end(&mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

#[test]
fn a_stream_is_the_golden_one_event_for_event() {
    assert_eq!(written(&deltas()), STREAM);
}

#[test]
fn a_whole_answer_is_the_golden_one_and_what_the_streams_last_event_carries() {
    let call = crate::domain::chat::ToolCall {
        id: "c1".into(),
        name: "weather".into(),
        arguments: "{\"city\":\"Oslo\"}".into(),
    };
    let parts = vec![
        Part::Reasoning { text: "Hmm.".into(), signature: Some("s1".into()) },
        text("Hé"),
        text("llo"),
        Part::ToolCall(call),
    ];
    let choices = vec![Choice { parts, finish: Finish::ToolCalls }];
    let content = Content::Said { id: None, choices };
    let answer = Answer { model: "served".into(), usage: Some(usage()), content };
    let whole = String::from_utf8(write_answer(&answer, &wording())).expect("JSON is UTF-8");
    assert_eq!(whole, ANSWER.trim_end());
    let last = STREAM.lines().rev().find_map(|line| line.strip_prefix("data: ")).expect("it has an end");
    assert!(last.ends_with(&format!("\"response\":{whole}}}")), "{last}");
}

#[test]
fn an_answer_that_was_cut_short_says_so() {
    let finish = |finish| written(&[said("a"), Delta::Finish { choice: 0, finish }]);
    let length = finish(Finish::Length);
    assert!(length.contains("event: response.incomplete\n"), "{length}");
    assert!(length.contains(r#""incomplete_details":{"reason":"max_output_tokens"}"#), "{length}");
    assert!(finish(Finish::ContentFilter).contains(r#"{"reason":"content_filter"}"#));
}

#[test]
fn a_stream_that_could_not_be_saved_fails_and_never_completes() {
    let (mut writer, mut out) = (Writer::new(wording()), Vec::new());
    writer.delta(&said("a"), &mut out);
    let complaint = Complaint {
        status: 502,
        kind: "server_error",
        message: "gone".into(),
        code: None,
        param: None,
        request_id: "r".into(),
        retry_after: None,
    };
    writer.failure(&complaint, &mut out);
    writer.end(&mut out);
    let text = String::from_utf8(out).expect("JSON is UTF-8");
    assert!(text.contains("event: response.failed\n"), "{text}");
    assert!(text.contains(r#""error":{"code":"server_error","message":"gone"}"#), "{text}");
    assert!(!text.contains("response.completed") && !text.contains(r#""status":"completed""#), "{text}");
}

#[test]
fn calls_whose_arguments_arrive_in_turns_are_kept_apart() {
    let call = |call: u32| Delta::ToolCall { choice: 0, call, id: format!("c{call}"), name: "w".into() };
    let part = |call, fragment: &str| Delta::Arguments { choice: 0, call, fragment: fragment.into() };
    let text = written(&[call(0), call(1), part(0, "{\"a\""), part(1, "{}"), part(0, ":1}")]);
    assert!(text.contains(r#""output_index":0,"name":"w","arguments":"{\"a\":1}""#), "{text}");
    assert!(text.contains(r#""output_index":1,"name":"w","arguments":"{}""#), "{text}");
}

#[test]
fn the_golden_request_means_what_it_says() {
    let chat = decoded(REQUEST).expect("it is understood");
    let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
    assert_eq!(roles, [Role::System, Role::System, Role::User, Role::Assistant, Role::Tool, Role::User]);
    assert_eq!(chat.messages[0].parts, [text("Be brief.")]);
    let image = Image::Data { media_type: "image/png".into(), base64: "AAAA".into() };
    assert_eq!(chat.messages[2].parts, [text("What is this?"), Part::Image(image)]);
    let [Part::Reasoning { signature, .. }, Part::Text { .. }, Part::ToolCall(call)] =
        &chat.messages[3].parts[..]
    else {
        panic!("thoughts, text and call are one turn: {:?}", chat.messages[3]);
    };
    assert_eq!((signature.as_deref(), call.arguments.as_str()), (Some("s1"), r#"{"city":"Oslo"}"#));
    assert!(
        matches!(&chat.messages[4].parts[..], [Part::ToolResult { call_id, content, .. }] if call_id == "c1" && content == "sunny")
    );
    assert_eq!(chat.reasoning, Some(Reasoning::Effort("low".into())));
    assert_eq!((chat.max_tokens, chat.tools.len()), (Some(99), 1));
    assert_eq!(chat.unknown, ["metadata", "text.verbosity"]);
}

#[test]
fn what_needs_a_memory_is_refused_before_anything_is_sent() {
    let rows = [
        (r#"{"input":"x","previous_response_id":"resp_1"}"#, "previous_response_id"),
        (r#"{"input":"x","conversation":"conv_1"}"#, "conversation"),
        (r#"{"input":"x","background":true}"#, "background"),
        (r#"{"input":[]}"#, "input"),
        (r#"{"input":["x"]}"#, "input[0]"),
        (r#"{"model":"m"}"#, "input"),
    ];
    for (body, param) in rows {
        let invalid = open(body.as_bytes().to_vec()).expect_err(body);
        assert_eq!(invalid.param.as_deref(), Some(param), "{body}");
    }
    for body in
        [r#"{"input":"x","previous_response_id":null,"background":false}"#, r#"{"input":"x","store":true}"#]
    {
        assert!(open(body.as_bytes().to_vec()).is_ok(), "{body}");
    }
}

#[test]
fn what_has_no_equivalent_or_no_sense_is_told_with_its_place() {
    let rows = [
        (r#"{"input":[{"type":"item_reference","id":"x"}]}"#, Fault::BadRequest, "input[0]"),
        (r#"{"input":[{"type":"web_search_call"}]}"#, Fault::Untranslatable, "input[0]"),
        (
            r#"{"input":[{"role":"user","content":[{"type":"input_file"}]}]}"#,
            Fault::Untranslatable,
            "input[0].content[0]",
        ),
        (r#"{"input":[{"role":"judge","content":"x"}]}"#, Fault::BadRequest, "input[0].role"),
        (r#"{"input":[{"role":"user"}]}"#, Fault::BadRequest, "input[0].content"),
        (r#"{"input":"x","tools":[{"type":"web_search"}]}"#, Fault::Untranslatable, "tools[0]"),
        (
            r#"{"input":[{"type":"function_call","call_id":"c","name":"w","arguments":"{"}]}"#,
            Fault::BadRequest,
            "input[0].arguments",
        ),
        (
            r#"{"input":"x","text":{"format":{"type":"json_schema"}}}"#,
            Fault::BadRequest,
            "text.format.schema",
        ),
    ];
    for (body, fault, param) in rows {
        let failure = decoded(body).expect_err(body);
        assert_eq!((failure.fault, failure.param.as_deref()), (fault, Some(param)), "{body}");
    }
}
