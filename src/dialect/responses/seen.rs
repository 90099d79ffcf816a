//! What the writer has to know of frames that pass as they are, in case the stream breaks and he has to go on.

use super::object::{Held, Kind, Stage};
use crate::dialect::json::Text;
use serde::Deserialize;
use serde_json::value::RawValue;

/// A frame's event, as far as it matters.
#[derive(Deserialize)]
pub(super) struct Seen<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Text<'a>,
    #[serde(borrow, default)]
    pub sequence_number: Option<&'a RawValue>,
    #[serde(default)]
    pub output_index: Option<usize>,
    #[serde(borrow, default)]
    item: Option<&'a RawValue>,
    #[serde(borrow, default)]
    pub response: Option<Face<'a>>,
}

/// Who an answer says it is.
#[derive(Deserialize)]
pub(super) struct Face<'a> {
    #[serde(borrow, default)]
    pub id: Text<'a>,
    #[serde(default)]
    pub created_at: Option<f64>,
    #[serde(borrow, default)]
    pub model: Text<'a>,
}

/// What an event means for the output.
pub(super) enum News {
    /// An item begins.
    Begun(Held),
    /// The item at the event's place has come so far.
    Stage(Stage),
    /// The item has ended, and this is all of it.
    Done(Box<RawValue>),
    /// The stream has ended.
    Over,
    Nothing,
}

impl<'a> Seen<'a> {
    /// The event in a frame.
    pub(super) fn of(frame: &'a [u8]) -> Option<Self> {
        let begin = frame.iter().position(|byte| *byte == b'{')?;
        let mut reader = serde_json::Deserializer::from_slice(frame.get(begin..)?);
        Self::deserialize(&mut reader).ok()
    }

    pub(super) fn news(&self) -> News {
        match &*self.kind.0 {
            "response.output_item.added" => self.begun().map_or(News::Nothing, News::Begun),
            "response.content_part.added" | "response.reasoning_summary_part.added" => {
                News::Stage(Stage::Open)
            }
            "response.output_text.done" | "response.reasoning_summary_text.done" => News::Stage(Stage::Said),
            "response.content_part.done" | "response.reasoning_summary_part.done" => News::Stage(Stage::Shut),
            "response.output_item.done" => {
                self.item.map_or(News::Nothing, |item| News::Done(item.to_owned()))
            }
            "response.completed" | "response.incomplete" | "response.failed" | "error" => News::Over,
            _ => News::Nothing,
        }
    }

    fn begun(&self) -> Option<Held> {
        #[derive(Deserialize)]
        struct Item<'a> {
            #[serde(borrow, rename = "type", default)]
            kind: Text<'a>,
            #[serde(borrow, default)]
            id: Text<'a>,
        }
        let raw = self.item?;
        let item: Item<'_> = serde_json::from_str(raw.get()).ok()?;
        let kind = match &*item.kind.0 {
            "message" => Kind::Message,
            "reasoning" => Kind::Reasoning { signature: None },
            // Nothing is added to it by us: what began it stands for it.
            _ => Kind::Foreign,
        };
        let (id, at) = (item.id.0.into_owned(), self.output_index?);
        Some(Held { id, kind, text: String::new(), stage: Stage::Bare, at, whole: Some(raw.to_owned()) })
    }
}
