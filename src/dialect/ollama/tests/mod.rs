//! One promise per row of the dialects' table, in both directions, whole and streamed; here what its subjects share.

mod answers;
mod asking;
mod generate;
mod streams;

use super::write::rfc3339;
use super::*;
use crate::dialect::ndjson::Lines;
use crate::dialect::{Complaint, Defaults, Sign, Wording};
use crate::domain::chat::*;
use crate::domain::failure::Fault;
use crate::domain::words::{Gist, Words};

const REQUEST: &str = include_str!("../../../../tests/golden/ollama/request.json");
const TRANSLATED: &str = include_str!("../../../../tests/golden/ollama/translated.json");
const ANSWER: &str = include_str!("../../../../tests/golden/ollama/answer.json");
const STREAM: &str = include_str!("../../../../tests/golden/ollama/stream.ndjson");
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
    Wording { model: "served".into(), created: LEAP_DAY, ..Wording::default() }
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
