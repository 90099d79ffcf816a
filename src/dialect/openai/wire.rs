//! What a provider's OpenAI answers look like on the wire, borrowed from its bytes and tolerant of its relatives.
//!
//! vLLM, llama.cpp, LM Studio, Groq, Mistral, DeepSeek, OpenRouter and Together all say a little more or less.

use super::super::json::{self, Loose, Text};
use crate::domain::chat::{Finish, Usage};
use crate::domain::failure::{Failure, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A complete answer, or one chunk of a stream.
#[derive(Debug, Deserialize)]
pub struct Body<'a> {
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub object: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub model: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub choices: Option<Vec<Choice<'a>>>,
    #[serde(default, deserialize_with = "json::sound")]
    pub usage: Option<Tokens>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
}

/// A choice: `message` in a complete answer, `delta` in a chunk. Boxed, for a parser has several copies of it on its stack.
#[derive(Debug, Deserialize)]
pub struct Choice<'a> {
    #[serde(default)]
    pub index: Option<u32>,
    #[serde(borrow, default)]
    message: Option<Box<Said<'a>>>,
    #[serde(borrow, default)]
    delta: Option<Box<Said<'a>>>,
    #[serde(borrow, default)]
    pub finish_reason: Option<Text<'a>>,
}

/// What a choice says.
#[derive(Debug, Default, Deserialize)]
pub struct Said<'a> {
    #[serde(borrow, default)]
    pub content: Loose<'a>,
    #[serde(borrow, default)]
    pub refusal: Loose<'a>,
    #[serde(borrow, default)]
    pub reasoning_content: Loose<'a>,
    #[serde(borrow, default)]
    pub reasoning: Loose<'a>,
    #[serde(borrow, default)]
    pub reasoning_details: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub tool_calls: Option<Vec<Call<'a>>>,
    #[serde(borrow, default)]
    pub audio: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub function_call: Option<&'a RawValue>,
}

/// A tool call or a part of one.
#[derive(Debug, Deserialize)]
pub struct Call<'a> {
    #[serde(default)]
    pub index: Option<u32>,
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub function: Option<Function<'a>>,
}

/// The function a call names.
#[derive(Debug, Deserialize)]
pub struct Function<'a> {
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    /// JSON text in a string; some servers send the object itself.
    #[serde(borrow, default)]
    pub arguments: Option<&'a RawValue>,
}

/// Tokens as counted by the provider.
#[derive(Debug, Default, Deserialize)]
pub struct Tokens {
    #[serde(default)]
    pub prompt_tokens: Option<u64>,
    #[serde(default)]
    pub completion_tokens: Option<u64>,
    #[serde(default)]
    pub prompt_tokens_details: Option<PromptDetails>,
    #[serde(default)]
    pub completion_tokens_details: Option<CompletionDetails>,
}

/// Details of the prompt's tokens.
#[derive(Debug, Default, Deserialize)]
pub struct PromptDetails {
    #[serde(default)]
    pub cached_tokens: Option<u64>,
}

/// Details of the answer's tokens.
#[derive(Debug, Default, Deserialize)]
pub struct CompletionDetails {
    #[serde(default)]
    pub reasoning_tokens: Option<u64>,
}

impl Tokens {
    /// In domain terms.
    pub fn usage(&self) -> Usage {
        Usage {
            input: self.prompt_tokens.unwrap_or(0),
            cached: self
                .prompt_tokens_details
                .as_ref()
                .and_then(|details| details.cached_tokens)
                .unwrap_or(0),
            output: self.completion_tokens.unwrap_or(0),
            reasoning: self
                .completion_tokens_details
                .as_ref()
                .and_then(|details| details.reasoning_tokens)
                .unwrap_or(0),
            ..Usage::default()
        }
    }
}

impl<'a> Choice<'a> {
    /// What it says, in a chunk or a complete answer.
    pub fn said(&self) -> Option<&Said<'a>> {
        self.delta.as_deref().or(self.message.as_deref())
    }
}

impl Said<'_> {
    /// The thinking, by whichever name it goes.
    pub fn thinking(&self) -> &str {
        if self.reasoning_content.0.is_empty() { &self.reasoning.0 } else { &self.reasoning_content.0 }
    }

    /// Whether there is anything a caller would want.
    pub fn is_empty(&self) -> bool {
        self.content.0.is_empty()
            && self.refusal.0.is_empty()
            && self.thinking().is_empty()
            && self.tool_calls.as_ref().is_none_or(Vec::is_empty)
            && self.audio.is_none()
            && self.function_call.is_none()
    }
}

impl Call<'_> {
    /// The id, if a usable one is given.
    pub fn id(&self) -> Option<&str> {
        self.id.as_ref().map(|id| &*id.0).filter(|id| !id.is_empty())
    }

    /// The name, if given.
    pub fn name(&self) -> Option<&str> {
        let name = self.function.as_ref()?.name.as_ref()?;
        (!name.0.is_empty()).then_some(&*name.0)
    }

    /// The arguments, or a fragment of them, as JSON text.
    pub fn arguments(&self) -> String {
        let raw = self.function.as_ref().and_then(|function| function.arguments).map_or("", RawValue::get);
        if raw.starts_with('"') { serde_json::from_str(raw).unwrap_or_default() } else { raw.to_owned() }
    }
}

impl Body<'_> {
    /// The error this body carries in spite of its success status.
    pub fn failure(&self) -> Option<Failure> {
        let flat = self.object.as_ref().is_some_and(|object| object.0 == "error");
        (self.error.is_some() || flat)
            .then(|| Failure::new(Fault::ErrorInBody, "the provider reported an error instead of an answer"))
    }
}

/// Why a choice ended; `None` while it has not. The vendor's own words for a breakdown are an error.
///
/// # Errors
/// `ErrorInBody`.
pub fn finish(reason: Option<&Text<'_>>) -> Result<Option<Finish>, Failure> {
    let Some(reason) = reason else { return Ok(None) };
    Ok(Some(match &*reason.0 {
        "" => return Ok(None),
        "length" | "max_tokens" | "model_length" => Finish::Length,
        "tool_calls" | "function_call" => Finish::ToolCalls,
        "content_filter" => Finish::ContentFilter,
        "error" | "insufficient_system_resource" => {
            return Err(Failure::new(Fault::ErrorInBody, "the provider broke off the answer with an error"));
        }
        _ => Finish::Stop,
    }))
}
