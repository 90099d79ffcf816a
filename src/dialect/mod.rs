//! How others speak: bytes ⇄ domain in both directions. Nothing is sent here; every function is pure.
//!
//! A caller's body is opened once at the door ([`open`]); a provider's request is made from it ([`ask`]); the
//! provider's answer is read ([`read_answer`], [`read_error`], [`Reader`]) and worded for the caller
//! ([`write_answer`], [`Writer`]). When caller and provider speak the same dialect the bytes go through and only
//! `model` and `stream_options.include_usage` are replaced.

pub mod anthropic;
pub mod ndjson;
pub mod ollama;
mod raw;

use crate::domain::chat::{Answer, Frame};
use crate::domain::failure::Failure;
use crate::domain::words::{Dialect, Gist, Words};

/// Why a caller's body cannot be read: the path of the field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// `messages[2].role`; `None` when the body as a whole is wrong.
    pub param: Option<String>,
    /// One sentence without the caller's data in it.
    pub message: String,
}

/// What a provider's configuration adds to every request.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Defaults {
    /// Output bound where the dialect requires one and the caller gave none.
    pub max_tokens: u64,
    /// Ollama's `num_ctx`.
    pub num_ctx: Option<u64>,
    /// Ollama's `keep_alive`.
    pub keep_alive: Option<String>,
    /// Instructions put first when the caller gives none, on Hapax's own endpoint.
    pub system_prompt: Option<String>,
}

/// Whether a frame was the last one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sign {
    /// More may come.
    More,
    /// The end mark: nothing after it matters.
    End,
}

/// A request ready to be sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Outgoing {
    /// Path below the provider's base URL: `/chat/completions`, `/messages`, `/api/chat`.
    pub path: &'static str,
    /// The body.
    pub body: Vec<u8>,
    /// The caller's parameters that have no place in the provider's dialect.
    pub dropped: Vec<String>,
    /// The answer's tool calls with this name are the structured answer itself, to be unwrapped to text.
    pub unwrap_tool: Option<&'static str>,
}

/// What the caller's end needs to word an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wording {
    /// Our request id; ids of answers are made from it.
    pub request_id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Who served it.
    pub provider: String,
    /// The model that served it.
    pub model: String,
    /// Whether the caller asked for usage at the stream's end.
    pub include_usage: bool,
}

/// An error to be shown to a caller; `api` decides what it says, the dialect how it looks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Complaint {
    /// The HTTP status it goes with (in-band frames carry it where the dialect has a place).
    pub status: u16,
    /// The type in the dialect's own vocabulary: `invalid_request_error`, `overloaded_error`, `provider_error`.
    pub kind: &'static str,
    /// One sentence.
    pub message: String,
    /// OpenAI's `code`.
    pub code: Option<String>,
    /// The field complained of.
    pub param: Option<String>,
    /// Our request id.
    pub request_id: String,
    /// Seconds until a retry makes sense, for the original's `details.retry_after`.
    pub retry_after: Option<u64>,
}

/// Opens a caller's body: checks that it is what the dialect says, reads the gist, marks what may be replaced.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open(_dialect: Dialect, _body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    Err(Invalid { param: None, message: String::new() })
}

/// Makes a provider's request of a caller's words. Same dialect: the caller's bytes with `model` replaced (and
/// `stream_options.include_usage` set on streams). `so_far` is text already delivered, to be continued.
///
/// # Errors
/// `BadRequest` when the words cannot be understood, `Untranslatable` when the target cannot express them.
pub fn ask(
    _target: Dialect,
    _question: (&Gist, &Words),
    _model: &str,
    _so_far: Option<&str>,
    _defaults: &Defaults,
) -> Result<Outgoing, Failure> {
    Err(Failure::new(crate::domain::failure::Fault::Internal, ""))
}

/// Reads a provider's complete answer (status 200). Verbatim when the caller speaks the same dialect.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`, `ErrorInBody`.
pub fn read_answer(
    _target: Dialect,
    _caller: Dialect,
    _body: Vec<u8>,
    _unwrap_tool: Option<&str>,
) -> Result<Answer, Failure> {
    Err(Failure::new(crate::domain::failure::Fault::Internal, ""))
}

/// Reads a provider's error body: which fault a status and body mean. Never fails: garbage is judged by status.
#[must_use]
pub fn read_error(_target: Dialect, _status: u16, _body: &[u8]) -> Failure {
    Failure::new(crate::domain::failure::Fault::Internal, "")
}

/// Reads a provider's stream as it arrives, in pieces of any size.
pub struct Reader;

impl Reader {
    /// A reader for a provider's dialect; frames are verbatim when the caller speaks the same.
    #[must_use]
    pub fn new(_target: Dialect, _caller: Dialect, _unwrap_tool: Option<&str>) -> Self {
        Self
    }

    /// Takes more bytes.
    pub fn feed(&mut self, _bytes: &[u8]) {}

    /// The next whole frame, if one has arrived. An error frame is `ErrorInBody`.
    ///
    /// # Errors
    /// `ErrorInBody`, `AnswerTooLarge` (a line over the limit), `Garbage` (too many malformed frames).
    pub fn next(&mut self) -> Result<Option<Frame>, Failure> {
        Ok(None)
    }

    /// Whether the end mark has been read: nothing after it matters.
    #[must_use]
    pub fn ended(&self) -> bool {
        false
    }

    /// The connection ended: was that a proper end?
    ///
    /// # Errors
    /// `Empty` when nothing came, `Truncated` when no finish had come.
    pub fn close(&mut self) -> Result<(), Failure> {
        Ok(())
    }
}

/// Words a complete answer for the caller.
#[must_use]
pub fn write_answer(_caller: Dialect, _answer: &Answer, _wording: &Wording) -> Vec<u8> {
    Vec::new()
}

/// Words an error for the caller, as a whole body.
#[must_use]
pub fn write_error(_caller: Dialect, _complaint: &Complaint) -> Vec<u8> {
    Vec::new()
}

/// Words a stream for the caller, event by event. Verbatim frames pass as they are (a usage-only frame is
/// withheld from a caller who did not ask); translated ones continue the ids and indices already sent.
pub struct Writer;

impl Writer {
    /// A writer in the caller's dialect.
    #[must_use]
    pub fn new(_caller: Dialect, _wording: Wording) -> Self {
        Self
    }

    /// `text/event-stream` or `application/x-ndjson`.
    #[must_use]
    pub fn content_type(_caller: Dialect) -> &'static str {
        ""
    }

    /// Appends one frame to `out`.
    pub fn frame(&mut self, _frame: &Frame, _out: &mut Vec<u8>) {}

    /// Appends the end of a stream that is complete: what is still owed (finish, usage, `[DONE]`, `message_stop`).
    pub fn end(&mut self, _out: &mut Vec<u8>) {}

    /// Appends the error frame of a stream that could not be saved; no end mark follows it.
    pub fn failure(&mut self, _complaint: &Complaint, _out: &mut Vec<u8>) {}

    /// Appends something that keeps the connection alive and means nothing; nothing where the dialect has no such thing.
    pub fn keep_alive(&mut self, _out: &mut Vec<u8>) {}
}
