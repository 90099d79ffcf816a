//! One promise per row of the dialects' table, in both directions, whole and streamed; here what its subjects share.

mod answers;
mod asking;
mod streams;

use super::*;
use crate::dialect::{Complaint, Defaults, Sign, Wording};
use crate::domain::chat::*;
use crate::domain::failure::Fault;
use crate::domain::quirks::Quirks;
use crate::domain::words::Gist;

const REQUEST: &str = include_str!("../../../../tests/golden/anthropic/request.json");
const TRANSLATED: &str = include_str!("../../../../tests/golden/anthropic/translated.json");
const ANSWER: &str = include_str!("../../../../tests/golden/anthropic/answer.json");
const STREAM: &str = include_str!("../../../../tests/golden/anthropic/stream.sse");
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
    Wording { request_id: "r1".into(), model: "served".into(), ..Wording::default() }
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
