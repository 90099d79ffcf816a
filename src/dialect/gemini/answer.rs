//! Gemini's complete answers, read.

use super::wire::{Body, Candidate, finish};
use crate::dialect::raw;
use crate::domain::chat::{Answer, Choice, Content, Finish, Part};
use crate::domain::failure::Failure;

/// Reads a complete answer. Structured answers come as text here, so no tool is ever unwrapped.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`, `ErrorInBody`; `ContentPolicy` when the prompt was blocked.
pub fn read_answer(body: &[u8], _unwrap_tool: Option<&str>) -> Result<Answer, Failure> {
    let body: Body<'_> = serde_json::from_slice(body).map_err(|error| raw::unreadable(body, &error))?;
    if let Some(failure) = body.trouble() {
        return Err(failure);
    }
    let id = body.response_id;
    let candidates = body.candidates.ok_or_else(raw::garbage)?;
    let choices: Vec<Choice> =
        candidates.into_iter().map(|candidate| choice(candidate, id.as_deref())).collect::<Result<_, _>>()?;
    let said = choices.iter().any(|choice| !choice.parts.is_empty() || choice.finish != Finish::Stop);
    if !said {
        return Err(raw::empty());
    }
    Ok(Answer {
        model: body.model_version.unwrap_or_default(),
        usage: body.usage_metadata.map(|tokens| tokens.usage()),
        content: Content::Said { id, choices },
    })
}

fn choice(candidate: Candidate<'_>, id: Option<&str>) -> Result<Choice, Failure> {
    let mut parts: Vec<Part> = Vec::new();
    let mut calls = 0;
    for part in candidate.content.into_iter().flat_map(|content| content.parts) {
        let signature = part.signature();
        let text = part.text.unwrap_or_default();
        let reasoning = if part.thought { text.clone() } else { String::new() };
        if !reasoning.is_empty() || signature.is_some() {
            parts.push(Part::Reasoning { text: reasoning, signature });
        }
        if !part.thought && !text.is_empty() {
            match parts.last_mut() {
                Some(Part::Text { text: before, .. }) => before.push_str(&text),
                _ => parts.push(Part::Text { text, cache_control: None }),
            }
        }
        if let Some(call) = part.function_call {
            parts.push(Part::ToolCall(call.into_call(id, calls)));
            calls += 1;
        }
    }
    let reason = candidate.finish_reason.ok_or_else(raw::truncated)?;
    Ok(Choice { parts, finish: finish(&reason, calls > 0)? })
}
