//! The public face from end to end: streams in, streams out.

use super::*;
use crate::domain::chat::{Delta, Finish, Frame};

fn chunk(delta: &str, finish: &str) -> String {
    format!(
        "data: {{\"id\":\"i\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"finish_reason\":{finish}}}]}}\n\n"
    )
}

const USAGE: &str =
    "data: {\"id\":\"i\",\"choices\":[],\"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2}}\n\n";
const DONE: &str = "data: [DONE]\n\n";

fn stream() -> Vec<String> {
    vec![
        chunk(r#"{"role":"assistant","content":""}"#, "null"),
        chunk(r#"{"content":"grüß "}"#, "null"),
        chunk(r#"{"content":"😀"}"#, "null"),
        chunk("{}", "\"stop\""),
    ]
}

fn frames(reader: &mut Reader, bytes: &[u8]) -> Vec<Frame> {
    reader.feed(bytes);
    let mut frames = Vec::new();
    while let Some(frame) = reader.next().expect("a good stream") {
        frames.push(frame);
    }
    frames
}

fn same() -> Reader {
    Reader::new(Dialect::OpenAiChat, Dialect::OpenAiChat, None)
}

fn to_hapax() -> Reader {
    Reader::new(Dialect::OpenAiChat, Dialect::Hapax, None)
}

fn written(caller: Dialect, include_usage: bool, frames: &[Frame]) -> String {
    let wording = Wording {
        request_id: "r".into(),
        created: 9,
        provider: "p".into(),
        model: "w".into(),
        include_usage,
        base64: false,
    };
    let mut writer = Writer::new(caller, wording);
    let mut out = Vec::new();
    for frame in frames {
        writer.frame(frame, &mut out);
    }
    writer.end(&mut out);
    String::from_utf8(out).expect("text")
}

#[test]
fn the_same_dialect_passes_streams_byte_for_byte() {
    let body = stream().concat() + USAGE + DONE;
    let mut reader = same();
    let read = frames(&mut reader, body.as_bytes());
    assert!(reader.ended());
    assert_eq!(written(Dialect::OpenAiChat, true, &read), body);
    assert_eq!(written(Dialect::OpenAiChat, false, &read), body.replace(USAGE, ""));
}

#[test]
fn any_split_of_a_stream_gives_the_same_frames() {
    let body = stream().concat() + USAGE + DONE;
    for caller in [Dialect::OpenAiChat, Dialect::Hapax] {
        let whole = frames(&mut Reader::new(Dialect::OpenAiChat, caller, None), body.as_bytes());
        for at in 0..=body.len() {
            let mut reader = Reader::new(Dialect::OpenAiChat, caller, None);
            let mut read = frames(&mut reader, &body.as_bytes()[..at]);
            read.extend(frames(&mut reader, &body.as_bytes()[at..]));
            assert_eq!(read, whole, "at {at}");
            assert!(reader.ended());
        }
    }
}

#[test]
fn an_end_without_a_finish_is_truncated_whatever_marks_it() {
    let cut = stream()[..3].concat();
    let mut reader = same();
    frames(&mut reader, cut.as_bytes());
    assert_eq!(reader.close().expect_err("cut").fault, Fault::Truncated);
    reader.feed(DONE.as_bytes());
    assert_eq!(reader.next().expect_err("cut").fault, Fault::Truncated);
    assert!(!reader.ended());
    assert_eq!(same().close().expect_err("nothing").fault, Fault::Empty);
    let mut reader = same();
    frames(&mut reader, b": ping\n\n");
    assert_eq!(reader.close().expect_err("nothing").fault, Fault::Empty);
}

#[test]
fn a_finish_without_an_end_mark_is_completed() {
    let mut reader = same();
    let read = frames(&mut reader, stream().concat().as_bytes());
    assert!(!reader.ended() && reader.close().is_ok());
    assert_eq!(written(Dialect::OpenAiChat, false, &read), stream().concat() + DONE);
}

#[test]
fn malformed_frames_are_skipped_and_too_many_are_garbage() {
    let mut reader = same();
    let mut parts = stream();
    parts.insert(2, "data: {\"cho\n\n".repeat(15));
    parts.insert(1, "data: \u{1}\n\n".repeat(15));
    let read = frames(&mut reader, (parts.concat() + DONE).as_bytes());
    assert_eq!(written(Dialect::OpenAiChat, false, &read), stream().concat() + DONE);
    let mut reader = same();
    reader.feed("data: {\"cho\n\n".repeat(16).as_bytes());
    assert_eq!(reader.next().expect_err("garbage").fault, Fault::Garbage);
}

#[test]
fn an_error_frame_is_an_error() {
    let mut reader = same();
    reader.feed(b"data: {\"error\":{\"message\":\"sk-secret\"}}\n\n");
    let failure = reader.next().expect_err("an error");
    assert_eq!(failure.fault, Fault::ErrorInBody);
    assert!(!failure.message.contains("sk-secret"));
}

#[test]
fn a_spliced_stream_goes_on_under_the_first_ones_id() {
    for delivered in [1, 2] {
        splice_after(delivered);
    }
}

fn splice_after(delivered: usize) {
    let mut read = frames(&mut same(), stream()[..delivered].concat().as_bytes());
    let spliced = |deltas| Frame { deltas, verbatim: None };
    read.push(spliced(vec![Delta::Start { id: "other".into(), model: "other".into() }]));
    read.push(spliced(vec![Delta::Text { choice: 0, text: "on".into() }]));
    read.push(spliced(vec![Delta::Finish { choice: 0, finish: Finish::Stop }]));
    read.push(spliced(vec![Delta::Usage(Usage { input: 5, output: 6, ..Usage::default() })]));
    let out = written(Dialect::OpenAiChat, true, &read);
    assert_eq!(out.matches("\"role\"").count(), 1);
    assert!(!out.contains("other") && out.contains("\"total_tokens\":11"));
    let head = r#"data: {"id":"i","object":"chat.completion.chunk","created":9,"model":"m","choices":[{"index":0,"delta":{"content":"on"}"#;
    assert!(out.contains(head), "{out}");
    assert!(out.ends_with(DONE) && out.matches("finish_reason\":\"stop").count() == 1);
}

#[test]
fn hapaxs_own_stream_has_content_facts_and_an_end() {
    let body = stream().concat() + USAGE + DONE;
    let read = frames(&mut to_hapax(), body.as_bytes());
    assert!(read.iter().all(|frame| frame.verbatim.is_none() && !frame.deltas.is_empty()));
    assert_eq!(
        written(Dialect::Hapax, false, &read),
        "data: {\"content\":\"grüß \"}\n\ndata: {\"content\":\"😀\"}\n\n\
         data: {\"done\":true,\"model\":\"m\",\"provider\":\"p\",\"finish_reason\":\"stop\",\"request_id\":\"r\",\
         \"usage\":{\"prompt_tokens\":1,\"completion_tokens\":2,\"total_tokens\":3,\
         \"prompt_tokens_details\":{\"cached_tokens\":0},\"completion_tokens_details\":{\"reasoning_tokens\":0}}}\n\n\
         data: [DONE]\n\n"
    );
}

fn hapax_asks(body: &str) -> String {
    let (gist, words) = open(Dialect::Hapax, body.as_bytes().to_vec()).expect("good");
    let defaults = Defaults { system_prompt: Some("be kind".into()), ..Defaults::default() };
    let out = ask(Dialect::OpenAiChat, (&gist, &words), "m", None, &defaults).expect("asks");
    String::from_utf8(out.body.into_vec()).expect("text")
}

#[test]
fn hapaxs_own_form_is_understood() {
    assert_eq!(
        hapax_asks(r#"{"input":"hi","options":{"temperature":0.5,"max_tokens":7},"max_tokens":8}"#),
        r#"{"model":"m","messages":[{"role":"system","content":"be kind"},{"role":"user","content":"hi"}],"max_tokens":8,"temperature":0.5}"#
    );
    assert_eq!(
        hapax_asks(
            r#"{"messages":[{"role":"user","content":"a"}],"input":"b","prompt":"c","function_description":"f"}"#
        ),
        r#"{"model":"m","messages":[{"role":"system","content":"f"},{"role":"user","content":"a"}]}"#
    );
    let bad = |body: String| open(Dialect::Hapax, body.into_bytes()).expect_err("bad").param;
    assert_eq!(bad("{}".into()).as_deref(), Some("messages"));
    assert_eq!(bad(r#"{"input":""}"#.into()).as_deref(), Some("messages"));
    assert_eq!(bad(format!(r#"{{"input":"{}"}}"#, "x".repeat(512 * 1024 + 1))).as_deref(), Some("input"));
    let long = format!(r#"{{"input":"x","function_description":"{}"}}"#, "x".repeat(5 * 1024 + 1));
    assert_eq!(bad(long).as_deref(), Some("function_description"));
    assert_eq!(bad(r#"{"input":"x","options":3}"#.into()).as_deref(), Some("options"));
}

#[test]
fn a_prompt_alone_names_the_legacy_form() {
    assert!(hapax::names_prompt(br#"{"model":"m","prompt":"x"}"#));
    assert!(!hapax::names_prompt(br#"{"prompt":"x","input":"y"}"#));
    assert!(!hapax::names_prompt(br#"{"messages":[],"prompt":"x"}"#));
    assert!(!hapax::names_prompt(br#"{"a":{"prompt":"x"}}"#));
    assert!(!hapax::names_prompt(b"\xff{"));
}

#[test]
fn hapaxs_own_answers_and_errors_keep_the_originals_fields() {
    let body = br#"{"model":"m","choices":[{"message":{"content":"x"},"finish_reason":"stop"}]}"#.to_vec();
    let answer = read_answer(Dialect::OpenAiChat, Dialect::Hapax, body, None).expect("proper");
    let wording = Wording { request_id: "r".into(), provider: "p".into(), ..Wording::default() };
    assert_eq!(
        String::from_utf8(write_answer(Dialect::Hapax, &answer, &wording)).expect("text"),
        r#"{"content":"x","model":"m","provider":"p","finish_reason":"stop","request_id":"r"}"#
    );
    let complaint = Complaint {
        status: 429,
        kind: "rate_limit_error",
        message: "slow down".into(),
        code: None,
        param: None,
        request_id: "r".into(),
        retry_after: Some(3),
    };
    assert_eq!(
        String::from_utf8(write_error(Dialect::Hapax, &complaint)).expect("text"),
        r#"{"type":"rate_limit_error","message":"slow down","request_id":"r","details":{"retry_after":3},"error":{"message":"slow down","type":"rate_limit_error","param":null,"code":null}}"#
    );
}

#[test]
fn a_whole_answer_in_the_callers_dialect_keeps_its_bytes() {
    let body = br#"{ "choices":[{"message":{"content":"x"},"finish_reason":"stop"}], "new":1 }"#.to_vec();
    let answer = read_answer(Dialect::OpenAiChat, Dialect::OpenAiChat, body.clone(), None).expect("proper");
    assert_eq!(write_answer(Dialect::OpenAiChat, &answer, &Wording::default()), body);
    let translated = write_answer(Dialect::OpenAiCompletion, &answer, &Wording::default());
    assert!(String::from_utf8(translated).expect("text").contains(r#""text":"x""#));
}

const ANTHROPIC: &str = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{\"id\":\"msg_1\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"c\",\"content\":[],\"stop_reason\":null,\"usage\":{\"input_tokens\":3,\"output_tokens\":1}}}\n\n\
event: content_block_start\ndata: {\"type\":\"content_block_start\",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}}\n\n\
event: ping\ndata: {\"type\":\"ping\"}\n\n\
event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"hi\"}}\n\n\
event: content_block_stop\ndata: {\"type\":\"content_block_stop\",\"index\":0}\n\n\
event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":4}}\n\n\
event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";

const OLLAMA: &str = "{\"model\":\"l\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"hi\"},\"done\":false}\n\
{\"model\":\"l\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{\"role\":\"assistant\",\"content\":\"\"},\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":3,\"eval_count\":4}\n";

#[test]
fn every_vendors_stream_passes_to_a_caller_who_speaks_it_with_one_end_mark() {
    for (dialect, body) in [(Dialect::Anthropic, ANTHROPIC), (Dialect::Ollama, OLLAMA)] {
        let mut reader = Reader::new(dialect, dialect, None);
        let read = frames(&mut reader, body.as_bytes());
        assert!(reader.ended());
        assert_eq!(written(dialect, false, &read), body);
    }
}

#[test]
fn every_vendors_stream_is_worded_for_a_caller_of_openai() {
    for (dialect, body, model) in [(Dialect::Anthropic, ANTHROPIC, "c"), (Dialect::Ollama, OLLAMA, "l")] {
        let read = frames(&mut Reader::new(dialect, Dialect::OpenAiChat, None), body.as_bytes());
        let out = written(Dialect::OpenAiChat, true, &read);
        let head = format!(
            "{{\"id\":\"chatcmpl-r\",\"object\":\"chat.completion.chunk\",\"created\":9,\"model\":\"{model}\""
        );
        assert_eq!(out.matches(&head).count(), 4, "{out}");
        assert!(out.contains("\"delta\":{\"content\":\"hi\"}") && out.contains("\"finish_reason\":\"stop\""));
        assert!(out.contains("\"prompt_tokens\":3,\"completion_tokens\":4") && out.ends_with(DONE));
    }
}

#[test]
fn an_openai_stream_is_worded_for_every_caller_and_ends_once() {
    let body = stream().concat() + USAGE + DONE;
    for (caller, mark) in [(Dialect::Anthropic, "event: message_stop"), (Dialect::Ollama, "\"done\":true")] {
        let read = frames(&mut Reader::new(Dialect::OpenAiChat, caller, None), body.as_bytes());
        let out = written(caller, false, &read);
        assert_eq!(out.matches(mark).count(), 1, "{out}");
        assert!(out.contains("grüß ") && out.contains("😀"));
        let mut again = Reader::new(caller, Dialect::Hapax, None);
        let text: String = frames(&mut again, out.as_bytes())
            .into_iter()
            .flat_map(|frame| frame.deltas)
            .filter_map(|delta| if let Delta::Text { text, .. } = delta { Some(text) } else { None })
            .collect();
        assert!(again.ended() && text == "grüß 😀", "{text}");
    }
}

#[test]
fn a_conversation_of_nothing_reaches_no_vendor_as_another_question() {
    let body = br#"{"max_tokens":5,"messages":[{"role":"user","content":[]}]}"#.to_vec();
    let (gist, words) = open(Dialect::Anthropic, body).expect("the door looks no deeper");
    for target in [Dialect::OpenAiChat, Dialect::Ollama, Dialect::Gemini] {
        let failure = ask(target, (&gist, &words), "m", None, &Defaults::default()).expect_err("nothing");
        assert_eq!((failure.fault, failure.param.as_deref()), (Fault::BadRequest, Some("messages")));
    }
}

#[test]
fn a_request_reaches_every_vendor() {
    let body = r#"{"model":"m","messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}],"max_tokens":5,"logit_bias":{}}"#;
    let (gist, words) = open(Dialect::OpenAiChat, body.as_bytes().to_vec()).expect("good");
    for (target, path) in [(Dialect::Anthropic, "/messages"), (Dialect::Ollama, "/api/chat")] {
        let out = ask(target, (&gist, &words), "m2", None, &Defaults::default()).expect("asks");
        assert_eq!((&*out.path, out.dropped.as_slice()), (path, &["logit_bias".to_owned()][..]));
        let (gist, words) = open(target, out.body.into_vec()).expect("their own door opens");
        assert_eq!(gist.model.as_deref(), Some("m2"));
        let back = ask(Dialect::OpenAiChat, (&gist, &words), "m3", None, &Defaults::default()).expect("asks");
        let back = String::from_utf8(back.body.into_vec()).expect("text");
        assert!(
            back.starts_with(
                r#"{"model":"m3","messages":[{"role":"system","content":"s"},{"role":"user","content":"hi"}]"#
            ),
            "{back}"
        );
    }
}

#[test]
fn a_secret_in_a_providers_words_is_not_passed_on() {
    let failure = super::judged(Fault::KeyRefused, Some(401), "Incorrect API key provided: sk-123");
    assert!(!failure.message.contains("sk-"));
}

#[test]
fn no_caller_nests_deeper_than_the_bound_whoever_he_speaks_like() {
    let body = |dialect: Dialect, levels: usize| {
        let said = match dialect {
            Dialect::OpenAiResponses => r#""input":"a""#,
            Dialect::Hapax | Dialect::OpenAiCompletion | Dialect::OllamaGenerate => r#""prompt":"a""#,
            _ => r#""max_tokens":9,"messages":[{"role":"user","content":"a"}]"#,
        };
        let (open, close) = ("[".repeat(levels - 1), "]".repeat(levels - 1));
        format!(r#"{{"model":"m",{said},"metadata":{open}{close}}}"#).into_bytes()
    };
    let told = |opened: Result<(Gist, Words), Invalid>| opened.err().map(|invalid| invalid.message);
    let deep = Some(format!("the body is nested deeper than {} levels", json::DEPTH_MAX));
    for dialect in [
        Dialect::OpenAiChat,
        Dialect::OpenAiCompletion,
        Dialect::OpenAiResponses,
        Dialect::Anthropic,
        Dialect::Ollama,
        Dialect::OllamaGenerate,
        Dialect::Hapax,
    ] {
        assert_ne!(told(open(dialect, body(dialect, json::DEPTH_MAX))), deep, "{dialect:?}");
        assert_eq!(told(open(dialect, body(dialect, json::DEPTH_MAX + 1))), deep, "{dialect:?}");
    }
    for (subject, dialect) in [
        (Subject::Tokens, Dialect::Anthropic),
        (Subject::Description, Dialect::Ollama),
        (Subject::Embedding, Dialect::OpenAiChat),
        (Subject::Embedding, Dialect::Ollama),
    ] {
        assert_ne!(
            told(open_about(subject, dialect, body(dialect, json::DEPTH_MAX), OddCharacters::default())),
            deep,
            "{subject:?}"
        );
        assert_eq!(
            told(open_about(subject, dialect, body(dialect, json::DEPTH_MAX + 1), OddCharacters::default())),
            deep,
            "{subject:?}"
        );
    }
}

#[test]
fn an_answer_is_not_worth_less_for_a_count_that_is_none() {
    let answers = [
        (
            Dialect::OpenAiChat,
            r#"{"model":"m","choices":[{"message":{"content":"Hi"},"finish_reason":"stop"}],"usage":USAGE}"#,
        ),
        (
            Dialect::OpenAiResponses,
            r#"{"object":"response","status":"completed","model":"m","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"Hi"}]}],"usage":USAGE}"#,
        ),
        (
            Dialect::Anthropic,
            r#"{"type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"Hi"}],"stop_reason":"end_turn","usage":USAGE}"#,
        ),
        (
            Dialect::Gemini,
            r#"{"candidates":[{"content":{"parts":[{"text":"Hi"}]},"finishReason":"STOP"}],"usageMetadata":USAGE}"#,
        ),
    ];
    let counts = ["prompt_tokens", "input_tokens", "promptTokenCount"];
    for (target, answer) in answers {
        for nonsense in ["-1", "1e300", "18446744073709551616", "\"12\"", "true", "2.5"] {
            let usage = counts.map(|name| format!("\"{name}\":{nonsense}")).join(",");
            for usage in [format!("{{{usage}}}"), nonsense.to_owned()] {
                let body = answer.replace("USAGE", &usage);
                for caller in
                    [Dialect::OpenAiChat, Dialect::OpenAiResponses, Dialect::Anthropic, Dialect::Ollama]
                {
                    let read = read_answer(target, caller, body.clone().into_bytes(), None);
                    assert_eq!(read.expect(&body).usage, None, "{body}");
                }
            }
        }
    }
    let lines =
        r#"{"model":"m","message":{"content":"Hi"},"done":true,"prompt_eval_count":-1,"eval_count":2.5}"#;
    let read = read_answer(Dialect::Ollama, Dialect::OpenAiChat, lines.into(), None);
    assert_eq!(read.expect("an answer").usage, None);
    let ends = r#"data: {"id":"i","model":"m","choices":[{"index":0,"delta":{"content":"Hi"},"finish_reason":"stop"}],"usage":{"prompt_tokens":-1}}"#;
    let heard = frames(&mut same(), format!("{ends}\n\n{DONE}").as_bytes());
    let said = |delta: &Delta| matches!(delta, Delta::Finish { .. });
    assert!(heard.iter().any(|frame| frame.deltas.iter().any(said)), "the end is heard");
}
