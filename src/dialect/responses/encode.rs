//! A conversation in the words of Responses, for a provider that is asked so by every front.

use super::{PATH, SIGNATURE};
use crate::dialect::anthropic::CONTINUE;
use crate::dialect::openai::{abilities, effort, short_id};
use crate::dialect::{Defaults, Outgoing, json, raw};
use crate::domain::chat::{Chat, Format, Image, Message, Part, Reasoning, Role, Tool, ToolChoice};
use crate::domain::failure::Failure;
use crate::domain::words::Gist;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The vendor refuses a smaller bound on output, in tokens.
const OUTPUT_TOKENS_MIN: u64 = 16;
/// Thoughts that only the vendor can read, told to us so that nothing need be stored there.
const ENCRYPTED: &str = "reasoning.encrypted_content";

/// A conversation in the vendor's words. What it has no place for is dropped and named; nothing is stored there.
///
/// # Errors
/// None today; other vendors have some.
pub fn encode(
    chat: &Chat,
    gist: &Gist,
    model: &str,
    so_far: Option<&str>,
    defaults: &Defaults,
) -> Result<Outgoing, Failure> {
    let mut dropped = chat.unknown.clone();
    let mut input: Vec<Item<'_>> = Vec::with_capacity(chat.messages.len());
    for message in &chat.messages {
        say(message, &mut input);
    }
    if let Some(so_far) = so_far {
        input.push(Item::said("assistant", so_far));
        input.push(Item::said("user", CONTINUE));
    }
    let able = abilities(model);
    let sampling = defaults.quirks.sampling.unwrap_or(able.sampling);
    let mut request = Request {
        model,
        input,
        tools: chat.tools.iter().map(offered).collect(),
        tool_choice: chat.tool_choice.as_ref().map(choice),
        parallel_tool_calls: chat.parallel_tool_calls,
        max_output_tokens: chat.max_tokens.map(|most| most.max(OUTPUT_TOKENS_MIN)),
        temperature: chat.temperature.filter(|_| sampling),
        top_p: chat.top_p.filter(|_| sampling),
        text: chat.format.as_ref().map(|format| Text { format: shape(format) }),
        reasoning: None,
        include: Vec::new(),
        user: chat.user.as_deref(),
        store: false,
        stream: gist.stream,
    };
    if request.tools.is_empty() {
        // The vendor refuses both without tools.
        let forced = request
            .tool_choice
            .take()
            .is_some_and(|choice| !matches!(choice, Choice::Plain("auto" | "none")));
        lost(forced, "tool_choice", &mut dropped);
        request.parallel_tool_calls = None;
    }
    if let Some(reasoning) = &chat.reasoning {
        match effort(reasoning, able) {
            Ok(effort) => {
                let thinks = *reasoning != Reasoning::Off;
                request.reasoning =
                    effort.map(|effort| Thinking { effort, summary: thinks.then_some("auto") });
                request.include.extend(thinks.then_some(ENCRYPTED));
            }
            Err(()) => dropped.push("reasoning".to_owned()),
        }
    }
    lost(chat.max_tokens.is_some_and(|most| most < OUTPUT_TOKENS_MIN), "max_tokens", &mut dropped);
    lost(chat.temperature.is_some() && !sampling, "temperature", &mut dropped);
    lost(chat.top_p.is_some() && !sampling, "top_p", &mut dropped);
    lost(chat.presence_penalty.is_some(), "presence_penalty", &mut dropped);
    lost(chat.frequency_penalty.is_some(), "frequency_penalty", &mut dropped);
    lost(chat.seed.is_some(), "seed", &mut dropped);
    lost(chat.top_k.is_some(), "top_k", &mut dropped);
    lost(!chat.stop.is_empty(), "stop", &mut dropped);
    let mut body = Vec::with_capacity(1024);
    json::push(&mut body, &request);
    Ok(Outgoing { path: PATH.into(), body: body.into(), dropped, unwrap_tool: None })
}

fn lost(is: bool, name: &str, dropped: &mut Vec<String>) {
    if is {
        raw::remember(dropped, name);
    }
}

/// Everything that is asked.
#[derive(Serialize)]
struct Request<'a> {
    model: &'a str,
    input: Vec<Item<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Offer<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_choice: Option<Choice<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    parallel_tool_calls: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<Text<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reasoning: Option<Thinking<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    include: Vec<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    store: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    stream: bool,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Item<'a> {
    Message {
        role: &'static str,
        content: Words<'a>,
    },
    Call {
        #[serde(rename = "type")]
        kind: &'static str,
        call_id: Cow<'a, str>,
        name: &'a str,
        arguments: &'a str,
    },
    Result {
        #[serde(rename = "type")]
        kind: &'static str,
        call_id: Cow<'a, str>,
        output: &'a str,
    },
    Thought {
        #[serde(rename = "type")]
        kind: &'static str,
        summary: Vec<Piece<'a>>,
        encrypted_content: &'a str,
    },
}

