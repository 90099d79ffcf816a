//! Streams in the events of Responses: items begin, grow and end one by one, and the last event carries them all.
//!
//! ```text
//!   created ─▶ in_progress ─▶ ( output_item.added ─▶ part.added ─▶ delta … ─▶ done ─▶ part.done ─▶ output_item.done )*
//!                             ─▶ completed │ incomplete │ failed
//! ```

use super::object::{Held, Item, Kind, Response, Status, Summary, Written};
use crate::dialect::{Complaint, Wording, openai, raw};
use crate::domain::chat::{Delta, Finish, Usage};
use serde::Serialize;

/// Text and arguments kept for the last event, in bytes; an answer that is longer ends as incomplete.
const KEPT_BYTES_MAX: usize = 64 << 20;
/// Items of one output; more are not told.
const ITEMS_MAX: usize = 1024;

/// Words a stream, delta by delta.
#[derive(Debug)]
pub struct Writer {
    wording: Wording,
    model: String,
    begun: bool,
    over: bool,
    sequence: u64,
    output: Vec<Held>,
    kept: usize,
    usage: Option<Usage>,
    finish: Option<Finish>,
}

#[derive(Serialize)]
struct Event<'a, T: Serialize> {
    #[serde(rename = "type")]
    kind: &'a str,
    sequence_number: u64,
    #[serde(flatten)]
    body: T,
}

#[derive(Serialize)]
struct Whole<'a> {
    response: Response<'a>,
}

#[derive(Serialize)]
struct OfItem<'a> {
    output_index: usize,
    item: Item<'a>,
}

