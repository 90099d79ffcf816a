//! A conversation as Anthropic wants it: instructions apart, turns alternating, tool results first.

use super::wire::{BlockWritten, SourceWritten, text_block, thinking_block, tool_id};
use crate::dialect::asking::{self, JSON_ONLY, OPENING};
use crate::dialect::raw;
use crate::domain::chat::{Chat, Image, Part, Role};
use crate::domain::failure::Failure;
use std::borrow::Cow;

/// Asks a model that accepts no beginning of its own answer to go on.
pub(in crate::dialect) const CONTINUE: &str = "Your answer was cut off. Continue it exactly where it stopped: repeat nothing and add nothing before it.";

/// A conversation, ready to be written.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub system: Vec<BlockWritten<'a>>,
    pub messages: Vec<Turn<'a>>,
}

/// One turn; consecutive messages of one side are one turn.
#[derive(Debug)]
pub(super) struct Turn<'a> {
    pub role: &'static str,
    pub content: Vec<BlockWritten<'a>>,
}

/// How the conversation must end, what it must ask for besides, and what must not be in it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Ending<'a> {
    /// Text already delivered, to be continued.
    pub so_far: Option<&'a str>,
    /// Whether the model goes on from an assistant's beginning.
    pub prefill: bool,
    /// Whether any JSON object is asked for.
    pub json: bool,
    /// Whether the model wants its own thoughts back.
    pub thoughts: bool,
}

/// Arranges the messages of `chat`.
///
/// # Errors
/// `BadRequest` when a tool's arguments are no JSON object or nothing is said at all.
pub(super) fn arrange<'a>(chat: &'a Chat, ending: Ending<'a>) -> Result<Conversation<'a>, Failure> {
    let mut system = Vec::new();
    let mut messages: Vec<Turn<'a>> = Vec::new();
    for (index, message) in chat.messages.iter().enumerate() {
        if message.role == Role::System {
            for part in &message.parts {
                system.extend(text(part));
            }
            continue;
        }
        let at = if message.role == Role::Assistant { "assistant" } else { "user" };
        for part in &message.parts {
            if matches!(part, Part::Reasoning { .. }) && !ending.thoughts {
                continue;
            }
            if let Some(block) = block(part, index)? {
                place(turn(&mut messages, at), block);
            }
        }
    }
    if messages.is_empty() {
        // Instructions alone are what the person has to say.
        let content = std::mem::take(&mut system);
        if content.is_empty() {
            return Err(raw::failure_of(raw::invalid("messages", "must say something")));
        }
        messages.push(Turn { role: "user", content });
    }
    if messages[0].role == "assistant" {
        messages.insert(0, Turn { role: "user", content: vec![text_block(OPENING)] });
    }
    end(&mut messages, ending);
    if ending.json {
        system.push(text_block(JSON_ONLY));
    }
    Ok(Conversation { system, messages })
}

/// The turn of this side that may be added to.
fn turn<'t, 'a>(messages: &'t mut Vec<Turn<'a>>, role: &'static str) -> &'t mut Turn<'a> {
    if messages.last().is_none_or(|turn| turn.role != role) {
        messages.push(Turn { role, content: Vec::new() });
    }
    messages.last_mut().expect("one was pushed if there was none")
}

/// Puts a block into a turn; tool results stand before everything else.
fn place<'a>(turn: &mut Turn<'a>, block: BlockWritten<'a>) {
    let is_result = |block: &BlockWritten<'_>| matches!(block, BlockWritten::ToolResult { .. });
    if is_result(&block) {
        let at = turn.content.iter().take_while(|block| is_result(block)).count();
        turn.content.insert(at, block);
    } else {
        turn.content.push(block);
    }
}

/// The block a part is; `None` for parts the vendor would refuse and that say nothing: blank text, thinking
/// without a signature.
pub(super) fn block(part: &Part, message: usize) -> Result<Option<BlockWritten<'_>>, Failure> {
    Ok(match part {
        Part::Text { .. } => text(part),
        Part::Image(Image::Data { media_type, base64 }) => {
            Some(BlockWritten::Image { source: SourceWritten::Base64 { media_type, data: base64 } })
        }
        Part::Image(Image::Url(url)) => Some(BlockWritten::Image { source: SourceWritten::Url { url } }),
        Part::ToolCall(call) => {
            let input = Cow::Borrowed(asking::arguments(call, message)?);
            Some(BlockWritten::ToolUse { id: tool_id(&call.id), name: &call.name, input })
        }
        Part::ToolResult { call_id, content, is_error } => {
            Some(BlockWritten::ToolResult { tool_use_id: tool_id(call_id), content, is_error: *is_error })
        }
        Part::Reasoning { text, signature } => {
            let own = signature.as_deref().filter(|signature| !crate::dialect::signed_by_others(signature));
            own.map(|signature| thinking_block(text, signature))
        }
    })
}

fn text(part: &Part) -> Option<BlockWritten<'_>> {
    match part {
        Part::Text { text, cache_control } if !text.trim().is_empty() => Some(BlockWritten::Text {
            text: Cow::Borrowed(text),
            cache_control: cache_control.as_deref().and_then(raw::fragment),
        }),
        _ => None,
    }
}

/// Lets the conversation end as the model accepts it: with the assistant's beginning, without white space at its
/// end, or with the wish that it be continued.
fn end<'a>(messages: &mut Vec<Turn<'a>>, ending: Ending<'a>) {
    if let Some(so_far) = ending.so_far.filter(|so_far| !so_far.trim().is_empty()) {
        turn(messages, "assistant").content.push(text_block(so_far));
    }
    let Some(last) = messages.last_mut().filter(|turn| turn.role == "assistant") else { return };
    match last.content.last_mut() {
        Some(BlockWritten::Text { text, .. }) if ending.prefill => {
            let kept = text.trim_end().len();
            if kept < text.len() {
                *text = Cow::Owned(text[..kept].to_owned());
            }
        }
        Some(BlockWritten::Text { .. }) => {
            messages.push(Turn { role: "user", content: vec![text_block(CONTINUE)] });
        }
        _ => {}
    }
}
