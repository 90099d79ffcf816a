//! A conversation in nobody's dialect: the request, the answer, and the events a stream is made of.

use super::embedding::Vector;
use super::words::Dialect;

/// A chat request, translated. JSON fragments (schemas, arguments) are kept as the text they came in.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Chat {
    /// The conversation in order; system and developer messages stand where the caller put them.
    pub messages: Vec<Message>,
    /// Tools the model may call.
    pub tools: Vec<Tool>,
    /// Which tool, if any, it must call; `None`: the provider's default.
    pub tool_choice: Option<ToolChoice>,
    /// Whether several tools may be called at once; `None`: the provider's default.
    pub parallel_tool_calls: Option<bool>,
    /// Bound on output tokens.
    pub max_tokens: Option<u64>,
    /// Sampling temperature.
    pub temperature: Option<f64>,
    /// Nucleus sampling.
    pub top_p: Option<f64>,
    /// Top-k sampling (Anthropic, Ollama).
    pub top_k: Option<u64>,
    /// Stop sequences.
    pub stop: Vec<String>,
    /// Sampling seed.
    pub seed: Option<i64>,
    /// Presence penalty (OpenAI, Ollama).
    pub presence_penalty: Option<f64>,
    /// Frequency penalty (OpenAI, Ollama).
    pub frequency_penalty: Option<f64>,
    /// The shape the answer must have.
    pub format: Option<Format>,
    /// How much to think before answering.
    pub reasoning: Option<Reasoning>,
    /// An opaque end-user id (`user`, `metadata.user_id`).
    pub user: Option<String>,
    /// Names of the caller's parameters that have no place in this type: dropped when translating, and named.
    pub unknown: Vec<String>,
}

/// One message.
#[derive(Debug, Clone, PartialEq)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said, in order.
    pub parts: Vec<Part>,
}

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Instructions (`system` and OpenAI's `developer`).
    System,
    /// The person.
    User,
    /// The model.
    Assistant,
    /// A tool's result.
    Tool,
}

/// A piece of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// Plain text. `cache_control` is Anthropic's cache mark as JSON text, kept for targets that know it.
    Text {
        /// The text.
        text: String,
        /// Anthropic's `cache_control` object, as JSON text.
        cache_control: Option<String>,
    },
    /// An image.
    Image(Image),
    /// The model's wish to call a tool.
    ToolCall(ToolCall),
    /// What a tool returned.
    ToolResult {
        /// Id of the call this answers.
        call_id: String,
        /// The result as text.
        content: String,
        /// Whether the tool failed.
        is_error: bool,
    },
    /// What the model thought; `signature` is the vendor's proof that it did.
    Reasoning {
        /// The thinking text.
        text: String,
        /// Opaque signature, handed back to the vendor unchanged.
        signature: Option<String>,
    },
}

/// An image by value or by address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Image {
    /// Base64 data with its media type (`image/png`).
    Data {
        /// Media type.
        media_type: String,
        /// Base64 text.
        base64: String,
    },
    /// An address the provider fetches; Hapax never does.
    Url(String),
}

/// A call of a tool by the model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ToolCall {
    /// Id by which the result refers to it.
    pub id: String,
    /// Tool name.
    pub name: String,
    /// Arguments as JSON text; always an object once decoded, `{}` when empty.
    pub arguments: String,
}

/// A tool on offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tool {
    /// Name.
    pub name: String,
    /// What it does.
    pub description: Option<String>,
    /// JSON schema of its arguments, as JSON text.
    pub parameters: Option<String>,
    /// OpenAI's `strict`.
    pub strict: Option<bool>,
}

/// Which tool must be called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ToolChoice {
    /// None may be called.
    None,
    /// The model decides.
    Auto,
    /// At least one must be called.
    Required,
    /// This one must be called.
    Named(String),
}

/// The shape an answer must have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Format {
    /// Any JSON object.
    JsonObject,
    /// JSON that satisfies a schema.
    JsonSchema {
        /// The schema's name, where the vendor wants one.
        name: Option<String>,
        /// The schema as JSON text.
        schema: String,
        /// OpenAI's `strict`.
        strict: Option<bool>,
    },
}

/// How much to think.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reasoning {
    /// In words: `minimal`, `low`, `medium`, `high`.
    Effort(String),
    /// In tokens.
    Budget(u64),
    /// Not at all.
    Off,
}

/// A complete answer. A caller of the same dialect gets `Verbatim` bytes untouched.
#[derive(Debug, Clone, PartialEq)]
pub struct Answer {
    /// The model as the provider names it; empty where the answer itself goes on as it came.
    pub model: String,
    /// Tokens used, as reported; `None` when the provider reported none.
    pub usage: Option<Usage>,
    /// The answer itself.
    pub content: Content,
}

