//! Embeddings: small vectors, the same for the same text.

use super::talk::digest;
use serde_json::Value;

/// Numbers in one vector.
const DIMENSIONS: usize = 8;
/// The most numbers in one vector.
const DIMENSIONS_MAX: usize = 4096;

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

/// How many numbers a vector gets of those that are wanted.
pub(super) fn dimensions(wanted: &Value) -> usize {
    let wanted = wanted.as_u64().and_then(|count| usize::try_from(count).ok());
    wanted.unwrap_or(DIMENSIONS).clamp(1, DIMENSIONS_MAX)
}

/// The texts of an `input`: one, or several; tokens stand for the text that they are when written down.
pub(super) fn texts(input: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match input {
        Value::Array(list) if !list.iter().all(Value::is_number) => list.iter().map(text).collect(),
        one => vec![text(one)],
    }
}
