//! A raw HTTP client that tells exactly how an answer ended.

use super::super::Simulator;
use crate::clock::SystemClock;
use serde_json::{Value, json};
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

/// Longer than anything here takes; reached only by a failing test.
pub(super) const PATIENCE: Duration = Duration::from_secs(20);
/// How long a silence is listened to.
const SILENCE: Duration = Duration::from_millis(60);

pub(super) fn simulator() -> Simulator {
    Simulator::start("127.0.0.1:0", Arc::new(SystemClock)).expect("a port")
}

pub(super) fn behaving(behaviour: &str) -> Simulator {
    let simulator = simulator();
    simulator.behave(behaviour).expect("a behaviour");
    simulator
}

/// How an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// As its head said.
    Complete,
    /// Closed before.
    Closed,
    /// Reset before.
    Reset,
    /// Nothing more came.
    Silent,
}

#[derive(Debug)]
pub(super) struct Answer {
    pub status: u16,
    pub head: String,
    /// The body, transfer coding taken away.
    pub body: Vec<u8>,
    /// Whole chunks.
    pub chunks: usize,
    pub how: How,
}

impl Answer {
    pub(super) fn text(&self) -> String {
        String::from_utf8(self.body.clone()).expect("UTF-8")
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("not JSON: {}", self.text()))
    }

    fn length(&self) -> Option<usize> {
        let length = self.head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        length.map(|length| length.parse().expect("a length"))
    }

    /// The data of an event stream, or the lines of NDJSON.
    pub(super) fn frames(&self) -> Vec<String> {
        let text = self.text();
        let lines = text.lines().filter(|line| !line.is_empty() && !line.starts_with([':', 'e']));
        lines.map(|line| line.strip_prefix("data: ").unwrap_or(line).to_owned()).collect()
    }

    pub(super) fn json_frames(&self) -> Vec<Value> {
        self.frames().iter().filter_map(|frame| serde_json::from_str(frame).ok()).collect()
    }

    /// The text of all content frames of any dialect.
    pub(super) fn tokens(&self) -> Vec<String> {
        let token = |frame: &Value| {
            let places = [
                &frame["choices"][0]["delta"]["content"],
                &frame["delta"]["text"],
                &frame["message"]["content"],
                &frame["response"],
            ];
            let text = places.into_iter().find_map(Value::as_str).unwrap_or_default();
            (!text.is_empty()).then(|| text.to_owned())
        };
        self.json_frames().iter().filter_map(token).collect()
    }
}

