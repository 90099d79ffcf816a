//! Tokens by whom, of whom and where: estimates, the ledger's rows, and what a report makes of them.

use super::chat::{Answer, Content, Part, Usage};

/// What one token is worth in bytes of text, roughly; for code and other scripts it is less.
const TOKEN_BYTES: usize = 4;

/// About how many tokens a text of so many bytes has.
#[must_use]
pub fn tokens_of(bytes: usize) -> u64 {
    bytes.div_ceil(TOKEN_BYTES) as u64
}

/// About how many tokens an answer has that was said in domain terms; of vectors and bytes nothing is known here.
#[must_use]
pub fn weigh(answer: &Answer) -> Usage {
    let Content::Said { choices, .. } = &answer.content else { return Usage::default() };
    let (mut said, mut thought) = (0, 0);
    for part in choices.iter().flat_map(|choice| &choice.parts) {
        match part {
            Part::Text { text, .. } => said += text.len(),
            Part::Reasoning { text, .. } => thought += text.len(),
            Part::ToolCall(call) => said += call.name.len() + call.arguments.len(),
            Part::Image(_) | Part::ToolResult { .. } => {}
        }
    }
    Usage { output: tokens_of(said + thought), reasoning: tokens_of(thought), ..Usage::default() }
}
