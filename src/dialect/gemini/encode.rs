//! A translated conversation as a Gemini request.

use super::contents::{Conversation, Piece, Turn, arrange};
use super::models::{self, Model, Thought};
use super::schema;
use crate::dialect::asking::JSON_ONLY;
use crate::dialect::{Defaults, Outgoing, Slashes, place, raw};
use crate::domain::chat::{Chat, Format, ToolChoice};
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::Gist;
use serde::Serialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// The vendor refuses more stops.
const STOPS_MAX: usize = 5;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Request<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    system_instruction: Option<Turn<'a>>,
    contents: Vec<Turn<'a>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tools: Vec<Tools<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tool_config: Option<Config<'a>>,
    #[serde(skip_serializing_if = "Generation::is_empty")]
    generation_config: Generation<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Tools<'a> {
    function_declarations: Vec<Declaration<'a>>,
}

#[derive(Serialize)]
struct Declaration<'a> {
    name: &'a str,
    description: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Box<RawValue>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Config<'a> {
    function_calling_config: Calling<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Calling<'a> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed_function_names: Vec<&'a str>,
}

#[derive(Serialize, Default)]
#[serde(rename_all = "camelCase")]
struct Generation<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    max_output_tokens: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    temperature: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_p: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    top_k: Option<u64>,
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    stop_sequences: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    seed: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    presence_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    frequency_penalty: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_mime_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    response_schema: Option<Box<RawValue>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    thinking_config: Option<Thought>,
}

impl Generation<'_> {
    fn is_empty(&self) -> bool {
        let numbers = [self.temperature, self.top_p, self.presence_penalty, self.frequency_penalty];
        numbers.iter().all(Option::is_none)
            && self.max_output_tokens.is_none()
            && self.top_k.is_none()
            && self.stop_sequences.is_empty()
            && self.seed.is_none()
            && self.response_mime_type.is_none()
            && self.thinking_config.is_none()
    }
}

/// Translates a conversation. What has no place is named in `dropped`.
///
/// # Errors
/// `BadRequest` when a fragment of the caller's is not the JSON it should be; `Untranslatable` for an image by address
/// or a schema that contains itself.
pub fn encode(
    chat: &Chat,
    gist: &Gist,
    model: &str,
    so_far: Option<&str>,
    _defaults: &Defaults,
) -> Result<Outgoing, Failure> {
    let can = models::of(model);
    let mut dropped = Vec::new();
    let Conversation { mut instructions, contents } = arrange(chat, can, so_far)?;
    let tools = declarations(chat)?;
    let mut generation = generation(chat, can, &mut dropped);
    if let Some(words) = format(chat, can, !tools.is_empty(), &mut generation)? {
        raw::remember(&mut dropped, "response_format");
        instructions.push(Piece::text(words));
    }
    let tool_config = tool_config(chat, !tools.is_empty(), &mut dropped);
    let request = Request {
        system_instruction: (!instructions.is_empty()).then_some(Turn { role: "", parts: instructions }),
        contents,
        tools: if tools.is_empty() { Vec::new() } else { vec![Tools { function_declarations: tools }] },
        tool_config,
        generation_config: generation,
    };
    let absent = [
        ("user", chat.user.is_some()),
        ("parallel_tool_calls", chat.parallel_tool_calls == Some(false) && !chat.tools.is_empty()),
    ];
    for (name, _) in absent.into_iter().filter(|(_, present)| *present) {
        raw::remember(&mut dropped, name);
    }
    for name in &chat.unknown {
        raw::remember(&mut dropped, name.as_str());
    }
    let mut body = Vec::new();
    raw::write(&mut body, &request);
    Ok(Outgoing { path: path(model, gist.stream)?, body: body.into(), dropped, unwrap_tool: None })
}

