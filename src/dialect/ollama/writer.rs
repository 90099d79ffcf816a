//! Streams worded for callers who speak Ollama: one line per delta, tool calls whole, the finish in the last line.

use super::write::{Call, End, Form, Line, Message, Said, rfc3339, write_error};
use crate::dialect::{Complaint, Wording, raw};
use crate::domain::chat::{Delta, Finish, Usage};
use std::borrow::Cow;

/// Arguments of one call that are kept until it is whole; what goes beyond is not.
const ARGUMENTS_BYTES_MAX: usize = 8 << 20;

/// Words a stream, delta by delta.
#[derive(Debug)]
pub struct Writer {
    form: Form,
    model: String,
    created_at: String,
    /// The call whose arguments are still coming.
    pending: Option<Pending>,
    calls: u32,
    usage: Usage,
    finish: Option<Finish>,
    started: bool,
    done: bool,
}

#[derive(Debug)]
struct Pending {
    call: u32,
    id: String,
    name: String,
    arguments: String,
}

impl Writer {
    /// A stream that has not begun.
    #[must_use]
    pub fn with(form: Form, wording: Wording) -> Self {
        Self {
            form,
            model: wording.model.to_string(),
            created_at: rfc3339(wording.created),
            pending: None,
            calls: 0,
            usage: Usage::default(),
            finish: None,
            started: false,
            done: false,
        }
    }

    /// Appends what one delta is. Only the first choice is written: the vendor knows one.
    pub fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Start { model, .. } if !self.started && !model.is_empty() => {
                model.clone_into(&mut self.model)
            }
            Delta::Text { choice: 0, text } => {
                self.flush(out);
                self.line(Message { content: Cow::Borrowed(text), ..Message::empty() }, None, out);
            }
            Delta::Reasoning { choice: 0, text, .. } if !text.is_empty() => {
                self.flush(out);
                self.line(Message { thinking: Cow::Borrowed(text), ..Message::empty() }, None, out);
            }
            Delta::ToolCall { choice: 0, call, id, name } => {
                self.flush(out);
                let (id, name) = (id.clone(), name.clone());
                self.pending = Some(Pending { call: *call, id, name, arguments: String::new() });
            }
            Delta::Arguments { choice: 0, call, fragment } => {
                if let Some(pending) = self.pending.as_mut().filter(|pending| pending.call == *call)
                    && pending.arguments.len() + fragment.len() <= ARGUMENTS_BYTES_MAX
                {
                    pending.arguments.push_str(fragment);
                }
            }
            Delta::Finish { choice: 0, finish } => {
                self.flush(out);
                self.finish = Some(*finish);
            }
            Delta::Usage(usage) => self.usage = *usage,
            _ => {}
        }
    }

    /// Takes note of a frame that was passed through untouched. The line with the finish is the last one.
    pub fn saw(&mut self, deltas: &[Delta]) {
        for delta in deltas {
            self.started = true;
            match delta {
                Delta::Start { model, .. } if !model.is_empty() => model.clone_into(&mut self.model),
                Delta::ToolCall { .. } => self.calls += 1,
                Delta::Finish { .. } => self.done = true,
                Delta::Usage(usage) => self.usage = *usage,
                _ => {}
            }
        }
    }

    /// Appends what is still owed of a complete stream.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.done {
            return;
        }
        self.flush(out);
        let end = End::new(self.finish.unwrap_or(Finish::Stop), self.usage);
        self.line(Message::empty(), Some(end), out);
        self.done = true;
    }

    /// Appends the error line; no end follows it.
    pub fn failure(&mut self, complaint: &Complaint, out: &mut Vec<u8>) {
        self.done = true;
        out.extend_from_slice(&write_error(complaint));
        out.push(b'\n');
    }

    /// Nothing: there is no line that means nothing here.
    pub fn keep_alive(&mut self, _out: &mut Vec<u8>) {}

    /// Writes the call that is whole now.
    fn flush(&mut self, out: &mut Vec<u8>) {
        let Some(Pending { id, name, arguments, .. }) = self.pending.take() else { return };
        let call = Call::new(self.calls, (&id, &name), &arguments);
        self.calls += 1;
        self.line(Message { tool_calls: vec![call], ..Message::empty() }, None, out);
    }

    fn line(&mut self, message: Message<'_>, end: Option<End>, out: &mut Vec<u8>) {
        self.started = true;
        let done = end.is_some();
        let said = Said::new(self.form, message);
        let line = Line { model: &self.model, created_at: &self.created_at, said, done, end };
        raw::write(out, &line);
        out.push(b'\n');
    }
}
