//! Anthropic as it speaks: messages, models, count_tokens.
//! <https://docs.anthropic.com/en/api/messages>, <https://docs.anthropic.com/en/api/messages-streaming>

use super::complaint::{Complaint, quoted};
use super::talk::{Answer, Delta, Finish, Message, Question, Role, Tool, ToolChoice, text_of};
use super::voice::Voice;
use serde_json::{Value, json};

/// What stands for a signature of reasoning.
pub(super) const SIGNATURE: &str = "c2ltdWxhdGVkLXNpZ25hdHVyZQ==";

/// Understands a messages request, or one to count its tokens.
pub(super) fn read_messages(body: &Value, counting: bool) -> Result<Question, Complaint> {
    let model = body["model"].as_str().ok_or_else(|| required("model"))?;
    let mut question = Question::to(model);
    match body["max_tokens"].as_u64() {
        Some(0) => return Err(wrong("max_tokens: Input should be greater than or equal to 1")),
        Some(max) => question.output_max = usize::try_from(max).ok(),
        None if counting => {}
        None if body["max_tokens"].is_null() => return Err(required("max_tokens")),
        None => return Err(wrong("max_tokens: Input should be a valid integer")),
    }
    let Some(messages) = body["messages"].as_array() else { return Err(required("messages")) };
    if messages.is_empty() {
        return Err(wrong("messages: at least one message is required"));
    }
    if !body["system"].is_null() {
        question.messages.push(Message { role: Role::System, text: text_of(&body["system"]) });
    }
    for (index, message) in messages.iter().enumerate() {
        question.messages.push(read_message(index, message)?);
    }
    let last = question.messages.last();
    if last.is_some_and(|last| last.role == Role::Assistant && last.text.trim_end() != last.text) {
        return Err(wrong("messages: final assistant content cannot end with trailing whitespace"));
    }
    question.stream = body["stream"].as_bool().unwrap_or(false);
    for tool in body["tools"].as_array().into_iter().flatten() {
        let name = tool["name"].as_str().ok_or_else(|| required("tools.0.name"))?;
        question.tools.push(Tool { name: name.to_owned(), schema: tool["input_schema"].clone() });
    }
    question.tool_choice = match body["tool_choice"]["type"].as_str() {
        Some("any") => ToolChoice::Any,
        Some("none") => ToolChoice::Never,
        Some("tool") => {
            ToolChoice::Named(body["tool_choice"]["name"].as_str().unwrap_or_default().to_owned())
        }
        _ => ToolChoice::Auto,
    };
    let formats = [&body["output_config"]["format"], &body["output_format"]];
    let format = formats.into_iter().find(|format| format["type"] == "json_schema");
    question.schema = format.map(|format| format["schema"].clone());
    question.reasoning = matches!(body["thinking"]["type"].as_str(), Some("enabled" | "adaptive"));
    Ok(question)
}

fn read_message(index: usize, message: &Value) -> Result<Message, Complaint> {
    let content = &message["content"];
    if !(content.is_string() || content.is_array()) {
        return Err(required(&format!("messages.{index}.content")));
    }
    let blocks = content.as_array().map_or(&[][..], Vec::as_slice);
    let only_results = !blocks.is_empty() && blocks.iter().all(|block| block["type"] == "tool_result");
    let role = match message["role"].as_str() {
        Some("user") if only_results => Role::Tool,
        Some("user") => Role::User,
        Some("assistant") => Role::Assistant,
        Some(_) => {
            return Err(wrong(&format!("messages.{index}.role: Input should be 'user' or 'assistant'")));
        }
        None => return Err(required(&format!("messages.{index}.role"))),
    };
    Ok(Message { role, text: text_of(content) })
}

fn wrong(message: &str) -> Complaint {
    Complaint::invalid(message, None, None)
}

fn required(param: &str) -> Complaint {
    wrong(&format!("{param}: Field required"))
}

/// The list of models.
pub(super) fn models(names: &[String], created_at: &str) -> String {
    let data: Vec<Value> = names
        .iter()
        .map(|name| json!({"type": "model", "id": name, "display_name": name, "created_at": created_at}))
        .collect();
    json!({"data": data, "has_more": false, "first_id": names.first(), "last_id": names.last()}).to_string()
}

/// The kinds of content block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Block {
    Thinking,
    Text,
    Tool(usize),
}

/// Words one message.
pub(super) struct Anthropic<'a> {
    answer: &'a Answer,
    /// Index of the open block, or of the next one.
    index: usize,
    open: Option<Block>,
}

impl<'a> Anthropic<'a> {
    /// A voice for this answer.
    pub(super) fn new(answer: &'a Answer) -> Self {
        Self { answer, index: 0, open: None }
    }

