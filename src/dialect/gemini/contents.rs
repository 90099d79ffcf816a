//! A conversation as Gemini wants it: instructions apart, turns of user and model, results in the order of the calls.

use super::SIGNATURE;
use super::models::Model;
use crate::dialect::asking::{self, OPENING};
use crate::dialect::raw;
use crate::domain::chat::{Chat, Image, Message, Part, Role, ToolCall};
use crate::domain::failure::{Failure, Fault};
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

/// Stands for a signature the conversation does not have, as when another vendor made the call; the vendor's own word.
const NO_SIGNATURE: &str = "skip_thought_signature_validator";

/// One turn; consecutive messages of one side are one turn.
#[derive(Debug, Serialize)]
pub(super) struct Turn<'a> {
    #[serde(skip_serializing_if = "str::is_empty")]
    pub role: &'static str,
    pub parts: Vec<Piece<'a>>,
}

/// A part of a turn; exactly one of the first four is there.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Piece<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    inline_data: Option<Blob<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_call: Option<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    function_response: Option<Response<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thought_signature: Option<&'a str>,
    /// A result's place among all calls of the conversation.
    #[serde(skip)]
    order: Option<usize>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Blob<'a> {
    mime_type: &'a str,
    data: &'a str,
}

#[derive(Debug, Serialize)]
struct Call<'a> {
    name: &'a str,
    args: &'a RawValue,
}

#[derive(Debug, Serialize)]
struct Response<'a> {
    name: &'a str,
    response: Cow<'a, RawValue>,
}

impl<'a> Piece<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self { text: Some(text.into()), ..Self::default() }
    }
}

/// A conversation, ready to be written.
#[derive(Debug)]
pub(super) struct Conversation<'a> {
    pub instructions: Vec<Piece<'a>>,
    pub contents: Vec<Turn<'a>>,
}

/// Arranges the messages; `so_far`, text already delivered, is the model's beginning.
///
/// # Errors
/// `BadRequest` when arguments are no object, a result belongs to no call, or nothing is said; `Untranslatable` for
/// an image by address.
pub(super) fn arrange<'a>(
    chat: &'a Chat,
    model: Model,
    so_far: Option<&'a str>,
) -> Result<Conversation<'a>, Failure> {
    let mut arranging = Arranging { model, calls: HashMap::new(), contents: Vec::new() };
    let mut instructions = Vec::new();
    for (index, message) in chat.messages.iter().enumerate() {
        if message.role == Role::System {
            instructions.extend(message.parts.iter().filter_map(said));
        } else {
            arranging.message(index, message)?;
        }
    }
    let mut contents = arranging.contents;
    if contents.is_empty() || !model.takes_instructions() {
        // Instructions alone, or where they have no place, are what the person has to say.
        let first = std::mem::take(&mut instructions);
        match contents.first_mut() {
            Some(turn) if turn.role == "user" => {
                turn.parts.splice(0..0, first);
            }
            _ if first.is_empty() => {}
            _ => contents.insert(0, Turn { role: "user", parts: first }),
        }
    }
    match contents.first().map(|turn| turn.role) {
        None => return Err(raw::failure_of(raw::invalid("messages", "must say something"))),
        Some("model") => contents.insert(0, Turn { role: "user", parts: vec![Piece::text(OPENING)] }),
        Some(_) => {}
    }
    if let Some(so_far) = so_far.filter(|so_far| !so_far.is_empty()) {
        turn(&mut contents, "model").parts.push(Piece::text(so_far));
    }
    for turn in &mut contents {
        turn.parts.sort_by_key(|piece| piece.order.unwrap_or(usize::MAX));
    }
    Ok(Conversation { instructions, contents })
}

struct Arranging<'a> {
    model: Model,
    /// The place and the name of each call by its id: results carry the id alone.
    calls: HashMap<&'a str, (usize, &'a str)>,
    contents: Vec<Turn<'a>>,
}

