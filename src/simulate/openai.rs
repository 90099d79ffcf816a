//! OpenAI as it speaks: chat completions, embeddings, models.
//! <https://platform.openai.com/docs/api-reference>

use super::complaint::{Complaint, quoted};
use super::talk::{Answer, Delta, Finish, Message, Question, Role, Tool, ToolChoice, text_of};
use super::vectors::{dimensions, texts, vector};
use super::voice::Voice;
use serde_json::{Value, json};

/// Understands a chat completion request.
pub(super) fn read_chat(body: &Value) -> Result<Question, Complaint> {
    let mut question = Question::to(model(body)?);
    let Some(messages) = body["messages"].as_array() else {
        return Err(missing("messages"));
    };
    if messages.is_empty() {
        let message = "Invalid 'messages': empty array. Expected an array with minimum length 1.";
        return Err(Complaint::invalid(message, Some("messages"), Some("empty_array")));
    }
    for (index, message) in messages.iter().enumerate() {
        let role = match message["role"].as_str() {
            Some("system" | "developer") => Role::System,
            Some("user") => Role::User,
            Some("assistant") => Role::Assistant,
            Some("tool" | "function") => Role::Tool,
            Some(other) => {
                let text = format!(
                    "Invalid value: '{other}'. Supported values are: 'system', 'assistant', 'user', 'function', \
                     'tool', and 'developer'."
                );
                return Err(Complaint::invalid(
                    text,
                    Some(&format!("messages[{index}].role")),
                    Some("invalid_value"),
                ));
            }
            None => return Err(missing(&format!("messages[{index}].role"))),
        };
        question.messages.push(Message { role, text: text_of(&message["content"]) });
    }
    question.stream = body["stream"].as_bool().unwrap_or(false);
    question.include_usage = body["stream_options"]["include_usage"].as_bool().unwrap_or(false);
    let max = body["max_completion_tokens"].as_u64().or_else(|| body["max_tokens"].as_u64());
    question.output_max = max.and_then(|max| usize::try_from(max).ok());
    for tool in body["tools"].as_array().into_iter().flatten() {
        let function = &tool["function"];
        let Some(name) = function["name"].as_str() else { return Err(missing("tools[0].function.name")) };
        question.tools.push(Tool { name: name.to_owned(), schema: function["parameters"].clone() });
    }
    question.tool_choice = match &body["tool_choice"] {
        Value::String(choice) if choice == "required" => ToolChoice::Any,
        Value::String(choice) if choice == "none" => ToolChoice::Never,
        choice => match choice["function"]["name"].as_str() {
            Some(name) => ToolChoice::Named(name.to_owned()),
            None => ToolChoice::Auto,
        },
    };
    question.schema = match body["response_format"]["type"].as_str() {
        Some("json_schema") => Some(body["response_format"]["json_schema"]["schema"].clone()),
        Some("json_object") => Some(Value::Null),
        _ => None,
    };
    Ok(question)
}

/// The model that a request names.
pub(super) fn model(body: &Value) -> Result<&str, Complaint> {
    body["model"]
        .as_str()
        .filter(|model| !model.is_empty())
        .ok_or_else(|| Complaint::invalid("you must provide a model parameter", None, None))
}

fn missing(param: &str) -> Complaint {
    let message = format!("Missing required parameter: '{param}'.");
    Complaint::invalid(message, Some(param), Some("missing_required_parameter"))
}

/// Answers an embeddings request.
pub(super) fn embeddings(body: &Value, model: &str) -> String {
    let inputs = texts(&body["input"]);
    let dimensions = dimensions(&body["dimensions"]);
    let base64 = body["encoding_format"].as_str() == Some("base64");
    let data: Vec<Value> = inputs
        .iter()
        .enumerate()
        .map(|(index, text)| {
            let vector = vector(text, dimensions);
            let embedding = if base64 { json!(base64_of(&vector)) } else { json!(vector) };
            json!({"object": "embedding", "index": index, "embedding": embedding})
        })
        .collect();
    let words: usize = inputs.iter().map(|text| text.split_whitespace().count()).sum();
    let usage = json!({"prompt_tokens": words, "total_tokens": words});
    json!({"object": "list", "data": data, "model": model, "usage": usage}).to_string()
}

/// Little-endian floats in base64 (RFC 4648), as the official clients ask for.
fn base64_of(vector: &[f32]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|number| number.to_le_bytes()).collect();
    let mut text = String::with_capacity(bytes.len() * 4 / 3 + 4);
    for three in bytes.chunks(3) {
        let word =
            three.iter().fold(0_u32, |word, byte| (word << 8) | u32::from(*byte)) << (8 * (3 - three.len()));
        for sixth in 0..4_usize {
            let index = (word >> (18 - 6 * sixth)) & 63;
            text.push(if sixth > three.len() { '=' } else { char::from(ALPHABET[index as usize]) });
        }
    }
    text
}

