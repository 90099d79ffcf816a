//! Streams worded for callers who speak Ollama: one line per delta, tool calls whole, the finish in the last line.

use super::write::{Call, End, Form, Line, Message, Said, rfc3339, write_error};
use crate::dialect::calls::{Begun, Calls};
use crate::dialect::{Complaint, Wording, raw};
use crate::domain::chat::{Delta, Finish, Usage};
use std::borrow::Cow;

/// Words a stream, delta by delta.
#[derive(Debug)]
pub struct Writer {
    form: Form,
    model: String,
    created_at: String,
    /// Calls whose arguments are still coming.
    coming: Calls,
    /// Calls that have been written.
    calls: u32,
    usage: Usage,
    finish: Option<Finish>,
    started: bool,
    done: bool,
}

impl Writer {
    /// A stream that has not begun.
    #[must_use]
    pub fn with(form: Form, wording: Wording) -> Self {
        Self {
            form,
            model: wording.model.to_string(),
            created_at: rfc3339(wording.created),
            coming: Calls::default(),
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
                self.line(Message { content: Cow::Borrowed(text), ..Message::empty() }, None, out);
            }
            Delta::Reasoning { choice: 0, text, .. } if !text.is_empty() => {
                self.line(Message { thinking: Cow::Borrowed(text), ..Message::empty() }, None, out);
            }
            Delta::ToolCall { choice: 0, call, id, name } => self.coming.begin(*call, id, name),
            Delta::Arguments { choice: 0, call, fragment } => {
                self.coming.more(*call, fragment);
                while let Some(call) = self.coming.next_whole() {
                    self.call(&call, out);
                }
            }
            Delta::Finish { choice: 0, finish } => self.finish = Some(*finish),
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
        while let Some(call) = self.coming.next() {
            self.call(&call, out);
        }
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

    fn call(&mut self, Begun { id, name, arguments, .. }: &Begun, out: &mut Vec<u8>) {
        let call = Call::new(self.calls, (id, name), arguments);
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
