//! Answers event by event, from providers and to callers.

use super::*;

fn deltas(frames: &[&str]) -> Vec<Delta> {
    let mut events = Events::new(None);
    let mut all = Vec::new();
    for frame in frames {
        assert_eq!(events.read(None, frame, &mut all).expect("well-formed"), Sign::More);
    }
    all
}

#[test]
fn a_stream_of_tool_calls_is_understood() {
    let chunk = |delta: &str, finish: &str| {
        format!(
            r#"{{"id":"i","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":{finish}}}]}}"#
        )
    };
    let frames = [
        chunk(r#"{"role":"assistant","content":null}"#, "null"),
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"a","type":"function","function":{"name":"f","arguments":""}}]}"#,
            "null",
        ),
        chunk(r#"{"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}"#, "null"),
        // Some servers give each call index 0.
        chunk(
            r#"{"tool_calls":[{"index":0,"id":"b","function":{"name":"g","arguments":"{\"x\":"}}]}"#,
            "null",
        ),
        chunk(r#"{"tool_calls":[{"index":0,"id":"b","function":{"arguments":"1}"}}]}"#, "null"),
        chunk("{}", "\"stop\""),
        chunk("{}", "\"stop\""),
    ];
    let frames: Vec<&str> = frames.iter().map(String::as_str).collect();
    let call =
        |call, id: &str, name: &str| Delta::ToolCall { choice: 0, call, id: id.into(), name: name.into() };
    let fragment = |call, fragment: &str| Delta::Arguments { choice: 0, call, fragment: fragment.into() };
    assert_eq!(
        deltas(&frames),
        vec![
            Delta::Start { id: "i".into(), model: "m".into() },
            call(0, "a", "f"),
            fragment(0, "{}"),
            call(1, "b", "g"),
            fragment(1, "{\"x\":"),
            fragment(1, "1}"),
            Delta::Finish { choice: 0, finish: Finish::ToolCalls },
        ]
    );
}

