//! OpenAI's rows of the dialect table, and the door.

mod answers;
mod asking;
mod conversations;
mod streams;

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
