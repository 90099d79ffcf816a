//! The caller's end of a stream: frames are worded in his dialect, and those that came together leave together.

use super::Api;
use super::errors::Problem;
use super::transcript::Transcript;
use crate::dialect::{Wording, Writer};
use crate::domain::chat::Frame;
use crate::domain::digits;
use crate::domain::rule::Standing;
use crate::domain::words::{Dialect, Gist};
use crate::gateway::ports::{self, Cached, Listener, Question, Trail};
use crate::server::{Exchange, Fields};
use std::sync::Arc;
use std::time::Duration;

/// Frames that came together leave together, but no more of them than this at once.
const TOGETHER_BYTES_MAX: usize = 16 << 10;

/// Writes a stream to one caller.
pub(super) struct Ear<'a, 'b> {
    exchange: &'a mut Exchange<'b>,
    /// Knows what time it is.
    api: &'a Api,
    dialect: Dialect,
    request_id: &'a Arc<str>,
    include_usage: bool,
    base64: bool,
    standing: Standing,
    writer: Option<Writer>,
    /// What has been said, where the log is to tell it.
    pub(super) transcript: Option<Transcript>,
}

impl<'a, 'b> Ear<'a, 'b> {
    pub(super) fn new(
        (exchange, api): (&'a mut Exchange<'b>, &'a Api),
        (question, dialect): (&Question, Dialect),
        request_id: &'a Arc<str>,
        standing: Standing,
    ) -> Self {
        let Gist { include_usage, base64, .. } = question.gist;
        let transcript = None;
        Self { exchange, api, dialect, request_id, include_usage, base64, standing, writer: None, transcript }
    }

    /// What the wording of an answer needs, now that it is known who answers.
    pub(super) fn wording_for(&self, trail: &Trail) -> Wording {
        let (provider, model) = trail.served.clone().unwrap_or_default();
        Wording {
            request_id: Arc::clone(self.request_id),
            created: self.api.seconds_since_1970(),
            provider,
            model,
            include_usage: self.include_usage,
            base64: self.base64,
        }
    }

    /// Whether the caller has hung up.
    pub(super) fn left(&self) -> bool {
        self.exchange.left()
    }

    /// The stream is complete: its story, what the dialect still owes, and the end. Whether the caller was there to
    /// hear it.
    pub(super) fn end(&mut self, trail: &Trail) -> bool {
        let Ok(out) = self.exchange.room() else { return false };
        tell_attempts(out, self.dialect, trail);
        if let Some(writer) = &mut self.writer {
            writer.end(out);
        }
        self.exchange.finish().is_ok()
    }

    /// The stream could not be saved: its story, an error frame, and no end mark.
    pub(super) fn broken(&mut self, problem: &Problem, trail: &Trail) {
        let writer = self.writer.take();
        let nobodys = || Writer::new(self.dialect, self.wording_for(&Trail::default()));
        let mut writer = writer.unwrap_or_else(nobodys);
        let Ok(out) = self.exchange.room() else { return };
        tell_attempts(out, self.dialect, trail);
        writer.failure(&problem.complaint(self.dialect, self.request_id), out);
        let _ = self.exchange.finish();
    }
}

impl Ear<'_, '_> {
    /// Whether the head was written, be it only to keep the connection alive.
    pub(super) fn started(&mut self) -> bool {
        self.exchange.started()
    }

    /// The head, once.
    fn head(&mut self, trail: &Trail) {
        if self.started() {
            return;
        }
        let headers = fields(self.dialect, self.request_id, trail, &self.standing);
        self.exchange.begin(200, &headers);
    }
}

impl Listener for Ear<'_, '_> {
    fn begin(&mut self, trail: &Trail) -> Result<(), ports::Left> {
        self.head(trail);
        self.writer = Some(Writer::new(self.dialect, self.wording_for(trail)));
        Ok(())
    }

