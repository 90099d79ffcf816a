//! Anthropic's `/v1/messages`: callers who speak it and providers who speak it, whole and streamed.
//!
//! Source: the vendor's Messages API reference and its pages on streaming, thinking, tool use and errors.
//! Front: [`open`], [`decode`], [`write_answer`], [`write_error`], [`Writer`]. Back: [`pass`], [`encode`],
//! [`read_answer`], [`facts`], [`read_error`], [`Events`].

mod answer;
mod capabilities;
mod decode;
mod encode;
mod events;
mod glance;
mod messages;
mod open;
mod pass;
mod reasoning;
#[cfg(test)]
mod tests;
mod wire;
mod write;
mod writer;

pub use answer::{facts, read_answer, read_error};
pub use decode::decode;
pub use encode::encode;
pub use events::Events;
pub(super) use messages::CONTINUE;
pub use open::{open, open_count};
pub use pass::pass;
pub(super) use pass::without_prefill;
pub use write::{write_answer, write_error};
pub use writer::Writer;

/// What a stream's `Content-Type` is.
pub const STREAM_TYPE: &str = "text/event-stream";

/// Below the provider's base URL.
const PATH: &str = "/messages";
