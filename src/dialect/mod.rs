//! How others speak: bytes ⇄ domain in both directions. Nothing is sent here; every function is pure.
//!
//! A caller's body is opened once at the door ([`open`]); a provider's request is made from it ([`ask`]); the
//! provider's answer is read ([`read_answer`], [`read_error`], [`Reader`]) and worded for the caller
//! ([`write_answer`], [`Writer`]). When caller and provider speak the same dialect the bytes go through and only
//! `model` and `stream_options.include_usage` are replaced.

pub mod anthropic;
mod asking;
mod body;
mod calls;
mod door;
mod embedding;
pub mod gemini;
mod glance;
pub mod hapax;
pub mod json;
mod lookup;
mod mould;
pub mod ndjson;
pub mod ollama;
pub mod openai;
mod place;
mod raw;
mod reader;
pub mod redact;
pub mod responses;
mod shape;
pub mod sse;
#[cfg(test)]
mod tests;
mod writer;

pub use body::Body;
pub use lookup::{estimate, weigh_answer, weigh_question};
pub use place::{Slashes, place};
pub use reader::Reader;
pub use shape::{for_model, lasting, yielding};
pub use writer::Writer;

use crate::domain::chat::{Answer, Chat, Content, Usage};
use crate::domain::failure::{Failure, Fault, Verdict};
use crate::domain::quirks::Quirks;
use crate::domain::words::{Dialect, Gist, OddCharacters, Subject, Words};
use std::borrow::Cow;
use std::sync::Arc;

/// A provider's own words in an error, as far as they are passed on.
const MESSAGE_CHARS_MAX: usize = 1000;

/// Why a caller's body cannot be read: the path of the field, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Invalid {
    /// `messages[2].role`; `None` when the body as a whole is wrong.
    pub param: Option<String>,
    /// One sentence without the caller's data in it.
    pub message: String,
}

impl Invalid {
    /// From a field's path and a sentence.
    #[must_use]
    pub fn new(param: Option<&str>, message: impl Into<String>) -> Self {
        Self { param: param.map(str::to_owned), message: message.into() }
    }

    /// What is wrong, with the field's path before it: not every dialect's errors have a place of its own for that.
    #[must_use]
    pub fn sentence(&self) -> String {
        match &self.param {
            Some(param) if !self.message.starts_with(param.as_str()) => format!("{param}: {}", self.message),
            _ => self.message.clone(),
        }
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        Self { param: invalid.param, ..Self::new(Fault::BadRequest, invalid.message) }
    }
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
    /// Where the provider accepts less than its dialect says, or something else.
    pub quirks: Quirks,
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
    /// Path below the provider's base URL: `/chat/completions`, `/messages`, `/api/chat`; Gemini's holds the model.
    pub path: Cow<'static, str>,
    /// The body.
    pub body: Body,
    /// The caller's parameters that have no place in the provider's dialect.
    pub dropped: Vec<String>,
    /// The answer's tool calls with this name are the structured answer itself, to be unwrapped to text.
    pub unwrap_tool: Option<&'static str>,
}

/// What the caller's end needs to word an answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Wording {
    /// Our request id; ids of answers are made from it.
    pub request_id: Arc<str>,
    /// Seconds since 1970.
    pub created: u64,
    /// Who served it.
    pub provider: Arc<str>,
    /// The model that served it.
    pub model: Arc<str>,
    /// Whether the caller asked for usage at the stream's end.
    pub include_usage: bool,
    /// Whether the caller wants vectors as base64.
    pub base64: bool,
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
pub fn open(dialect: Dialect, body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    open_about(Subject::Chat, dialect, body, OddCharacters::Pass)
}

/// Opens a caller's body that may be about something else than a chat.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open_about(
    subject: Subject,
    dialect: Dialect,
    body: Vec<u8>,
    odd: OddCharacters,
) -> Result<(Gist, Words), Invalid> {
    // The door of the busiest front looks through the body on its own walk.
    if (subject, dialect) != (Subject::Chat, Dialect::OpenAiChat) {
        let found = json::look_through(json::text(&body)?)?;
        return door(subject, dialect, sifted(found, body, odd)?);
    }
    let (gist, words) = door(subject, dialect, body)?;
    if words.marks.odd.is_none() || odd == OddCharacters::Pass {
        return Ok((gist, words));
    }
    door(subject, dialect, sifted(words.marks.odd, Arc::unwrap_or_clone(words.body), odd)?)
}

