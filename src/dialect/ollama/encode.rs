//! A translated conversation as an Ollama request.

use crate::dialect::{Defaults, Outgoing, asking, raw};
use crate::domain::chat::{Chat, Format, Image, Part, Reasoning, Role, ToolChoice};
use crate::domain::failure::Failure;
use crate::domain::words::Gist;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::collections::HashMap;

#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    messages: Vec<Said<'a>>,
    stream: bool,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<ToolWritten<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    think: Option<Think>,
    #[serde(skip_serializing_if = "Option::is_none")]
    keep_alive: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Options::is_empty")]
    options: Options<'a>,
}

#[derive(Serialize)]
struct Said<'a> {
    role: &'static str,
    content: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    images: Vec<&'a str>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tool_calls: Vec<Call<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_name: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_call_id: Option<&'a str>,
}

impl<'a> Said<'a> {
    fn new(role: &'static str, content: &'a str) -> Self {
        Self {
            role,
            content: Cow::Borrowed(content),
            thinking: None,
            images: Vec::new(),
            tool_calls: Vec::new(),
            tool_name: None,
            tool_call_id: None,
        }
    }

    fn says_nothing(&self) -> bool {
        self.content.is_empty()
            && self.thinking.is_none()
            && self.images.is_empty()
            && self.tool_calls.is_empty()
    }
}

#[derive(Serialize)]
struct Call<'a> {
    id: &'a str,
    function: Function<'a>,
}

#[derive(Serialize)]
struct Function<'a> {
    name: &'a str,
    arguments: &'a RawValue,
}

#[derive(Serialize)]
struct ToolWritten<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    function: Offered<'a>,
}

#[derive(Serialize)]
struct Offered<'a> {
    name: &'a str,
    description: &'a str,
    parameters: &'a RawValue,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Think {
    Switch(bool),
    Level(&'static str),
}

#[derive(Serialize, Default, PartialEq)]
struct Options<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    num_ctx: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_predict: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop: &'a [String],
}

impl Options<'_> {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Translates a conversation. What has no place is named in `dropped`.
///
/// # Errors
/// `Untranslatable` for an image by address; `BadRequest` when a fragment of the caller's is not the JSON it
/// should be.
pub fn encode(
    chat: &Chat,
    gist: &Gist,
    model: &str,
    so_far: Option<&str>,
    defaults: &Defaults,
) -> Result<Outgoing, Failure> {
    let mut messages = messages(chat)?;
    if let Some(so_far) = so_far.filter(|so_far| !so_far.is_empty()) {
        messages.push(Said::new("assistant", so_far));
    }
    let mut dropped = Vec::new();
    let keep_alive = defaults.keep_alive.as_deref().map(keep_alive);
    let request = Request {
        model,
        messages,
        stream: gist.stream,
        tools: tools(chat, &mut dropped)?,
        format: format(chat)?,
        think: chat.reasoning.as_ref().map(|reasoning| think(reasoning, model)),
        keep_alive: keep_alive.as_deref(),
        options: Options {
            num_ctx: defaults.num_ctx,
            num_predict: chat.max_tokens,
            temperature: chat.temperature,
            top_p: chat.top_p,
            top_k: chat.top_k,
            seed: chat.seed,
            presence_penalty: chat.presence_penalty,
            frequency_penalty: chat.frequency_penalty,
            stop: &chat.stop,
        },
    };
    if chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty() {
        raw::remember(&mut dropped, "parallel_tool_calls");
    }
    if chat.user.is_some() {
        raw::remember(&mut dropped, "user");
    }
    for name in &chat.unknown {
        raw::remember(&mut dropped, name.as_str());
    }
    let mut body = Vec::new();
    raw::write(&mut body, &request);
    Ok(Outgoing { path: super::PATH.into(), body: body.into(), dropped, unwrap_tool: None })
}

/// `-1` and `3600` are numbers of seconds, `5m` is text.
fn keep_alive(configured: &str) -> Box<RawValue> {
    let number = configured.parse::<i64>().ok();
    number
        .map_or_else(|| serde_json::value::to_raw_value(configured), |n| serde_json::value::to_raw_value(&n))
        .expect("a number and a string are always JSON")
}

