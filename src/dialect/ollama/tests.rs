//! One promise per row of the dialects' table, in both directions, whole and streamed.

use super::write::rfc3339;
use super::*;
use crate::dialect::ndjson::Lines;
use crate::dialect::{Complaint, Defaults, Sign, Wording};
use crate::domain::chat::*;
use crate::domain::failure::Fault;
use crate::domain::words::{Gist, Words};

const REQUEST: &str = include_str!("../../../tests/golden/ollama/request.json");
const TRANSLATED: &str = include_str!("../../../tests/golden/ollama/translated.json");
const ANSWER: &str = include_str!("../../../tests/golden/ollama/answer.json");
const STREAM: &str = include_str!("../../../tests/golden/ollama/stream.ndjson");
/// 2024-02-29T12:00:00Z.
const LEAP_DAY: u64 = 1_709_208_000;

fn text(text: &str) -> Part {
    Part::Text { text: text.to_owned(), cache_control: None }
}

fn hello() -> Chat {
    Chat { messages: vec![Message { role: Role::User, parts: vec![text("Hello")] }], ..Chat::default() }
}

fn encoded(chat: &Chat, model: &str) -> (String, Vec<String>) {
    let out =
        encode(chat, &Gist::default(), model, None, &Defaults::default()).expect("it can be translated");
    (String::from_utf8(out.body.into_vec()).expect("JSON is UTF-8"), out.dropped)
}

#[track_caller]
fn has(body: &str, part: &str) {
    assert!(body.contains(part), "{part}\nis not in\n{body}");
}

fn opened(body: &str) -> (Gist, Words) {
    open(body.as_bytes().to_vec()).expect("it is a request")
}

fn deltas(pieces: &[&[u8]]) -> (Vec<Delta>, bool) {
    let (mut lines, mut events, mut deltas, mut ended) = (Lines::new(), Events::new(None), Vec::new(), false);
    for piece in pieces {
        lines.feed(piece);
        while let Some(line) = lines.next().expect("no line is too long") {
            let line = std::str::from_utf8(line).expect("a whole line is whole UTF-8");
            ended |= events.read(None, line, &mut deltas).expect("a line") == Sign::End;
        }
    }
    (deltas, ended)
}

fn wording() -> Wording {
    Wording { model: "served".to_owned(), created: LEAP_DAY, ..Wording::default() }
}

fn expected_deltas(first_id: &str) -> Vec<Delta> {
    let call = |call, id: &str, name: &str| Delta::ToolCall {
        choice: 0,
        call,
        id: id.to_owned(),
        name: name.to_owned(),
    };
    let argued = |call, text: &str| Delta::Arguments { choice: 0, call, fragment: text.to_owned() };
    let said = |text: &str| Delta::Text { choice: 0, text: text.to_owned() };
    vec![
        Delta::Start { id: String::new(), model: "llama3.2".to_owned() },
        Delta::Reasoning { choice: 0, text: "Hmm.".to_owned(), signature: None },
        said("Hél"),
        said("lo"),
        call(0, first_id, "weather"),
        argued(0, "{\"city\":\"Oslo\"}"),
        call(1, "own", "time"),
        argued(1, "{}"),
        Delta::Finish { choice: 0, finish: Finish::ToolCalls },
        Delta::Usage(Usage { input: 26, output: 298, ..Usage::default() }),
    ]
}

#[test]
fn a_stream_means_the_same_wherever_the_bytes_are_split() {
    let bytes = STREAM.as_bytes();
    let expected = (expected_deltas("call_20240229120003123456_0"), true);
    for split in 0..=bytes.len() {
        assert_eq!(deltas(&[&bytes[..split], &bytes[split..]]), expected, "split at {split}");
    }
}

#[test]
fn a_stream_survives_the_way_through_the_domain() {
    let (mut writer, mut out) = (Writer::with(Form::Chat, wording()), Vec::new());
    let first = expected_deltas("call_20240229120003123456_0");
    for delta in &first {
        writer.delta(delta, &mut out);
    }
    writer.end(&mut out);
    writer.end(&mut out);
    assert_eq!(deltas(&[&out]), (first, true));
    let last = String::from_utf8(out).expect("JSON is UTF-8").lines().last().map(str::to_owned);
    let expected = r#"{"model":"llama3.2","created_at":"2024-02-29T12:00:00Z","message":{"role":"assistant","content":""},"done":true,"done_reason":"stop","total_duration":2,"load_duration":0,"prompt_eval_count":26,"prompt_eval_duration":1,"eval_count":298,"eval_duration":1}"#;
    assert_eq!(last.as_deref(), Some(expected));
}

#[test]
fn arguments_in_fragments_are_written_whole() {
    let (mut writer, mut out) = (Writer::with(Form::Chat, wording()), Vec::new());
    let call = Delta::ToolCall { choice: 0, call: 0, id: "a".to_owned(), name: "w".to_owned() };
    writer.delta(&call, &mut out);
    for fragment in ["{\"a\"", ":1}"] {
        assert!(out.is_empty());
        writer.delta(&Delta::Arguments { choice: 0, call: 0, fragment: fragment.to_owned() }, &mut out);
    }
    let line = String::from_utf8(out).expect("JSON is UTF-8");
    has(
        &line,
        r#""tool_calls":[{"id":"a","function":{"index":0,"name":"w","arguments":{"a":1}}}]},"done":false}"#,
    );
}

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
fn a_stream_that_passed_through_is_owed_nothing_after_its_last_line_and_that_line_before_it() {
    let lines: Vec<&str> = STREAM.lines().collect();
    for (count, owed) in [(lines.len(), false), (lines.len() - 1, true)] {
        let (mut writer, mut events, mut out) =
            (Writer::with(Form::Chat, wording()), Events::new(None), Vec::new());
        for line in &lines[..count] {
            let mut deltas = Vec::new();
            events.read(None, line, &mut deltas).expect("a line");
            writer.saw(&deltas);
        }
        writer.delta(&Delta::Start { id: String::new(), model: "other".to_owned() }, &mut out);
        writer.end(&mut out);
        assert_eq!(!out.is_empty(), owed);
        assert_eq!(String::from_utf8_lossy(&out).contains("\"done\":true"), owed);
    }
}

