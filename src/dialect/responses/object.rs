//! The `response` object and its items: the whole answer, and what a stream's first and last events carry.

use super::{OUR_ITEM, OURS};
use crate::dialect::{Wording, openai::short_id, raw};
use crate::domain::chat::{Answer, Content, Finish, Part, Usage};
use serde::Serialize;
use serde_json::value::RawValue;

/// One item of the output, as far as it has come.
#[derive(Debug)]
pub(super) struct Held {
    pub id: String,
    pub kind: Kind,
    /// The text, the thoughts, or the arguments.
    pub text: String,
    pub stage: Stage,
    /// Its place in the output.
    pub at: usize,
    /// The item as a provider of this dialect told it: when it ended, or, of what only he can end, when it began.
    pub whole: Option<Box<RawValue>>,
}

/// What an item is.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Message,
    Reasoning {
        signature: Option<String>,
    },
    Call {
        call: u32,
        id: String,
        name: String,
    },
    /// What passes as it is, and nobody here goes on with.
    Foreign,
}

/// What an item's events have told of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Stage {
    /// That there is one.
    Bare,
    /// The beginning of its part.
    Open,
    /// All of its text.
    Said,
    /// The end of its part.
    Shut,
    /// Its end.
    Done,
}

impl Held {
    /// The item of this place in the output, with nothing in it.
    pub(super) fn new(kind: Kind, request_id: &str, at: usize) -> Self {
        let prefix = match kind {
            Kind::Message => "msg_",
            Kind::Reasoning { .. } => OUR_ITEM,
            Kind::Call { .. } | Kind::Foreign => "fc_",
        };
        // The vendor takes ids of at most 64 letters, and may be sent this one.
        let id = format!("{prefix}{}_{at}", short_id(request_id));
        Self { id, kind, text: String::new(), stage: Stage::Bare, at, whole: None }
    }

    /// As it is written.
    pub(super) fn item(&self) -> Item<'_> {
        let done = self.stage == Stage::Done;
        if let Some(whole) = self.whole.as_deref().filter(|_| done || self.kind == Kind::Foreign) {
            return Item::Told(whole);
        }
        let status = if done { "completed" } else { "in_progress" };
        let id = self.id.as_str();
        match &self.kind {
            Kind::Message => {
                let content = if done { vec![Written::of(&self.text)] } else { Vec::new() };
                Item::Message { id, status, role: "assistant", content }
            }
            Kind::Reasoning { signature } => {
                let summary = if done && !self.text.is_empty() {
                    vec![Summary::SummaryText { text: &self.text }]
                } else {
                    Vec::new()
                };
                let encrypted_content = signature.as_ref().map(|signature| format!("{OURS}{signature}"));
                Item::Reasoning { id, summary, encrypted_content }
            }
            Kind::Call { id: call_id, name, .. } => {
                let arguments = match (done, self.text.as_str()) {
                    (true, "") => "{}",
                    (true, text) => text,
                    (false, _) => "",
                };
                Item::FunctionCall { id, status, call_id, name, arguments }
            }
            // It came with all of it.
            Kind::Foreign => Item::Message { id, status, role: "assistant", content: Vec::new() },
        }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Item<'a> {
    Message {
        id: &'a str,
        status: &'static str,
        role: &'static str,
        content: Vec<Written<'a>>,
    },
    Reasoning {
        id: &'a str,
        summary: Vec<Summary<'a>>,
        #[serde(skip_serializing_if = "Option::is_none")]
        encrypted_content: Option<String>,
    },
    FunctionCall {
        id: &'a str,
        status: &'static str,
        call_id: &'a str,
        name: &'a str,
        arguments: &'a str,
    },
    #[serde(untagged)]
    Told(&'a RawValue),
}

#[derive(Serialize)]
pub(super) struct Written<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    text: &'a str,
    annotations: [(); 0],
    logprobs: [(); 0],
}

impl<'a> Written<'a> {
    pub(super) fn of(text: &'a str) -> Self {
        Self { kind: "output_text", text, annotations: [], logprobs: [] }
    }
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Summary<'a> {
    SummaryText { text: &'a str },
}

/// How far an answer has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Status<'a> {
    InProgress,
    Ended(Finish),
    Failed { code: &'a str, message: &'a str },
}

impl Status<'_> {
    /// The vendor's word; also the event's.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Ended(Finish::Length | Finish::ContentFilter) => "incomplete",
            Self::Ended(Finish::Stop | Finish::ToolCalls) => "completed",
            Self::Failed { .. } => "failed",
        }
    }
}

