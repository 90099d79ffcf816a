//! One request's answer, performed as its behaviour says: waits, frames, and every way to break off.

use super::Shared;
use super::anthropic::Anthropic;
use super::behaviour::{Behaviour, Ending, Instead, Manner, Place};
use super::complaint::{self, Complaint};
use super::connection::Asked;
use super::diary::End;
use super::gemini::Gemini;
use super::http::{Head, Request};
use super::line::{Broken, Line, machine_now};
use super::ollama::Ollama;
use super::openai::OpenAi;
use super::responses::Responses;
use super::route::Vendor;
use super::talk::{Answer, Delta};
use super::voice::{Voice, comment, malformed, stream_type, unix_seconds};
use std::io::Write;
use std::time::Instant;

/// The content type of whole bodies.
const JSON: &str = "application/json";
/// What a captive portal says.
const GARBAGE: &str = "<!DOCTYPE html><html><body><h1>It works!</h1></body></html>\n";
/// What a port of something else says.
const GARBAGE_HTTP: &[u8] = b"SSH-2.0-OpenSSH_9.6p1\r\n";
/// What a whole answer without end consists of.
const ENDLESS: &str = "on and on and on and on and on and on and on and on and on and on ";

/// One request's answer.
pub(super) struct Turn<'a> {
    /// The simulator.
    pub shared: &'a Shared,
    /// The connection.
    pub line: &'a Line,
    /// The request's number.
    pub number: u64,
    /// Whose dialect it is.
    pub vendor: Vendor,
    /// How to behave.
    pub behaviour: &'a Behaviour,
    /// What of the request matters still: keep-alive and chunks.
    pub request: &'a Request,
}

