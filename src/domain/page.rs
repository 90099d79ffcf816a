//! Text written piece by piece onto a page that has its room beforehand: what is written for every request consists of
//! dozens of small pieces, and asking a vector for room before each of them costs more than they do.

use super::digits::{DECIMAL_BYTES, decimal_bytes};

/// The room it grows by, at least.
const GROWTH_BYTES: usize = 1024;

/// What was written, with room behind it.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Page {
    /// The room; only the first `written` bytes mean something.
    room: Vec<u8>,
    written: usize,
}

impl Page {
    /// A page without room, for where a constant is wanted.
    pub const EMPTY: Self = Self { room: Vec::new(), written: 0 };

    /// What was written.
    #[must_use]
    pub fn text(&self) -> &[u8] {
        &self.room[..self.written]
    }

    /// Nothing is written on it any more; its room stays.
    pub fn clear(&mut self) {
        self.written = 0;
    }

    /// How many bytes it has room for without growing.
    #[must_use]
    pub fn capacity(&self) -> usize {
        self.room.len()
    }

    /// The next so many bytes, to be written to.
    fn next(&mut self, bytes: usize) -> &mut [u8] {
        let (from, to) = (self.written, self.written + bytes);
        if to > self.room.len() {
            self.grow(to);
        }
        self.written = to;
        &mut self.room[from..to]
    }

    #[cold]
    fn grow(&mut self, least: usize) {
        self.room.resize(least.max(2 * self.room.len()).next_multiple_of(GROWTH_BYTES), 0);
    }

    /// Adds words that are known when this is compiled: a few moves, no call.
    #[inline]
    pub fn put<const N: usize>(&mut self, words: &[u8; N]) {
        self.next(N).copy_from_slice(words);
    }

    /// Adds any bytes.
    pub fn bytes(&mut self, bytes: &[u8]) {
        self.next(bytes.len()).copy_from_slice(bytes);
    }

    /// Adds a number in decimal.
    #[inline]
    pub fn number(&mut self, number: u64) {
        match number {
            0..10 => self.put(&[b'0' + number as u8]),
            _ => self.digits(number),
        }
    }

    fn digits(&mut self, number: u64) {
        self.bytes(decimal_bytes(number, &mut [0; DECIMAL_BYTES]));
    }

    /// Adds a number with so many digits behind its point: 1,234,005 with three of them is `1234.005`.
    pub fn decimals<const DIGITS: usize>(&mut self, number: u64) {
        let unit = 10_u64.pow(DIGITS as u32);
        self.number(number / unit);
        self.put(b".");
        self.padded::<DIGITS>(number % unit);
    }

    /// Adds the last so many digits of a number, with leading zeros.
    #[inline]
    pub fn padded<const DIGITS: usize>(&mut self, number: u64) {
        let mut digits = [b'0'; DIGITS];
        let mut rest = number;
        for place in digits.iter_mut().rev() {
            *place += (rest % 10) as u8;
            rest /= 10;
        }
        self.put(&digits);
    }
}

/// Whether a text has a character that JSON (RFC 8259, section 7) wants escaped. May say so of one that has none.
#[must_use]
pub fn needs_escape(text: &str) -> bool {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = ONES << 7;
    // Eight bytes at once (Warren, Hacker's Delight, 6-1): the top bit of a byte is set where the byte was below the bound;
    // a borrow can only come from such a byte.
    let below = |word: u64, bound: u64| word.wrapping_sub(ONES * bound) & !word & HIGH;
    let is = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let special = |word: u64| below(word, 0x20) | is(word, b'"') | is(word, b'\\');
    let of_word = |word: &[u8; 8]| special(u64::from_le_bytes(*word));
    let bytes = text.as_bytes();
    let found = match (bytes.first_chunk(), bytes.last_chunk()) {
        // Most are names: two words, which may lie over each other, are all of one.
        (Some(first), Some(last)) if bytes.len() <= 16 => of_word(first) | of_word(last),
        (Some(_), Some(last)) => {
            // Of a long text whole blocks are judged at once: a shape that compilers make a few instructions of.
            let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
            let (blocks, rest) = bytes.as_chunks::<32>();
            if blocks.iter().any(|block| block.iter().fold(false, |found, byte| found | is_special(*byte))) {
                return true;
            }
            let (words, _) = rest.as_chunks();
            words.iter().fold(of_word(last), |found, word| found | of_word(word))
        }
        // Less than a word: gathered behind letters.
        _ => special(bytes.iter().fold(ONES * u64::from(b'x'), |word, byte| word << 8 | u64::from(*byte))),
    };
    found != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_what_was_written_however_much_it_is() {
        let (mut page, mut text) = (Page::default(), Vec::new());
        for number in [0, 9, 10, 1_234_005, u64::MAX] {
            page.put(b"{\"a\":");
            page.number(number);
            page.bytes(b", ");
            page.decimals::<3>(number);
            let point = format!("{}.{:03}", number / 1_000, number % 1_000);
            text.extend_from_slice(format!("{{\"a\":{number}, {point}").as_bytes());
            page.bytes(&[b'x'; GROWTH_BYTES]);
            text.extend_from_slice(&[b'x'; GROWTH_BYTES]);
            assert_eq!(page.text(), text);
        }
        let room = page.capacity();
        page.clear();
        page.bytes(&text);
        assert_eq!((page.text(), page.capacity()), (&*text, room));
    }

    #[test]
    fn whatever_json_escapes_is_found_wherever_it_stands() {
        for length in 0..80 {
            let plain = "ä~ z!#[]".chars().cycle().take(length).collect::<String>();
            assert!(!needs_escape(&plain), "{plain}");
            for special in (0..0x20).chain([b'"', b'\\']).map(char::from) {
                for (place, _) in plain.char_indices().chain([(plain.len(), ' ')]) {
                    let text = format!("{}{special}{}", &plain[..place], &plain[place..]);
                    assert!(needs_escape(&text), "{text:?}");
                }
            }
        }
        assert!(!needs_escape("\u{7f}\u{80}\u{2028}\u{10ffff}"));
    }
}
