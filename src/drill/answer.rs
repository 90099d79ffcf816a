//! What a caller received, and what it says in the dialects callers speak.

use serde_json::Value;

/// A complete answer, or as much of it as came.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    /// The status.
    pub(super) status: u16,
    /// Header fields in order.
    pub(super) headers: Vec<(String, String)>,
    /// The body, without transfer coding.
    pub(super) body: Vec<u8>,
    /// Whether the body ended as HTTP says it must.
    pub(super) whole: bool,
}

impl Answer {
    /// The first header field of this name.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        let field = self.headers.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        field.map(|(_, value)| value.as_str())
    }

    /// The body as text.
    pub(super) fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body as JSON; `null` when it is none.
    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_default()
    }

    /// Whether it is a stream, by what it says it is.
    pub(super) fn is_stream(&self) -> bool {
        let media = self.header("content-type").unwrap_or_default();
        media.starts_with("text/event-stream") || media.starts_with("application/x-ndjson")
    }

    /// What was said: the text of the answer, whole or streamed, in any dialect.
    pub(super) fn said(&self) -> String {
        if self.is_stream() { self.events().iter().map(text_of).collect() } else { text_of(&self.json()) }
    }

    /// Whether it looks complete to its reader: the end mark of the dialect and of HTTP.
    pub(super) fn looks_complete(&self) -> bool {
        const ENDS: [&str; 3] = ["message_stop", "response.completed", "response.incomplete"];
        let ends = |event: &Value| event["done"] == true || ENDS.iter().any(|end| event["type"] == *end);
        let ended = self.events().iter().any(ends);
        self.whole && (!self.is_stream() || ended || self.text().contains("data: [DONE]"))
    }

    /// Whether it tells its reader of an error.
    pub(super) fn tells_an_error(&self) -> bool {
        let events = if self.is_stream() { self.events() } else { vec![self.json()] };
        events.iter().any(|event| !event["error"].is_null() || !event["response"]["error"].is_null())
    }

    /// The JSON of each event or line.
    pub(super) fn events(&self) -> Vec<Value> {
        let text = self.text();
        let data = |line: &str| serde_json::from_str(line.strip_prefix("data: ").unwrap_or(line)).ok();
        text.lines().filter_map(data).collect()
    }

    /// Who was asked and what came of it: the header's story, or a stream's last word on it.
    pub(super) fn attempts(&self) -> String {
        let text = self.text();
        let told = text.lines().rev().find_map(|line| line.strip_prefix(": hapax-attempts "));
        told.or_else(|| self.header("x-hapax-attempts")).unwrap_or_default().to_owned()
    }

    /// In one line, for the table.
    pub(super) fn brief(&self) -> String {
        let mut brief = self.status.to_string();
        if self.is_stream() {
            brief.push_str(" stream");
        }
        let story = self.attempts();
        if !story.is_empty() {
            brief.push_str(&format!(" [{story}]"));
        }
        if self.tells_an_error() {
            brief.push_str(", an error in words");
        } else {
            brief.push_str(if self.looks_complete() { ", complete" } else { ", CUT OFF" });
        }
        brief
    }
}

/// The text in an answer or an event of any dialect.
fn text_of(said: &Value) -> String {
    let choice = &said["choices"][0];
    let items = said["output"].as_array().into_iter().flatten();
    let contents = [&said["content"]].into_iter().chain(items.map(|item| &item["content"]));
    let blocks = contents.filter_map(Value::as_array).flatten();
    let piece = if said["type"] == "response.output_text.delta" { &said["delta"] } else { &Value::Null };
    let parts = [
        piece,
        &choice["message"]["content"],
        &choice["delta"]["content"],
        &said["delta"]["text"],
        &said["message"]["content"],
    ];
    parts.into_iter().chain(blocks.map(|block| &block["text"])).filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream(media: &str, body: &str) -> Answer {
        let headers = vec![("Content-Type".to_owned(), media.to_owned())];
        Answer { status: 200, headers, body: body.as_bytes().to_vec(), whole: true }
    }

    #[test]
    fn each_dialects_text_end_and_error_are_recognised() {
        let openai =
            "data: {\"choices\":[{\"delta\":{\"content\":\"Hi\"}}]}\n\n: hapax-attempts a:200:1ms\n\n";
        let cut = stream("text/event-stream", openai);
        assert_eq!((cut.said().as_str(), cut.looks_complete()), ("Hi", false));
        assert_eq!(cut.attempts(), "a:200:1ms");
        assert!(stream("text/event-stream", &format!("{openai}data: [DONE]\n\n")).looks_complete());
        let anthropic = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n";
        assert!(stream("text/event-stream", anthropic).looks_complete());
        let responses = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n";
        let event = |kind: &str, error: &str| {
            format!(
                "{responses}data: {{\"type\":\"response.{kind}\",\"response\":{{\"error\":{error}}}}}\n\n"
            )
        };
        for (kind, error, complete) in [("completed", "null", true), ("failed", "{}", false)] {
            let answer = stream("text/event-stream", &event(kind, error));
            assert_eq!((answer.said().as_str(), answer.looks_complete()), ("Hi", complete));
            assert_eq!(answer.tells_an_error(), !complete);
        }
        let whole = r#"{"output":[{"content":[{"type":"output_text","text":"Hi"}]}],"error":null}"#;
        let whole = stream("application/json", whole);
        assert_eq!((whole.said().as_str(), whole.tells_an_error()), ("Hi", false));
        let ollama =
            stream("application/x-ndjson", "{\"message\":{\"content\":\"Hi\"}}\n{\"error\":\"no\"}\n");
        assert_eq!((ollama.said().as_str(), ollama.looks_complete()), ("Hi", false));
        assert!(ollama.tells_an_error());
        assert!(stream("application/x-ndjson", "{\"done\":true}\n").looks_complete());
    }
}
