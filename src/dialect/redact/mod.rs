//! Rules at work on bytes: requests, whole answers and streams in every dialect. Strings are rewritten where they
//! stand, and everything else stays as it was, byte for byte.

mod body;
mod fragments;
mod frames;
mod lookout;

pub use body::{answer, request};
pub use frames::Redactor;
pub use lookout::Lookout;

#[cfg(test)]
mod tests;
