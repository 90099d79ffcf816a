//! Requests to a provider that speaks OpenAI chat: the caller's own bytes, or a conversation put in its words.

use super::super::anthropic::CONTINUE;
use super::super::{Body, Defaults, Outgoing, json};
use super::decode::STOPS_MAX;
use super::models::{Abilities, abilities};
use crate::domain::chat::{Chat, Format, Image, Message, Part, Reasoning, Role, Tool, ToolCall, ToolChoice};
use crate::domain::failure::Failure;
use crate::domain::words::{Gist, Words};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt::Write as _;

const PATH: &str = "/chat/completions";
/// OpenAI refuses longer ids of tool calls.
const CALL_ID_BYTES_MAX: usize = 40;

/// The caller's bytes, with `model` and (on streams) `stream_options.include_usage` replaced.
///
/// # Errors
/// None today; other vendors have some.
pub fn pass(words: &Words, gist: &Gist, model: &str, so_far: Option<&str>) -> Result<Outgoing, Failure> {
    let body = &words.body;
    let mut edits = Vec::new();
    // Behind the opening brace: the body is an object with at least `messages` in it.
    let begin = body.iter().position(|&b| b == b'{').map_or(0, |at| at + 1);
    let mut inserted = Vec::new();
    match &words.marks.model {
        // As the caller has it.
        Some(_) if gist.model.as_deref() == Some(model) => {}
        Some(at) => {
            let mut value = Vec::with_capacity(model.len() + 2);
            json::push_text(&mut value, model);
            edits.push((at.clone(), value));
        }
        None => {
            inserted.extend_from_slice(b"\"model\":");
            json::push_text(&mut inserted, model);
            inserted.push(b',');
        }
    }
    if gist.stream && !gist.include_usage {
        match &words.marks.stream_options {
            Some(at) => edits.push((at.clone(), with_usage(body.get(at.clone()).unwrap_or_default()))),
            None => inserted.extend_from_slice(b"\"stream_options\":{\"include_usage\":true},"),
        }
    }
    if !inserted.is_empty() {
        edits.push((begin..begin, inserted));
    }
    if let (Some(so_far), Some(messages)) = (so_far, &words.marks.messages) {
        let mut turns = Draft { out: vec![b','], reasoning_back: false };
        turns.go_on(so_far);
        let end = messages.end - 1;
        edits.push((end..end, turns.out));
    }
    let body = Body::spliced(body, edits);
    Ok(Outgoing { path: PATH.into(), body, dropped: Vec::new(), unwrap_tool: None })
}

/// A caller's `stream_options` with `include_usage` set and everything else kept.
fn with_usage(raw: &[u8]) -> Vec<u8> {
    let mut out = b"{\"include_usage\":true".to_vec();
    let members = std::str::from_utf8(raw).ok().and_then(|text| json::members(text).ok());
    for (key, value) in members.unwrap_or_default() {
        if key != "include_usage" {
            out.push(b',');
            json::push(&mut out, &*key);
            out.push(b':');
            out.extend_from_slice(value.as_bytes());
        }
    }
    out.push(b'}');
    out
}

/// A conversation in OpenAI's words. What OpenAI (or the model) has no place for is dropped and named.
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
    let reasoning_back = defaults.quirks.reasoning_back == Some(true);
    let mut body = Draft { out: Vec::with_capacity(1024), reasoning_back };
    body.out.extend_from_slice(b"{\"model\":");
    json::push_text(&mut body.out, model);
    body.out.extend_from_slice(b",\"messages\":[");
    for message in &chat.messages {
        body.message(message);
    }
    if let Some(so_far) = so_far {
        body.comma();
        body.go_on(so_far);
    }
    body.out.push(b']');
    body.tools(chat, &mut dropped);
    let able = abilities(model);
    let able = Abilities { sampling: defaults.quirks.sampling.unwrap_or(able.sampling), ..able };
    body.sampling(chat, able, &mut dropped);
    body.format(chat.format.as_ref());
    body.member("user", chat.user.as_ref());
    if gist.stream {
        body.out.extend_from_slice(b",\"stream\":true,\"stream_options\":{\"include_usage\":true}");
    }
    body.out.push(b'}');
    Ok(Outgoing { path: PATH.into(), body: body.out.into(), dropped, unwrap_tool: None })
}

/// A request body under construction.
struct Draft {
    out: Vec<u8>,
    /// Whether reasoning stands beside the calls it led to.
    reasoning_back: bool,
}

impl Draft {
    /// A member with a leading comma; nothing for `None`.
    fn member<T: serde::Serialize>(&mut self, name: &str, value: Option<T>) {
        let Some(value) = value else { return };
        self.out.push(b',');
        json::push(&mut self.out, name);
        self.out.push(b':');
        json::push(&mut self.out, &value);
    }

