//! What is found is replaced in bodies, answers and streams, and nothing else changes.

use super::super::{Reader, Wording, Writer};
use super::*;
use crate::domain::chat::Frame;
use crate::domain::redact::{Mode, Redaction, Rule, named};
use crate::domain::words::Dialect;
use std::sync::Arc;

fn lookout(mode: Mode) -> Arc<Lookout> {
    Lookout::new(redaction(mode))
}

pub(super) fn redaction(mode: Mode) -> Redaction {
    let rule = |name: &str| Rule {
        name: name.to_owned(),
        pattern: named(name).expect("it is built in"),
        replace: format!("[{name}]"),
        on_requests: true,
        on_answers: true,
    };
    Redaction::of(mode, &[rule("email"), rule("credit_card")], |_| true).expect("small").expect("some")
}

#[test]
fn a_requests_strings_are_rewritten_where_they_stand_and_nothing_else_is_touched() {
    let body = r#" {"model":"a@b.de", "x":[1.50,null], "messages" : [{"role":"user","content":"Mail bob@example.com \u00fc"},
        {"role":"user","content":[{"type":"text","text":"4111111111111111"},{"type":"image_url","image_url":{"url":"data:a@b.de"}}]},
        {"role":"assistant","tool_calls":[{"id":"a@b.de","function":{"name":"f","arguments":"{\"to\":\"bob\\u0040example.com\",\"n\":1}"}}]},
        {"content":"A\u0042@\u0065.de and \ud83d bob@example.com"}, {"thinking":"a@b.de","signature":"s"}], "user":"bob@example.com"} "#;
    let mut counts = vec![0; 2];
    let new = request(&lookout(Mode::Enforce), body.as_bytes(), &mut counts).expect("something was found");
    let expected = body
        .replacen("Mail bob@example.com \\u00fc", "Mail [email] ü", 1)
        .replacen("4111111111111111", "[credit_card]", 1)
        .replacen("{\\\"to\\\":\\\"bob\\\\u0040example.com\\\"", "{\\\"to\\\":\\\"[email]\\\"", 1)
        .replacen(
            "\"A\\u0042@\\u0065.de and \\ud83d bob@example.com\"",
            "\"A\\\\u0042@\\\\u0065.de and \\\\ud83d [email]\"",
            1,
        )
        .replacen("\"user\":\"bob@example.com\"", "\"user\":\"[email]\"", 1);
    assert_eq!(String::from_utf8(new).expect("text"), expected);
    assert_eq!(counts, [4, 1]);
    let mut counts = vec![0; 2];
    assert_eq!(request(&lookout(Mode::Monitor), body.as_bytes(), &mut counts), None);
    assert_eq!(counts, [4, 1], "counted all the same");
    assert_eq!(request(&lookout(Mode::Enforce), b"{\"a\":\"nothing\"}", &mut counts), None);
    assert_eq!(request(&lookout(Mode::Enforce), b"{\"a\":\"a@b.de\"", &mut counts), None, "no JSON");
}

/// A stream as a caller of a dialect reads it, with every provider's frame looked through.
fn told(mode: Option<Mode>, provider: Dialect, caller: Dialect, bytes: &[u8]) -> (String, Vec<u64>) {
    let mut reader = Reader::new(provider, caller, None);
    let mut writer = Writer::new(caller, Wording { request_id: "r".into(), ..Wording::default() });
    let mut redactor = mode.map(|mode| Redactor::new(&lookout(mode)));
    let (mut out, mut counts) = (Vec::new(), vec![0; 2]);
    reader.feed(bytes);
    let mut pass = |frames: Vec<Frame>| frames.iter().for_each(|frame| writer.frame(frame, &mut out));
    while let Some(frame) = reader.next().expect("the stream is right") {
        match &mut redactor {
            None => pass(vec![frame]),
            Some(redactor) => {
                let mut frames = Vec::new();
                redactor.frame(frame, &mut frames);
                redactor.counted().iter().zip(&mut counts).for_each(|(more, sum)| *sum += more);
                pass(frames);
            }
        }
    }
    if let Some(redactor) = &mut redactor {
        let mut frames = Vec::new();
        redactor.end(&mut frames);
        pass(frames);
    }
    writer.end(&mut out);
    (String::from_utf8(out).expect("text"), counts)
}

const SAYS: &str = "Mail bob@example.com or 4111 1111 1111 1111, assistant.";
const SHOULD: &str = "Mail [email] or [credit_card], assistant.";

