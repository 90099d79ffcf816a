//! A caller on a raw socket: keeps its connection as long as HTTP lets it, hears everything, and can leave at any time.

use crate::words::{Heard, Voice};
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// No answer takes longer; one that does is a failure.
const PATIENCE: Duration = Duration::from_secs(60);
/// Bytes of one line of a head.
const LINE_BYTES_MAX: u64 = 16 << 10;
/// Bytes of one body; the simulators say less.
const BODY_BYTES_MAX: usize = 64 << 20;

/// What is asked.
#[derive(Debug, Clone)]
pub struct Request {
    /// In whose words.
    pub voice: Voice,
    /// Of which model.
    pub model: String,
    /// What the user says.
    pub user: String,
    /// Whether the answer is to be streamed.
    pub stream: bool,
    /// More header lines, each with its end.
    pub headers: String,
}

impl Request {
    /// To the simulated model that all providers of a phase have.
    pub fn new(voice: Voice, user: String, stream: bool) -> Self {
        Self { voice, model: "m-1".to_owned(), user, stream, headers: String::new() }
    }

    /// The request as bytes.
    pub fn bytes(&self) -> Vec<u8> {
        let body = self.voice.body(&self.model, &self.user, self.stream);
        let (path, headers, length) = (self.voice.path(), &self.headers, body.len());
        format!(
            "POST {path} HTTP/1.1\r\nHost: endurance\r\nContent-Type: application/json\r\n\
             Authorization: Bearer endurance\r\nx-api-key: endurance\r\nanthropic-version: 2023-06-01\r\n\
             {headers}Content-Length: {length}\r\n\r\n{body}"
        )
        .into_bytes()
    }
}

/// One caller, with at most one connection.
#[derive(Debug)]
pub struct Caller {
    address: SocketAddr,
    line: Option<BufReader<TcpStream>>,
    /// How often a kept connection had been closed when it was to be used again; the request was then sent anew.
    pub stale: u64,
}

/// How a body's length is told.
enum Length {
    Bytes(usize),
    Chunks,
    /// Until the connection ends; with HTTP/1.1 nobody can tell whether that was all.
    End,
}

/// A head, as far as it matters.
pub struct Head {
    heard: Heard,
    length: Length,
    keep: bool,
}

impl Head {
    /// Whether it says that the answer is shared.
    pub fn deduplicated(&self) -> bool {
        self.heard.deduplicated
    }
}

