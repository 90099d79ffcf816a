//! Anthropic's complete answers and error bodies, read.

use super::glance::{self, Plain};
use super::wire::{Block, Tokens, Trouble, finish_of};
use crate::dialect::{judged, raw};
use crate::domain::chat::{Answer, Choice, Content, Finish, Part, Usage};
use crate::domain::failure::{Failure, Fault};
use serde::Deserialize;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    id: Option<String>,
    model: Option<String>,
    #[serde(borrow)]
    content: Option<Vec<Block<'a>>>,
    stop_reason: Option<String>,
    #[serde(default, deserialize_with = "raw::sound")]
    usage: Option<Tokens>,
    error: Option<Trouble>,
}

/// Reads a complete answer; a call of the tool named `unwrap_tool` is the structured answer itself.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`, `ErrorInBody`.
pub fn read_answer(body: &[u8], unwrap_tool: Option<&str>) -> Result<Answer, Failure> {
    match glance::answer(body) {
        // A text is no call, whatever is to be unwrapped.
        Some(plain) if finish_of(plain.stop_reason) != Finish::ToolCalls => Ok(glanced(plain)),
        _ => parsed(body, unwrap_tool),
    }
}

/// An answer that a glance has understood.
pub(super) fn glanced(plain: Plain<'_>) -> Answer {
    let text = |text: Cow<'_, str>| Part::Text { text: text.into_owned(), cache_control: None };
    let mut parts = Vec::with_capacity(plain.texts.len());
    parts.extend(plain.texts.into_iter().map(text));
    let choice = Choice { parts, finish: finish_of(plain.stop_reason) };
    Answer {
        model: plain.model.to_owned(),
        usage: plain.usage.map(Tokens::usage),
        content: Content::Said { id: plain.id.map(str::to_owned), choices: vec![choice] },
    }
}

/// An answer of any kind.
pub(super) fn parsed(body: &[u8], unwrap_tool: Option<&str>) -> Result<Answer, Failure> {
    let message = message(body)?;
    let mut finish = finish_of(message.stop_reason.as_deref().unwrap_or_default());
    let mut parts: Vec<Part> =
        message.content.unwrap_or_default().into_iter().filter_map(Block::into_part).collect();
    if let Some(tool) = unwrap_tool {
        unwrap(&mut parts, tool);
        let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        if finish == Finish::ToolCalls && !calls {
            finish = Finish::Stop;
        }
    }
    Ok(Answer {
        model: message.model.unwrap_or_default(),
        usage: message.usage.map(Tokens::usage),
        content: Content::Said { id: message.id, choices: vec![Choice { parts, finish }] },
    })
}

/// Makes the structured answer the text, in place of whatever was said around it.
fn unwrap(parts: &mut Vec<Part>, tool: &str) {
    let is_answer = |part: &Part| matches!(part, Part::ToolCall(call) if call.name == tool);
    if !parts.iter().any(is_answer) {
        return;
    }
    let mut found = false;
    parts.retain_mut(|part| match part {
        Part::Text { .. } => false,
        Part::ToolCall(call) if call.name == tool => {
            let text = std::mem::take(&mut call.arguments);
            *part = Part::Text { text, cache_control: None };
            !std::mem::replace(&mut found, true)
        }
        _ => true,
    });
}

/// What an answer that is passed on as it is says of itself: the model and the tokens.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`, `ErrorInBody`: what is passed on is checked all the same.
pub fn facts(body: &[u8]) -> Result<(Cow<'_, str>, Option<Usage>), Failure> {
    if let Some(plain) = glance::answer(body) {
        return Ok((plain.model.into(), plain.usage.map(Tokens::usage)));
    }
    let message = message(body)?;
    Ok((message.model.unwrap_or_default().into(), message.usage.map(Tokens::usage)))
}

/// A proper, complete answer, or why it is none.
fn message(body: &[u8]) -> Result<Message<'_>, Failure> {
    let message: Message<'_> = serde_json::from_slice(body).map_err(|error| raw::unreadable(body, &error))?;
    if message.kind == "error" || message.error.is_some() {
        return Err(reported(message.error.unwrap_or_default()));
    }
    let Some(content) = &message.content else { return Err(raw::garbage()) };
    let Some(stop_reason) = &message.stop_reason else { return Err(raw::truncated()) };
    let said = content.iter().any(|block| block.kind != "text" || block.text.as_deref() != Some(""));
    if !said && stop_reason == "end_turn" {
        return Err(raw::empty());
    }
    Ok(message)
}

/// An error reported where an answer should be: in a body of status 200, or in a stream.
pub(super) fn reported(trouble: Trouble) -> Failure {
    Failure { code: code(trouble.kind), ..judged(Fault::ErrorInBody, None, "") }
}

/// The vendor's error type, if it looks like one: it ends up in logs and answers.
fn code(kind: Option<String>) -> Option<String> {
    kind.filter(|kind| !kind.is_empty() && kind.len() <= 64)
        .filter(|kind| kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'))
}

/// Reads an error body. Never fails: garbage is judged by its status.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Failure {
    #[derive(Default, Deserialize)]
    struct Body {
        #[serde(default)]
        error: Trouble,
    }
    let trouble = serde_json::from_slice::<Body>(body).unwrap_or_default().error;
    let kind = trouble.kind.as_deref().unwrap_or_default();
    let words = trouble.message.as_deref().unwrap_or_default();
    let fault = fault(status, kind, words);
    let param = if fault == Fault::BadRequest { param(words) } else { None };
    Failure { param, code: code(trouble.kind.clone()), ..judged(fault, Some(status), words) }
}

/// Which fault a status, an error type and its words mean. The type says more than the status; within
/// `invalid_request_error` only the words tell.
fn fault(status: u16, kind: &str, words: &str) -> Fault {
    let says = |phrases: &[&str]| {
        let words = words.to_ascii_lowercase();
        phrases.iter().any(|phrase| words.contains(phrase))
    };
    match kind {
        "overloaded_error" => Fault::Overloaded,
        "rate_limit_error" => Fault::Busy,
        "authentication_error" | "permission_error" => Fault::KeyRefused,
        "billing_error" => Fault::PaymentRequired,
        "request_too_large" => Fault::TooLarge,
        "api_error" | "timeout_error" if status < 500 => Fault::ServerError,
        "not_found_error" if says(&["model"]) => Fault::UnknownModel,
        "invalid_request_error" if status < 500 => {
            if says(&["credit balance"]) {
                Fault::PaymentRequired
            } else if says(&[
                "prompt is too long",
                "exceed context limit",
                "context window",
                "too many tokens",
            ]) {
                Fault::ContextLength
            } else if says(&["content filtering policy", "usage policy", "safety"]) {
                Fault::ContentPolicy
            } else if says(&["does not support assistant message prefill", "prefilling assistant"]) {
                Fault::Untranslatable
            } else {
                Fault::of_status(status)
            }
        }
        _ => Fault::of_status(status),
    }
}

/// The field the vendor complains of: `messages.0.role: ...` or `` `temperature` is deprecated ... ``.
fn param(words: &str) -> Option<String> {
    let name = match words.strip_prefix('`') {
        Some(rest) => rest.split_once('`')?.0,
        None => words.split_once(": ")?.0,
    };
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.[]".contains(&byte);
    (!name.is_empty() && name.len() <= 64 && name.bytes().all(fits)).then(|| name.to_owned())
}
