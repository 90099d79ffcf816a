//! Answers and errors worded for callers who speak Ollama.

use crate::dialect::{Complaint, Wording, raw};
use crate::domain::chat::{Answer, Content, Finish, Part, Usage};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What was asked: a conversation or a prompt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `/api/chat`: the answer is a `message`.
    Chat,
    /// `/api/generate`: the answer is a `response`.
    Generate,
}

/// A line of a stream, or a whole answer.
#[derive(Serialize)]
pub(super) struct Line<'a> {
    pub model: &'a str,
    pub created_at: &'a str,
    #[serde(flatten)]
    pub said: Said<'a>,
    pub done: bool,
    #[serde(flatten)]
    pub end: Option<End>,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Said<'a> {
    Message {
        message: Message<'a>,
    },
    Response {
        response: Cow<'a, str>,
        #[serde(skip_serializing_if = "str::is_empty")]
        thinking: Cow<'a, str>,
    },
}

impl<'a> Said<'a> {
    pub(super) fn new(form: Form, message: Message<'a>) -> Self {
        match form {
            Form::Chat => Self::Message { message },
            Form::Generate => Self::Response { response: message.content, thinking: message.thinking },
        }
    }
}

#[derive(Serialize)]
pub(super) struct Message<'a> {
    pub role: &'static str,
    pub content: Cow<'a, str>,
    #[serde(skip_serializing_if = "str::is_empty")]
    pub thinking: Cow<'a, str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tool_calls: Vec<Call<'a>>,
}

impl Message<'_> {
    pub(super) fn empty() -> Self {
        Self { role: "assistant", content: "".into(), thinking: "".into(), tool_calls: Vec::new() }
    }
}

#[derive(Serialize)]
pub(super) struct Call<'a> {
    id: &'a str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    index: u32,
    name: &'a str,
    arguments: Cow<'a, RawValue>,
}

impl<'a> Call<'a> {
    pub(super) fn new(index: u32, (id, name): (&'a str, &'a str), arguments: &'a str) -> Self {
        Self { id, function: Function { index, name, arguments: raw::arguments(arguments) } }
    }
}

/// What the last line adds. Durations are in nanoseconds and not known here; they are never 0 where clients
/// divide by them.
#[derive(Serialize)]
pub(super) struct End {
    done_reason: &'static str,
    total_duration: u64,
    load_duration: u64,
    prompt_eval_count: u64,
    prompt_eval_duration: u64,
    eval_count: u64,
    eval_duration: u64,
}

impl End {
    pub(super) fn new(finish: Finish, usage: Usage) -> Self {
        Self {
            done_reason: if finish == Finish::Length { "length" } else { "stop" },
            total_duration: 2,
            load_duration: 0,
            prompt_eval_count: usage.input,
            prompt_eval_duration: 1,
            eval_count: usage.output,
            eval_duration: 1,
        }
    }
}

/// Words a translated answer. The vendor knows one choice: the first is given.
#[must_use]
pub fn write_as(form: Form, answer: &Answer, wording: &Wording) -> Vec<u8> {
    let choice = match &answer.content {
        Content::Said { choices, .. } => choices.first(),
        Content::Verbatim { .. } | Content::Vectors(_) => None,
    };
    let mut message = Message::empty();
    for part in choice.iter().flat_map(|choice| &choice.parts) {
        match part {
            Part::Text { text, .. } => append(&mut message.content, text),
            Part::Reasoning { text, .. } => append(&mut message.thinking, text),
            Part::ToolCall(call) => {
                let index = u32::try_from(message.tool_calls.len()).unwrap_or(u32::MAX);
                message.tool_calls.push(Call::new(index, (&call.id, &call.name), &call.arguments));
            }
            Part::Image(_) | Part::ToolResult { .. } => {}
        }
    }
    let finish = choice.map_or(Finish::Stop, |choice| choice.finish);
    let line = Line {
        model: if answer.model.is_empty() { &wording.model } else { &answer.model },
        created_at: &rfc3339(wording.created),
        said: Said::new(form, message),
        done: true,
        end: Some(End::new(finish, answer.usage.unwrap_or_default())),
    };
    let mut out = Vec::with_capacity(512);
    raw::write(&mut out, &line);
    out
}

fn append<'a>(all: &mut Cow<'a, str>, more: &'a str) {
    if all.is_empty() {
        *all = Cow::Borrowed(more);
    } else {
        all.to_mut().push_str(more);
    }
}

/// Words an error, as a whole body or as a line.
#[must_use]
pub fn write_error(complaint: &Complaint) -> Vec<u8> {
    #[derive(Serialize)]
    struct Refusal<'a> {
        error: &'a str,
    }
    let mut out = Vec::with_capacity(96);
    raw::write(&mut out, &Refusal { error: &complaint.message });
    out
}

/// Seconds since 1970 as `2024-02-29T12:00:00Z` (the calendar by Howard Hinnant's `civil_from_days`).
#[must_use]
pub fn rfc3339(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400 + 719_468, seconds % 86_400);
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + u64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
}
