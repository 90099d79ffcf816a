//! One promise per row of the dialects' table, in both directions, whole and streamed.

use super::*;
use crate::dialect::{Complaint, Defaults, Sign, Wording};
use crate::domain::chat::*;
use crate::domain::failure::Fault;
use crate::domain::quirks::Quirks;
use crate::domain::words::Gist;

const REQUEST: &str = include_str!("../../../tests/golden/anthropic/request.json");
const TRANSLATED: &str = include_str!("../../../tests/golden/anthropic/translated.json");
const ANSWER: &str = include_str!("../../../tests/golden/anthropic/answer.json");
const STREAM: &str = include_str!("../../../tests/golden/anthropic/stream.sse");
const CLASSIC: &str = "claude-sonnet-4-5";

fn text(text: &str) -> Part {
    Part::Text { text: text.to_owned(), cache_control: None }
}

fn says(role: Role, parts: Vec<Part>) -> Message {
    Message { role, parts }
}

fn call(id: &str, arguments: &str) -> Part {
    Part::ToolCall(ToolCall {
        id: id.to_owned(),
        name: "weather".to_owned(),
        arguments: arguments.to_owned(),
    })
}

fn result(id: &str, content: &str) -> Part {
    Part::ToolResult { call_id: id.to_owned(), content: content.to_owned(), is_error: false }
}

fn tool() -> Tool {
    Tool { name: "weather".to_owned(), description: None, parameters: None, strict: None }
}

fn hello() -> Chat {
    Chat { messages: vec![says(Role::User, vec![text("Hello")])], ..Chat::default() }
}

fn schema() -> Option<Format> {
    let schema = r#"{"type":"object"}"#.to_owned();
    Some(Format::JsonSchema { name: None, schema, strict: None })
}

fn encoded(chat: &Chat, model: &str) -> (String, Vec<String>) {
    let out =
        encode(chat, &Gist::default(), model, None, &Defaults::default()).expect("it can be translated");
    (String::from_utf8(out.body.into_vec()).expect("JSON is UTF-8"), out.dropped)
}

fn continued(chat: &Chat, model: &str) -> String {
    let out = encode(chat, &Gist::default(), model, Some("Once upon "), &Defaults::default());
    String::from_utf8(out.expect("it can be translated").body.into_vec()).expect("JSON is UTF-8")
}

#[track_caller]
fn has(body: &str, part: &str) {
    assert!(body.contains(part), "{part}\nis not in\n{body}");
}

#[track_caller]
fn lacks(body: &str, part: &str) {
    assert!(!body.contains(part), "{part}\nis in\n{body}");
}

fn deltas(stream: &str, unwrap_tool: Option<&str>) -> (Vec<Delta>, bool) {
    let (mut events, mut deltas, mut ended) = (Events::new(unwrap_tool), Vec::new(), false);
    for data in stream.lines().filter_map(|line| line.strip_prefix("data: ")) {
        ended |= events.read(None, data, &mut deltas).expect("an event") == Sign::End;
    }
    (deltas, ended)
}

fn wording() -> Wording {
    Wording { request_id: "r1".to_owned(), model: "served".to_owned(), ..Wording::default() }
}

fn written(deltas: &[Delta]) -> String {
    let (mut writer, mut out) = (Writer::new(wording()), Vec::new());
    for delta in deltas {
        writer.delta(delta, &mut out);
    }
    writer.end(&mut out);
    String::from_utf8(out).expect("JSON is UTF-8")
}

fn opened(body: &str) -> (Gist, crate::domain::words::Words) {
    open(body.as_bytes().to_vec()).expect("it is a request")
}

#[test]
fn a_request_survives_the_way_through_the_domain() {
    let (gist, words) = opened(REQUEST);
    let chat = decode(&words).expect("it can be read");
    let out = encode(&chat, &gist, CLASSIC, None, &Defaults::default()).expect("it can be translated");
    assert_eq!(String::from_utf8_lossy(&out.body.joined()), TRANSLATED.trim());
    assert!(out.dropped.is_empty());
}

#[test]
fn an_answer_survives_the_way_through_the_domain() {
    let answer = read_answer(ANSWER.as_bytes(), None).expect("it is an answer");
    let usage = Usage { input: 38, cached: 10, cache_write: 3, output: 89, ..Usage::default() };
    assert_eq!(answer.usage, Some(usage));
    let body = write_answer(&answer, &wording());
    assert_eq!(String::from_utf8_lossy(&body), ANSWER.trim());
    assert_eq!(facts(ANSWER.as_bytes()).expect("it is an answer"), (CLASSIC.to_owned(), Some(usage)));
}

#[test]
fn a_stream_means_what_it_says_and_its_counts_are_cumulative() {
    let (deltas, ended) = deltas(STREAM, None);
    let start = Usage { input: 38, cached: 10, cache_write: 3, output: 1, ..Usage::default() };
    let thought = |text: &str, signature: Option<&str>| Delta::Reasoning {
        choice: 0,
        text: text.to_owned(),
        signature: signature.map(str::to_owned),
    };
    let said = |text: &str| Delta::Text { choice: 0, text: text.to_owned() };
    let argued = |text: &str| Delta::Arguments { choice: 0, call: 0, fragment: text.to_owned() };
    let expected = vec![
        Delta::Start { id: "msg_01".to_owned(), model: CLASSIC.to_owned() },
        Delta::Usage(start),
        thought("Hmm.", None),
        thought("", Some("c2ln")),
        said("Hél"),
        said("lo"),
        Delta::ToolCall { choice: 0, call: 0, id: "toolu_1".to_owned(), name: "weather".to_owned() },
        argued("{\"city\":"),
        argued("\"Oslo\"}"),
        Delta::Finish { choice: 0, finish: Finish::ToolCalls },
        Delta::Usage(Usage { output: 89, ..start }),
    ];
    assert_eq!(deltas, expected);
    assert!(ended);
}

