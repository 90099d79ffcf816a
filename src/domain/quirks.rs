//! Where a provider accepts less than its dialect says, or something else: known of its type, or said by the operator.

/// What is known; `None` leaves it to the dialect and the model's name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Quirks {
    /// Parameters it refuses, as they are called in its requests: left out and named.
    pub refuses: Vec<String>,
    /// Whether temperature, top-p and top-k are accepted.
    pub sampling: Option<bool>,
    /// How its models are told to think.
    pub thinking: Option<Thinking>,
    /// Whether a conversation may end with the assistant's beginning.
    pub prefill: Option<bool>,
    /// Whether a tool may be forced.
    pub forced_tool: Option<bool>,
    /// The one name it takes a bound on output under.
    pub output_bound: Option<OutputBound>,
    /// Whether ids of tool calls must be nine letters or digits.
    pub short_call_ids: Option<bool>,
    /// Whether an assistant's reasoning has to come back with its tool calls.
    pub reasoning_back: Option<bool>,
    /// Whose requests are put to it as OpenAI's Responses.
    pub responses: Responses,
}

/// Whose requests are put to a provider as OpenAI's Responses; all others are put to it as chats.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Responses {
    /// Nobody's: it has none.
    #[default]
    Off,
    /// Those of callers who speak Responses, untouched.
    Own,
    /// Everybody's: its models know nothing else.
    All,
}

impl Responses {
    /// The word in the configuration.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::Own => "own",
            Self::All => "all",
        }
    }
}

/// How a model is told to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Thinking {
    /// It cannot.
    Unable,
    /// By a budget of tokens.
    Budget,
    /// By an effort in words; it decides itself.
    Adaptive,
}

/// What a bound on output is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutputBound {
    /// `max_tokens`.
    Tokens,
    /// `max_completion_tokens`.
    CompletionTokens,
}

impl OutputBound {
    /// The name in a request.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Tokens => "max_tokens",
            Self::CompletionTokens => "max_completion_tokens",
        }
    }
}