/// A provider's stream whose answer is said in these pieces; thoughts, words and arguments.
fn stream(dialect: Dialect, pieces: &[&str]) -> String {
    match dialect {
        Dialect::OpenAiChat => openai_stream(pieces),
        Dialect::Anthropic => anthropic_stream(pieces),
        _ => ollama_stream(pieces),
    }
}

/// As it stands in JSON.
fn quoted(text: &str) -> String {
    serde_json::to_string(text).expect("text")
}

fn openai_stream(pieces: &[&str]) -> String {
    let mut out = String::new();
    let mut chunk = |delta: &str, end: &str| {
        out.push_str(&format!("data: {{\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,\"model\":\"m\",\"choices\":[{{\"index\":0,\"delta\":{delta},\"logprobs\":{{\"content\":[{{\"token\":\"bob\"}}]}},\"finish_reason\":{end}}}]}}\n\n"));
    };
    chunk("{\"role\":\"assistant\",\"content\":\"\"}", "null");
    pieces.iter().for_each(|piece| chunk(&format!("{{\"reasoning_content\":{}}}", quoted(piece)), "null"));
    pieces.iter().for_each(|piece| chunk(&format!("{{\"content\":{}}}", quoted(piece)), "null"));
    chunk(
        "{\"tool_calls\":[{\"index\":0,\"id\":\"t\",\"type\":\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{\\\"x\\\":\\\"\"}}]}",
        "null",
    );
    for piece in pieces {
        let fragment = quoted(&quoted(piece)[1..quoted(piece).len() - 1]);
        chunk(
            &format!("{{\"tool_calls\":[{{\"index\":0,\"function\":{{\"arguments\":{fragment}}}}}]}}"),
            "null",
        );
    }
    chunk("{\"tool_calls\":[{\"index\":0,\"function\":{\"arguments\":\"\\\"}\"}}]}", "null");
    chunk("{}", "\"tool_calls\"");
    out.push_str("data: [DONE]\n\n");
    out
}

fn anthropic_stream(pieces: &[&str]) -> String {
    let mut out = String::new();
    let mut event = |kind: &str, rest: &str| {
        out.push_str(&format!("event: {kind}\ndata: {{\"type\":\"{kind}\"{rest}}}\n\n"));
    };
    event(
        "message_start",
        ",\"message\":{\"id\":\"m\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"m\",\"content\":[],\"usage\":{\"input_tokens\":1,\"output_tokens\":1}}",
    );
    let blocks = [
        ("{\"type\":\"thinking\",\"thinking\":\"\",\"signature\":\"\"}", "thinking_delta", "thinking"),
        ("{\"type\":\"text\",\"text\":\"\"}", "text_delta", "text"),
        (
            "{\"type\":\"tool_use\",\"id\":\"t\",\"name\":\"f\",\"input\":{}}",
            "input_json_delta",
            "partial_json",
        ),
    ];
    for (index, (block, kind, key)) in blocks.iter().enumerate() {
        event("content_block_start", &format!(",\"index\":{index},\"content_block\":{block}"));
        let mut say = |text: &str| {
            event(
                "content_block_delta",
                &format!(",\"index\":{index},\"delta\":{{\"type\":\"{kind}\",\"{key}\":{}}}", quoted(text)),
            );
        };
        let json = *key == "partial_json";
        if json {
            say("{\"x\":\"");
        }
        pieces.iter().for_each(|piece| say(piece));
        if json {
            say("\"}");
        }
        if *key == "thinking" {
            event(
                "content_block_delta",
                ",\"index\":0,\"delta\":{\"type\":\"signature_delta\",\"signature\":\"proof\"}",
            );
        }
        event("ping", "");
        event("content_block_stop", &format!(",\"index\":{index}"));
    }
    event(
        "message_delta",
        ",\"delta\":{\"stop_reason\":\"tool_use\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":9}",
    );
    event("message_stop", "");
    out
}

