//! What every vendor is asked in the same words, and what no vendor can be asked.

use super::raw;
use crate::domain::chat::{Tool, ToolCall};
use crate::domain::failure::{Failure, Fault};
use serde_json::value::RawValue;

/// Asks for JSON where the vendor has no switch for it, or it cannot be used.
pub(super) const JSON_ONLY: &str =
    "Answer with a single JSON object and nothing else: no prose, no code fence.";

/// Said in the person's place where the vendor wants the person to speak first.
pub(super) const OPENING: &str = "Begin.";

/// A call's arguments as they stand. The caller wrote them, so what is no object is his mistake.
///
/// # Errors
/// `BadRequest` with the place of the message.
pub(super) fn arguments(call: &ToolCall, message: usize) -> Result<&RawValue, Failure> {
    raw::object(&call.arguments).ok_or_else(|| Failure {
        param: Some(format!("messages[{message}].tool_calls")),
        ..Failure::new(Fault::BadRequest, "a tool call's arguments are not a JSON object")
    })
}

/// A schema as it stands.
///
/// # Errors
/// `BadRequest` when it is no object.
pub(super) fn schema<'a>(json: &'a str, param: &str) -> Result<&'a RawValue, Failure> {
    raw::object(json).ok_or_else(|| raw::failure_of(raw::invalid(param, "the schema must be a JSON object")))
}

/// The schema of a tool's arguments; without one it has none.
///
/// # Errors
/// As [`schema`].
pub(super) fn parameters(tool: &Tool, index: usize) -> Result<&RawValue, Failure> {
    let json = tool.parameters.as_deref().unwrap_or(r#"{"type":"object","properties":{}}"#);
    schema(json, &format!("tools[{index}].parameters"))
}

/// Why an image cannot go to a vendor that fetches none.
pub(super) fn by_address(message: usize) -> Failure {
    Failure {
        param: Some(format!("messages[{message}].content")),
        ..Failure::new(Fault::Untranslatable, "the provider takes images as data, not by address")
    }
}
