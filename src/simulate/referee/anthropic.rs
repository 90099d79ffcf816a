//! What Anthropic refuses of a messages request.

use super::super::anthropic::SIGNATURE;
use super::super::complaint::Complaint;
use super::types::{Kind, of_anthropic};
use super::{items, stranger, wrong};
use serde_json::Value;

/// Every parameter of the Messages API.
const KNOWN: [&str; 22] = [
    "model",
    "max_tokens",
    "messages",
    "system",
    "stream",
    "tools",
    "tool_choice",
    "temperature",
    "top_p",
    "top_k",
    "stop_sequences",
    "metadata",
    "thinking",
    "output_config",
    "output_format",
    "service_tier",
    "container",
    "context_management",
    "mcp_servers",
    "cache_control",
    "inference_geo",
    "speed",
];
/// What they are.
const TYPES: [(&str, Kind); 11] = [
    ("max_tokens", Kind::Whole),
    ("stream", Kind::Truth),
    ("tools", Kind::List),
    ("tool_choice", Kind::Object),
    ("temperature", Kind::Number),
    ("top_p", Kind::Number),
    ("top_k", Kind::Whole),
    ("stop_sequences", Kind::List),
    ("metadata", Kind::Object),
    ("thinking", Kind::Object),
    ("output_config", Kind::Object),
];
/// Tokens.
const BUDGET_MIN: u64 = 1024;

pub(super) fn judge(body: &Value) -> Result<(), Complaint> {
    if let Some(name) = stranger(body, &KNOWN) {
        return Err(wrong(format!("{name}: Extra inputs are not permitted")));
    }
    of_anthropic(body, &TYPES)?;
    if !matches!(&body["system"], Value::Null | Value::String(_) | Value::Array(_)) {
        return Err(wrong("system: Input should be a valid string or list"));
    }
    for name in ["temperature", "top_p"] {
        if body[name].as_f64().is_some_and(|number| !(0.0..=1.0).contains(&number)) {
            return Err(wrong(format!("{name}: range: 0..1")));
        }
    }
    if items(&body["stop_sequences"])
        .iter()
        .any(|stop| stop.as_str().is_none_or(|stop| stop.trim().is_empty()))
    {
        return Err(wrong("stop_sequences: each stop sequence must contain non-whitespace"));
    }
    thinking(body)?;
    for (index, tool) in items(&body["tools"]).iter().enumerate() {
        let built_in = tool["type"].as_str().is_some_and(|kind| kind != "custom");
        if !built_in && tool["input_schema"]["type"] != "object" {
            return Err(wrong(format!("tools.{index}.custom.input_schema.type: Field required")));
        }
    }
    let forces = matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool" | "auto"));
    if forces && items(&body["tools"]).is_empty() {
        return Err(wrong("tool_choice: tool_choice may only be specified while providing tools"));
    }
    conversation(items(&body["messages"]))
}

