//! Streams in the events of Responses: items begin, grow and end one by one, and the last event carries them all.
//!
//! ```text
//!   created ─▶ in_progress ─▶ ( output_item.added ─▶ part.added ─▶ delta … ─▶ done ─▶ part.done ─▶ output_item.done )*
//!                             ─▶ completed │ incomplete │ failed
//! ```
//!
//! Events of a provider of this dialect pass as they are; what they told is kept, so that items, numbers and the last
//! event go on from there when another provider has to.

use super::object::{Held, Item, Kind, Response, Stage, Status, Summary, Written, id_of};
use super::seen::{News, Seen};
use crate::dialect::{Complaint, Wording, json, openai, raw};
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
    id: String,
    created: u64,
    model: String,
    begun: bool,
    over: bool,
    /// The number of the next event.
    sequence: u64,
    /// By how much the numbers of passing events have to be raised, because others were put between them.
    raised: u64,
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
            id: id_of(&wording),
            created: wording.created,
            model: wording.model.to_string(),
            wording,
            begun: false,
            over: false,
            sequence: 0,
            raised: 0,
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

    /// Passes a frame as it is, and takes note of what it told.
    pub fn pass(&mut self, frame: &[u8], deltas: &[Delta], out: &mut Vec<u8>) {
        self.begun = true;
        let Some(seen) = Seen::of(frame) else {
            out.extend_from_slice(frame);
            return;
        };
        self.number(&seen, frame, out);
        if let Some(face) = seen.response.as_ref().filter(|face| !face.id.0.is_empty()) {
            face.id.0.as_ref().clone_into(&mut self.id);
            // Whole seconds; some write them as a decimal.
            self.created = face.created_at.map_or(self.created, |seconds| seconds as u64);
            if !face.model.0.is_empty() {
                face.model.0.as_ref().clone_into(&mut self.model);
            }
        }
        match seen.news() {
            News::Begun(held) if self.output.len() < ITEMS_MAX => self.output.push(held),
            News::Stage(stage) => {
                if let Some(held) =
                    self.output.iter_mut().rev().find(|held| Some(held.at) == seen.output_index)
                {
                    held.stage = stage;
                }
            }
            News::Done(whole) => {
                self.kept += whole.get().len();
                if let Some(held) =
                    self.output.iter_mut().rev().find(|held| Some(held.at) == seen.output_index)
                {
                    held.stage = Stage::Done;
                    held.whole = Some(whole).filter(|_| self.kept <= KEPT_BYTES_MAX);
                }
            }
            News::Over => self.over = true,
            News::Begun(_) | News::Nothing => {}
        }
        for delta in deltas {
            match delta {
                Delta::Text { text, .. } | Delta::Reasoning { text, .. } => {
                    if let Some(held) = self.output.last_mut() {
                        self.kept += text.len();
                        if self.kept <= KEPT_BYTES_MAX {
                            held.text.push_str(text);
                        }
                    }
                }
                Delta::Finish { finish, .. } => self.finish = Some(*finish),
                Delta::Usage(usage) => self.usage = Some(*usage),
                _ => {}
            }
        }
    }

    /// Appends a frame with its number, which is raised where ours came before it.
    fn number(&mut self, seen: &Seen<'_>, frame: &[u8], out: &mut Vec<u8>) {
        let number = seen.sequence_number.and_then(|raw| Some((raw.get(), raw.get().parse::<u64>().ok()?)));
        let Some((raw, number)) = number else {
            out.extend_from_slice(frame);
            return;
        };
        if number + self.raised < self.sequence {
            self.raised = self.sequence - number;
        }
        self.sequence = number + self.raised + 1;
        if self.raised == 0 {
            out.extend_from_slice(frame);
            return;
        }
        let at = raw.as_ptr().addr() - frame.as_ptr().addr();
        let new = (number + self.raised).to_string().into_bytes();
        out.extend_from_slice(&json::replace(frame, &mut [(at..at + raw.len(), new)]));
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
            let face = (self.id.as_str(), self.created, self.model.as_str());
            let response = Response::new(face, (&[], None), Status::InProgress);
            event(&mut self.sequence, kind, Whole { response }, out);
        }
    }

    fn whole(&mut self, status: Status<'_>, out: &mut Vec<u8>) {
        let kind = format!("response.{}", status.word());
        let face = (self.id.as_str(), self.created, self.model.as_str());
        let response = Response::new(face, (&self.output, self.usage), status);
        event(&mut self.sequence, &kind, Whole { response }, out);
    }

    /// Where in `output` the open item of this kind stands, begun if need be; `None` when there are too many.
    fn ready(&mut self, kind: Kind, out: &mut Vec<u8>) -> Option<usize> {
        self.begin(out);
        let last = self.output.len().wrapping_sub(1);
        if let Some(held) = self.output.last().filter(|held| held.stage != Stage::Done) {
            let same = matches!(
                (&held.kind, &kind),
                (Kind::Message, Kind::Message) | (Kind::Reasoning { .. }, Kind::Reasoning { .. })
            );
            if same && held.stage <= Stage::Open {
                self.open(last, out);
                return Some(last);
            }
            // Arguments of several calls may arrive in turns: calls stay open until the end.
            if !matches!(held.kind, Kind::Call { .. }) {
                self.close(last, out);
            }
        }
        if self.output.len() >= ITEMS_MAX {
            return None;
        }
        let at = self.output.last().map_or(0, |last| last.at + 1);
        let held = Held::new(kind, &self.wording.request_id, at);
        let added = OfItem { output_index: at, item: held.item() };
        event(&mut self.sequence, "response.output_item.added", added, out);
        self.output.push(held);
        let place = self.output.len() - 1;
        self.open(place, out);
        Some(place)
    }

    /// Begins an item's part, if it has one that has not begun.
    fn open(&mut self, place: usize, out: &mut Vec<u8>) {
        let held = &mut self.output[place];
        if held.stage != Stage::Bare {
            return;
        }
        held.stage = Stage::Open;
        match &held.kind {
            Kind::Message => {
                let part = OfPart { part: Some(Part::Text(Written::of(""))), ..of_text(&held.id, held.at) };
                event(&mut self.sequence, "response.content_part.added", part, out);
            }
            Kind::Reasoning { .. } => {
                let part = Some(Part::Thought(Summary::SummaryText { text: "" }));
                let part = OfPart { part, ..of_thought(&held.id, held.at) };
                event(&mut self.sequence, "response.reasoning_summary_part.added", part, out);
            }
            Kind::Call { .. } | Kind::Foreign => {}
        }
    }

    fn grow(&mut self, place: usize, more: &str, out: &mut Vec<u8>) {
        let held = &mut self.output[place];
        self.kept += more.len();
        if self.kept <= KEPT_BYTES_MAX {
            held.text.push_str(more);
        }
        let (id, at) = (held.id.as_str(), held.at);
        let (kind, of) = match held.kind {
            Kind::Message => ("response.output_text.delta", OfPart { logprobs: Some([]), ..of_text(id, at) }),
            Kind::Reasoning { .. } => ("response.reasoning_summary_text.delta", of_thought(id, at)),
            Kind::Call { .. } | Kind::Foreign => ("response.function_call_arguments.delta", of_item(id, at)),
        };
        event(&mut self.sequence, kind, OfPart { delta: Some(more), ..of }, out);
    }

    /// Ends one item, as far as it has not ended.
    fn close(&mut self, place: usize, out: &mut Vec<u8>) {
        let held = &mut self.output[place];
        let stage = std::mem::replace(&mut held.stage, Stage::Done);
        if stage == Stage::Done {
            return;
        }
        // What it was when it began, it is no more.
        held.whole = held.whole.take().filter(|_| held.kind == Kind::Foreign);
        let (id, at, text, sequence) = (held.id.as_str(), held.at, held.text.as_str(), &mut self.sequence);
        // A part ends if it has begun; what has been said of its end is not said again.
        let (says, shuts) = (stage == Stage::Open, matches!(stage, Stage::Open | Stage::Said));
        match &held.kind {
            Kind::Message => {
                if says {
                    let done = OfPart { text: Some(text), logprobs: Some([]), ..of_text(id, at) };
                    event(sequence, "response.output_text.done", done, out);
                }
                if shuts {
                    let part = OfPart { part: Some(Part::Text(Written::of(text))), ..of_text(id, at) };
                    event(sequence, "response.content_part.done", part, out);
                }
            }
            Kind::Reasoning { .. } => {
                if says {
                    let done = OfPart { text: Some(text), ..of_thought(id, at) };
                    event(sequence, "response.reasoning_summary_text.done", done, out);
                }
                if shuts {
                    let part = Some(Part::Thought(Summary::SummaryText { text }));
                    let part = OfPart { part, ..of_thought(id, at) };
                    event(sequence, "response.reasoning_summary_part.done", part, out);
                }
            }
            Kind::Call { name, .. } => {
                let arguments = Some(if text.is_empty() { "{}" } else { text });
                let done = OfPart { name: Some(name), arguments, ..of_item(id, at) };
                event(sequence, "response.function_call_arguments.done", done, out);
            }
            Kind::Foreign => {}
        }
        let done = OfItem { output_index: at, item: held.item() };
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