    fn stop_reason(&self) -> &'static str {
        match self.answer.finish {
            Finish::Stop => "end_turn",
            Finish::Length => "max_tokens",
            Finish::ToolCalls => "tool_use",
        }
    }

    fn message(&self, content: Value, stop_reason: Value, output: usize) -> Value {
        json!({
            "id": format!("msg_{:024x}", self.answer.number), "type": "message", "role": "assistant",
            "model": self.answer.model, "content": content, "stop_reason": stop_reason, "stop_sequence": null,
            "usage": {
                "input_tokens": self.answer.input, "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 0, "output_tokens": output,
            },
        })
    }

    /// The events that end the open block and begin this one, if it is not the open one.
    fn enter(&mut self, block: Block) -> String {
        if self.open == Some(block) {
            return String::new();
        }
        let mut events = self.leave();
        let content = match block {
            Block::Thinking => json!({"type": "thinking", "thinking": "", "signature": ""}),
            Block::Text => json!({"type": "text", "text": ""}),
            Block::Tool(index) => {
                let call = &self.answer.calls[index];
                json!({"type": "tool_use", "id": format!("toolu_{}", call.id), "name": call.name, "input": {}})
            }
        };
        events += &event(
            "content_block_start",
            &format!(r#"{{"type":"content_block_start","index":{},"content_block":{content}}}"#, self.index),
        );
        if self.index == 0 {
            events += &event("ping", r#"{"type":"ping"}"#);
        }
        self.open = Some(block);
        events
    }

    /// The events that end the open block, if there is one.
    fn leave(&mut self) -> String {
        let mut events = String::new();
        if let Some(block) = self.open.take() {
            if block == Block::Thinking {
                events +=
                    &self.block_delta(&format!(r#"{{"type":"signature_delta","signature":"{SIGNATURE}"}}"#));
            }
            let data = format!(r#"{{"type":"content_block_stop","index":{}}}"#, self.index);
            events += &event("content_block_stop", &data);
            self.index += 1;
        }
        events
    }

    fn block_delta(&self, delta: &str) -> String {
        let data = format!(r#"{{"type":"content_block_delta","index":{},"delta":{delta}}}"#, self.index);
        event("content_block_delta", &data)
    }
}

fn event(name: &str, data: &str) -> String {
    format!("event: {name}\ndata: {data}\n\n")
}

impl Voice for Anthropic<'_> {
    fn opening(&mut self) -> String {
        let message = self.message(json!([]), Value::Null, 1);
        let start = event("message_start", &format!(r#"{{"type":"message_start","message":{message}}}"#));
        let block = if !self.answer.reasoning.is_empty() {
            self.enter(Block::Thinking)
        } else if !self.answer.text.is_empty() {
            self.enter(Block::Text)
        } else {
            event("ping", r#"{"type":"ping"}"#)
        };
        start + &block
    }

    fn delta(&mut self, delta: &Delta) -> String {
        let (block, delta) = match delta {
            Delta::Reasoning(token) => {
                (Block::Thinking, format!(r#"{{"type":"thinking_delta","thinking":{}}}"#, quoted(token)))
            }
            Delta::Text(token) => {
                (Block::Text, format!(r#"{{"type":"text_delta","text":{}}}"#, quoted(token)))
            }
            Delta::CallStart(index) | Delta::CallWhole(index) => {
                (Block::Tool(*index), r#"{"type":"input_json_delta","partial_json":""}"#.to_owned())
            }
            Delta::CallPiece(index, piece) => (
                Block::Tool(*index),
                format!(r#"{{"type":"input_json_delta","partial_json":{}}}"#, quoted(piece)),
            ),
        };
        let mut events = self.enter(block);
        events += &self.block_delta(&delta);
        events
    }

    fn finish(&mut self) -> Vec<String> {
        let data = format!(
            r#"{{"type":"message_delta","delta":{{"stop_reason":"{}","stop_sequence":null}},"usage":{{"output_tokens":{}}}}}"#,
            self.stop_reason(),
            self.answer.output(false)
        );
        vec![self.leave() + &event("message_delta", &data)]
    }

    fn sentinel(&mut self) -> String {
        event("message_stop", r#"{"type":"message_stop"}"#)
    }

    fn whole(&self, finished: bool) -> String {
        let mut content: Vec<Value> = Vec::new();
        if !self.answer.reasoning.is_empty() {
            let thinking = self.answer.reasoning.concat();
            content.push(json!({"type": "thinking", "thinking": thinking, "signature": SIGNATURE}));
        }
        if !self.answer.text.is_empty() {
            content.push(json!({"type": "text", "text": self.answer.content()}));
        }
        for call in &self.answer.calls {
            let id = format!("toolu_{}", call.id);
            content.push(json!({"type": "tool_use", "id": id, "name": call.name, "input": call.arguments}));
        }
        let stop_reason = if finished { json!(self.stop_reason()) } else { Value::Null };
        self.message(json!(content), stop_reason, self.answer.output(false)).to_string()
    }
}
