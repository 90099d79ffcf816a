//! Stub; the vendor's room replaces it.
#![allow(missing_docs, clippy::all, unused_variables, reason = "stub")]

use super::{Complaint, Defaults, Invalid, Outgoing, Sign, Wording};
use crate::domain::chat::{Answer, Chat, Delta, Usage};
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::{Gist, Words};

fn none() -> Failure {
    Failure::new(Fault::Internal, "")
}
pub fn open(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    Err(Invalid::new(None, ""))
}
pub fn decode(words: &Words) -> Result<Chat, Invalid> {
    Err(Invalid::new(None, ""))
}
pub fn write_answer(answer: &Answer, wording: &Wording) -> Vec<u8> {
    Vec::new()
}
pub fn write_error(complaint: &Complaint) -> Vec<u8> {
    Vec::new()
}
pub struct Writer;
impl Writer {
    pub fn new(wording: Wording) -> Self {
        Self
    }
    pub fn delta(&mut self, delta: &Delta, out: &mut Vec<u8>) {}
    pub fn saw(&mut self, deltas: &[Delta]) {}
    pub fn saw_verbatim(&mut self, frame: &[u8], deltas: &[Delta]) {}
    pub fn end(&mut self, out: &mut Vec<u8>) {}
    pub fn failure(&mut self, complaint: &Complaint, out: &mut Vec<u8>) {}
    pub fn keep_alive(&mut self, out: &mut Vec<u8>) {}
}
pub const STREAM_TYPE: &str = "text/event-stream";
pub fn pass(words: &Words, gist: &Gist, model: &str, so_far: Option<&str>) -> Result<Outgoing, Failure> {
    Err(none())
}
pub fn encode(
    chat: &Chat,
    gist: &Gist,
    model: &str,
    so_far: Option<&str>,
    defaults: &Defaults,
) -> Result<Outgoing, Failure> {
    Err(none())
}
pub fn read_answer(body: &[u8], unwrap_tool: Option<&str>) -> Result<Answer, Failure> {
    Err(none())
}
pub fn facts(body: &[u8]) -> Result<(String, Option<Usage>), Failure> {
    Err(none())
}
pub fn read_error(status: u16, body: &[u8]) -> Failure {
    none()
}
pub struct Events;
impl Events {
    pub fn new(unwrap_tool: Option<&str>) -> Self {
        Self
    }
    pub fn read(
        &mut self,
        event: Option<&str>,
        data: &str,
        deltas: &mut Vec<Delta>,
    ) -> Result<Sign, Failure> {
        Err(none())
    }
}
