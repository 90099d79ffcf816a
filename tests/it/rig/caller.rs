//! A caller on a raw socket: says exactly what it is told to, and hears exactly what was said.

use super::PATIENCE;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// One connection.
pub struct Conversation {
    stream: BufReader<TcpStream>,
}

/// A complete answer.
#[derive(Debug, Clone)]
pub struct Answer {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Whether the body ended as HTTP says it must.
    pub whole: bool,
}

impl Answer {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers
            .iter()
            .find(|(other, _)| other.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.as_str())
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|error| panic!("{error} in {}", self.text()))
    }

    /// The text of an OpenAI chat answer, whole or streamed.
    pub fn said(&self) -> String {
        if self.header("content-type").is_some_and(|media| media.starts_with("text/event-stream")) {
            let chunk = |data: &str| -> Option<String> {
                let chunk: serde_json::Value = serde_json::from_str(data).ok()?;
                chunk["choices"][0]["delta"]["content"].as_str().map(str::to_owned)
            };
            return self.events().iter().filter_map(|data| chunk(data)).collect();
        }
        self.json()["choices"][0]["message"]["content"].as_str().unwrap_or_default().to_owned()
    }

    /// The data of each server-sent event.
    pub fn events(&self) -> Vec<String> {
        self.text().lines().filter_map(|line| line.strip_prefix("data: ")).map(str::to_owned).collect()
    }

    /// Whether an OpenAI stream looks complete to its reader.
    pub fn is_done(&self) -> bool {
        self.whole && self.events().last().is_some_and(|last| last == "[DONE]")
    }
}

impl Conversation {
    pub fn new(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).expect("the gateway listens");
        stream.set_nodelay(true).expect("a socket option");
        stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
        Self { stream: BufReader::new(stream) }
    }

    pub fn raw(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).expect("the gateway reads");
    }

    pub fn send(&mut self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: test\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            if headers.iter().all(|(name, _)| !name.eq_ignore_ascii_case("content-type")) {
                text.push_str("Content-Type: application/json\r\n");
            }
            text.push_str(&format!("Content-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        self.raw(text.as_bytes());
    }

    /// The next answer, whole.
    pub fn answer(&mut self) -> Answer {
        self.answer_to("GET")
    }

    /// The next answer; to `HEAD` it has no body.
    pub fn answer_to(&mut self, method: &str) -> Answer {
        let (status, headers) = self.head();
        let mut answer = Answer { status, headers, body: Vec::new(), whole: true };
        if method == "HEAD" || status == 204 {
            return answer;
        }
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.whole = loop {
                match self.chunk() {
                    Some(chunk) if chunk.is_empty() => break true,
                    Some(chunk) => answer.body.extend_from_slice(&chunk),
                    None => break false,
                }
            };
        } else {
            let length: usize =
                answer.header("content-length").and_then(|n| n.parse().ok()).expect("a length");
            answer.body.resize(length, 0);
            answer.whole = self.stream.read_exact(&mut answer.body).is_ok();
        }
        answer
    }

    /// Status and header fields.
    pub fn head(&mut self) -> (u16, Vec<(String, String)>) {
        let line = self.line().expect("an answer comes");
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.unwrap_or_else(|| panic!("no status in {line:?}"));
        let mut headers = Vec::new();
        loop {
            let line = self.line().expect("the head is complete");
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        (status, headers)
    }

    /// One chunk; empty at the end, `None` when the connection broke before it.
    pub fn chunk(&mut self) -> Option<Vec<u8>> {
        let size = usize::from_str_radix(&self.line()?, 16).ok()?;
        let mut chunk = vec![0; size + 2];
        self.stream.read_exact(&mut chunk).ok()?;
        chunk.truncate(size);
        Some(chunk)
    }

    fn line(&mut self) -> Option<String> {
        let mut line = String::new();
        match self.stream.read_line(&mut line) {
            Ok(n) if n > 0 && line.ends_with("\r\n") => Some(line.trim_end().to_owned()),
            _ => None,
        }
    }

    /// Whether the gateway has closed the connection.
    pub fn is_closed(&mut self) -> bool {
        use std::io::ErrorKind::{TimedOut, WouldBlock};
        match self.stream.fill_buf() {
            Ok(more) => more.is_empty(),
            Err(error) => !matches!(error.kind(), TimedOut | WouldBlock),
        }
    }
}
