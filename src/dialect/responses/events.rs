//! A provider's stream, event by event: what each one means.
//!
//! The last event carries the whole answer, and is the end mark: `response.completed`, `.incomplete` or `.failed`.

use super::wire::{self, Body, Item};
use crate::dialect::{Sign, json::Text};
use crate::domain::chat::{Delta, Finish};
use crate::domain::failure::{Failure, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;

/// Items followed in one stream; a real one has a handful.
const ITEMS_MAX: usize = 1024;

/// Remembers of a stream what later events refer to.
#[derive(Debug, Default)]
pub struct Events {
    /// The frames themselves are not passed on: parts of thoughts have to be told apart in the text.
    translating: bool,
    started: bool,
    refused: bool,
    /// Some function of the caller's is to be called.
    called: bool,
    calls: Vec<Known>,
    /// The part of the summary that was told last.
    summary: Option<u64>,
}

/// A call that has begun: of a function, or of something the vendor does itself.
#[derive(Debug)]
struct Known {
    output_index: u64,
    call: u32,
    is_function: bool,
    /// Something of its arguments has come.
    begun: bool,
}

#[derive(Deserialize)]
struct Event<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Option<Text<'a>>,
    #[serde(default)]
    output_index: Option<u64>,
    #[serde(default)]
    summary_index: Option<u64>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    arguments: Option<Text<'a>>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    response: Option<Body<'a>>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
}

impl Events {
    /// For the beginning of a stream; `translating` unless its frames are passed on as they are.
    #[must_use]
    pub fn new(translating: bool) -> Self {
        Self { translating, ..Self::default() }
    }

