//! A caller's Anthropic request, translated into nobody's dialect.

use super::wire::Block;
use crate::dialect::{Invalid, raw};
use crate::domain::chat::{Chat, Format, Image, Message, Part, Reasoning, Role, Tool, ToolChoice};
use crate::domain::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// What is read before it is put in order.
#[derive(Default)]
struct Draft {
    chat: Chat,
    system: Vec<Part>,
    effort: Option<String>,
    adaptive: bool,
}

/// Translates the whole request.
///
/// # Errors
/// [`Invalid`] names the field; content only this vendor knows says that it has no equivalent.
#[inline(never)]
pub fn decode(words: &Words) -> Result<Chat, Invalid> {
    let mut draft = Draft::default();
    raw::fields(raw::text_of(&words.body)?, |key, value| {
        if raw::is_null(value) { Ok(()) } else { field(&mut draft, key, value) }
    })?;
    let Draft { mut chat, system, effort, adaptive } = draft;
    if !system.is_empty() {
        chat.messages.insert(0, Message { role: Role::System, parts: system });
    }
    if chat.reasoning.is_none() {
        chat.reasoning = match effort {
            Some(effort) => Some(Reasoning::Effort(effort)),
            None if adaptive => Some(Reasoning::Effort("high".to_owned())),
            None => None,
        };
    }
    Ok(chat)
}

fn field(draft: &mut Draft, key: &str, value: &RawValue) -> Result<(), Invalid> {
    let chat = &mut draft.chat;
    match key {
        "model" | "stream" => {}
        "messages" => {
            raw::items(value.get(), |_, item| message(chat, item)).map_err(raw::inside("messages"))?;
        }
        "system" => draft.system = texts(value).map_err(raw::inside("system"))?,
        "max_tokens" => chat.max_tokens = Some(raw::count(value, key)?),
        "temperature" => chat.temperature = Some(raw::number(value, key)?),
        "top_p" => chat.top_p = Some(raw::number(value, key)?),
        "top_k" => chat.top_k = Some(raw::count(value, key)?),
        "stop_sequences" => chat.stop = raw::read(value, key, "must be an array of strings")?,
        "tools" => raw::items(value.get(), |_, item| tool(chat, item)).map_err(raw::inside("tools"))?,
        "tool_choice" => tool_choice(chat, value)?,
        "thinking" => thinking(draft, value)?,
        "output_config" => output_config(draft, value).map_err(raw::inside(key))?,
        "output_format" => chat.format = format(value)?,
        "metadata" => metadata(chat, value)?,
        _ => raw::remember(&mut chat.unknown, key),
    }
    Ok(())
}

/// A string, or text blocks.
fn texts(value: &RawValue) -> Result<Vec<Part>, Invalid> {
    if raw::is_string(value) {
        return Ok(vec![plain(raw::string(value, "")?)]);
    }
    let mut parts = Vec::new();
    raw::items(value.get(), |_, item| {
        let block = block(item)?;
        if block.kind != "text" {
            return Err(raw::invalid("type", "must be text"));
        }
        parts.push(block.into_part().ok_or_else(|| raw::invalid("text", "is required"))?);
        Ok(())
    })?;
    Ok(parts)
}

fn block(item: &RawValue) -> Result<Block<'_>, Invalid> {
    if !raw::is_object(item) {
        return Err(raw::invalid("", "must be an object"));
    }
    raw::read(item, "", "is not a content block")
}

/// One message. Tool results become messages of their own; what is said beside them follows.
fn message(chat: &mut Chat, item: &RawValue) -> Result<(), Invalid> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
        #[serde(borrow)]
        content: &'a RawValue,
    }
    let said: Said<'_> = raw::read(item, "", "must be an object with role and content")?;
    let role = match &*said.role {
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "system" => Role::System,
        _ => return Err(raw::invalid("role", "must be user or assistant")),
    };
    if raw::is_string(said.content) {
        let parts = vec![plain(raw::string(said.content, "content")?)];
        chat.messages.push(Message { role, parts });
        return Ok(());
    }
    let mut parts = Vec::new();
    raw::items(said.content.get(), |_, item| {
        let block = block(item)?;
        match &*block.kind {
            "tool_result" => {
                let (result, mut images) = tool_result(block)?;
                chat.messages.push(Message { role: Role::Tool, parts: vec![result] });
                parts.append(&mut images);
            }
            "image" => parts.push(Part::Image(image(block.source)?)),
            "document" => parts.push(plain(document(block.source)?)),
            "search_result" => parts.push(plain(search_result(item, block.content)?)),
            // What a tool of the vendor's own was asked and found: the answer that was made of it stands beside it.
            kind if is_servers(kind) => raw::remember(&mut chat.unknown, format!("messages.{kind}")),
            "text" | "thinking" | "redacted_thinking" | "tool_use" => {
                parts.push(block.into_part().ok_or_else(|| raw::invalid("", "lacks a field"))?);
            }
            _ => return Err(raw::invalid("type", raw::NO_EQUIVALENT)),
        }
        Ok(())
    })
    .map_err(raw::inside("content"))?;
    if !parts.is_empty() {
        chat.messages.push(Message { role, parts });
    }
    Ok(())
}

