//! What becomes of a question: read from callers, put to the vendor.

use super::*;

#[test]
fn a_request_survives_the_way_through_the_domain() {
    let (gist, words) = opened(REQUEST);
    let chat = decode(&words).expect("it can be read");
    let asked = |model: &str| {
        let out = encode(&chat, &gist, model, None, &Defaults::default()).expect("it can be translated");
        assert!(out.dropped.is_empty());
        String::from_utf8(out.body.into_vec()).expect("JSON is UTF-8")
    };
    let translated = TRANSLATED.trim().replace(CLASSIC, "claude-opus-4-6");
    assert_eq!(asked("claude-opus-4-6"), translated);
    // One that is told a budget refuses its thoughts while it does not think.
    lacks(&asked(CLASSIC), "thinking");
    has(&asked(CLASSIC), r#"[{"type":"text","text":"Let me look."},{"type":"tool_use","id":"toolu_1""#);
}

#[test]
fn instructions_are_collected_in_order_and_tool_results_come_first() {
    let messages = vec![
        says(Role::System, vec![text("one")]),
        says(Role::User, vec![text("q")]),
        says(Role::System, vec![text("two")]),
        says(Role::Assistant, vec![call("a.1", ""), call("b", "{}")]),
        says(Role::Tool, vec![result("a.1", "x")]),
        says(Role::User, vec![text("and?")]),
        says(Role::Tool, vec![result("b", "y")]),
    ];
    let (body, _) = encoded(&Chat { messages, ..Chat::default() }, CLASSIC);
    has(&body, r#""system":[{"type":"text","text":"one"},{"type":"text","text":"two"}]"#);
    has(&body, r#"{"type":"tool_use","id":"a_1","name":"weather","input":{}}"#);
    has(
        &body,
        r#"{"role":"user","content":[{"type":"tool_result","tool_use_id":"a_1","content":"x"},{"type":"tool_result","tool_use_id":"b","content":"y"},{"type":"text","text":"and?"}]}"#,
    );
}

#[test]
fn messages_of_one_side_are_one_and_the_person_speaks_first() {
    let messages = vec![
        says(Role::Assistant, vec![text("hi")]),
        says(Role::User, vec![text("a")]),
        says(Role::User, vec![text("b"), text(" ")]),
    ];
    let (body, _) = encoded(&Chat { messages, ..Chat::default() }, CLASSIC);
    has(
        &body,
        r#""messages":[{"role":"user","content":[{"type":"text","text":"Begin."}]},{"role":"assistant","content":[{"type":"text","text":"hi"}]},{"role":"user","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]}]"#,
    );
    let alone = Chat { messages: vec![says(Role::System, vec![text("s")])], ..Chat::default() };
    has(
        &encoded(&alone, CLASSIC).0,
        r#""messages":[{"role":"user","content":[{"type":"text","text":"s"}]}]"#,
    );
}

#[test]
fn arguments_that_are_no_object_are_the_callers_mistake() {
    let messages = vec![says(Role::User, vec![text("q")]), says(Role::Assistant, vec![call("a", "{oops")])];
    let chat = Chat { messages, ..Chat::default() };
    let failure = encode(&chat, &Gist::default(), CLASSIC, None, &Defaults::default()).expect_err("no JSON");
    assert_eq!(
        (failure.fault, failure.param.as_deref()),
        (Fault::BadRequest, Some("messages[1].tool_calls"))
    );
}

#[test]
fn the_bound_on_output_is_the_callers_else_the_configured_one_else_4096() {
    let of = |chat: &Chat, max_tokens| {
        let defaults = Defaults { max_tokens, ..Defaults::default() };
        let out = encode(chat, &Gist::default(), CLASSIC, None, &defaults).expect("it can be translated");
        String::from_utf8(out.body.into_vec()).expect("JSON is UTF-8")
    };
    has(&of(&Chat { max_tokens: Some(7), ..hello() }, 100), r#""max_tokens":7,"#);
    has(&of(&hello(), 100), r#""max_tokens":100,"#);
    has(&of(&hello(), 0), r#""max_tokens":4096,"#);
}

#[test]
fn tool_choice_is_mapped() {
    let rows = [
        (Some(ToolChoice::None), None, r#""tool_choice":{"type":"none"}"#),
        (Some(ToolChoice::Auto), None, r#""tool_choice":{"type":"auto"}"#),
        (Some(ToolChoice::Required), None, r#""tool_choice":{"type":"any"}"#),
        (Some(ToolChoice::Named("w".to_owned())), None, r#""tool_choice":{"type":"tool","name":"w"}"#),
        (None, Some(false), r#""tool_choice":{"type":"auto","disable_parallel_tool_use":true}"#),
    ];
    for (tool_choice, parallel_tool_calls, expected) in rows {
        let chat = Chat { tools: vec![tool()], tool_choice, parallel_tool_calls, ..hello() };
        has(&encoded(&chat, CLASSIC).0, expected);
    }
    lacks(&encoded(&Chat { tools: vec![tool()], ..hello() }, CLASSIC).0, "tool_choice");
    has(&encoded(&Chat { tools: vec![tool()], ..hello() }, CLASSIC).0, r#""input_schema":{"type":"object","#);
}

#[test]
fn reasoning_becomes_what_the_model_knows() {
    let effort = |word: &str| Some(Reasoning::Effort(word.to_owned()));
    let chat = Chat { reasoning: effort("low"), temperature: Some(0.2), max_tokens: Some(8000), ..hello() };
    let (body, dropped) = encoded(&chat, CLASSIC);
    has(&body, r#""thinking":{"type":"enabled","budget_tokens":2048}"#);
    has(&body, r#""temperature":1.0"#);
    assert_eq!(dropped, ["temperature"]);
    let (body, dropped) = encoded(&chat, "claude-opus-4-7");
    has(&body, r#""thinking":{"type":"adaptive","display":"summarized"},"output_config":{"effort":"low"}"#);
    has(&encoded(&chat, "claude-opus-4-6").0, r#""thinking":{"type":"adaptive"},"output_config""#);
    lacks(&body, r#""temperature":"#);
    assert_eq!(dropped, ["temperature"]);
    let (body, dropped) = encoded(&Chat { temperature: None, ..chat.clone() }, "claude-3-haiku-20240307");
    lacks(&body, "thinking");
    assert_eq!(dropped, ["reasoning_effort"]);
    let (body, dropped) =
        encoded(&Chat { max_tokens: Some(1024), temperature: None, ..chat.clone() }, CLASSIC);
    lacks(&body, "thinking");
    assert_eq!(dropped, ["reasoning_effort"]);
    let forced = Chat { tools: vec![tool()], tool_choice: Some(ToolChoice::Required), ..chat };
    let (body, dropped) = encoded(&forced, CLASSIC);
    lacks(&body, "thinking");
    has(&body, r#""temperature":0.2"#);
    assert_eq!(dropped, ["reasoning_effort"]);
}

#[test]
fn a_turn_with_tools_goes_on_with_thinking_only_when_it_began_with_it() {
    let thought =
        |signature: &str| Part::Reasoning { text: "hm".to_owned(), signature: Some(signature.to_owned()) };
    let person = |words: &str| says(Role::User, vec![text(words)]);
    let tools = says(Role::Tool, vec![result("a", "1")]);
    let calls = says(Role::Assistant, vec![call("a", "{}")]);
    let own = says(Role::Assistant, vec![thought("sig"), call("a", "{}")]);
    let others = says(Role::Assistant, vec![thought("gemini:x"), call("a", "{}")]);
    let answer = says(Role::Assistant, vec![text("b")]);
    let q = person("q");
    let rows = [
        (vec![&q, &calls, &tools], false),
        (vec![&q, &own, &tools], true),
        (vec![&q, &others, &tools], false),
        (vec![&q, &own, &tools, &calls, &tools], true),
        (vec![&q, &calls, &tools, &own, &tools], false),
        (vec![&q, &calls, &tools, &q], false),
        (vec![&q, &calls, &tools, &answer, &q], true),
        (vec![&q, &answer, &q], true),
    ];
    for (messages, thinks) in rows {
        let messages: Vec<Message> = messages.into_iter().cloned().collect();
        let reasoning = Some(Reasoning::Effort("low".to_owned()));
        let chat =
            Chat { messages, reasoning, tools: vec![tool()], max_tokens: Some(8000), ..Chat::default() };
        let (body, dropped) = encoded(&chat, CLASSIC);
        assert_eq!((body.contains("budget_tokens"), dropped.is_empty()), (thinks, thinks), "{body}");
        has(&encoded(&chat, "claude-opus-4-6").0, r#""thinking":{"type":"adaptive"}"#);
    }
}

#[test]
fn a_schema_is_a_forced_tool_and_its_call_is_the_answer() {
    let chat = Chat { format: schema(), ..hello() };
    let out =
        encode(&chat, &Gist::default(), CLASSIC, None, &Defaults::default()).expect("it can be translated");
    let body = String::from_utf8(out.body.into_vec()).expect("JSON is UTF-8");
    let name = out.unwrap_tool.expect("there is a tool to unwrap");
    has(&body, r#""tool_choice":{"type":"tool","name":"hapax_answer","disable_parallel_tool_use":true}"#);
    let (body, _) = encoded(&Chat { tools: vec![tool()], ..chat.clone() }, CLASSIC);
    has(&body, r#""tool_choice":{"type":"any","disable_parallel_tool_use":true}"#);
    let (body, _) = encoded(&chat, "claude-mythos-preview");
    has(&body, r#""output_config":{"format":{"type":"json_schema","schema":{"type":"object"}}}"#);

    let stream = STREAM.replace("\"name\":\"weather\"", &format!("\"name\":\"{name}\""));
    let (deltas, _) = deltas(&stream, Some(name));
    assert!(deltas.contains(&Delta::Text { choice: 0, text: "{\"city\":".to_owned() }));
    assert!(deltas.contains(&Delta::Finish { choice: 0, finish: Finish::Stop }));
    assert!(!deltas.iter().any(|delta| matches!(delta, Delta::ToolCall { .. } | Delta::Arguments { .. })));

    let whole = ANSWER.replace("\"name\":\"weather\"", &format!("\"name\":\"{name}\""));
    let answer = read_answer(whole.as_bytes(), Some(name)).expect("it is an answer");
    let Content::Said { choices, .. } = answer.content else { panic!("translated") };
    assert_eq!(choices[0].finish, Finish::Stop);
    assert_eq!(choices[0].parts[1..], [text("{\"city\":\"Oslo\"}")]);
}

#[test]
fn any_json_is_asked_for_in_words() {
    has(&encoded(&Chat { format: Some(Format::JsonObject), ..hello() }, CLASSIC).0, "single JSON object");
}

#[test]
fn what_has_no_place_is_dropped_and_named() {
    let chat = Chat {
        temperature: Some(1.7),
        top_p: Some(0.5),
        stop: vec![" \n".to_owned(), "END".to_owned()],
        seed: Some(1),
        presence_penalty: Some(0.0),
        frequency_penalty: Some(0.5),
        unknown: vec!["logprobs".to_owned()],
        ..hello()
    };
    let (body, dropped) = encoded(&chat, "claude-3-5-sonnet-20241022");
    has(&body, r#""temperature":1.0,"top_p":0.5,"stop_sequences":["END"]"#);
    assert_eq!(dropped, ["temperature", "stop", "seed", "frequency_penalty", "logprobs"]);
    let (body, dropped) = encoded(&chat, CLASSIC);
    lacks(&body, "top_p");
    assert_eq!(dropped[..2], ["temperature", "top_p"]);
}

#[test]
fn a_beginning_is_continued_as_the_model_accepts_it() {
    has(
        &continued(&hello(), CLASSIC),
        r#"{"role":"assistant","content":[{"type":"text","text":"Once upon"}]}]"#,
    );
    let asked = r#"{"role":"assistant","content":[{"type":"text","text":"Once upon "}]},{"role":"user","content":[{"type":"text","text":"Your answer was cut off."#;
    has(&continued(&hello(), "claude-opus-4-6"), asked);
    let thinking = Chat { reasoning: Some(Reasoning::Budget(2000)), max_tokens: Some(8000), ..hello() };
    has(&continued(&thinking, CLASSIC), asked);
}

#[test]
fn the_same_dialect_changes_nothing_but_the_model() {
    let (gist, words) = opened(REQUEST);
    let out = pass(&words, &gist, ("claude-x", &Quirks::default()), None).expect("it passes");
    let expected = REQUEST.replace("\"model\":\"claude-sonnet-4-5\"", "\"model\":\"claude-x\"");
    assert_eq!(String::from_utf8_lossy(&out.body.joined()), expected);
    let nameless = r#" {"messages":[{"role":"user","content":"q"}],"max_tokens":1}"#;
    let (gist, words) = opened(nameless);
    let out =
        pass(&words, &gist, ("claude-3-haiku", &Quirks::default()), Some("Once \n")).expect("it passes");
    let expected = r#" {"model":"claude-3-haiku","messages":[{"role":"user","content":"q"},{"role":"assistant","content":"Once"}],"max_tokens":1}"#;
    assert_eq!(String::from_utf8_lossy(&out.body.joined()), expected);
    let out = pass(&words, &gist, ("claude-opus-4-7", &Quirks::default()), Some("Once")).expect("it passes");
    has(
        &String::from_utf8_lossy(&out.body.joined()),
        r#","content":"Once"},{"role":"user","content":"Your answer"#,
    );
    let thinking =
        nameless.replace("\"max_tokens\":1", "\"max_tokens\":1,\"thinking\":{\"type\":\"enabled\"}");
    let (gist, words) = opened(&thinking);
    let out =
        pass(&words, &gist, ("claude-3-7-sonnet", &Quirks::default()), Some("Once")).expect("it passes");
    has(&String::from_utf8_lossy(&out.body.joined()), "Your answer was cut off");
}

#[test]
fn the_door_names_the_field() {
    let rows = [
        ("[]", None),
        ("{", None),
        (r#"{"max_tokens":1}"#, Some("messages")),
        (r#"{"messages":[],"max_tokens":1}"#, Some("messages")),
        (r#"{"messages":{},"max_tokens":1}"#, Some("messages")),
        (r#"{"messages":[1],"max_tokens":1}"#, Some("messages[0]")),
        (
            r#"{"messages":[{"role":"user","content":""},{"role":"bot","content":""}]}"#,
            Some("messages[1].role"),
        ),
        (r#"{"messages":[{"role":"user"}]}"#, Some("messages[0].content")),
        (r#"{"messages":[{"role":"user","content":""}]}"#, Some("max_tokens")),
        (r#"{"max_tokens":0}"#, Some("max_tokens")),
        (r#"{"max_tokens":"1"}"#, Some("max_tokens")),
        (r#"{"model":1}"#, Some("model")),
        (r#"{"stream":"yes"}"#, Some("stream")),
    ];
    for (body, param) in rows {
        let invalid = open(body.as_bytes().to_vec()).expect_err(body);
        assert_eq!(invalid.param.as_deref(), param, "{body}");
    }
    assert!(open(b"{\"a\":\"\xff\"}".to_vec()).is_err());
    let (gist, words) = opened(REQUEST);
    assert_eq!((gist.model.as_deref(), gist.stream, gist.max_tokens), (Some(CLASSIC), true, Some(1000)));
    assert_eq!(&REQUEST[words.marks.model.expect("it is marked")], "\"claude-sonnet-4-5\"");
}

#[test]
fn what_only_this_vendor_knows_is_named_or_said_to_have_no_equivalent() {
    let body = r#"{"messages":[{"role":"user","content":"q"}],"max_tokens":9,"tools":[{"type":"web_search_20250305","name":"web_search"}],"service_tier":"auto","thinking":{"type":"adaptive"},"output_config":{"effort":"low"}}"#;
    let chat = decode(&opened(body).1).expect("it can be read");
    assert_eq!(chat.unknown, ["tools.web_search_20250305", "service_tier"]);
    assert_eq!(chat.reasoning, Some(Reasoning::Effort("low".to_owned())));
    let body = r#"{"messages":[{"role":"user","content":[{"type":"document","source":{"type":"base64","data":"x"}}]}],"max_tokens":9}"#;
    let invalid = decode(&opened(body).1).expect_err("a PDF");
    assert_eq!(invalid.param.as_deref(), Some("messages[0].content[0].source.type"));
    assert_eq!(crate::dialect::raw::failure_of(invalid).fault, Fault::Untranslatable);
}
