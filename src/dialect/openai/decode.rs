//! A caller's OpenAI request, read into the conversation it means.

use super::super::Invalid;
use super::super::json::{self, Scan};
use super::door;
use super::offer::{format, tool_choice, tools};
use crate::domain::chat::{Chat, Image, Message, Part, Reasoning, Role, ToolCall};
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::{Dialect, Words};
use std::borrow::Cow;
use std::fmt;

/// OpenAI allows no more.
pub const STOPS_MAX: usize = 4;

/// Reads a chat or legacy completion request.
///
/// # Errors
/// `BadRequest` with the field's path; `Untranslatable` for parts no other dialect knows (audio, files).
#[inline(never)]
pub fn decode(words: &Words) -> Result<Chat, Failure> {
    let mut scan = Scan::new(json::text(&words.body)?);
    let mut chat = Chat::default();
    let mut bounds = Bounds::default();
    scan.object(|scan, key| {
        match &*key {
            "messages" if words.dialect == Dialect::OpenAiChat => chat.messages = all(scan)?,
            "prompt" if words.dialect == Dialect::OpenAiCompletion => {
                let text = door::prompt(scan.value()?)?.into_owned();
                chat.messages.push(Message { role: Role::User, parts: vec![plain(text)] });
            }
            _ => parameter(&key, scan.value()?, &mut chat, &mut bounds)?,
        }
        Ok::<(), Failure>(())
    })?;
    scan.end()?;
    chat.max_tokens = bounds.completion.or(bounds.total);
    Ok(chat)
}

/// The two spellings of the bound on output tokens; the newer one wins.
#[derive(Default)]
pub struct Bounds {
    /// `max_completion_tokens`.
    pub completion: Option<u64>,
    /// `max_tokens`.
    pub total: Option<u64>,
}

/// Reads one top-level parameter other than the conversation itself.
///
/// # Errors
/// As [`decode`].
pub fn parameter(key: &str, raw: &str, chat: &mut Chat, bounds: &mut Bounds) -> Result<(), Failure> {
    if raw == "null" {
        return Ok(());
    }
    match key {
        "model" | "stream" | "stream_options" => {}
        "max_tokens" => bounds.total = json::count(raw, key)?,
        "max_completion_tokens" => bounds.completion = json::count(raw, key)?,
        "temperature" => chat.temperature = Some(json::read(raw, key, "a number")?),
        "top_p" => chat.top_p = Some(json::read(raw, key, "a number")?),
        "presence_penalty" => chat.presence_penalty = Some(json::read(raw, key, "a number")?),
        "frequency_penalty" => chat.frequency_penalty = Some(json::read(raw, key, "a number")?),
        "seed" => chat.seed = Some(json::read(raw, key, "a whole number")?),
        "stop" => chat.stop = stop(raw)?,
        "user" => chat.user = Some(json::read(raw, key, "a string")?),
        "parallel_tool_calls" => chat.parallel_tool_calls = Some(json::read(raw, key, "a boolean")?),
        "reasoning_effort" => {
            let effort: String = json::read(raw, key, "a string")?;
            chat.reasoning = Some(if effort == "none" { Reasoning::Off } else { Reasoning::Effort(effort) });
        }
        "tools" => chat.tools = tools(raw)?,
        "tool_choice" => match tool_choice(raw)? {
            Some(choice) => chat.tool_choice = Some(choice),
            None => chat.unknown.push(key.to_owned()),
        },
        "response_format" => chat.format = format(raw)?,
        // One choice is what everybody gives.
        "n" if raw == "1" => {}
        _ => chat.unknown.push(key.to_owned()),
    }
    Ok(())
}

fn plain(text: String) -> Part {
    Part::Text { text, cache_control: None }
}

/// What no other dialect has a place for.
pub fn untranslatable(path: &str, what: &str) -> Failure {
    let mut failure = Failure::new(Fault::Untranslatable, format!("{path}: {what} cannot be translated"));
    failure.param = Some(path.to_owned());
    failure
}

fn stop(raw: &str) -> Result<Vec<String>, Invalid> {
    if raw.starts_with('"') {
        return Ok(vec![json::read(raw, "stop", "a string")?]);
    }
    let stops: Vec<String> = json::read(raw, "stop", "a string or an array of strings")?;
    if stops.len() > STOPS_MAX {
        return Err(Invalid::new(Some("stop"), "stop must have at most 4 entries"));
    }
    Ok(stops)
}

/// Reads a `messages` array.
///
/// # Errors
/// As [`decode`].
pub fn messages(raw: &str) -> Result<Vec<Message>, Failure> {
    all(&mut Scan::new(raw))
}

