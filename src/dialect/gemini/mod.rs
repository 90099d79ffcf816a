//! Google's Gemini API as providers speak it: `generateContent`, whole and streamed. No caller speaks it here.
//!
//! Source: ai.google.dev/api/generate-content, and the guides on function calling, structured output, thinking and
//! thought signatures. [`encode`], [`read_answer`], [`read_error`], [`Events`]; [`ask_vectors`], [`read_vectors`].

mod answer;
mod contents;
mod encode;
mod errors;
mod events;
mod models;
mod schema;
#[cfg(test)]
mod tests;
mod vectors;
mod wire;

pub use answer::read_answer;
pub use encode::encode;
pub use errors::read_error;
pub use events::Events;
pub use vectors::{ask_vectors, read_vectors};

/// A thought's signature travels as the signature of reasoning, with this before it: no other vendor accepts it.
pub const SIGNATURE: &str = "gemini:";
