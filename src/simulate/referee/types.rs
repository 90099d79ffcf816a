//! Parameters of the wrong type, which every vendor refuses, each in its own words.

use super::super::complaint::Complaint;
use super::wrong;
use serde_json::Value;

/// What a parameter has to be, unless it is `null`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Text,
    Whole,
    Number,
    Truth,
    List,
    Object,
}

impl Kind {
    fn fits(self, value: &Value) -> bool {
        match self {
            Self::Text => value.is_string(),
            Self::Whole => value.is_i64() || value.is_u64(),
            Self::Number => value.is_number(),
            Self::Truth => value.is_boolean(),
            Self::List => value.is_array(),
            Self::Object => value.is_object(),
        }
    }
}

/// The first of these parameters that is something else.
fn mistyped(body: &Value, known: &[(&'static str, Kind)]) -> Option<(&'static str, Kind)> {
    known.iter().copied().find(|(name, kind)| !body[*name].is_null() && !kind.fits(&body[*name]))
}

/// As OpenAI words it.
pub(super) fn of_openai(body: &Value, known: &[(&'static str, Kind)]) -> Result<(), Complaint> {
    let Some((name, kind)) = mistyped(body, known) else { return Ok(()) };
    let kind = match kind {
        Kind::Text => "a string",
        Kind::Whole => "an integer",
        Kind::Number => "a decimal",
        Kind::Truth => "a boolean",
        Kind::List => "an array",
        Kind::Object => "an object",
    };
    let words = format!("Invalid type for '{name}': expected {kind}.");
    Err(Complaint::invalid(words, Some(name), Some("invalid_type")))
}

/// As Anthropic words it.
pub(super) fn of_anthropic(body: &Value, known: &[(&'static str, Kind)]) -> Result<(), Complaint> {
    let Some((name, kind)) = mistyped(body, known) else { return Ok(()) };
    let kind = match kind {
        Kind::Text => "string",
        Kind::Whole => "integer",
        Kind::Number => "number",
        Kind::Truth => "boolean",
        Kind::List => "list",
        Kind::Object => "dictionary",
    };
    Err(wrong(format!("{name}: Input should be a valid {kind}")))
}

/// As Ollama's parser words it.
pub(super) fn of_ollama(body: &Value, known: &[(&'static str, Kind)]) -> Result<(), Complaint> {
    let Some((name, kind)) = mistyped(body, known) else { return Ok(()) };
    let kind = match kind {
        Kind::Text => "string",
        Kind::Whole => "int",
        Kind::Number => "float64",
        Kind::Truth => "bool",
        Kind::List => "[]string",
        Kind::Object => "map[string]interface {}",
    };
    Err(unfit(&body[name], name, kind))
}

/// As Gemini words it.
pub(super) fn of_gemini(body: &Value, known: &[(&'static str, Kind)], place: &str) -> Result<(), Complaint> {
    let Some((name, kind)) = mistyped(body, known) else { return Ok(()) };
    let kind = match kind {
        Kind::Text => "TYPE_STRING",
        Kind::Whole => "TYPE_INT32",
        Kind::Number => "TYPE_FLOAT",
        Kind::Truth => "TYPE_BOOL",
        Kind::List | Kind::Object => "type.googleapis.com/google.protobuf.Value",
    };
    Err(wrong(format!("Invalid value at '{place}{name}' ({kind}), {}", body[name])))
}

/// What does not fit a Go struct.
pub(super) fn unfit(value: &Value, field: &str, kind: &str) -> Complaint {
    let found = match value {
        Value::Array(_) => "array",
        Value::Object(_) => "object",
        Value::Number(_) => "number",
        Value::Bool(_) => "bool",
        Value::String(_) | Value::Null => "string",
    };
    wrong(format!("json: cannot unmarshal {found} into Go struct field ChatRequest.{field} of type {kind}"))
}
