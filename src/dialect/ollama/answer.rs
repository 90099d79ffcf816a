//! Ollama's answers, whole and line by line, and its error bodies, read.

use crate::dialect::{Sign, judged, raw};
use crate::domain::chat::{Answer, Choice, Content, Delta, Finish, Part, ToolCall, Usage};
use crate::domain::failure::{Failure, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A line of a stream, or a whole answer: they have the same shape.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(default)]
    model: String,
    #[serde(borrow, default)]
    created_at: Cow<'a, str>,
    #[serde(borrow)]
    message: Option<Message<'a>>,
    /// In place of the message, where a prompt was given.
    response: Option<String>,
    thinking: Option<String>,
    #[serde(default)]
    done: bool,
    done_reason: Option<String>,
    #[serde(default, deserialize_with = "raw::sound")]
    prompt_eval_count: Option<u64>,
    #[serde(default, deserialize_with = "raw::sound")]
    eval_count: Option<u64>,
    #[serde(borrow)]
    error: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Message<'a> {
    content: Option<String>,
    thinking: Option<String>,
    #[serde(borrow)]
    tool_calls: Option<Vec<Call<'a>>>,
}

#[derive(Deserialize)]
struct Call<'a> {
    id: Option<String>,
    #[serde(borrow)]
    function: Function<'a>,
}

#[derive(Deserialize)]
struct Function<'a> {
    name: String,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
}

impl Line<'_> {
    /// Makes the answer to a prompt the message that it is.
    fn settle(&mut self) {
        if self.message.is_none() && self.response.is_some() {
            let (content, thinking) = (self.response.take(), self.thinking.take());
            self.message = Some(Message { content, thinking, tool_calls: None });
        }
    }

    fn usage(&self) -> Option<Usage> {
        if self.prompt_eval_count.is_none() && self.eval_count.is_none() {
            return None;
        }
        let (input, output) = (self.prompt_eval_count.unwrap_or(0), self.eval_count.unwrap_or(0));
        Some(Usage { input, output, ..Usage::default() })
    }

    /// `Empty` when the model was loaded or unloaded and nothing was asked of it.
    fn finish(&self, called: bool) -> Result<Finish, Failure> {
        match self.done_reason.as_deref() {
            Some("load" | "unload") => Err(raw::empty()),
            Some("length") => Ok(Finish::Length),
            _ if called => Ok(Finish::ToolCalls),
            _ => Ok(Finish::Stop),
        }
    }
}

impl Call<'_> {
    /// In domain terms. Most versions give no ids: one is made of the answer's time and the call's place, so
    /// that it is unique in the conversation too.
    fn into_call(self, created_at: &str, index: u32) -> ToolCall {
        let id = self.id.filter(|id| !id.is_empty()).unwrap_or_else(|| {
            let time: String = created_at.chars().filter(char::is_ascii_digit).take(20).collect();
            if time.is_empty() { format!("call_{index}") } else { format!("call_{time}_{index}") }
        });
        let arguments = match self.function.arguments {
            None => "{}".to_owned(),
            Some(value) if raw::is_null(value) => "{}".to_owned(),
            // Compatible servers give them as text.
            Some(value) if raw::is_string(value) => raw::string(value, "").unwrap_or_default(),
            Some(value) => value.get().to_owned(),
        };
        let arguments = if arguments.trim().is_empty() { "{}".to_owned() } else { arguments };
        ToolCall { id, name: self.function.name, arguments }
    }
}

/// Reads a complete answer. Structured answers come as text here, so no tool is ever unwrapped.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`, `ErrorInBody`.
pub fn read_answer(body: &[u8], _unwrap_tool: Option<&str>) -> Result<Answer, Failure> {
    let (mut line, finish) = whole(body)?;
    let mut parts = Vec::new();
    if let Some(message) = line.message.take() {
        if let Some(text) = message.thinking.filter(|text| !text.is_empty()) {
            parts.push(Part::Reasoning { text, signature: None });
        }
        if let Some(text) = message.content.filter(|text| !text.is_empty()) {
            parts.push(Part::Text { text, cache_control: None });
        }
        for (call, index) in message.tool_calls.into_iter().flatten().zip(0..) {
            parts.push(Part::ToolCall(call.into_call(&line.created_at, index)));
        }
    }
    let usage = line.usage();
    let content = Content::Said { id: None, choices: vec![Choice { parts, finish }] };
    Ok(Answer { model: line.model, usage, content })
}

/// What an answer that is passed on as it is says of itself: the model and the tokens.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`, `ErrorInBody`: what is passed on is checked all the same.
pub fn facts(body: &[u8]) -> Result<(String, Option<Usage>), Failure> {
    let (line, _) = whole(body)?;
    let usage = line.usage();
    Ok((line.model, usage))
}

