//! Requests read into the conversation they mean, and worded again.

use super::*;

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
