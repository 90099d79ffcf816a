//! What a provider's response looks like on the wire, borrowed from its bytes, and what its error codes mean.

use crate::dialect::{
    json::{self, Text},
    judged,
};
use crate::domain::chat::{Finish, Usage};
use crate::domain::failure::{Failure, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;

/// A response, whole or as an event carries it.
#[derive(Debug, Deserialize)]
pub(super) struct Body<'a> {
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub object: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub model: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub status: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub incomplete_details: Option<Cut<'a>>,
    #[serde(borrow, default)]
    pub output: Option<&'a RawValue>,
    #[serde(default, deserialize_with = "json::sound")]
    pub usage: Option<Tokens>,
}

/// Why a response is incomplete.
#[derive(Debug, Deserialize)]
pub(super) struct Cut<'a> {
    #[serde(borrow, default)]
    reason: Option<Text<'a>>,
}

/// One item of the output; what is present depends on its type.
#[derive(Debug, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Text<'a>,
    #[serde(borrow, default)]
    pub id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub call_id: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub name: Option<Text<'a>>,
    #[serde(borrow, default)]
    pub arguments: Option<Text<'a>>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(borrow, default)]
    summary: Option<&'a RawValue>,
    #[serde(borrow, default)]
    encrypted_content: Option<Text<'a>>,
}

/// A part of a message or of a summary.
#[derive(Debug, Deserialize)]
pub(super) struct Piece<'a> {
    #[serde(borrow, default)]
    text: Option<Text<'a>>,
    #[serde(borrow, default)]
    refusal: Option<Text<'a>>,
}

/// Tokens as counted by the provider.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Tokens {
    #[serde(default)]
    input_tokens: Option<u64>,
    #[serde(default)]
    input_tokens_details: Option<Cached>,
    #[serde(default)]
    output_tokens: Option<u64>,
    #[serde(default)]
    output_tokens_details: Option<Thought>,
}

#[derive(Debug, Deserialize)]
struct Cached {
    #[serde(default)]
    cached_tokens: Option<u64>,
}

#[derive(Debug, Deserialize)]
struct Thought {
    #[serde(default)]
    reasoning_tokens: Option<u64>,
}

impl Tokens {
    /// In domain terms.
    pub(super) fn usage(&self) -> Usage {
        let (cached, thought) = (&self.input_tokens_details, &self.output_tokens_details);
        Usage {
            input: self.input_tokens.unwrap_or(0),
            cached: cached.as_ref().and_then(|details| details.cached_tokens).unwrap_or(0),
            output: self.output_tokens.unwrap_or(0),
            reasoning: thought.as_ref().and_then(|details| details.reasoning_tokens).unwrap_or(0),
            ..Usage::default()
        }
    }
}

impl<'a> Item<'a> {
    /// Whether it is a call of the caller's own function.
    pub(super) fn is_call(&self) -> bool {
        self.kind.0 == "function_call"
    }

    /// Whether the vendor does something itself, or says something no other dialect has a word for.
    pub(super) fn is_foreign(&self) -> bool {
        !matches!(&*self.kind.0, "message" | "reasoning" | "function_call")
    }

    /// The texts of a message, refusals among them; `true` where one refuses.
    pub(super) fn texts(&self) -> Vec<(String, bool)> {
        let text = |piece: Piece<'_>| match (piece.text, piece.refusal) {
            (Some(text), _) => Some((text.0.into_owned(), false)),
            (None, Some(refusal)) => Some((refusal.0.into_owned(), true)),
            (None, None) => None,
        };
        pieces(self.content).into_iter().filter_map(text).filter(|(text, _)| !text.is_empty()).collect()
    }

    /// What was thought, summed up or in full.
    pub(super) fn thoughts(&self) -> String {
        let text = |piece: Piece<'_>| piece.text.map(|text| text.0.into_owned());
        let summary: Vec<String> = pieces(self.summary).into_iter().filter_map(text).collect();
        if summary.is_empty() {
            return pieces(self.content).into_iter().filter_map(text).collect();
        }
        summary.join("\n\n")
    }

    /// The thoughts only the vendor can read, as they travel with us.
    pub(super) fn signature(&self) -> Option<String> {
        let content = self.encrypted_content.as_ref().filter(|content| !content.0.is_empty())?;
        Some(format!("{}{}", super::SIGNATURE, content.0))
    }
}

