//! Anthropic's JSON, field for field: the shapes that requests, answers and events share.

use crate::dialect::raw;
use crate::domain::chat::{Finish, Part, ToolCall, Usage};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// A `redacted_thinking` block travels as reasoning without text, whose signature is this and the block's data.
pub(super) const REDACTED: &str = "redacted_thinking:";

/// A content block of any type as it is read; what a type lacks is absent.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Block<'a> {
    #[serde(borrow, rename = "type", default)]
    pub kind: Cow<'a, str>,
    pub text: Option<String>,
    pub thinking: Option<String>,
    pub signature: Option<String>,
    pub data: Option<String>,
    pub id: Option<String>,
    pub name: Option<String>,
    pub tool_use_id: Option<String>,
    pub is_error: Option<bool>,
    #[serde(borrow)]
    pub input: Option<&'a RawValue>,
    #[serde(borrow)]
    pub content: Option<&'a RawValue>,
    #[serde(borrow)]
    pub source: Option<&'a RawValue>,
    #[serde(borrow)]
    pub cache_control: Option<&'a RawValue>,
}

impl Block<'_> {
    /// The part this block of the model's is; `None` for types the domain has no word for.
    pub(super) fn into_part(self) -> Option<Part> {
        match &*self.kind {
            "text" => Some(Part::Text {
                text: self.text?,
                cache_control: self.cache_control.map(|mark| mark.get().to_owned()),
            }),
            "thinking" => Some(Part::Reasoning {
                text: self.thinking.unwrap_or_default(),
                signature: self.signature.filter(|signature| !signature.is_empty()),
            }),
            "redacted_thinking" => Some(Part::Reasoning {
                text: String::new(),
                signature: self.data.map(|data| format!("{REDACTED}{data}")),
            }),
            "tool_use" => Some(Part::ToolCall(ToolCall {
                id: self.id?,
                name: self.name?,
                arguments: self.input.map_or("{}", RawValue::get).to_owned(),
            })),
            _ => None,
        }
    }
}

/// Token counts; on streams later ones replace earlier ones field by field.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Tokens {
    pub input_tokens: Option<u64>,
    pub cache_read_input_tokens: Option<u64>,
    pub cache_creation_input_tokens: Option<u64>,
    pub output_tokens: Option<u64>,
}

impl Tokens {
    /// What is known after `later` came.
    pub(super) fn replaced_by(self, later: Self) -> Self {
        Self {
            input_tokens: later.input_tokens.or(self.input_tokens),
            cache_read_input_tokens: later.cache_read_input_tokens.or(self.cache_read_input_tokens),
            cache_creation_input_tokens: later
                .cache_creation_input_tokens
                .or(self.cache_creation_input_tokens),
            output_tokens: later.output_tokens.or(self.output_tokens),
        }
    }

    /// In domain terms: `input` includes what was read from and written to the cache.
    pub(super) fn usage(self) -> Usage {
        let cached = self.cache_read_input_tokens.unwrap_or(0);
        let cache_write = self.cache_creation_input_tokens.unwrap_or(0);
        let input = self.input_tokens.unwrap_or(0).saturating_add(cached).saturating_add(cache_write);
        Usage { input, cached, cache_write, output: self.output_tokens.unwrap_or(0), ..Usage::default() }
    }
}

/// Token counts as they are written.
#[derive(Debug, Serialize)]
pub(super) struct TokensWritten {
    input_tokens: u64,
    cache_creation_input_tokens: u64,
    cache_read_input_tokens: u64,
    output_tokens: u64,
}

impl From<Usage> for TokensWritten {
    fn from(usage: Usage) -> Self {
        Self {
            input_tokens: usage.input.saturating_sub(usage.cached).saturating_sub(usage.cache_write),
            cache_creation_input_tokens: usage.cache_write,
            cache_read_input_tokens: usage.cached,
            output_tokens: usage.output,
        }
    }
}

/// The error object in bodies and events.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Trouble {
    #[serde(rename = "type")]
    pub kind: Option<String>,
    pub message: Option<String>,
}

/// Why an answer ended. `pause_turn` is no end of the turn: whoever does not know it must not take the answer for
/// complete, so it reads as `Length`.
pub(super) fn finish_of(stop_reason: &str) -> Finish {
    match stop_reason {
        "max_tokens" | "model_context_window_exceeded" | "pause_turn" => Finish::Length,
        "tool_use" => Finish::ToolCalls,
        "refusal" => Finish::ContentFilter,
        _ => Finish::Stop,
    }
}

/// The same in Anthropic's words.
pub(super) fn stop_reason_of(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "end_turn",
        Finish::Length => "max_tokens",
        Finish::ToolCalls => "tool_use",
        Finish::ContentFilter => "refusal",
    }
}

/// A content block as it is written.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum BlockWritten<'a> {
    Text {
        text: Cow<'a, str>,
        #[serde(skip_serializing_if = "Option::is_none")]
        cache_control: Option<&'a RawValue>,
    },
    Image {
        source: SourceWritten<'a>,
    },
    Thinking {
        thinking: &'a str,
        signature: &'a str,
    },
    RedactedThinking {
        data: &'a str,
    },
    ToolUse {
        id: Cow<'a, str>,
        name: &'a str,
        input: Cow<'a, RawValue>,
    },
    ToolResult {
        tool_use_id: Cow<'a, str>,
        content: &'a str,
        #[serde(skip_serializing_if = "std::ops::Not::not")]
        is_error: bool,
    },
}

/// Where an image is.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum SourceWritten<'a> {
    Base64 { media_type: &'a str, data: &'a str },
    Url { url: &'a str },
}

/// A plain text block.
pub(super) fn text_block(text: &str) -> BlockWritten<'_> {
    BlockWritten::Text { text: Cow::Borrowed(text), cache_control: None }
}

/// Thinking as a block: its signature says whether it was redacted.
pub(super) fn thinking_block<'a>(text: &'a str, signature: &'a str) -> BlockWritten<'a> {
    match signature.strip_prefix(REDACTED) {
        Some(data) => BlockWritten::RedactedThinking { data },
        None => BlockWritten::Thinking { thinking: text, signature },
    }
}

/// Tool ids as Anthropic takes them: `[a-zA-Z0-9_-]+`. Other vendors' dots and colons become underscores, in the
/// call and in its result alike.
pub(super) fn tool_id(id: &str) -> Cow<'_, str> {
    let fits = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    if !id.is_empty() && id.chars().all(fits) {
        return Cow::Borrowed(id);
    }
    let fitted: String = id.chars().map(|c| if fits(c) { c } else { '_' }).collect();
    Cow::Owned(if fitted.is_empty() { "call".to_owned() } else { fitted })
}

/// A block's arguments, kept whatever they are.
pub(super) fn tool_use(call: &ToolCall) -> BlockWritten<'_> {
    BlockWritten::ToolUse { id: tool_id(&call.id), name: &call.name, input: raw::arguments(&call.arguments) }
}
