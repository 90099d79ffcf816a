//! Embeddings: small vectors, the same for the same text.

use super::talk::digest;

/// A small vector, the same for the same text; its numbers are exact in any float format.
pub(super) fn vector(text: &str, dimensions: usize) -> Vec<f32> {
    let seed = digest(text);
    (0..dimensions as u32)
        .map(|index| {
            let mixed = (seed ^ index.wrapping_mul(0x9e37_79b9)).wrapping_mul(0x85eb_ca6b);
            f32::from((mixed >> 24) as u8 as i8) / 128.0
        })
        .collect()
}
