//! Streams in OpenAI's words, chunk by chunk, for callers of chat and of legacy completions.

use super::super::{Complaint, Wording, json};
use super::encode::push_call;
use super::errors::write_error;
use super::write::{Form, finish_word, head, push_detail, push_usage};
use crate::domain::chat::{Delta, Finish, ToolCall, Usage};

/// A comment: it means nothing, and shows that the connection lives.
pub const KEEP_ALIVE: &[u8] = b": keep-alive\n\n";

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
                        .unwrap_or_else(|| self.wording.model.to_string()),
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
