//! Rules at work on bytes: requests, whole answers and streams in every dialect. Strings are rewritten where they
//! stand, and everything else stays as it was, byte for byte.

mod body;
mod fragments;
mod frames;

pub use body::{answer, request};
pub use frames::Redactor;

#[cfg(test)]
mod tests;
