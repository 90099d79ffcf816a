//! What OpenAI refuses of a Responses request.

use super::super::complaint::Complaint;
use super::openai::{range, reasons};
use super::schema::strict;
use super::types::{Kind, of_openai};
use super::{items, not_taken};
use crate::simulate::responses::ENCRYPTED;
use crate::simulate::route::Vendor;
use serde_json::Value;

/// The smallest bound on output, in tokens.
const OUTPUT_TOKENS_MIN: u64 = 16;
/// Letters in an id.
const ID_MAX: usize = 64;
/// What its parameters are.
const TYPES: [(&str, Kind); 15] = [
    ("instructions", Kind::Text),
    ("stream", Kind::Truth),
    ("store", Kind::Truth),
    ("background", Kind::Truth),
    ("max_output_tokens", Kind::Whole),
    ("max_tool_calls", Kind::Whole),
    ("user", Kind::Text),
    ("tools", Kind::List),
    ("parallel_tool_calls", Kind::Truth),
    ("text", Kind::Object),
    ("reasoning", Kind::Object),
    ("include", Kind::List),
    ("metadata", Kind::Object),
    ("service_tier", Kind::Text),
    ("truncation", Kind::Text),
];
/// Parameters of chat completions, and what they are called here.
const OF_CHAT: [(&str, &str); 12] = [
    ("messages", "input"),
    ("max_tokens", "max_output_tokens"),
    ("max_completion_tokens", "max_output_tokens"),
    ("response_format", "text.format"),
    ("reasoning_effort", "reasoning.effort"),
    ("n", ""),
    ("seed", ""),
    ("stop", ""),
    ("logprobs", ""),
    ("logit_bias", ""),
    ("presence_penalty", ""),
    ("frequency_penalty", ""),
];

pub(super) fn judge(body: &Value, model: &str) -> Result<(), Complaint> {
    of_openai(body, &TYPES)?;
    if let Some((name, new)) = OF_CHAT.into_iter().find(|(name, _)| !body[*name].is_null()) {
        let moved = if new.is_empty() { String::new() } else { format!(" Try '{new}' instead.") };
        let words = format!(
            "Unsupported parameter: '{name}'. In the Responses API, there is no such parameter.{moved}"
        );
        return Err(Complaint::invalid(words, Some(name), Some("unsupported_parameter")));
    }
    if let Some(id) = body["previous_response_id"].as_str() {
        let words = format!("Previous response with id '{id}' not found.");
        let (param, code) = (Some("previous_response_id"), Some("previous_response_not_found"));
        return Err(Complaint::invalid(words, param, code));
    }
    if body["max_output_tokens"].as_u64().is_some_and(|most| most < OUTPUT_TOKENS_MIN) {
        let words = format!(
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= {OUTPUT_TOKENS_MIN}, but \
             got {} instead.",
            body["max_output_tokens"]
        );
        return Err(Complaint::invalid(words, Some("max_output_tokens"), Some("integer_below_min_value")));
    }
    range(body, "temperature", 0.0, 2.0)?;
    range(body, "top_p", 0.0, 1.0)?;
    if reasons(model)
        && let Some(name) = ["temperature", "top_p"].into_iter().find(|name| !body[*name].is_null())
    {
        return Err(not_taken(Vendor::Responses, name));
    }
    tools(body)?;
    format(&body["text"]["format"])?;
    conversation(&body["input"])
}

fn tools(body: &Value) -> Result<(), Complaint> {
    for (index, tool) in items(&body["tools"]).iter().enumerate() {
        if tool["type"] != "function" {
            continue;
        }
        let Some(name) = tool["name"].as_str() else { return Err(missing(&format!("tools[{index}].name"))) };
        // Where nothing is said the vendor makes a schema fit that can be made to, and is lax with the rest.
        if tool["strict"] == true {
            let place = format!("tools[{index}].parameters");
            strict(
                &tool["parameters"],
                &format!("function '{name}'"),
                (&place, "invalid_function_parameters"),
            )?;
        }
    }
    let forced = body["tool_choice"].is_object() || body["tool_choice"] == "required";
    if forced && items(&body["tools"]).is_empty() {
        let words = "Tool choice 'required' must be specified with 'tools' parameter.";
        return Err(Complaint::invalid(words, Some("tool_choice"), None));
    }
    if let Some(name) = body["tool_choice"]["name"].as_str()
        && !items(&body["tools"]).iter().any(|tool| tool["name"] == name)
    {
        let words = format!("Tool choice '{name}' not found in 'tools' parameter.");
        return Err(Complaint::invalid(words, Some("tool_choice"), None));
    }
    Ok(())
}