/// The messages that come next.
fn all(scan: &mut Scan<'_>) -> Result<Vec<Message>, Failure> {
    if scan.peek() != b'[' {
        return Err(Invalid::new(Some("messages"), "messages must be an array").into());
    }
    let mut messages = Vec::new();
    scan.array(|scan, index| {
        messages.push(message(scan, format_args!("messages[{index}]"))?);
        Ok::<(), Failure>(())
    })?;
    Ok(messages)
}

/// A message's members, as they stand.
#[derive(Default)]
struct Raw<'a> {
    role: Cow<'a, str>,
    content: Option<&'a str>,
    tool_calls: Option<&'a str>,
    tool_call_id: Option<String>,
    reasoning: Option<String>,
    reasoning_details: Option<&'a str>,
    refusal: Option<String>,
}

/// One message; its path is worded only for a complaint.
fn message(scan: &mut Scan<'_>, path: fmt::Arguments<'_>) -> Result<Message, Failure> {
    let mut found = Raw::default();
    scan.object(|scan, key| {
        let raw = scan.value()?;
        if raw == "null" {
            return Ok(());
        }
        let string = || json::string(raw, format_args!("{path}.{key}"), "a string");
        match &*key {
            "role" => found.role = string()?,
            "content" => found.content = Some(raw),
            "tool_calls" => found.tool_calls = Some(raw),
            "tool_call_id" => found.tool_call_id = Some(string()?.into_owned()),
            "reasoning_content" | "reasoning" => found.reasoning = Some(string()?.into_owned()),
            "reasoning_details" => found.reasoning_details = Some(raw),
            "refusal" => found.refusal = Some(string()?.into_owned()),
            "function_call" | "audio" => return Err(untranslatable(&format!("{path}.{key}"), &key)),
            // `name` and what vendors add: no other dialect has a place for it.
            _ => {}
        }
        Ok(())
    })?;
    let role = match &*found.role {
        "system" | "developer" => Role::System,
        "user" => Role::User,
        "assistant" => Role::Assistant,
        "tool" => return tool_result(found, path),
        "function" => return Err(untranslatable(&format!("{path}.role"), "the role `function`")),
        _ => return Err(Invalid::new(Some(&format!("{path}.role")), "unknown role").into()),
    };
    let mut parts = Vec::new();
    if let Some(reasoning) = reasoning(&mut found) {
        parts.push(reasoning);
    }
    if let Some(raw) = found.content {
        content(raw, format_args!("{path}.content"), &mut parts)?;
    } else if role != Role::Assistant {
        let param = format!("{path}.content");
        return Err(Invalid::new(Some(&param), format!("{param} is required")).into());
    }
    parts.extend(found.refusal.filter(|text| !text.is_empty()).map(plain));
    if let Some(raw) = found.tool_calls {
        tool_calls(raw, &format!("{path}.tool_calls"), &mut parts)?;
    }
    Ok(Message { role, parts })
}

fn reasoning(found: &mut Raw<'_>) -> Option<Part> {
    let signed = found.reasoning_details.map(signature_and_text).unwrap_or_default();
    let text = found.reasoning.take().unwrap_or(signed.1);
    let signature = signed.0;
    (signature.is_some() || !text.is_empty()).then_some(Part::Reasoning { text, signature })
}

/// The signature in `reasoning_details`, and the text beside it. What is not understood is passed over: the list
/// belongs to the vendor.
pub fn signature_and_text(raw: &str) -> (Option<String>, String) {
    #[derive(serde::Deserialize)]
    struct Detail<'a> {
        #[serde(borrow, default)]
        text: Option<json::Text<'a>>,
        #[serde(borrow, default)]
        signature: Option<json::Text<'a>>,
    }
    let details: Vec<Detail<'_>> = serde_json::from_str(raw).unwrap_or_default();
    let mut all = (None, String::new());
    for detail in details {
        all.1.push_str(detail.text.as_ref().map_or("", |text| &text.0));
        if let Some(signature) = detail.signature {
            all.0 = Some(signature.0.into_owned());
        }
    }
    all
}

fn tool_result(found: Raw<'_>, path: fmt::Arguments<'_>) -> Result<Message, Failure> {
    let Some(call_id) = found.tool_call_id else {
        let param = format!("{path}.tool_call_id");
        return Err(Invalid::new(Some(&param), format!("{param} is required")).into());
    };
    let mut parts = Vec::new();
    if let Some(raw) = found.content {
        content(raw, format_args!("{path}.content"), &mut parts)?;
    }
    let mut text = String::new();
    for (index, part) in parts.iter().enumerate() {
        match part {
            Part::Text { text: more, .. } => text.push_str(more),
            _ => return Err(untranslatable(&format!("{path}.content[{index}]"), "an image from a tool")),
        }
    }
    let result = Part::ToolResult { call_id, content: text, is_error: false };
    Ok(Message { role: Role::Tool, parts: vec![result] })
}

