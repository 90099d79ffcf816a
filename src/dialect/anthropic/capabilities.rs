//! What a Claude model accepts: the one table that reasoning, sampling and prefill follow.
//!
//! Source: the vendor's migration guides and "extended thinking" pages. Versions are read from the model's name,
//! so that tomorrow's models are treated like the newest known ones.

use crate::domain::quirks::Quirks;
/// `{"type":"enabled","budget_tokens":n}` or `{"type":"adaptive"}` with `output_config.effort`.
pub(super) use crate::domain::quirks::Thinking;

/// What a model accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Capabilities {
    /// `temperature`, `top_p`, `top_k`.
    pub sampling: bool,
    /// `temperature` and `top_p` in one request.
    pub both_samplings: bool,
    /// How it thinks.
    pub thinking: Thinking,
    /// Whether it keeps its thoughts to itself unless asked to tell them.
    pub reticent: bool,
    /// A conversation that ends with the assistant's beginning.
    pub prefill: bool,
    /// A `tool_choice` that forces a call; refused by models that always think.
    pub forced_tool: bool,
    /// An effort above `high`.
    pub top_effort: &'static str,
}

const CLASSIC: Capabilities = Capabilities {
    sampling: true,
    both_samplings: true,
    thinking: Thinking::Budget,
    reticent: false,
    prefill: true,
    forced_tool: true,
    top_effort: "high",
};

/// From the newest to the oldest: the first row whose version is reached counts.
const TABLE: &[((u32, u32), Capabilities)] = &[
    (
        (4, 7),
        Capabilities {
            sampling: false,
            both_samplings: false,
            thinking: Thinking::Adaptive,
            reticent: true,
            prefill: false,
            forced_tool: true,
            top_effort: "xhigh",
        },
    ),
    (
        (4, 6),
        Capabilities {
            sampling: true,
            both_samplings: false,
            thinking: Thinking::Adaptive,
            reticent: false,
            prefill: false,
            forced_tool: true,
            top_effort: "max",
        },
    ),
    ((4, 1), Capabilities { both_samplings: false, ..CLASSIC }),
    ((3, 7), CLASSIC),
    ((0, 0), Capabilities { thinking: Thinking::Unable, ..CLASSIC }),
];

impl Capabilities {
    /// With what the operator says of this provider.
    pub(super) fn told(self, quirks: &Quirks) -> Self {
        Self {
            sampling: quirks.sampling.unwrap_or(self.sampling),
            thinking: quirks.thinking.unwrap_or(self.thinking),
            prefill: quirks.prefill.unwrap_or(self.prefill),
            forced_tool: quirks.forced_tool.unwrap_or(self.forced_tool),
            ..self
        }
    }
}

/// What the model of this name accepts. Names that are not Claude's are taken for compatible servers of the
/// classic kind.
pub(super) fn of(model: &str) -> Capabilities {
    let small = model.bytes().any(|byte| byte.is_ascii_uppercase()).then(|| model.to_ascii_lowercase());
    let name = small.as_deref().unwrap_or(model);
    let at = if name.starts_with("claude") { Some(0) } else { name.find("claude") };
    let Some(name) = at.map(|at| &name[at..]) else { return CLASSIC };
    let version = version(name);
    let row = TABLE.iter().find(|(from, _)| version >= *from);
    let capabilities = row.map_or(CLASSIC, |(_, capabilities)| *capabilities);
    let always_thinks = says(name, b"mythos") || says(name, b"fable");
    Capabilities { forced_tool: !always_thinks, ..capabilities }
}

/// Whether a short name has this in it: looking at each place costs less than a search is prepared for.
fn says<const N: usize>(name: &str, word: &[u8; N]) -> bool {
    name.as_bytes().windows(N).any(|part| part == word)
}

/// `claude-3-5-sonnet-20241022` is (3, 5), `claude-opus-4-7` (4, 7), `claude-sonnet-4-20250514` (4, 0).
/// A name without a number is as new as can be.
fn version(name: &str) -> (u32, u32) {
    let parts = name.as_bytes().split(|byte| matches!(byte, b'-' | b'.' | b'@' | b':' | b'_' | b'/'));
    let mut parts = parts.skip_while(|part| number(part).is_none());
    let Some(major) = parts.next().and_then(number) else {
        return if name.contains("instant") { (1, 0) } else { (u32::MAX, 0) };
    };
    (major, parts.next().and_then(number).unwrap_or(0))
}

/// A version number; dates are longer.
fn number(part: &[u8]) -> Option<u32> {
    let digit = |byte: &u8| byte.is_ascii_digit().then(|| u32::from(byte - b'0'));
    match part.strip_prefix(b"v").unwrap_or(part) {
        [one] => digit(one),
        [ten, one] => Some(10 * digit(ten)? + digit(one)?),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_every_spelling() {
        let expected = [
            ("claude-3-5-sonnet-20241022", (3, 5)),
            ("claude-3-opus-20240229", (3, 0)),
            ("claude-3-7-sonnet-latest", (3, 7)),
            ("claude-sonnet-4-20250514", (4, 0)),
            ("claude-opus-4-1-20250805", (4, 1)),
            ("claude-opus-4.7", (4, 7)),
            ("claude-2.1", (2, 1)),
            ("claude-instant", (1, 0)),
            ("claude-sonnet-5", (5, 0)),
            ("claude-mythos-preview", (u32::MAX, 0)),
        ];
        for (name, version_expected) in expected {
            assert_eq!(version(name), version_expected, "{name}");
        }
    }

    #[test]
    fn what_models_accept() {
        // model, sampling, thinking, prefill, forced tool
        let rows = [
            ("claude-3-haiku-20240307", true, Thinking::Unable, true, true),
            ("claude-3-7-sonnet-20250219", true, Thinking::Budget, true, true),
            ("claude-sonnet-4-5-20250929", true, Thinking::Budget, true, true),
            ("anthropic/claude-opus-4.6", true, Thinking::Adaptive, false, true),
            ("us.anthropic.claude-sonnet-4-6-v1:0", true, Thinking::Adaptive, false, true),
            ("claude-opus-4-7", false, Thinking::Adaptive, false, true),
            ("claude-opus-5-20270101", false, Thinking::Adaptive, false, true),
            ("claude-mythos-preview", false, Thinking::Adaptive, false, false),
            ("glm-4.6", true, Thinking::Budget, true, true),
        ];
        for (model, sampling, thinking, prefill, forced_tool) in rows {
            let is = of(model);
            let row = (is.sampling, is.thinking, is.prefill, is.forced_tool);
            assert_eq!(row, (sampling, thinking, prefill, forced_tool), "{model}");
        }
    }
}
