//! Anthropic's event stream, read event by event.
//!
//! ```text
//! message_start ─▶ (content_block_start ─▶ content_block_delta* ─▶ content_block_stop)* ─▶ message_delta ─▶ message_stop
//!                   ping and unknown events: anywhere, mean nothing · error: anywhere, ends it
//! ```

use super::answer::reported;
use super::wire::{Block, REDACTED, Tokens, Trouble, finish_of};
use crate::dialect::{Sign, raw};
use crate::domain::chat::{Delta, Finish};
use crate::domain::failure::Failure;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Blocks open at once; the vendor opens one at a time.
const BLOCKS_OPEN_MAX: usize = 64;

/// What has been read of a stream.
#[derive(Debug)]
pub struct Events {
    unwrap_tool: Option<String>,
    /// Blocks that have begun and not stopped, by index.
    open: Vec<(u32, Open)>,
    /// Tool calls seen, the unwrapped one not counted.
    calls: u32,
    /// Whether the structured answer has been seen.
    unwrapped: bool,
    tokens: Tokens,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    /// A tool call, and whether its input has begun.
    Call(u32, bool),
    /// The structured answer, which is text.
    Answer,
    Other,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    index: Option<u32>,
    message: Option<Start>,
    #[serde(borrow)]
    content_block: Option<Block<'a>>,
    delta: Option<Change>,
    #[serde(default, deserialize_with = "raw::sound")]
    usage: Option<Tokens>,
    error: Option<Trouble>,
}

#[derive(Deserialize)]
struct Start {
    #[serde(default)]
    id: String,
    #[serde(default)]
    model: String,
    #[serde(default, deserialize_with = "raw::sound")]
    usage: Option<Tokens>,
}

#[derive(Deserialize)]
struct Change {
    #[serde(rename = "type")]
    kind: Option<Known>,
    text: Option<String>,
    thinking: Option<String>,
    signature: Option<String>,
    partial_json: Option<String>,
    stop_reason: Option<String>,
}

/// Types of changes within a block.
#[derive(Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
enum Known {
    TextDelta,
    InputJsonDelta,
    ThinkingDelta,
    SignatureDelta,
    #[serde(other)]
    Other,
}

impl Events {
    /// Nothing has been read. Calls of the tool named `unwrap_tool` are the structured answer itself.
    #[must_use]
    pub fn new(unwrap_tool: Option<&str>) -> Self {
        Self {
            unwrap_tool: unwrap_tool.map(str::to_owned),
            open: Vec::new(),
            calls: 0,
            unwrapped: false,
            tokens: Tokens::default(),
        }
    }

    /// Reads one event and appends what it means.
    ///
    /// # Errors
    /// `ErrorInBody` for an error event; `Garbage` for what is not an event, which may be skipped.
    // Never inlined: what each dialect's parser has on its stack, the others' streams need not keep.
    #[inline(never)]
    pub fn read(
        &mut self,
        _event: Option<&str>,
        data: &str,
        deltas: &mut Vec<Delta>,
    ) -> Result<Sign, Failure> {
        let event: Event<'_> = serde_json::from_str(data).map_err(|_| raw::garbage())?;
        match &*event.kind {
            "content_block_delta" => {
                let (Some(index), Some(change)) = (event.index, event.delta) else {
                    return Err(raw::garbage());
                };
                self.change(index, change, deltas);
            }
            "content_block_start" => {
                let (Some(index), Some(block)) = (event.index, event.content_block) else {
                    return Err(raw::garbage());
                };
                self.start_block(index, block, deltas)?;
            }
            "content_block_stop" => self.end_block(event.index, deltas),
            "message_start" => {
                let Some(start) = event.message else { return Err(raw::garbage()) };
                deltas.push(Delta::Start { id: start.id, model: start.model });
                self.count(start.usage, deltas);
            }
            "message_delta" => {
                if let Some(reason) = event.delta.and_then(|delta| delta.stop_reason) {
                    deltas.push(Delta::Finish { choice: 0, finish: self.finish(&reason) });
                }
                self.count(event.usage, deltas);
            }
            "message_stop" => return Ok(Sign::End),
            "error" => return Err(reported(event.error.unwrap_or_default())),
            "" if event.error.is_some() => return Err(reported(event.error.unwrap_or_default())),
            "" => return Err(raw::garbage()),
            _ => {}
        }
        Ok(Sign::More)
    }