fn ollama_stream(pieces: &[&str]) -> String {
    let mut out = String::new();
    let mut line = |message: &str, rest: &str| {
        out.push_str(&format!(
            "{{\"model\":\"m\",\"created_at\":\"2026-01-01T00:00:00Z\",\"message\":{message},{rest}}}\n"
        ));
    };
    for key in ["thinking", "content"] {
        for piece in pieces {
            let empty = if key == "thinking" { ",\"content\":\"\"" } else { "" };
            line(&format!("{{\"role\":\"assistant\",\"{key}\":{}{empty}}}", quoted(piece)), "\"done\":false");
        }
    }
    let call = format!(
        "{{\"role\":\"assistant\",\"content\":\"\",\"tool_calls\":[{{\"function\":{{\"name\":\"f\",\"arguments\":{{\"x\":{}}}}}}}]}}",
        quoted(SAYS)
    );
    line(&call, "\"done\":false");
    line(
        "{\"role\":\"assistant\",\"content\":\"\"}",
        "\"done\":true,\"done_reason\":\"stop\",\"prompt_eval_count\":1,\"eval_count\":2",
    );
    out
}

/// Everything a stream says to its caller, put together by what it is: thoughts, words, arguments.
fn heard(dialect: Dialect, stream: &str) -> [String; 3] {
    let mut all = [String::new(), String::new(), String::new()];
    let mut add = |at: usize, value: &serde_json::Value| {
        all[at].push_str(value.as_str().unwrap_or_default());
    };
    for line in stream.lines() {
        let json = line.strip_prefix("data: ").unwrap_or(line);
        let Ok(said) = serde_json::from_str::<serde_json::Value>(json) else { continue };
        match dialect {
            Dialect::OpenAiChat => {
                let delta = &said["choices"][0]["delta"];
                add(0, &delta["reasoning_content"]);
                add(1, &delta["content"]);
                add(2, &delta["tool_calls"][0]["function"]["arguments"]);
            }
            Dialect::Anthropic => {
                add(0, &said["delta"]["thinking"]);
                add(1, &said["delta"]["text"]);
                add(2, &said["delta"]["partial_json"]);
            }
            _ => {
                add(0, &said["message"]["thinking"]);
                add(1, &said["message"]["content"]);
                let arguments = &said["message"]["tool_calls"][0]["function"]["arguments"];
                if arguments.is_object() {
                    add(2, &serde_json::Value::String(arguments.to_string()));
                }
            }
        }
    }
    all
}

#[test]
fn wherever_a_stream_is_cut_every_dialect_hears_the_same_and_nothing_private() {
    let dialects = [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Ollama];
    let expected = [SHOULD.to_owned(), SHOULD.to_owned(), format!("{{\"x\":\"{SHOULD}\"}}")];
    let letters: Vec<String> = SAYS.chars().map(String::from).collect();
    for provider in dialects {
        for caller in dialects {
            for at in 0..=SAYS.len() {
                let cut: Vec<&str> = if at == 0 {
                    letters.iter().map(String::as_str).collect()
                } else {
                    [&SAYS[..at], &SAYS[at..]].into_iter().filter(|piece| !piece.is_empty()).collect()
                };
                let bytes = stream(provider, &cut);
                let (said, counts) = told(Some(Mode::Enforce), provider, caller, bytes.as_bytes());
                assert_eq!(heard(caller, &said), expected, "{provider:?} to {caller:?}, {cut:?}\n{said}");
                assert_eq!(counts, [3, 3], "{provider:?} to {caller:?}, {cut:?}");
                assert!(!said.contains("bob") && !said.contains("1111") && !said.contains("proof"), "{said}");
            }
        }
    }
}

#[test]
fn a_stream_of_the_callers_own_dialect_stays_in_its_providers_words() {
    let pieces = ["Mail bob", "@example.com", " or so."];
    for dialect in [Dialect::OpenAiChat, Dialect::Anthropic, Dialect::Ollama] {
        let bytes = stream(dialect, &pieces);
        let (plain, _) = told(None, dialect, dialect, bytes.as_bytes());
        let (said, _) = told(Some(Mode::Enforce), dialect, dialect, bytes.as_bytes());
        let marks: &[&str] = match dialect {
            Dialect::OpenAiChat => &["\"id\":\"c\",\"object\":\"chat.completion.chunk\",\"created\":1,"],
            Dialect::Anthropic => &["event: ping\n", "\"index\":1"],
            _ => &["\"created_at\":\"2026-01-01T00:00:00Z\""],
        };
        for mark in marks {
            assert!(said.matches(mark).count() >= plain.matches(mark).count(), "{mark} in {said}");
        }
        // Whoever only counts changes nothing.
        let (same, counts) = told(Some(Mode::Monitor), dialect, dialect, bytes.as_bytes());
        assert_eq!((same, counts[0]), (plain, 3));
    }
}
