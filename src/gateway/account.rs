//! What an attempt used: as the provider reports it, and where it does not, as it looks from here.
//!
//! | how it ended | input | output |
//! |---|---|---|
//! | the provider reported after its last word | reported | reported |
//! | a stream broke, or the caller left it | reported at its start, else estimated | what was delivered, or what was reported if that is more |
//! | the provider never reports | estimated | what was delivered |
//! | the caller left before anything came | estimated: the provider has read it | nothing |
//! | it failed before anything came | nothing | nothing |

use super::attempt::Stint;
use super::run::Run;
use crate::domain::chat::{Answer, Delta, Frame, Usage};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Verdict};
use crate::domain::usage::tokens_of;
use crate::domain::words::Subject;

/// What an attempt has been heard to use so far.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// The provider's last word on it.
    reported: Option<Usage>,
    /// Whether that word came with the end of the answer, or after it.
    last: bool,
    finished: bool,
    /// Bytes of text, thoughts and tool calls heard; of these, thoughts.
    said: usize,
    thought: usize,
}

impl Tokens {
    /// Takes note of one frame; a later count replaces an earlier one.
    pub(super) fn note(&mut self, frame: &Frame) {
        let mut counted = false;
        for delta in &frame.deltas {
            match delta {
                Delta::Text { text, .. } => self.said += text.len(),
                Delta::Reasoning { text, .. } => {
                    self.said += text.len();
                    self.thought += text.len();
                }
                Delta::ToolCall { name, .. } => self.said += name.len(),
                Delta::Arguments { fragment, .. } => self.said += fragment.len(),
                Delta::Finish { .. } => self.finished = true,
                Delta::Usage(usage) if usage.is_counted() => {
                    (self.reported, counted) = (Some(*usage), true);
                }
                Delta::Usage(_) | Delta::Start { .. } => {}
            }
        }
        self.last |= counted && self.finished;
    }

    /// Takes note of a whole answer.
    pub(super) fn note_whole(&mut self, answer: &Answer) {
        self.reported = answer.usage.filter(|usage| usage.is_counted());
        self.last = self.reported.is_some();
    }

    /// Tokens of output so far: by the length of what was heard, or the provider's own count if that is more.
    pub(super) fn output_so_far(&self) -> u64 {
        tokens_of(self.said).max(self.reported.map_or(0, |usage| usage.output))
    }

    /// What was heard, where the provider has not had the last word.
    fn heard(&self) -> Usage {
        Usage {
            output: tokens_of(self.said),
            reasoning: tokens_of(self.thought),
            estimated: true,
            ..Usage::default()
        }
    }
}

impl<'a> Run<'a> {
    /// What an attempt used, as far as can be known. No estimate is made where the provider has had the last word.
    pub(super) fn used(&self, stint: &Stint<'a>, result: Result<Option<&Answer>, &Failure>) -> Option<Usage> {
        let tokens = &stint.tokens;
        if tokens.last {
            return tokens.reported;
        }
        let left = result.is_err_and(|failure| failure.verdict() == Verdict::CallerLeft) && stint.asked;
        let worth = match self.question.gist.subject {
            Subject::Chat | Subject::Embedding => result.is_ok() || left || tokens.said > 0,
            Subject::Tokens | Subject::Description => false,
        };
        if !worth {
            return tokens.reported.map(|reported| Usage { estimated: true, ..reported });
        }
        let provider = &stint.slot.provider;
        let heard =
            result.ok().flatten().map_or_else(|| tokens.heard(), |answer| provider.weigh_answer(answer));
        let told = tokens.reported.unwrap_or_else(|| Usage {
            input: provider.weigh_question(self.question) + tokens_of(stint.carried),
            ..Usage::default()
        });
        let (output, reasoning) = (told.output.max(heard.output), told.reasoning.max(heard.reasoning));
        Some(Usage { output, reasoning, estimated: true, ..told })
    }

    /// Tells everyone what an attempt used.
    pub(super) fn account(&mut self, stint: &Stint<'a>, used: Option<Usage>) {
        let Some(usage) = used else { return };
        self.trail.usage = Some(self.trail.usage.map_or(usage, |before| before.plus(usage)));
        let nano_usd = stint.bill.price.map(|price| price.cost(&usage));
        if let Some(cost) = nano_usd {
            self.trail.nano_usd =
                Some(self.trail.nano_usd.map_or(cost, |before| before.saturating_add(cost)));
        }
        self.gateway.house.tell(&Event::Used {
            key: self.question.caller.key_name().unwrap_or("none"),
            provider: &stint.slot.name,
            model: stint.model,
            known: self.gateway.known_models.contains(stint.model),
            endpoint: self.question.endpoint,
            usage,
            nano_usd,
        });
    }
}
