//! Answers in OpenAI's words, whole, for callers of chat and of legacy completions; and the pieces streams share.

use super::super::Wording;
use super::super::json;
use super::encode::push_call;
use crate::domain::chat::{Answer, Choice, Content, Finish, Part, Usage};
use crate::domain::digits::{DECIMAL_BYTES, decimal_bytes};
use std::borrow::Cow;

/// Room for an answer besides its texts.
const ANSWER_BYTES: usize = 512;

/// Which of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `chat.completion` and its chunks.
    Chat,
    /// `text_completion`.
    Completion,
}

impl Form {
    /// What ids begin with.
    pub fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Completion => "cmpl-",
        }
    }

    /// The value of `object`.
    pub fn object(self, streamed: bool) -> &'static str {
        match (self, streamed) {
            (Self::Chat, false) => "chat.completion",
            (Self::Chat, true) => "chat.completion.chunk",
            (Self::Completion, _) => "text_completion",
        }
    }
}

/// OpenAI's word for an end.
#[must_use]
pub fn finish_word(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length => "length",
        Finish::ToolCalls => "tool_calls",
        Finish::ContentFilter => "content_filter",
    }
}

/// All text of a choice, in order.
#[must_use]
pub fn text_of(choice: &Choice) -> Cow<'_, str> {
    let mut texts = choice.parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    let first = texts.next().unwrap_or_default();
    match texts.next() {
        None => Cow::Borrowed(first),
        Some(second) => Cow::Owned([first, second].into_iter().chain(texts).collect()),
    }
}

/// How long the texts of an answer are.
fn said_bytes(answer: &Answer) -> usize {
    let Content::Said { choices, .. } = &answer.content else { return 0 };
    let bytes = |part: &Part| if let Part::Text { text, .. } = part { text.len() } else { 0 };
    choices.iter().flat_map(|choice| &choice.parts).map(bytes).sum()
}

/// Words a complete answer.
#[must_use]
pub fn write_as(form: Form, answer: &Answer, wording: &Wording) -> Vec<u8> {
    let model = if answer.model.is_empty() { &*wording.model } else { &answer.model };
    let id = [form.id_prefix(), &*wording.request_id].concat();
    let mut out = Vec::with_capacity(ANSWER_BYTES + said_bytes(answer));
    head(&mut out, (&id, model), wording.created, form.object(false));
    out.push(b'[');
    if let Content::Said { choices, .. } = &answer.content {
        for (index, choice) in choices.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"index\":");
            push_number(&mut out, index as u64);
            match form {
                Form::Chat => push_message(&mut out, choice),
                Form::Completion => {
                    out.extend_from_slice(b",\"text\":");
                    json::push_text(&mut out, &text_of(choice));
                }
            }
            out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":\"");
            out.extend_from_slice(finish_word(choice.finish).as_bytes());
            out.extend_from_slice(b"\"}");
        }
    }
    out.push(b']');
    if let Some(usage) = answer.usage {
        out.extend_from_slice(b",\"usage\":");
        push_usage(&mut out, usage);
    }
    out.push(b'}');
    out
}

/// An answer or chunk up to the value of its choices.
pub fn head(out: &mut Vec<u8>, (id, model): (&str, &str), created: u64, object: &str) {
    out.extend_from_slice(b"{\"id\":");
    json::push_text(out, id);
    out.extend_from_slice(b",\"object\":\"");
    out.extend_from_slice(object.as_bytes());
    out.extend_from_slice(b"\",\"created\":");
    push_number(out, created);
    out.extend_from_slice(b",\"model\":");
    json::push_text(out, model);
    out.extend_from_slice(b",\"choices\":");
}

fn push_message(out: &mut Vec<u8>, choice: &Choice) {
    let text = text_of(choice);
    out.extend_from_slice(b",\"message\":{\"role\":\"assistant\",\"content\":");
    let calls = || {
        choice.parts.iter().filter_map(|part| match part {
            Part::ToolCall(call) => Some(call),
            _ => None,
        })
    };
    if text.is_empty() && calls().next().is_some() {
        out.extend_from_slice(b"null");
    } else {
        json::push_text(out, &text);
    }
    out.extend_from_slice(b",\"refusal\":null");
    push_thinking(out, choice);
    for (index, call) in calls().enumerate() {
        out.extend_from_slice(if index == 0 { b",\"tool_calls\":[" } else { b"," });
        push_call(out, call, &call.id);
    }
    if calls().next().is_some() {
        out.push(b']');
    }
    out.push(b'}');
}

/// `reasoning_content`, and beside it the signatures in `reasoning_details`.
fn push_thinking(out: &mut Vec<u8>, choice: &Choice) {
    let mut all = String::new();
    let mut details = Vec::new();
    for part in &choice.parts {
        if let Part::Reasoning { text, signature } = part {
            all.push_str(text);
            if let Some(signature) = signature {
                details.push(if details.is_empty() { b'[' } else { b',' });
                push_detail(&mut details, text, signature);
            }
        }
    }
    if !all.is_empty() {
        out.extend_from_slice(b",\"reasoning_content\":");
        json::push_text(out, &all);
    }
    if !details.is_empty() {
        out.extend_from_slice(b",\"reasoning_details\":");
        out.extend_from_slice(&details);
        out.push(b']');
    }
}

/// An entry of `reasoning_details`.
pub fn push_detail(out: &mut Vec<u8>, text: &str, signature: &str) {
    out.extend_from_slice(b"{\"type\":\"reasoning.text\",\"text\":");
    json::push_text(out, text);
    out.extend_from_slice(b",\"signature\":");
    json::push_text(out, signature);
    out.push(b'}');
}

fn push_number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(decimal_bytes(number, &mut [0; DECIMAL_BYTES]));
}

/// The `usage` object.
pub fn push_usage(out: &mut Vec<u8>, usage: Usage) {
    let mut number = |name: &str, value: u64| {
        out.extend_from_slice(name.as_bytes());
        push_number(out, value);
    };
    number("{\"prompt_tokens\":", usage.input);
    number(",\"completion_tokens\":", usage.output);
    number(",\"total_tokens\":", usage.input + usage.output);
    number(",\"prompt_tokens_details\":{\"cached_tokens\":", usage.cached);
    if usage.cache_write > 0 {
        number(",\"cache_creation_tokens\":", usage.cache_write);
    }
    number("},\"completion_tokens_details\":{\"reasoning_tokens\":", usage.reasoning);
    out.extend_from_slice(b"}}");
}
