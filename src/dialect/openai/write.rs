//! Answers in OpenAI's words, whole and streamed, for callers of chat and of legacy completions.

use super::super::json;
use super::super::{Complaint, Wording};
use super::encode::push_call;
use super::errors::write_error;
use crate::domain::chat::{Answer, Choice, Content, Delta, Finish, Part, ToolCall, Usage};

/// A comment: it means nothing, and shows that the connection lives.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

/// Which of the two forms.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// `chat.completion` and its chunks.
    Chat,
    /// `text_completion`.
    Completion,
}

impl Form {
    fn id_prefix(self) -> &'static str {
        match self {
            Self::Chat => "chatcmpl-",
            Self::Completion => "cmpl-",
        }
    }

    fn object(self, streamed: bool) -> &'static str {
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
pub fn text_of(choice: &Choice) -> String {
    let texts = choice.parts.iter().filter_map(|part| match part {
        Part::Text { text, .. } => Some(text.as_str()),
        _ => None,
    });
    texts.collect()
}

/// Words a complete answer.
#[must_use]
pub fn write_as(form: Form, answer: &Answer, wording: &Wording) -> Vec<u8> {
    let model = if answer.model.is_empty() { &wording.model } else { &answer.model };
    let id = format!("{}{}", form.id_prefix(), wording.request_id);
    let mut out = Vec::with_capacity(512);
    head(&mut out, (&id, model), wording.created, form.object(false));
    out.push(b'[');
    if let Content::Said { choices, .. } = &answer.content {
        for (index, choice) in choices.iter().enumerate() {
            if index > 0 {
                out.push(b',');
            }
            out.extend_from_slice(b"{\"index\":");
            json::push(&mut out, &index);
            match form {
                Form::Chat => push_message(&mut out, choice),
                Form::Completion => {
                    out.extend_from_slice(b",\"text\":");
                    json::push(&mut out, &text_of(choice));
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
fn head(out: &mut Vec<u8>, (id, model): (&str, &str), created: u64, object: &str) {
    out.extend_from_slice(b"{\"id\":");
    json::push(out, id);
    out.extend_from_slice(b",\"object\":\"");
    out.extend_from_slice(object.as_bytes());
    out.extend_from_slice(b"\",\"created\":");
    json::push(out, &created);
    out.extend_from_slice(b",\"model\":");
    json::push(out, model);
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
        json::push(out, &text);
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
        json::push(out, &all);
    }
    if !details.is_empty() {
        out.extend_from_slice(b",\"reasoning_details\":");
        out.extend_from_slice(&details);
        out.push(b']');
    }
}

fn push_detail(out: &mut Vec<u8>, text: &str, signature: &str) {
    out.extend_from_slice(b"{\"type\":\"reasoning.text\",\"text\":");
    json::push(out, text);
    out.extend_from_slice(b",\"signature\":");
    json::push(out, signature);
    out.push(b'}');
}

/// The `usage` object.
pub fn push_usage(out: &mut Vec<u8>, usage: Usage) {
    let mut number = |name: &str, value: u64| {
        out.extend_from_slice(name.as_bytes());
        json::push(out, &value);
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

/// Words a stream. Translated chunks are written one by one; after verbatim ones it goes on with their id.
#[derive(Debug)]
pub struct Writer {
    form: Form,
    wording: Wording,
    /// Everything of a chunk up to its choices; made when the first one is written.
    prefix: Vec<u8>,
    /// The provider's own id and model, when its frames went out as they were.
    seen: Option<(String, String)>,
    /// The model as the translated stream names it.
    model: Option<String>,
    choices: Vec<State>,
    usage: Option<Usage>,
    /// Whether the caller has the usage already.
    usage_written: bool,
}

/// What a choice has come to.
#[derive(Debug, Clone, Copy)]
struct State {
    choice: u32,
    finished: bool,
    called: bool,
}

impl Writer {
    /// For a caller of either form.
    #[must_use]
    pub fn with(form: Form, wording: Wording) -> Self {
        Self {
            form,
            wording,
            prefix: Vec::new(),
            seen: None,
            model: None,
            choices: Vec::new(),
            usage: None,
            usage_written: false,
        }
    }

    /// Notes what a frame meant that went out as it was.
    pub fn saw(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            match delta {
                Delta::Start { id, model } => {
                    self.seen.get_or_insert_with(|| (id.clone(), model.clone()));
                }
                Delta::Usage(usage) => {
                    self.usage = Some(*usage);
                    self.usage_written = true;
                }
                Delta::Text { choice, .. }
                | Delta::Reasoning { choice, .. }
                | Delta::Arguments { choice, .. } => {
                    self.state(*choice);
                }
                Delta::ToolCall { choice, .. } => self.state(*choice).called = true,
                Delta::Finish { choice, .. } => self.state(*choice).finished = true,
            }
        }
    }

    /// Appends what one event is to the caller.
    pub fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Start { model, .. } => {
                self.model.get_or_insert_with(|| model.clone());
            }
            Delta::Usage(usage) => {
                self.usage = Some(*usage);
                self.usage_written = false;
            }
            Delta::Text { choice, text } => match self.form {
                Form::Chat => self.said(*choice, "content", text, out),
                Form::Completion => self.completion(*choice, text, None, out),
            },
            Delta::Finish { choice, finish } => self.finish(*choice, *finish, out),
            _ if self.form == Form::Completion => {}
            Delta::Reasoning { choice, text, signature } => {
                if !text.is_empty() {
                    self.said(*choice, "reasoning_content", text, out);
                }
                if let Some(signature) = signature {
                    self.chunk(*choice, out, |out| {
                        out.extend_from_slice(b"\"reasoning_details\":[");
                        push_detail(out, "", signature);
                        out.push(b']');
                    });
                }
            }
            Delta::ToolCall { choice, call, id, name } => {
                self.chunk(*choice, out, |out| {
                    out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                    json::push(out, call);
                    // The rest of a call, whole but for its arguments: the brace is ours already.
                    let begun = ToolCall { id: id.clone(), name: name.clone(), arguments: String::new() };
                    let mut whole = Vec::new();
                    push_call(&mut whole, &begun, id);
                    out.push(b',');
                    out.extend_from_slice(&whole[1..]);
                    out.push(b']');
                });
                self.state(*choice).called = true;
            }
            Delta::Arguments { choice, call, fragment } => self.chunk(*choice, out, |out| {
                out.extend_from_slice(b"\"tool_calls\":[{\"index\":");
                json::push(out, call);
                out.extend_from_slice(b",\"function\":{\"arguments\":");
                json::push(out, fragment);
                out.extend_from_slice(b"}}]");
            }),
        }
    }

    /// Appends what is still owed: finishes, usage if asked for, and the end mark.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.choices.is_empty() {
            self.state(0);
        }
        for state in self.choices.clone() {
            if !state.finished {
                let finish = if state.called { Finish::ToolCalls } else { Finish::Stop };
                self.finish(state.choice, finish, out);
            }
        }
        if let (Some(usage), true, false) = (self.usage, self.wording.include_usage, self.usage_written) {
            self.begin(out);
            out.extend_from_slice(b"[],\"usage\":");
            push_usage(out, usage);
            out.extend_from_slice(b"}\n\n");
            self.usage_written = true;
        }
        out.extend_from_slice(b"data: [DONE]\n\n");
    }

    /// Appends an error frame; nothing follows it.
    pub fn failure(&mut self, complaint: &Complaint, out: &mut Vec<u8>) {
        out.extend_from_slice(b"data: ");
        out.extend_from_slice(&write_error(complaint));
        out.extend_from_slice(b"\n\n");
    }

    /// Appends a comment.
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(KEEP_ALIVE);
    }

    fn state(&mut self, choice: u32) -> &mut State {
        let known = self.choices.iter().position(|state| state.choice == choice);
        let at = known.unwrap_or_else(|| {
            self.choices.push(State { choice, finished: false, called: false });
            self.choices.len() - 1
        });
        &mut self.choices[at]
    }

    /// A chunk up to the value of its choices.
    fn begin(&mut self, out: &mut Vec<u8>) {
        if self.prefix.is_empty() {
            let (id, model) = match &self.seen {
                Some((id, model)) => (id.clone(), model.clone()),
                None => (
                    format!("{}{}", self.form.id_prefix(), self.wording.request_id),
                    self.model
                        .clone()
                        .filter(|model| !model.is_empty())
                        .unwrap_or_else(|| self.wording.model.clone()),
                ),
            };
            self.prefix.extend_from_slice(b"data: ");
            head(&mut self.prefix, (&id, &model), self.wording.created, self.form.object(true));
        }
        out.extend_from_slice(&self.prefix);
    }

    fn said(&mut self, choice: u32, name: &str, text: &str, out: &mut Vec<u8>) {
        self.chunk(choice, out, |out| {
            json::push(out, name);
            out.push(b':');
            json::push(out, text);
        });
    }

    /// A chunk with one delta, after the role chunk if it is the choice's first.
    fn chunk(&mut self, choice: u32, out: &mut Vec<u8>, delta: impl FnOnce(&mut Vec<u8>)) {
        // Who saw a verbatim beginning has seen the first choice's role chunk.
        let known = self.choices.iter().any(|state| state.choice == choice) || self.seen.is_some();
        self.state(choice);
        if !known {
            self.wrap(choice, None, out, |out| {
                out.extend_from_slice(b"\"role\":\"assistant\",\"content\":\"\"")
            });
        }
        self.wrap(choice, None, out, delta);
    }

    fn wrap(
        &mut self,
        choice: u32,
        finish: Option<Finish>,
        out: &mut Vec<u8>,
        delta: impl FnOnce(&mut Vec<u8>),
    ) {
        self.begin(out);
        out.extend_from_slice(b"[{\"index\":");
        json::push(out, &choice);
        out.extend_from_slice(b",\"delta\":{");
        delta(out);
        out.extend_from_slice(b"},\"logprobs\":null,\"finish_reason\":");
        json::push(out, &finish.map(finish_word));
        out.extend_from_slice(b"}]}\n\n");
    }

    fn completion(&mut self, choice: u32, text: &str, finish: Option<Finish>, out: &mut Vec<u8>) {
        self.state(choice);
        self.begin(out);
        out.extend_from_slice(b"[{\"index\":");
        json::push(out, &choice);
        out.extend_from_slice(b",\"text\":");
        json::push(out, text);
        out.extend_from_slice(b",\"logprobs\":null,\"finish_reason\":");
        json::push(out, &finish.map(finish_word));
        out.extend_from_slice(b"}]}\n\n");
    }

    fn finish(&mut self, choice: u32, finish: Finish, out: &mut Vec<u8>) {
        if self.choices.iter().any(|state| state.choice == choice && state.finished) {
            return;
        }
        match self.form {
            Form::Completion => self.completion(choice, "", Some(finish), out),
            Form::Chat => {
                if !self.choices.iter().any(|state| state.choice == choice) {
                    self.chunk(choice, out, |out| out.extend_from_slice(b"\"content\":\"\""));
                }
                self.wrap(choice, Some(finish), out, |_| {});
            }
        }
        self.state(choice).finished = true;
    }
}
