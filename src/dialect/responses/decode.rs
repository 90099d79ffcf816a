//! A caller's Responses request, read into the conversation it means.

use super::OURS;
use crate::dialect::openai::{object_or_empty, picture, untranslatable};
use crate::dialect::{Invalid, raw};
use crate::domain::chat::{Chat, Format, Message, Part, Reasoning, Role, Tool, ToolCall, ToolChoice};
use crate::domain::failure::Failure;
use crate::domain::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;

/// Reads the whole request.
///
/// # Errors
/// `BadRequest` with the field's path; `Untranslatable` for items, parts and tools no other dialect knows.
#[inline(never)]
pub fn decode(words: &Words) -> Result<Chat, Failure> {
    let mut chat = Chat::default();
    let mut input = None;
    let mut tools = None;
    let text = raw::text_of(&words.body).map_err(raw::failure_of)?;
    let read = raw::fields(text, |key, value| {
        match key {
            _ if raw::is_null(value) => {}
            "model" | "stream" | "store" | "background" => {}
            "input" => input = Some(value),
            "tools" => tools = Some(value),
            _ => parameter(key, value, &mut chat)?,
        }
        Ok(())
    });
    read.map_err(raw::failure_of)?;
    if let Some(value) = input {
        conversation(value, &mut chat)?;
    }
    if let Some(value) = tools {
        chat.tools = offered(value)?;
    }
    Ok(chat)
}

fn parameter(key: &str, value: &RawValue, chat: &mut Chat) -> Result<(), Invalid> {
    match key {
        "instructions" => {
            let text = raw::string(value, key)?;
            chat.messages.insert(0, Message { role: Role::System, parts: vec![plain(text)] });
        }
        "max_output_tokens" => chat.max_tokens = Some(raw::count(value, key)?),
        "temperature" => chat.temperature = Some(raw::number(value, key)?),
        "top_p" => chat.top_p = Some(raw::number(value, key)?),
        "parallel_tool_calls" => chat.parallel_tool_calls = Some(raw::boolean(value, key)?),
        "user" => chat.user = Some(raw::string(value, key)?),
        "tool_choice" => match choice(value)? {
            Some(choice) => chat.tool_choice = Some(choice),
            None => raw::remember(&mut chat.unknown, key),
        },
        "text" => raw::fields(value.get(), |key, value| match key {
            _ if raw::is_null(value) => Ok(()),
            "format" => {
                chat.format = format(value)?;
                Ok(())
            }
            _ => {
                raw::remember(&mut chat.unknown, format!("text.{key}"));
                Ok(())
            }
        })
        .map_err(raw::inside(key))?,
        "reasoning" => raw::fields(value.get(), |key, value| {
            match key {
                "effort" if !raw::is_null(value) => {
                    let effort = raw::string(value, key)?;
                    let off = effort == "none";
                    chat.reasoning = Some(if off { Reasoning::Off } else { Reasoning::Effort(effort) });
                }
                // What is thought is told anyway, where the provider tells it.
                _ => {}
            }
            Ok(())
        })
        .map_err(raw::inside(key))?,
        _ => raw::remember(&mut chat.unknown, key),
    }
    Ok(())
}

fn plain(text: String) -> Part {
    Part::Text { text, cache_control: None }
}

