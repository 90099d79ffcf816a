//! Texts to be turned into vectors, in nobody's dialect: the other question that more than one vendor answers.

/// A request for vectors, translated.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Embedding {
    /// The texts, in order.
    pub texts: Vec<String>,
    /// How many numbers each vector should have; `None`: as many as the model gives.
    pub dimensions: Option<u64>,
    /// Names of the caller's parameters that have no place in this type: dropped when translating, and named.
    pub unknown: Vec<String>,
}

/// One text's vector.
pub type Vector = Vec<f32>;