#[test]
fn a_failure_is_an_error_line_and_no_end_follows() {
    let complaint = Complaint {
        status: 502,
        kind: "api_error",
        message: "it broke".to_owned(),
        code: None,
        param: None,
        request_id: "r1".to_owned(),
        retry_after: None,
    };
    let (mut writer, mut out) = (Writer::with(Form::Chat, wording()), Vec::new());
    writer.keep_alive(&mut out);
    writer.failure(&complaint, &mut out);
    writer.end(&mut out);
    assert_eq!(out, b"{\"error\":\"it broke\"}\n");
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

mod generate {
    use super::super::*;
    use super::deltas;
    use crate::dialect::Wording;
    use crate::domain::chat::{Delta, Image, Part, Role};
    use crate::domain::failure::Fault;
    use crate::domain::words::Dialect;

    const BODY: &str = r#"{"model":"x","prompt":"Why?","system":"Be brief.","images":["/9j/AA"],"suffix":"","raw":false,"template":"t","options":{"num_predict":5,"mirostat":1},"keep_alive":"5m"}"#;

    #[test]
    fn a_prompt_is_a_conversation_of_one() {
        let (gist, words) = open_generate(BODY.as_bytes().to_vec()).expect("it opens");
        assert_eq!((gist.stream, gist.max_tokens, gist.model.as_deref()), (true, Some(5), Some("x")));
        let chat = decode_generate(&words).expect("it is understood");
        let roles: Vec<Role> = chat.messages.iter().map(|message| message.role).collect();
        assert_eq!(roles, [Role::System, Role::User]);
        let image = Image::Data { media_type: "image/jpeg".into(), base64: "/9j/AA".into() };
        assert_eq!(chat.messages[1].parts[1], Part::Image(image));
        assert_eq!(chat.unknown, ["template", "options.mirostat", "keep_alive"]);
    }

    #[test]
    fn to_an_ollama_it_goes_as_it_is() {
        let (_, words) = open_generate(BODY.as_bytes().to_vec()).expect("it opens");
        let outgoing = pass_generate(&words, "m");
        assert_eq!(outgoing.path, "/api/generate");
        assert_eq!(*outgoing.body.joined(), BODY.replace("\"x\"", "\"m\"").into_bytes()[..]);
    }

    #[test]
    fn what_no_conversation_can_say_is_passed_over_and_loading_is_refused() {
        for body in [r#"{"prompt":"x","raw":true}"#, r#"{"prompt":"x","suffix":"y"}"#] {
            let (_, words) = open_generate(body.as_bytes().to_vec()).expect(body);
            let failure = crate::dialect::raw::failure_of(decode_generate(&words).expect_err(body));
            assert_eq!(failure.fault, Fault::Untranslatable, "{body}");
        }
        for body in [r#"{"model":"x"}"#, r#"{"model":"x","prompt":""}"#] {
            let invalid = open_generate(body.as_bytes().to_vec()).expect_err(body);
            assert_eq!(invalid.param.as_deref(), Some("prompt"), "{body}");
        }
    }

    #[test]
    fn a_stream_of_responses_survives_the_way_through_the_domain() {
        let bytes = concat!(
            r#"{"model":"x","created_at":"2024-02-29T12:00:00Z","response":"","thinking":"Hm.","done":false}"#,
            "\n",
            r#"{"model":"x","created_at":"2024-02-29T12:00:00Z","response":"Be","done":false}"#,
            "\n",
            r#"{"model":"x","created_at":"2024-02-29T12:00:00Z","response":"cause","done":true,"done_reason":"length","prompt_eval_count":2,"eval_count":3}"#,
            "\n",
        );
        let (first, ended) = deltas(&[bytes.as_bytes()]);
        assert!(ended && first.contains(&Delta::Text { choice: 0, text: "cause".into() }), "{first:?}");
        let wording = Wording { created: super::LEAP_DAY, ..Wording::default() };
        let (mut writer, mut out) = (Writer::with(Form::Generate, wording), Vec::new());
        first.iter().for_each(|delta| writer.delta(delta, &mut out));
        writer.end(&mut out);
        let text = String::from_utf8(out.clone()).expect("JSON is UTF-8");
        assert!(text.starts_with(r#"{"model":"x","created_at":"2024-02-29T12:00:00Z","response":"","thinking":"Hm.","done":false}"#), "{text}");
        assert_eq!(deltas(&[&out]), (first, true));
    }

    #[test]
    fn a_whole_response_passes_and_is_checked() {
        let body =
            br#"{"model":"x","response":"Because","done":true,"done_reason":"stop","prompt_eval_count":2}"#;
        let answer =
            crate::dialect::read_answer(Dialect::Ollama, Dialect::OllamaGenerate, body.to_vec(), None)
                .expect("it is an answer");
        assert_eq!(crate::dialect::write_answer(Dialect::OllamaGenerate, &answer, &Wording::default()), body);
        for (body, fault) in [
            (r#"{"model":"x","response":"","done":true}"#, Fault::Empty),
            (r#"{"model":"x","response":"a","done":false}"#, Fault::Truncated),
            (r#"{"model":"x","done":true}"#, Fault::Garbage),
        ] {
            assert_eq!(facts(body.as_bytes()).expect_err(body).fault, fault, "{body}");
        }
    }
}
