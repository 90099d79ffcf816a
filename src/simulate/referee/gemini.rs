//! What Gemini refuses of a content request: names that are not in its messages, and turns out of order.

use super::super::complaint::Complaint;
use super::super::gemini::SIGNATURE;
use super::types::{Kind, of_gemini};
use super::{items, stranger, wrong};
use serde_json::Value;

/// Stands for a signature that was never made.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";
const REQUEST: [&str; 7] = [
    "contents",
    "systemInstruction",
    "tools",
    "toolConfig",
    "generationConfig",
    "safetySettings",
    "cachedContent",
];
const PART: [&str; 8] = [
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "thought",
    "thoughtSignature",
    "videoMetadata",
];
const GENERATION: [&str; 16] = [
    "stopSequences",
    "responseMimeType",
    "responseSchema",
    "responseModalities",
    "candidateCount",
    "maxOutputTokens",
    "temperature",
    "topP",
    "topK",
    "seed",
    "presencePenalty",
    "frequencyPenalty",
    "responseLogprobs",
    "logprobs",
    "speechConfig",
    "thinkingConfig",
];
const TYPES: [(&str, Kind); 10] = [
    ("stopSequences", Kind::List),
    ("responseMimeType", Kind::Text),
    ("candidateCount", Kind::Whole),
    ("maxOutputTokens", Kind::Whole),
    ("temperature", Kind::Number),
    ("topP", Kind::Number),
    ("topK", Kind::Number),
    ("seed", Kind::Whole),
    ("presencePenalty", Kind::Number),
    ("frequencyPenalty", Kind::Number),
];
const SCHEMA: [&str; 21] = [
    "type",
    "format",
    "title",
    "description",
    "nullable",
    "enum",
    "maxItems",
    "minItems",
    "properties",
    "required",
    "minProperties",
    "maxProperties",
    "minLength",
    "maxLength",
    "pattern",
    "example",
    "anyOf",
    "propertyOrdering",
    "items",
    "minimum",
    "maximum",
];

pub(super) fn judge(body: &Value, model: &str) -> Result<(), Complaint> {
    known(body, &REQUEST, "")?;
    conversation(items(&body["contents"]), is_newest(model))?;
    known(&body["systemInstruction"], &["role", "parts"], "system_instruction")?;
    let config = &body["generationConfig"];
    known(config, &GENERATION, "generation_config")?;
    of_gemini(config, &TYPES, "generation_config.")?;
    if items(&config["stopSequences"]).len() > 5 {
        return Err(wrong("Too many stop sequences: at most 5 are allowed."));
    }
    if config["temperature"].as_f64().is_some_and(|temperature| !(0.0..=2.0).contains(&temperature)) {
        return Err(wrong("temperature must be in the range [0.0, 2.0]."));
    }
    if !config["responseSchema"].is_null() {
        schema(&config["responseSchema"], "generation_config.response_schema")?;
    }
    for (index, declaration) in items(&body["tools"][0]["functionDeclarations"]).iter().enumerate() {
        let place = format!("tools[0].function_declarations[{index}]");
        known(declaration, &["name", "description", "parameters", "response"], &place)?;
        name(&declaration["name"], &place)?;
        if !declaration["parameters"].is_null() {
            let parameters = &declaration["parameters"];
            if parameters["type"] != "OBJECT"
                || parameters["properties"].as_object().is_none_or(|p| p.is_empty())
            {
                let words = format!(
                    "* GenerateContentRequest.{place}.parameters.properties: should be non-empty for OBJECT type"
                );
                return Err(wrong(words));
            }
            schema(parameters, &format!("{place}.parameters"))?;
        }
    }
    if !body["tools"].is_null() && config["responseMimeType"] == "application/json" && !is_newest(model) {
        let words = "Function calling with a response mime type: 'application/json' is unsupported";
        return Err(wrong(words));
    }
    let mode = body["toolConfig"]["functionCallingConfig"]["mode"].as_str();
    if !matches!(mode, None | Some("AUTO" | "ANY" | "NONE" | "VALIDATED")) {
        return Err(wrong("Invalid value at 'tool_config.function_calling_config.mode'"));
    }
    Ok(())
}

/// From version 3 on.
fn is_newest(model: &str) -> bool {
    ["gemini-1", "gemini-2"].iter().all(|old| !model.starts_with(old)) && model.starts_with("gemini")
}

fn known(value: &Value, names: &[&str], place: &str) -> Result<(), Complaint> {
    let Some(name) = stranger(value, names) else { return Ok(()) };
    let at = if place.is_empty() { String::new() } else { format!(" at '{place}'") };
    Err(wrong(format!("Invalid JSON payload received. Unknown name \"{name}\"{at}: Cannot find field.")))
}

fn name(name: &Value, place: &str) -> Result<(), Complaint> {
    let text = name.as_str().unwrap_or_default();
    let begins = text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_');
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.:-".contains(&byte);
    if begins && text.len() <= 64 && text.bytes().all(fits) {
        return Ok(());
    }
    Err(wrong(format!(
        "* {place}.name: [FIELD_INVALID] Invalid function name. Must start with a letter or an underscore."
    )))
}

