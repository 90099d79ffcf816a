//! Streams worded for callers who speak Anthropic.
//!
//! The opening event waits for the first content, so that the provider's id and its count of input tokens are in
//! it; the finish waits for the end, so that the final count is beside it. One block is open at a time: a tool call
//! that begins before another one is whole waits for it.

use super::wire::{
    BlockWritten, REDACTED, TokensWritten, stop_reason_of, text_block, thinking_block, tool_id,
};
use super::write::{message_id, write_error};
use crate::dialect::calls::{Begun, Calls, Nesting};
use crate::dialect::{Complaint, Wording, raw};
use crate::domain::chat::{Delta, Finish, Usage};
use serde::Serialize;

/// Words a stream, delta by delta.
#[derive(Debug)]
pub struct Writer {
    wording: Wording,
    id: String,
    model: String,
    started: bool,
    /// The index the next block gets.
    next: u32,
    open: Option<(u32, Kind)>,
    /// Tool calls that wait until the open one is whole.
    waiting: Calls,
    usage: Usage,
    finish: Option<Finish>,
    /// Whether the caller has had the event with the finish, and the one that ends the stream.
    finished: bool,
    stopped: bool,
}

/// What kind of block is open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// Begun by a frame passed through, and nothing has been said in it yet.
    Fresh,
    Text,
    Thinking {
        signed: bool,
    },
    Call {
        call: u32,
        nesting: Nesting,
    },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Event<'a> {
    MessageStart { message: Start<'a> },
    ContentBlockStart { index: u32, content_block: BlockWritten<'a> },
    ContentBlockDelta { index: u32, delta: Change<'a> },
    ContentBlockStop { index: u32 },
    MessageDelta { delta: End, usage: TokensWritten },
    MessageStop,
    Ping,
}

#[derive(Serialize)]
struct Start<'a> {
    id: &'a str,
    #[serde(rename = "type")]
    kind: &'static str,
    role: &'static str,
    model: &'a str,
    content: [(); 0],
    stop_reason: Option<()>,
    stop_sequence: Option<()>,
    usage: TokensWritten,
}

#[derive(Serialize)]
#[serde(tag = "type")]
enum Change<'a> {
    #[serde(rename = "text_delta")]
    Text { text: &'a str },
    #[serde(rename = "thinking_delta")]
    Thinking { thinking: &'a str },
    #[serde(rename = "signature_delta")]
    Signature { signature: &'a str },
    #[serde(rename = "input_json_delta")]
    Arguments { partial_json: &'a str },
}

#[derive(Serialize)]
struct End {
    stop_reason: &'static str,
    stop_sequence: Option<()>,
}

impl Writer {
    /// A stream that has not begun.
    #[must_use]
    pub fn new(wording: Wording) -> Self {
        Self {
            id: message_id("", &wording),
            model: wording.model.to_string(),
            wording,
            started: false,
            next: 0,
            open: None,
            waiting: Calls::default(),
            usage: Usage::default(),
            finish: None,
            finished: false,
            stopped: false,
        }
    }

    /// Appends what one delta is. Only the first choice is written: the vendor knows one.
    pub fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Start { id, model } => self.introduce(id, model),
            Delta::Text { choice: 0, text } => {
                let index = self.text_block(out);
                change(index, Change::Text { text }, out);
            }
            Delta::Reasoning { choice: 0, text, signature } => {
                self.reasoning(text, signature.as_deref(), out);
            }
            Delta::ToolCall { choice: 0, call, id, name } => {
                self.waiting.begin(*call, id, name);
                self.take_turns(out);
            }
            Delta::Arguments { choice: 0, call, fragment } if !fragment.is_empty() => {
                self.arguments(*call, fragment, out);
            }
            Delta::Finish { choice: 0, finish } => self.finish = Some(*finish),
            Delta::Usage(usage) => self.usage = *usage,
            _ => {}
        }
    }

    /// Takes note of a frame that was passed through untouched, by its deltas alone.
    pub fn saw(&mut self, deltas: &[Delta]) {
        // After the finish only `message_stop` comes, and it means nothing but the end.
        self.stopped |= self.finished && deltas.is_empty();
        for delta in deltas {
            self.note(delta);
        }
    }

    /// The same with the frame at hand: block boundaries, which have no deltas, are seen too.
    pub fn saw_verbatim(&mut self, frame: &[u8], deltas: &[Delta]) {
        let line = frame.split(|byte| matches!(byte, b'\n' | b'\r')).next().unwrap_or_default();
        match line.strip_prefix(b"event:").map(<[u8]>::trim_ascii) {
            Some(b"content_block_start") => {
                self.open = Some((self.next, Kind::Fresh));
                self.next += 1;
            }
            Some(b"content_block_stop") => self.open = None,
            Some(b"message_stop") => self.stopped = true,
            Some(b"ping") => return,
            _ => {}
        }
        self.saw(deltas);
    }

    /// Appends what is still owed of a complete stream.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if self.stopped {
            return;
        }
        if !self.finished {
            self.start(out);
            while self.next_call(out) {}
            self.close(out);
            let stop_reason = stop_reason_of(self.finish.unwrap_or(Finish::Stop));
            let delta = End { stop_reason, stop_sequence: None };
            event("message_delta", &Event::MessageDelta { delta, usage: self.usage.into() }, out);
            self.finished = true;
        }
        event("message_stop", &Event::MessageStop, out);
        self.stopped = true;
    }

    /// Appends the error event; no end follows it.
    pub fn failure(&mut self, complaint: &Complaint, out: &mut Vec<u8>) {
        self.stopped = true;
        out.extend_from_slice(b"event: error\ndata: ");
        out.extend_from_slice(&write_error(complaint));
        out.extend_from_slice(b"\n\n");
    }

    /// Appends a ping.
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {
        event("ping", &Event::Ping, out);
    }

    fn introduce(&mut self, id: &str, model: &str) {
        if !self.started {
            self.id = message_id(id, &self.wording);
            if !model.is_empty() {
                model.clone_into(&mut self.model);
            }
        }
    }

    fn start(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.started, true) {
            return;
        }
        let message = Start {
            id: &self.id,
            kind: "message",
            role: "assistant",
            model: &self.model,
            content: [],
            stop_reason: None,
            stop_sequence: None,
            usage: self.usage.into(),
        };
        event("message_start", &Event::MessageStart { message }, out);
    }

    /// Begins a block, after the one before it is closed.
    fn begin(&mut self, kind: Kind, block: BlockWritten<'_>, out: &mut Vec<u8>) -> u32 {
        self.start(out);
        self.close(out);
        let index = self.next;
        self.next += 1;
        self.open = Some((index, kind));
        let start = Event::ContentBlockStart { index, content_block: block };
        event("content_block_start", &start, out);
        index
    }

    fn close(&mut self, out: &mut Vec<u8>) {
        if let Some((index, _)) = self.open.take() {
            event("content_block_stop", &Event::ContentBlockStop { index }, out);
        }
    }

    fn text_block(&mut self, out: &mut Vec<u8>) -> u32 {
        match self.open {
            Some((index, Kind::Text)) => index,
            _ => self.begin(Kind::Text, text_block(""), out),
        }
    }

    fn arguments(&mut self, call: u32, fragment: &str, out: &mut Vec<u8>) {
        match &mut self.open {
            Some((index, Kind::Call { call: open, nesting })) if *open == call => {
                nesting.feed(fragment);
                change(*index, Change::Arguments { partial_json: fragment }, out);
                self.take_turns(out);
            }
            _ => drop(self.waiting.more(call, fragment)),
        }
    }

    /// Begins the calls whose turn it is: nothing may come between a call and the rest of it.
    fn take_turns(&mut self, out: &mut Vec<u8>) {
        let calling = |open| matches!(open, Some((_, Kind::Call { nesting, .. })) if !nesting.is_whole());
        while !calling(self.open) && self.next_call(out) {}
    }

    /// Begins the call that waits the longest, with as much of it as has come; `false` when none does.
    fn next_call(&mut self, out: &mut Vec<u8>) -> bool {
        let Some(Begun { call, id, name, arguments, nesting }) = self.waiting.next() else { return false };
        let block = BlockWritten::ToolUse { id: tool_id(&id), name: &name, input: raw::arguments("") };
        let index = self.begin(Kind::Call { call, nesting }, block, out);
        if !arguments.is_empty() {
            change(index, Change::Arguments { partial_json: &arguments }, out);
        }
        true
    }

    fn reasoning(&mut self, text: &str, signature: Option<&str>, out: &mut Vec<u8>) {
        if let Some(redacted) = signature.filter(|signature| signature.starts_with(REDACTED)) {
            self.begin(Kind::Thinking { signed: true }, thinking_block("", redacted), out);
            return;
        }
        let index = match self.open {
            Some((index, Kind::Thinking { signed: false })) => index,
            _ => self.begin(Kind::Thinking { signed: false }, thinking_block("", ""), out),
        };
        if !text.is_empty() {
            change(index, Change::Thinking { thinking: text }, out);
        }
        if let Some(signature) = signature {
            change(index, Change::Signature { signature }, out);
            self.open = Some((index, Kind::Thinking { signed: true }));
        }
    }

    fn note(&mut self, delta: &Delta) {
        match delta {
            Delta::Start { id, model } => {
                self.introduce(id, model);
                self.started = true;
            }
            Delta::Text { .. } => self.adopt(Kind::Text),
            Delta::Reasoning { signature, .. } => {
                let signed = signature.is_some();
                if let Some((_, Kind::Thinking { signed: open @ false })) = &mut self.open {
                    *open = signed;
                } else {
                    self.adopt(Kind::Thinking { signed });
                }
            }
            Delta::ToolCall { call, .. } => self.adopt(Kind::Call { call: *call, nesting: Nesting::WHOLE }),
            Delta::Arguments { .. } => {}
            Delta::Finish { finish, .. } => {
                self.finish = Some(*finish);
                self.finished = true;
                self.open = None;
            }
            Delta::Usage(usage) => self.usage = *usage,
        }
    }

    /// A block of this kind is being written to: the open one if it can be, else a new one.
    fn adopt(&mut self, kind: Kind) {
        self.started = true;
        match &mut self.open {
            Some((_, open)) if *open == Kind::Fresh => *open = kind,
            Some((_, Kind::Text)) if kind == Kind::Text => {}
            open => {
                *open = Some((self.next, kind));
                self.next += 1;
            }
        }
    }
}

fn change(index: u32, delta: Change<'_>, out: &mut Vec<u8>) {
    event("content_block_delta", &Event::ContentBlockDelta { index, delta }, out);
}

fn event(name: &str, event: &Event<'_>, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    raw::write(out, event);
    out.extend_from_slice(b"\n\n");
}
