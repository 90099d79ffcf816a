//! OpenAI's Responses as it speaks them: items that begin, grow and end, and a last event with all of it.
//! <https://platform.openai.com/docs/api-reference/responses>

use super::complaint::{Complaint, quoted};
use super::openai::model;
use super::talk::{Answer, Delta, Finish, Message, Question, Role, Tool, ToolChoice, text_of};
use super::voice::Voice;
use serde_json::{Value, json};

/// Understands a request; the referee has looked at it before.
pub(super) fn read(body: &Value) -> Result<Question, Complaint> {
    let mut question = Question::to(model(body)?);
    let mut say = |role, text| question.messages.push(Message { role, text });
    if let Some(text) = body["instructions"].as_str() {
        say(Role::System, text.to_owned());
    }
    match &body["input"] {
        Value::String(text) => say(Role::User, text.clone()),
        Value::Array(items) => {
            for item in items {
                match item["type"].as_str().unwrap_or("message") {
                    "message" => say(role(item), text_of(&item["content"])),
                    "function_call" => say(Role::Assistant, String::new()),
                    "function_call_output" => say(Role::Tool, text_of(&item["output"])),
                    _ => {}
                }
            }
        }
        _ => {
            let words = "Missing required parameter: 'input'.";
            return Err(Complaint::invalid(words, Some("input"), Some("missing_required_parameter")));
        }
    }
    question.stream = body["stream"].as_bool().unwrap_or(false);
    question.output_max = body["max_output_tokens"].as_u64().and_then(|max| usize::try_from(max).ok());
    for tool in body["tools"].as_array().into_iter().flatten() {
        if let Some(name) = tool["name"].as_str() {
            question.tools.push(Tool { name: name.to_owned(), schema: tool["parameters"].clone() });
        }
    }
    question.tool_choice = match &body["tool_choice"] {
        Value::String(choice) if choice == "required" => ToolChoice::Any,
        Value::String(choice) if choice == "none" => ToolChoice::Never,
        choice => choice["name"].as_str().map_or(ToolChoice::Auto, |name| ToolChoice::Named(name.to_owned())),
    };
    question.schema = match body["text"]["format"]["type"].as_str() {
        Some("json_schema") => Some(body["text"]["format"]["schema"].clone()),
        Some("json_object") => Some(Value::Null),
        _ => None,
    };
    question.sums_up = !body["reasoning"]["summary"].is_null();
    question.encrypts =
        body["include"].as_array().into_iter().flatten().any(|it| it == "reasoning.encrypted_content");
    Ok(question)
}

fn role(item: &Value) -> Role {
    match item["role"].as_str() {
        Some("assistant") => Role::Assistant,
        Some("system" | "developer") => Role::System,
        _ => Role::User,
    }
}

/// What the vendor alone can read of its thoughts.
pub(super) const ENCRYPTED: &str = "gAAAAAB-simulated";

/// Words one answer.
pub(super) struct Responses<'a> {
    answer: &'a Answer,
    sequence: u64,
    /// The items of the whole answer, in order.
    items: Vec<Value>,
    /// The item under way.
    open: Option<usize>,
}

impl<'a> Responses<'a> {
    /// A voice for this answer.
    pub(super) fn new(answer: &'a Answer) -> Self {
        Self { answer, sequence: 0, items: items(answer), open: None }
    }

    fn event(&mut self, kind: &str, mut body: Value) -> String {
        body["type"] = json!(kind);
        body["sequence_number"] = json!(self.sequence);
        self.sequence += 1;
        format!("event: {kind}\ndata: {body}\n\n")
    }

    /// The response as far as these items go.
    fn response(&self, status: &str, items: &[Value]) -> Value {
        let answer = self.answer;
        let cut = (status == "incomplete").then(|| json!({"reason": "max_output_tokens"}));
        let (input, output) = (answer.input, answer.output(false));
        let usage = (status != "in_progress").then(|| {
            json!({
                "input_tokens": input, "input_tokens_details": {"cached_tokens": 0},
                "output_tokens": output, "output_tokens_details": {"reasoning_tokens": answer.reasoning.len()},
                "total_tokens": input + output,
            })
        });
        json!({
            "id": format!("resp_{:048x}", answer.number), "object": "response", "created_at": answer.created,
            "status": status, "background": false, "error": null, "incomplete_details": cut, "instructions": null,
            "max_output_tokens": null, "model": answer.model, "output": items, "parallel_tool_calls": true,
            "previous_response_id": null, "reasoning": {"effort": null, "summary": null}, "service_tier": "default",
            "store": true, "temperature": 1.0, "text": {"format": {"type": "text"}, "verbosity": "medium"},
            "tool_choice": "auto", "tools": [], "top_p": 1.0, "truncation": "disabled", "usage": usage,
            "user": null, "metadata": {},
        })
    }