/// Calls of tools that run at the vendor (web search, code, MCP), and their results.
fn is_servers(kind: &str) -> bool {
    matches!(kind, "server_tool_use" | "mcp_tool_use") || kind.ends_with("_tool_result")
}

/// What a caller's own search has found, as text with its source.
fn search_result(item: &RawValue, content: Option<&RawValue>) -> Result<String, Invalid> {
    #[derive(Deserialize)]
    struct Found {
        source: String,
        title: String,
    }
    let Found { source, title } = raw::read(item, "", "must have a source and a title")?;
    let content = content.ok_or_else(|| raw::invalid("content", "is required"))?;
    Ok(format!("{title} ({source})\n{}", joined(texts(content).map_err(raw::inside("content"))?)))
}

fn plain(text: String) -> Part {
    Part::Text { text, cache_control: None }
}

/// Several texts, one below the other.
fn joined(parts: Vec<Part>) -> String {
    let text = |part| if let Part::Text { text, .. } = part { Some(text) } else { None };
    parts.into_iter().filter_map(text).collect::<Vec<_>>().join("\n")
}

/// A tool's result: its text, and its images, which go beside it.
fn tool_result(block: Block<'_>) -> Result<(Part, Vec<Part>), Invalid> {
    let call_id = block.tool_use_id.ok_or_else(|| raw::invalid("tool_use_id", "is required"))?;
    let is_error = block.is_error.unwrap_or(false);
    let (mut said, mut images) = (Vec::new(), Vec::new());
    match block.content {
        None => {}
        Some(value) if raw::is_string(value) => said.push(plain(raw::string(value, "content")?)),
        Some(value) => raw::items(value.get(), |_, item| {
            let block = self::block(item)?;
            match &*block.kind {
                "text" => said.push(block.into_part().ok_or_else(|| raw::invalid("text", "is required"))?),
                "image" => images.push(Part::Image(image(block.source)?)),
                "document" => said.push(plain(document(block.source)?)),
                "search_result" => said.push(plain(search_result(item, block.content)?)),
                _ => return Err(raw::invalid("type", raw::NO_EQUIVALENT)),
            }
            Ok(())
        })
        .map_err(raw::inside("content"))?,
    }
    Ok((Part::ToolResult { call_id, content: joined(said), is_error }, images))
}

#[derive(Deserialize)]
struct Source<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: Cow<'a, str>,
    media_type: Option<String>,
    data: Option<String>,
    url: Option<String>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
}

fn source(value: Option<&RawValue>) -> Result<Source<'_>, Invalid> {
    let value = value.ok_or_else(|| raw::invalid("source", "is required"))?;
    raw::read(value, "source", "must be an object with a type")
}

fn image(value: Option<&RawValue>) -> Result<Image, Invalid> {
    let source = source(value)?;
    match (&*source.kind, source.media_type, source.data, source.url) {
        ("base64", Some(media_type), Some(base64), _) => Ok(Image::Data { media_type, base64 }),
        ("url", _, _, Some(url)) => Ok(Image::Url(url)),
        ("base64" | "url", ..) => Err(raw::invalid("source", "lacks a field")),
        _ => Err(raw::invalid("source.type", raw::NO_EQUIVALENT)),
    }
}

/// A document of text is text; others have no equivalent.
fn document(value: Option<&RawValue>) -> Result<String, Invalid> {
    let source = source(value)?;
    match (&*source.kind, source.data, source.content) {
        ("text", Some(text), _) => Ok(text),
        ("content", _, Some(content)) => Ok(joined(texts(content).map_err(raw::inside("source.content"))?)),
        ("text" | "content", ..) => Err(raw::invalid("source", "lacks a field")),
        _ => Err(raw::invalid("source.type", raw::NO_EQUIVALENT)),
    }
}

