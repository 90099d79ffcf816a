//! What the real vendors refuse is refused here, too, in their words: a translation that passes is one they would take.

mod anthropic;
mod gemini;
mod ollama;
mod openai;
mod responses;
mod schema;
mod types;
mod vectors;

use super::complaint::Complaint;
use super::route::Vendor;
use serde_json::Value;

/// Judges a chat request as its vendor does.
pub(super) fn judge(vendor: Vendor, body: &Value, model: &str) -> Result<(), Complaint> {
    match vendor {
        Vendor::OpenAi | Vendor::Azure => openai::judge(body, model),
        Vendor::Responses => responses::judge(body, model),
        Vendor::Anthropic => anthropic::judge(body),
        Vendor::Ollama => ollama::judge(body),
        Vendor::Gemini => gemini::judge(body, model),
    }
}

/// Judges a request for vectors as its vendor does.
pub(super) fn judge_vectors(vendor: Vendor, body: &Value) -> Result<(), Complaint> {
    vectors::judge(vendor, body)
}

/// Judges Ollama's completion of a prompt as it does.
pub(super) fn judge_prompt(body: &Value) -> Result<(), Complaint> {
    ollama::judge_prompt(body)
}

/// The refusal of a parameter that this model does not take.
pub(super) fn not_taken(vendor: Vendor, name: &str) -> Complaint {
    match vendor {
        Vendor::OpenAi | Vendor::Azure | Vendor::Responses => {
            let words = format!("Unsupported parameter: '{name}' is not supported with this model.");
            Complaint::invalid(words, Some(name), Some("unsupported_parameter"))
        }
        Vendor::Anthropic => {
            Complaint::invalid(format!("`{name}` is deprecated for this model."), None, None)
        }
        Vendor::Ollama if name == "think" => {
            Complaint::invalid("\"simulated\" does not support thinking", None, None)
        }
        Vendor::Ollama => Complaint::invalid(format!("'{name}' is not supported"), None, None),
        Vendor::Gemini => {
            let words = format!("Invalid JSON payload received. Unknown name \"{name}\": Cannot find field.");
            Complaint::invalid(words, Some(name), None)
        }
    }
}

/// The names of a request's parameters, those of Gemini's configuration included.
pub(super) fn parameters(body: &Value) -> Vec<String> {
    let objects = [body, &body["generationConfig"]];
    let names = objects.into_iter().filter_map(Value::as_object).flat_map(|object| object.keys());
    names.cloned().collect()
}

/// An array's elements; none for what is no array.
fn items(value: &Value) -> &[Value] {
    value.as_array().map_or(&[], Vec::as_slice)
}

/// The first member of an object that is not among those known.
fn stranger<'a>(value: &'a Value, known: &[&str]) -> Option<&'a str> {
    value.as_object()?.keys().map(String::as_str).find(|key| !known.contains(key))
}

fn wrong(message: impl Into<String>) -> Complaint {
    Complaint::invalid(message, None, None)
}
