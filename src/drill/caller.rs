//! A caller on a socket of his own: says what the row wants said, and hears exactly what was answered.

use super::PATIENCE;
use super::answer::Answer;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};

/// A head's lines together.
const HEAD_BYTES_MAX: u64 = 64 << 10;
/// An answer's body; the drill's are a few KiB.
const BODY_BYTES_MAX: usize = 4 << 20;

/// One connection.
pub(super) struct Conversation {
    stream: BufReader<TcpStream>,
}

impl Conversation {
    /// Connects.
    pub(super) fn new(address: SocketAddr) -> Result<Self, String> {
        let wrong = |error: std::io::Error| format!("the gateway at {address} cannot be reached: {error}");
        let stream = TcpStream::connect_timeout(&address, PATIENCE).map_err(wrong)?;
        stream.set_nodelay(true).map_err(wrong)?;
        stream.set_read_timeout(Some(PATIENCE)).map_err(wrong)?;
        stream.set_write_timeout(Some(PATIENCE)).map_err(wrong)?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request.
    pub(super) fn send(
        &mut self,
        (method, path): (&str, &str),
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<(), String> {
        let mut text = format!("{method} {path} HTTP/1.1\r\nHost: drill\r\n");
        for (name, value) in headers {
            text.push_str(&format!("{name}: {value}\r\n"));
        }
        if !body.is_empty() {
            text.push_str(&format!("Content-Type: application/json\r\nContent-Length: {}\r\n", body.len()));
        }
        text.push_str("\r\n");
        text.push_str(body);
        let sent = self.stream.get_mut().write_all(text.as_bytes());
        sent.map_err(|error| format!("the gateway did not take the request: {error}"))
    }

    /// The next answer, whole.
    pub(super) fn answer(&mut self) -> Result<Answer, String> {
        let mut answer = self.head()?;
        if answer.header("transfer-encoding") == Some("chunked") {
            answer.whole = loop {
                match self.chunk()? {
                    Some(chunk) if chunk.is_empty() => break true,
                    Some(chunk) => answer.body.extend_from_slice(&chunk),
                    None => break false,
                }
                if answer.body.len() > BODY_BYTES_MAX {
                    return Err("the answer does not end".to_owned());
                }
            };
        } else {
            let length = answer.header("content-length").and_then(|length| length.parse().ok());
            let length = length.filter(|length| *length <= BODY_BYTES_MAX).ok_or("no proper length")?;
            answer.body.resize(length, 0);
            answer.whole = self.stream.read_exact(&mut answer.body).is_ok();
        }
        Ok(answer)
    }

    /// Status and header fields of the next answer.
    pub(super) fn head(&mut self) -> Result<Answer, String> {
        let line = self.line()?.ok_or("the connection was closed without an answer")?;
        let status = line.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status = status.ok_or_else(|| format!("no status in {line:?}"))?;
        let mut headers = Vec::new();
        loop {
            let line = self.line()?.ok_or("the answer's head was cut")?;
            let Some((name, value)) = line.split_once(": ") else { break };
            headers.push((name.to_owned(), value.to_owned()));
        }
        Ok(Answer { status, headers, body: Vec::new(), whole: true })
    }

    /// One chunk; empty at the end, `None` when the connection broke before it.
    pub(super) fn chunk(&mut self) -> Result<Option<Vec<u8>>, String> {
        let Some(line) = self.line()? else { return Ok(None) };
        let size = usize::from_str_radix(&line, 16).ok().filter(|size| *size <= BODY_BYTES_MAX);
        let size = size.ok_or_else(|| format!("{line:?} is no chunk's size"))?;
        let mut chunk = vec![0; size + 2];
        if self.stream.read_exact(&mut chunk).is_err() {
            return Ok(None);
        }
        chunk.truncate(size);
        Ok(Some(chunk))
    }

    /// A line without its end; `None` when the connection ended before it.
    fn line(&mut self) -> Result<Option<String>, String> {
        let mut line = String::new();
        match (&mut self.stream).take(HEAD_BYTES_MAX).read_line(&mut line) {
            Ok(read) if read > 0 && line.ends_with("\r\n") => Ok(Some(line.trim_end().to_owned())),
            Ok(_) => Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                Err(format!("no answer within {} s", PATIENCE.as_secs()))
            }
            Err(_) => Ok(None),
        }
    }
}
