//! Ollama as it speaks: chat, generate, embed, and what it tells about its models.
//! <https://github.com/ollama/ollama/blob/main/docs/api.md>

use super::complaint::{Complaint, quoted};
use super::talk::{Answer, Delta, Finish, Message, Question, Role, Tool, text_of};
use super::vectors::{dimensions, texts, vector};
use super::voice::Voice;
use serde_json::{Value, json};

/// The version that `/api/version` tells.
pub(super) const VERSION: &str = r#"{"version":"0.12.6"}"#;
/// What `GET /` tells.
pub(super) const ROOT: &str = "Ollama is running";

/// Understands a chat request. No messages are legal: they ask to load the model.
pub(super) fn read_chat(body: &Value) -> Result<Question, Complaint> {
    let mut question = read_common(body)?;
    for message in body["messages"].as_array().into_iter().flatten() {
        let role = match message["role"].as_str().unwrap_or_default() {
            "system" => Role::System,
            "user" => Role::User,
            "assistant" => Role::Assistant,
            "tool" => Role::Tool,
            other => {
                let text =
                    format!("invalid role: {other}, role must be one of [system, user, assistant, tool]");
                return Err(Complaint::invalid(text, None, None));
            }
        };
        question.messages.push(Message { role, text: text_of(&message["content"]) });
    }
    for tool in body["tools"].as_array().into_iter().flatten() {
        let name = tool["function"]["name"].as_str().unwrap_or_default().to_owned();
        question.tools.push(Tool { name, schema: tool["function"]["parameters"].clone() });
    }
    Ok(question)
}

/// Understands a generate request. No prompt is legal: it asks to load the model.
pub(super) fn read_generate(body: &Value) -> Result<Question, Complaint> {
    let mut question = read_common(body)?;
    for (role, field) in [(Role::System, "system"), (Role::User, "prompt")] {
        if let Some(text) = body[field].as_str().filter(|text| !text.is_empty()) {
            question.messages.push(Message { role, text: text.to_owned() });
        }
    }
    Ok(question)
}

fn read_common(body: &Value) -> Result<Question, Complaint> {
    let mut question = Question::to(model(body)?);
    question.stream = body["stream"].as_bool().unwrap_or(true);
    let max = body["options"]["num_predict"].as_i64();
    question.output_max = max.and_then(|max| usize::try_from(max).ok());
    question.reasoning = match &body["think"] {
        Value::Bool(think) => *think,
        think => think.is_string(),
    };
    question.schema = match &body["format"] {
        Value::String(format) if format == "json" => Some(Value::Null),
        format if format.is_object() => Some(format.clone()),
        _ => None,
    };
    Ok(question)
}

/// The model that a request names.
pub(super) fn model(body: &Value) -> Result<&str, Complaint> {
    let named = body["model"].as_str().or_else(|| body["name"].as_str());
    named.filter(|model| !model.is_empty()).ok_or_else(|| Complaint::invalid("model is required", None, None))
}

/// Answers an embed request.
pub(super) fn embed(body: &Value, model: &str) -> String {
    let inputs = texts(&body["input"]);
    let dimensions = dimensions(&body["dimensions"]);
    let vectors: Vec<Vec<f32>> = inputs.iter().map(|text| vector(text, dimensions)).collect();
    let words: usize = inputs.iter().map(|text| text.split_whitespace().count()).sum();
    json!({
        "model": model, "embeddings": vectors, "total_duration": 14_143_917, "load_duration": 1_019_500,
        "prompt_eval_count": words,
    })
    .to_string()
}

fn details() -> Value {
    json!({
        "parent_model": "", "format": "gguf", "family": "llama", "families": ["llama"],
        "parameter_size": "3.2B", "quantization_level": "Q4_K_M",
    })
}

