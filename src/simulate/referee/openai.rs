//! What OpenAI refuses of a chat request.

use super::super::complaint::Complaint;
use super::schema::strict;
use super::types::{Kind, of_openai};
use super::{items, not_taken};
use crate::simulate::route::Vendor;
use serde_json::Value;

/// Stops in one request.
const STOPS_MAX: usize = 4;
/// Letters in the id of a tool call.
const CALL_ID_MAX: usize = 40;
/// What its parameters are.
const TYPES: [(&str, Kind); 17] = [
    ("stream", Kind::Truth),
    ("stream_options", Kind::Object),
    ("max_tokens", Kind::Whole),
    ("max_completion_tokens", Kind::Whole),
    ("n", Kind::Whole),
    ("seed", Kind::Whole),
    ("user", Kind::Text),
    ("logprobs", Kind::Truth),
    ("top_logprobs", Kind::Whole),
    ("logit_bias", Kind::Object),
    ("tools", Kind::List),
    ("parallel_tool_calls", Kind::Truth),
    ("response_format", Kind::Object),
    ("reasoning_effort", Kind::Text),
    ("metadata", Kind::Object),
    ("store", Kind::Truth),
    ("service_tier", Kind::Text),
];

pub(super) fn judge(body: &Value, model: &str) -> Result<(), Complaint> {
    of_openai(body, &TYPES)?;
    conversation(items(&body["messages"]))?;
    if !matches!(&body["stop"], Value::Null | Value::String(_) | Value::Array(_)) {
        let words = "Invalid type for 'stop': expected one of an array of strings or a string.";
        return Err(Complaint::invalid(words, Some("stop"), Some("invalid_type")));
    }
    let stops = items(&body["stop"]).len();
    if stops > STOPS_MAX {
        let words = format!(
            "Invalid 'stop': array too long. Expected an array with maximum length {STOPS_MAX}, but got an array \
             with length {stops} instead."
        );
        return Err(Complaint::invalid(words, Some("stop"), Some("array_above_max_length")));
    }
    range(body, "temperature", 0.0, 2.0)?;
    range(body, "top_p", 0.0, 1.0)?;
    range(body, "presence_penalty", -2.0, 2.0)?;
    range(body, "frequency_penalty", -2.0, 2.0)?;
    if body["tools"].as_array().is_some_and(Vec::is_empty) {
        let words = "Invalid 'tools': empty array. Expected an array with minimum length 1.";
        return Err(Complaint::invalid(words, Some("tools"), Some("empty_array")));
    }
    for (index, tool) in items(&body["tools"]).iter().enumerate() {
        let function = &tool["function"];
        if function["strict"] == true {
            let what = format!("function '{}'", function["name"].as_str().unwrap_or_default());
            let place = format!("tools[{index}].function.parameters");
            strict(&function["parameters"], &what, (&place, "invalid_function_parameters"))?;
        }
    }
    let format = &body["response_format"]["json_schema"];
    if format["strict"] == true {
        let what = format!("response_format '{}'", format["name"].as_str().unwrap_or_default());
        strict(&format["schema"], &what, ("response_format", "invalid_json_schema"))?;
    }
    for name in ["tool_choice", "parallel_tool_calls"] {
        if !body[name].is_null() && body["tools"].is_null() {
            let words =
                format!("Invalid value for '{name}': '{name}' is only allowed when 'tools' are specified.");
            return Err(Complaint::invalid(words, Some(name), None));
        }
    }
    if !body["stream_options"].is_null() && body["stream"] != true {
        let words = "The 'stream_options' parameter is only allowed when 'stream' is enabled.";
        return Err(Complaint::invalid(words, Some("stream_options"), None));
    }
    if reasons(model) {
        if let Some(name) = ["max_tokens", "top_p", "stop", "presence_penalty", "frequency_penalty"]
            .into_iter()
            .find(|name| !body[*name].is_null())
        {
            return Err(not_taken(Vendor::OpenAi, name));
        }
        if body["temperature"].as_f64().is_some_and(|temperature| temperature != 1.0) {
            let words = "Unsupported value: 'temperature' does not support 0.5 with this model. Only the default (1) \
                         value is supported.";
            return Err(Complaint::invalid(words, Some("temperature"), Some("unsupported_value")));
        }
    }
    Ok(())
}

/// `o3`, `o4-mini`, `gpt-5`.
pub(super) fn reasons(model: &str) -> bool {
    let letters = model.as_bytes();
    let series = letters.first() == Some(&b'o') && letters.get(1).is_some_and(u8::is_ascii_digit);
    series || (model.starts_with("gpt-5") && !model.contains("chat"))
}

pub(super) fn range(body: &Value, name: &'static str, least: f64, most: f64) -> Result<(), Complaint> {
    match body[name].as_f64() {
        Some(number) if number < least || number > most => {
            let words = format!("Invalid '{name}': expected a number between {least} and {most}.");
            Err(Complaint::invalid(words, Some(name), Some("invalid_value")))
        }
        None if !body[name].is_null() => {
            let words = format!("Invalid type for '{name}': expected a decimal.");
            Err(Complaint::invalid(words, Some(name), Some("invalid_type")))
        }
        _ => Ok(()),
    }
}

/// Every call is answered before anything else is said, and nothing else is answered.
fn conversation(messages: &[Value]) -> Result<(), Complaint> {
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let place = |rest: &str| format!("messages[{index}]{rest}");
        if message["role"] == "tool" {
            let id = message["tool_call_id"].as_str().unwrap_or_default();
            let before = open.len();
            open.retain(|other| *other != id);
            if open.len() == before {
                let words = "Invalid parameter: messages with role 'tool' must be a response to a preceeding \
                             message with 'tool_calls'.";
                return Err(Complaint::invalid(words, Some(&place(".role")), None));
            }
            continue;
        }
        if !open.is_empty() {
            return Err(unanswered(&open));
        }
        for call in items(&message["tool_calls"]) {
            let id = call["id"].as_str().unwrap_or_default();
            if id.is_empty() || id.len() > CALL_ID_MAX {
                let words = format!(
                    "Invalid '{}': string too long. Expected a string with maximum length 40.",
                    place("")
                );
                return Err(Complaint::invalid(
                    words,
                    Some(&place(".tool_calls")),
                    Some("string_above_max_length"),
                ));
            }
            if !call["function"]["arguments"].is_string() || call["type"] != "function" {
                let words = format!("Invalid type for '{}': expected a string.", place(".tool_calls"));
                return Err(Complaint::invalid(words, Some(&place(".tool_calls")), Some("invalid_type")));
            }
            open.push(id);
        }
        let says = message["content"].is_string() || message["content"].is_array() || !open.is_empty();
        if !says && message["role"] != "assistant" {
            let words = format!("Invalid value for 'content': expected a string, got null ({}).", place(""));
            return Err(Complaint::invalid(words, Some(&place(".content")), None));
        }
    }
    if open.is_empty() { Ok(()) } else { Err(unanswered(&open)) }
}

fn unanswered(open: &[&str]) -> Complaint {
    let words = format!(
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each 'tool_call_id'. \
         The following tool_call_ids did not have response messages: {}",
        open.join(", ")
    );
    Complaint::invalid(words, Some("messages"), None)
}
