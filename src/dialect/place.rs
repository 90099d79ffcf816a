//! A model's name as a part of a path. Callers choose names: none may lead to another place.

use std::fmt::Write;

/// A name as one segment of a path, or, where slashes are kept, as several: whatever else is not plain is escaped
/// (RFC 3986, section 2.3). `None` when a segment is empty, `.` or `..`: it would climb out of its place.
#[must_use]
pub fn place(name: &str, slashes: Slashes) -> Option<String> {
    let climbs = |segment: &str| matches!(segment, "" | "." | "..");
    let mut segments = name.split('/');
    if if slashes == Slashes::Kept { segments.any(climbs) } else { climbs(name) } {
        return None;
    }
    let mut path = String::with_capacity(name.len());
    for byte in name.bytes() {
        let kept = byte == b'/' && slashes == Slashes::Kept;
        if kept || byte.is_ascii_alphanumeric() || b"-._~!,=@".contains(&byte) {
            path.push(char::from(byte));
        } else {
            // Writing to memory does not fail.
            let _ = write!(path, "%{byte:02X}");
        }
    }
    Some(path)
}

/// What becomes of slashes in a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Slashes {
    /// They part segments, as in `publishers/google/models/gemini-2.5-flash`.
    Kept,
    /// They are letters like others.
    Escaped,
}

#[cfg(test)]
mod tests {
    use super::{Slashes::*, place};

    #[test]
    fn a_name_stays_in_its_place() {
        assert_eq!(place("gpt-4o", Escaped).as_deref(), Some("gpt-4o"));
        assert_eq!(place("a/../b?c#d%2e", Escaped).as_deref(), Some("a%2F..%2Fb%3Fc%23d%252e"));
        assert_eq!(place("tunedModels/x y:1", Kept).as_deref(), Some("tunedModels/x%20y%3A1"));
        for name in ["", ".", ".."] {
            assert_eq!((place(name, Kept), place(name, Escaped)), (None, None), "{name}");
        }
        for name in ["a/../b", "./a", "a//b", "a/", "/a"] {
            assert_eq!(place(name, Kept), None, "{name}");
        }
    }
}