/// An answer in the caller's own dialect, or translated.
#[derive(Debug, Clone, PartialEq)]
pub enum Content {
    /// The provider's body, already in the caller's dialect.
    Verbatim {
        /// The dialect it is in.
        dialect: Dialect,
        /// The body.
        body: Vec<u8>,
    },
    /// The answer in domain terms; api words it in the caller's dialect.
    Said {
        /// The provider's id for the answer, if it gave one.
        id: Option<String>,
        /// The choices; most providers give one.
        choices: Vec<Choice>,
    },
    /// Vectors, one per text that was asked about and in their order.
    Vectors(Vec<Vector>),
}

/// One choice of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Choice {
    /// Text, reasoning and tool calls in order.
    pub parts: Vec<Part>,
    /// Why it ended.
    pub finish: Finish,
}

/// Why an answer ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// It was done, or met a stop sequence.
    Stop,
    /// It met the bound on tokens or the context window.
    Length,
    /// It wants tools called.
    ToolCalls,
    /// It refused, or was filtered.
    ContentFilter,
}

/// Tokens. `input` includes the cached ones; `output` includes the reasoning ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// All input tokens.
    pub input: u64,
    /// Of these, read from the provider's cache.
    pub cached: u64,
    /// Of these, written to the provider's cache.
    pub cache_write: u64,
    /// All output tokens.
    pub output: u64,
    /// Of these, spent thinking.
    pub reasoning: u64,
    /// Whether a part of it is our estimate, for want of the provider's word.
    pub estimated: bool,
}

/// More tokens than one call can have: the largest windows hold ten million.
const TOKENS_MAX: u64 = 1_000_000_000;

impl Usage {
    /// Whether somebody has counted: servers that do not say nothing but zeros, and a few say what cannot be.
    #[must_use]
    pub fn is_counted(self) -> bool {
        let Self { input, cached, cache_write, output, reasoning, .. } = self;
        self != Self::default()
            && [input, cached, cache_write, output, reasoning].into_iter().all(|count| count <= TOKENS_MAX)
    }

    /// Input and output together.
    #[must_use]
    pub fn total(self) -> u64 {
        self.input.saturating_add(self.output)
    }

    /// The sum of two calls, as after a splice.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            input: self.input.saturating_add(other.input),
            cached: self.cached.saturating_add(other.cached),
            cache_write: self.cache_write.saturating_add(other.cache_write),
            output: self.output.saturating_add(other.output),
            reasoning: self.reasoning.saturating_add(other.reasoning),
            estimated: self.estimated || other.estimated,
        }
    }
}

/// What one frame on a provider's stream means, in order. A frame may mean nothing (a role chunk, a ping).
///
/// `choice` is the index of the choice; `call` counts tool calls within it from 0.
#[derive(Debug, Clone, PartialEq)]
pub enum Delta {
    /// The stream introduces itself.
    Start {
        /// The provider's id for the answer.
        id: String,
        /// The model as the provider names it.
        model: String,
    },
    /// More text.
    Text {
        /// Choice index.
        choice: u32,
        /// The new text; never empty.
        text: String,
    },
    /// More thinking.
    Reasoning {
        /// Choice index.
        choice: u32,
        /// The new text.
        text: String,
        /// The signature, when it arrives.
        signature: Option<String>,
    },
    /// A tool call begins.
    ToolCall {
        /// Choice index.
        choice: u32,
        /// Tool-call index.
        call: u32,
        /// Id.
        id: String,
        /// Tool name.
        name: String,
    },
    /// More of a tool call's arguments.
    Arguments {
        /// Choice index.
        choice: u32,
        /// Tool-call index.
        call: u32,
        /// JSON text fragment.
        fragment: String,
    },
    /// A choice is finished.
    Finish {
        /// Choice index.
        choice: u32,
        /// Why.
        finish: Finish,
    },
    /// Tokens used so far, cumulative: a later one replaces an earlier one.
    Usage(Usage),
}

impl Delta {
    /// Whether this is something the caller came for: from here on a stream is worth committing to.
    #[must_use]
    pub fn is_content(&self) -> bool {
        matches!(
            self,
            Self::Text { .. } | Self::Reasoning { .. } | Self::ToolCall { .. } | Self::Arguments { .. }
        )
    }
}

/// One frame of a stream: what it means, and the bytes it came in when the caller speaks the same dialect.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Frame {
    /// What it means, in order.
    pub deltas: Vec<Delta>,
    /// The frame as the provider wrote it, terminator included; `None` when translated or spliced.
    pub verbatim: Option<Vec<u8>>,
}

impl Frame {
    /// Makes it one that says this text and nothing else. What held the last one's words holds these.
    pub fn say(&mut self, choice: u32, words: &str) {
        if let [Delta::Text { choice: place, text }] = self.deltas.as_mut_slice() {
            *place = choice;
            text.clear();
            text.push_str(words);
            return;
        }
        self.deltas.clear();
        self.deltas.push(Delta::Text { choice, text: words.to_owned() });
    }

    /// Gives it the bytes it came in.
    pub fn spell(&mut self, bytes: &[u8]) {
        let room = self.verbatim.get_or_insert_default();
        room.clear();
        room.extend_from_slice(bytes);
    }
}