/// The list of models.
pub(super) fn models(names: &[String], created: u64) -> String {
    let data: Vec<Value> = names
        .iter()
        .map(|name| json!({"id": name, "object": "model", "created": created, "owned_by": "simulate"}))
        .collect();
    json!({"object": "list", "data": data}).to_string()
}

/// Words one chat completion.
pub(super) struct OpenAi<'a> {
    answer: &'a Answer,
    /// Everything of a chunk before its `delta`.
    before: String,
}

impl<'a> OpenAi<'a> {
    /// A voice for this answer.
    pub(super) fn new(answer: &'a Answer) -> Self {
        let before = format!(
            r#"data: {{"id":"{}","object":"chat.completion.chunk","created":{},"model":{},"system_fingerprint":"fp_5170","choices":["#,
            id(answer),
            answer.created,
            quoted(&answer.model),
        );
        Self { answer, before }
    }

    fn chunk(&self, delta: &str, finish: &str) -> String {
        let usage = if self.answer.include_usage { r#","usage":null"# } else { "" };
        format!(
            "{}{{\"index\":0,\"delta\":{delta},\"logprobs\":null,\"finish_reason\":{finish}}}]{usage}}}\n\n",
            self.before
        )
    }

    fn usage(&self) -> Value {
        let (input, output) = (self.answer.input, self.answer.output(false));
        json!({
            "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output,
            "prompt_tokens_details": {"cached_tokens": 0},
            "completion_tokens_details": {"reasoning_tokens": self.answer.reasoning.len()},
        })
    }

    fn finish_reason(&self) -> &'static str {
        match self.answer.finish {
            Finish::Stop => "stop",
            Finish::Length => "length",
            Finish::ToolCalls => "tool_calls",
        }
    }
}

fn id(answer: &Answer) -> String {
    format!("chatcmpl-{:028x}", answer.number)
}

impl Voice for OpenAi<'_> {
    fn opening(&mut self) -> String {
        self.chunk(r#"{"role":"assistant","content":"","refusal":null}"#, "null")
    }

    fn delta(&mut self, delta: &Delta) -> String {
        let delta = match delta {
            Delta::Reasoning(token) => format!(r#"{{"reasoning_content":{}}}"#, quoted(token)),
            Delta::Text(token) => format!(r#"{{"content":{}}}"#, quoted(token)),
            Delta::CallStart(index) | Delta::CallWhole(index) => {
                let call = &self.answer.calls[*index];
                format!(
                    r#"{{"tool_calls":[{{"index":{index},"id":"call_{}","type":"function","function":{{"name":{},"arguments":""}}}}]}}"#,
                    call.id,
                    quoted(&call.name)
                )
            }
            Delta::CallPiece(index, piece) => {
                let piece = quoted(piece);
                format!(r#"{{"tool_calls":[{{"index":{index},"function":{{"arguments":{piece}}}}}]}}"#)
            }
        };
        self.chunk(&delta, "null")
    }

    fn finish(&mut self) -> Vec<String> {
        let mut frames = vec![self.chunk("{}", &quoted(self.finish_reason()))];
        if self.answer.include_usage {
            frames.push(format!("{}],\"usage\":{}}}\n\n", self.before, self.usage()));
        }
        frames
    }

    fn sentinel(&mut self) -> String {
        "data: [DONE]\n\n".to_owned()
    }

    fn whole(&self, finished: bool) -> String {
        let answer = self.answer;
        let calls: Vec<Value> = answer
            .calls
            .iter()
            .map(|call| {
                let function = json!({"name": call.name, "arguments": call.arguments.to_string()});
                json!({"id": format!("call_{}", call.id), "type": "function", "function": function})
            })
            .collect();
        let content = if calls.is_empty() { json!(answer.content()) } else { Value::Null };
        let mut message = json!({"role": "assistant", "content": content, "refusal": null});
        if !answer.reasoning.is_empty() {
            message["reasoning_content"] = json!(answer.reasoning.concat());
        }
        if !calls.is_empty() {
            message["tool_calls"] = json!(calls);
        }
        let finish = if finished { json!(self.finish_reason()) } else { Value::Null };
        json!({
            "id": id(answer), "object": "chat.completion", "created": answer.created, "model": answer.model,
            "choices": [{"index": 0, "message": message, "logprobs": null, "finish_reason": finish}],
            "usage": self.usage(), "system_fingerprint": "fp_5170",
        })
        .to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_the_standard_one() {
        // 1.0 is 00 00 80 3f; 0.5 is 00 00 00 3f.
        assert_eq!(base64_of(&[1.0]), "AACAPw==");
        assert_eq!(base64_of(&[1.0, 0.5]), "AACAPwAAAD8=");
        assert_eq!(base64_of(&[1.0, 0.5, 0.5]), "AACAPwAAAD8AAAA/");
    }
}