fn conversation(contents: &[Value], signed: bool) -> Result<(), Complaint> {
    if contents.is_empty() {
        return Err(wrong("* GenerateContentRequest.contents: contents is not specified"));
    }
    if contents[0]["role"] == "model" {
        return Err(wrong("Please ensure that the first turn is a user turn."));
    }
    let mut open: Vec<&str> = Vec::new();
    for (index, content) in contents.iter().enumerate() {
        let place = format!("contents[{index}]");
        known(content, &["role", "parts"], &place)?;
        if !matches!(content["role"].as_str(), Some("user" | "model")) {
            return Err(wrong("Please use a valid role: user, model."));
        }
        let parts = items(&content["parts"]);
        if parts.is_empty() {
            return Err(wrong(format!(
                "* GenerateContentRequest.{place}.parts: contents.parts must not be empty."
            )));
        }
        for (at, one) in parts.iter().enumerate() {
            part(one, &format!("{place}.parts[{at}]"))?;
        }
        let answered: Vec<&str> =
            parts.iter().filter_map(|part| part["functionResponse"]["name"].as_str()).collect();
        if answered != open {
            let words = "Please ensure that the number of function response parts is equal to the number of function \
                         call parts of the function call turn.";
            return Err(wrong(words));
        }
        let calls: Vec<&Value> = parts.iter().filter(|part| part["functionCall"].is_object()).collect();
        if let Some(first) = calls.first()
            && signed
            && !matches!(first["thoughtSignature"].as_str(), Some(SIGNATURE | NO_SIGNATURE))
        {
            return Err(wrong("Function call is missing a thought_signature in functionCall parts."));
        }
        open = calls.iter().filter_map(|part| part["functionCall"]["name"].as_str()).collect();
    }
    if open.is_empty() {
        return Ok(());
    }
    Err(wrong("Please ensure that function call turn comes immediately before a function response turn."))
}

fn part(part: &Value, place: &str) -> Result<(), Complaint> {
    known(part, &PART, place)?;
    let data = ["text", "inlineData", "fileData", "functionCall", "functionResponse"];
    if data.iter().filter(|name| !part[**name].is_null()).count() != 1 {
        let words = format!(
            "* GenerateContentRequest.{place}.data: required oneof field 'data' must have one initialized field"
        );
        return Err(wrong(words));
    }
    let call = &part["functionCall"];
    if !call.is_null() {
        known(call, &["name", "args", "id"], &format!("{place}.function_call"))?;
        if !call["args"].is_object() && !call["args"].is_null() {
            return Err(wrong(format!(
                "Invalid value at '{place}.function_call.args' (type.googleapis.com/google.protobuf.Struct)"
            )));
        }
    }
    let response = &part["functionResponse"];
    if !response.is_null() && !response["response"].is_object() {
        return Err(wrong(format!(
            "Invalid value at '{place}.function_response.response' (type.googleapis.com/google.protobuf.Struct)"
        )));
    }
    let blob = &part["inlineData"];
    if blob.is_object() && (!blob["mimeType"].is_string() || !blob["data"].is_string()) {
        return Err(wrong(format!(
            "* GenerateContentRequest.{place}.inline_data.mime_type: must be specified"
        )));
    }
    Ok(())
}

/// A schema, and those within it.
fn schema(value: &Value, place: &str) -> Result<(), Complaint> {
    known(value, &SCHEMA, place)?;
    let variants = items(&value["anyOf"]);
    for (index, variant) in variants.iter().enumerate() {
        schema(variant, &format!("{place}.any_of[{index}]"))?;
    }
    let kind = value["type"].as_str();
    if !variants.is_empty() {
        return Ok(());
    }
    match kind {
        Some("OBJECT") => {
            if value["properties"].as_object().is_some_and(serde_json::Map::is_empty) {
                return Err(wrong(format!(
                    "* GenerateContentRequest.{place}.properties: should be non-empty for OBJECT type"
                )));
            }
            for (name, property) in value["properties"].as_object().into_iter().flatten() {
                schema(property, &format!("{place}.properties[{name}]"))?;
            }
            for name in items(&value["required"]) {
                if value["properties"][name.as_str().unwrap_or_default()].is_null() {
                    return Err(wrong(format!(
                        "* GenerateContentRequest.{place}.required: property is not defined"
                    )));
                }
            }
            Ok(())
        }
        Some("ARRAY") if value["items"].is_null() => {
            Err(wrong(format!("* GenerateContentRequest.{place}.items: missing field.")))
        }
        Some("ARRAY") => schema(&value["items"], &format!("{place}.items")),
        Some("STRING") => {
            let format = value["format"].as_str();
            if !matches!(format, None | Some("enum" | "date-time")) {
                return Err(wrong(format!(
                    "* GenerateContentRequest.{place}.format: only 'enum' and 'date-time' are supported for STRING type"
                )));
            }
            Ok(())
        }
        Some("NUMBER" | "INTEGER" | "BOOLEAN" | "NULL") if value["enum"].is_null() => Ok(()),
        Some("NUMBER" | "INTEGER" | "BOOLEAN" | "NULL") => {
            Err(wrong(format!("* GenerateContentRequest.{place}.enum: only allowed for STRING type")))
        }
        _ => Err(wrong(format!(
            "Invalid value at '{place}.type' (type.googleapis.com/google.ai.generativelanguage.v1beta.Type), {}",
            value["type"]
        ))),
    }
}