/// A tool of the caller's. The vendor's own tools (web search, a shell) exist nowhere else: named as dropped.
fn tool(chat: &mut Chat, item: &RawValue) -> Result<(), Invalid> {
    #[derive(Deserialize)]
    struct Offered<'a> {
        #[serde(rename = "type")]
        kind: Option<String>,
        name: Option<String>,
        description: Option<String>,
        #[serde(borrow)]
        input_schema: Option<&'a RawValue>,
        strict: Option<bool>,
    }
    let offered: Offered<'_> = raw::read(item, "", "is not a tool")?;
    if let Some(kind) = offered.kind.filter(|kind| kind != "custom") {
        raw::remember(&mut chat.unknown, format!("tools.{kind}"));
        return Ok(());
    }
    let name = offered.name.ok_or_else(|| raw::invalid("name", "is required"))?;
    let parameters = offered.input_schema.map(|schema| schema.get().to_owned());
    chat.tools.push(Tool { name, description: offered.description, parameters, strict: offered.strict });
    Ok(())
}

fn tool_choice(chat: &mut Chat, value: &RawValue) -> Result<(), Invalid> {
    #[derive(Deserialize)]
    struct Chosen {
        #[serde(rename = "type")]
        kind: String,
        name: Option<String>,
        disable_parallel_tool_use: Option<bool>,
    }
    let chosen: Chosen = raw::read(value, "tool_choice", "must be an object with a type")?;
    chat.parallel_tool_calls = chosen.disable_parallel_tool_use.map(|disabled| !disabled);
    chat.tool_choice = Some(match (chosen.kind.as_str(), chosen.name) {
        ("auto", _) => ToolChoice::Auto,
        ("any", _) => ToolChoice::Required,
        ("none", _) => ToolChoice::None,
        ("tool", Some(name)) => ToolChoice::Named(name),
        ("tool", None) => return Err(raw::invalid("tool_choice.name", "is required")),
        _ => return Err(raw::invalid("tool_choice.type", "must be auto, any, tool or none")),
    });
    Ok(())
}

fn thinking(draft: &mut Draft, value: &RawValue) -> Result<(), Invalid> {
    #[derive(Deserialize)]
    struct Thinking {
        #[serde(rename = "type")]
        kind: String,
        budget_tokens: Option<u64>,
    }
    let thinking: Thinking = raw::read(value, "thinking", "must be an object with a type")?;
    match (thinking.kind.as_str(), thinking.budget_tokens) {
        ("enabled", Some(tokens)) => draft.chat.reasoning = Some(Reasoning::Budget(tokens)),
        ("enabled", None) => return Err(raw::invalid("thinking.budget_tokens", "is required")),
        ("adaptive", _) => draft.adaptive = true,
        ("disabled", _) => draft.chat.reasoning = Some(Reasoning::Off),
        _ => return Err(raw::invalid("thinking.type", "must be enabled, adaptive or disabled")),
    }
    Ok(())
}

fn output_config(draft: &mut Draft, value: &RawValue) -> Result<(), Invalid> {
    raw::fields(value.get(), |key, value| {
        match key {
            _ if raw::is_null(value) => {}
            "effort" => draft.effort = Some(raw::string(value, key)?),
            "format" => draft.chat.format = format(value)?,
            _ => raw::remember(&mut draft.chat.unknown, format!("output_config.{key}")),
        }
        Ok(())
    })
}

fn format(value: &RawValue) -> Result<Option<Format>, Invalid> {
    #[derive(Deserialize)]
    struct Shape<'a> {
        #[serde(borrow, rename = "type")]
        kind: Cow<'a, str>,
        #[serde(borrow)]
        schema: Option<&'a RawValue>,
    }
    let shape: Shape<'_> = raw::read(value, "format", "must be an object with a type")?;
    match (&*shape.kind, shape.schema) {
        ("json_schema", Some(schema)) if raw::is_object(schema) => {
            // OpenAI's strict schemas have no optional fields, Anthropic's may: nothing is promised in its name.
            Ok(Some(Format::JsonSchema { name: None, schema: schema.get().to_owned(), strict: None }))
        }
        ("text", _) => Ok(None),
        _ => Err(raw::invalid("format", "must be a json_schema with its schema")),
    }
}

fn metadata(chat: &mut Chat, value: &RawValue) -> Result<(), Invalid> {
    raw::fields(value.get(), |key, value| {
        match key {
            _ if raw::is_null(value) => {}
            "user_id" => chat.user = Some(raw::string(value, key)?),
            _ => raw::remember(&mut chat.unknown, format!("metadata.{key}")),
        }
        Ok(())
    })
    .map_err(raw::inside("metadata"))
}