/// The whole answer. Parameters of the request stand at their defaults: they are not repeated.
#[derive(Serialize)]
pub(super) struct Response<'a> {
    id: &'a str,
    object: &'static str,
    created_at: u64,
    status: &'static str,
    background: bool,
    error: Option<Trouble<'a>>,
    incomplete_details: Option<Incomplete>,
    instructions: Option<()>,
    max_output_tokens: Option<u64>,
    model: &'a str,
    output: Vec<Item<'a>>,
    parallel_tool_calls: bool,
    previous_response_id: Option<()>,
    store: bool,
    temperature: Option<f64>,
    text: Shape,
    tool_choice: &'static str,
    tools: [(); 0],
    top_p: Option<f64>,
    truncation: &'static str,
    usage: Option<Tokens>,
    metadata: Nothing,
}

#[derive(Serialize)]
struct Trouble<'a> {
    code: &'a str,
    message: &'a str,
}

#[derive(Serialize)]
struct Incomplete {
    reason: &'static str,
}

#[derive(Serialize)]
struct Shape {
    format: Plain,
}

#[derive(Serialize)]
struct Plain {
    #[serde(rename = "type")]
    kind: &'static str,
}

#[derive(Serialize)]
struct Nothing {}

#[derive(Serialize)]
struct Tokens {
    input_tokens: u64,
    input_tokens_details: Cached,
    output_tokens: u64,
    output_tokens_details: Thought,
    total_tokens: u64,
}

#[derive(Serialize)]
struct Cached {
    cached_tokens: u64,
}

#[derive(Serialize)]
struct Thought {
    reasoning_tokens: u64,
}

impl From<Usage> for Tokens {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input,
            input_tokens_details: Cached { cached_tokens: usage.cached },
            output_tokens: usage.output,
            output_tokens_details: Thought { reasoning_tokens: usage.reasoning },
            total_tokens: usage.input + usage.output,
        }
    }
}

impl<'a> Response<'a> {
    pub(super) fn new(
        (id, created_at, model): (&'a str, u64, &'a str),
        (output, usage): (&'a [Held], Option<Usage>),
        status: Status<'a>,
    ) -> Self {
        let error = match status {
            Status::Failed { code, message } => Some(Trouble { code, message }),
            _ => None,
        };
        let reason = match status {
            Status::Ended(Finish::Length) => Some("max_output_tokens"),
            Status::Ended(Finish::ContentFilter) => Some("content_filter"),
            _ => None,
        };
        Self {
            id,
            object: "response",
            created_at,
            status: status.word(),
            background: false,
            error,
            incomplete_details: reason.map(|reason| Incomplete { reason }),
            instructions: None,
            max_output_tokens: None,
            model,
            output: output.iter().map(Held::item).collect(),
            parallel_tool_calls: true,
            previous_response_id: None,
            store: false,
            temperature: None,
            text: Shape { format: Plain { kind: "text" } },
            tool_choice: "auto",
            tools: [],
            top_p: None,
            truncation: "disabled",
            usage: usage.map(Tokens::from),
            metadata: Nothing {},
        }
    }
}

/// The id of an answer of ours.
pub(super) fn id_of(wording: &Wording) -> String {
    format!("resp_{}", wording.request_id)
}

/// Words a complete answer. The vendor knows one choice here: the first is given.
#[must_use]
pub fn write_answer(answer: &Answer, wording: &Wording) -> Vec<u8> {
    let choice = match &answer.content {
        Content::Said { choices, .. } => choices.first(),
        Content::Verbatim { .. } | Content::Vectors(_) => None,
    };
    let mut output: Vec<Held> = Vec::new();
    for part in choice.iter().flat_map(|choice| &choice.parts) {
        let (kind, text) = match part {
            Part::Text { text, .. } => (Kind::Message, text),
            Part::Reasoning { text, signature } => (Kind::Reasoning { signature: signature.clone() }, text),
            Part::ToolCall(call) => {
                (Kind::Call { call: 0, id: call.id.clone(), name: call.name.clone() }, &call.arguments)
            }
            Part::Image(_) | Part::ToolResult { .. } => continue,
        };
        match output.last_mut() {
            Some(last) if last.kind == Kind::Message && kind == Kind::Message => last.text.push_str(text),
            _ => {
                let place = output.len();
                let held = Held::new(kind, &wording.request_id, place);
                output.push(Held { text: text.clone(), stage: Stage::Done, ..held });
            }
        }
    }
    let finish = choice.map_or(Finish::Stop, |choice| choice.finish);
    let mut out = Vec::with_capacity(1024);
    let id = id_of(wording);
    let model = if answer.model.is_empty() { &*wording.model } else { &answer.model };
    let face = (id.as_str(), wording.created, model);
    let response = Response::new(face, (&output, answer.usage), Status::Ended(finish));
    raw::write(&mut out, &response);
    out
}
