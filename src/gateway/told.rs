//! What a committed stream has told its caller so far, and how a second provider's frames are fitted to it.

use crate::domain::chat::{Delta, Frame, Usage};
use crate::domain::splice::Splice;

/// A text longer than this is not carried to another provider.
const RESUMABLE_BYTES_MAX: usize = 4 << 20;

/// The caller's side of a committed stream, across all providers that contribute to it.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The text of the one choice, as far as it is needed to go on elsewhere.
    text: String,
    /// Whether anybody could go on: nothing but the text of one choice was told.
    resumable: bool,
    /// Choices begun and choices finished, one bit each; everything past the 63rd shares the last bit.
    begun: u64,
    finished: u64,
    /// Tokens used by those who broke off.
    before: Option<Usage>,
}

impl Told {
    /// Nothing told yet; `resumable` when there is somebody who could go on.
    pub(super) fn new(resumable: bool) -> Self {
        Self { resumable, ..Self::default() }
    }

    /// Whether another provider can go on from here.
    pub(super) fn resumable(&self) -> bool {
        self.resumable
    }

    /// The text to go on from; `None` when no text was told yet.
    pub(super) fn so_far(&self) -> Option<&str> {
        if self.text.is_empty() { None } else { Some(&self.text) }
    }

    /// Whether every choice that began has finished: what follows is decoration.
    pub(super) fn finished(&self) -> bool {
        self.finished != 0 && self.begun & !self.finished == 0
    }

    /// The provider who told all this broke off, having used so much.
    pub(super) fn broke_off(&mut self, used: Option<Usage>) {
        self.before = match (self.before, used) {
            (Some(before), Some(used)) => Some(before.plus(used)),
            (before, used) => before.or(used),
        };
    }

    /// Takes note of what is about to be told.
    pub(super) fn note(&mut self, frame: &Frame) {
        for delta in &frame.deltas {
            match delta {
                Delta::Text { choice, text } => {
                    self.begin(*choice);
                    if self.resumable {
                        self.text.push_str(text);
                        self.resumable = self.text.len() <= RESUMABLE_BYTES_MAX;
                    }
                }
                Delta::Reasoning { choice, .. } => self.begin(*choice),
                Delta::ToolCall { choice, .. } | Delta::Arguments { choice, .. } => {
                    self.begin(*choice);
                    self.resumable = false;
                }
                Delta::Finish { choice, .. } => {
                    self.begin(*choice);
                    self.finished |= bit(*choice);
                }
                Delta::Start { .. } | Delta::Usage(_) => {}
            }
        }
    }

    fn begin(&mut self, choice: u32) {
        self.begun |= bit(choice);
        self.resumable &= choice == 0;
    }

    /// Fits a second provider's frame: no second start, nothing twice, tokens summed. `None`: nothing remains.
    pub(super) fn fit(&self, frame: Frame, splice: &mut Splice) -> Option<Frame> {
        let mut deltas = Vec::with_capacity(frame.deltas.len());
        for delta in frame.deltas {
            match delta {
                Delta::Start { .. } => {}
                Delta::Text { choice: 0, text } => deltas.extend(splice.push(&text).map(said)),
                // Thoughts before the first word belong to the answer; once text was told they come too late.
                Delta::Reasoning { choice: 0, .. } if self.text.is_empty() => deltas.push(delta),
                Delta::ToolCall { choice: 0, .. } | Delta::Finish { choice: 0, .. } => {
                    deltas.extend(splice.finish().map(said));
                    deltas.push(delta);
                }
                Delta::Arguments { choice: 0, .. } => deltas.push(delta),
                Delta::Usage(usage) => {
                    deltas.push(Delta::Usage(self.before.map_or(usage, |before| before.plus(usage))));
                }
                // Only one choice was told, so only one goes on.
                Delta::Text { .. }
                | Delta::Reasoning { .. }
                | Delta::ToolCall { .. }
                | Delta::Arguments { .. }
                | Delta::Finish { .. } => {}
            }
        }
        (!deltas.is_empty()).then_some(Frame { deltas, verbatim: None })
    }
}

fn said(text: String) -> Delta {
    Delta::Text { choice: 0, text }
}

fn bit(choice: u32) -> u64 {
    1 << choice.min(63)
}