fn whole(body: &[u8]) -> Result<(Line<'_>, Finish), Failure> {
    let mut line: Line<'_> = serde_json::from_slice(body).map_err(|error| raw::unreadable(body, &error))?;
    line.settle();
    if line.error.is_some() {
        return Err(reported());
    }
    let Some(message) = &line.message else { return Err(raw::garbage()) };
    if !line.done {
        return Err(raw::truncated());
    }
    let called = message.tool_calls.as_ref().is_some_and(|calls| !calls.is_empty());
    let finish = line.finish(called)?;
    let says = |text: &Option<String>| text.as_ref().is_some_and(|text| !text.is_empty());
    if !called && !says(&message.content) && !says(&message.thinking) && finish == Finish::Stop {
        return Err(raw::empty());
    }
    Ok((line, finish))
}

fn reported() -> Failure {
    judged(Fault::ErrorInBody, None, "")
}

/// What has been read of a stream.
#[derive(Debug, Default)]
pub struct Events {
    started: bool,
    calls: u32,
}

impl Events {
    /// Nothing has been read. Structured answers come as text here, so no tool is ever unwrapped.
    #[must_use]
    pub fn new(_unwrap_tool: Option<&str>) -> Self {
        Self::default()
    }

    /// Reads one line and appends what it means.
    ///
    /// # Errors
    /// `ErrorInBody` for an error line, `Empty` when the model was only loaded; `Garbage` for what is not a line of
    /// this dialect, which may be skipped.
    // Never inlined: what each dialect's parser has on its stack, the others' streams need not keep.
    #[inline(never)]
    pub fn read(
        &mut self,
        _event: Option<&str>,
        data: &str,
        deltas: &mut Vec<Delta>,
    ) -> Result<Sign, Failure> {
        let mut line: Line<'_> = serde_json::from_str(data).map_err(|_| raw::garbage())?;
        line.settle();
        if line.error.is_some() {
            return Err(reported());
        }
        if line.message.is_none() && !line.done {
            return Err(raw::garbage());
        }
        if !std::mem::replace(&mut self.started, true) {
            deltas.push(Delta::Start { id: String::new(), model: line.model.clone() });
        }
        if let Some(message) = line.message.take() {
            self.message(message, &line.created_at, deltas);
        }
        if !line.done {
            return Ok(Sign::More);
        }
        deltas.push(Delta::Finish { choice: 0, finish: line.finish(self.calls > 0)? });
        deltas.extend(line.usage().map(Delta::Usage));
        Ok(Sign::End)
    }

    fn message(&mut self, message: Message<'_>, created_at: &str, deltas: &mut Vec<Delta>) {
        if let Some(text) = message.thinking.filter(|text| !text.is_empty()) {
            deltas.push(Delta::Reasoning { choice: 0, text, signature: None });
        }
        if let Some(text) = message.content.filter(|text| !text.is_empty()) {
            deltas.push(Delta::Text { choice: 0, text });
        }
        for call in message.tool_calls.into_iter().flatten() {
            let index = self.calls;
            self.calls += 1;
            let ToolCall { id, name, arguments } = call.into_call(created_at, index);
            deltas.push(Delta::ToolCall { choice: 0, call: index, id, name });
            deltas.push(Delta::Arguments { choice: 0, call: index, fragment: arguments });
        }
    }
}

/// Reads an error body. Never fails: garbage is judged by its status.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Failure {
    #[derive(Deserialize)]
    struct Body<'a> {
        #[serde(borrow)]
        error: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Detailed {
        message: Option<String>,
    }
    let error = serde_json::from_slice::<Body<'_>>(body).ok().and_then(|body| body.error);
    let words = error.and_then(|error| {
        raw::string(error, "").ok().or_else(|| raw::read::<Detailed>(error, "", "").ok()?.message)
    });
    let words = words.unwrap_or_default();
    judged(fault(status, &words.to_ascii_lowercase()), Some(status), &words)
}

/// Which fault a status and words mean; there are no error types here.
fn fault(status: u16, words: &str) -> Fault {
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    match status {
        400 | 404 if words.contains("model") && says(&["not found", "invalid model name", "try pulling"]) => {
            Fault::UnknownModel
        }
        400..=422 if says(&["does not support"]) => Fault::Untranslatable,
        400..=422 | 500
            if says(&["context length", "context window", "prompt too long", "prompt is too long"]) =>
        {
            Fault::ContextLength
        }
        // A full queue is announced as 503.
        503 if says(&["busy", "maximum pending requests"]) => Fault::Busy,
        _ => Fault::of_status(status),
    }
}
