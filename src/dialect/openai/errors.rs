//! Errors as OpenAI and its relatives word them: read from providers, written for callers.

use super::super::{Complaint, json, judged};
use crate::domain::failure::{Failure, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;

/// What an error body says, wherever it says it.
#[derive(Debug, Default, PartialEq, Eq)]
struct Told {
    message: Option<String>,
    kind: Option<String>,
    code: Option<String>,
    param: Option<String>,
}

#[derive(Deserialize)]
struct Outer<'a> {
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    #[serde(borrow, default)]
    detail: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Inner<'a> {
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default, rename = "type")]
    kind: Option<&'a RawValue>,
    #[serde(borrow, default)]
    code: Option<&'a RawValue>,
    #[serde(borrow, default)]
    param: Option<&'a RawValue>,
}

/// Which fault a status and an error body mean.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Failure {
    let told = told(body);
    let fault = fault(status, &told);
    let words = told.message.as_deref().unwrap_or_default();
    Failure { code: told.code, param: told.param, ..judged(fault, Some(status), words) }
}

/// Reads an error body: `{"error":{..}}`, `{"error":".."}`, `{"message":..}` (vLLM, Mistral), `{"detail":..}`
/// (FastAPI), or any of these in a list of one (Gemini's compatible endpoint).
fn told(body: &[u8]) -> Told {
    let Ok(mut text) = std::str::from_utf8(body) else { return Told::default() };
    let list: Result<[&RawValue; 1], _> = serde_json::from_str(text);
    if let Ok([only]) = list {
        text = only.get();
    }
    let Ok(outer) = serde_json::from_str::<Outer<'_>>(text) else { return Told::default() };
    let inner = outer.error.map_or(text, RawValue::get);
    if inner.starts_with('"') {
        return Told { message: word(inner), ..Told::default() };
    }
    let Ok(inner) = serde_json::from_str::<Inner<'_>>(inner) else { return Told::default() };
    let say = |raw: Option<&RawValue>| raw.and_then(|raw| word(raw.get()));
    Told {
        message: say(inner.message).or_else(|| say(outer.detail)),
        kind: say(inner.kind),
        code: say(inner.code),
        param: say(inner.param),
    }
}

/// A string, or a number as text; nothing else.
fn word(raw: &str) -> Option<String> {
    match raw.as_bytes().first()? {
        b'"' => serde_json::from_str(raw).ok(),
        b'-' | b'0'..=b'9' => Some(raw.to_owned()),
        _ => None,
    }
}

/// Ways to say that the prompt does not fit: OpenAI, vLLM, llama.cpp, OpenRouter, Mistral, LM Studio, Groq.
const TOO_LONG: [&str; 12] = [
    "maximum context length",
    "context window",
    "context length",
    "context size",
    "context_length",
    "too many tokens",
    "prompt is too long",
    "prompt too long",
    "input is too long",
    "reduce the length",
    "exceeds the maximum number of tokens",
    "too large for model",
];

/// Codes that say that the provider has no such model.
const NO_MODEL: [&str; 5] =
    ["model_not_found", "invalid_model", "model_not_available", "unknown_model", "model_decommissioned"];

fn fault(status: u16, told: &Told) -> Fault {
    let code = told.code.as_deref().unwrap_or("");
    let kind = told.kind.as_deref().unwrap_or("");
    let either = |word: &str| code == word || kind == word;
    let message = told.message.as_deref().unwrap_or("").to_ascii_lowercase();
    if either("insufficient_quota") || either("billing_hard_limit_reached") {
        return Fault::PaymentRequired;
    }
    let wrong = matches!(status, 400 | 404 | 413 | 422);
    // llama.cpp answers 500 (and `exceed_context_size_error`) to a prompt that does not fit.
    if either("context_length_exceeded")
        || either("exceed_context_size_error")
        || either("string_above_max_length")
    {
        return Fault::ContextLength;
    }
    let too_long = TOO_LONG.iter().any(|words| message.contains(words));
    if too_long && (wrong || status == 500 && message.contains("context size")) {
        return Fault::ContextLength;
    }
    if (wrong || status == 403) && NO_MODEL.iter().any(|word| either(word)) {
        return Fault::UnknownModel;
    }
    if wrong && says_no_model(&message) {
        return Fault::UnknownModel;
    }
    let policy = ["content_policy_violation", "content_filter", "content_moderation", "moderation_blocked"];
    if policy.iter().any(|word| either(word)) && matches!(status, 400 | 403 | 422) {
        return Fault::ContentPolicy;
    }
    Fault::of_status(status)
}

/// "The model `x` does not exist", "model 'x' not found", "x is not a valid model ID".
fn says_no_model(message: &str) -> bool {
    let missing = ["does not exist", "not found", "not a valid model", "no such model"];
    message.contains("model") && missing.iter().any(|words| message.contains(words))
}

/// Words an error for the caller.
#[must_use]
pub fn write_error(complaint: &Complaint) -> Vec<u8> {
    let mut out = b"{\"error\":".to_vec();
    push_error(&mut out, complaint);
    out.push(b'}');
    out
}

/// The `error` object itself.
pub fn push_error(out: &mut Vec<u8>, complaint: &Complaint) {
    out.extend_from_slice(b"{\"message\":");
    json::push(out, &complaint.message);
    out.extend_from_slice(b",\"type\":");
    json::push(out, complaint.kind);
    out.extend_from_slice(b",\"param\":");
    json::push(out, &complaint.param);
    out.extend_from_slice(b",\"code\":");
    json::push(out, &complaint.code);
    out.push(b'}');
}
