//! Bytes as somebody said them, with the dialect they are in: carried through the house, read only by `dialect`.

use std::ops::Range;
use std::sync::Arc;

/// A wire format. What a caller speaks and what a provider speaks are both one of these.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Dialect {
    /// OpenAI `POST /v1/chat/completions`.
    OpenAiChat,
    /// OpenAI's legacy `POST /v1/completions` with `prompt`.
    OpenAiCompletion,
    /// OpenAI `POST /v1/responses`, stateless.
    OpenAiResponses,
    /// Anthropic `POST /v1/messages`.
    Anthropic,
    /// Ollama `POST /api/chat`, NDJSON streams.
    Ollama,
    /// Ollama `POST /api/generate`: the same with a prompt, and `response` in place of `message`.
    OllamaGenerate,
    /// Gemini `generateContent`; spoken by providers alone.
    Gemini,
    /// Hapax's own `POST /v1/completions` with `messages` or `input`.
    Hapax,
}

/// A request body exactly as the caller sent it, and where in it the few things stand that we may replace.
#[derive(Debug, Clone)]
pub struct Words {
    /// The dialect the body is written in.
    pub dialect: Dialect,
    /// The body; shared, never copied for another attempt.
    pub body: Arc<Vec<u8>>,
    /// Where in `body` the replaceable parts stand; made by `dialect`, meaningful only to it.
    pub marks: Marks,
}

/// Byte ranges into [`Words::body`]. All of them lie within the body.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Marks {
    /// The value of `"model"`, quotes included; `None` when the caller named no model.
    pub model: Option<Range<usize>>,
    /// The value of `"stream_options"`; `None` when absent.
    pub stream_options: Option<Range<usize>>,
    /// The value of `"messages"`, brackets included; `None` when absent.
    pub messages: Option<Range<usize>>,
    /// Where the first escape stands that means no character of any text.
    pub odd: Option<usize>,
}

/// What becomes of characters that no text has: NUL, and halves of surrogate pairs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum OddCharacters {
    /// The request is refused.
    #[default]
    Refuse,
    /// U+FFFD takes their place.
    Replace,
    /// The provider may see to them.
    Pass,
}

/// What is asked for. The first is a conversation; the others are questions in the words of the same vendors.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum Subject {
    /// An answer of a model.
    #[default]
    Chat,
    /// Vectors for texts.
    Embedding,
    /// How many tokens a conversation has, in the vendor's own count (Anthropic).
    Tokens,
    /// What a model is, in the vendor's own words (Ollama).
    Description,
}

impl Subject {
    /// Whether another model's answer is as good as the one of the model that was named. Vectors of two models
    /// cannot be compared, and a count or a description is of one model only.
    #[must_use]
    pub fn allows_stand_ins(self) -> bool {
        self == Self::Chat
    }
}

/// What the door needs to know of a request without reading all of it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Gist {
    /// What is asked for.
    pub subject: Subject,
    /// The model as the caller named it.
    pub model: Option<String>,
    /// Whether the caller wants a stream.
    pub stream: bool,
    /// Whether the caller asked for usage at the end of the stream.
    pub include_usage: bool,
    /// The caller's bound on output tokens, if any.
    pub max_tokens: Option<u64>,
    /// How many answers are made at once, each within that bound; `None`: one.
    pub choices: Option<u64>,
    /// Whether vectors are wanted as base64 rather than as numbers.
    pub base64: bool,
}

impl Gist {
    /// The most tokens that all answers together can have, when one without a bound has `unbounded`.
    #[must_use]
    pub fn output_at_most(&self, unbounded: u64) -> u64 {
        self.max_tokens.unwrap_or(unbounded).saturating_mul(self.choices.unwrap_or(1).max(1))
    }
}
