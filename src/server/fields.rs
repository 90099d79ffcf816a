//! The header fields of an answer, held as they will stand on the wire: one buffer, however many there are.

use super::encode::decimal;
use super::message::bit;

/// Fields in the order in which they were added. Those that are the server's own business are left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    text: Vec<u8>,
    /// A bit for each name there is; see [`bit`].
    names: u64,
}

/// Room for the fields of an ordinary answer.
const ROOM_BYTES: usize = 512;
/// The fields the server itself writes.
const OURS: [&str; 4] = ["content-length", "transfer-encoding", "connection", "date"];

impl Fields {
    /// Nothing but this one so far.
    #[must_use]
    pub fn of(name: &str, value: &str) -> Self {
        let mut fields = Self { text: Vec::with_capacity(ROOM_BYTES), names: 0 };
        fields.add(name, value);
        fields
    }

    /// Adds a field.
    pub fn add(&mut self, name: &str, value: &str) {
        self.put(name, |text| text.extend_from_slice(value.as_bytes()));
    }

    /// Adds a field whose value is appended by `write`.
    pub fn put(&mut self, name: &str, write: impl FnOnce(&mut Vec<u8>)) {
        if !self.begin(name) {
            return;
        }
        let begin = self.text.len();
        write(&mut self.text);
        // A line break in a value would begin a field of somebody else's making.
        let value = &mut self.text[begin..];
        if value.iter().fold(false, |any, byte| any | (*byte < b' ')) {
            let breaks = |byte: &&mut u8| **byte < b' ' && **byte != b'\t';
            value.iter_mut().filter(breaks).for_each(|byte| *byte = b' ');
        }
        self.text.extend_from_slice(b"\r\n");
    }

    /// Adds a field whose value is a number, in this unit.
    pub fn count(&mut self, name: &str, number: u64, unit: &'static str) {
        if self.begin(name) {
            decimal(&mut self.text, number);
            self.text.extend_from_slice(unit.as_bytes());
            self.text.extend_from_slice(b"\r\n");
        }
    }

    /// A field up to its value, unless it is the server's own business.
    fn begin(&mut self, name: &str) -> bool {
        if OURS.iter().any(|ours| name.eq_ignore_ascii_case(ours)) {
            return false;
        }
        self.names |= bit(name.as_bytes());
        self.text.extend_from_slice(name.as_bytes());
        self.text.extend_from_slice(b": ");
        true
    }

    /// The value of the first field of this name, as it was written.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        if self.names & bit(name.as_bytes()) == 0 {
            return None;
        }
        let mut lines = self.text.split(|byte| *byte == b'\n');
        let value = lines.find_map(|line| line.strip_prefix(name.as_bytes())?.strip_prefix(b": "))?;
        std::str::from_utf8(value.strip_suffix(b"\r")?).ok()
    }

    /// Every field, each with its line end.
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_stand_as_they_will_be_sent_and_none_can_begin_another() {
        let mut fields = Fields::of("A", "1");
        fields.add("Content-LENGTH", "7");
        fields.add("B", "x\r\nC: y\tz");
        fields.put("D", |text| text.extend_from_slice("\u{e4}".as_bytes()));
        fields.count("E", 60, "s");
        fields.count("content-length", 60, "");
        assert_eq!(fields.as_bytes(), "A: 1\r\nB: x  C: y\tz\r\nD: \u{e4}\r\nE: 60s\r\n".as_bytes());
        assert_eq!((fields.get("B"), fields.get("D")), (Some("x  C: y\tz"), Some("\u{e4}")));
        assert_eq!((fields.get("C"), fields.get("Content-LENGTH")), (None, None));
    }
}
