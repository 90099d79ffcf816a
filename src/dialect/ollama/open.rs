//! The door for callers who speak Ollama: is this a chat request, and what is its gist?

use crate::dialect::{Invalid, raw};
use crate::domain::words::{Dialect, Gist, Marks, Words};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::ops::Range;
use std::sync::Arc;

/// More than any conversation has; a bound on what translating costs.
const MESSAGES_MAX: usize = 100_000;

/// Opens a caller's body. Without `stream` the answer is a stream.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let (gist, marks) = look(raw::text_of(&body)?)?;
    Ok((gist, Words { dialect: Dialect::Ollama, body: Arc::new(body), marks }))
}

fn look(text: &str) -> Result<(Gist, Marks), Invalid> {
    let mut gist = Gist { include_usage: true, stream: true, ..Gist::default() };
    let mut marks = Marks::default();
    let mut stream: Option<Range<usize>> = None;
    raw::fields(text, |key, value| {
        match key {
            "model" => {
                raw::once(&mut marks.model, raw::range(text, value), key)?;
                gist.model = raw::read::<Option<String>>(value, key, "must be a string")?;
            }
            "messages" => {
                raw::once(&mut marks.messages, raw::range(text, value), key)?;
                messages(value).map_err(raw::inside(key))?;
            }
            "stream" => {
                raw::once(&mut stream, 0..0, key)?;
                gist.stream = raw::is_null(value) || raw::boolean(value, key)?;
            }
            "options" if !raw::is_null(value) => {
                gist.max_tokens = options(value).map_err(raw::inside(key))?;
            }
            // The vendor's parser does not tell cases apart: what we read must be what it reads.
            other if ["model", "messages", "stream"].iter().any(|key| other.eq_ignore_ascii_case(key)) => {
                return Err(raw::invalid(&other.to_ascii_lowercase(), "must be written in small letters"));
            }
            _ => {}
        }
        Ok(())
    })?;
    gist.model = gist.model.filter(|model| !model.is_empty());
    if marks.messages.is_none() {
        return Err(raw::invalid("messages", "is required"));
    }
    Ok((gist, marks))
}

/// The bound on output; a negative one is none.
pub(super) fn options(value: &RawValue) -> Result<Option<u64>, Invalid> {
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
    #[derive(Deserialize)]
    struct Message<'a> {
        #[serde(borrow)]
        role: Option<&'a RawValue>,
        #[serde(borrow)]
        content: Option<&'a RawValue>,
    }
    let mut count = 0;
    raw::items(value.get(), |index, item| {
        count += 1;
        if index >= MESSAGES_MAX {
            return Err(raw::invalid("", "is one message too many"));
        }
        if !raw::is_object(item) {
            return Err(raw::invalid("", "must be an object"));
        }
        let message: Message<'_> = raw::read(item, "", "has a field twice")?;
        match message.role.map(RawValue::get) {
            Some(r#""user""# | r#""assistant""# | r#""system""# | r#""tool""#) => {}
            _ => return Err(raw::invalid("role", "must be system, user, assistant or tool")),
        }
        match message.content {
            Some(content) if !raw::is_string(content) => Err(raw::invalid("content", "must be a string")),
            _ => Ok(()),
        }
    })?;
    if count == 0 { Err(raw::invalid("", "must not be empty")) } else { Ok(()) }
}
