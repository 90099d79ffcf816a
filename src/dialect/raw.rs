//! Raw parts of JSON bodies: walking objects and arrays without building trees, splicing bytes, wording fragments.
//!
//! Errors carry paths relative to what was walked; callers put what stands before them with [`inside`], so that
//! nothing is allocated for a path while all is well.

use super::Invalid;
pub(super) use super::json::{push as write, sound, text as text_of};
use crate::domain::failure::{Failure, Fault};
use serde::de::{Deserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

/// What [`Invalid`] says of something the domain has no word for; [`failure_of`] makes it `Untranslatable`.
pub(super) const NO_EQUIVALENT: &str = "has no equivalent at the provider that was asked";

/// How many unknown parameters are remembered by name.
pub(super) const UNKNOWN_MAX: usize = 32;

/// A complaint about one field; an empty `param` is the body as a whole.
pub(super) fn invalid(param: &str, message: &str) -> Invalid {
    Invalid { param: (!param.is_empty()).then(|| param.to_owned()), message: message.to_owned() }
}

/// Puts `prefix` before the path of a complaint: `role` inside `messages[2]` is `messages[2].role`.
pub(super) fn inside(prefix: impl fmt::Display) -> impl FnOnce(Invalid) -> Invalid {
    move |invalid| Invalid {
        param: Some(match invalid.param {
            None => prefix.to_string(),
            Some(rest) if rest.starts_with('[') => format!("{prefix}{rest}"),
            Some(rest) => format!("{prefix}.{rest}"),
        }),
        message: invalid.message,
    }
}

/// The failure a complaint is when it is found while translating for a provider.
pub(super) fn failure_of(invalid: Invalid) -> Failure {
    let fault = if invalid.message == NO_EQUIVALENT { Fault::Untranslatable } else { Fault::BadRequest };
    let message = invalid.sentence();
    Failure { param: invalid.param, ..Failure::new(fault, message) }
}

/// Calls `visit` for every member of the object `json`.
pub(super) fn fields<'a>(
    json: &'a str,
    visit: impl FnMut(&str, &'a RawValue) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    let mut walk = Fields { visit, stopped: None };
    let mut reader = serde_json::Deserializer::from_str(json);
    let walked = reader.deserialize_map(&mut walk).and_then(|()| reader.end());
    match (walk.stopped, walked) {
        (Some(invalid), _) => Err(invalid),
        (None, Err(_)) => Err(invalid("", "must be a JSON object")),
        (None, Ok(())) => Ok(()),
    }
}

struct Fields<F> {
    visit: F,
    stopped: Option<Invalid>,
}

#[derive(Deserialize)]
struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de, F: FnMut(&str, &'de RawValue) -> Result<(), Invalid>> Visitor<'de> for &mut Fields<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some((key, value)) = map.next_entry::<Key<'de>, &'de RawValue>()? {
            if let Err(invalid) = (self.visit)(&key.0, value) {
                self.stopped = Some(invalid);
                return Err(serde::de::Error::custom("stopped"));
            }
        }
        Ok(())
    }
}

/// Calls `visit` for every element of the array `json`; complaints are put inside `[index]`.
pub(super) fn items<'a>(
    json: &'a str,
    visit: impl FnMut(usize, &'a RawValue) -> Result<(), Invalid>,
) -> Result<(), Invalid> {
    let mut walk = Items { visit, stopped: None };
    let mut reader = serde_json::Deserializer::from_str(json);
    let walked = reader.deserialize_seq(&mut walk).and_then(|()| reader.end());
    match (walk.stopped, walked) {
        (Some(invalid), _) => Err(invalid),
        (None, Err(_)) => Err(invalid("", "must be an array")),
        (None, Ok(())) => Ok(()),
    }
}

struct Items<F> {
    visit: F,
    stopped: Option<Invalid>,
}

impl<'de, F: FnMut(usize, &'de RawValue) -> Result<(), Invalid>> Visitor<'de> for &mut Items<F> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<(), A::Error> {
        let mut index = 0;
        while let Some(item) = seq.next_element::<&'de RawValue>()? {
            if let Err(invalid) = (self.visit)(index, item) {
                self.stopped = Some(inside(format_args!("[{index}]"))(invalid));
                return Err(serde::de::Error::custom("stopped"));
            }
            index += 1;
        }
        Ok(())
    }
}

/// Whether the value is `null`: the same as absent everywhere.
pub(super) fn is_null(value: &RawValue) -> bool {
    value.get() == "null"
}

/// Whether the value is an object.
pub(super) fn is_object(value: &RawValue) -> bool {
    value.get().starts_with('{')
}

/// Whether the value is a string.
pub(super) fn is_string(value: &RawValue) -> bool {
    value.get().starts_with('"')
}

/// A typed reading of a value; `what` says what it must be.
pub(super) fn read<'a, T: Deserialize<'a>>(
    value: &'a RawValue,
    param: &str,
    what: &str,
) -> Result<T, Invalid> {
    serde_json::from_str(value.get()).map_err(|_| invalid(param, what))
}

/// A string.
pub(super) fn string(value: &RawValue, param: &str) -> Result<String, Invalid> {
    read(value, param, "must be a string")
}