/// A model's place below the API's root: its name is a path there.
pub(super) fn named(model: &str) -> Result<String, Failure> {
    let model = model.trim_start_matches('/');
    let name = place(model, Slashes::Kept);
    let name = name.ok_or_else(|| Failure::new(Fault::UnknownModel, "no model has such a name"))?;
    Ok(format!("/{}{name}", if model.contains('/') { "" } else { "models/" }))
}

/// Where its answers come from.
fn path(model: &str, stream: bool) -> Result<Cow<'static, str>, Failure> {
    let method = if stream { ":streamGenerateContent?alt=sse" } else { ":generateContent" };
    Ok(Cow::Owned(named(model)? + method))
}

fn declarations(chat: &Chat) -> Result<Vec<Declaration<'_>>, Failure> {
    let declare = |(index, tool): (usize, &'_ crate::domain::chat::Tool)| {
        let schema = tool.parameters.as_deref().unwrap_or("{}");
        schema::rewritten(schema, &format!("tools[{index}].parameters"))
    };
    let schemas: Vec<_> = chat.tools.iter().enumerate().map(declare).collect::<Result<_, _>>()?;
    let pair = chat.tools.iter().zip(schemas);
    Ok(pair
        .map(|(tool, parameters)| Declaration {
            name: &tool.name,
            description: tool.description.as_deref().unwrap_or_default(),
            parameters,
        })
        .collect())
}

fn tool_config<'a>(chat: &'a Chat, any: bool, dropped: &mut Vec<String>) -> Option<Config<'a>> {
    let (mode, allowed_function_names) = match &chat.tool_choice {
        None => return None,
        Some(choice) if !any => {
            if matches!(choice, ToolChoice::Required | ToolChoice::Named(_)) {
                raw::remember(dropped, "tool_choice");
            }
            return None;
        }
        Some(ToolChoice::None) => ("NONE", Vec::new()),
        Some(ToolChoice::Auto) => ("AUTO", Vec::new()),
        Some(ToolChoice::Required) => ("ANY", Vec::new()),
        Some(ToolChoice::Named(name)) => ("ANY", vec![name.as_str()]),
    };
    Some(Config { function_calling_config: Calling { mode, allowed_function_names } })
}

fn generation<'a>(chat: &'a Chat, can: Model, dropped: &mut Vec<String>) -> Generation<'a> {
    if chat.stop.len() > STOPS_MAX {
        raw::remember(dropped, "stop");
    }
    let seed = chat.seed.and_then(|seed| i32::try_from(seed).ok());
    if seed.is_none() && chat.seed.is_some() {
        raw::remember(dropped, "seed");
    }
    let thinking_config = match chat.reasoning.as_ref().map(|wanted| can.thinking(wanted)) {
        None => None,
        Some(Ok(thought)) => thought,
        Some(Err(())) => {
            raw::remember(dropped, "reasoning_effort");
            None
        }
    };
    Generation {
        max_output_tokens: chat.max_tokens,
        temperature: chat.temperature,
        top_p: chat.top_p,
        top_k: chat.top_k,
        stop_sequences: chat.stop.get(..STOPS_MAX).unwrap_or(&chat.stop),
        seed,
        presence_penalty: chat.presence_penalty,
        frequency_penalty: chat.frequency_penalty,
        thinking_config,
        ..Generation::default()
    }
}

/// Asks for the answer's shape: by the vendor's switch, or where tools exclude it by the words that are returned.
fn format(
    chat: &Chat,
    can: Model,
    has_tools: bool,
    generation: &mut Generation<'_>,
) -> Result<Option<String>, Failure> {
    let Some(format) = &chat.format else { return Ok(None) };
    if has_tools && !can.takes_schema_with_tools() {
        return Ok(Some(match format {
            Format::JsonObject => JSON_ONLY.to_owned(),
            Format::JsonSchema { schema, .. } => format!("{JSON_ONLY} It satisfies this schema: {schema}"),
        }));
    }
    generation.response_mime_type = Some("application/json");
    if let Format::JsonSchema { schema, .. } = format {
        generation.response_schema = schema::rewritten(schema, "response_format")?;
    }
    Ok(None)
}
