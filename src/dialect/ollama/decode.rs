//! A caller's Ollama request, translated into nobody's dialect.

use super::open::num_predict;
use crate::dialect::{Invalid, raw};
use crate::domain::chat::{Chat, Format, Image, Message, Part, Reasoning, Role, Tool, ToolCall};
use crate::domain::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::collections::VecDeque;

/// Translates the whole request.
///
/// # Errors
/// [`Invalid`] names the field.
#[inline(never)]
pub fn decode(words: &Words) -> Result<Chat, Invalid> {
    let mut chat = Chat::default();
    let mut calls = Calls::default();
    raw::fields(raw::text_of(&words.body)?, |key, value| {
        match key {
            "model" | "stream" => {}
            _ if raw::is_null(value) => {}
            "messages" => {
                raw::items(value.get(), |_, item| message(&mut chat, &mut calls, item))
                    .map_err(raw::inside(key))?;
            }
            "tools" => raw::items(value.get(), |_, item| tool(&mut chat, item)).map_err(raw::inside(key))?,
            "options" => {
                raw::fields(value.get(), |key, value| option(&mut chat, key, value))
                    .map_err(raw::inside(key))?;
            }
            "format" => chat.format = format(value)?,
            "think" => chat.reasoning = Some(think(value)?),
            _ => raw::remember(&mut chat.unknown, key),
        }
        Ok(())
    })?;
    Ok(chat)
}

pub(super) fn option(chat: &mut Chat, key: &str, value: &RawValue) -> Result<(), Invalid> {
    match key {
        _ if raw::is_null(value) => {}
        "num_predict" => chat.max_tokens = num_predict(value)?,
        "temperature" => chat.temperature = Some(raw::number(value, key)?),
        "top_p" => chat.top_p = Some(raw::number(value, key)?),
        "top_k" => chat.top_k = Some(raw::count(value, key)?),
        "seed" => chat.seed = Some(raw::read(value, key, "must be a whole number")?),
        "presence_penalty" => chat.presence_penalty = Some(raw::number(value, key)?),
        "frequency_penalty" => chat.frequency_penalty = Some(raw::number(value, key)?),
        "stop" if raw::is_string(value) => chat.stop = vec![raw::string(value, key)?],
        "stop" => chat.stop = raw::read(value, key, "must be an array of strings")?,
        _ => raw::remember(&mut chat.unknown, format!("options.{key}")),
    }
    Ok(())
}

pub(super) fn format(value: &RawValue) -> Result<Option<Format>, Invalid> {
    if raw::is_object(value) {
        return Ok(Some(Format::JsonSchema { name: None, schema: value.get().to_owned(), strict: None }));
    }
    match raw::string(value, "format").as_deref() {
        Ok("json") => Ok(Some(Format::JsonObject)),
        Ok("") => Ok(None),
        _ => Err(raw::invalid("format", "must be \"json\" or a JSON schema")),
    }
}

pub(super) fn think(value: &RawValue) -> Result<Reasoning, Invalid> {
    match value.get() {
        "true" => Ok(Reasoning::Effort("medium".to_owned())),
        "false" => Ok(Reasoning::Off),
        _ => raw::read(value, "think", "must be true, false, low, medium or high").map(Reasoning::Effort),
    }
}

/// Calls whose results have not come yet: callers of this dialect often name neither.
#[derive(Default)]
struct Calls {
    made: u32,
    waiting: VecDeque<(String, String)>,
}

impl Calls {
    fn make(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}", self.made));
        self.made += 1;
        self.waiting.push_back((id.clone(), name.to_owned()));
        id
    }

    /// The call a result answers: by id, else by the tool's name, else the first that waits.
    fn answered(&mut self, id: Option<&str>, name: Option<&str>) -> Option<String> {
        let by_id = |id: &str| self.waiting.iter().position(|(waiting, _)| waiting == id);
        let by_name = |name: &str| self.waiting.iter().position(|(_, waiting)| waiting == name);
        let at = id.and_then(by_id).or_else(|| name.and_then(by_name)).unwrap_or(0);
        self.waiting.remove(at).map(|(id, _)| id)
    }
}

fn message(chat: &mut Chat, calls: &mut Calls, item: &RawValue) -> Result<(), Invalid> {
    #[derive(Deserialize)]
    struct Said<'a> {
        role: String,
        content: Option<String>,
        thinking: Option<String>,
        images: Option<Vec<String>>,
        #[serde(borrow)]
        tool_calls: Option<Vec<Call<'a>>>,
        tool_name: Option<String>,
        tool_call_id: Option<String>,
    }
    let said: Said<'_> = raw::read(item, "", "is not a message")?;
    let role = match said.role.as_str() {
        "system" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => Role::Tool,
        _ => return Err(raw::invalid("role", "must be system, user, assistant or tool")),
    };
    let content = said.content.unwrap_or_default();
    let mut parts = Vec::new();
    if role == Role::Tool {
        let call_id = calls.answered(said.tool_call_id.as_deref(), said.tool_name.as_deref());
        let call_id = call_id.ok_or_else(|| raw::invalid("", "is the result of no tool call"))?;
        parts.push(Part::ToolResult { call_id, content, is_error: false });
    } else {
        if let Some(text) = said.thinking.filter(|text| !text.is_empty()) {
            parts.push(Part::Reasoning { text, signature: None });
        }
        if !content.is_empty() {
            parts.push(Part::Text { text: content, cache_control: None });
        }
        let images = said.images.into_iter().flatten();
        parts.extend(images.map(|base64| {
            let media_type = media_type(&base64).to_owned();
            Part::Image(Image::Data { media_type, base64 })
        }));
        for Call { id, function } in said.tool_calls.into_iter().flatten() {
            parts.push(Part::ToolCall(function.into_call(id, calls)?));
        }
    }
    chat.messages.push(Message { role, parts });
    Ok(())
}

#[derive(Deserialize)]
struct Call<'a> {
    id: Option<String>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Function<'_> {
    fn into_call(self, id: Option<String>, calls: &mut Calls) -> Result<ToolCall, Invalid> {
        let arguments = match self.arguments {
            None => "{}",
            Some(value) if raw::is_object(value) => value.get(),
            Some(_) => return Err(raw::invalid("tool_calls", "must have an object as arguments")),
        };
        let id = calls.make(id, &self.name);
        Ok(ToolCall { id, name: self.name, arguments: arguments.to_owned() })
    }
}

/// What an image is, by its first bytes: this dialect does not say.
pub(super) fn media_type(base64: &str) -> &'static str {
    match base64.as_bytes() {
        [b'/', b'9', b'j', b'/', ..] => "image/jpeg",
        [b'R', b'0', b'l', b'G', b'O', ..] => "image/gif",
        [b'U', b'k', b'l', b'G', b'R', ..] => "image/webp",
        _ => "image/png",
    }
}

fn tool(chat: &mut Chat, item: &RawValue) -> Result<(), Invalid> {
    #[derive(Deserialize)]
    struct Offered<'a> {
        #[serde(borrow)]
        function: Described<'a>,
    }
    #[derive(Deserialize)]
    struct Described<'a> {
        name: String,
        description: Option<String>,
        #[serde(borrow)]
        parameters: Option<&'a RawValue>,
    }
    let Offered { function } = raw::read(item, "", "must be a function with a name")?;
    chat.tools.push(Tool {
        name: function.name,
        description: function.description.filter(|description| !description.is_empty()),
        parameters: function.parameters.map(|schema| schema.get().to_owned()),
        strict: None,
    });
    Ok(())
}