impl Caller {
    /// Not connected yet.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, line: None, stale: 0 }
    }

    /// Asks, and hears the answer to its end. An answer that does not come at all is an error.
    pub fn ask(&mut self, request: &Request) -> Result<Heard, String> {
        let head = match self.begin(request) {
            Ok(head) => head,
            Err((error, reused)) if reused && is_stale(&error) => {
                self.stale += 1;
                self.begin(request).map_err(|(error, _)| error.to_string())?
            }
            Err((error, _)) => return Err(error.to_string()),
        };
        Ok(self.rest(head))
    }

    fn begin(&mut self, request: &Request) -> Result<Head, (io::Error, bool)> {
        let reused = self.line.is_some();
        let begun = self.send(request).and_then(|()| self.head());
        begun.map_err(|error| {
            self.line = None;
            (error, reused)
        })
    }

    /// Sends a request, on a new connection if none is kept.
    pub fn send(&mut self, request: &Request) -> io::Result<()> {
        let line = match self.line.take() {
            Some(line) => line,
            None => {
                let stream = TcpStream::connect_timeout(&self.address, PATIENCE)?;
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(PATIENCE))?;
                stream.set_write_timeout(Some(PATIENCE))?;
                BufReader::new(stream)
            }
        };
        self.line.insert(line).get_mut().write_all(&request.bytes())
    }

    /// Hears the head.
    pub fn head(&mut self) -> io::Result<Head> {
        let line = self.text_line()?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| io::Error::other(format!("no status in {line:?}")))?;
        let mut heard = Heard { status, ..Heard::default() };
        let (mut length, mut keep) = (Length::End, true);
        loop {
            let line = self.text_line()?;
            let Some((name, value)) = line.split_once(':') else { break };
            let (name, value) = (name.to_ascii_lowercase(), value.trim());
            match name.as_str() {
                "content-length" => {
                    length = Length::Bytes(value.parse().map_err(io::Error::other)?);
                }
                "transfer-encoding" => length = Length::Chunks,
                "connection" => keep = !value.eq_ignore_ascii_case("close"),
                "x-hapax-deduplicated" => heard.deduplicated = true,
                "x-hapax-attempts" | "x-request-id" => heard.story.push_str(&format!("{name}={value} ")),
                _ => {}
            }
        }
        Ok(Head { heard, length, keep })
    }

    /// Hears the body to its end, whatever the end is.
    fn rest(&mut self, head: Head) -> Heard {
        let Head { mut heard, length, keep } = head;
        heard.ended = match length {
            Length::Bytes(length) => {
                heard.body = vec![0; length.min(BODY_BYTES_MAX)];
                self.line.as_mut().is_some_and(|line| line.read_exact(&mut heard.body).is_ok())
            }
            Length::Chunks => loop {
                match self.chunk() {
                    Ok(chunk) if chunk.is_empty() => break true,
                    Ok(chunk) if heard.body.len() + chunk.len() <= BODY_BYTES_MAX => {
                        heard.body.extend_from_slice(&chunk);
                    }
                    _ => break false,
                }
            },
            Length::End => false,
        };
        if !heard.ended || !keep {
            self.line = None;
        }
        heard
    }

    /// Hears one chunk of a stream; empty at its end.
    pub fn chunk(&mut self) -> io::Result<Vec<u8>> {
        let size = self.text_line()?;
        let size = usize::from_str_radix(&size, 16).map_err(io::Error::other)?;
        let line = self.line.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut chunk = vec![0; size.min(BODY_BYTES_MAX) + 2];
        line.read_exact(&mut chunk)?;
        chunk.truncate(size);
        Ok(chunk)
    }

    /// Leaves, in the middle of whatever it is.
    pub fn leave(&mut self) {
        self.line = None;
    }

    /// Makes the next wait for the gateway this long at most.
    pub fn be_patient_for(&self, patience: Duration) {
        if let Some(line) = &self.line {
            // A socket that refuses is one that is gone; reading will tell.
            let _ = line.get_ref().set_read_timeout(Some(patience));
        }
    }

    fn text_line(&mut self) -> io::Result<String> {
        let line = self.line.as_mut().ok_or(io::ErrorKind::NotConnected)?;
        let mut text = String::new();
        line.by_ref().take(LINE_BYTES_MAX).read_line(&mut text)?;
        match text.strip_suffix("\r\n") {
            Some(text) => Ok(text.to_owned()),
            None => Err(io::ErrorKind::UnexpectedEof.into()),
        }
    }
}

/// The connection was gone before anything of an answer came.
fn is_stale(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe
    )
}

/// What `/metrics` says now.
pub fn metrics(address: SocketAddr) -> Result<String, String> {
    let mut caller = Caller::new(address);
    let told = |error: io::Error| error.to_string();
    let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(told)?;
    stream.set_read_timeout(Some(PATIENCE)).map_err(told)?;
    let line = caller.line.insert(BufReader::new(stream));
    line.get_mut().write_all(b"GET /metrics HTTP/1.1\r\nHost: endurance\r\n\r\n").map_err(told)?;
    let head = caller.head().map_err(told)?;
    Ok(String::from_utf8_lossy(&caller.rest(head).body).into_owned())
}

/// The lines of `/metrics` that begin so, as `labels value` in one line of words.
pub fn counted(metrics: &str, name: &str) -> String {
    let lines = metrics.lines().filter(|line| line.starts_with(name) && !line.ends_with(" 0"));
    lines.map(|line| &line[name.len()..]).collect::<Vec<_>>().join("; ")
}
