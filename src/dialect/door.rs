//! The door that Anthropic's and Ollama's callers come through: the fields that decide anything are read once, marked
//! where they may be replaced, and refused where two readers could take them for different things.

use super::{Invalid, raw};
use crate::domain::words::{Dialect, Gist, Marks, Words};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// The bound of Anthropic's own, and more than any conversation has elsewhere: a bound on what translating costs.
pub(super) const MESSAGES_MAX: usize = 100_000;

/// What a door looks for.
pub(super) struct Door {
    /// What is spoken.
    pub dialect: Dialect,
    /// What is taken for granted where the caller says nothing.
    pub unless_said: Gist,
    /// The fields that are read, at most 16.
    pub fields: &'static [&'static str],
    /// The one of them without which there is no question.
    pub needs: Option<&'static str>,
}

impl Door {
    /// Opens a body. The model, the wish for a stream and the place of the messages are read here; `read` is given
    /// every field of the door's and reads what else there is to it.
    pub(super) fn open(
        self,
        body: Vec<u8>,
        mut read: impl FnMut(&mut Gist, &str, &RawValue) -> Result<(), Invalid>,
    ) -> Result<(Gist, Words), Invalid> {
        let Self { dialect, unless_said: mut gist, fields, needs } = self;
        let text = raw::text_of(&body)?;
        let mut marks = Marks::default();
        let mut seen = 0_u16;
        raw::fields(text, |key, value| {
            let Some(at) = fields.iter().position(|field| *field == key) else { return spelled(key, fields) };
            if seen & 1 << at != 0 {
                // Whom would the provider believe?
                return Err(raw::invalid(key, "is given twice"));
            }
            seen |= 1 << at;
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
        let missing = |need: &&str| !(0..fields.len()).any(|at| fields[at] == *need && seen & 1 << at != 0);
        if let Some(need) = needs.filter(missing) {
            return Err(raw::invalid(need, "is required"));
        }
        Ok((gist, Words { dialect, body: Arc::new(body), marks }))
    }
}

/// A field we do not read must not be one that a provider reads: Go's parsers do not tell cases apart, and take the
/// long s and the sign for kelvin for the letters they look like.
pub(super) fn spelled(key: &str, fields: &[&'static str]) -> Result<(), Invalid> {
    if key.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase()) {
        return Ok(());
    }
    let folded = |c: char| match c {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    match fields.iter().find(|field| key.chars().map(folded).eq(field.chars())) {
        Some(field) => Err(raw::invalid(field, "must be written in small letters")),
        None => Ok(()),
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

#[cfg(test)]
mod tests {
    use super::*;

    fn open(body: &str) -> Result<(Gist, Words), Invalid> {
        let fields = &["messages", "model", "stream", "keep"];
        let door = Door { dialect: Dialect::Ollama, unless_said: Gist::default(), fields, needs: None };
        door.open(body.as_bytes().to_vec(), |_, _, _| Ok(()))
    }

    #[test]
    fn a_field_that_two_readers_take_for_different_things_is_refused() {
        let rows = [
            (r#"{"messages":[],"model":"a","model":"a"}"#, "model"),
            (r#"{"messages":[],"model":"a","MODEL":"b"}"#, "model"),
            (r#"{"messages":[],"meſſages":[]}"#, "messages"),
            (r#"{"messages":[],"me\u017fsages":[]}"#, "messages"),
            (r#"{"messages":[],"\u212aeep":1}"#, "keep"),
        ];
        for (body, field) in rows {
            assert_eq!(open(body).expect_err(body).param.as_deref(), Some(field), "{body}");
        }
        assert!(open(r#"{"messages":[],"models":"a","Mode":1,"streams":true}"#).is_ok());
    }

    #[test]
    fn one_message_past_the_bound_is_refused() {
        let look = |count: usize| {
            let all = format!("[{}]", vec![r#"{"role":"user"}"#; count].join(","));
            let value = raw::fragment(&all).expect("JSON");
            messages(value, (&["user"], "must be user"), |_| Ok(()))
        };
        assert!(look(MESSAGES_MAX).is_ok());
        let invalid = look(MESSAGES_MAX + 1).expect_err("one too many");
        assert_eq!(invalid.param.as_deref(), Some("[100000]"));
    }
}
