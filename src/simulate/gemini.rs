//! Gemini as it speaks: `generateContent`, whole and streamed, and models.
//! <https://ai.google.dev/api/generate-content>

use super::complaint::Complaint;
use super::talk::{Answer, Delta, Finish, Message, Question, Role, Tool, ToolChoice, text_of};
use super::vectors::{dimensions, vector};
use super::voice::Voice;
use serde_json::{Map, Value, json};

/// What stands for a thought's signature.
pub(super) const SIGNATURE: &str = "c2ltdWxhdGVkLXRob3VnaHQ=";

/// Understands a request to `models/{model}:generateContent`.
pub(super) fn read_content(body: &Value, model: &str, stream: bool) -> Question {
    let mut question = Question { stream, ..Question::to(model) };
    let instructions = text_of(&body["systemInstruction"]["parts"]);
    if !instructions.is_empty() {
        question.messages.push(Message { role: Role::System, text: instructions });
    }
    for content in body["contents"].as_array().into_iter().flatten() {
        let parts = content["parts"].as_array().map_or(&[][..], Vec::as_slice);
        let results = parts.iter().filter(|part| part["functionResponse"].is_object()).count();
        let role = match content["role"].as_str() {
            Some("model") => Role::Assistant,
            _ if results > 0 && results == parts.len() => Role::Tool,
            _ => Role::User,
        };
        let mut text = text_of(&content["parts"]);
        for part in parts {
            if let Some(response) = part.get("functionResponse") {
                text += &response["response"].to_string();
            }
        }
        question.messages.push(Message { role, text });
    }
    for declaration in body["tools"][0]["functionDeclarations"].as_array().into_iter().flatten() {
        let name = declaration["name"].as_str().unwrap_or_default().to_owned();
        question.tools.push(Tool { name, schema: plain(&declaration["parameters"]) });
    }
    let calling = &body["toolConfig"]["functionCallingConfig"];
    question.tool_choice = match (calling["mode"].as_str(), calling["allowedFunctionNames"][0].as_str()) {
        (Some("ANY"), Some(name)) => ToolChoice::Named(name.to_owned()),
        (Some("ANY"), None) => ToolChoice::Any,
        (Some("NONE"), _) => ToolChoice::Never,
        _ => ToolChoice::Auto,
    };
    let config = &body["generationConfig"];
    question.output_max = config["maxOutputTokens"].as_u64().and_then(|max| usize::try_from(max).ok());
    question.schema =
        (config["responseMimeType"] == "application/json").then(|| plain(&config["responseSchema"]));
    question.reasoning = config["thinkingConfig"]["includeThoughts"] == true;
    question
}

/// A schema with the types in the letters of JSON schema.
fn plain(schema: &Value) -> Value {
    match schema {
        Value::Object(members) => {
            let member = |(key, value): (&String, &Value)| match value {
                Value::String(kind) if key == "type" => (key.clone(), json!(kind.to_ascii_lowercase())),
                other => (key.clone(), plain(other)),
            };
            Value::Object(members.iter().map(member).collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.iter().map(plain).collect()),
        other => other.clone(),
    }
}

/// Answers a `batchEmbedContents` request.
pub(super) fn embed(body: &Value) -> String {
    let one = |request: &Value| {
        let text = text_of(&request["content"]["parts"]);
        json!({"values": vector(&text, dimensions(&request["outputDimensionality"]))})
    };
    let vectors: Vec<Value> = body["requests"].as_array().into_iter().flatten().map(one).collect();
    json!({ "embeddings": vectors }).to_string()
}

/// The list of models.
pub(super) fn models(names: &[String]) -> String {
    let model = |name: &String| {
        json!({
            "name": format!("models/{name}"), "displayName": name, "inputTokenLimit": 1_048_576,
            "supportedGenerationMethods": ["generateContent", "countTokens"],
        })
    };
    json!({ "models": names.iter().map(model).collect::<Vec<_>>() }).to_string()
}

/// Words one answer.
pub(super) struct Gemini<'a> {
    answer: &'a Answer,
    /// Content frames so far, for the usage that every chunk carries.
    said: usize,
}

impl<'a> Gemini<'a> {
    /// A voice for this answer.
    pub(super) fn new(answer: &'a Answer) -> Self {
        Self { answer, said: 0 }
    }

