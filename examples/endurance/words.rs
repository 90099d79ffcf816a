//! What callers say in each dialect, and what an answer must have to be whole.

use crate::report::quoted;

/// Whose words a caller uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Voice {
    /// OpenAI's chat completions.
    OpenAi,
    /// Anthropic's messages.
    Anthropic,
    /// Ollama's chat.
    Ollama,
}

/// All voices.
pub const VOICES: [Voice; 3] = [Voice::OpenAi, Voice::Anthropic, Voice::Ollama];

impl Voice {
    /// The type of a provider that speaks so, as the configuration names it.
    pub fn word(self) -> &'static str {
        match self {
            Self::OpenAi => "openai",
            Self::Anthropic => "anthropic",
            Self::Ollama => "ollama",
        }
    }

    /// The endpoint.
    pub fn path(self) -> &'static str {
        match self {
            Self::OpenAi => "/v1/chat/completions",
            Self::Anthropic => "/v1/messages",
            Self::Ollama => "/api/chat",
        }
    }

    /// A request's body.
    pub fn body(self, model: &str, user: &str, stream: bool) -> String {
        let bound = if self == Self::Anthropic { "\"max_tokens\":4096," } else { "" };
        format!(
            "{{\"model\":{},\"stream\":{stream},{bound}\"messages\":[{{\"role\":\"user\",\"content\":{}}}]}}",
            quoted(model),
            quoted(user)
        )
    }

    fn text_key(self) -> &'static str {
        if self == Self::Anthropic { "\"text\":" } else { "\"content\":" }
    }

    fn finish(self) -> &'static str {
        match self {
            Self::OpenAi => "\"finish_reason\":\"stop\"",
            Self::Anthropic => "\"stop_reason\":\"end_turn\"",
            Self::Ollama => "\"done\":true",
        }
    }

    fn sentinel(self) -> &'static str {
        match self {
            Self::OpenAi => "data: [DONE]",
            Self::Anthropic => "\"type\":\"message_stop\"",
            Self::Ollama => "\"done\":true",
        }
    }
}

/// An answer as it was heard.
#[derive(Debug, Clone, Default)]
pub struct Heard {
    /// The status; 0 when none came.
    pub status: u16,
    /// The fields that tell who answered after what: `X-Hapax-*`.
    pub story: String,
    /// Whether it says that it was shared.
    pub deduplicated: bool,
    /// The body, without transfer coding.
    pub body: Vec<u8>,
    /// Whether the body ended as HTTP says it must.
    pub ended: bool,
}

/// What an answer is worth.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Worth {
    /// All of the text, and every mark of its end.
    Whole,
    /// It says that it is none: an error status, an error frame, or a body that HTTP calls broken.
    Honest(String),
    /// It looks complete and is not, or ends without a word.
    Lying(String),
}

/// Judges an answer against the text that it should have.
pub fn judge(voice: Voice, stream: bool, heard: &Heard, expected: &str) -> Worth {
    let body = String::from_utf8_lossy(&heard.body);
    if heard.status != 200 {
        return Worth::Honest(format!("{} {}: {}", heard.status, heard.story, shortened(&body)));
    }
    let text = text_of(voice, &body);
    // A whole answer is marked by its length; a provider that gives no reason for its end has still said it all.
    let finish = !stream || body.contains(voice.finish());
    let sentinel = !stream || body.contains(voice.sentinel());
    let error = body.contains("\"error\"");
    let told = || {
        let tail: String = body.chars().skip(body.chars().count().saturating_sub(300)).collect();
        format!("{}; text {text:?} for {expected:?}; ends {tail:?}", heard.story)
    };
    if text == expected && finish && sentinel && !error && heard.ended {
        Worth::Whole
    } else if !stream && !heard.ended {
        Worth::Honest(format!("broken off: {}", told()))
    } else if finish || sentinel {
        Worth::Lying(format!("looks complete: {}", told()))
    } else if error || !heard.ended {
        Worth::Honest(format!("broken off: {}", told()))
    } else {
        Worth::Lying(format!("ends without a word: {}", told()))
    }
}

/// The text of an answer, whole or streamed: everything said under the key that carries text.
fn text_of(voice: Voice, body: &str) -> String {
    let key = voice.text_key();
    let mut text = String::new();
    for (at, _) in body.match_indices(key) {
        let rest = body[at + key.len()..].trim_start();
        if let Some(rest) = rest.strip_prefix('"') {
            unquote(rest, &mut text);
        }
    }
    text
}

/// Appends the JSON string that begins here, up to its closing quote. The simulators say nothing outside of the
/// basic plane, so a pair of surrogates does not occur.
fn unquote(rest: &str, text: &mut String) {
    let mut chars = rest.chars();
    while let Some(c) = chars.next() {
        match c {
            '"' => return,
            '\\' => match chars.next() {
                Some('n') => text.push('\n'),
                Some('t') => text.push('\t'),
                Some('u') => {
                    let code: String = chars.by_ref().take(4).collect();
                    text.extend(u32::from_str_radix(&code, 16).ok().and_then(char::from_u32));
                }
                Some(other) => text.push(other),
                None => return,
            },
            c => text.push(c),
        }
    }
}

fn shortened(text: &str) -> String {
    text.chars().take(300).collect()
}
