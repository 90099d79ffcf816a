//! A translated conversation as an Anthropic request.

use super::capabilities::{self, Capabilities, Thinking};
use super::messages::{Conversation, Ending, Turn, arrange};
use super::reasoning::{self, Thought};
use super::wire::BlockWritten;
use crate::dialect::{Defaults, Outgoing, asking, json, raw};
use crate::domain::chat::{Chat, Format, ToolChoice};
use crate::domain::failure::Failure;
use crate::domain::words::Gist;
use serde::Serialize;
use serde_json::value::RawValue;

/// The tool whose arguments are the structured answer.
pub(super) const ANSWER_TOOL: &str = "hapax_answer";

/// Output bound when neither the caller nor the configuration has one.
const MAX_TOKENS: u64 = 4096;

/// Room for an ordinary request.
const BODY_BYTES: usize = 1024;

/// The vendor's bound on `metadata.user_id`.
const USER_CHARS_MAX: usize = 256;

struct Request<'a> {
    model: &'a str,
    max_tokens: u64,
    stream: bool,
    system: Vec<BlockWritten<'a>>,
    messages: Vec<Turn<'a>>,
    tools: Vec<ToolWritten<'a>>,
    tool_choice: Option<Choice<'a>>,
    thinking: Option<Thought>,
    output_config: Option<Output<'a>>,
    temperature: Option<f64>,
    top_p: Option<f64>,
    top_k: Option<u64>,
    stop_sequences: Vec<&'a str>,
    metadata: Option<Metadata<'a>>,
}

impl Request<'_> {
    /// Written by hand: what every request has costs a third of what a serializer takes for it.
    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"{\"model\":");
        json::push_text(out, self.model);
        out.extend_from_slice(b",\"max_tokens\":");
        raw::write(out, &self.max_tokens);
        out.extend_from_slice(if self.stream { b",\"stream\":true" } else { b",\"stream\":false" });
        if !self.system.is_empty() {
            out.extend_from_slice(b",\"system\":");
            blocks(out, &self.system);
        }
        out.extend_from_slice(b",\"messages\":[");
        for (index, Turn { role, content }) in self.messages.iter().enumerate() {
            out.extend_from_slice(if index == 0 { b"{\"role\":\"" } else { b",{\"role\":\"" });
            out.extend_from_slice(role.as_bytes());
            out.extend_from_slice(b"\",\"content\":");
            blocks(out, content);
            out.push(b'}');
        }
        out.push(b']');
        member(out, b",\"tools\":", (!self.tools.is_empty()).then_some(&self.tools));
        member(out, b",\"tool_choice\":", self.tool_choice.as_ref());
        member(out, b",\"thinking\":", self.thinking.as_ref());
        member(out, b",\"output_config\":", self.output_config.as_ref());
        member(out, b",\"temperature\":", self.temperature.as_ref());
        member(out, b",\"top_p\":", self.top_p.as_ref());
        member(out, b",\"top_k\":", self.top_k.as_ref());
        let stops = (!self.stop_sequences.is_empty()).then_some(&self.stop_sequences);
        member(out, b",\"stop_sequences\":", stops);
        member(out, b",\"metadata\":", self.metadata.as_ref());
        out.push(b'}');
    }
}

/// A member that may be absent; `name` brings its comma.
fn member<T: Serialize>(out: &mut Vec<u8>, name: &[u8], value: Option<&T>) {
    if let Some(value) = value {
        out.extend_from_slice(name);
        raw::write(out, value);
    }
}

fn blocks(out: &mut Vec<u8>, blocks: &[BlockWritten<'_>]) {
    for (index, block) in blocks.iter().enumerate() {
        out.push(if index == 0 { b'[' } else { b',' });
        match block {
            BlockWritten::Text { text, cache_control: None } => {
                out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                json::push_text(out, text);
                out.push(b'}');
            }
            other => raw::write(out, other),
        }
    }
    out.extend_from_slice(if blocks.is_empty() { b"[]" } else { b"]" });
}

#[derive(Serialize)]
struct ToolWritten<'a> {
    name: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    description: Option<&'a str>,
    input_schema: &'a RawValue,
}

