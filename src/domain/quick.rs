//! A quick hash for names that were configured: a few instructions per word, where SipHash takes hundreds a name.
//!
//! The seed is a process's own secret. Whoever could choose what is hashed without bound would still be better served by
//! the standard library's; here it is operators, and callers up to limits that have names.

use std::hash::{BuildHasher, Hasher, RandomState};

/// 2^64 divided by the golden ratio, made odd: its multiples spread over all bits (Knuth, TAOCP 3, section 6.4).
const GOLDEN: u64 = 0x9E37_79B9_7F4A_7C15;
const WORD_BYTES: usize = 8;

/// Makes hashers that agree with each other, and with no other seed's.
#[derive(Debug, Clone)]
pub struct Seed(u64);

impl Default for Seed {
    fn default() -> Self {
        Self(RandomState::new().hash_one(GOLDEN))
    }
}

impl BuildHasher for Seed {
    type Hasher = Quick;

    fn build_hasher(&self) -> Quick {
        Quick(self.0)
    }
}

/// What was hashed so far.
#[derive(Debug, Clone)]
pub struct Quick(u64);

impl Hasher for Quick {
    fn write(&mut self, bytes: &[u8]) {
        let mut words = bytes.chunks_exact(WORD_BYTES);
        for chunk in &mut words {
            let mut word = [0; WORD_BYTES];
            word.copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            // The length stands above the last bytes, so that zeros at the end count.
            let last = rest.iter().fold(rest.len() as u64, |word, byte| word << 8 | u64::from(*byte));
            self.write_u64(last);
        }
    }

    fn write_u8(&mut self, number: u8) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        // The product of two words folded into one: every bit of either reaches every bit.
        let product = u128::from(self.0 ^ number) * u128::from(GOLDEN);
        self.0 = (product as u64) ^ ((product >> 64) as u64);
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn what_is_equal_hashes_alike_and_what_differs_anywhere_does_not() {
        let seed = Seed::default();
        let text = "/v1/chat/completions and a model of some length";
        let whole = seed.hash_one(text);
        assert_eq!(whole, seed.hash_one(text.to_owned()));
        let mut seen = HashSet::from([whole]);
        for length in 0..text.len() {
            assert!(seen.insert(seed.hash_one(&text[..length])), "cut after {length}");
        }
        for place in 0..text.len() {
            let mut other = text.as_bytes().to_vec();
            other[place] ^= 1;
            assert!(seen.insert(seed.hash_one(String::from_utf8_lossy(&other))), "changed at {place}");
        }
        assert_ne!(seed.hash_one("a\0"), seed.hash_one("a"));
        assert_ne!(seed.hash_one(text), Seed::default().hash_one(text), "each process has its own");
    }

    #[test]
    fn names_in_a_row_spread_over_the_places_of_a_map() {
        let seed = Seed::default();
        let mut filled = [0_u32; 256];
        for number in 0..25_600 {
            filled[(seed.hash_one(format!("gpt-{number}")) >> 56) as usize] += 1;
        }
        let (least, most) = (filled.iter().min(), filled.iter().max());
        assert!(least > Some(&50) && most < Some(&160), "{least:?} {most:?} of 100 each");
    }
}