fn messages(chat: &Chat) -> Result<Vec<Said<'_>>, Failure> {
    let mut out = Vec::with_capacity(chat.messages.len() + 1);
    // Which tool each call was of: results carry the id alone, this dialect wants the name.
    let mut names: HashMap<&str, &str> = HashMap::new();
    for (index, message) in chat.messages.iter().enumerate() {
        let before = out.len();
        let mut said = Said::new(role(message.role), "");
        for part in &message.parts {
            match part {
                Part::ToolResult { call_id, content, .. } => {
                    let tool_name = names.get(call_id.as_str()).copied();
                    let tool_call_id = Some(call_id.as_str());
                    out.push(Said { tool_name, tool_call_id, ..Said::new("tool", content) });
                }
                Part::ToolCall(call) => {
                    names.insert(&call.id, &call.name);
                    let arguments = asking::arguments(call, index)?;
                    let function = Function { name: &call.name, arguments };
                    said.tool_calls.push(Call { id: &call.id, function });
                }
                Part::Text { text, .. } => join(&mut said.content, text),
                Part::Reasoning { text, .. } if !text.is_empty() => {
                    join(said.thinking.get_or_insert_default(), text);
                }
                Part::Reasoning { .. } => {}
                Part::Image(Image::Data { base64, .. }) => said.images.push(base64),
                Part::Image(Image::Url(_)) => return Err(asking::by_address(index)),
            }
        }
        // A message of tool results alone says nothing more.
        if out.len() == before || !said.says_nothing() {
            out.push(said);
        }
    }
    Ok(out)
}

fn role(role: Role) -> &'static str {
    match role {
        Role::System => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool => "tool",
    }
}

/// Several texts are one here.
fn join<'a>(all: &mut Cow<'a, str>, more: &'a str) {
    if all.is_empty() {
        *all = Cow::Borrowed(more);
    } else if !more.is_empty() {
        let all = all.to_mut();
        all.push('\n');
        all.push_str(more);
    }
}

/// Tools on offer. There is no `tool_choice`: `none` leaves them out, a demand is named as dropped.
fn tools<'a>(chat: &'a Chat, dropped: &mut Vec<String>) -> Result<Vec<ToolWritten<'a>>, Failure> {
    match chat.tool_choice {
        Some(ToolChoice::None) => return Ok(Vec::new()),
        Some(ToolChoice::Required | ToolChoice::Named(_)) => raw::remember(dropped, "tool_choice"),
        Some(ToolChoice::Auto) | None => {}
    }
    let write = |(index, tool): (usize, &'a crate::domain::chat::Tool)| {
        let parameters = asking::parameters(tool, index)?;
        let description = tool.description.as_deref().unwrap_or_default();
        let function = Offered { name: &tool.name, description, parameters };
        Ok(ToolWritten { kind: "function", function })
    };
    chat.tools.iter().enumerate().map(write).collect()
}

fn format(chat: &Chat) -> Result<Option<&RawValue>, Failure> {
    match &chat.format {
        None => Ok(None),
        Some(Format::JsonObject) => Ok(raw::fragment(r#""json""#)),
        Some(Format::JsonSchema { schema, .. }) => asking::schema(schema, "response_format").map(Some),
    }
}

/// Most models know on and off; gpt-oss knows levels, and no off.
fn think(reasoning: &Reasoning, model: &str) -> Think {
    let level = match reasoning {
        Reasoning::Off => None,
        Reasoning::Effort(word) => match word.as_str() {
            "none" => None,
            "minimal" | "low" => Some("low"),
            "high" | "xhigh" | "max" => Some("high"),
            _ => Some("medium"),
        },
        Reasoning::Budget(..=2048) => Some("low"),
        Reasoning::Budget(..=8192) => Some("medium"),
        Reasoning::Budget(_) => Some("high"),
    };
    if model.contains("gpt-oss") {
        Think::Level(level.unwrap_or("low"))
    } else {
        Think::Switch(level.is_some())
    }
}
