//! How much a Claude model is told to think, and what that leaves of the bound on output.

use super::capabilities::{Capabilities, Thinking};
use super::messages::block;
use super::wire::BlockWritten;
use crate::dialect::raw;
use crate::domain::chat::{Chat, Part, Reasoning, Role};
use serde::Serialize;

/// The vendor's least budget, in tokens.
const BUDGET_MIN: u64 = 1024;

/// Where the bound is ours, it is raised by the budget up to what the smallest thinking model can put out.
const RAISED_MAX: u64 = 32_000;

/// The `thinking` object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum Thought {
    Enabled {
        budget_tokens: u64,
    },
    Adaptive {
        #[serde(skip_serializing_if = "Option::is_none")]
        display: Option<&'static str>,
    },
}

/// What is decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Decision {
    pub thinking: Option<Thought>,
    pub effort: Option<&'static str>,
    pub max_tokens: u64,
}

/// Decides by what the model accepts, whether a tool is forced (which excludes thinking), and the bounds.
pub(super) fn decide(
    chat: &Chat,
    (can, forced): (Capabilities, bool),
    max_tokens_default: u64,
    dropped: &mut Vec<String>,
) -> Decision {
    let max_tokens = chat.max_tokens.unwrap_or(max_tokens_default);
    let none = Decision { thinking: None, effort: None, max_tokens };
    let wanted = match &chat.reasoning {
        None | Some(Reasoning::Off) => return none,
        Some(Reasoning::Effort(word)) if word == "none" => return none,
        Some(wanted) => wanted,
    };
    let decided = match can.thinking {
        _ if forced => None,
        Thinking::Unable => None,
        Thinking::Adaptive => effort(wanted, can).map(|effort| Decision {
            thinking: Some(Thought::Adaptive { display: can.reticent.then_some("summarized") }),
            effort: Some(effort),
            max_tokens,
        }),
        Thinking::Budget if !thinks_on(chat) => None,
        Thinking::Budget => {
            budget(wanted).and_then(|wanted| within(wanted, chat.max_tokens, max_tokens_default))
        }
    };
    decided.unwrap_or_else(|| {
        raw::remember(dropped, "reasoning_effort");
        none
    })
}

/// Whether the model may go on thinking: in a turn with tools that began without a thought of its own (another vendor's
/// model made the first call, or the caller left the thought out) it is refused.
fn thinks_on(chat: &Chat) -> bool {
    let said: Vec<_> = chat.messages.iter().filter(|message| message.role != Role::System).collect();
    // What a person says right behind a tool's result belongs to the turn.
    let asked = (0..said.len())
        .rfind(|&at| said[at].role == Role::User && (at == 0 || said[at - 1].role != Role::Tool));
    let mut turn =
        said[asked.map_or(0, |at| at + 1)..].iter().filter(|message| message.role == Role::Assistant);
    let thought = |part: &Part| {
        matches!(
            block(part, 0),
            Ok(Some(BlockWritten::Thinking { .. } | BlockWritten::RedactedThinking { .. }))
        )
    };
    let calls = turn.clone().flat_map(|message| &message.parts).any(|part| matches!(part, Part::ToolCall(_)));
    !calls || turn.next().is_some_and(|first| first.parts.first().is_some_and(thought))
}

/// In words for models that are told in words.
fn effort(wanted: &Reasoning, can: Capabilities) -> Option<&'static str> {
    match wanted {
        Reasoning::Effort(word) => match word.as_str() {
            "minimal" | "low" => Some("low"),
            "medium" => Some("medium"),
            "high" => Some("high"),
            "xhigh" | "max" => Some(can.top_effort),
            _ => None,
        },
        Reasoning::Budget(..=2048) => Some("low"),
        Reasoning::Budget(..=8192) => Some("medium"),
        Reasoning::Budget(_) => Some("high"),
        Reasoning::Off => None,
    }
}

/// In tokens for models that are told in tokens.
fn budget(wanted: &Reasoning) -> Option<u64> {
    match wanted {
        Reasoning::Effort(word) => match word.as_str() {
            "minimal" => Some(BUDGET_MIN),
            "low" => Some(2048),
            "medium" => Some(8192),
            "high" => Some(16_384),
            "xhigh" | "max" => Some(24_576),
            _ => None,
        },
        Reasoning::Budget(tokens) => Some((*tokens).max(BUDGET_MIN)),
        Reasoning::Off => None,
    }
}

/// A legal budget: at least the least one, below the bound, and leaving a quarter of it for the answer where it
/// can. A bound that is ours is raised by the budget.
fn within(wanted: u64, max_tokens: Option<u64>, max_tokens_default: u64) -> Option<Decision> {
    let max_tokens = max_tokens
        .unwrap_or_else(|| max_tokens_default.max(max_tokens_default.saturating_add(wanted).min(RAISED_MAX)));
    if max_tokens <= BUDGET_MIN {
        return None;
    }
    let budget_tokens = wanted.min(max_tokens - max_tokens / 4).clamp(BUDGET_MIN, max_tokens - 1);
    Some(Decision { thinking: Some(Thought::Enabled { budget_tokens }), effort: None, max_tokens })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_budget_is_always_legal() {
        for wanted in [1, 1024, 5000, 1_000_000] {
            for max_tokens in [1025, 1026, 2000, 4096, 64_000] {
                let wanted = budget(&Reasoning::Budget(wanted)).expect("a budget is a budget");
                let decision = within(wanted, Some(max_tokens), 4096).expect("there is room");
                let Some(Thought::Enabled { budget_tokens }) = decision.thinking else { panic!("no budget") };
                assert!(
                    (1024..max_tokens).contains(&budget_tokens),
                    "{wanted} of {max_tokens}: {budget_tokens}"
                );
            }
        }
        assert_eq!(within(2048, Some(1024), 4096), None);
    }

    #[test]
    fn a_bound_of_ours_makes_room_for_thinking() {
        let decision = within(8192, None, 4096).expect("there is room");
        assert_eq!(decision.thinking, Some(Thought::Enabled { budget_tokens: 8192 }));
        assert_eq!(decision.max_tokens, 12_288);
        assert_eq!(within(8192, None, 64_000).map(|decision| decision.max_tokens), Some(64_000));
    }
}
