//! OpenAI's rows of the dialect table, and the door.

use super::*;
use crate::dialect::{Complaint, Defaults, Invalid, Sign, Wording, ask, open, write_answer};
use crate::domain::chat::{
    Answer, Chat, Choice, Content, Delta, Finish, Format, Image, Message, Part, Reasoning, Role, ToolCall,
    ToolChoice, Usage,
};
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::{Dialect, Gist, Words};

fn opened(body: &str) -> (Gist, Words) {
    open(Dialect::OpenAiChat, body.as_bytes().to_vec()).expect("a good body")
}

fn refused(body: &str) -> Invalid {
    open(Dialect::OpenAiChat, body.as_bytes().to_vec()).expect_err("a bad body")
}

fn chat(body: &str) -> Chat {
    decode(&opened(body).1).expect("understood")
}

fn undecodable(body: &str) -> Failure {
    decode(&opened(body).1).expect_err("not understood")
}

fn passed(body: &str, so_far: Option<&str>) -> String {
    let (gist, words) = opened(body);
    let out = ask(Dialect::OpenAiChat, (&gist, &words), "m2", so_far, &Defaults::default()).expect("passes");
    assert_eq!(out.path, "/chat/completions");
    String::from_utf8(out.body.into_vec()).expect("text")
}

fn encoded(chat: &Chat, model: &str) -> (String, Vec<String>) {
    let out = encode(chat, &Gist::default(), model, None, &Defaults::default()).expect("encodes");
    (String::from_utf8(out.body.into_vec()).expect("text"), out.dropped)
}

fn wording() -> Wording {
    Wording {
        request_id: "r1".into(),
        created: 7,
        provider: "p".into(),
        model: "m".into(),
        include_usage: true,
        base64: false,
    }
}

fn text(text: &str) -> Part {
    Part::Text { text: text.into(), cache_control: None }
}