pub(super) struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(super) fn to(simulator: &Simulator) -> Self {
        let stream = TcpStream::connect(simulator.address()).expect("a connection");
        stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        Self { stream, buffer: Vec::new() }
    }

    pub(super) fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).expect("written");
    }

    pub(super) fn ask(&mut self, method: &str, path: &str, headers: &str, body: &str) {
        let length = body.len();
        self.send(&format!(
            "{method} {path} HTTP/1.1\r\nHost: x\r\n{headers}Content-Length: {length}\r\n\r\n{body}"
        ));
    }

    pub(super) fn post(&mut self, path: &str, body: &Value) {
        let headers = if path.starts_with("/v1/messages") { ANTHROPIC } else { "" };
        self.ask("POST", path, headers, &body.to_string());
    }

    /// Makes sure that more bytes are there; or how it ended.
    fn more(&mut self) -> Result<(), How> {
        let mut piece = [0; 4096];
        match self.stream.read(&mut piece) {
            Ok(0) => Err(How::Closed),
            Ok(read) => {
                self.buffer.extend_from_slice(&piece[..read]);
                Ok(())
            }
            Err(error) if error.kind() == ErrorKind::ConnectionReset => Err(How::Reset),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Err(How::Silent),
            Err(error) => panic!("{error}"),
        }
    }

    fn line(&mut self) -> Result<String, How> {
        loop {
            if let Some(end) = self.buffer.windows(2).position(|two| two == b"\r\n") {
                let line = self.buffer.drain(..end + 2).collect();
                return Ok(String::from_utf8(line).expect("UTF-8").trim_end().to_owned());
            }
            self.more()?;
        }
    }

    fn take(&mut self, mut length: usize, body: &mut Vec<u8>) -> Result<(), How> {
        loop {
            let here = length.min(self.buffer.len());
            body.extend(self.buffer.drain(..here));
            length -= here;
            if length == 0 {
                return Ok(());
            }
            self.more()?;
        }
    }

    /// Reads one answer. Without a head, its status is 0.
    pub(super) fn answer(&mut self) -> Answer {
        let mut answer =
            Answer { status: 0, head: String::new(), body: Vec::new(), chunks: 0, how: How::Complete };
        if let Err(how) = self.read(&mut answer) {
            answer.how = how;
        }
        answer
    }

    /// Whether nothing more comes for a moment.
    pub(super) fn is_silent(&mut self) -> bool {
        self.stream.set_read_timeout(Some(SILENCE)).expect("a timeout");
        let how = self.more();
        self.stream.set_read_timeout(Some(PATIENCE)).expect("a timeout");
        how == Err(How::Silent)
    }

    /// Reads a head, and of a whole answer's body the first half.
    pub(super) fn until_half(&mut self) -> Answer {
        let mut answer =
            Answer { status: 0, head: String::new(), body: Vec::new(), chunks: 0, how: How::Silent };
        self.head(&mut answer).expect("a head");
        let half = answer.length().expect("a length") / 2;
        self.take(half, &mut answer.body).expect("half a body");
        assert!(self.buffer.is_empty());
        answer
    }

    /// Reads until the answer has this many tokens; what follows stays unread.
    pub(super) fn until_tokens(&mut self, count: usize) -> Answer {
        let mut answer =
            Answer { status: 0, head: String::new(), body: Vec::new(), chunks: 0, how: How::Complete };
        self.head(&mut answer).expect("a head");
        while answer.tokens().len() < count {
            self.chunk(&mut answer).expect("a chunk");
        }
        answer
    }

    fn head(&mut self, answer: &mut Answer) -> Result<(), How> {
        let first = self.line()?;
        answer.status = first.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
        answer.head = format!("{first}\r\n");
        if answer.status == 0 {
            return Err(self.more().err().unwrap_or(How::Complete));
        }
        loop {
            let line = self.line()?;
            if line.is_empty() {
                return Ok(());
            }
            answer.head += &format!("{line}\r\n");
        }
    }

    fn chunk(&mut self, answer: &mut Answer) -> Result<bool, How> {
        let size = usize::from_str_radix(&self.line()?, 16).expect("a chunk size");
        self.take(size, &mut answer.body)?;
        assert_eq!(self.line()?, "");
        answer.chunks += usize::from(size > 0);
        Ok(size > 0)
    }

    fn read(&mut self, answer: &mut Answer) -> Result<(), How> {
        self.head(answer)?;
        let length =
            answer.head.lines().find_map(|line| line.strip_prefix("Content-Length: ").map(str::to_owned));
        if let Some(length) = length {
            return self.take(length.parse().expect("a length"), &mut answer.body);
        }
        if !answer.head.contains("Transfer-Encoding: chunked") {
            loop {
                answer.body.append(&mut self.buffer);
                match self.more() {
                    Ok(()) => {}
                    Err(How::Closed) => return Ok(()),
                    Err(how) => return Err(how),
                }
            }
        }
        while self.chunk(answer)? {}
        Ok(())
    }
}

pub(super) const ANTHROPIC: &str = "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n";
pub(super) const CHATS: [&str; 3] = ["/v1/chat/completions", "/v1/messages", "/api/chat"];

/// A question that every dialect understands.
pub(super) fn question(model: &str, text: &str, stream: bool) -> Value {
    json!({
        "model": model, "stream": stream, "max_tokens": 1000,
        "messages": [{"role": "user", "content": text}],
    })
}

/// Asks on a connection of its own.
pub(super) fn ask(simulator: &Simulator, path: &str, body: &Value) -> Answer {
    let mut client = Client::to(simulator);
    client.post(path, body);
    client.answer()
}

/// Asks `hello there` of model `m`.
pub(super) fn hello(simulator: &Simulator, path: &str, stream: bool) -> Answer {
    ask(simulator, path, &question("m", "hello there", stream))
}