    fn finish(&self, reason: &str) -> Finish {
        match finish_of(reason) {
            Finish::ToolCalls if self.unwrapped && self.calls == 0 => Finish::Stop,
            finish => finish,
        }
    }

    /// Totals are cumulative: what comes later replaces what came earlier.
    fn count(&mut self, tokens: Option<Tokens>, deltas: &mut Vec<Delta>) {
        if let Some(tokens) = tokens {
            self.tokens = self.tokens.replaced_by(tokens);
            deltas.push(Delta::Usage(self.tokens.usage()));
        }
    }

    fn start_block(&mut self, index: u32, block: Block<'_>, deltas: &mut Vec<Delta>) -> Result<(), Failure> {
        self.open.retain(|(other, _)| *other != index);
        if self.open.len() >= BLOCKS_OPEN_MAX {
            return Err(raw::garbage());
        }
        let open = match &*block.kind {
            "tool_use" => self.start_call(block, deltas)?,
            "text" => {
                push_text(block.text, deltas);
                Open::Other
            }
            "thinking" => {
                push_reasoning(block.thinking, block.signature, deltas);
                Open::Other
            }
            "redacted_thinking" => {
                push_reasoning(None, block.data.map(|data| format!("{REDACTED}{data}")), deltas);
                Open::Other
            }
            _ => Open::Other,
        };
        self.open.push((index, open));
        Ok(())
    }

    /// A call that was given no input has an empty one: callers parse what they are given as JSON.
    fn end_block(&mut self, index: Option<u32>, deltas: &mut Vec<Delta>) {
        let ended = self.open.iter().position(|(open, _)| Some(*open) == index);
        if let Some((_, Open::Call(call, false))) = ended.map(|at| self.open.swap_remove(at)) {
            deltas.push(Delta::Arguments { choice: 0, call, fragment: "{}".to_owned() });
        }
    }

    /// A call begins; compatible servers may give its whole input at once.
    fn start_call(&mut self, block: Block<'_>, deltas: &mut Vec<Delta>) -> Result<Open, Failure> {
        let (Some(id), Some(name)) = (block.id, block.name) else { return Err(raw::garbage()) };
        let input = block.input.map(RawValue::get).filter(|input| input.len() > 2 && input.starts_with('{'));
        if self.unwrap_tool.as_deref() == Some(&name) {
            // A second structured answer would spoil the first: it is left unread.
            if std::mem::replace(&mut self.unwrapped, true) {
                return Ok(Open::Other);
            }
            push_text(input.map(str::to_owned), deltas);
            return Ok(Open::Answer);
        }
        let call = self.calls;
        self.calls += 1;
        deltas.push(Delta::ToolCall { choice: 0, call, id, name });
        if let Some(input) = input {
            deltas.push(Delta::Arguments { choice: 0, call, fragment: input.to_owned() });
        }
        Ok(Open::Call(call, input.is_some()))
    }

    fn change(&mut self, index: u32, change: Change, deltas: &mut Vec<Delta>) {
        match change.kind {
            Some(Known::TextDelta) => push_text(change.text, deltas),
            Some(Known::ThinkingDelta) => push_reasoning(change.thinking, None, deltas),
            Some(Known::SignatureDelta) => push_reasoning(None, change.signature, deltas),
            Some(Known::InputJsonDelta) => {
                let open = self.open.iter_mut().find(|(open, _)| *open == index).map(|(_, open)| open);
                match (open, change.partial_json) {
                    (Some(Open::Call(call, begun)), Some(fragment)) if !fragment.is_empty() => {
                        *begun = true;
                        deltas.push(Delta::Arguments { choice: 0, call: *call, fragment });
                    }
                    (Some(Open::Answer), text) => push_text(text, deltas),
                    _ => {}
                }
            }
            Some(Known::Other) | None => {}
        }
    }
}

fn push_text(text: Option<String>, deltas: &mut Vec<Delta>) {
    if let Some(text) = text.filter(|text| !text.is_empty()) {
        deltas.push(Delta::Text { choice: 0, text });
    }
}

fn push_reasoning(text: Option<String>, signature: Option<String>, deltas: &mut Vec<Delta>) {
    let text = text.unwrap_or_default();
    let signature = signature.filter(|signature| !signature.is_empty());
    if !text.is_empty() || signature.is_some() {
        deltas.push(Delta::Reasoning { choice: 0, text, signature });
    }
}
