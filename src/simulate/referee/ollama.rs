//! What Ollama refuses of a chat request and of a prompt: what does not fit its Go structs.

use super::super::complaint::Complaint;
use super::types::{Kind, of_ollama, unfit};
use super::{items, wrong};
use serde_json::Value;

pub(super) fn judge(body: &Value) -> Result<(), Complaint> {
    of_ollama(body, &[("stream", Kind::Truth), ("tools", Kind::List), ("options", Kind::Object)])?;
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
        pictures(&message["images"])?;
    }
    common(body)
}

pub(super) fn judge_prompt(body: &Value) -> Result<(), Complaint> {
    const TEXT: Kind = Kind::Text;
    let texts = [("prompt", TEXT), ("system", TEXT), ("suffix", TEXT), ("template", TEXT)];
    of_ollama(body, &texts)?;
    of_ollama(body, &[("stream", Kind::Truth), ("raw", Kind::Truth), ("options", Kind::Object)])?;
    pictures(&body["images"])?;
    common(body)
}

/// Each the base64 of its bytes (RFC 4648, section 4).
fn pictures(images: &Value) -> Result<(), Complaint> {
    if !images.is_null() && !images.is_array() {
        return Err(unfit(images, "images", "[]api.ImageData"));
    }
    for image in items(images) {
        let Some(text) = image.as_str() else { return Err(unfit(image, "images", "api.ImageData")) };
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte);
        if let Some(at) = text.bytes().position(|byte| !fits(byte)) {
            return Err(wrong(format!("illegal base64 data at input byte {at}")));
        }
    }
    Ok(())
}

fn common(body: &Value) -> Result<(), Complaint> {
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
    if !matches!(&body["think"], Value::Null | Value::Bool(_) | Value::String(_)) {
        return Err(wrong(
            "think must be a boolean or string (\"high\", \"medium\", \"low\", true, or false)",
        ));
    }
    match &body["keep_alive"] {
        Value::Null | Value::Number(_) => Ok(()),
        Value::String(text) if !text.bytes().all(|byte| byte.is_ascii_digit() || byte == b'-') => Ok(()),
        other => Err(wrong(format!("time: missing unit in duration {other}"))),
    }
}
