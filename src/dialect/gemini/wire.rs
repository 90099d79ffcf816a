//! What Gemini's answers look like on the wire: a whole answer and a chunk of a stream have the same shape.

use super::SIGNATURE;
use crate::dialect::{judged, raw};
use crate::domain::chat::{Finish, ToolCall, Usage};
use crate::domain::failure::{Failure, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Body<'a> {
    #[serde(borrow)]
    pub candidates: Option<Vec<Candidate<'a>>>,
    pub prompt_feedback: Option<Feedback>,
    #[serde(default, deserialize_with = "raw::sound")]
    pub usage_metadata: Option<Tokens>,
    pub model_version: Option<String>,
    pub response_id: Option<String>,
    #[serde(borrow)]
    pub error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Candidate<'a> {
    #[serde(borrow)]
    pub content: Option<Content<'a>>,
    pub finish_reason: Option<String>,
    #[serde(default)]
    pub index: u32,
}

#[derive(Deserialize)]
pub(super) struct Content<'a> {
    #[serde(borrow, default)]
    pub parts: Vec<Part<'a>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Part<'a> {
    pub text: Option<String>,
    #[serde(default)]
    pub thought: bool,
    #[serde(alias = "thought_signature")]
    pub thought_signature: Option<String>,
    #[serde(borrow)]
    pub function_call: Option<Call<'a>>,
}

#[derive(Deserialize)]
pub(super) struct Call<'a> {
    id: Option<String>,
    name: String,
    #[serde(borrow)]
    args: Option<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Feedback {
    pub block_reason: Option<String>,
}

/// Tokens so far; a later chunk's replace an earlier one's.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
#[expect(clippy::struct_field_names, reason = "the names are the vendor's")]
pub(super) struct Tokens {
    #[serde(default)]
    prompt_token_count: u64,
    #[serde(default)]
    tool_use_prompt_token_count: u64,
    #[serde(default)]
    cached_content_token_count: u64,
    #[serde(default)]
    candidates_token_count: u64,
    #[serde(default)]
    thoughts_token_count: u64,
}

impl Tokens {
    /// In domain terms: thoughts are counted beside the candidates there.
    pub(super) fn usage(&self) -> Usage {
        Usage {
            input: self.prompt_token_count.saturating_add(self.tool_use_prompt_token_count),
            cached: self.cached_content_token_count,
            output: self.candidates_token_count.saturating_add(self.thoughts_token_count),
            reasoning: self.thoughts_token_count,
            ..Usage::default()
        }
    }
}

impl Body<'_> {
    /// What the body reports instead of an answer: an error, or a prompt that was blocked.
    pub(super) fn trouble(&self) -> Option<Failure> {
        if self.error.is_some() {
            return Some(judged(Fault::ErrorInBody, None, ""));
        }
        let blocked = self.prompt_feedback.as_ref().and_then(|feedback| feedback.block_reason.as_deref())?;
        let none = self.candidates.as_ref().is_none_or(Vec::is_empty);
        none.then(|| {
            let code = Some(blocked.to_ascii_lowercase()).filter(|word| word.len() <= 64);
            let words = "the provider's content policy blocked the prompt";
            Failure { code, ..judged(Fault::ContentPolicy, Some(400), words) }
        })
    }
}

impl Part<'_> {
    /// The signature as it travels with us.
    pub(super) fn signature(&self) -> Option<String> {
        let signature = self.thought_signature.as_ref().filter(|signature| !signature.is_empty())?;
        Some(format!("{SIGNATURE}{signature}"))
    }
}

impl Call<'_> {
    /// In domain terms. Where the vendor gives no id, one is made of the answer's id and the call's place.
    pub(super) fn into_call(self, answer: Option<&str>, index: u32) -> ToolCall {
        let id = self.id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            let answer: String =
                answer.unwrap_or_default().chars().filter(char::is_ascii_alphanumeric).take(24).collect();
            if answer.is_empty() { format!("call_{index}") } else { format!("call_{answer}_{index}") }
        });
        let arguments = self.args.filter(|args| raw::is_object(args)).map_or("{}", RawValue::get);
        ToolCall { id, name: self.name, arguments: arguments.to_owned() }
    }
}

/// Why an answer ended. What is neither an end nor a bound is a filter of some kind: such an answer is not whole.
///
/// # Errors
/// `ErrorInBody` when the model's tool call could not be used: asking again may help.
pub(super) fn finish(reason: &str, called: bool) -> Result<Finish, Failure> {
    Ok(match reason {
        "STOP" | "FINISH_REASON_UNSPECIFIED" if called => Finish::ToolCalls,
        "STOP" | "FINISH_REASON_UNSPECIFIED" => Finish::Stop,
        "MAX_TOKENS" => Finish::Length,
        "MALFORMED_FUNCTION_CALL"
        | "UNEXPECTED_TOOL_CALL"
        | "TOO_MANY_TOOL_CALLS"
        | "MALFORMED_RESPONSE"
        | "MISSING_THOUGHT_SIGNATURE" => {
            return Err(Failure {
                code: Some(reason.to_ascii_lowercase()),
                ..judged(Fault::ErrorInBody, None, "")
            });
        }
        _ => Finish::ContentFilter,
    })
}
