//! OpenAI's `/v1/responses`, spoken by callers only: to every provider it is put as a chat.
//!
//! Source: platform.openai.com/docs/api-reference/responses and /responses-streaming. It is stateless here: nothing is
//! stored, so nothing can be referred to; `store` has no effect. The request's parameters are not repeated in the
//! answer.

mod decode;
mod object;
mod open;
#[cfg(test)]
mod tests;
mod writer;

pub use decode::decode;
pub use object::write_answer;
pub use open::open;
pub use writer::Writer;