    fn frame(&mut self, frame: &Frame) -> Result<(), ports::Left> {
        let Some(writer) = &mut self.writer else { return Ok(()) };
        if let Some(transcript) = &mut self.transcript {
            transcript.hear_frame(frame);
        }
        let out = self.exchange.room().map_err(|_| ports::Left)?;
        writer.frame(frame, out);
        let much = out.len() >= TOGETHER_BYTES_MAX;
        self.exchange.seal();
        if much { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), ports::Left> {
        self.exchange.flush().map_err(|_| ports::Left)
    }

    fn wait(&mut self, every: Duration) {
        // A dialect that has nothing meaningless keeps its status for what comes.
        if !has_comments(self.dialect) {
            return;
        }
        let (dialect, wording, standing) = (self.dialect, self.wording_for(&Trail::default()), self.standing);
        self.exchange.remind(
            every,
            Box::new(move || {
                let head = fields(dialect, &wording.request_id, &Trail::default(), &standing);
                let mut bytes = Vec::new();
                Writer::new(dialect, wording).keep_alive(&mut bytes);
                (head, bytes)
            }),
        );
    }

    fn ready(&self) -> bool {
        self.exchange.ready()
    }
}

/// The fields of a stream's head.
fn fields(dialect: Dialect, request_id: &str, trail: &Trail, standing: &Standing) -> Fields {
    let mut fields = Fields::of("Content-Type", Writer::content_type(dialect));
    fields.add("Cache-Control", "no-cache");
    tell_id(&mut fields, dialect, request_id);
    tell_trail(&mut fields, trail);
    tell_limits(&mut fields, standing);
    fields
}

/// The request's id, in the field every caller reads and in the one Anthropic's clients do.
pub(super) fn tell_id(fields: &mut Fields, dialect: Dialect, request_id: &str) {
    fields.add("X-Request-ID", request_id);
    if dialect == Dialect::Anthropic {
        fields.add("request-id", request_id);
    }
}

/// Who answered, and after what.
pub(super) fn tell_trail(fields: &mut Fields, trail: &Trail) {
    if let Some((provider, model)) = &trail.served {
        fields.add("X-Hapax-Provider", provider);
        fields.put("X-Hapax-Model", |out| visible(out, model));
    }
    if !trail.attempts.is_empty() {
        fields.put("X-Hapax-Attempts", |out| tell_story(out, trail));
    }
    if trail.deduplicated {
        fields.add("X-Hapax-Deduplicated", "true");
    }
    match trail.cached {
        None => {}
        Some(Cached::Miss) => fields.add("X-Hapax-Cache", "miss"),
        Some(Cached::Hit(age)) => {
            fields.add("X-Hapax-Cache", "hit");
            fields.count("Age", age.as_secs(), "");
        }
    }
    if !trail.dropped.is_empty() {
        fields.put("X-Hapax-Dropped-Params", |out| visible(out, &trail.dropped.join(", ")));
    }
}

/// Whether a stream of this dialect can say something that means nothing: server-sent events can.
fn has_comments(dialect: Dialect) -> bool {
    Writer::content_type(dialect) == "text/event-stream"
}

/// What the head could not tell yet: who was asked after it, and how long each took in all. A comment, which readers of
/// server-sent events pass over; lines of JSON have none.
fn tell_attempts(out: &mut Vec<u8>, dialect: Dialect, trail: &Trail) {
    if trail.attempts.is_empty() || !has_comments(dialect) {
        return;
    }
    out.extend_from_slice(b": hapax-attempts ");
    tell_story(out, trail);
    out.extend_from_slice(b"\n\n");
}

/// Who was asked, what came of it, how long it took: `openai:503:412ms, anthropic:200:803ms`.
fn tell_story(out: &mut Vec<u8>, trail: &Trail) {
    for (index, tried) in trail.attempts.iter().enumerate() {
        out.extend_from_slice(if index == 0 { b"" } else { b", " });
        for part in [&*tried.provider, ":", &*tried.outcome, ":"] {
            out.extend_from_slice(part.as_bytes());
        }
        number(out, u64::try_from(tried.took.as_millis()).unwrap_or(u64::MAX));
        out.extend_from_slice(b"ms");
    }
}

/// Where the caller stands with his limits, as OpenAI names them.
pub(super) fn tell_limits(fields: &mut Fields, standing: &Standing) {
    const REQUESTS: [&str; 3] =
        ["x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"];
    const TOKENS: [&str; 3] =
        ["x-ratelimit-limit-tokens", "x-ratelimit-remaining-tokens", "x-ratelimit-reset-tokens"];
    for (left, [limit, remaining, reset]) in [(&standing.requests, REQUESTS), (&standing.tokens, TOKENS)] {
        let Some(left) = left else { continue };
        fields.count(limit, left.limit, "");
        fields.count(remaining, left.remaining, "");
        fields.count(reset, left.reset.as_secs() + u64::from(left.reset.subsec_nanos() > 0), "s");
    }
}

fn number(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(digits::decimal_bytes(number, &mut [0; digits::DECIMAL_BYTES]));
}

/// A caller's word made fit for a field value (RFC 9110, section 5.5): each character that is not becomes `?`.
fn visible(out: &mut Vec<u8>, word: &str) {
    if word.bytes().fold(true, |all, byte| all & matches!(byte, b' '..=b'~')) {
        return out.extend_from_slice(word.as_bytes());
    }
    let fits = |c: char| if c.is_ascii_graphic() || c == ' ' { c } else { '?' };
    out.extend(word.chars().map(fits).filter_map(|c| u8::try_from(c).ok()));
}
