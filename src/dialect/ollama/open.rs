//! The doors for callers who speak Ollama: is this a conversation, or a prompt, and what is its gist?

use crate::dialect::door::{self, Door};
use crate::dialect::{Invalid, raw};
use crate::domain::words::{Dialect, Gist, Words};
use serde_json::value::RawValue;

/// Opens the body of a chat. Without `stream` the answer is a stream.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let needs = Some("messages");
    let fields = &["messages", "model", "stream", "options"];
    let door = Door { dialect: Dialect::Ollama, unless_said: unless_said(), fields, needs };
    door.open(body, field)
}

/// Opens the body of a request to complete a prompt. A prompt is required: loading and unloading models is not a
/// caller's business here.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open_generate(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let needs = Some("prompt");
    let fields = &["prompt", "model", "stream", "options"];
    let door = Door { dialect: Dialect::OllamaGenerate, unless_said: unless_said(), fields, needs };
    door.open(body, field)
}

fn unless_said() -> Gist {
    Gist { include_usage: true, stream: true, ..Gist::default() }
}

fn field(gist: &mut Gist, key: &str, value: &RawValue) -> Result<(), Invalid> {
    match key {
        "messages" => messages(value).map_err(raw::inside(key)),
        "prompt" if raw::string(value, key)?.is_empty() => Err(raw::invalid(key, "must not be empty")),
        "options" if !raw::is_null(value) => {
            gist.max_tokens = options(value).map_err(raw::inside(key))?;
            Ok(())
        }
        _ => Ok(()),
    }
}

/// The bound on output; a negative one is none.
fn options(value: &RawValue) -> Result<Option<u64>, Invalid> {
    let mut bound = None;
    raw::fields(value.get(), |key, value| {
        if key == "num_predict" && !raw::is_null(value) {
            bound = num_predict(value)?;
        }
        Ok(())
    })?;
    Ok(bound)
}

/// The vendor takes `-1` for no bound and `-2` for what fits; numbers may be written with a fraction of zero.
pub(super) fn num_predict(value: &RawValue) -> Result<Option<u64>, Invalid> {
    let number = raw::number(value, "num_predict")?;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "checked, and floats saturate"
    )]
    Ok((number >= 1.0).then_some(number as u64))
}

fn messages(value: &RawValue) -> Result<(), Invalid> {
    let roles = (&["user", "assistant", "system", "tool"][..], "must be system, user, assistant or tool");
    door::messages(value, roles, |content| match content {
        Some(content) if !raw::is_string(content) => Err(raw::invalid("content", "must be a string")),
        _ => Ok(()),
    })
}