#[derive(Serialize)]
struct Choice<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'a str>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    disable_parallel_tool_use: bool,
}

impl Choice<'_> {
    fn forces(&self) -> bool {
        matches!(self.kind, "any" | "tool")
    }
}

#[derive(Serialize, Default)]
struct Output<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    effort: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    format: Option<FormatWritten<'a>>,
}

#[derive(Serialize)]
struct FormatWritten<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    schema: &'a RawValue,
}

#[derive(Serialize)]
struct Metadata<'a> {
    user_id: &'a str,
}

/// Translates a conversation. What has no place is named in `dropped`.
///
/// # Errors
/// `BadRequest` when a fragment of the caller's is not the JSON it should be.
pub fn encode(
    chat: &Chat,
    gist: &Gist,
    model: &str,
    so_far: Option<&str>,
    defaults: &Defaults,
) -> Result<Outgoing, Failure> {
    let can = capabilities::of(model).told(&defaults.quirks);
    let mut dropped = Vec::new();
    let schema = schema(chat)?;
    let unwrap_tool = (schema.is_some() && can.forced_tool).then_some(ANSWER_TOOL);
    let mut tools = tools(chat)?;
    if let (Some(schema), Some(name)) = (schema, unwrap_tool) {
        tools.push(ToolWritten { name, description: Some("Gives the answer."), input_schema: schema });
    }
    let tool_choice = tool_choice(chat, can, unwrap_tool, &mut dropped);
    let forced = tool_choice.as_ref().is_some_and(Choice::forces);
    let reasoning = reasoning::decide(chat, (can, forced), max_tokens_default(defaults), &mut dropped);
    let thinks = reasoning.thinking.is_some();
    let ending = Ending {
        so_far,
        prefill: can.prefill && !thinks && !forced,
        json: chat.format == Some(Format::JsonObject),
        // While a model that is told a budget does not think, it refuses the thoughts of the turn under way.
        thoughts: thinks || can.thinking == Thinking::Adaptive,
    };
    let Conversation { system, messages } = arrange(chat, ending)?;
    let (temperature, top_p, top_k) = sampling(chat, can, thinks, &mut dropped);
    let native = schema.filter(|_| unwrap_tool.is_none());
    let format = native.map(|schema| FormatWritten { kind: "json_schema", schema });
    let output = Output { effort: reasoning.effort, format };
    let request = Request {
        model,
        max_tokens: reasoning.max_tokens,
        stream: gist.stream,
        system,
        messages,
        tools,
        tool_choice,
        thinking: reasoning.thinking,
        output_config: (output.effort.is_some() || output.format.is_some()).then_some(output),
        temperature,
        top_p,
        top_k,
        stop_sequences: stops(chat, &mut dropped),
        metadata: metadata(chat, &mut dropped),
    };
    without_a_place(chat, &mut dropped);
    let mut body = Vec::with_capacity(BODY_BYTES);
    request.write(&mut body);
    Ok(Outgoing { path: super::PATH.into(), body: body.into(), dropped, unwrap_tool })
}

fn max_tokens_default(defaults: &Defaults) -> u64 {
    if defaults.max_tokens == 0 { MAX_TOKENS } else { defaults.max_tokens }
}

fn schema(chat: &Chat) -> Result<Option<&RawValue>, Failure> {
    match &chat.format {
        Some(Format::JsonSchema { schema, .. }) => asking::schema(schema, "response_format").map(Some),
        Some(Format::JsonObject) | None => Ok(None),
    }
}

fn tools(chat: &Chat) -> Result<Vec<ToolWritten<'_>>, Failure> {
    let mut tools = Vec::with_capacity(chat.tools.len() + 1);
    for (index, tool) in chat.tools.iter().enumerate() {
        let input_schema = asking::parameters(tool, index)?;
        tools.push(ToolWritten { name: &tool.name, description: tool.description.as_deref(), input_schema });
    }
    Ok(tools)
}

