//! A provider's stream, chunk by chunk: what each one means.

use super::super::Sign;
use super::chunk::{self, Chunk};
use super::decode::signature_and_text;
use super::wire::{self, Body, Call, Said};
use crate::domain::chat::{Delta, Finish};
use crate::domain::failure::{Failure, Fault};

/// Choices and tool calls told apart in one stream; a real one has a handful.
const CALLS_MAX: usize = 1024;

/// Remembers of a stream what later chunks refer to.
#[derive(Debug, Default)]
pub struct Events {
    unwrap_tool: Option<String>,
    started: bool,
    /// The choices that have finished: some servers say so twice.
    finished: Vec<u32>,
    calls: Vec<Known>,
}

/// A tool call that has begun.
#[derive(Debug)]
struct Known {
    choice: u32,
    /// The index the provider gave it.
    wire: u32,
    /// The id the provider gave it; empty when it gave none.
    id: String,
    /// Its number among the choice's calls; `None` for one that is unwrapped to text.
    call: Option<u32>,
}

impl Events {
    /// For the beginning of a stream.
    #[must_use]
    pub fn new(unwrap_tool: Option<&str>) -> Self {
        Self { unwrap_tool: unwrap_tool.map(str::to_owned), ..Self::default() }
    }

    /// Reads one frame's data.
    ///
    /// # Errors
    /// `Garbage` for a malformed frame (nothing has changed, the next may be read); `ErrorInBody` for an error.
    pub fn read(
        &mut self,
        event: Option<&str>,
        data: &str,
        deltas: &mut Vec<Delta>,
    ) -> Result<Sign, Failure> {
        if data.trim_ascii() == "[DONE]" {
            return Ok(Sign::End);
        }
        if event == Some("error") {
            return Err(Failure::new(Fault::ErrorInBody, "the provider reported an error within the stream"));
        }
        match chunk::read(data) {
            Some(chunk) => self.plain(&chunk, deltas),
            None => self.in_full(data, deltas)?,
        }
        Ok(Sign::More)
    }

    /// What an ordinary chunk means.
    pub(super) fn plain(&mut self, chunk: &Chunk<'_>, deltas: &mut Vec<Delta>) {
        self.start((chunk.id, chunk.model), deltas);
        if let Some(choice) = &chunk.choice {
            let index = choice.index;
            if let Some(said) = &choice.said {
                think(index, said.thinking(), None, deltas);
                tell(index, [&said.content, &said.refusal], deltas);
            }
            if let Some(finish) = choice.finish {
                self.finish(index, finish, deltas);
            }
        }
        deltas.extend(chunk.usage.map(Delta::Usage));
    }

    /// What any chunk means. A function of its own, for few need it and its stack is deep.
    #[inline(never)]
    pub(super) fn in_full(&mut self, data: &str, deltas: &mut Vec<Delta>) -> Result<(), Failure> {
        let body: Body<'_> = serde_json::from_str(data)
            .map_err(|_| Failure::new(Fault::Garbage, "the provider sent a malformed frame"))?;
        if let Some(failure) = body.failure() {
            return Err(failure);
        }
        let id = body.id.as_ref().map_or("", |id| &*id.0);
        let model = body.model.as_ref().map_or("", |model| &*model.0);
        self.start((id, model), deltas);
        for choice in body.choices.iter().flatten() {
            let index = choice.index.unwrap_or(0);
            if let Some(said) = choice.said() {
                self.said(index, said, deltas)?;
            }
            if let Some(finish) = wire::finish(choice.finish_reason.as_ref())? {
                self.finish(index, finish, deltas);
            }
        }
        deltas.extend(body.usage.map(|tokens| Delta::Usage(tokens.usage())));
        Ok(())
    }

    /// The first chunk with a name introduces the stream; Azure sends nameless ones before it.
    fn start(&mut self, (id, model): (&str, &str), deltas: &mut Vec<Delta>) {
        if self.started {
            return;
        }
        if !id.is_empty() || !model.is_empty() {
            self.started = true;
            deltas.push(Delta::Start { id: id.to_owned(), model: model.to_owned() });
        }
    }

