//! OpenAI's `/v1/responses`: spoken by callers, and by the providers that have it. To all others it is put as a chat.
//!
//! Source: platform.openai.com/docs/api-reference/responses and /responses-streaming. It is stateless here: nothing is
//! stored, so nothing can be referred to. What goes to a provider untouched is stored there as the caller's `store` has
//! it; what is translated never is. An answer that was translated does not repeat the request's parameters.

mod answer;
mod decode;
mod encode;
mod events;
mod object;
mod open;
mod pass;
mod seen;
#[cfg(test)]
mod tests;
mod wire;
mod writer;

pub use answer::{facts, read_answer};
pub use decode::decode;
pub use encode::encode;
pub use events::Events;
pub use object::write_answer;
pub use open::open;
pub use pass::pass;
pub use writer::Writer;

/// Where the provider is asked.
const PATH: &str = "/responses";
/// Stands before the encrypted thoughts of reasoning items that we made of other dialects' thoughts: only we can read
/// them, and the vendor must not be asked to.
const OURS: &str = "hapax:";
/// How the ids of such items begin: the vendor looks up every id of a reasoning item that it is sent.
const OUR_ITEM: &str = "rs_hapax_";
/// The vendor's encrypted thoughts travel as the signature of reasoning, with this before it: no other vendor accepts it.
pub const SIGNATURE: &str = "openai:";
