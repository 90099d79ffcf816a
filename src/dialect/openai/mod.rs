//! OpenAI chat completions, spoken by callers and by providers, and the legacy completions of callers.
//!
//! Source: platform.openai.com/docs/api-reference/chat and /completions.

mod answer;
mod chunk;
mod decode;
mod door;
mod encode;
mod errors;
mod events;
mod glance;
mod models;
mod offer;
#[cfg(test)]
mod tests;
mod wire;
mod write;
mod writer;

pub use answer::{facts, read_answer};
pub use decode::{Bounds, decode, messages, object_or_empty, parameter, picture, untranslatable};
pub use door::{names_prompt, open_as};
pub(super) use encode::effort;
pub use encode::{encode, pass, short_id};
pub use errors::{push_error, read_error, write_error};
pub use events::Events;
pub use models::abilities;
pub use write::{Form, finish_word, push_usage, text_of, write_as};
pub use writer::{KEEP_ALIVE, Writer};

/// How streams travel.
pub const STREAM_TYPE: &str = "text/event-stream";
