//! Raw JSON: one strict scan that finds values where they stand, and the few ways we write it.
//!
//! A caller's body is never turned into a tree. [`Scan`] walks it once, checks that it is JSON (RFC 8259) of bounded
//! depth, and hands out slices; what is needed of them is read by `serde_json` into typed values.

mod odd;
mod run;
mod scan;

use super::Invalid;
use crate::domain::page::needs_escape;
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

pub use odd::{complaint, replaced};
pub use run::plain as quiet_length;
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

/// The outermost members by which we decide who is asked, how, and for how much.
const DECISIVE: [&str; 9] =
    ["model", "messages", "prompt", "input", "stream", "options", "max_tokens", "max_output_tokens", "name"];

/// Looks through a whole body before its door reads it: one JSON object of bounded depth, which says nothing decisive
/// twice. Returns where it is odd, as [`Scan::odd`] does.
///
/// # Errors
/// [`Invalid`] says what is wrong with it.
pub fn look_through(text: &str) -> Result<Option<usize>, Invalid> {
    let mut scan = Scan::new(text);
    if scan.peek() != b'{' {
        return Err(Invalid::new(None, "the body must be a JSON object"));
    }
    let mut seen = 0_u16;
    scan.object(|scan, key| {
        match DECISIVE.iter().position(|&known| known == key) {
            Some(bit) if seen & 1 << bit != 0 => {
                return Err(Invalid::new(Some(&key), format!("{key} is given twice")));
            }
            Some(bit) => seen |= 1 << bit,
            None => only_ours(&key, &DECISIVE)?,
        }
        scan.value()?;
        Ok(())
    })?;
    scan.end()?;
    Ok(scan.odd())
}

/// Refuses a key that is one of these to a parser that does not tell cases apart: to Go's, which also takes ſ for an s
/// and the Kelvin sign for a k. What we read must be what it reads.
///
/// # Errors
/// [`Invalid`] names the key as it should be.
pub fn only_ours(key: &str, known: &[&str]) -> Result<(), Invalid> {
    if !key.bytes().fold(false, |any, byte| any | !byte.is_ascii() | byte.is_ascii_uppercase()) {
        return Ok(());
    }
    let fold = |letter: char| match letter {
        'ſ' => 's',
        '\u{212a}' => 'k',
        other => other.to_ascii_lowercase(),
    };
    let same = |known: &&&str| key.chars().map(fold).eq(known.chars());
    match known.iter().find(same) {
        Some(known) => Err(Invalid::new(Some(known), format!("{known} must be written in small letters"))),
        _ => Ok(()),
    }
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
pub fn read<'a, T: Deserialize<'a>>(
    raw: &'a str,
    path: impl fmt::Display,
    expected: &str,
) -> Result<T, Invalid> {
    serde_json::from_str(raw)
        .map_err(|_| Invalid::new(Some(&path.to_string()), format!("{path} must be {expected}")))
}

/// Reads a bound on tokens; `null` and negative numbers (some local servers' "no bound") are none.
///
/// # Errors
/// [`Invalid`] when it is not a whole number.
pub fn count(raw: &str, path: &str) -> Result<Option<u64>, Invalid> {
    if let Some(number) = digits(raw) {
        return Ok(Some(number));
    }
    let number = read::<Option<i64>>(raw, path, "a whole number")?;
    Ok(number.and_then(|number| u64::try_from(number).ok()))
}

/// A number written in plain digits, so few that any of them fits.
#[must_use]
pub fn digits(raw: &str) -> Option<u64> {
    const DIGITS_MAX: usize = 18;
    let bytes = raw.as_bytes();
    let plain = matches!(bytes, [b'0'] | [b'1'..=b'9', ..]) && bytes.len() <= DIGITS_MAX;
    (plain && bytes.iter().all(u8::is_ascii_digit))
        .then(|| bytes.iter().fold(0, |sum: u64, digit| sum * 10 + u64::from(digit - b'0')))
}

/// What a string says that a [`Scan`] stepped over, if it has no escapes.
#[must_use]
pub fn plain(raw: &str) -> Option<&str> {
    let inner = raw.strip_prefix('"')?.strip_suffix('"')?;
    (!inner.as_bytes().contains(&b'\\')).then_some(inner)
}

/// What a string says that a [`Scan`] stepped over; `path` names the field when it is none.
///
/// # Errors
/// [`Invalid`] with the path, and what was expected.
pub fn string<'a>(raw: &'a str, path: impl fmt::Display, expected: &str) -> Result<Cow<'a, str>, Invalid> {
    match plain(raw) {
        Some(text) => Ok(Cow::Borrowed(text)),
        None => read::<Text<'_>>(raw, path, expected).map(|text| text.0),
    }
}

