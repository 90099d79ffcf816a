//! The door that Anthropic's and Ollama's callers come through: the fields that decide anything are read once, and
//! marked where they may be replaced. The whole has been looked through: nothing decisive is said twice.

use super::{Invalid, raw};
use crate::domain::words::{Dialect, Gist, Marks, Words};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// Messages, or items of Responses, in one request. The bound of Anthropic's own, and more than any conversation has
/// elsewhere: a bound on what translating costs.
pub(super) const MESSAGES_MAX: usize = 100_000;

/// What a door looks for.
pub(super) struct Door {
    /// What is spoken.
    pub dialect: Dialect,
    /// What is taken for granted where the caller says nothing.
    pub unless_said: Gist,
    /// The fields that are read.
    pub fields: &'static [&'static str],
    /// The one of them without which there is no question.
    pub needs: Option<&'static str>,
}

impl Door {
    /// Opens a body. The model, the wish for a stream and the place of the messages are read here; `read` is given
    /// every field of the door's and reads what else there is to it.
    pub fn open(
        self,
        body: Vec<u8>,
        mut read: impl FnMut(&mut Gist, &str, &RawValue) -> Result<(), Invalid>,
    ) -> Result<(Gist, Words), Invalid> {
        let Self { dialect, unless_said: mut gist, fields, needs: mut lacks } = self;
        let text = raw::text_of(&body)?;
        let mut marks = Marks::default();
        raw::fields(text, |key, value| {
            if !fields.contains(&key) {
                return Ok(());
            }
            lacks = lacks.filter(|needed| *needed != key);
            match key {
                "model" => {
                    marks.model = Some(raw::range(text, value));
                    let model = raw::read::<Option<String>>(value, key, "must be a string")?;
                    gist.model = model.filter(|model| !model.is_empty());
                }
                "stream" if raw::is_null(value) => {}
                "stream" => gist.stream = raw::boolean(value, key)?,
                "messages" => marks.messages = Some(raw::range(text, value)),
                _ => {}
            }
            read(&mut gist, key, value)
        })?;
        match lacks {
            Some(needed) => Err(raw::invalid(needed, "is required")),
            None => Ok((gist, Words { dialect, body: Arc::new(body), marks })),
        }
    }
}

/// Looks through the messages of a conversation: objects with a role that is known, and a content that `fits`.
pub(super) fn messages(
    value: &RawValue,
    (roles, words): (&[&str], &str),
    fits: impl Fn(Option<&RawValue>) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
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
        let role = message.role.map_or("", RawValue::get).trim_matches('"');
        if !roles.contains(&role) {
            return Err(raw::invalid("role", words));
        }
        fits(message.content)
    })?;
    if count == 0 { Err(raw::invalid("", "must not be empty")) } else { Ok(()) }
}
