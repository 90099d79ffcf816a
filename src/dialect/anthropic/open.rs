//! The door for callers who speak Anthropic: is this a Messages request, and what is its gist?

use crate::dialect::door::{self, Door};
use crate::dialect::{Invalid, raw};
use crate::domain::words::{Dialect, Gist, Subject, Words};
use serde_json::value::RawValue;

/// Opens a caller's body.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let (gist, words) = open_any(body)?;
    if gist.max_tokens.is_none() {
        return Err(raw::invalid("max_tokens", "is required"));
    }
    Ok((gist, words))
}

/// Opens the body of a request to count tokens: the same without a bound on output.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open_count(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let (gist, words) = open_any(body)?;
    Ok((Gist { subject: Subject::Tokens, stream: false, ..gist }, words))
}

fn open_any(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let door = Door {
        dialect: Dialect::Anthropic,
        unless_said: Gist { include_usage: true, ..Gist::default() },
        fields: &["messages", "model", "stream", "max_tokens"],
        needs: Some("messages"),
    };
    door.open(body, |gist, key, value| {
        match key {
            "messages" => messages(value).map_err(raw::inside(key))?,
            "max_tokens" => gist.max_tokens = Some(max_tokens(value)?),
            _ => {}
        }
        Ok(())
    })
}

fn max_tokens(value: &RawValue) -> Result<u64, Invalid> {
    let count = raw::count(value, "max_tokens").ok().filter(|count| *count > 0);
    count.ok_or_else(|| raw::invalid("max_tokens", "must be a whole number, 1 or more"))
}

fn messages(value: &RawValue) -> Result<(), Invalid> {
    let roles = (&["user", "assistant", "system"][..], "must be user or assistant");
    door::messages(value, roles, |content| match content {
        Some(content) if raw::is_string(content) || content.get().starts_with('[') => Ok(()),
        _ => Err(raw::invalid("content", "must be a string or an array of blocks")),
    })
}
