//! Hapax's own form, as users of the original know it: `messages` or `input` in, `content` out.

use super::openai::{self, Bounds};
use super::{Complaint, Invalid, Wording, json};
use crate::domain::chat::{Answer, Chat, Content, Delta, Finish, Message, Part, Role, Usage};
use crate::domain::failure::Failure;
use crate::domain::words::Words;
use std::borrow::Cow;

/// How streams travel.
pub const STREAM_TYPE: &str = openai::STREAM_TYPE;

/// Whether a body on this endpoint is OpenAI's legacy completion instead: it has a `prompt` and neither `messages`
/// nor `input`.
#[must_use]
pub fn names_prompt(body: &[u8]) -> bool {
    openai::names_prompt(body)
}

/// Reads a request: `messages` wins over `input`, `function_description` stands first as instructions, and what is
/// given at the top level wins over `options`.
///
/// # Errors
/// `BadRequest` with the field's path; `Untranslatable` for parts nobody else knows.
#[inline(never)]
pub fn decode(words: &Words) -> Result<Chat, Failure> {
    let mut chat = Chat::default();
    let mut bounds = Bounds::default();
    let mut input: Option<String> = None;
    let mut description: Option<String> = None;
    let members = json::members(json::text(&words.body)?).map_err(Invalid::from)?;
    for (_, raw) in members.iter().filter(|(key, raw)| key == "options" && *raw != "null") {
        for (key, raw) in json::members(raw).map_err(Invalid::from)? {
            openai::parameter(&key, raw, &mut chat, &mut bounds)?;
        }
    }
    for (key, raw) in members {
        match &*key {
            "messages" if raw != "null" => chat.messages = openai::messages(raw)?,
            "input" => input = json::read(raw, "input", "a string")?,
            "function_description" => description = json::read(raw, &key, "a string")?,
            // The original's examples carry a prompt and a type beside the messages; they decide nothing.
            "messages" | "options" | "prompt" | "type" => {}
            _ => openai::parameter(&key, raw, &mut chat, &mut bounds)?,
        }
    }
    chat.max_tokens = bounds.completion.or(bounds.total);
    if let (true, Some(text)) = (chat.messages.is_empty(), input) {
        chat.messages.push(said(Role::User, text));
    }
    if let Some(text) = description.filter(|text| !text.is_empty()) {
        chat.messages.insert(0, said(Role::System, text));
    }
    Ok(chat)
}

/// Puts the operator's instructions first where the caller gives none.
pub fn instruct(chat: &mut Chat, system_prompt: Option<&str>) {
    let instructed = chat.messages.iter().any(|message| message.role == Role::System);
    if let Some(text) = system_prompt.filter(|text| !instructed && !text.is_empty()) {
        chat.messages.insert(0, said(Role::System, text.to_owned()));
    }
}

fn said(role: Role, text: String) -> Message {
    Message { role, parts: vec![Part::Text { text, cache_control: None }] }
}

/// Words a complete answer: the first choice's text as `content`, and the original's caller finds nothing else
/// changed.
#[must_use]
pub fn write_answer(answer: &Answer, wording: &Wording) -> Vec<u8> {
    let mut out = b"{\"content\":".to_vec();
    let mut finish = Finish::Stop;
    let mut text = Cow::Borrowed("");
    if let Content::Said { choices, .. } = &answer.content
        && let Some(choice) = choices.first()
    {
        finish = choice.finish;
        text = openai::text_of(choice);
    }
    json::push(&mut out, &text);
    let model = if answer.model.is_empty() { &*wording.model } else { &answer.model };
    push_facts(&mut out, (wording, model), answer.usage, finish);
    out.push(b'}');
    out
}

/// What stands beside the content, whole and at a stream's end.
fn push_facts(out: &mut Vec<u8>, (wording, model): (&Wording, &str), usage: Option<Usage>, finish: Finish) {
    let mut member = |name: &str, value: &str| {
        out.extend_from_slice(name.as_bytes());
        json::push(out, value);
    };
    member(",\"model\":", model);
    member(",\"provider\":", &wording.provider);
    member(",\"finish_reason\":", openai::finish_word(finish));
    member(",\"request_id\":", &wording.request_id);
    if let Some(usage) = usage {
        out.extend_from_slice(b",\"usage\":");
        openai::push_usage(out, usage);
    }
}

/// Words an error: the original's flat form, and OpenAI's `error` object beside it.
#[must_use]
pub fn write_error(complaint: &Complaint) -> Vec<u8> {
    let mut out = b"{\"type\":".to_vec();
    json::push(&mut out, complaint.kind);
    out.extend_from_slice(b",\"message\":");
    json::push(&mut out, &complaint.message);
    out.extend_from_slice(b",\"request_id\":");
    json::push(&mut out, &complaint.request_id);
    out.extend_from_slice(b",\"details\":{");
    if let Some(seconds) = complaint.retry_after {
        out.extend_from_slice(b"\"retry_after\":");
        json::push(&mut out, &seconds);
    }
    if let Some(param) = &complaint.param {
        out.extend_from_slice(if complaint.retry_after.is_some() { b",\"field\":" } else { b"\"field\":" });
        json::push(&mut out, param);
    }
    out.extend_from_slice(b"},\"error\":");
    openai::push_error(&mut out, complaint);
    out.push(b'}');
    out
}

/// Words a stream: a frame per piece of text, one with the facts, and the end mark.
#[derive(Debug)]
pub struct Writer {
    wording: Wording,
    model: Option<String>,
    usage: Option<Usage>,
    finish: Finish,
}

impl Writer {
    /// For one stream.
    #[must_use]
    pub fn new(wording: Wording) -> Self {
        Self { wording, model: None, usage: None, finish: Finish::Stop }
    }

    /// Appends what one event is to the caller. Only the first choice's text is.
    pub fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Start { model, .. } => self.model = Some(model.clone()),
            Delta::Text { choice: 0, text } => {
                out.extend_from_slice(b"data: {\"content\":");
                json::push(out, text);
                out.extend_from_slice(b"}\n\n");
            }
            Delta::Finish { choice: 0, finish } => self.finish = *finish,
            Delta::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    /// Appends the facts and the end mark.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: {\"done\":true");
        let model = self.model.as_deref().filter(|model| !model.is_empty()).unwrap_or(&self.wording.model);
        push_facts(out, (&self.wording, model), self.usage, self.finish);
        out.extend_from_slice(b"}\n\ndata: [DONE]\n\n");
    }

    /// Appends an error frame; nothing follows it.
    pub fn failure(&mut self, complaint: &Complaint, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&write_error(complaint));
        out.extend_from_slice(b"\n\n");
    }

    /// Appends a comment.
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(openai::KEEP_ALIVE);
    }
}