/// A number.
pub(super) fn number(value: &RawValue, param: &str) -> Result<f64, Invalid> {
    read(value, param, "must be a number")
}

/// A whole number that is not negative.
pub(super) fn count(value: &RawValue, param: &str) -> Result<u64, Invalid> {
    read(value, param, "must be a whole number, 0 or more")
}

/// True or false.
pub(super) fn boolean(value: &RawValue, param: &str) -> Result<bool, Invalid> {
    read(value, param, "must be true or false")
}

/// Remembers a parameter the domain has no place for.
pub(super) fn remember(unknown: &mut Vec<String>, name: impl Into<String>) {
    let name = name.into();
    if unknown.len() < UNKNOWN_MAX && !unknown.contains(&name) {
        unknown.push(name);
    }
}

/// Notes where a field stands. A second one is refused: whom would the provider believe?
pub(super) fn once(mark: &mut Option<Range<usize>>, range: Range<usize>, param: &str) -> Result<(), Invalid> {
    match mark.replace(range) {
        None => Ok(()),
        Some(_) => Err(invalid(param, "is given twice")),
    }
}

/// Where in `text` the value stands; it must have been read from `text`.
pub(super) fn range(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}

/// JSON text as a fragment that can be written as it is; `None` when it is not JSON.
pub(super) fn fragment(json: &str) -> Option<&RawValue> {
    serde_json::from_str(json).ok()
}

/// JSON text as a fragment, if it is an object. Empty text is the empty object.
pub(super) fn object(json: &str) -> Option<&RawValue> {
    let json = if json.trim().is_empty() { "{}" } else { json };
    fragment(json).filter(|value| is_object(value))
}

/// A tool call's arguments as an object. What is not one is kept as text under `raw_arguments`: a model's
/// slip must not become a call without arguments.
pub(super) fn arguments(json: &str) -> Cow<'_, RawValue> {
    #[derive(Serialize)]
    struct Slip<'a> {
        raw_arguments: &'a str,
    }
    object(json).map_or_else(
        || {
            let slip = serde_json::value::to_raw_value(&Slip { raw_arguments: json });
            Cow::Owned(slip.expect("a struct of one string is always JSON"))
        },
        Cow::Borrowed,
    )
}

/// The edit that makes a body ask for `model`, wherever the caller put its own, if he did.
pub(super) fn model_edit(body: &[u8], mark: Option<&Range<usize>>, model: &str) -> (Range<usize>, Vec<u8>) {
    let mut new = Vec::with_capacity(model.len() + 12);
    match mark {
        Some(range) => {
            write(&mut new, &model);
            (range.clone(), new)
        }
        None => {
            let start = body.iter().position(|byte| *byte == b'{').map_or(0, |brace| brace + 1);
            new.extend_from_slice(b"\"model\":");
            write(&mut new, &model);
            new.push(b',');
            (start..start, new)
        }
    }
}

/// Why a provider's body could not be read: cut off, or not what the dialect says.
pub(super) fn unreadable(body: &[u8], error: &serde_json::Error) -> Failure {
    if body.iter().all(u8::is_ascii_whitespace) {
        empty()
    } else if error.is_eof() {
        truncated()
    } else {
        Failure::new(Fault::Garbage, "the provider's answer could not be understood")
    }
}

/// An answer without content.
pub(super) fn empty() -> Failure {
    Failure::new(Fault::Empty, "the provider's answer is empty")
}

/// An answer without its end.
pub(super) fn truncated() -> Failure {
    Failure::new(Fault::Truncated, "the provider's answer ended before its end")
}

/// A frame or body that cannot be understood.
pub(super) fn garbage() -> Failure {
    Failure::new(Fault::Garbage, "the provider's answer could not be understood")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_complaint_names_the_whole_path() {
        let result = items(r#"[{"a":1},{"a":"x"}]"#, |_, item| {
            fields(item.get(), |key, value| number(value, key).map(|_| ()))
        });
        let invalid = result.map_err(inside("messages")).expect_err("the second is a string");
        assert_eq!(invalid.param.as_deref(), Some("messages[1].a"));
    }

    #[test]
    fn what_is_not_an_object_or_is_followed_by_more_is_refused() {
        for json in ["[]", "1", "{", "{}x", "", "{\"a\":}"] {
            assert!(fields(json, |_, _| Ok(())).is_err(), "{json}");
        }
        for json in ["{}", "1", "[", "[]x", "[,]"] {
            assert!(items(json, |_, _| Ok(())).is_err(), "{json}");
        }
    }

    #[test]
    fn deep_nesting_is_walked_over_without_recursion() {
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(200_000), "]".repeat(200_000));
        assert!(fields(&deep, |_, _| Ok(())).is_ok());
    }

    #[test]
    fn arguments_that_are_no_object_are_kept_as_text() {
        assert_eq!(arguments("").get(), "{}");
        assert_eq!(arguments(r#"{"a":1}"#).get(), r#"{"a":1}"#);
        assert_eq!(arguments("{\"a\":").get(), r#"{"raw_arguments":"{\"a\":"}"#);
    }
}
