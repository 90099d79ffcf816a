//! A provider's complete answer: checked when it is passed on, read when it is translated.

use super::decode::{object_or_empty, signature_and_text};
use super::wire::{self, Body, Said};
use crate::domain::chat::{Answer, Choice, Content, Finish, Part, ToolCall, Usage};
use crate::domain::failure::{Failure, Fault};
use std::borrow::Cow;

/// Checks that a body is a proper, complete answer, and reads who gave it and what it cost.
///
/// # Errors
/// `Garbage`, `Truncated`, `Empty`, `ErrorInBody`.
pub fn facts(body: &[u8]) -> Result<(Cow<'_, str>, Option<Usage>), Failure> {
    if let Some((model, usage)) = super::glance::facts(body) {
        return Ok((model.into(), usage));
    }
    let body = parse(body)?;
    Ok((model(&body).into(), body.usage.as_ref().map(wire::Tokens::usage)))
}

/// Reads an answer. Calls of `unwrap_tool` are the structured answer itself and become text.
///
/// # Errors
/// As [`facts`].
pub fn read_answer(body: &[u8], unwrap_tool: Option<&str>) -> Result<Answer, Failure> {
    let body = parse(body)?;
    let mut choices = Vec::new();
    for choice in body.choices.iter().flatten() {
        let mut parts = Vec::new();
        let mut finish = wire::finish(choice.finish_reason.as_ref())?;
        if let Some(said) = choice.said() {
            let unwrapped = collect(said, unwrap_tool, &mut parts)?;
            let calls = parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
            finish = match finish {
                // Some servers say `stop` although they call.
                None | Some(Finish::Stop) if calls => Some(Finish::ToolCalls),
                Some(Finish::ToolCalls) if unwrapped && !calls => Some(Finish::Stop),
                Some(Finish::Stop) if !said.refusal.0.is_empty() => Some(Finish::ContentFilter),
                other => other,
            };
        }
        choices.push(Choice { parts, finish: finish.unwrap_or(Finish::Stop) });
    }
    Ok(Answer {
        model: model(&body),
        usage: body.usage.as_ref().map(wire::Tokens::usage),
        content: Content::Said { id: body.id.as_ref().map(|id| id.0.clone().into_owned()), choices },
    })
}

fn model(body: &Body<'_>) -> String {
    body.model.as_ref().map(|model| model.0.clone().into_owned()).unwrap_or_default()
}

fn parse(body: &[u8]) -> Result<Body<'_>, Failure> {
    let parsed: Body<'_> = match serde_json::from_slice(body) {
        Ok(parsed) => parsed,
        Err(_) if body.trim_ascii().is_empty() => {
            return Err(Failure::new(Fault::Empty, "the provider sent an empty answer"));
        }
        Err(error) if error.is_eof() => {
            return Err(Failure::new(Fault::Truncated, "the provider's answer was cut short"));
        }
        Err(_) => return Err(Failure::new(Fault::Garbage, "the provider's answer is not a chat completion")),
    };
    if let Some(failure) = parsed.failure() {
        return Err(failure);
    }
    let Some(choices) = &parsed.choices else {
        return Err(Failure::new(Fault::Garbage, "the provider's answer is not a chat completion"));
    };
    let mut worth = false;
    for choice in choices {
        let finish = wire::finish(choice.finish_reason.as_ref())?;
        worth |= choice.said().is_some_and(|said| !said.is_empty());
        // A bound or a filter that leaves nothing is an answer; asking again would not change it.
        worth |= matches!(finish, Some(Finish::Length | Finish::ContentFilter));
    }
    if worth { Ok(parsed) } else { Err(Failure::new(Fault::Empty, "the provider's answer has no content")) }
}

/// Collects what is said, thinking first; `true` when a call was unwrapped.
fn collect(said: &Said<'_>, unwrap_tool: Option<&str>, parts: &mut Vec<Part>) -> Result<bool, Failure> {
    let (signature, _) = said.reasoning_details.map(|raw| signature_and_text(raw.get())).unwrap_or_default();
    let thinking = said.thinking();
    if !thinking.is_empty() || signature.is_some() {
        parts.push(Part::Reasoning { text: thinking.to_owned(), signature });
    }
    for text in [&said.content.0, &said.refusal.0] {
        if !text.is_empty() {
            parts.push(Part::Text { text: text.clone().into_owned(), cache_control: None });
        }
    }
    let mut unwrapped = false;
    for (index, call) in said.tool_calls.iter().flatten().enumerate() {
        let Some(name) = call.name() else { continue };
        let arguments = object_or_empty(call.arguments()).ok_or_else(|| {
            Failure::new(Fault::Garbage, "the model's tool arguments are not a JSON object")
        })?;
        if unwrap_tool == Some(name) {
            parts.push(Part::Text { text: arguments, cache_control: None });
            unwrapped = true;
            continue;
        }
        let id = call.id().map_or_else(|| format!("call_{index}"), str::to_owned);
        parts.push(Part::ToolCall(ToolCall { id, name: name.to_owned(), arguments }));
    }
    Ok(unwrapped)
}
