//! What Ollama refuses of a chat request: what does not fit its Go structs.

use super::super::complaint::Complaint;
use super::{items, wrong};
use serde_json::Value;

pub(super) fn judge(body: &Value) -> Result<(), Complaint> {
    for message in items(&body["messages"]) {
        if !message["content"].is_string() && !message["content"].is_null() {
            return Err(unfit(&message["content"], "messages.content", "string"));
        }
        for call in items(&message["tool_calls"]) {
            let arguments = &call["function"]["arguments"];
            if !arguments.is_object() {
                let field = "messages.tool_calls.function.arguments";
                return Err(unfit(arguments, field, "api.ToolCallFunctionArguments"));
            }
        }
        for image in items(&message["images"]) {
            let text = image.as_str().unwrap_or_default();
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
            if let Some(at) = text.bytes().position(|byte| !fits(byte)) {
                return Err(wrong(format!("illegal base64 data at input byte {at}")));
            }
        }
    }
    let options = &body["options"];
    for name in ["temperature", "top_p", "presence_penalty", "frequency_penalty"] {
        if !options[name].is_null() && !options[name].is_number() {
            return Err(wrong(format!("option \"{name}\" must be of type float32")));
        }
    }
    for name in ["num_ctx", "num_predict", "top_k", "seed"] {
        if !options[name].is_null() && !options[name].is_i64() {
            return Err(wrong(format!("option \"{name}\" must be of type integer")));
        }
    }
    if !options["stop"].is_null() && !options["stop"].is_array() {
        return Err(wrong("option \"stop\" must be of type array"));
    }
    match &body["format"] {
        Value::Null | Value::Object(_) => {}
        Value::String(word) if word == "json" || word.is_empty() => {}
        other => {
            return Err(wrong(format!(
                "invalid format: {other}; expected \"json\" or a valid JSON Schema object"
            )));
        }
    }
    match &body["keep_alive"] {
        Value::Null | Value::Number(_) => Ok(()),
        Value::String(text) if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => Ok(()),
        other => Err(wrong(format!("time: missing unit in duration {other}"))),
    }
}

fn unfit(value: &Value, field: &str, kind: &str) -> Complaint {
    let found = match value {
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::String(_) | Value::Null => "string",
    };
    wrong(format!("json: cannot unmarshal {found} into Go struct field ChatRequest.{field} of type {kind}"))
}