    fn said(&mut self, choice: u32, said: &Said<'_>, deltas: &mut Vec<Delta>) -> Result<(), Failure> {
        let signature = said.reasoning_details.and_then(|raw| signature_and_text(raw.get()).0);
        think(choice, said.thinking(), signature, deltas);
        tell(choice, [&said.content.0, &said.refusal.0], deltas);
        for (position, call) in said.tool_calls.iter().flatten().enumerate() {
            self.call(choice, position, call, deltas)?;
        }
        Ok(())
    }

    fn call(
        &mut self,
        choice: u32,
        position: usize,
        part: &Call<'_>,
        deltas: &mut Vec<Delta>,
    ) -> Result<(), Failure> {
        let wire = part.index.unwrap_or_else(|| u32::try_from(position).unwrap_or(u32::MAX));
        let id = part.id().unwrap_or("");
        // Some servers give every call the same index and only the ids differ.
        let begun = self.calls.iter().rev().find(|known| {
            let same_id = id.is_empty() || known.id.is_empty() || id == known.id;
            known.choice == choice && known.wire == wire && same_id
        });
        let call = match (begun, part.name()) {
            (Some(known), _) => known.call,
            (None, Some(name)) => self.begin(choice, wire, (id, name), deltas)?,
            // A fragment of a call nobody has named.
            (None, None) => return Ok(()),
        };
        let fragment = part.arguments();
        if !fragment.is_empty() {
            deltas.push(match call {
                Some(call) => Delta::Arguments { choice, call, fragment },
                None => Delta::Text { choice, text: fragment },
            });
        }
        Ok(())
    }

    fn begin(
        &mut self,
        choice: u32,
        wire: u32,
        (id, name): (&str, &str),
        deltas: &mut Vec<Delta>,
    ) -> Result<Option<u32>, Failure> {
        if self.calls.len() == CALLS_MAX {
            return Err(Failure::new(Fault::AnswerTooLarge, "the provider calls too many tools"));
        }
        let call = if self.unwrap_tool.as_deref() == Some(name) {
            None
        } else {
            let before = self.calls.iter().filter(|known| known.choice == choice && known.call.is_some());
            // Bounded by CALLS_MAX, so it fits.
            let call = u32::try_from(before.count()).unwrap_or(u32::MAX);
            let id = if id.is_empty() { format!("call_{call}") } else { id.to_owned() };
            deltas.push(Delta::ToolCall { choice, call, id, name: name.to_owned() });
            Some(call)
        };
        self.calls.push(Known { choice, wire, id: id.to_owned(), call });
        Ok(call)
    }

    fn finish(&mut self, choice: u32, finish: Finish, deltas: &mut Vec<Delta>) {
        if self.finished.contains(&choice) || self.finished.len() == CALLS_MAX {
            return;
        }
        self.finished.push(choice);
        let mut calls = self.calls.iter().filter(|known| known.choice == choice).peekable();
        let any = calls.peek().is_some();
        let finish = match finish {
            Finish::ToolCalls if any && calls.all(|known| known.call.is_none()) => Finish::Stop,
            // Some servers say `stop` although they call.
            Finish::Stop if calls.any(|known| known.call.is_some()) => Finish::ToolCalls,
            other => other,
        };
        deltas.push(Delta::Finish { choice, finish });
    }
}

fn think(choice: u32, text: &str, signature: Option<String>, deltas: &mut Vec<Delta>) {
    if !text.is_empty() || signature.is_some() {
        deltas.push(Delta::Reasoning { choice, text: text.to_owned(), signature });
    }
}

fn tell(choice: u32, texts: [&str; 2], deltas: &mut Vec<Delta>) {
    let said = texts.into_iter().filter(|text| !text.is_empty());
    deltas.extend(said.map(|text| Delta::Text { choice, text: text.to_owned() }));
}