#[test]
fn a_stream_survives_the_way_through_the_domain() {
    let stream = written(&deltas(STREAM, None).0);
    assert_eq!(deltas(&stream, None).0, deltas(STREAM, None).0);
    let names: Vec<&str> = stream.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let expected: Vec<&str> = STREAM
        .lines()
        .filter_map(|line| line.strip_prefix("event: "))
        .filter(|name| *name != "ping")
        .collect();
    // The empty fragment of arguments means nothing and is not repeated.
    assert_eq!(names.len(), expected.len() - 1);
    assert_eq!((names[0], names[names.len() - 1]), ("message_start", "message_stop"));
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
    has(&body, r#""thinking":{"type":"adaptive"},"output_config":{"effort":"low"}"#);
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
fn an_error_event_ends_the_stream_and_garbage_does_not() {
    let (mut events, mut deltas) = (Events::new(None), Vec::new());
    assert_eq!(events.read(None, "{oops", &mut deltas).expect_err("garbage").fault, Fault::Garbage);
    assert_eq!(events.read(None, r#"{"type":"new_thing"}"#, &mut deltas).expect("unknown"), Sign::More);
    let data = r#"{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}"#;
    let failure = events.read(Some("error"), data, &mut deltas).expect_err("an error");
    assert_eq!((failure.fault, failure.code.as_deref()), (Fault::ErrorInBody, Some("overloaded_error")));
    assert!(deltas.is_empty());
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
fn a_translation_goes_on_where_frames_passed_through_left_off() {
    let mut writer = Writer::new(wording());
    let mut events = Events::new(None);
    // Cut in the middle of the first text.
    for frame in STREAM.split_inclusive("\n\n").take(8) {
        let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
        let mut deltas = Vec::new();
        events.read(None, data, &mut deltas).expect("an event");
        writer.saw(&deltas);
    }
    let mut out = Vec::new();
    writer.delta(&Delta::Start { id: "msg_02".to_owned(), model: "other".to_owned() }, &mut out);
    writer.delta(&Delta::Text { choice: 0, text: "lo".to_owned() }, &mut out);
    writer.delta(&Delta::Finish { choice: 0, finish: Finish::Stop }, &mut out);
    writer.end(&mut out);
    let out = String::from_utf8(out).expect("JSON is UTF-8");
    lacks(&out, "message_start");
    assert!(
        out.starts_with("event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":1,")
    );
    has(&out, r#"{"type":"content_block_stop","index":1}"#);
    assert!(out.ends_with("event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"));
}

#[test]
fn block_boundaries_are_seen_in_frames_passed_through() {
    let mut writer = Writer::new(wording());
    let mut events = Events::new(None);
    // Cut after the first block stopped: its end is the caller's already.
    for frame in STREAM.split_inclusive("\n\n").take(6) {
        let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
        let mut deltas = Vec::new();
        events.read(None, data, &mut deltas).expect("an event");
        writer.saw_verbatim(frame.as_bytes(), &deltas);
    }
    let mut out = Vec::new();
    writer.delta(&Delta::Text { choice: 0, text: "lo".to_owned() }, &mut out);
    let out = String::from_utf8(out).expect("JSON is UTF-8");
    assert!(
        out.starts_with("event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":1,"),
        "{out}"
    );
}

#[test]
fn a_stream_that_passed_through_to_its_end_is_owed_nothing_and_without_its_last_frame_only_that() {
    let whole: Vec<&str> = STREAM.split_inclusive("\n\n").collect();
    for (frames, owed) in [(whole.len(), ""), (whole.len() - 1, "event: message_stop")] {
        let (mut writer, mut events, mut out) = (Writer::new(wording()), Events::new(None), Vec::new());
        for frame in &whole[..frames] {
            let data = frame.lines().find_map(|line| line.strip_prefix("data: ")).expect("a data line");
            let mut deltas = Vec::new();
            events.read(None, data, &mut deltas).expect("an event");
            writer.saw(&deltas);
        }
        writer.end(&mut out);
        assert_eq!(String::from_utf8_lossy(&out).lines().next().unwrap_or(""), owed);
    }
}

#[test]
fn a_failure_is_an_error_event_and_no_end_follows() {
    let complaint = Complaint {
        status: 502,
        kind: "api_error",
        message: "it \"broke\"".to_owned(),
        code: None,
        param: None,
        request_id: "r1".to_owned(),
        retry_after: None,
    };
    let (mut writer, mut out) = (Writer::new(wording()), Vec::new());
    writer.keep_alive(&mut out);
    writer.failure(&complaint, &mut out);
    writer.end(&mut out);
    let expected = concat!(
        "event: ping\ndata: {\"type\":\"ping\"}\n\n",
        "event: error\ndata: {\"type\":\"error\",\"error\":{\"type\":\"api_error\",\"message\":\"it \\\"broke\\\"\"},\"request_id\":\"r1\"}\n\n",
    );
    assert_eq!(String::from_utf8_lossy(&out), expected);
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
