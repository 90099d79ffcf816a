//! What the vendors refuse of a request for vectors.

use super::super::complaint::Complaint;
use super::types::{Kind, of_gemini, of_ollama, of_openai};
use super::{items, stranger, wrong};
use crate::simulate::route::Vendor;
use serde_json::Value;

pub(super) fn judge(vendor: Vendor, body: &Value) -> Result<(), Complaint> {
    match vendor {
        Vendor::OpenAi | Vendor::Azure | Vendor::Responses => openai(body),
        Vendor::Gemini => gemini(body),
        Vendor::Ollama | Vendor::Anthropic => ollama(body),
    }
}

/// One text or several, or the tokens of one or of several; never some of each.
fn openai(body: &Value) -> Result<(), Complaint> {
    of_openai(body, &[("dimensions", Kind::Whole), ("user", Kind::Text), ("encoding_format", Kind::Text)])?;
    let tokens = |value: &Value| {
        let list = items(value);
        !list.is_empty() && list.iter().all(Value::is_u64)
    };
    let (input, list) = (&body["input"], items(&body["input"]));
    let alike = list.iter().all(Value::is_string) || tokens(input) || list.iter().all(tokens);
    if !input.is_string() && (list.is_empty() || !alike) {
        let words = "'$.input' is invalid. Please check the API reference: https://platform.openai.com/docs/api-reference.";
        return Err(Complaint::invalid(words, Some("input"), None));
    }
    if body["dimensions"].as_i64().is_some_and(|count| count < 1) {
        let words = "Invalid value for 'dimensions': expected an integer greater than 0.";
        return Err(Complaint::invalid(words, Some("dimensions"), Some("integer_below_min_value")));
    }
    match body["encoding_format"].as_str() {
        None | Some("float" | "base64") => Ok(()),
        Some(other) => {
            let words = format!("Invalid value: '{other}'. Supported values are: 'float' and 'base64'.");
            Err(Complaint::invalid(words, Some("encoding_format"), Some("invalid_value")))
        }
    }
}

fn ollama(body: &Value) -> Result<(), Complaint> {
    of_ollama(body, &[("truncate", Kind::Truth), ("dimensions", Kind::Whole), ("options", Kind::Object)])?;
    let texts = body["input"].as_array().is_some_and(|list| list.iter().all(Value::is_string));
    if body["input"].is_string() || texts { Ok(()) } else { Err(wrong("invalid input type")) }
}

fn gemini(body: &Value) -> Result<(), Complaint> {
    let unknown = |name: &str| {
        wrong(format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field."))
    };
    if let Some(name) = stranger(body, &["requests"]) {
        return Err(unknown(name));
    }
    if items(&body["requests"]).is_empty() {
        return Err(wrong("* BatchEmbedContentsRequest.requests: requests is not specified"));
    }
    for (index, request) in items(&body["requests"]).iter().enumerate() {
        let place = format!("requests[{index}].");
        let known = ["model", "content", "taskType", "title", "outputDimensionality"];
        if let Some(name) = stranger(request, &known) {
            return Err(unknown(name));
        }
        of_gemini(request, &[("model", Kind::Text), ("outputDimensionality", Kind::Whole)], &place)?;
        if request["model"].as_str().is_none_or(|model| !model.contains('/')) {
            return Err(wrong(format!("* BatchEmbedContentsRequest.{place}model: model is not specified")));
        }
        let parts = items(&request["content"]["parts"]);
        if parts.is_empty() || !parts.iter().all(|part| part["text"].is_string()) {
            return Err(wrong(format!(
                "* BatchEmbedContentsRequest.{place}content: contents is not specified"
            )));
        }
    }
    Ok(())
}