    fn comma(&mut self) {
        if !self.out.ends_with(b"[") {
            self.out.push(b',');
        }
    }

    /// The assistant's beginning, and the wish that it be continued: this dialect knows no beginning that is simply
    /// continued, and most who speak it refuse or repeat one.
    fn go_on(&mut self, so_far: &str) {
        self.out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
        json::push_text(&mut self.out, so_far);
        self.out.extend_from_slice(b"},{\"role\":\"user\",\"content\":");
        json::push(&mut self.out, CONTINUE);
        self.out.push(b'}');
    }

    /// A message up to the value of its content.
    fn begin(&mut self, role: &str) {
        self.comma();
        self.out.extend_from_slice(b"{\"role\":\"");
        self.out.extend_from_slice(role.as_bytes());
        self.out.extend_from_slice(b"\",\"content\":");
    }

    fn message(&mut self, message: &Message) {
        // Results stand before anything else that is said with them.
        for part in &message.parts {
            if let Part::ToolResult { call_id, content, .. } = part {
                self.begin("tool");
                json::push_text(&mut self.out, content);
                self.member("tool_call_id", Some(short_id(call_id)));
                self.out.push(b'}');
            }
        }
        let said = |part: &&Part| matches!(part, Part::Text { .. } | Part::Image(_));
        let has_calls = message.parts.iter().any(|part| matches!(part, Part::ToolCall(_)));
        let has_results = message.parts.iter().any(|part| matches!(part, Part::ToolResult { .. }));
        let contents: Vec<&Part> = message.parts.iter().filter(said).collect();
        if contents.is_empty() && !has_calls && has_results {
            return;
        }
        self.begin(match message.role {
            Role::System => "system",
            Role::User | Role::Tool => "user",
            Role::Assistant => "assistant",
        });
        match contents.as_slice() {
            [] if has_calls => self.out.extend_from_slice(b"null"),
            [] => self.out.extend_from_slice(b"\"\""),
            [Part::Text { text, .. }] => json::push_text(&mut self.out, text),
            parts => {
                self.out.push(b'[');
                for part in parts {
                    self.content_part(part);
                }
                self.out.push(b']');
            }
        }
        if has_calls {
            if self.reasoning_back {
                self.member("reasoning_content", Some(thoughts(message)));
            }
            self.out.extend_from_slice(b",\"tool_calls\":[");
            for part in &message.parts {
                if let Part::ToolCall(call) = part {
                    self.comma();
                    push_call(&mut self.out, call, &short_id(&call.id));
                }
            }
            self.out.push(b']');
        }
        self.out.push(b'}');
    }

    fn content_part(&mut self, part: &Part) {
        let url = match part {
            Part::Text { text, .. } => {
                self.comma();
                self.out.extend_from_slice(b"{\"type\":\"text\",\"text\":");
                json::push_text(&mut self.out, text);
                self.out.push(b'}');
                return;
            }
            Part::Image(Image::Url(url)) => Cow::Borrowed(url),
            Part::Image(Image::Data { media_type, base64 }) => {
                Cow::Owned(format!("data:{media_type};base64,{base64}"))
            }
            Part::ToolCall(_) | Part::ToolResult { .. } | Part::Reasoning { .. } => return,
        };
        self.comma();
        self.out.extend_from_slice(b"{\"type\":\"image_url\",\"image_url\":{\"url\":");
        json::push(&mut self.out, &*url);
        self.out.extend_from_slice(b"}}");
    }

    fn tools(&mut self, chat: &Chat, dropped: &mut Vec<String>) {
        if chat.tools.is_empty() {
            // OpenAI refuses both without tools.
            if !matches!(chat.tool_choice, None | Some(ToolChoice::None | ToolChoice::Auto)) {
                dropped.push("tool_choice".to_owned());
            }
            return;
        }
        self.out.extend_from_slice(b",\"tools\":[");
        for Tool { name, description, parameters, strict } in &chat.tools {
            self.comma();
            self.out.extend_from_slice(b"{\"type\":\"function\",\"function\":{\"name\":");
            json::push(&mut self.out, name);
            self.member("description", description.as_ref());
            self.member("parameters", parameters.as_deref().and_then(raw));
            self.member("strict", *strict);
            self.out.extend_from_slice(b"}}");
        }
        self.out.push(b']');
        match &chat.tool_choice {
            None => {}
            Some(ToolChoice::None) => self.member("tool_choice", Some("none")),
            Some(ToolChoice::Auto) => self.member("tool_choice", Some("auto")),
            Some(ToolChoice::Required) => self.member("tool_choice", Some("required")),
            Some(ToolChoice::Named(name)) => {
                self.out
                    .extend_from_slice(b",\"tool_choice\":{\"type\":\"function\",\"function\":{\"name\":");
                json::push(&mut self.out, name);
                self.out.extend_from_slice(b"}}");
            }
        }
        self.member("parallel_tool_calls", chat.parallel_tool_calls);
    }

