//! Ollama's native `/api/chat` and `/api/generate`: callers who speak it and providers who do, streamed as NDJSON.
//!
//! Source: the project's `docs/api.md` and `api/types.go`. Front: [`open`], [`decode`], [`write_as`],
//! [`write_error`], [`Writer`]. Back: [`pass`], [`encode`], [`read_answer`], [`facts`], [`read_error`], [`Events`].

mod answer;
mod decode;
mod encode;
mod generate;
mod open;
mod pass;
#[cfg(test)]
mod tests;
mod write;
mod writer;

pub use answer::{Events, facts, read_answer, read_error};
pub use decode::decode;
pub use encode::encode;
pub use generate::{decode_generate, pass_generate};
pub use open::{open, open_generate};
pub use pass::pass;
pub use write::{Form, rfc3339, write_as, write_error};
pub use writer::Writer;

/// What a stream's `Content-Type` is.
pub const STREAM_TYPE: &str = "application/x-ndjson";

/// Below the provider's base URL.
const PATH: &str = "/api/chat";