fn choice(value: &RawValue) -> Result<Option<ToolChoice>, Invalid> {
    #[derive(Deserialize)]
    struct Named {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        name: Option<String>,
    }
    const EXPECTED: &str = "must be none, auto, required or a function";
    if raw::is_string(value) {
        return match raw::string(value, "")?.as_str() {
            "none" => Ok(Some(ToolChoice::None)),
            "auto" => Ok(Some(ToolChoice::Auto)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(raw::invalid("tool_choice", EXPECTED)),
        };
    }
    let named: Named = raw::read(value, "tool_choice", EXPECTED)?;
    Ok(named.name.filter(|_| named.kind == "function").map(ToolChoice::Named))
}

fn format(value: &RawValue) -> Result<Option<Format>, Invalid> {
    #[derive(Deserialize)]
    struct Wanted<'a> {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(borrow, default)]
        schema: Option<&'a RawValue>,
        #[serde(default)]
        strict: Option<bool>,
    }
    let Wanted { kind, name, schema, strict } = raw::read(value, "format", "must be an object with a type")?;
    match (kind.as_str(), schema) {
        ("text", _) => Ok(None),
        ("json_object", _) => Ok(Some(Format::JsonObject)),
        ("json_schema", Some(schema)) => {
            Ok(Some(Format::JsonSchema { name, schema: schema.get().to_owned(), strict }))
        }
        ("json_schema", None) => Err(raw::invalid("format.schema", "is required")),
        _ => Err(raw::invalid("format.type", "must be text, json_object or json_schema")),
    }
}

fn offered(value: &RawValue) -> Result<Vec<Tool>, Failure> {
    #[derive(Deserialize)]
    struct Offer<'a> {
        #[serde(rename = "type")]
        kind: String,
        #[serde(default)]
        name: Option<String>,
        #[serde(default)]
        description: Option<String>,
        #[serde(borrow, default)]
        parameters: Option<&'a RawValue>,
        #[serde(default)]
        strict: Option<bool>,
    }
    let offers: Vec<Offer<'_>> =
        raw::read(value, "tools", "must be an array of tools with a type").map_err(raw::failure_of)?;
    let read = |(index, offer): (usize, Offer<'_>)| {
        let path = format!("tools[{index}]");
        if offer.kind != "function" {
            return Err(untranslatable(&path, &format!("a tool of type `{:.40}`", offer.kind)));
        }
        let name = offer.name.ok_or_else(|| required(&path, "name"))?;
        let parameters = offer.parameters.map(|schema| schema.get().to_owned());
        Ok(Tool { name, description: offer.description, parameters, strict: offer.strict })
    };
    offers.into_iter().enumerate().map(read).collect()
}

fn required(path: &str, field: &str) -> Failure {
    raw::failure_of(raw::invalid(&format!("{path}.{field}"), "is required"))
}

fn conversation(input: &RawValue, chat: &mut Chat) -> Result<(), Failure> {
    if raw::is_string(input) {
        let text = raw::string(input, "input").map_err(raw::failure_of)?;
        chat.messages.push(Message { role: Role::User, parts: vec![plain(text)] });
        return Ok(());
    }
    let items: Vec<Item<'_>> =
        raw::read(input, "input", "must be a string or an array of items").map_err(raw::failure_of)?;
    for (index, item) in items.into_iter().enumerate() {
        item.join(&format!("input[{index}]"), &mut chat.messages)?;
    }
    Ok(())
}

/// Any item of the input; what is present depends on its type.
#[derive(Deserialize)]
struct Item<'a> {
    #[serde(rename = "type", default)]
    kind: Option<String>,
    #[serde(default)]
    role: Option<String>,
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
    #[serde(default)]
    call_id: Option<String>,
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    arguments: Option<String>,
    #[serde(borrow, default)]
    output: Option<&'a RawValue>,
    #[serde(default)]
    summary: Option<Vec<Told>>,
    #[serde(default)]
    encrypted_content: Option<String>,
}

#[derive(Deserialize)]
struct Told {
    #[serde(default)]
    text: String,
}

