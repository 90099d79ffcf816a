//! Escapes that JSON allows and that mean no character of any text: NUL, and one half of a surrogate pair.
//!
//! NUL ends a text for whoever is written in C, and Postgres stores it nowhere; half a pair cannot be said in UTF-8
//! (RFC 8259, section 8.2). Providers answer both with a muddle. Every other control character is text: what a
//! terminal prints, with its colours and bells, is ordinary input. In bytes of their own neither can come: raw control
//! characters are no JSON, and halves are no UTF-8.

use super::super::Invalid;
use super::scan::{Bad, Scan};
use std::fmt::Write;

/// Keys and paths in a complaint are cut off behind so many bytes: they are the caller's.
const PATH_BYTES_MAX: usize = 256;

/// Length of what follows `\u`, the other half of a pair included, and whether it is odd; `None` when it is no escape.
pub(super) fn unit(bytes: &[u8]) -> Option<(usize, bool)> {
    match digits(bytes)? {
        0 | 0xdc00..=0xdfff => Some((4, true)),
        0xd800..=0xdbff => match bytes[4..].strip_prefix(b"\\u").and_then(digits) {
            Some(0xdc00..=0xdfff) => Some((10, false)),
            _ => Some((4, true)),
        },
        _ => Some((4, false)),
    }
}

/// Four hexadecimal digits.
fn digits(bytes: &[u8]) -> Option<u16> {
    let four = bytes.first_chunk::<4>()?;
    four.iter().try_fold(0, |number, digit| {
        let digit = char::from(*digit).to_digit(16)?;
        Some(number << 4 | u16::try_from(digit).ok()?)
    })
}

/// What is wrong at `at`, where [`Scan::odd`] found it, with the path of the field it stands in.
#[must_use]
pub fn complaint(text: &str, at: usize) -> Invalid {
    let escape = text.get(at..at + 6).unwrap_or_default();
    let what = if escape == "\\u0000" { "a NUL" } else { "half of a surrogate pair" };
    let path = path(text, at);
    let words = format!("must not contain {what} ({escape}), which many providers cannot take");
    if path.is_empty() {
        Invalid::new(None, format!("the body {words}"))
    } else {
        Invalid::new(Some(&path), words)
    }
}

/// The body with U+FFFD, the sign for what is no character, in the place of each: as long as it was before.
#[must_use]
pub fn replaced(mut body: Vec<u8>) -> Vec<u8> {
    let mut at = 0;
    while let Some(next) = body[at..].iter().position(|byte| *byte == b'\\') {
        at += next + 1;
        if body.get(at) != Some(&b'u') {
            at += 1;
        } else if let Some((length, is_odd)) = unit(&body[at + 1..]) {
            if is_odd {
                body[at + 1..at + 5].copy_from_slice(b"fffd");
            }
            at += 1 + length;
        }
        at = at.min(body.len());
    }
    body
}

/// The path of the value that contains the byte at `at`: `messages[3].content[0].text`. Of a key, its object's.
fn path(text: &str, at: usize) -> String {
    let mut path = String::new();
    // It ends with its finding; what is wrong with the JSON behind that was found before.
    let _ = seek(&mut Scan::new(text), at, &mut path);
    path
}

/// Why a walk ended early.
enum Stop {
    Found,
    Wrong,
}

impl From<Bad> for Stop {
    fn from(_: Bad) -> Self {
        Self::Wrong
    }
}

fn seek(scan: &mut Scan<'_>, at: usize, path: &mut String) -> Result<(), Stop> {
    match scan.peek() {
        b'{' => scan.object(|scan, key| {
            if scan.here() > at {
                return Err(Stop::Found);
            }
            let before = path.len();
            if before > 0 {
                path.push('.');
            }
            path.push_str(&key);
            step(scan, at, path, before)
        }),
        b'[' => {
            let walked: Result<usize, Stop> = scan.array(|scan, index| {
                let before = path.len();
                // Writing to memory does not fail.
                let _ = write!(path, "[{index}]");
                step(scan, at, path, before)
            });
            walked.map(drop)
        }
        _ => {
            scan.value()?;
            if scan.here() > at { Err(Stop::Found) } else { Ok(()) }
        }
    }
}