fn content(raw: &str, path: fmt::Arguments<'_>, parts: &mut Vec<Part>) -> Result<(), Failure> {
    if raw.starts_with('"') {
        let text = json::string(raw, path, "text")?.into_owned();
        if !text.is_empty() {
            parts.push(plain(text));
        }
        return Ok(());
    }
    let raws: Vec<&serde_json::value::RawValue> = json::read(raw, path, "a string or an array of parts")?;
    for (index, raw) in raws.iter().enumerate() {
        parts.push(part(raw.get(), &format!("{path}[{index}]"))?);
    }
    Ok(())
}

#[derive(serde::Deserialize)]
struct RawPart<'a> {
    #[serde(borrow, rename = "type", default)]
    kind: json::Text<'a>,
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    refusal: Option<String>,
    #[serde(borrow, default)]
    image_url: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, default)]
    cache_control: Option<&'a serde_json::value::RawValue>,
}

fn part(raw: &str, path: &str) -> Result<Part, Failure> {
    let part: RawPart<'_> = json::read(raw, path, "a content part with a type")?;
    let missing = |name: &str| {
        let param = format!("{path}.{name}");
        Invalid::new(Some(&param), format!("{param} is required"))
    };
    match &*part.kind.0 {
        "text" => Ok(Part::Text {
            text: part.text.ok_or_else(|| missing("text"))?,
            cache_control: part.cache_control.map(|mark| mark.get().to_owned()),
        }),
        "refusal" => Ok(plain(part.refusal.ok_or_else(|| missing("refusal"))?)),
        "image_url" => {
            let raw = part.image_url.ok_or_else(|| missing("image_url"))?.get();
            image(raw, &format!("{path}.image_url"))
        }
        "" => Err(missing("type").into()),
        other => Err(untranslatable(&format!("{path}.type"), &format!("a part of type `{other:.40}`"))),
    }
}

fn image(raw: &str, path: &str) -> Result<Part, Failure> {
    #[derive(serde::Deserialize)]
    struct Address {
        url: String,
    }
    let url = if raw.starts_with('"') {
        json::read::<String>(raw, path, "an address")?
    } else {
        json::read::<Address>(raw, path, "an object with a url")?.url
    };
    picture(url, &format!("{path}.url")).map_err(Failure::from)
}

/// An image by its address, or by value in a data URL.
///
/// # Errors
/// [`Invalid`] when it is neither.
pub fn picture(url: String, param: &str) -> Result<Part, Invalid> {
    let data = url.strip_prefix("data:").and_then(|rest| rest.split_once(";base64,"));
    if let Some((media_type, base64)) = data {
        let (media_type, base64) = (media_type.to_owned(), base64.to_owned());
        return Ok(Part::Image(Image::Data { media_type, base64 }));
    }
    if url.starts_with("https://") || url.starts_with("http://") {
        return Ok(Part::Image(Image::Url(url)));
    }
    Err(Invalid::new(Some(param), format!("{param} must be an http address or base64 data")))
}

fn tool_calls(raw: &str, path: &str, parts: &mut Vec<Part>) -> Result<(), Failure> {
    #[derive(serde::Deserialize)]
    struct Call<'a> {
        id: String,
        #[serde(borrow, default)]
        function: Option<Function<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Function<'a> {
        name: String,
        #[serde(borrow, default)]
        arguments: Option<json::Text<'a>>,
    }
    let calls: Vec<Call<'_>> = json::read(raw, path, "an array of calls with id and function")?;
    for (index, call) in calls.into_iter().enumerate() {
        let Some(function) = call.function else {
            return Err(untranslatable(&format!("{path}[{index}]"), "a call of another kind"));
        };
        let arguments = function.arguments.map(|text| text.0.into_owned()).unwrap_or_default();
        let Some(arguments) = object_or_empty(arguments) else {
            let param = format!("{path}[{index}].function.arguments");
            return Err(Invalid::new(Some(&param), format!("{param} must be a JSON object")).into());
        };
        parts.push(Part::ToolCall(ToolCall { id: call.id, name: function.name, arguments }));
    }
    Ok(())
}

/// Arguments as they must be: a JSON object, `{}` when empty; `None` when they are neither.
pub fn object_or_empty(arguments: String) -> Option<String> {
    if arguments.trim().is_empty() {
        return Some("{}".to_owned());
    }
    json::is_object(&arguments).then_some(arguments)
}