/// Everything about a part of an item; what is absent is left out.
#[derive(Serialize, Default)]
struct OfPart<'a> {
    item_id: &'a str,
    output_index: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    content_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary_index: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delta: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arguments: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    logprobs: Option<[(); 0]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    part: Option<Part<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Part<'a> {
    Text(Written<'a>),
    Thought(Summary<'a>),
}

impl Writer {
    /// A stream that has not begun.
    #[must_use]
    pub fn new(wording: Wording) -> Self {
        Self {
            model: wording.model.to_string(),
            wording,
            begun: false,
            over: false,
            sequence: 0,
            output: Vec::new(),
            kept: 0,
            usage: None,
            finish: None,
        }
    }

    /// Appends what one delta is. Only the first choice is written: the vendor knows one here.
    pub fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {
        match delta {
            Delta::Start { model, .. } if !self.begun && !model.is_empty() => {
                model.clone_into(&mut self.model);
            }
            Delta::Text { choice: 0, text } => {
                if let Some(place) = self.ready(Kind::Message, out) {
                    self.grow(place, text, out);
                }
            }
            Delta::Reasoning { choice: 0, text, signature } => {
                let Some(place) = self.ready(Kind::Reasoning { signature: None }, out) else { return };
                if !text.is_empty() {
                    self.grow(place, text, out);
                }
                if signature.is_some() {
                    self.output[place].kind = Kind::Reasoning { signature: signature.clone() };
                    self.close(place, out);
                }
            }
            Delta::ToolCall { choice: 0, call, id, name } => {
                self.ready(Kind::Call { call: *call, id: id.clone(), name: name.clone() }, out);
            }
            Delta::Arguments { choice: 0, call, fragment } if !fragment.is_empty() => {
                let is_it =
                    |held: &Held| matches!(&held.kind, Kind::Call { call: other, .. } if other == call);
                if let Some(place) = self.output.iter().rposition(is_it) {
                    self.grow(place, fragment, out);
                }
            }
            Delta::Finish { choice: 0, finish } => self.finish = Some(*finish),
            Delta::Usage(usage) => self.usage = Some(*usage),
            _ => {}
        }
    }

    /// Appends what is still owed of a complete stream: the ends of the items, and the whole.
    pub fn end(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.over, true) {
            return;
        }
        self.begin(out);
        for place in 0..self.output.len() {
            self.close(place, out);
        }
        let cut = self.kept > KEPT_BYTES_MAX;
        let finish = if cut { Finish::Length } else { self.finish.unwrap_or(Finish::Stop) };
        self.whole(Status::Ended(finish), out);
    }

    /// Appends the event of a stream that could not be saved; nothing follows it.
    pub fn failure(&mut self, complaint: &Complaint, out: &mut Vec<u8>) {
        self.over = true;
        self.begin(out);
        // The vendor's own codes are few, and clients know no others.
        let code = if complaint.status == 429 { "rate_limit_exceeded" } else { "server_error" };
        self.whole(Status::Failed { code, message: &complaint.message }, out);
    }

    /// Appends a comment.
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {
        out.extend_from_slice(openai::KEEP_ALIVE);
    }

    fn begin(&mut self, out: &mut Vec<u8>) {
        if std::mem::replace(&mut self.begun, true) {
            return;
        }
        for kind in ["response.created", "response.in_progress"] {
            let response = Response::new(&self.wording, &self.model, (&[], None), Status::InProgress);
            event(&mut self.sequence, kind, Whole { response }, out);
        }
    }

    fn whole(&mut self, status: Status<'_>, out: &mut Vec<u8>) {
        let kind = format!("response.{}", status.word());
        let response = Response::new(&self.wording, &self.model, (&self.output, self.usage), status);
        event(&mut self.sequence, &kind, Whole { response }, out);
    }

    /// The place of the open item of this kind, begun if need be; `None` when there are too many.
    fn ready(&mut self, kind: Kind, out: &mut Vec<u8>) -> Option<usize> {
        self.begin(out);
        let last = self.output.len().wrapping_sub(1);
        if let Some(held) = self.output.last().filter(|held| !held.done) {
            let same = matches!(
                (&held.kind, &kind),
                (Kind::Message, Kind::Message) | (Kind::Reasoning { .. }, Kind::Reasoning { .. })
            );
            if same {
                return Some(last);
            }
            // Arguments of several calls may arrive in turns: calls stay open until the end.
            if !matches!(held.kind, Kind::Call { .. }) {
                self.close(last, out);
            }
        }
        let place = self.output.len();
        if place >= ITEMS_MAX {
            return None;
        }
        let held = Held::new(kind, &self.wording.request_id, place);
        let added = OfItem { output_index: place, item: held.item() };
        event(&mut self.sequence, "response.output_item.added", added, out);
        let id = &held.id;
        match &held.kind {
            Kind::Message => {
                let part = OfPart { part: Some(Part::Text(Written::of(""))), ..of_text(id, place) };
                event(&mut self.sequence, "response.content_part.added", part, out);
            }
            Kind::Reasoning { .. } => {
                let part = Some(Part::Thought(Summary::SummaryText { text: "" }));
                let part = OfPart { part, ..of_thought(id, place) };
                event(&mut self.sequence, "response.reasoning_summary_part.added", part, out);
            }
            Kind::Call { .. } => {}
        }
        self.output.push(held);
        Some(place)
    }

    fn grow(&mut self, place: usize, more: &str, out: &mut Vec<u8>) {
        let held = &mut self.output[place];
        self.kept += more.len();
        if self.kept <= KEPT_BYTES_MAX {
            held.text.push_str(more);
        }
        let (kind, of) = match held.kind {
            Kind::Message => {
                ("response.output_text.delta", OfPart { logprobs: Some([]), ..of_text(&held.id, place) })
            }
            Kind::Reasoning { .. } => ("response.reasoning_summary_text.delta", of_thought(&held.id, place)),
            Kind::Call { .. } => ("response.function_call_arguments.delta", of_item(&held.id, place)),
        };
        event(&mut self.sequence, kind, OfPart { delta: Some(more), ..of }, out);
    }

    /// Ends one item, if it has not ended.
    fn close(&mut self, place: usize, out: &mut Vec<u8>) {
        let held = &mut self.output[place];
        if std::mem::replace(&mut held.done, true) {
            return;
        }
        let (id, text, sequence) = (held.id.as_str(), held.text.as_str(), &mut self.sequence);
        match &held.kind {
            Kind::Message => {
                let done = OfPart { text: Some(text), logprobs: Some([]), ..of_text(id, place) };
                event(sequence, "response.output_text.done", done, out);
                let part = OfPart { part: Some(Part::Text(Written::of(text))), ..of_text(id, place) };
                event(sequence, "response.content_part.done", part, out);
            }
            Kind::Reasoning { .. } => {
                let done = OfPart { text: Some(text), ..of_thought(id, place) };
                event(sequence, "response.reasoning_summary_text.done", done, out);
                let part = Some(Part::Thought(Summary::SummaryText { text }));
                let part = OfPart { part, ..of_thought(id, place) };
                event(sequence, "response.reasoning_summary_part.done", part, out);
            }
            Kind::Call { name, .. } => {
                let arguments = Some(if text.is_empty() { "{}" } else { text });
                let done = OfPart { name: Some(name), arguments, ..of_item(id, place) };
                event(sequence, "response.function_call_arguments.done", done, out);
            }
        }
        let done = OfItem { output_index: place, item: held.item() };
        event(sequence, "response.output_item.done", done, out);
    }
}

fn of_item(item_id: &str, output_index: usize) -> OfPart<'_> {
    OfPart { item_id, output_index, ..OfPart::default() }
}

fn of_text(item_id: &str, output_index: usize) -> OfPart<'_> {
    OfPart { content_index: Some(0), ..of_item(item_id, output_index) }
}

fn of_thought(item_id: &str, output_index: usize) -> OfPart<'_> {
    OfPart { summary_index: Some(0), ..of_item(item_id, output_index) }
}

fn event(sequence: &mut u64, kind: &str, body: impl Serialize, out: &mut Vec<u8>) {
    out.extend_from_slice(b"event: ");
    out.extend_from_slice(kind.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    raw::write(out, &Event { kind, sequence_number: *sequence, body });
    out.extend_from_slice(b"\n\n");
    *sequence += 1;
}
