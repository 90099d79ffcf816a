//! Answers and errors worded for callers who speak Anthropic.

use super::wire::{BlockWritten, TokensWritten, stop_reason_of, text_block, thinking_block, tool_use};
use crate::dialect::{Complaint, Wording, raw};
use crate::domain::chat::{Answer, Content, Finish, Part};
use serde::Serialize;

#[derive(Serialize)]
struct Message<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: Vec<BlockWritten<'a>>,
    stop_reason: &'static str,
    stop_sequence: Option<()>,
    usage: TokensWritten,
}

/// Words a translated answer. The vendor knows one choice: the first is given.
#[must_use]
pub fn write_answer(answer: &Answer, wording: &Wording) -> Vec<u8> {
    let (id, choice) = match &answer.content {
        Content::Said { id, choices } => (id.as_deref(), choices.first()),
        Content::Verbatim { .. } | Content::Vectors(_) => (None, None),
    };
    let id = message_id(id.unwrap_or_default(), wording);
    let (parts, finish) = choice.map_or((&[][..], Finish::Stop), |choice| (&choice.parts[..], choice.finish));
    let message = Message {
        id: &id,
        kind: "message",
        role: "assistant",
        model: if answer.model.is_empty() { &wording.model } else { &answer.model },
        content: parts.iter().filter_map(block).collect(),
        stop_reason: stop_reason_of(finish),
        stop_sequence: None,
        usage: answer.usage.unwrap_or_default().into(),
    };
    let mut out = Vec::with_capacity(512);
    raw::write(&mut out, &message);
    out
}

/// The provider's id if it is one of this dialect, else one made from ours.
pub(super) fn message_id(id: &str, wording: &Wording) -> String {
    if id.starts_with("msg_") { id.to_owned() } else { format!("msg_{}", wording.request_id) }
}

fn block(part: &Part) -> Option<BlockWritten<'_>> {
    match part {
        Part::Text { text, .. } if text.is_empty() => None,
        Part::Text { text, .. } => Some(text_block(text)),
        Part::Reasoning { text, signature } => {
            Some(thinking_block(text, signature.as_deref().unwrap_or_default()))
        }
        Part::ToolCall(call) => Some(tool_use(call)),
        Part::Image(_) | Part::ToolResult { .. } => None,
    }
}

#[derive(Serialize)]
struct Refusal<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    error: Trouble<'a>,
    request_id: &'a str,
}

#[derive(Serialize)]
struct Trouble<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
    message: &'a str,
}

/// Words an error, as a whole body or as the data of an error event.
#[must_use]
pub fn write_error(complaint: &Complaint) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    let error = Trouble { kind: complaint.kind, message: &complaint.message };
    raw::write(&mut out, &Refusal { kind: "error", error, request_id: &complaint.request_id });
    out
}