/// Appends anything as JSON.
pub fn push<T: serde::Serialize + ?Sized>(out: &mut Vec<u8>, value: &T) {
    // Writing to memory cannot fail, and our values have string keys and no refusing `Serialize`.
    let _ = serde_json::to_writer(out, value);
}

/// Appends a text as JSON: as it stands where nothing in it has to be escaped, which is nearly always.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    if needs_escape(text) {
        return push(out, text);
    }
    out.reserve(text.len() + 2);
    out.push(b'"');
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
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

/// What a provider says it counted, or nothing where that is no count at all: an answer is not worth less for it.
///
/// # Errors
/// It is not JSON.
pub fn sound<'de, D: Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    let raw = Option::<&RawValue>::deserialize(from)?;
    Ok(raw.and_then(|raw| serde_json::from_str(raw.get()).ok()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_decides_is_said_once_and_as_we_read_it() {
        let why = |body: &str| look_through(body).expect_err(body).sentence();
        for key in DECISIVE {
            assert_eq!(look_through(&format!(r#"{{"{key}":1,"other":2,"other":3}}"#)), Ok(None));
            assert_eq!(why(&format!(r#"{{"{key}":1,"a":2,"{key}":3}}"#)), format!("{key} is given twice"));
            let shouted = key.to_ascii_uppercase();
            let small = format!("{key} must be written in small letters");
            assert_eq!(why(&format!(r#"{{"{shouted}":1}}"#)), small);
        }
        assert_eq!(why(r#"{"\u017ftream":1}"#), "stream must be written in small letters");
        assert_eq!(why(r#"{"max_to\u212aens":1}"#), "max_tokens must be written in small letters");
        assert_eq!(look_through(r#"{"Models":1,"mödel":2,"MODE":3}"#), Ok(None));
    }

    #[test]
    fn a_text_is_written_as_a_serializer_writes_it() {
        let beginnings =
            ["", "x", "a longer text, of more than one word and more than one block of them", "é😀"];
        for beginning in beginnings {
            for character in (0..=0x2ff).chain([0x2028, 0xfffd, 0x1f600]).filter_map(char::from_u32) {
                for text in [format!("{beginning}{character}"), format!("{character}{beginning}")] {
                    let (mut out, mut slowly) = (b"[".to_vec(), b"[".to_vec());
                    push_text(&mut out, &text);
                    push(&mut slowly, text.as_str());
                    assert_eq!(out, slowly, "{text:?}");
                }
            }
        }
    }

    #[test]
    fn numbers_and_strings_read_quickly_are_what_a_parser_reads() {
        let nines = "9".repeat(18);
        for raw in [
            "0", "7", "10", "00", "01", "-0", "-1", "1.0", "1e2", "", " 1", "1 ", "+1", "null", "\"1\"",
            &nines,
        ] {
            let slowly = serde_json::from_str::<u64>(raw).ok();
            assert!(digits(raw).is_none_or(|number| Some(number) == slowly), "{raw}");
        }
        assert_eq!((digits(&nines), digits(&format!("9{nines}"))), (nines.parse().ok(), None));
        assert_eq!((digits("0"), digits("4096")), (Some(0), Some(4096)));
        for raw in [r#""""#, r#""a""#, r#""a\"b""#, r#""a\u0041""#, "1", "\"", r#""é😀""#] {
            let slowly = serde_json::from_str::<String>(raw).ok();
            assert!(plain(raw).is_none_or(|text| Some(text) == slowly.as_deref()), "{raw}");
        }
        assert_eq!((plain(r#""a""#), plain(r#""a\nb""#)), (Some("a"), None));
        let said = |raw| string(raw, "a.b", "a string").map(Cow::into_owned);
        assert_eq!((said(r#""a""#).as_deref(), said(r#""\u0041\n""#).as_deref()), (Ok("a"), Ok("A\n")));
        assert_eq!(said("5").expect_err("no string").message, "a.b must be a string");
    }

    #[test]
    fn a_body_is_one_object_of_bounded_depth_and_says_where_it_is_odd() {
        let nested = |depth: usize| format!(r#"{{"a":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
        assert_eq!(look_through(&nested(DEPTH_MAX - 1)), Ok(None));
        for (body, words) in [
            (nested(DEPTH_MAX), "deeper than 64"),
            ("[]".to_owned(), "must be a JSON object"),
            ("{}{}".to_owned(), "not valid JSON (at byte 2)"),
            (String::new(), "must be a JSON object"),
        ] {
            let told = look_through(&body).expect_err(&body);
            assert!(told.message.contains(words), "{}", told.message);
        }
        assert_eq!(look_through(r#"{"a":"\u0000"}"#), Ok(Some(6)));
    }
}