fn thinking(body: &Value) -> Result<(), Complaint> {
    let kind = body["thinking"]["type"].as_str();
    if !matches!(kind, Some("enabled" | "adaptive")) {
        return Ok(());
    }
    if kind == Some("enabled") {
        let budget = body["thinking"]["budget_tokens"].as_u64().unwrap_or(0);
        if budget < BUDGET_MIN {
            return Err(wrong(
                "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            ));
        }
        if budget >= body["max_tokens"].as_u64().unwrap_or(0) {
            return Err(wrong("`max_tokens` must be greater than `thinking.budget_tokens`."));
        }
        begun_with_a_thought(items(&body["messages"]))?;
    }
    if matches!(body["tool_choice"]["type"].as_str(), Some("any" | "tool")) {
        return Err(wrong("Thinking may not be enabled when tool_choice forces tool use."));
    }
    if body["temperature"].as_f64().is_some_and(|temperature| temperature != 1.0) || !body["top_k"].is_null()
    {
        return Err(wrong("`temperature` may only be set to 1 when thinking is enabled."));
    }
    Ok(())
}

/// A turn with tools goes on with thinking only when it began with it.
fn begun_with_a_thought(messages: &[Value]) -> Result<(), Complaint> {
    let has =
        |message: &Value, kind: &str| items(&message["content"]).iter().any(|block| block["type"] == kind);
    let asked =
        messages.iter().rposition(|message| message["role"] == "user" && !has(message, "tool_result"));
    let begin = asked.map_or(0, |at| at + 1);
    let turn = &messages[begin..];
    let first = turn.iter().position(|message| message["role"] == "assistant");
    let Some(first) = first.filter(|_| turn.iter().any(|message| has(message, "tool_use"))) else {
        return Ok(());
    };
    let found = turn[first]["content"][0]["type"].as_str().unwrap_or("text");
    if matches!(found, "thinking" | "redacted_thinking") {
        return Ok(());
    }
    Err(wrong(format!(
        "messages.{}.content.0.type: Expected `thinking` or `redacted_thinking`, but found `{found}`. When `thinking` is \
         enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of \
         `tool_use` and `tool_result` blocks).",
        begin + first
    )))
}

/// Calls are answered in the very next message, results answer the one before; nothing is empty.
fn conversation(messages: &[Value]) -> Result<(), Complaint> {
    if messages.first().is_some_and(|first| first["role"] != "user") {
        return Err(wrong("messages: first message must use the \"user\" role"));
    }
    let mut open: Vec<&str> = Vec::new();
    for (index, message) in messages.iter().enumerate() {
        let blocks = items(&message["content"]);
        if message["content"].as_str() == Some("") || (message["content"].is_array() && blocks.is_empty()) {
            let last = index + 1 == messages.len() && message["role"] == "assistant";
            if !last {
                return Err(wrong(format!("messages.{index}: all messages must have non-empty content")));
            }
        }
        let answered: Vec<&str> = ids(blocks, "tool_result", "tool_use_id").collect();
        if let Some(id) = answered.iter().find(|id| !open.contains(id)) {
            return Err(wrong(format!(
                "messages.{index}.content.0: unexpected `tool_use_id` found in `tool_result` blocks: {id}. Each \
                 `tool_result` block must have a corresponding `tool_use` block in the previous message."
            )));
        }
        if let Some(id) = open.iter().find(|id| !answered.contains(id)) {
            return Err(wrong(format!(
                "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}. Each \
                 `tool_use` block must have a corresponding `tool_result` block in the next message.",
                index - 1
            )));
        }
        for (place, block) in blocks.iter().enumerate() {
            judge_block(&format!("messages.{index}.content.{place}"), block)?;
        }
        open = ids(blocks, "tool_use", "id").collect();
    }
    match open.first() {
        None => Ok(()),
        Some(id) => Err(wrong(format!(
            "messages.{}: `tool_use` ids were found without `tool_result` blocks immediately after: {id}.",
            messages.len() - 1
        ))),
    }
}

fn ids<'a>(blocks: &'a [Value], kind: &'static str, name: &'static str) -> impl Iterator<Item = &'a str> {
    blocks.iter().filter(move |block| block["type"] == kind).filter_map(move |block| block[name].as_str())
}

fn judge_block(place: &str, block: &Value) -> Result<(), Complaint> {
    match block["type"].as_str() {
        Some("text") if block["text"].as_str().is_none_or(|text| text.trim().is_empty()) => {
            Err(wrong("messages: text content blocks must contain non-whitespace text"))
        }
        Some("tool_use") => {
            let id = block["id"].as_str().unwrap_or_default();
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if id.is_empty() || !id.bytes().all(fits) {
                return Err(wrong(format!(
                    "{place}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'"
                )));
            }
            if block["input"].is_object() {
                Ok(())
            } else {
                Err(wrong(format!("{place}.tool_use.input: Input should be a valid dictionary")))
            }
        }
        Some("thinking") if block["signature"] != SIGNATURE => {
            Err(wrong(format!("{place}: Invalid `signature` in `thinking` block")))
        }
        Some("image") => {
            let source = &block["source"];
            let sound = match source["type"].as_str() {
                Some("base64") => source["media_type"].is_string() && source["data"].is_string(),
                Some("url") => source["url"].as_str().is_some_and(|url| url.starts_with("http")),
                Some("file") => true,
                _ => false,
            };
            if sound { Ok(()) } else { Err(wrong(format!("{place}.image.source: Input tag is not valid"))) }
        }
        Some(
            "text"
            | "tool_result"
            | "thinking"
            | "redacted_thinking"
            | "document"
            | "search_result"
            | "server_tool_use"
            | "web_search_tool_result"
            | "container_upload",
        ) => Ok(()),
        other => {
            let found = other.unwrap_or("nothing");
            Err(wrong(format!(
                "{place}: Input tag '{found}' found using 'type' does not match any of the expected tags"
            )))
        }
    }
}