fn door(subject: Subject, dialect: Dialect, body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    match (subject, dialect) {
        (Subject::Embedding, _) => embedding::open(dialect, body),
        (Subject::Tokens | Subject::Description, _) => lookup::open(subject, body),
        (_, Dialect::OpenAiChat | Dialect::OpenAiCompletion | Dialect::Hapax) => {
            openai::open_as(dialect, body)
        }
        (_, Dialect::OpenAiResponses) => responses::open(body),
        (_, Dialect::Anthropic) => anthropic::open(body),
        (_, Dialect::Ollama) => ollama::open(body),
        (_, Dialect::OllamaGenerate) => ollama::open_generate(body),
        (_, Dialect::Gemini) => Err(Invalid::new(None, "nobody may speak this dialect here")),
    }
}

/// A body as it may go on, when something odd was found in it.
fn sifted(found: Option<usize>, body: Vec<u8>, odd: OddCharacters) -> Result<Vec<u8>, Invalid> {
    match (found, odd) {
        (None, _) | (_, OddCharacters::Pass) => Ok(body),
        (Some(at), OddCharacters::Refuse) => Err(json::complaint(json::text(&body)?, at)),
        (Some(_), OddCharacters::Replace) => Ok(json::replaced(body)),
    }
}

/// Makes a provider's request of a caller's words. Same dialect: the caller's bytes with `model` replaced (and
/// `stream_options.include_usage` set on streams). `so_far` is text already delivered, to be continued.
///
/// # Errors
/// `BadRequest` when the words cannot be understood, `Untranslatable` when the target cannot express them.
pub fn ask(
    target: Dialect,
    (gist, words): (&Gist, &Words),
    model: &str,
    so_far: Option<&str>,
    defaults: &Defaults,
) -> Result<Outgoing, Failure> {
    match gist.subject {
        Subject::Chat => {}
        Subject::Embedding => return embedding::ask(target, words, model),
        Subject::Tokens | Subject::Description => return lookup::ask(target, (gist, words), model),
    }
    if (target, words.dialect, so_far) == (Dialect::Ollama, Dialect::OllamaGenerate, None) {
        return Ok(ollama::pass_generate(words, model));
    }
    let outgoing = if words.dialect == target {
        match target {
            Dialect::OpenAiChat => openai::pass(words, gist, model, so_far),
            Dialect::Anthropic => anthropic::pass(words, gist, (model, &defaults.quirks), so_far),
            Dialect::Ollama => ollama::pass(words, gist, model, so_far),
            Dialect::OpenAiResponses => responses::pass(words, model, so_far),
            _ => Err(nobody_speaks()),
        }
    } else {
        translate(target, (gist, words), model, so_far, defaults)
    };
    outgoing.map(|outgoing| shape::fit(outgoing, &defaults.quirks))
}

/// Whether thoughts of another vendor's are in a conversation, signed by it or by nobody: Anthropic accepts its own
/// signatures only, so they have to be taken out.
fn signed_elsewhere(words: &Words) -> bool {
    let marks = ["\"gemini:", "\"openai:", "\"signature\":\"\"", "\"signature\": \"\""];
    let signed = |text: &str| marks.iter().any(|mark| text.contains(mark));
    words.dialect == Dialect::Anthropic && std::str::from_utf8(&words.body).is_ok_and(signed)
}

/// Whether a signature is one that neither Anthropic nor its callers gave.
fn signed_by_others(signature: &str) -> bool {
    [gemini::SIGNATURE, responses::SIGNATURE].iter().any(|other| signature.starts_with(other))
}

