//! What a Gemini model accepts, by name: thinking, instructions, and tools beside a schema.
//!
//! Source: the vendor's "thinking" and "thought signatures" guides. Tomorrow's models are taken for the newest known.

use crate::domain::chat::Reasoning;
use serde::Serialize;

/// What a model accepts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Model {
    /// `gemini-2.5-flash` is (2, 5); a name without a number is as new as can be.
    version: (u32, u32),
    pro: bool,
    lite: bool,
    /// Gemma, served by the same API: no instructions, no tools' choice, no thinking.
    gemma: bool,
}

/// The `thinkingConfig` object.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Thought {
    pub include_thoughts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_budget: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub thinking_level: Option<&'static str>,
}

/// What the model of this name accepts.
pub(super) fn of(model: &str) -> Model {
    let name = model.rsplit('/').next().unwrap_or(model).to_ascii_lowercase();
    let gemma = name.starts_with("gemma");
    let version = name.split('-').find_map(version).unwrap_or((u32::MAX, 0));
    Model { version, pro: name.contains("pro"), lite: name.contains("lite"), gemma }
}

/// `2.5`, `3`; dates and sizes are not versions.
fn version(part: &str) -> Option<(u32, u32)> {
    let (major, minor) = part.split_once('.').unwrap_or((part, "0"));
    if major.len() > 2 { None } else { Some((major.parse().ok()?, minor.parse().ok()?)) }
}

impl Model {
    /// Whether instructions have a place of their own.
    pub(super) fn takes_instructions(self) -> bool {
        !self.gemma
    }

    /// Whether a tool call of the conversation must carry a signature.
    pub(super) fn wants_signatures(self) -> bool {
        !self.gemma && self.version >= (3, 0)
    }

    /// Whether an answer's schema may stand beside tools.
    pub(super) fn takes_schema_with_tools(self) -> bool {
        !self.gemma && self.version >= (3, 0)
    }

    /// How it is told to think this much; `Err` when it cannot be told.
    pub(super) fn thinking(self, wanted: &Reasoning) -> Result<Option<Thought>, ()> {
        let off = matches!(wanted, Reasoning::Off) || *wanted == Reasoning::Effort("none".to_owned());
        if self.gemma || self.version < (2, 5) {
            return if off { Ok(None) } else { Err(()) };
        }
        let mut thought = Thought { include_thoughts: !off, thinking_budget: None, thinking_level: None };
        if self.version < (3, 0) {
            let (least, most) = match (self.pro, self.lite) {
                (true, _) => (128, 32_768),
                (_, true) => (512, 24_576),
                _ => (1, 24_576),
            };
            let budget = budget(wanted).ok_or(())?;
            let nothing = if self.pro { least } else { 0 };
            thought.thinking_budget = Some(if off { nothing } else { budget.clamp(least, most) });
        } else {
            thought.thinking_level = Some(self.level(wanted, off).ok_or(())?);
        }
        Ok(Some(thought))
    }

    fn level(self, wanted: &Reasoning, off: bool) -> Option<&'static str> {
        let least = if self.pro { "low" } else { "minimal" };
        let middle = if self.pro && self.version < (3, 1) { "high" } else { "medium" };
        if off {
            return Some(least);
        }
        match wanted {
            Reasoning::Effort(word) => match word.as_str() {
                "minimal" => Some(least),
                "low" => Some("low"),
                "medium" => Some(middle),
                "high" | "xhigh" | "max" => Some("high"),
                _ => None,
            },
            Reasoning::Budget(..=2048) => Some("low"),
            Reasoning::Budget(..=8192) => Some(middle),
            Reasoning::Budget(_) | Reasoning::Off => Some("high"),
        }
    }
}

/// In tokens for models that are told in tokens.
fn budget(wanted: &Reasoning) -> Option<u64> {
    match wanted {
        Reasoning::Off => Some(0),
        Reasoning::Budget(tokens) => Some(*tokens),
        Reasoning::Effort(word) => match word.as_str() {
            "none" => Some(0),
            "minimal" => Some(512),
            "low" => Some(1024),
            "medium" => Some(8192),
            "high" => Some(24_576),
            "xhigh" | "max" => Some(32_768),
            _ => None,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(model: &str, wanted: &Reasoning) -> Option<(Option<u64>, Option<&'static str>)> {
        let thought = of(model).thinking(wanted).ok()??;
        Some((thought.thinking_budget, thought.thinking_level))
    }

    #[test]
    fn thinking_is_told_as_the_model_understands_it() {
        let high = Reasoning::Effort("high".into());
        let medium = Reasoning::Effort("medium".into());
        let rows = [
            ("gemini-2.5-flash", &high, Some((Some(24_576), None))),
            ("models/gemini-2.5-pro", &Reasoning::Off, Some((Some(128), None))),
            ("gemini-2.5-flash", &Reasoning::Off, Some((Some(0), None))),
            ("gemini-2.5-flash-lite", &Reasoning::Budget(10), Some((Some(512), None))),
            ("gemini-3-pro-preview", &medium, Some((None, Some("high")))),
            ("gemini-3.1-pro-preview", &medium, Some((None, Some("medium")))),
            ("gemini-3-flash", &Reasoning::Off, Some((None, Some("minimal")))),
            ("gemini-flash-latest", &medium, Some((None, Some("medium")))),
            ("gemini-2.0-flash", &high, None),
            ("gemma-3-27b-it", &high, None),
        ];
        for (model, wanted, expected) in rows {
            assert_eq!(told(model, wanted), expected, "{model} {wanted:?}");
        }
        assert_eq!(of("gemini-2.0-flash").thinking(&Reasoning::Off), Ok(None));
    }

    #[test]
    fn sizes_and_dates_are_not_versions() {
        assert_eq!(of("gemini-2.0-flash-001").version, (2, 0));
        assert_eq!(of("gemini-pro-latest").version, (u32::MAX, 0));
        assert!(of("gemini-3-pro-preview").wants_signatures());
        assert!(!of("gemini-2.5-pro").wants_signatures());
    }
}