    fn status(&self) -> &'static str {
        if self.answer.finish == Finish::Length { "incomplete" } else { "completed" }
    }

    /// Makes the item at this place the one under way.
    fn turn(&mut self, place: usize) -> String {
        if self.open == Some(place) {
            return String::new();
        }
        let mut said = self.close();
        self.open = Some(place);
        let item = self.items[place].clone();
        let mut begun = item.clone();
        for part in ["content", "summary"] {
            if !begun[part].is_null() {
                begun[part] = json!([]);
            }
        }
        if !begun["arguments"].is_null() {
            begun["arguments"] = json!("");
        }
        if !begun["status"].is_null() {
            begun["status"] = json!("in_progress");
        }
        said += &self.event("response.output_item.added", json!({"output_index": place, "item": begun}));
        let (id, empty) = (&item["id"], "");
        if item["type"] == "message" {
            let part = json!({"type": "output_text", "text": empty, "annotations": [], "logprobs": []});
            let body = json!({"item_id": id, "output_index": place, "content_index": 0, "part": part});
            said += &self.event("response.content_part.added", body);
        } else if item["summary"][0].is_object() {
            let part = json!({"type": "summary_text", "text": empty});
            let body = json!({"item_id": id, "output_index": place, "summary_index": 0, "part": part});
            said += &self.event("response.reasoning_summary_part.added", body);
        }
        said
    }

    /// Ends the item under way.
    fn close(&mut self) -> String {
        let Some(place) = self.open.take() else { return String::new() };
        let item = self.items[place].clone();
        let of = |more: Value| {
            let mut body = json!({"item_id": item["id"], "output_index": place});
            for (name, value) in more.as_object().into_iter().flatten() {
                body[name] = value.clone();
            }
            body
        };
        let mut said = String::new();
        if item["type"] == "message" {
            let part = &item["content"][0];
            let body = of(json!({"content_index": 0, "text": part["text"], "logprobs": []}));
            said += &self.event("response.output_text.done", body);
            said += &self.event("response.content_part.done", of(json!({"content_index": 0, "part": part})));
        } else if item["summary"][0].is_object() {
            let part = &item["summary"][0];
            let body = of(json!({"summary_index": 0, "text": part["text"]}));
            said += &self.event("response.reasoning_summary_text.done", body);
            said += &self
                .event("response.reasoning_summary_part.done", of(json!({"summary_index": 0, "part": part})));
        } else if item["type"] == "function_call" {
            let body = of(json!({"name": item["name"], "arguments": item["arguments"]}));
            said += &self.event("response.function_call_arguments.done", body);
        }
        said + &self.event("response.output_item.done", json!({"output_index": place, "item": item}))
    }

    /// Where the item of a kind stands; calls are counted from the first one.
    fn place(&self, kind: &str, number: usize) -> usize {
        let places = self.items.iter().enumerate().filter(|(_, item)| item["type"] == kind);
        places.map(|(place, _)| place).nth(number).unwrap_or(0)
    }
}

fn items(answer: &Answer) -> Vec<Value> {
    let mut items = Vec::new();
    let id = |kind: &str, items: &[Value]| format!("{kind}_{:040x}{:04x}", answer.number, items.len());
    if !answer.reasoning.is_empty() {
        let summary = json!({"type": "summary_text", "text": answer.reasoning.concat()});
        let summary = if answer.sums_up { json!([summary]) } else { json!([]) };
        let mut item = json!({"id": id("rs", &items), "type": "reasoning", "summary": summary});
        if answer.encrypts {
            item["encrypted_content"] = json!(ENCRYPTED);
        }
        items.push(item);
    }
    if !answer.text.is_empty() {
        let part =
            json!({"type": "output_text", "text": answer.content(), "annotations": [], "logprobs": []});
        items.push(json!({
            "id": id("msg", &items), "type": "message", "status": "completed", "role": "assistant", "content": [part],
        }));
    }
    for call in &answer.calls {
        items.push(json!({
            "id": id("fc", &items), "type": "function_call", "status": "completed", "name": call.name,
            "call_id": format!("call_{}", call.id), "arguments": call.arguments.to_string(),
        }));
    }
    items
}

impl Voice for Responses<'_> {
    fn opening(&mut self) -> String {
        let response = json!({"response": self.response("in_progress", &[])});
        self.event("response.created", response.clone()) + &self.event("response.in_progress", response)
    }

    fn delta(&mut self, delta: &Delta) -> String {
        let (place, kind, piece) = match delta {
            Delta::Reasoning(token) => {
                (self.place("reasoning", 0), "response.reasoning_summary_text.delta", token)
            }
            Delta::Text(token) => (self.place("message", 0), "response.output_text.delta", token),
            Delta::CallStart(index) | Delta::CallWhole(index) => {
                return self.turn(self.place("function_call", *index));
            }
            Delta::CallPiece(index, piece) => {
                (self.place("function_call", *index), "response.function_call_arguments.delta", piece)
            }
        };
        let begun = self.turn(place);
        let item = &self.items[place];
        let mut body = json!({"item_id": item["id"], "output_index": place, "delta": piece});
        match delta {
            // Thoughts that nobody asked to be summed up are not told.
            Delta::Reasoning(_) if !self.answer.sums_up => return begun,
            Delta::Reasoning(_) => body["summary_index"] = json!(0),
            Delta::Text(_) => {
                body["content_index"] = json!(0);
                body["logprobs"] = json!([]);
            }
            _ => {}
        }
        begun + &self.event(kind, body)
    }

    fn finish(&mut self) -> Vec<String> {
        let ended = self.close();
        let status = self.status();
        let response = json!({"response": self.response(status, &self.items)});
        vec![ended, self.event(&format!("response.{status}"), response)]
    }

    fn sentinel(&mut self) -> String {
        // The last event says it.
        String::new()
    }

    fn whole(&self, finished: bool) -> String {
        let status = if finished { self.status() } else { "in_progress" };
        self.response(status, &self.items).to_string()
    }
}

/// The error as an event of a stream.
pub(super) fn error_event(body: &str) -> String {
    let error: Value = serde_json::from_str(body).unwrap_or(Value::Null);
    let error = &error["error"];
    let (code, message, param) = (&error["code"], &error["message"], &error["param"]);
    let code = if code.is_null() { json!("server_error") } else { code.clone() };
    format!(
        "event: error\ndata: {{\"type\":\"error\",\"sequence_number\":99,\"code\":{code},\"message\":{},\"param\":{param}}}\n\n",
        quoted(message.as_str().unwrap_or_default())
    )
}