fn translate(
    target: Dialect,
    (gist, words): (&Gist, &Words),
    model: &str,
    so_far: Option<&str>,
    defaults: &Defaults,
) -> Result<Outgoing, Failure> {
    let mut chat = decode(words)?;
    if chat.messages.iter().all(|message| message.parts.is_empty()) {
        // To some vendors nothing is a question of another kind: whether the model is there.
        return Err(Invalid::new(Some("messages"), "messages must say something").into());
    }
    if words.dialect == Dialect::Hapax {
        hapax::instruct(&mut chat, defaults.system_prompt.as_deref());
    }
    match target {
        Dialect::OpenAiChat => openai::encode(&chat, gist, model, so_far, defaults),
        Dialect::Anthropic => anthropic::encode(&chat, gist, model, so_far, defaults),
        Dialect::Ollama => ollama::encode(&chat, gist, model, so_far, defaults),
        Dialect::Gemini => gemini::encode(&chat, gist, model, so_far, defaults),
        Dialect::OpenAiResponses => responses::encode(&chat, gist, model, so_far, defaults),
        _ => Err(nobody_speaks()),
    }
}

/// Each is a function of its own, never inlined here: a thread that has used a stack keeps it.
fn decode(words: &Words) -> Result<Chat, Failure> {
    match words.dialect {
        Dialect::OpenAiChat | Dialect::OpenAiCompletion => openai::decode(words),
        Dialect::Anthropic => anthropic::decode(words).map_err(raw::failure_of),
        Dialect::OpenAiResponses => responses::decode(words),
        Dialect::Ollama => ollama::decode(words).map_err(raw::failure_of),
        Dialect::OllamaGenerate => ollama::decode_generate(words).map_err(raw::failure_of),
        Dialect::Hapax => hapax::decode(words),
        Dialect::Gemini => Err(nobody_speaks()),
    }
}

/// Legacy completions and Hapax's own form are only ever heard from callers, and Gemini only from providers.
fn nobody_speaks() -> Failure {
    Failure::new(Fault::Internal, "no provider speaks this dialect")
}

/// Reads a provider's complete answer (status 200). Verbatim when the caller speaks the same dialect.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`, `ErrorInBody`.
pub fn read_answer(
    target: Dialect,
    caller: Dialect,
    body: Vec<u8>,
    unwrap_tool: Option<&str>,
) -> Result<Answer, Failure> {
    if passes(target, caller) && unwrap_tool.is_none() {
        let usage = facts(target, &body)?;
        return Ok(Answer {
            model: String::new(),
            usage,
            content: Content::Verbatim { dialect: caller, body },
        });
    }
    said(target, &body, unwrap_tool)
}

/// Whether what a provider of this dialect says goes to this caller as it is. A stream that is continued by another
/// question never does.
fn passes(target: Dialect, caller: Dialect) -> bool {
    target == caller || (target, caller) == (Dialect::Ollama, Dialect::OllamaGenerate)
}

/// Reads a provider's complete answer to any question, in the light of what was asked.
///
/// # Errors
/// As [`read_answer`].
pub fn read_reply(
    target: Dialect,
    (gist, words): (&Gist, &Words),
    body: Vec<u8>,
    outgoing: &Outgoing,
) -> Result<Answer, Failure> {
    match gist.subject {
        Subject::Chat => read_answer(target, words.dialect, body, outgoing.unwrap_tool),
        Subject::Embedding => embedding::read_answer(target, words, body),
        Subject::Tokens | Subject::Description => lookup::read_answer(target, body),
    }
}

/// Checks an answer that is passed on as it is, and says what it cost. Who gave it nobody will word.
fn facts(target: Dialect, body: &[u8]) -> Result<Option<Usage>, Failure> {
    Ok(match target {
        Dialect::OpenAiChat => openai::facts(body)?.1,
        Dialect::Anthropic => anthropic::facts(body)?.1,
        Dialect::Ollama => ollama::facts(body)?.1,
        Dialect::OpenAiResponses => responses::facts(body)?.1,
        _ => return Err(nobody_speaks()),
    })
}

fn said(target: Dialect, body: &[u8], unwrap_tool: Option<&str>) -> Result<Answer, Failure> {
    match target {
        Dialect::OpenAiChat => openai::read_answer(body, unwrap_tool),
        Dialect::Anthropic => anthropic::read_answer(body, unwrap_tool),
        Dialect::Ollama => ollama::read_answer(body, unwrap_tool),
        Dialect::Gemini => gemini::read_answer(body, unwrap_tool),
        Dialect::OpenAiResponses => responses::read_answer(body),
        _ => Err(nobody_speaks()),
    }
}

