//! Raw JSON: one strict scan that finds values where they stand, and the few ways we write it.
//!
//! A caller's body is never turned into a tree. [`Scan`] walks it once, checks that it is JSON (RFC 8259) of bounded
//! depth, and hands out slices; what is needed of them is read by `serde_json` into typed values.

mod scan;

use super::Invalid;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub use scan::{Bad, DEPTH_MAX, Scan};

/// A body as text, if it is UTF-8 at all.
///
/// # Errors
/// [`Invalid`] when it is not.
pub fn text(body: &[u8]) -> Result<&str, Invalid> {
    std::str::from_utf8(body).map_err(|error| {
        Invalid::new(None, format!("the body is not UTF-8 (at byte {})", error.valid_up_to()))
    })
}

/// An object's members in order, values as they stand.
///
/// # Errors
/// [`Bad`] when the text is not one JSON object.
pub fn members(text: &str) -> Result<Vec<(Cow<'_, str>, &str)>, Bad> {
    let mut found = Vec::new();
    let mut scan = Scan::new(text);
    scan.object(|scan, key| {
        found.push((key, scan.value()?));
        Ok::<(), Bad>(())
    })?;
    scan.end()?;
    Ok(found)
}

/// Whether a text is one JSON object.
#[must_use]
pub fn is_object(text: &str) -> bool {
    let mut scan = Scan::new(text);
    scan.peek() == b'{' && scan.value().is_ok() && scan.end().is_ok()
}

/// Reads a raw value into a type; `path` names the field when it does not fit.
///
/// # Errors
/// [`Invalid`] with the path, and what was expected.
pub fn read<'a, T: Deserialize<'a>>(raw: &'a str, path: &str, expected: &str) -> Result<T, Invalid> {
    serde_json::from_str(raw).map_err(|_| Invalid::new(Some(path), format!("{path} must be {expected}")))
}

/// Reads a bound on tokens; `null` and negative numbers (some local servers' "no bound") are none.
///
/// # Errors
/// [`Invalid`] when it is not a whole number.
pub fn count(raw: &str, path: &str) -> Result<Option<u64>, Invalid> {
    let number = read::<Option<i64>>(raw, path, "a whole number")?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

/// Appends anything as JSON.
pub fn push<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing to memory cannot fail, and our values have string keys and no refusing `Serialize`.
    let _ = serde_json::to_writer(out, value);
}

/// A copy of `body` with each range replaced; ranges must not overlap (an empty range inserts).
#[must_use]
pub fn replace(body: &[u8], edits: &mut [(Range<usize>, Vec<u8>)]) -> Vec<u8> {
    edits.sort_by_key(|(range, _)| range.start);
    let added: usize = edits.iter().map(|(_, bytes)| bytes.len()).sum();
    let mut out = Vec::with_capacity(body.len() + added);
    let mut at = 0;
    for (range, bytes) in edits.iter() {
        out.extend_from_slice(&body[at..range.start]);
        out.extend_from_slice(bytes);
        at = range.end;
    }
    out.extend_from_slice(&body[at..]);
    out
}

/// A string borrowed from the text where it has no escapes, also inside an `Option`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(transparent)]
pub struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// Text that vendors write as a string, as a list of parts, or as something we pass over.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Loose<'a>(pub Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Loose<'a> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        from.deserialize_any(LooseVisitor).map(Loose)
    }
}

struct LooseVisitor;

impl<'de> Visitor<'de> for LooseVisitor {
    type Value = Cow<'de, str>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text")
    }

    fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(text))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
        Ok(Cow::Owned(text.to_owned()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Self::Value, E> {
        Ok(Cow::Borrowed(""))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut parts: A) -> Result<Self::Value, A::Error> {
        #[derive(Deserialize)]
        struct Part<'a> {
            #[serde(borrow, default)]
            text: Option<Text<'a>>,
        }
        let mut all = String::new();
        while let Some(part) = parts.next_element::<Part<'_>>()? {
            all.push_str(part.text.as_ref().map_or("", |text| &text.0));
        }
        Ok(Cow::Owned(all))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        while map.next_entry::<de::IgnoredAny, de::IgnoredAny>()?.is_some() {}
        Ok(Cow::Borrowed(""))
    }
}