/// The models, on disk or in memory.
pub(super) fn models(names: &[String], now: &str) -> String {
    let models: Vec<Value> = names
        .iter()
        .map(|name| {
            json!({
                "name": name, "model": name, "modified_at": now, "expires_at": now, "size": 2_019_393_189_u64,
                "size_vram": 2_019_393_189_u64, "digest": format!("{:064x}", super::talk::digest(name)),
                "details": details(),
            })
        })
        .collect();
    json!({ "models": models }).to_string()
}

/// What is known about one model.
pub(super) fn show(now: &str) -> String {
    json!({
        "modelfile": "FROM simulated", "parameters": "", "template": "{{ .Prompt }}", "details": details(),
        "model_info": {"general.architecture": "llama", "llama.context_length": 131_072},
        "capabilities": ["completion", "tools", "thinking"], "modified_at": now,
    })
    .to_string()
}

/// Words one chat answer, or one completion of a prompt.
pub(super) struct Ollama<'a> {
    answer: &'a Answer,
    generate: bool,
    /// No question: only load the model.
    load: bool,
    /// Everything of a line before its message.
    before: String,
}

impl<'a> Ollama<'a> {
    /// A voice for this answer, created at this time in RFC 3339.
    pub(super) fn new(answer: &'a Answer, generate: bool, load: bool, created_at: &str) -> Self {
        let before = format!(r#"{{"model":{},"created_at":"{created_at}","#, quoted(&answer.model));
        Self { answer, generate, load, before }
    }

    fn said(&self, thinking: &str, content: &str, calls: &[Value]) -> String {
        let mut fields = String::new();
        if !thinking.is_empty() {
            fields += &format!(r#","thinking":{}"#, quoted(thinking));
        }
        if self.generate {
            return format!(r#""response":{}{fields}"#, quoted(content));
        }
        if !calls.is_empty() {
            fields += &format!(r#","tool_calls":{}"#, Value::from(calls));
        }
        format!(r#""message":{{"role":"assistant","content":{}{fields}}}"#, quoted(content))
    }

    fn call(&self, index: usize) -> Value {
        let call = &self.answer.calls[index];
        let function = json!({"index": index, "name": call.name, "arguments": call.arguments});
        json!({"id": format!("call_{}", call.id), "function": function})
    }

    fn done(&self) -> String {
        if self.load {
            return r#""done":true,"done_reason":"load""#.to_owned();
        }
        let reason = if self.answer.finish == Finish::Length { "length" } else { "stop" };
        let (input, output) = (self.answer.input, self.answer.output(true));
        format!(
            r#""done":true,"done_reason":"{reason}","total_duration":{},"load_duration":101397084,"prompt_eval_count":{input},"prompt_eval_duration":{},"eval_count":{output},"eval_duration":{}"#,
            102_000_000 + input * 1_000_000 + output * 10_000_000,
            1 + input * 1_000_000,
            1 + output * 10_000_000,
        )
    }
}

impl Voice for Ollama<'_> {
    fn opening(&mut self) -> String {
        String::new()
    }

    fn delta(&mut self, delta: &Delta) -> String {
        let said = match delta {
            Delta::Reasoning(token) => self.said(token, "", &[]),
            Delta::Text(token) => self.said("", token, &[]),
            Delta::CallStart(index) | Delta::CallPiece(index, _) | Delta::CallWhole(index) => {
                self.said("", "", &[self.call(*index)])
            }
        };
        format!("{}{said},\"done\":false}}\n", self.before)
    }

    /// The finish and the sentinel are one line here; see [`Voice::sentinel`].
    fn finish(&mut self) -> Vec<String> {
        Vec::new()
    }

    fn sentinel(&mut self) -> String {
        format!("{}{},{}}}\n", self.before, self.said("", "", &[]), self.done())
    }

    fn whole(&self, finished: bool) -> String {
        let calls: Vec<Value> = (0..self.answer.calls.len()).map(|index| self.call(index)).collect();
        let said = self.said(&self.answer.reasoning.concat(), &self.answer.content(), &calls);
        let done = if finished { self.done() } else { r#""done":false"#.to_owned() };
        format!("{}{said},{done}}}", self.before)
    }
}
