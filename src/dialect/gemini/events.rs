//! Gemini's stream, chunk by chunk. It has no end mark: the chunk with a finish reason is the last that matters.

use super::wire::{Body, Candidate, finish};
use crate::dialect::{Sign, raw};
use crate::domain::chat::Delta;
use crate::domain::failure::{Failure, Fault};

/// Choices told apart in one stream; we ask for one.
const CHOICES_MAX: u32 = 128;

/// What has been read of a stream.
#[derive(Debug, Default)]
pub struct Events {
    started: bool,
    /// The answer's id, of which ids of calls are made.
    id: Option<String>,
    /// Calls begun, by choice.
    calls: Vec<(u32, u32)>,
    /// Choices that have finished: some chunks say so twice.
    finished: Vec<u32>,
}

impl Events {
    /// Nothing has been read. Structured answers come as text here, so no tool is ever unwrapped.
    #[must_use]
    pub fn new(_unwrap_tool: Option<&str>) -> Self {
        Self::default()
    }

    /// Reads one chunk and appends what it means.
    ///
    /// # Errors
    /// `ErrorInBody` for an error, `ContentPolicy` when the prompt was blocked; `Garbage` for what is not a chunk,
    /// which may be skipped.
    // Never inlined: what each dialect's parser has on its stack, the others' streams need not keep.
    #[inline(never)]
    pub fn read(
        &mut self,
        _event: Option<&str>,
        data: &str,
        deltas: &mut Vec<Delta>,
    ) -> Result<Sign, Failure> {
        let mut body: Body<'_> = serde_json::from_str(data).map_err(|_| raw::garbage())?;
        if let Some(failure) = body.trouble() {
            return Err(failure);
        }
        if body.candidates.is_none() && body.usage_metadata.is_none() {
            return Err(raw::garbage());
        }
        if !std::mem::replace(&mut self.started, true) {
            self.id = body.response_id.take();
            let id = self.id.clone().unwrap_or_default();
            deltas.push(Delta::Start { id, model: body.model_version.take().unwrap_or_default() });
        }
        for candidate in body.candidates.into_iter().flatten() {
            self.candidate(candidate, deltas)?;
        }
        deltas.extend(body.usage_metadata.map(|tokens| Delta::Usage(tokens.usage())));
        Ok(Sign::More)
    }

    fn candidate(&mut self, candidate: Candidate<'_>, deltas: &mut Vec<Delta>) -> Result<(), Failure> {
        let choice = candidate.index;
        if choice >= CHOICES_MAX {
            return Err(Failure::new(Fault::AnswerTooLarge, "the provider gives too many choices"));
        }
        for part in candidate.content.into_iter().flat_map(|content| content.parts) {
            let signature = part.signature();
            let text = part.text.unwrap_or_default();
            let (reasoning, text) = if part.thought { (text, String::new()) } else { (String::new(), text) };
            if !reasoning.is_empty() || signature.is_some() {
                deltas.push(Delta::Reasoning { choice, text: reasoning, signature });
            }
            if !text.is_empty() {
                deltas.push(Delta::Text { choice, text });
            }
            if let Some(function_call) = part.function_call {
                let call = self.next_call(choice);
                let made = function_call.into_call(self.id.as_deref(), call);
                deltas.push(Delta::ToolCall { choice, call, id: made.id, name: made.name });
                deltas.push(Delta::Arguments { choice, call, fragment: made.arguments });
            }
        }
        if let Some(reason) = candidate.finish_reason.filter(|_| !self.finished.contains(&choice)) {
            let called = self.calls.iter().any(|(other, _)| *other == choice);
            let finish = finish(&reason, called)?;
            self.finished.push(choice);
            deltas.push(Delta::Finish { choice, finish });
        }
        Ok(())
    }

    fn next_call(&mut self, choice: u32) -> u32 {
        if let Some((_, next)) = self.calls.iter_mut().find(|(other, _)| *other == choice) {
            let call = *next;
            *next += 1;
            return call;
        }
        self.calls.push((choice, 1));
        0
    }
}