#[test]
fn the_door_reads_the_gist_and_marks_the_places() {
    let body = r#" {"messages":[{"role":"user","content":"hi"}], "model" : "gpt","stream":true,"stream_options":{"include_usage":true},"max_tokens":5,"max_completion_tokens":9,"n":3}"#;
    let (gist, words) = opened(body);
    assert_eq!(
        gist,
        Gist {
            model: Some("gpt".into()),
            stream: true,
            include_usage: true,
            max_tokens: Some(9),
            choices: Some(3),
            ..Gist::default()
        }
    );
    assert_eq!(&body[words.marks.model.expect("marked")], "\"gpt\"");
    assert_eq!(&body[words.marks.messages.expect("marked")], r#"[{"role":"user","content":"hi"}]"#);
    assert_eq!(&body[words.marks.stream_options.expect("marked")], r#"{"include_usage":true}"#);
}

#[test]
fn the_door_names_the_field_that_is_wrong() {
    let cases = [
        ("[]", None),
        ("", None),
        (r#"{"messages":[{"role":"user"}]"#, None),
        (r#"{"messages":[{"role":"user"}]} x"#, None),
        (r"{}", Some("messages")),
        (r#"{"messages":null}"#, Some("messages")),
        (r#"{"messages":"hi"}"#, Some("messages")),
        (r#"{"messages":[]}"#, Some("messages")),
        (r#"{"messages":["hi"]}"#, Some("messages[0]")),
        (r#"{"messages":[{"role":"user"},{"role":"robot"}]}"#, Some("messages[1].role")),
        (r#"{"messages":[{"role":"user"},{"role":3}]}"#, Some("messages[1].role")),
        (r#"{"messages":[{"content":"hi"}]}"#, Some("messages[0].role")),
        (r#"{"messages":[{"role":"user","role":"system"}]}"#, Some("messages[0].role")),
        (r#"{"messages":[{"role":"user"}],"model":3}"#, Some("model")),
        (r#"{"messages":[{"role":"user"}],"model":"a","mod\u0065l":"b"}"#, Some("model")),
        (r#"{"messages":[{"role":"user"}],"stream":"yes"}"#, Some("stream")),
        (r#"{"messages":[{"role":"user"}],"stream_options":3}"#, Some("stream_options")),
        (r#"{"messages":[{"role":"user"}],"max_tokens":"many"}"#, Some("max_tokens")),
    ];
    for (body, param) in cases {
        assert_eq!(refused(body).param.as_deref(), param, "{body}");
    }
    let deep = format!(r#"{{"messages":[{{"role":"user","content":{}}}]}}"#, "[".repeat(10_000));
    assert!(refused(&deep).message.contains("64 levels"));
    assert!(open(Dialect::OpenAiChat, b"{\"a\":\"\xff\"}".to_vec()).is_err());
}

#[test]
fn the_same_dialect_passes_byte_for_byte_but_for_the_model() {
    let body = r#"{ "model":"m1", "messages":[{"role":"user","content":"é\u00e9 \ud83d\ude00"}], "tomorrow":{"a" : [1.0]} }"#;
    assert_eq!(passed(body, None), body.replace("\"m1\"", "\"m2\""));
    let nameless = r#" {"messages":[{"role":"user","content":"x"}]}"#;
    assert_eq!(passed(nameless, None), r#" {"model":"m2","messages":[{"role":"user","content":"x"}]}"#);
}

#[test]
fn usage_is_always_asked_for_on_streams_and_other_options_are_kept() {
    let messages = r#""messages":[{"role":"user","content":"x"}]"#;
    let with = |rest: &str| passed(&format!(r#"{{"model":"m1",{messages},"stream":true{rest}}}"#), None);
    let plain =
        format!(r#"{{"stream_options":{{"include_usage":true}},"model":"m2",{messages},"stream":true}}"#);
    assert_eq!(with(""), plain);
    let options =
        |inner: &str| format!(r#"{{"model":"m2",{messages},"stream":true,"stream_options":{inner}}}"#);
    assert_eq!(with(r#","stream_options":null"#), options(r#"{"include_usage":true}"#));
    assert_eq!(
        with(r#","stream_options":{"a":[1], "include_usage": false}"#),
        options(r#"{"include_usage":true,"a":[1]}"#)
    );
    assert_eq!(
        with(r#","stream_options":{ "include_usage": true }"#),
        options(r#"{ "include_usage": true }"#)
    );
}

#[test]
fn delivered_text_is_appended_with_the_wish_that_it_be_continued() {
    let body = r#"{"model":"m1","messages":[{"role":"user","content":"x"} ],"n":1}"#;
    assert_eq!(
        passed(body, Some("so \"far\"")),
        format!(
            r#"{{"model":"m2","messages":[{{"role":"user","content":"x"}} ,{{"role":"assistant","content":"so \"far\""}},{{"role":"user","content":"{}"}}],"n":1}}"#,
            crate::dialect::anthropic::CONTINUE
        )
    );
}

#[test]
fn a_whole_conversation_is_understood() {
    let chat = chat(
        r#"{"model":"m","messages":[
        {"role":"developer","content":"be kind"},
        {"role":"user","content":[{"type":"text","text":"look","cache_control":{"type":"ephemeral"}},
          {"type":"image_url","image_url":{"url":"data:image/png;base64,AAAA"}},
          {"type":"image_url","image_url":{"url":"https://x.test/a.png","detail":"low"}}]},
        {"role":"assistant","content":null,"reasoning_content":"hm","reasoning_details":[{"type":"reasoning.text","signature":"sig"}],
          "tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":""}}]},
        {"role":"tool","tool_call_id":"c1","content":[{"type":"text","text":"4"},{"type":"text","text":"2"}]}],
        "tools":[{"type":"function","function":{"name":"f","description":"d","parameters":{"type":"object"},"strict":true}}],
        "tool_choice":{"type":"function","function":{"name":"f"}},"parallel_tool_calls":false,
        "max_tokens":5,"max_completion_tokens":6,"temperature":0.5,"top_p":1,"stop":"END","seed":3,"presence_penalty":0.1,
        "frequency_penalty":0.2,"response_format":{"type":"json_schema","json_schema":{"name":"s","schema":{"type":"object"}}},
        "reasoning_effort":"low","user":"u","n":1,"logit_bias":{},"store":null,"service_tier":"auto"}"#,
    );
    let image = |image| Part::Image(image);
    let marked = Part::Text { text: "look".into(), cache_control: Some(r#"{"type":"ephemeral"}"#.into()) };
    let call = ToolCall { id: "c1".into(), name: "f".into(), arguments: "{}".into() };
    assert_eq!(
        chat.messages,
        vec![
            Message { role: Role::System, parts: vec![text("be kind")] },
            Message {
                role: Role::User,
                parts: vec![
                    marked,
                    image(Image::Data { media_type: "image/png".into(), base64: "AAAA".into() }),
                    image(Image::Url("https://x.test/a.png".into())),
                ],
            },
            Message {
                role: Role::Assistant,
                parts: vec![
                    Part::Reasoning { text: "hm".into(), signature: Some("sig".into()) },
                    Part::ToolCall(call),
                ],
            },
            Message {
                role: Role::Tool,
                parts: vec![Part::ToolResult { call_id: "c1".into(), content: "42".into(), is_error: false }],
            },
        ]
    );
    assert_eq!(chat.tools[0].parameters.as_deref(), Some(r#"{"type":"object"}"#));
    assert_eq!(chat.tool_choice, Some(ToolChoice::Named("f".into())));
    assert_eq!((chat.parallel_tool_calls, chat.max_tokens), (Some(false), Some(6)));
    assert_eq!((chat.temperature, chat.top_p, chat.seed), (Some(0.5), Some(1.0), Some(3)));
    assert_eq!(chat.stop, ["END"]);
    assert_eq!(chat.reasoning, Some(Reasoning::Effort("low".into())));
    assert_eq!(chat.unknown, ["logit_bias", "service_tier"]);
}

#[test]
fn what_cannot_be_understood_is_named_and_what_cannot_be_translated_is_not_the_callers_fault() {
    let user = |content: &str| format!(r#"{{"messages":[{{"role":"user","content":{content}}}]}}"#);
    let cases = [
        (user("3"), Fault::BadRequest, "messages[0].content"),
        (user(r#"[{"type":"text"}]"#), Fault::BadRequest, "messages[0].content[0].text"),
        (user(r#"[{"text":"x"}]"#), Fault::BadRequest, "messages[0].content[0].type"),
        (
            user(r#"[{"type":"image_url","image_url":{"url":"file:///etc/passwd"}}]"#),
            Fault::BadRequest,
            "messages[0].content[0].image_url.url",
        ),
        (
            user(r#"[{"type":"input_audio","input_audio":{}}]"#),
            Fault::Untranslatable,
            "messages[0].content[0].type",
        ),
        (
            r#"{"messages":[{"role":"assistant","tool_calls":[{"id":"a","function":{"name":"f","arguments":"{oops"}}]}]}"#.into(),
            Fault::BadRequest,
            "messages[0].tool_calls[0].function.arguments",
        ),
        (r#"{"messages":[{"role":"tool","content":"x"}]}"#.into(), Fault::BadRequest, "messages[0].tool_call_id"),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"stop":["a","b","c","d","e"]}"#.into(),
            Fault::BadRequest,
            "stop",
        ),
        (
            r#"{"messages":[{"role":"user","content":"x"}],"temperature":"hot"}"#.into(),
            Fault::BadRequest,
            "temperature",
        ),
    ];
    for (body, fault, param) in cases {
        let failure = undecodable(&body);
        assert_eq!((failure.fault, failure.param.as_deref()), (fault, Some(param)), "{body}");
    }
}

#[test]
fn a_conversation_survives_being_encoded_and_decoded() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":[{"type":"text","text":"a"},{"type":"image_url","image_url":{"url":"data:image/png;base64,AA"}}]},{"role":"assistant","content":"b","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{\"x\":1}"}}]},{"role":"tool","content":"r","tool_call_id":"c1"}],"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"object"}}}],"tool_choice":"required","parallel_tool_calls":false,"max_tokens":9,"temperature":0.5,"stop":["x"],"response_format":{"type":"json_object"},"user":"u"}"#;
    let once = chat(body);
    let (again, dropped) = encoded(&once, "m");
    assert_eq!(again, body);
    assert!(dropped.is_empty());
}

#[test]
fn a_reasoning_model_gets_its_own_parameters() {
    let chat = Chat {
        messages: vec![Message { role: Role::User, parts: vec![text("x")] }],
        max_tokens: Some(9),
        temperature: Some(0.3),
        top_k: Some(4),
        stop: vec!["x".into()],
        reasoning: Some(Reasoning::Budget(4096)),
        format: Some(Format::JsonObject),
        ..Chat::default()
    };
    let (body, dropped) = encoded(&chat, "openai/o3-mini");
    assert!(body.contains(r#""max_completion_tokens":9"#) && body.contains(r#""reasoning_effort":"medium""#));
    assert_eq!(dropped, ["temperature", "top_k", "stop"]);
    let (body, dropped) = encoded(&chat, "gpt-4o");
    assert!(body.contains(r#""max_tokens":9"#) && body.contains(r#""temperature":0.3"#));
    assert_eq!(dropped, ["top_k", "reasoning"]);
    assert!(encoded(&chat, "olmo-2").0.contains(r#""max_tokens":9"#));
}

#[test]
fn results_stand_before_text_and_long_ids_still_match() {
    let id = "toolu_".to_owned() + &"x".repeat(60);
    let call = ToolCall { id: id.clone(), name: "f".into(), arguments: "{}".into() };
    let result = Part::ToolResult { call_id: id.clone(), content: "r".into(), is_error: false };
    let chat = Chat {
        messages: vec![
            Message { role: Role::Assistant, parts: vec![Part::ToolCall(call)] },
            Message { role: Role::User, parts: vec![text("and?"), result] },
        ],
        ..Chat::default()
    };
    let (body, _) = encoded(&chat, "m");
    let short =
        body.split("\"id\":\"").nth(1).and_then(|rest| rest.split('"').next()).expect("an id").to_owned();
    assert!(short.len() <= 40 && short != id);
    assert_eq!(
        body,
        format!(
            r#"{{"model":"m","messages":[{{"role":"assistant","content":null,"tool_calls":[{{"id":"{short}","type":"function","function":{{"name":"f","arguments":"{{}}"}}}}]}},{{"role":"tool","content":"r","tool_call_id":"{short}"}},{{"role":"user","content":"and?"}}]}}"#
        )
    );
}

const ANSWER: &str = r#"{"id":"chatcmpl-9","object":"chat.completion","created":1,"model":"gpt-x","choices":[{"index":0,"message":{"role":"assistant","content":null,"reasoning":"hm","tool_calls":[{"id":"c1","type":"function","function":{"name":"f","arguments":"{}"}}]},"finish_reason":"tool_calls"}],"usage":{"prompt_tokens":3,"completion_tokens":4,"total_tokens":7,"prompt_tokens_details":{"cached_tokens":1},"completion_tokens_details":{"reasoning_tokens":2}}}"#;

#[test]
fn an_answer_is_read_and_worded() {
    let usage = Usage { input: 3, cached: 1, output: 4, reasoning: 2, ..Usage::default() };
    assert_eq!(facts(ANSWER.as_bytes()).expect("proper"), ("gpt-x".to_owned(), Some(usage)));
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
fn a_legacy_prompt_is_one_user_message() {
    for body in [r#"{"prompt":"hi","max_tokens":5}"#, r#"{"prompt":["hi"],"max_tokens":5}"#] {
        let (gist, words) = open(Dialect::OpenAiCompletion, body.as_bytes().to_vec()).expect("good");
        assert_eq!(gist.max_tokens, Some(5));
        let out = ask(Dialect::OpenAiChat, (&gist, &words), "m", None, &Defaults::default()).expect("asks");
        assert_eq!(
            String::from_utf8(out.body.into_vec()).expect("text"),
            r#"{"model":"m","messages":[{"role":"user","content":"hi"}],"max_tokens":5}"#
        );
    }
    for body in [r#"{"prompt":["a","b"]}"#, r#"{"prompt":[1,2]}"#, r#"{"prompt":null}"#, "{}"] {
        let invalid = open(Dialect::OpenAiCompletion, body.as_bytes().to_vec()).expect_err(body);
        assert_eq!(invalid.param.as_deref(), Some("prompt"));
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