impl Item<'_> {
    /// Adds the item to the conversation. What the assistant thinks, says and calls in a row is one message.
    fn join(self, path: &str, messages: &mut Vec<Message>) -> Result<(), Failure> {
        match self.kind.as_deref().unwrap_or("message") {
            "message" => self.message(path, messages),
            "function_call" => {
                let id = self.call_id.ok_or_else(|| required(path, "call_id"))?;
                let name = self.name.ok_or_else(|| required(path, "name"))?;
                let at = format!("{path}.arguments");
                let arguments = object_or_empty(self.arguments.unwrap_or_default())
                    .ok_or_else(|| raw::failure_of(raw::invalid(&at, "must be a JSON object")))?;
                said(messages).push(Part::ToolCall(ToolCall { id, name, arguments }));
                Ok(())
            }
            "function_call_output" => {
                let call_id = self.call_id.ok_or_else(|| required(path, "call_id"))?;
                let output = self.output.ok_or_else(|| required(path, "output"))?;
                let mut content = String::new();
                for part in parts(output, &format!("{path}.output"))? {
                    match part {
                        Part::Text { text, .. } => content.push_str(&text),
                        _ => return Err(untranslatable(path, "an image from a tool")),
                    }
                }
                let result = Part::ToolResult { call_id, content, is_error: false };
                messages.push(Message { role: Role::Tool, parts: vec![result] });
                Ok(())
            }
            "reasoning" => {
                let text: String = self.summary.into_iter().flatten().map(|told| told.text).collect();
                // What this vendor encrypted nobody else can read.
                let signature = self.encrypted_content.as_deref().and_then(|ours| ours.strip_prefix(OURS));
                let signature = signature.filter(|signature| !signature.is_empty()).map(str::to_owned);
                if signature.is_some() || !text.is_empty() {
                    said(messages).push(Part::Reasoning { text, signature });
                }
                Ok(())
            }
            "item_reference" => {
                let words = "nothing is stored here: send the item itself";
                Err(raw::failure_of(raw::invalid(path, words)))
            }
            other => Err(untranslatable(path, &format!("an item of type `{other:.40}`"))),
        }
    }

    fn message(self, path: &str, messages: &mut Vec<Message>) -> Result<(), Failure> {
        let role = match self.role.as_deref() {
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("system" | "developer") => Role::System,
            _ => {
                let at = format!("{path}.role");
                let words = "must be user, assistant, system or developer";
                return Err(raw::failure_of(raw::invalid(&at, words)));
            }
        };
        let content = self.content.ok_or_else(|| required(path, "content"))?;
        let more = parts(content, &format!("{path}.content"))?;
        if role == Role::Assistant {
            said(messages).extend(more);
        } else {
            messages.push(Message { role, parts: more });
        }
        Ok(())
    }
}

/// The parts of the assistant's turn: of the one under way, or of a new one.
fn said(messages: &mut Vec<Message>) -> &mut Vec<Part> {
    if messages.last().is_none_or(|last| last.role != Role::Assistant) {
        messages.push(Message { role: Role::Assistant, parts: Vec::new() });
    }
    let last = messages.len() - 1;
    &mut messages[last].parts
}

fn parts(content: &RawValue, path: &str) -> Result<Vec<Part>, Failure> {
    #[derive(Deserialize)]
    struct Piece {
        #[serde(rename = "type", default)]
        kind: String,
        #[serde(default)]
        text: Option<String>,
        #[serde(default)]
        refusal: Option<String>,
        #[serde(default)]
        image_url: Option<String>,
    }
    if raw::is_string(content) {
        let text = raw::string(content, path).map_err(raw::failure_of)?;
        return Ok(if text.is_empty() { Vec::new() } else { vec![plain(text)] });
    }
    let pieces: Vec<Piece> =
        raw::read(content, path, "must be a string or an array of parts").map_err(raw::failure_of)?;
    let read = |(index, piece): (usize, Piece)| {
        let path = format!("{path}[{index}]");
        match piece.kind.as_str() {
            "input_text" | "output_text" | "text" => {
                piece.text.map(plain).ok_or_else(|| required(&path, "text"))
            }
            "refusal" => piece.refusal.map(plain).ok_or_else(|| required(&path, "refusal")),
            "input_image" => match piece.image_url {
                Some(url) => Ok(picture(url, &format!("{path}.image_url"))?),
                None => Err(untranslatable(&path, "an image by its file's id")),
            },
            other => Err(untranslatable(&path, &format!("a part of type `{other:.40}`"))),
        }
    };
    pieces.into_iter().enumerate().map(read).collect()
}
