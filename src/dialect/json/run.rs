//! The plain run a string begins with: everything up to its quote, an escape or what is no JSON, found by words and blocks.

/// The words of eight bytes within which a short string ends, its quote included.
pub(super) const SHORT_BYTES: usize = 24;

/// How many bytes from the beginning need no attention inside a string. Words come first, for a run between two escapes
/// is short; of longer ones whole blocks are judged at once.
#[must_use]
pub fn plain(bytes: &[u8]) -> usize {
    let mut at = 0;
    if let Some(words) = bytes.first_chunk::<SHORT_BYTES>() {
        if let Some(at) = special_in(words.as_chunks().0) {
            return at;
        }
        at = SHORT_BYTES;
    }
    at += quiet::<128>(&bytes[at..]);
    at += quiet::<32>(&bytes[at..]);
    let (words, rest) = bytes[at..].as_chunks();
    let last = || rest.iter().position(|&byte| is_special(byte)).unwrap_or(rest.len());
    at + special_in(words).unwrap_or_else(|| words.len() * 8 + last())
}

/// Where in these words the first byte is that ends a plain run.
#[inline(always)]
pub(super) fn special_in(words: &[[u8; 8]]) -> Option<usize> {
    let mut at = 0;
    for word in words {
        let hit = specials(u64::from_le_bytes(*word));
        if hit != 0 {
            return Some(at + hit.trailing_zeros() as usize / 8);
        }
        at += word.len();
    }
    None
}

/// What ends a plain run. One bit apart from the quote lies the blank, the first byte that is no control character: so
/// one comparison finds both.
fn is_special(byte: u8) -> bool {
    byte ^ 2 <= 0x20 || byte == b'\\'
}

/// The bytes of the whole blocks from the beginning in which nothing is special, judged in a form the compiler turns into
/// vector instructions; the larger the block, the fewer of them for each byte.
fn quiet<const BLOCK: usize>(bytes: &[u8]) -> usize {
    let (blocks, _) = bytes.as_chunks::<BLOCK>();
    // Written out: a short circuit would keep it from being one comparison of many bytes.
    let is_quiet = |block: &&[u8; BLOCK]| {
        !block.iter().fold(false, |any, &byte| any | (byte ^ 2 <= 0x20) | (byte == b'\\'))
    };
    blocks.iter().take_while(is_quiet).count() * BLOCK
}

/// The top bit of each byte that ends a plain run, as [`is_special`] says. Only the lowest one set is exact: a borrow
/// can only come from a byte that is itself a hit.
fn specials(word: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    const TOPS: u64 = ONES << 7;
    let low = word ^ (ONES * 2);
    let backslash = word ^ (ONES * 0x5c);
    (low.wrapping_sub(ONES * 0x21) | backslash.wrapping_sub(ONES)) & !word & TOPS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_blocks_find_what_a_look_at_each_byte_finds() {
        let slowly = |bytes: &[u8]| {
            let ends = |byte: &u8| *byte < 0x20 || matches!(byte, b'"' | b'\\');
            bytes.iter().position(ends).unwrap_or(bytes.len())
        };
        for fill in [b'x', b' ', b'!', b'#', 0x7f, 0x80, 0xff] {
            for length in (0..48).chain([127, 128, 129, 151, 152, 153, 300]) {
                let mut bytes = vec![fill; length];
                assert_eq!(plain(&bytes), length, "{fill} {length}");
                for at in [0, 1, 7, 8, 23, 24, 25, 151, 152, 183, 184, 299] {
                    let Some(before) = bytes.get(at).copied() else { continue };
                    for byte in 0..=u8::MAX {
                        bytes[at] = byte;
                        assert_eq!(plain(&bytes), slowly(&bytes), "{byte} at {at} of {length}");
                    }
                    bytes[at] = before;
                }
            }
        }
    }
}