    fn finish_reason(&self) -> &'static str {
        if self.answer.finish == Finish::Length { "MAX_TOKENS" } else { "STOP" }
    }

    fn usage(&self, said: usize) -> Value {
        let thoughts = self.answer.reasoning.len().min(said);
        let (input, output) = (self.answer.input, said - thoughts);
        let mut usage = json!({"promptTokenCount": input, "totalTokenCount": input + said});
        if output > 0 {
            usage["candidatesTokenCount"] = json!(output);
        }
        if thoughts > 0 {
            usage["thoughtsTokenCount"] = json!(thoughts);
        }
        usage
    }

    fn body(&self, candidate: &Value, said: usize) -> Value {
        json!({
            "candidates": [candidate], "usageMetadata": self.usage(said), "modelVersion": self.answer.model,
            "responseId": format!("sim{:020x}", self.answer.number),
        })
    }

    fn chunk(&self, candidate: &Value) -> String {
        format!("data: {}\r\n\r\n", self.body(candidate, self.said))
    }

    /// The first call carries the signature of the thought that led to it.
    fn call(&self, index: usize) -> Value {
        let call = &self.answer.calls[index];
        let mut part = json!({"functionCall": {"name": call.name, "args": call.arguments}});
        if index == 0 {
            part["thoughtSignature"] = json!(SIGNATURE);
        }
        part
    }
}

impl Voice for Gemini<'_> {
    fn opening(&mut self) -> String {
        String::new()
    }

    fn delta(&mut self, delta: &Delta) -> String {
        self.said += 1;
        let part = match delta {
            Delta::Reasoning(token) => json!({"text": token, "thought": true}),
            Delta::Text(token) => json!({"text": token}),
            Delta::CallStart(index) | Delta::CallPiece(index, _) | Delta::CallWhole(index) => {
                self.call(*index)
            }
        };
        self.chunk(&json!({"content": {"parts": [part], "role": "model"}, "index": 0}))
    }

    fn finish(&mut self) -> Vec<String> {
        let content = json!({"parts": [{"text": ""}], "role": "model"});
        vec![self.chunk(&json!({"content": content, "finishReason": self.finish_reason(), "index": 0}))]
    }

    /// There is none: the body ends.
    fn sentinel(&mut self) -> String {
        String::new()
    }

    fn whole(&self, finished: bool) -> String {
        let mut parts = Vec::new();
        if !self.answer.reasoning.is_empty() {
            parts.push(json!({"text": self.answer.reasoning.concat(), "thought": true}));
        }
        if !self.answer.text.is_empty() {
            parts.push(json!({"text": self.answer.content()}));
        }
        parts.extend((0..self.answer.calls.len()).map(|index| self.call(index)));
        let mut candidate = json!({"content": {"parts": parts, "role": "model"}, "index": 0});
        if finished {
            candidate["finishReason"] = json!(self.finish_reason());
        }
        self.body(&candidate, self.answer.output(true)).to_string()
    }
}

/// Status and body of an error, as Google words them.
pub(super) fn complaint(complaint: &Complaint, model: &str) -> (u16, String) {
    let (status, message) = match complaint {
        Complaint::Status(401) => (400, "API key not valid. Please pass a valid API key.".to_owned()),
        Complaint::Status(429) => {
            (429, "You exceeded your current quota, please check your plan.".to_owned())
        }
        Complaint::Status(503) => (503, "The model is overloaded. Please try again later.".to_owned()),
        Complaint::Status(status) => (*status, "The request cannot be served.".to_owned()),
        Complaint::ContextLength => {
            let words =
                "The input token count (1048580) exceeds the maximum number of tokens allowed (1048576).";
            (400, words.to_owned())
        }
        Complaint::UnknownModel => {
            (404, format!("models/{model} is not found for API version v1beta, or is not supported."))
        }
        Complaint::BadRequest => {
            (400, "Invalid value at 'generation_config.temperature' (TYPE_FLOAT), \"x\"".to_owned())
        }
        // A prompt that is blocked is answered, with status 200.
        Complaint::ContentPolicy => {
            let body =
                json!({"promptFeedback": {"blockReason": "PROHIBITED_CONTENT"}, "modelVersion": model});
            return (200, body.to_string());
        }
        Complaint::InsufficientQuota => (429, "You exceeded your current quota.".to_owned()),
        Complaint::Refused { status, message, .. } => (*status, message.clone()),
    };
    let word = match status {
        400 => "INVALID_ARGUMENT",
        401 => "UNAUTHENTICATED",
        403 => "PERMISSION_DENIED",
        404 => "NOT_FOUND",
        429 => "RESOURCE_EXHAUSTED",
        503 => "UNAVAILABLE",
        504 => "DEADLINE_EXCEEDED",
        300..500 => "FAILED_PRECONDITION",
        _ => "INTERNAL",
    };
    let mut details = Vec::new();
    if *complaint == Complaint::Status(401) {
        details
            .push(json!({"@type": "type.googleapis.com/google.rpc.ErrorInfo", "reason": "API_KEY_INVALID"}));
    }
    if let Complaint::Refused { param: Some(param), .. } = complaint {
        let violation = json!({"field": param, "description": message});
        details.push(
            json!({"@type": "type.googleapis.com/google.rpc.BadRequest", "fieldViolations": [violation]}),
        );
    }
    let error = json!({"code": status, "message": message, "status": word, "details": details});
    (status, json!({ "error": error }).to_string())
}
