//! What becomes of a question: read from callers, put to the vendor.

use super::*;

#[test]
fn a_request_survives_the_way_through_the_domain() {
    let (gist, words) = opened(REQUEST);
    let chat = decode(&words).expect("it can be read");
    let keep_alive = Some("5m".to_owned());
    let defaults = Defaults { num_ctx: Some(8192), keep_alive, ..Defaults::default() };
    let out = encode(&chat, &gist, "llama3.2", None, &defaults).expect("it can be translated");
    assert_eq!(String::from_utf8_lossy(&out.body.joined()), TRANSLATED.trim());
    assert!(out.dropped.is_empty());
}

#[test]
fn the_door_names_the_field_and_an_answer_is_a_stream_unless_said_otherwise() {
    let rows = [
        ("[]", None),
        ("{}", Some("messages")),
        (r#"{"messages":[]}"#, Some("messages")),
        (r#"{"messages":["x"]}"#, Some("messages[0]")),
        (r#"{"messages":[{"role":"bot"}]}"#, Some("messages[0].role")),
        (r#"{"messages":[{"role":"user","content":[]}]}"#, Some("messages[0].content")),
        (r#"{"model":[]}"#, Some("model")),
        (r#"{"stream":1}"#, Some("stream")),
        (r#"{"options":{"num_predict":"x"}}"#, Some("options.num_predict")),
    ];
    for (body, param) in rows {
        let invalid = open(body.as_bytes().to_vec()).expect_err(body);
        assert_eq!(invalid.param.as_deref(), param, "{body}");
    }
    let (gist, _) = opened(r#"{"model":"m","messages":[{"role":"user","content":"q"}]}"#);
    assert!(gist.stream);
    let (gist, words) = opened(REQUEST);
    assert_eq!((gist.model.as_deref(), gist.stream, gist.max_tokens), (Some("llama3.2"), false, Some(100)));
    assert_eq!(&REQUEST[words.marks.model.expect("it is marked")], "\"llama3.2\"");
}

#[test]
fn the_same_dialect_changes_nothing_but_the_model() {
    let (gist, words) = opened(REQUEST);
    let out = pass(&words, &gist, "qwen3", None).expect("it passes");
    assert_eq!(String::from_utf8_lossy(&out.body.joined()), REQUEST.replace("\"llama3.2\"", "\"qwen3\""));
    let (gist, words) = opened(r#"{"messages":[{"role":"user","content":"q"}] , "model":"m"}"#);
    let out = pass(&words, &gist, "n", Some("Once ")).expect("it passes");
    let expected = r#"{"messages":[{"role":"user","content":"q"},{"role":"assistant","content":"Once "}] , "model":"n"}"#;
    assert_eq!(String::from_utf8_lossy(&out.body.joined()), expected);
}

#[test]
fn a_stream_or_none_is_said_explicitly_and_a_beginning_is_put_last() {
    for stream in [true, false] {
        let gist = Gist { stream, ..Gist::default() };
        let out =
            encode(&hello(), &gist, "m", Some("Once "), &Defaults::default()).expect("it can be translated");
        let expected = format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":"Hello"}},{{"role":"assistant","content":"Once "}}],"stream":{stream}}}"#
        );
        assert_eq!(String::from_utf8_lossy(&out.body.joined()), expected);
    }
}

#[test]
fn an_image_by_address_cannot_be_translated() {
    let mut chat = hello();
    chat.messages[0].parts.push(Part::Image(Image::Url("https://example.com/a.png".to_owned())));
    let failure = encode(&chat, &Gist::default(), "m", None, &Defaults::default()).expect_err("an address");
    assert_eq!(failure.fault, Fault::Untranslatable);
}

#[test]
fn thinking_is_a_switch_and_a_level_where_the_model_knows_levels() {
    let rows = [
        (Reasoning::Effort("high".to_owned()), "qwen3", r#""think":true"#),
        (Reasoning::Effort("none".to_owned()), "qwen3", r#""think":false"#),
        (Reasoning::Off, "qwen3", r#""think":false"#),
        (Reasoning::Budget(5000), "qwen3", r#""think":true"#),
        (Reasoning::Effort("minimal".to_owned()), "gpt-oss:20b", r#""think":"low""#),
        (Reasoning::Budget(5000), "gpt-oss:20b", r#""think":"medium""#),
        (Reasoning::Off, "gpt-oss:20b", r#""think":"low""#),
    ];
    for (reasoning, model, expected) in rows {
        has(&encoded(&Chat { reasoning: Some(reasoning), ..hello() }, model).0, expected);
    }
}

#[test]
fn formats_are_the_vendors_own() {
    has(&encoded(&Chat { format: Some(Format::JsonObject), ..hello() }, "m").0, r#""format":"json""#);
    let schema = r#"{"type":"object"}"#.to_owned();
    let format = Some(Format::JsonSchema { name: None, schema, strict: Some(true) });
    has(&encoded(&Chat { format, ..hello() }, "m").0, r#""format":{"type":"object"}"#);
}

#[test]
fn what_has_no_place_is_dropped_and_named() {
    let tool = Tool { name: "w".to_owned(), description: None, parameters: None, strict: None };
    let chat = Chat {
        tools: vec![tool],
        tool_choice: Some(ToolChoice::Required),
        parallel_tool_calls: Some(false),
        user: Some("u".to_owned()),
        unknown: vec!["logprobs".to_owned()],
        ..hello()
    };
    let (body, dropped) = encoded(&chat, "m");
    has(&body, r#""tools":[{"type":"function","function":{"name":"w","#);
    assert_eq!(dropped, ["tool_choice", "parallel_tool_calls", "user", "logprobs"]);
    let (body, _) = encoded(&Chat { tool_choice: Some(ToolChoice::None), ..chat }, "m");
    assert!(!body.contains("tools"));
}

#[test]
fn what_a_caller_says_only_to_this_vendor_is_named() {
    let body = r#"{"messages":[{"role":"user","content":"q"}],"keep_alive":-1,"think":"low","format":"json","options":{"num_ctx":1,"num_predict":-1,"stop":"x"}}"#;
    let chat = decode(&opened(body).1).expect("it can be read");
    assert_eq!(chat.unknown, ["keep_alive", "options.num_ctx"]);
    assert_eq!(chat.reasoning, Some(Reasoning::Effort("low".to_owned())));
    assert_eq!(
        (chat.format, chat.max_tokens, chat.stop),
        (Some(Format::JsonObject), None, vec!["x".to_owned()])
    );
}

#[test]
fn a_result_of_no_call_is_refused() {
    let body = r#"{"messages":[{"role":"tool","content":"x"}]}"#;
    let invalid = decode(&opened(body).1).expect_err("nothing was called");
    assert_eq!(invalid.param.as_deref(), Some("messages[0]"));
}