    /// Reads one frame's data.
    ///
    /// # Errors
    /// `Garbage` for a malformed frame (nothing has changed, the next may be read); else what the error in it means.
    // Never inlined: what each dialect's parser has on its stack, the others' streams need not keep.
    #[inline(never)]
    pub fn read(
        &mut self,
        event: Option<&str>,
        data: &str,
        deltas: &mut Vec<Delta>,
    ) -> Result<Sign, Failure> {
        if data.trim_ascii() == "[DONE]" {
            return Ok(Sign::End);
        }
        let malformed = || Failure::new(Fault::Garbage, "the provider sent a malformed frame");
        let said: Event<'_> = serde_json::from_str(data).map_err(|_| malformed())?;
        let kind = said.kind.as_ref().map(|kind| &*kind.0).or(event).unwrap_or_default();
        match kind {
            "response.created" | "response.in_progress" | "response.queued" => {
                self.start(said.response.as_ref(), deltas);
            }
            "response.output_text.delta" => deltas.extend(piece(&said).map(text)),
            "response.refusal.delta" => {
                self.refused = true;
                deltas.extend(piece(&said).map(text));
            }
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.thought(&said, deltas);
            }
            "response.output_item.added" => self.added(&said, deltas)?,
            "response.output_item.done" => self.done(&said, deltas),
            "response.function_call_arguments.delta" => {
                deltas.extend(piece(&said).and_then(|fragment| self.arguments(said.output_index, fragment)));
            }
            "response.function_call_arguments.done" => {
                let whole = said.arguments.as_ref().map(|arguments| arguments.0.clone().into_owned());
                deltas.extend(whole.and_then(|whole| self.unless_begun(said.output_index, whole)));
            }
            "response.completed" | "response.incomplete" => {
                let response = said.response.as_ref().ok_or_else(malformed)?;
                self.start(Some(response), deltas);
                self.finish(response, deltas)?;
                return Ok(Sign::End);
            }
            "response.failed" | "response.cancelled" => {
                let error = said.response.as_ref().and_then(|response| response.error);
                return Err(wire::broken(error.map_or("{}", RawValue::get)));
            }
            "error" => return Err(wire::broken(said.error.map_or(data, RawValue::get))),
            _ if said.kind.is_none() && said.error.is_some() => {
                return Err(wire::broken(said.error.map_or(data, RawValue::get)));
            }
            // Whatever the vendor does itself is work that goes on.
            _ => deltas.extend(self.at_work(said.output_index)),
        }
        Ok(Sign::More)
    }

    fn start(&mut self, response: Option<&Body<'_>>, deltas: &mut Vec<Delta>) {
        let Some(response) = response.filter(|_| !std::mem::replace(&mut self.started, true)) else { return };
        let id = response.id.as_ref().map(|id| id.0.clone().into_owned()).unwrap_or_default();
        deltas.push(Delta::Start { id, model: response.model() });
    }

    fn thought(&mut self, said: &Event<'_>, deltas: &mut Vec<Delta>) {
        let Some(mut text) = piece(said) else { return };
        let another = self.summary.is_some() && said.summary_index != self.summary;
        self.summary = said.summary_index.or(self.summary);
        if another && self.translating {
            text.insert_str(0, "\n\n");
        }
        deltas.push(Delta::Reasoning { choice: 0, text, signature: None });
    }

    fn added(&mut self, said: &Event<'_>, deltas: &mut Vec<Delta>) -> Result<(), Failure> {
        // What the vendor does itself nobody else has a word for: it is told to callers who see the frames themselves.
        let told = |item: &Item<'_>| item.is_call() || (item.is_foreign() && !self.translating);
        let Some(item) = item(said).filter(told) else { return Ok(()) };
        if self.calls.len() == ITEMS_MAX {
            return Err(Failure::new(Fault::AnswerTooLarge, "the provider calls too many tools"));
        }
        // Bounded by ITEMS_MAX, so it fits.
        let call = u32::try_from(self.calls.len()).unwrap_or(u32::MAX);
        let is_function = item.is_call();
        self.called |= is_function;
        let id = item.call_id.or(item.id).map_or_else(|| format!("call_{call}"), |id| id.0.into_owned());
        let name = item.name.unwrap_or(item.kind).0.into_owned();
        deltas.push(Delta::ToolCall { choice: 0, call, id, name });
        let output_index = said.output_index.unwrap_or(u64::from(call));
        self.calls.push(Known { output_index, call, is_function, begun: false });
        Ok(())
    }

    fn done(&mut self, said: &Event<'_>, deltas: &mut Vec<Delta>) {
        let Some(item) = item(said) else { return };
        if item.is_call() {
            let whole = item.arguments.map(|arguments| arguments.0.into_owned()).unwrap_or_default();
            deltas.extend(self.unless_begun(said.output_index, whole));
        } else if let Some(signature) = item.signature() {
            self.summary = None;
            deltas.push(Delta::Reasoning { choice: 0, text: String::new(), signature: Some(signature) });
        }
    }

    fn known(&mut self, output_index: Option<u64>) -> Option<&mut Known> {
        let output_index = output_index?;
        self.calls.iter_mut().rev().find(|known| known.output_index == output_index)
    }

    fn arguments(&mut self, output_index: Option<u64>, fragment: String) -> Option<Delta> {
        let known = self.known(output_index)?;
        known.begun = true;
        Some(Delta::Arguments { choice: 0, call: known.call, fragment })
    }

    /// Arguments that came all at once.
    fn unless_begun(&mut self, output_index: Option<u64>, whole: String) -> Option<Delta> {
        let fresh = self.known(output_index).is_some_and(|known| known.is_function && !known.begun);
        if fresh && !whole.is_empty() { self.arguments(output_index, whole) } else { None }
    }

    fn at_work(&mut self, output_index: Option<u64>) -> Option<Delta> {
        let known = self.known(output_index).filter(|known| !known.is_function)?;
        Some(Delta::Arguments { choice: 0, call: known.call, fragment: String::new() })
    }

    fn finish(&self, response: &Body<'_>, deltas: &mut Vec<Delta>) -> Result<(), Failure> {
        let finish = match response.finish(self.called)? {
            Finish::Stop if self.refused => Finish::ContentFilter,
            other => other,
        };
        deltas.push(Delta::Finish { choice: 0, finish });
        deltas.extend(response.usage.as_ref().map(|tokens| Delta::Usage(tokens.usage())));
        Ok(())
    }
}

fn text(text: String) -> Delta {
    Delta::Text { choice: 0, text }
}

/// What the event adds; nothing where that is no text.
fn piece(said: &Event<'_>) -> Option<String> {
    let delta: String = serde_json::from_str(said.delta?.get()).ok()?;
    Some(delta).filter(|delta| !delta.is_empty())
}

fn item<'a>(said: &Event<'a>) -> Option<Item<'a>> {
    serde_json::from_str(said.item?.get()).ok()
}