/// Reads a provider's error body: which fault a status and body mean. Never fails: garbage is judged by status.
#[must_use]
pub fn read_error(target: Dialect, status: u16, body: &[u8]) -> Failure {
    match target {
        Dialect::Anthropic => anthropic::read_error(status, body),
        Dialect::Ollama => ollama::read_error(status, body),
        Dialect::Gemini => gemini::read_error(status, body),
        _ => openai::read_error(status, body),
    }
}

/// A failure as a provider told it. His own words go on only where they are the caller's business: the others may
/// name keys, paths or addresses.
fn judged(fault: Fault, status: Option<u16>, words: &str) -> Failure {
    let ours = match fault {
        Fault::KeyRefused => "the provider refused our key",
        Fault::PaymentRequired => "our account at the provider is out of credit",
        Fault::Busy => "the provider is busy",
        Fault::Overloaded => "the provider is overloaded",
        Fault::Redirect => "the provider answered with a redirect, which is never followed",
        Fault::ErrorInBody => "the provider reported an error",
        Fault::Garbage => "the provider's answer could not be understood",
        Fault::ServerError => "the provider failed",
        _ => "the provider rejected the request",
    };
    let callers_business = matches!(
        fault.verdict(),
        Verdict::Caller | Verdict::Capacity | Verdict::UnknownModel | Verdict::Untranslatable
    );
    let message = if callers_business && !words.is_empty() {
        words.chars().take(MESSAGE_CHARS_MAX).collect()
    } else {
        ours.to_owned()
    };
    Failure { status, ..Failure::new(fault, message) }
}

/// Words a complete answer for the caller.
#[must_use]
pub fn write_answer(caller: Dialect, answer: &Answer, wording: &Wording) -> Vec<u8> {
    if let Content::Verbatim { dialect, body } = &answer.content {
        if *dialect == caller {
            return body.clone();
        }
        // A body that was checked when it was read can be read again.
        if let Ok(answer) = said(*dialect, body, None) {
            return write_answer(caller, &answer, wording);
        }
    }
    if let Content::Vectors(vectors) = &answer.content {
        return embedding::write_answer(caller, vectors, answer, wording);
    }
    match caller {
        Dialect::OpenAiChat | Dialect::Gemini => openai::write_as(openai::Form::Chat, answer, wording),
        Dialect::OpenAiCompletion => openai::write_as(openai::Form::Completion, answer, wording),
        Dialect::OpenAiResponses => responses::write_answer(answer, wording),
        Dialect::Anthropic => anthropic::write_answer(answer, wording),
        Dialect::Ollama => ollama::write_as(ollama::Form::Chat, answer, wording),
        Dialect::OllamaGenerate => ollama::write_as(ollama::Form::Generate, answer, wording),
        Dialect::Hapax => hapax::write_answer(answer, wording),
    }
}

/// As [`write_answer`]; a verbatim body that nobody else holds is handed over as it is, and needs no wording.
#[must_use]
pub fn hand_over(caller: Dialect, answer: Arc<Answer>, wording: impl FnOnce() -> Wording) -> Vec<u8> {
    match Arc::try_unwrap(answer) {
        Ok(Answer { content: Content::Verbatim { dialect, body }, .. }) if dialect == caller => body,
        Ok(answer) => write_answer(caller, &answer, &wording()),
        Err(shared) => write_answer(caller, &shared, &wording()),
    }
}

/// Words an error for the caller, as a whole body.
#[must_use]
pub fn write_error(caller: Dialect, complaint: &Complaint) -> Vec<u8> {
    match caller {
        Dialect::OpenAiChat | Dialect::OpenAiCompletion | Dialect::OpenAiResponses | Dialect::Gemini => {
            openai::write_error(complaint)
        }
        Dialect::Anthropic => anthropic::write_error(complaint),
        Dialect::Ollama | Dialect::OllamaGenerate => ollama::write_error(complaint),
        Dialect::Hapax => hapax::write_error(complaint),
    }
}