    fn sampling(&mut self, chat: &Chat, able: Abilities, dropped: &mut Vec<String>) {
        let bound = if able.completion_bound { "max_completion_tokens" } else { "max_tokens" };
        self.member(bound, chat.max_tokens);
        let numbers = [
            ("temperature", chat.temperature),
            ("top_p", chat.top_p),
            ("presence_penalty", chat.presence_penalty),
            ("frequency_penalty", chat.frequency_penalty),
        ];
        for (name, value) in numbers {
            if able.sampling {
                self.member(name, value);
            } else if value.is_some() {
                dropped.push(name.to_owned());
            }
        }
        self.member("seed", chat.seed);
        if chat.top_k.is_some() {
            dropped.push("top_k".to_owned());
        }
        if !chat.stop.is_empty() {
            if able.stop {
                self.member("stop", Some(chat.stop.get(..STOPS_MAX).unwrap_or(&chat.stop)));
            }
            if !able.stop || chat.stop.len() > STOPS_MAX {
                dropped.push("stop".to_owned());
            }
        }
        if let Some(reasoning) = &chat.reasoning {
            match effort(reasoning, able) {
                Ok(word) => self.member("reasoning_effort", word),
                Err(()) => dropped.push("reasoning".to_owned()),
            }
        }
    }

    fn format(&mut self, format: Option<&Format>) {
        match format {
            None => {}
            Some(Format::JsonObject) => {
                self.out.extend_from_slice(b",\"response_format\":{\"type\":\"json_object\"}");
            }
            Some(Format::JsonSchema { name, schema, strict }) => {
                self.out.extend_from_slice(
                    b",\"response_format\":{\"type\":\"json_schema\",\"json_schema\":{\"name\":",
                );
                json::push(&mut self.out, name.as_deref().unwrap_or("answer"));
                self.member("schema", raw(schema));
                self.member("strict", *strict);
                self.out.extend_from_slice(b"}}");
            }
        }
    }
}

/// The word for an amount of thinking; `Ok(None)`: nothing need be said; `Err`: the model cannot be told.
///
/// # Errors
/// Nothing: the model cannot be told.
pub(in crate::dialect) fn effort(reasoning: &Reasoning, able: Abilities) -> Result<Option<&str>, ()> {
    let Some(words) = able.effort else {
        return if *reasoning == Reasoning::Off { Ok(None) } else { Err(()) };
    };
    Ok(match reasoning {
        Reasoning::Off => words.off,
        Reasoning::Effort(word) if word == "minimal" => Some(words.least),
        Reasoning::Effort(word) => Some(word),
        Reasoning::Budget(tokens) if *tokens <= 2048 => Some("low"),
        Reasoning::Budget(tokens) if *tokens <= 8192 => Some("medium"),
        Reasoning::Budget(_) => Some("high"),
    })
}

/// What was thought before a message was said; empty when nothing was.
fn thoughts(message: &Message) -> String {
    let text = |part: &Part| match part {
        Part::Reasoning { text, .. } => Some(text.as_str().to_owned()),
        _ => None,
    };
    message.parts.iter().filter_map(text).collect()
}

/// JSON text as a value to be written as it is; `None` if it is not JSON.
fn raw(text: &str) -> Option<&RawValue> {
    serde_json::from_str(text).ok()
}

/// A tool call as it stands in a message, whole.
pub fn push_call(out: &mut Vec<u8>, call: &ToolCall, id: &str) {
    out.extend_from_slice(b"{\"id\":");
    json::push(out, id);
    out.extend_from_slice(b",\"type\":\"function\",\"function\":{\"name\":");
    json::push(out, &call.name);
    out.extend_from_slice(b",\"arguments\":");
    json::push_text(out, &call.arguments);
    out.extend_from_slice(b"}}");
}

/// An id OpenAI accepts: long ones keep their beginning and get a hash of the whole (FNV-1a), so that a call and
/// its result still refer to each other.
#[must_use]
pub fn short_id(id: &str) -> Cow<'_, str> {
    if id.len() <= CALL_ID_BYTES_MAX {
        return Cow::Borrowed(id);
    }
    let hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    let mut short: String = id.chars().filter(char::is_ascii).take(CALL_ID_BYTES_MAX - 17).collect();
    let _ = write!(short, "-{hash:016x}");
    Cow::Owned(short)
}