/// Which tool must be called. A structured answer is a forced call: of its own tool, or of any when the caller
/// brought tools that may be called first.
fn tool_choice<'a>(
    chat: &'a Chat,
    can: Capabilities,
    unwrap_tool: Option<&'static str>,
    dropped: &mut Vec<String>,
) -> Option<Choice<'a>> {
    if let Some(answer) = unwrap_tool {
        let tools_first = !chat.tools.is_empty() && chat.tool_choice != Some(ToolChoice::None);
        let (kind, name) = match &chat.tool_choice {
            Some(ToolChoice::Named(name)) if tools_first => ("tool", name.as_str()),
            _ if tools_first => {
                return Some(Choice { kind: "any", name: None, disable_parallel_tool_use: true });
            }
            _ => ("tool", answer),
        };
        return Some(Choice { kind, name: Some(name), disable_parallel_tool_use: true });
    }
    let one_at_a_time = chat.parallel_tool_calls == Some(false);
    if chat.tools.is_empty() {
        if matches!(chat.tool_choice, Some(ToolChoice::Required | ToolChoice::Named(_))) {
            raw::remember(dropped, "tool_choice");
        }
        return None;
    }
    let (kind, name) = match &chat.tool_choice {
        None if one_at_a_time => ("auto", None),
        None => return None,
        Some(ToolChoice::None) => ("none", None),
        Some(ToolChoice::Auto) => ("auto", None),
        Some(ToolChoice::Required | ToolChoice::Named(_)) if !can.forced_tool => {
            raw::remember(dropped, "tool_choice");
            ("auto", None)
        }
        Some(ToolChoice::Required) => ("any", None),
        Some(ToolChoice::Named(name)) => ("tool", Some(name.as_str())),
    };
    Some(Choice { kind, name, disable_parallel_tool_use: one_at_a_time && kind != "none" })
}

/// Temperature, top-p and top-k as the model accepts them; while it thinks, it accepts the defaults only.
fn sampling(
    chat: &Chat,
    can: Capabilities,
    thinks: bool,
    dropped: &mut Vec<String>,
) -> (Option<f64>, Option<f64>, Option<u64>) {
    let mut temperature = chat.temperature;
    let mut top_p = chat.top_p;
    let mut top_k = chat.top_k;
    let mut drop = |name: &str, present: bool| {
        if present {
            raw::remember(dropped, name);
        }
    };
    if !can.sampling || thinks {
        drop("temperature", temperature.is_some_and(|temperature| !can.sampling || temperature != 1.0));
        drop("top_p", top_p.is_some());
        drop("top_k", top_k.is_some());
        temperature = if can.sampling { Some(1.0) } else { None };
        (top_p, top_k) = (None, None);
    } else {
        drop("temperature", temperature.is_some_and(|temperature| temperature > 1.0));
        temperature = temperature.map(|temperature| temperature.clamp(0.0, 1.0));
        if temperature.is_some() && !can.both_samplings {
            drop("top_p", top_p.is_some_and(|top_p| top_p < 1.0));
            top_p = None;
        }
    }
    (temperature, top_p, top_k)
}

fn stops<'a>(chat: &'a Chat, dropped: &mut Vec<String>) -> Vec<&'a str> {
    let stops: Vec<&str> =
        chat.stop.iter().map(String::as_str).filter(|stop| !stop.trim().is_empty()).collect();
    if stops.len() < chat.stop.len() {
        raw::remember(dropped, "stop");
    }
    stops
}

fn metadata<'a>(chat: &'a Chat, dropped: &mut Vec<String>) -> Option<Metadata<'a>> {
    let user_id = chat.user.as_deref().filter(|user| !user.is_empty())?;
    if user_id.chars().count() > USER_CHARS_MAX {
        raw::remember(dropped, "user");
        return None;
    }
    Some(Metadata { user_id })
}

fn without_a_place(chat: &Chat, dropped: &mut Vec<String>) {
    let absent = [
        ("seed", chat.seed.is_some()),
        ("presence_penalty", chat.presence_penalty.is_some_and(|penalty| penalty != 0.0)),
        ("frequency_penalty", chat.frequency_penalty.is_some_and(|penalty| penalty != 0.0)),
    ];
    for (name, _) in absent.into_iter().filter(|(_, present)| *present) {
        raw::remember(dropped, name);
    }
    for name in &chat.unknown {
        raw::remember(dropped, name.as_str());
    }
}