/// Looks into one value; what it added to the path goes again when it is not there.
fn step(scan: &mut Scan<'_>, at: usize, path: &mut String, before: usize) -> Result<(), Stop> {
    path.truncate(path.floor_char_boundary(PATH_BYTES_MAX));
    seek(scan, at, path)?;
    path.truncate(before);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn odd(text: &str) -> Option<usize> {
        let mut scan = Scan::new(text);
        scan.value().expect("it is JSON");
        scan.odd()
    }

    #[test]
    fn a_nul_and_half_a_pair_are_odd_and_nothing_else_is() {
        assert_eq!(odd(r#""a\u0000""#), Some(2));
        for text in [
            r#""a\\u0000\u0001\u001b\u001f\u007f\uffff\ufffd\ud7ff\ue000""#,
            r#""\ud83d\ude00\uDBFF\udFFF""#,
            r#"["\n\t\"\/",{"\u0041":"\\ud800"}]"#,
        ] {
            assert_eq!(odd(text), None, "{text}");
        }
        for text in [
            r"\ud83d",
            r"\ude00",
            r"\ud83d\ud83d",
            r"\ud83dx",
            r"\ud83d\n",
            r"\udc00\ud800",
            r"\ud83d\\ude00",
        ] {
            assert_eq!(odd(&format!(r#"["ok","\u00e9{text}"]"#)), Some(13), "{text}");
        }
        assert_eq!(odd(r#"{"\u0000":1,"b":"\ud800"}"#), Some(2), "the first one, in a key");
        for no_escape in [r#""\u12""#, r#""\u12g4""#, r#""\ud83d\u12""#, r#""\u+123""#, r#""\u"#] {
            assert!(Scan::new(no_escape).value().is_err(), "{no_escape}");
        }
    }

    #[test]
    fn a_complaint_names_the_field_and_what_is_in_it() {
        for (text, param, words) in [
            (r#"{"a":1,"b":[{"c":"x"},{"c":["\\u0000","\u0000"]}]}"#, Some("b[1].c[1]"), "a NUL (\\u0000)"),
            (r#"{"a":{"b":"x"},"c":"\uD800"}"#, Some("c"), "half of a surrogate pair (\\uD800)"),
            (r#"{"a":{"b":1,"x\u0000y":2}}"#, Some("a"), "a NUL"),
            (r#"{"\u0000":2}"#, None, "a NUL"),
        ] {
            let at = odd(text).expect(text);
            let told = complaint(text, at);
            assert_eq!(told.param.as_deref(), param, "{text}");
            assert!(told.message.contains(words), "{text}: {}", told.message);
        }
    }

    #[test]
    fn a_path_is_no_longer_than_its_limit() {
        let of = |key: &str| {
            let text = format!(r#"{{"{key}":{{"a":["\u0000"]}}}}"#);
            complaint(&text, odd(&text).expect("it is odd")).param.expect("it has a path")
        };
        let fits = "k".repeat(PATH_BYTES_MAX - ".a[0]".len());
        assert_eq!(of(&fits), format!("{fits}.a[0]"));
        assert_eq!(of(&format!("{fits}k")), format!("{fits}k.a[0"));
        assert_eq!(of(&"é".repeat(PATH_BYTES_MAX)), "é".repeat(PATH_BYTES_MAX / 2));
    }

    #[test]
    fn what_is_replaced_stays_as_long_and_is_odd_no_more() {
        for (text, after) in [
            (
                r#"["a\u0000b\ud800","\\u0000\ud83d\ude00\n"]"#,
                r#"["a\ufffdb\ufffd","\\u0000\ud83d\ude00\n"]"#,
            ),
            (r#""\ud83d\ud83d\ude00\udc00""#, r#""\ufffd\ud83d\ude00\ufffd""#),
            (r#""no escapes""#, r#""no escapes""#),
        ] {
            assert_eq!(String::from_utf8(replaced(text.as_bytes().to_vec())).expect("text"), after);
            assert_eq!(odd(after), None);
        }
        // Whatever it is given, it does not stumble.
        for broken in ["\\", "\\u", "\\u00", "\\ud83d\\u", "\\\\"] {
            assert_eq!(replaced(broken.as_bytes().to_vec()).len(), broken.len());
        }
    }
}
