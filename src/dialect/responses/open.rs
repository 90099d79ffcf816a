//! The door for callers of Responses: is this a request that can be answered without a memory, and what is its gist?

use crate::dialect::door::MESSAGES_MAX;
use crate::dialect::{Invalid, raw};
use crate::domain::words::{Dialect, Gist, Marks, Words};
use serde_json::value::RawValue;
use std::ops::Range;
use std::sync::Arc;

/// Opens a caller's body.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let mut gist = Gist { include_usage: true, ..Gist::default() };
    let mut marks = Marks::default();
    let mut stream: Option<Range<usize>> = None;
    let text = raw::text_of(&body)?;
    raw::fields(text, |key, value| {
        match key {
            "model" => {
                raw::once(&mut marks.model, raw::range(text, value), key)?;
                gist.model = raw::read::<Option<String>>(value, key, "must be a string")?;
            }
            "input" => {
                raw::once(&mut marks.messages, raw::range(text, value), key)?;
                items(value).map_err(raw::inside(key))?;
            }
            "stream" => {
                raw::once(&mut stream, 0..0, key)?;
                gist.stream = !raw::is_null(value) && raw::boolean(value, key)?;
            }
            _ if raw::is_null(value) => {}
            "max_output_tokens" => gist.max_tokens = Some(raw::count(value, key)?),
            "previous_response_id" | "conversation" => {
                let words = "nothing is stored here: send the whole conversation as input";
                return Err(raw::invalid(key, words));
            }
            "background" if raw::boolean(value, key)? => {
                return Err(raw::invalid(key, "nothing is stored here: wait for the answer, or stream it"));
            }
            _ => {}
        }
        Ok(())
    })?;
    gist.model = gist.model.filter(|model| !model.is_empty());
    if marks.messages.is_none() {
        return Err(raw::invalid("input", "is required"));
    }
    Ok((gist, Words { dialect: Dialect::OpenAiResponses, body: Arc::new(body), marks }))
}

fn items(input: &RawValue) -> Result<(), Invalid> {
    if raw::is_string(input) {
        return Ok(());
    }
    let mut count = 0;
    raw::items(input.get(), |index, item| {
        count += 1;
        if index >= MESSAGES_MAX {
            return Err(raw::invalid("", "is one item too many"));
        }
        if raw::is_object(item) { Ok(()) } else { Err(raw::invalid("", "must be an object")) }
    })?;
    if count == 0 { Err(raw::invalid("", "must not be empty")) } else { Ok(()) }
}