impl Turn<'_> {
    /// Performs it. `Ok` when a complete answer was written.
    pub(super) fn perform(&self, asked: Result<Asked, (Complaint, String)>) -> Result<(), Broken> {
        let behaviour = self.behaviour;
        self.line.wait(behaviour.delay)?;
        if behaviour.hold {
            self.line.wait_at(&self.shared.gate)?;
        }
        let streamed = matches!(&asked, Ok(Asked::Completion { question, .. }) if question.stream);
        match behaviour.instead {
            Instead::Down | Instead::Close => Err(Broken::Misbehaved),
            Instead::Reset => {
                self.line.reset();
                Err(Broken::Misbehaved)
            }
            Instead::Stall => Err(self.line.stall()),
            Instead::GarbageHttp => {
                self.line.write(GARBAGE_HTTP)?;
                Err(Broken::Misbehaved)
            }
            Instead::Garbage => self.whole(200, "text/html", GARBAGE),
            Instead::EmptyBody if streamed => self.stream_of_one(""),
            Instead::EmptyBody => self.whole(200, JSON, ""),
            Instead::Error200 if streamed => self.stream_of_one(&self.error_frame()),
            Instead::Error200 => self.whole(200, JSON, &self.error_body()),
            Instead::Redirect => self.redirect(),
            _ => match asked {
                Err((complaint, model)) => {
                    let (status, body) = complaint.word(self.vendor, &model, self.number);
                    self.whole(status, JSON, behaviour.body.as_ref().unwrap_or(&body))
                }
                Ok(asked) => self.answer(asked, streamed),
            },
        }
    }

    fn answer(&self, asked: Asked, streamed: bool) -> Result<(), Broken> {
        let behaviour = self.behaviour;
        if let Some(body) = &behaviour.body {
            return self.whole(self.status(), if streamed { stream_type(self.vendor) } else { JSON }, body);
        }
        let (question, generate) = match asked {
            Asked::Completion { question, generate } => (question, generate),
            Asked::Embeddings { body, .. } | Asked::Check { body } => {
                return self.broken_whole(JSON, body);
            }
        };
        let today = self.shared.clock.today();
        let mut answer = Answer::to(&question, behaviour, self.number, unix_seconds(today));
        let load = self.vendor == Vendor::Ollama && question.messages.is_empty();
        if load {
            answer.text.clear();
        }
        let mut voice: Box<dyn Voice + '_> = match self.vendor {
            Vendor::OpenAi | Vendor::Azure => Box::new(OpenAi::new(&answer)),
            Vendor::Responses => Box::new(Responses::new(&answer)),
            Vendor::Gemini => Box::new(Gemini::new(&answer)),
            Vendor::Anthropic => Box::new(Anthropic::new(&answer)),
            Vendor::Ollama => Box::new(Ollama::new(&answer, generate, load, &self.shared.calendar())),
        };
        let calls_whole = matches!(self.vendor, Vendor::Ollama | Vendor::Gemini);
        if streamed {
            return self.stream(voice.as_mut(), &answer.deltas(calls_whole));
        }
        if behaviour.endless {
            return self.endless();
        }
        self.broken_whole(JSON, voice.whole(behaviour.ending != Ending::NoFinish))
    }

    /// A whole answer with those faults that concern its content.
    fn broken_whole(&self, content_type: &str, mut body: String) -> Result<(), Broken> {
        if self.behaviour.malformed_at.is_some() {
            let half = body.floor_char_boundary(body.len() / 2);
            body.truncate(half);
        }
        if matches!(self.behaviour.break_off, Some((_, Manner::Error))) {
            body = self.error_body();
        }
        self.whole(self.status(), content_type, &body)
    }

    /// One body with its length declared, in one write unless the behaviour wants pauses.
    fn whole(&self, status: u16, content_type: &str, body: &str) -> Result<(), Broken> {
        let (behaviour, body) = (self.behaviour, body.as_bytes());
        let mut out = Vec::with_capacity(512 + body.len());
        self.head(status, content_type, Some(body.len()), &behaviour.headers).write(&mut out);
        let half = body.len() / 2;
        let mut from = 0;
        if !behaviour.first.is_zero() {
            self.line.write(&out)?;
            out.clear();
            self.line.wait(behaviour.first)?;
        }
        if behaviour.hold_after.is_some() {
            out.extend_from_slice(&body[..half]);
            self.line.write(&out)?;
            out.clear();
            from = half;
            self.line.wait_at(&self.shared.gate)?;
        }
        if let Some((place, manner @ (Manner::Cut | Manner::Reset | Manner::Stall))) = behaviour.break_off {
            let end = match place {
                Place::Frames(_) => half,
                Place::Bytes(bytes) => bytes,
            };
            if end < body.len() {
                out.extend_from_slice(&body[from.min(end)..end]);
                self.line.write(&out)?;
                return Err(self.break_off(manner));
            }
        }
        out.extend_from_slice(&body[from..]);
        self.shared.log.end(self.number, End::Answered);
        self.line.write(&out)
    }

    fn redirect(&self) -> Result<(), Broken> {
        let mut headers = vec![("Location".to_owned(), format!("http://{}/redirected", self.shared.address))];
        headers.extend_from_slice(&self.behaviour.headers);
        let mut out = Vec::new();
        self.head(307, "", Some(0), &headers).write(&mut out);
        self.shared.log.end(self.number, End::Answered);
        self.line.write(&out)
    }

    /// A stream that is content, finish and sentinel as far as the behaviour lets it.
    fn stream(&self, voice: &mut dyn Voice, deltas: &[Delta]) -> Result<(), Broken> {
        let behaviour = self.behaviour;
        let mut outlet = self.open_stream();
        outlet.frame(&voice.opening())?;
        if !behaviour.first.is_zero() {
            outlet.flush()?;
            self.pause(&mut outlet, Some(machine_now() + behaviour.first))?;
        }
        let start = machine_now();
        let more = Delta::Text(" and on".to_owned());
        let mut sent = 0;
        loop {
            let delta = deltas.get(sent).or(behaviour.endless.then_some(&more));
            if self.halt(&mut outlet, sent, delta.is_none())? {
                return self.close_stream(outlet);
            }
            let Some(delta) = delta else { break };
            if sent > 0 && !behaviour.pace.is_zero() {
                let turns = u32::try_from(sent).unwrap_or(u32::MAX);
                self.pause(&mut outlet, Some(start + behaviour.pace.saturating_mul(turns)))?;
            }
            if behaviour.malformed_at == Some(sent + 1) {
                outlet.frame(malformed(self.vendor))?;
            }
            outlet.frame(&voice.delta(delta))?;
            outlet.flush()?;
            sent += 1;
        }
        if behaviour.ending != Ending::NoFinish {
            for frame in voice.finish() {
                outlet.frame(&frame)?;
            }
        }
        if behaviour.ending == Ending::Proper {
            outlet.frame(&voice.sentinel())?;
        }
        self.close_stream(outlet)
    }

    /// Does what is to be done after this many content frames; at the end of content, what was to be done later.
    /// True when the stream is over.
    fn halt(&self, outlet: &mut Outlet<'_>, sent: usize, at_end: bool) -> Result<bool, Broken> {
        let due = |frames: usize| frames == sent || (at_end && frames > sent);
        if self.behaviour.hold_after.is_some_and(due) {
            outlet.flush()?;
            self.line.wait_at(&self.shared.gate)?;
        }
        match self.behaviour.break_off {
            Some((Place::Frames(frames), manner)) if due(frames) => match manner {
                Manner::Error => outlet.frame(&self.error_frame()).map(|()| true),
                Manner::Stall => {
                    outlet.flush()?;
                    self.pause(outlet, None)?;
                    Err(Broken::Misbehaved)
                }
                Manner::Cut | Manner::Reset => {
                    outlet.flush()?;
                    Err(self.break_off(manner))
                }
            },
            _ => Ok(false),
        }
    }

    /// A stream of one frame, or of none.
    fn stream_of_one(&self, frame: &str) -> Result<(), Broken> {
        let mut outlet = self.open_stream();
        outlet.frame(frame)?;
        self.close_stream(outlet)
    }

    /// A whole answer that never ends.
    fn endless(&self) -> Result<(), Broken> {
        let mut outlet = self.open_stream();
        outlet.frame("{\"padding\":\"")?;
        loop {
            outlet.frame(&ENDLESS.repeat(64))?;
            outlet.flush()?;
            self.line.wait(self.behaviour.pace)?;
        }
    }

    fn open_stream(&self) -> Outlet<'_> {
        let left = match self.behaviour.break_off {
            Some((Place::Bytes(bytes), _)) => Some(bytes),
            _ => None,
        };
        let mut pending = Vec::with_capacity(1024);
        let content_type = stream_type(self.vendor);
        self.head(self.status(), content_type, None, &self.behaviour.headers).write(&mut pending);
        Outlet { line: self.line, chunks: self.request.chunks, pending, left }
    }

    fn close_stream(&self, mut outlet: Outlet<'_>) -> Result<(), Broken> {
        if outlet.chunks {
            outlet.pending.extend_from_slice(b"0\r\n\r\n");
        }
        self.shared.log.end(self.number, End::Answered);
        outlet.flush()
    }

    /// Waits until this time, or for ever, saying something meaningless as often as the behaviour wants.
    fn pause(&self, outlet: &mut Outlet<'_>, until: Option<Instant>) -> Result<(), Broken> {
        if let Some(every) = self.behaviour.comments {
            loop {
                let next = machine_now() + every;
                if until.is_some_and(|until| until <= next) {
                    break;
                }
                self.line.wait_until(next)?;
                outlet.frame(comment(self.vendor))?;
                outlet.flush()?;
            }
        }
        match until {
            Some(until) => self.line.wait_until(until),
            None => Err(self.line.stall()),
        }
    }

    fn break_off(&self, manner: Manner) -> Broken {
        match manner {
            Manner::Stall => return self.line.stall(),
            Manner::Reset => self.line.reset(),
            Manner::Cut | Manner::Error => {}
        }
        Broken::Misbehaved
    }

    fn error_body(&self) -> String {
        self.behaviour
            .body
            .clone()
            .unwrap_or_else(|| complaint::mid_stream(self.vendor).word(self.vendor, "", self.number).1)
    }

    fn error_frame(&self) -> String {
        complaint::frame(self.vendor, &self.error_body())
    }

    fn status(&self) -> u16 {
        match self.behaviour.instead {
            Instead::Status(status) => status,
            _ => 200,
        }
    }

    fn head<'b>(
        &'b self,
        status: u16,
        content_type: &'b str,
        length: Option<usize>,
        extra: &'b [(String, String)],
    ) -> Head<'b> {
        let (chunks, keep_alive) = (self.request.chunks, self.request.keep_alive);
        Head { status, content_type, length, chunks, keep_alive, extra }
    }
}

/// The body of a stream on its way: gathers frames into one write, and cuts at a byte.
struct Outlet<'a> {
    line: &'a Line,
    chunks: bool,
    pending: Vec<u8>,
    /// Bytes of body until the cut.
    left: Option<usize>,
}

impl Outlet<'_> {
    /// Adds a frame, as a chunk of its own.
    fn frame(&mut self, text: &str) -> Result<(), Broken> {
        if text.is_empty() {
            return Ok(());
        }
        if self.chunks {
            // Writing to memory does not fail.
            let _ = write!(self.pending, "{:x}\r\n", text.len());
        }
        if let Some(left) = &mut self.left {
            if *left < text.len() {
                self.pending.extend_from_slice(&text.as_bytes()[..*left]);
                self.flush()?;
                return Err(Broken::Misbehaved);
            }
            *left -= text.len();
        }
        self.pending.extend_from_slice(text.as_bytes());
        if self.chunks {
            self.pending.extend_from_slice(b"\r\n");
        }
        Ok(())
    }

    /// Writes what was added.
    fn flush(&mut self) -> Result<(), Broken> {
        if self.pending.is_empty() {
            return Ok(());
        }
        self.line.write(&self.pending)?;
        self.pending.clear();
        Ok(())
    }
}