fn format(format: &Value) -> Result<(), Complaint> {
    match format["type"].as_str() {
        Some("json_schema") => {
            let Some(name) = format["name"].as_str() else { return Err(missing("text.format.name")) };
            if format["schema"].is_null() {
                return Err(missing("text.format.schema"));
            }
            if format["strict"] == true {
                let what = format!("response_format '{name}'");
                strict(&format["schema"], &what, ("text.format.schema", "invalid_json_schema"))?;
            }
            Ok(())
        }
        Some("text" | "json_object") => Ok(()),
        None if format.is_null() => Ok(()),
        _ => {
            let words = "Invalid value for 'text.format.type'. Supported values are: 'json_object', 'json_schema', and \
                         'text'.";
            Err(Complaint::invalid(words, Some("text.format.type"), Some("invalid_value")))
        }
    }
}

fn missing(param: &str) -> Complaint {
    let words = format!("Missing required parameter: '{param}'.");
    Complaint::invalid(words, Some(param), Some("missing_required_parameter"))
}

/// Every call has its result and every result its call; ids are the vendor's own.
fn conversation(input: &Value) -> Result<(), Complaint> {
    let mut open: Vec<&str> = Vec::new();
    for (index, item) in items(input).iter().enumerate() {
        let place = |rest: &str| format!("input[{index}]{rest}");
        let kind = item["type"].as_str().unwrap_or("message");
        let prefix = match kind {
            "message" => "msg",
            "function_call" => "fc",
            "reasoning" => "rs",
            _ => "",
        };
        if let Some(id) = item["id"].as_str().filter(|id| !id.starts_with(prefix) || id.len() > ID_MAX) {
            let words =
                format!("Invalid '{}': '{id}'. Expected an ID that begins with '{prefix}'.", place(".id"));
            return Err(Complaint::invalid(words, Some(&place(".id")), Some("invalid_value")));
        }
        match kind {
            "message" => message(item, place)?,
            "function_call" => {
                for name in ["call_id", "name", "arguments"] {
                    if !item[name].is_string() {
                        return Err(missing(&place(&format!(".{name}"))));
                    }
                }
                let id = item["call_id"].as_str().unwrap_or_default();
                if id.is_empty() || id.len() > ID_MAX {
                    let words = format!("Invalid '{}': string too long.", place(".call_id"));
                    return Err(Complaint::invalid(
                        words,
                        Some(&place(".call_id")),
                        Some("string_above_max_length"),
                    ));
                }
                open.push(id);
            }
            "function_call_output" => {
                let id = item["call_id"].as_str().unwrap_or_default();
                let before = open.len();
                open.retain(|other| *other != id);
                if open.len() == before {
                    let words = format!("No tool call found for function call output with call_id {id}.");
                    return Err(Complaint::invalid(words, Some("input"), None));
                }
            }
            "reasoning" => thought(item)?,
            "item_reference" => return Err(not_stored(item)),
            _ => {}
        }
    }
    match open.first() {
        None => Ok(()),
        Some(id) => {
            let words = format!("No tool output found for function call {id}.");
            Err(Complaint::invalid(words, Some("input"), None))
        }
    }
}

fn message(item: &Value, place: impl Fn(&str) -> String) -> Result<(), Complaint> {
    let taken: &[&str] = match item["role"].as_str() {
        Some("assistant") => &["output_text", "refusal"],
        Some("user" | "system" | "developer") => &["input_text", "input_image", "input_file"],
        _ => {
            let words =
                "Invalid value. Supported values are: 'assistant', 'system', 'developer', and 'user'.";
            return Err(Complaint::invalid(words, Some(&place(".role")), Some("invalid_value")));
        }
    };
    if !item["content"].is_string() && !item["content"].is_array() {
        return Err(missing(&place(".content")));
    }
    for (index, part) in items(&item["content"]).iter().enumerate() {
        let kind = part["type"].as_str().unwrap_or_default();
        if !taken.contains(&kind) {
            let words = format!("Invalid value: '{kind}'. Supported values are: '{}'.", taken.join("', '"));
            let place = place(&format!(".content[{index}]"));
            return Err(Complaint::invalid(words, Some(&place), Some("invalid_value")));
        }
    }
    Ok(())
}

/// A thought comes with what only the vendor can read, or is looked up; nothing is stored here.
fn thought(item: &Value) -> Result<(), Complaint> {
    if !item["summary"].is_array() {
        return Err(missing("input[].summary"));
    }
    match item["encrypted_content"].as_str() {
        Some(ENCRYPTED) => Ok(()),
        Some(_) => {
            let words = "The encrypted content could not be verified.";
            Err(Complaint::invalid(words, None, Some("invalid_encrypted_content")))
        }
        None => Err(not_stored(item)),
    }
}

fn not_stored(item: &Value) -> Complaint {
    let id = item["id"].as_str().unwrap_or_default();
    Complaint::Refused {
        status: 404,
        message: format!("Item with id '{id}' not found."),
        param: Some("input".to_owned()),
        code: None,
    }
}