fn pieces(raw: Option<&RawValue>) -> Vec<Piece<'_>> {
    raw.and_then(|raw| serde_json::from_str(raw.get()).ok()).unwrap_or_default()
}

impl Body<'_> {
    /// Who answers.
    pub(super) fn model(&self) -> String {
        self.model.as_ref().map(|model| model.0.clone().into_owned()).unwrap_or_default()
    }

    /// How it ended; `called`: functions are to be called.
    ///
    /// # Errors
    /// What the error in it means; `Truncated` where it has not ended.
    pub(super) fn finish(&self, called: bool) -> Result<Finish, Failure> {
        if let Some(error) = self.error.filter(|error| error.get() != "null") {
            return Err(broken(error.get()));
        }
        match self.status.as_ref().map(|status| &*status.0) {
            // Compatible servers leave it out.
            Some("completed") | None => Ok(if called { Finish::ToolCalls } else { Finish::Stop }),
            Some("incomplete") => {
                let reason = self.incomplete_details.as_ref().and_then(|cut| cut.reason.as_ref());
                let filtered = reason.is_some_and(|reason| reason.0 == "content_filter");
                Ok(if filtered { Finish::ContentFilter } else { Finish::Length })
            }
            Some("failed" | "cancelled") => Err(broken("{}")),
            Some(_) => Err(Failure::new(Fault::Truncated, "the provider's answer was not complete")),
        }
    }
}

/// What the error in a response, or in an event, means. Most are the provider's own; some tell what is wrong with the
/// request only when the answer has begun.
pub(super) fn broken(error: &str) -> Failure {
    #[derive(Deserialize, Default)]
    struct Told<'a> {
        #[serde(borrow, default)]
        code: Option<Text<'a>>,
        #[serde(borrow, default)]
        message: Option<Text<'a>>,
        #[serde(borrow, default)]
        param: Option<Text<'a>>,
    }
    let told: Told<'_> = serde_json::from_str(error).unwrap_or_default();
    let code = told.code.map(|code| code.0.into_owned());
    let fault = fault(code.as_deref().unwrap_or_default());
    let words = told.message.unwrap_or_default();
    let param = told.param.map(|param| param.0.into_owned());
    Failure { code, param, ..judged(fault, None, &words.0) }
}

fn fault(code: &str) -> Fault {
    match code {
        "rate_limit_exceeded" => Fault::Busy,
        "insufficient_quota" => Fault::PaymentRequired,
        "context_length_exceeded" => Fault::ContextLength,
        "image_content_policy_violation" | "content_policy_violation" | "content_filter" => {
            Fault::ContentPolicy
        }
        "server_error" | "vector_store_timeout" => Fault::ErrorInBody,
        _ if ["invalid_", "image_", "unsupported_", "empty_image", "failed_to_download"]
            .iter()
            .any(|wrong| code.starts_with(wrong)) =>
        {
            Fault::BadRequest
        }
        _ => Fault::ErrorInBody,
    }
}

/// The items of an output; nothing where it is none.
pub(super) fn items(output: Option<&RawValue>) -> Result<Vec<Item<'_>>, Failure> {
    let Some(output) = output else { return Ok(Vec::new()) };
    serde_json::from_str(output.get()).map_err(|_| garbage())
}

/// The failure of a body that is no response.
pub(super) fn garbage() -> Failure {
    Failure::new(Fault::Garbage, "the provider's answer is not a response")
}

/// The arguments of a call as an object.
pub(super) fn object(arguments: &str) -> Option<String> {
    if arguments.trim().is_empty() {
        return Some("{}".to_owned());
    }
    json::is_object(arguments).then(|| arguments.to_owned())
}
