//! The door for callers who speak Anthropic: is this a Messages request, and what is its gist?

use crate::dialect::{Invalid, raw};
use crate::domain::words::{Dialect, Gist, Marks, Subject, Words};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The vendor's own bound.
pub(super) const MESSAGES_MAX: usize = 100_000;

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
    let (gist, marks) = look(raw::text_of(&body)?)?;
    Ok((gist, Words { dialect: Dialect::Anthropic, body: Arc::new(body), marks }))
}

fn look(text: &str) -> Result<(Gist, Marks), Invalid> {
    let mut gist = Gist { include_usage: true, ..Gist::default() };
    let mut marks = Marks::default();
    let mut stream = None;
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
                gist.stream = !raw::is_null(value) && raw::boolean(value, key)?;
            }
            "max_tokens" => gist.max_tokens = Some(max_tokens(value)?),
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

fn max_tokens(value: &RawValue) -> Result<u64, Invalid> {
    let wrong = || raw::invalid("max_tokens", "must be a whole number, 1 or more");
    raw::count(value, "max_tokens").map_err(|_| wrong()).and_then(|count| match count {
        0 => Err(wrong()),
        count => Ok(count),
    })
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
            Some(r#""user""# | r#""assistant""# | r#""system""#) => {}
            _ => return Err(raw::invalid("role", "must be user or assistant")),
        }
        match message.content {
            Some(content) if raw::is_string(content) || content.get().starts_with('[') => Ok(()),
            _ => Err(raw::invalid("content", "must be a string or an array of blocks")),
        }
    })?;
    if count == 0 { Err(raw::invalid("", "must not be empty")) } else { Ok(()) }
}