#[test]
fn reasoning_usage_errors_and_the_end_mark_are_understood() {
    let seen = deltas(&[
        r#"{"id":"","model":"","choices":[],"prompt_filter_results":[]}"#,
        r#"{"id":"i","model":"m","choices":[{"delta":{"reasoning":"hm","content":""}}]}"#,
        r#"{"choices":[{"delta":{"content":"x"},"finish_reason":"length"}],"usage":{"prompt_tokens":1,"completion_tokens":2}}"#,
    ]);
    let usage = Usage { input: 1, output: 2, ..Usage::default() };
    assert_eq!(
        seen,
        vec![
            Delta::Start { id: "i".into(), model: "m".into() },
            Delta::Reasoning { choice: 0, text: "hm".into(), signature: None },
            Delta::Text { choice: 0, text: "x".into() },
            Delta::Finish { choice: 0, finish: Finish::Length },
            Delta::Usage(usage),
        ]
    );
    let mut events = Events::new(None);
    let mut read = |event, data| events.read(event, data, &mut Vec::new());
    assert_eq!(read(None, "[DONE]").expect("the end"), Sign::End);
    assert_eq!(read(None, r#"{"error":{"message":"x"}}"#).expect_err("error").fault, Fault::ErrorInBody);
    assert_eq!(read(Some("error"), "anything").expect_err("error").fault, Fault::ErrorInBody);
    assert_eq!(read(None, r#"{"choices":[{"delta":"#).expect_err("cut").fault, Fault::Garbage);
}

fn streamed(form: Form, wording: Wording, deltas: &[Delta]) -> String {
    let mut writer = Writer::with(form, wording);
    let mut out = Vec::new();
    for delta in deltas {
        writer.delta(delta, &mut out);
    }
    writer.end(&mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn a_translated_stream_has_one_head_and_ends_once() {
    let usage = Usage { input: 1, output: 2, ..Usage::default() };
    let text = |text: &str| Delta::Text { choice: 0, text: text.into() };
    let start = |id: &str, model: &str| Delta::Start { id: id.into(), model: model.into() };
    let out = streamed(
        Form::Chat,
        wording(),
        &[
            start("msg_1", "claude"),
            Delta::Usage(usage),
            text("a\n"),
            start("msg_2", "other"),
            Delta::ToolCall { choice: 0, call: 0, id: "t".into(), name: "f".into() },
            Delta::Arguments { choice: 0, call: 0, fragment: "{}".into() },
            Delta::Finish { choice: 0, finish: Finish::ToolCalls },
        ],
    );
    let head = r#"data: {"id":"chatcmpl-r1","object":"chat.completion.chunk","created":7,"model":"claude","choices":"#;
    let chunk = |delta: &str, finish: &str| {
        format!(
            "{head}[{{\"index\":0,\"delta\":{{{delta}}},\"logprobs\":null,\"finish_reason\":{finish}}}]}}\n\n"
        )
    };
    let expected = [
        chunk(r#""role":"assistant","content":"""#, "null"),
        chunk(r#""content":"a\n""#, "null"),
        chunk(
            r#""tool_calls":[{"index":0,"id":"t","type":"function","function":{"name":"f","arguments":""}}]"#,
            "null",
        ),
        chunk(r#""tool_calls":[{"index":0,"function":{"arguments":"{}"}}]"#, "null"),
        chunk("", "\"tool_calls\""),
        format!(
            "{head}[],\"usage\":{{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,\"prompt_tokens_details\":{{\"cached_tokens\":0}},\"completion_tokens_details\":{{\"reasoning_tokens\":0}}}}}}\n\n"
        ),
        "data: [DONE]\n\n".to_owned(),
    ];
    assert_eq!(out, expected.concat());
}

#[test]
fn usage_comes_only_when_asked_for_and_a_missing_finish_is_completed() {
    let quiet = Wording { include_usage: false, ..wording() };
    let text = Delta::Text { choice: 0, text: "a".into() };
    let out = streamed(Form::Chat, quiet, &[text.clone(), Delta::Usage(Usage::default())]);
    assert!(!out.contains("usage") && out.contains(r#""finish_reason":"stop""#));
    assert_eq!(out.matches("[DONE]").count(), 1);
    let legacy =
        streamed(Form::Completion, wording(), &[text, Delta::Finish { choice: 0, finish: Finish::Length }]);
    assert_eq!(
        legacy,
        "data: {\"id\":\"cmpl-r1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"a\",\"logprobs\":null,\"finish_reason\":null}]}\n\n\
         data: {\"id\":\"cmpl-r1\",\"object\":\"text_completion\",\"created\":7,\"model\":\"m\",\"choices\":[{\"index\":0,\"text\":\"\",\"logprobs\":null,\"finish_reason\":\"length\"}]}\n\n\
         data: [DONE]\n\n"
    );
}

#[test]
fn a_chunk_like_the_one_before_means_what_parsing_it_says() {
    let frame = |delta: &str, rest: &str| {
        format!(
            r#"{{"id":"c1","model":"m","choices":[{{"index":0,"delta":{delta},"finish_reason":null}}]{rest}}}"#
        )
    };
    let text = |text: &str| frame(&format!(r#"{{"content":"{text}"}}"#), "");
    let frames = [
        text("one"),
        text(" two"),
        text(r"\n"),
        text(r#"a \"quoted\" word"#),
        text(r"\u00e4"),
        text("\u{e4} 😀"),
        text(r#"\"content\":\"no"#),
        text(""),
        frame(r#"{"content":"both","refusal":"of them"}"#, ""),
        frame(r#"{"refusal":"three"}"#, r#","x":{"content":"three"}"#),
        frame(r#"{"refusal":"four"}"#, r#","x":{"content":"three"}"#),
        frame(r#"{"content":"five"}"#, r#","x":{"content":"five"}"#),
        frame(r#"{"content":"six"}"#, r#","x":{"content":"five"}"#),
        frame(r#"{"content":"seven"}"#, r#","usage":{"prompt_tokens":1,"completion_tokens":2}"#),
        frame(r#"{"content":null}"#, ""),
        text("eight"),
        text("nine\",\"refusal\":\"x"),
        text("ten\u{1}"),
        text("eleven").replace("null", "\"stop\""),
        text("twelve").replace("\"index\":0", "\"index\":1"),
        text("thirteen").replace("\"index\":0", "\"index\":1"),
        text("fourteen"),
    ];
    let first = frame(r#"{"role":"assistant","content":""}"#, "");
    let read = |events: &mut Events, data: &str| {
        let mut deltas = Vec::new();
        let read = events.read(None, data, &mut deltas).map_err(|failure| failure.fault);
        (read, deltas)
    };
    let mut one_after_the_other = Events::new(None);
    let _ = read(&mut one_after_the_other, &first);
    for data in frames.iter().cycle().take(3 * frames.len()).filter(|data| !data.contains("stop")) {
        let mut alone = Events::new(None);
        let _ = read(&mut alone, &first);
        assert_eq!(read(&mut one_after_the_other, data), read(&mut alone, data), "{data}");
    }
}