impl<'a> Item<'a> {
    fn said(role: &'static str, text: &'a str) -> Self {
        Self::Message { role, content: Words::Text(text) }
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Words<'a> {
    Text(&'a str),
    Parts(Vec<Piece<'a>>),
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Piece<'a> {
    InputText { text: &'a str },
    OutputText { text: &'a str },
    SummaryText { text: &'a str },
    InputImage { image_url: Cow<'a, str>, detail: &'static str },
}

/// Puts one message into items: what was thought, said and called stands in its order, results stand first.
fn say<'a>(message: &'a Message, items: &mut Vec<Item<'a>>) {
    for part in &message.parts {
        if let Part::ToolResult { call_id, content, .. } = part {
            items.push(Item::Result {
                kind: "function_call_output",
                call_id: short_id(call_id),
                output: content,
            });
        }
    }
    let role = match message.role {
        Role::System => "system",
        Role::User | Role::Tool => "user",
        Role::Assistant => "assistant",
    };
    let mut said: Vec<Piece<'a>> = Vec::new();
    for part in &message.parts {
        match part {
            Part::Text { text, .. } if message.role == Role::Assistant => {
                said.push(Piece::OutputText { text })
            }
            Part::Text { text, .. } => said.push(Piece::InputText { text }),
            Part::Image(image) => said.push(Piece::InputImage { image_url: address(image), detail: "auto" }),
            Part::ToolCall(call) => {
                flush(role, &mut said, items);
                items.push(Item::Call {
                    kind: "function_call",
                    call_id: short_id(&call.id),
                    name: &call.name,
                    arguments: &call.arguments,
                });
            }
            Part::Reasoning { text, signature } => {
                // Thoughts of other vendors mean nothing to this one.
                let own = signature.as_deref().and_then(|signature| signature.strip_prefix(SIGNATURE));
                if let Some(encrypted_content) = own {
                    flush(role, &mut said, items);
                    let summary =
                        if text.is_empty() { Vec::new() } else { vec![Piece::SummaryText { text }] };
                    items.push(Item::Thought { kind: "reasoning", summary, encrypted_content });
                }
            }
            Part::ToolResult { .. } => {}
        }
    }
    flush(role, &mut said, items);
}

/// One text alone is written plainly.
fn flush<'a>(role: &'static str, said: &mut Vec<Piece<'a>>, items: &mut Vec<Item<'a>>) {
    let content = match said.as_slice() {
        [] => return,
        [Piece::InputText { text } | Piece::OutputText { text }] => Words::Text(text),
        _ => Words::Parts(std::mem::take(said)),
    };
    items.push(Item::Message { role, content });
    said.clear();
}

fn address(image: &Image) -> Cow<'_, str> {
    match image {
        Image::Url(url) => Cow::Borrowed(url),
        Image::Data { media_type, base64 } => Cow::Owned(format!("data:{media_type};base64,{base64}")),
    }
}

#[derive(Serialize)]
struct Offer<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    parameters: Option<&'a RawValue>,
    /// Said always: left out it would mean true here, and false in a chat.
    strict: bool,
}

fn offered(tool: &Tool) -> Offer<'_> {
    Offer {
        kind: "function",
        name: &tool.name,
        description: tool.description.as_deref(),
        parameters: tool.parameters.as_deref().and_then(|schema| serde_json::from_str(schema).ok()),
        strict: tool.strict == Some(true),
    }
}

#[derive(Serialize)]
#[serde(untagged)]
enum Choice<'a> {
    Plain(&'static str),
    Named {
        #[serde(rename = "type")]
        kind: &'static str,
        name: &'a str,
    },
}

fn choice(choice: &ToolChoice) -> Choice<'_> {
    match choice {
        ToolChoice::None => Choice::Plain("none"),
        ToolChoice::Auto => Choice::Plain("auto"),
        ToolChoice::Required => Choice::Plain("required"),
        ToolChoice::Named(name) => Choice::Named { kind: "function", name },
    }
}

#[derive(Serialize)]
struct Text<'a> {
    format: Shape<'a>,
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Shape<'a> {
    JsonObject,
    JsonSchema {
        name: &'a str,
        schema: Option<&'a RawValue>,
        /// As with tools.
        strict: bool,
    },
}

fn shape(format: &Format) -> Shape<'_> {
    match format {
        Format::JsonObject => Shape::JsonObject,
        Format::JsonSchema { name, schema, strict } => Shape::JsonSchema {
            name: name.as_deref().unwrap_or("answer"),
            schema: serde_json::from_str(schema).ok(),
            strict: *strict == Some(true),
        },
    }
}

#[derive(Serialize)]
struct Thinking<'a> {
    effort: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    summary: Option<&'static str>,
}