impl<'a> Arranging<'a> {
    fn message(&mut self, index: usize, message: &'a Message) -> Result<(), Failure> {
        let role = if message.role == Role::Assistant { "model" } else { "user" };
        let mut signature = signature(&message.parts);
        let mut pieces = Vec::new();
        let mut called = false;
        for part in &message.parts {
            let piece = match part {
                Part::Text { .. } => said(part),
                Part::Image(Image::Data { media_type, base64 }) => Some(Piece {
                    inline_data: Some(Blob { mime_type: media_type, data: base64 }),
                    ..Piece::default()
                }),
                Part::Image(Image::Url(_)) => return Err(asking::by_address(index)),
                Part::ToolCall(call) => {
                    let unsigned = !std::mem::replace(&mut called, true) && self.model.wants_signatures();
                    let proof = signature.take().or(unsigned.then_some(NO_SIGNATURE));
                    Some(self.call(index, call, proof)?)
                }
                Part::ToolResult { call_id, content, is_error } => {
                    Some(self.result(index, call_id, (content, *is_error))?)
                }
                // The vendor does not want its thoughts back, only their signature.
                Part::Reasoning { .. } => None,
            };
            pieces.extend(piece);
        }
        if let (Some(signature), Some(last)) = (signature, pieces.last_mut()) {
            last.thought_signature = Some(signature);
        }
        if !pieces.is_empty() {
            turn(&mut self.contents, role).parts.extend(pieces);
        }
        Ok(())
    }

    fn call(
        &mut self,
        index: usize,
        call: &'a ToolCall,
        proof: Option<&'a str>,
    ) -> Result<Piece<'a>, Failure> {
        let order = self.calls.len();
        self.calls.insert(&call.id, (order, &call.name));
        let args = asking::arguments(call, index)?;
        let function_call = Some(Call { name: &call.name, args });
        Ok(Piece { function_call, thought_signature: proof, ..Piece::default() })
    }

    fn result(
        &self,
        index: usize,
        call_id: &str,
        (content, is_error): (&'a str, bool),
    ) -> Result<Piece<'a>, Failure> {
        let Some((order, name)) = self.calls.get(call_id).copied() else {
            let failure = Failure::new(Fault::BadRequest, "a tool's result belongs to no call before it");
            return Err(Failure { param: Some(format!("messages[{index}].tool_call_id")), ..failure });
        };
        let function_response = Some(Response { name, response: response(content, is_error) });
        Ok(Piece { function_response, order: Some(order), ..Piece::default() })
    }
}

/// The last signature of ours among the thoughts of a message.
fn signature(parts: &[Part]) -> Option<&str> {
    parts.iter().rev().find_map(|part| match part {
        Part::Reasoning { signature: Some(signature), .. } => signature.strip_prefix(SIGNATURE),
        _ => None,
    })
}

/// Text that says something: the vendor refuses empty parts.
fn said(part: &Part) -> Option<Piece<'_>> {
    match part {
        Part::Text { text, .. } if !text.trim().is_empty() => Some(Piece::text(text.as_str())),
        _ => None,
    }
}

/// The turn of this side that may be added to.
fn turn<'t, 'a>(contents: &'t mut Vec<Turn<'a>>, role: &'static str) -> &'t mut Turn<'a> {
    if contents.last().is_none_or(|turn| turn.role != role) {
        contents.push(Turn { role, parts: Vec::new() });
    }
    contents.last_mut().expect("one was pushed if there was none")
}

/// A result as the object the vendor wants.
fn response(content: &str, is_error: bool) -> Cow<'_, RawValue> {
    #[derive(Serialize)]
    #[serde(rename_all = "lowercase")]
    enum Wrapped<'a> {
        Result(&'a str),
        Error(&'a str),
    }
    let object = raw::fragment(content).filter(|value| raw::is_object(value) && !is_error);
    object.map_or_else(
        || {
            let wrapped = if is_error { Wrapped::Error(content) } else { Wrapped::Result(content) };
            Cow::Owned(
                serde_json::value::to_raw_value(&wrapped).expect("an object of one string is always JSON"),
            )
        },
        Cow::Borrowed,
    )
}
