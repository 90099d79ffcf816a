//! The types of provider by the word one writes, with what each brings along.

use super::Kind;
use crate::domain::quirks::OutputBound;

/// A word for `type:`, and its defaults.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) word: &'static str,
    pub(super) kind: Kind,
    /// Empty: the file must say where.
    pub(super) base_url: &'static str,
    /// Empty: the file must say which.
    pub(super) model: &'static str,
    /// What a provider of this type serves when there is no file at all.
    pub(super) models_without_file: &'static [&'static str],
    /// The vendor's own variable for a key, where it is not the one by the name; for a provider called like its type.
    pub(super) key_variable: &'static str,
    /// What it accepts otherwise than its dialect says.
    pub(super) quirks: Known,
}

/// What is known of a type. Tolerated in every answer and so not listed: a missing `[DONE]`, usage on the last content
/// chunk or on every chunk, `reasoning` for `reasoning_content`, comments in streams, errors in chunks.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// Parameters answered with 400 or 422.
    pub(super) refuses: &'static [&'static str],
    /// The one name it takes a bound on output under.
    pub(super) output_bound: Option<OutputBound>,
    /// Ids of tool calls must be nine letters or digits.
    pub(super) short_call_ids: bool,
    /// Reasoning must come back beside the tool calls it led to.
    pub(super) reasoning_back: bool,
}

const PLAIN: Known = Known { refuses: &[], output_bound: None, short_call_ids: false, reasoning_back: false };
/// Servers that know the older name alone.
const TOKENS: Known = Known { output_bound: Some(OutputBound::Tokens), ..PLAIN };

const fn own(
    word: &'static str,
    kind: Kind,
    base_url: &'static str,
    model: &'static str,
    models_without_file: &'static [&'static str],
) -> Preset {
    let key_variable = if let Kind::Azure = kind { "AZURE_OPENAI_API_KEY" } else { "" };
    Preset { word, kind, base_url, model, models_without_file, key_variable, quirks: PLAIN }
}

const fn compatible(word: &'static str, base_url: &'static str, quirks: Known) -> Preset {
    let kind = Kind::OpenAiCompatible;
    Preset { word, kind, base_url, model: "", models_without_file: &[], key_variable: "", quirks }
}

/// Every word; the first four are, in this order, the providers without a file.
pub(super) static PRESETS: &[Preset] = &[
    own(
        "openai",
        Kind::OpenAi,
        "https://api.openai.com",
        "gpt-4o-mini",
        &["gpt-*", "chatgpt-*", "o1*", "o3*", "o4*"],
    ),
    own("anthropic", Kind::Anthropic, "https://api.anthropic.com", "claude-haiku-4-5", &["claude-*"]),
    own(
        "gemini",
        Kind::Gemini,
        "https://generativelanguage.googleapis.com",
        "gemini-2.5-flash",
        &["gemini-*"],
    ),
    own(
        "ollama",
        Kind::Ollama,
        "http://127.0.0.1:11434",
        "llama3.2",
        &["llama*", "qwen*", "gemma*", "mistral*", "phi*", "deepseek*"],
    ),
    own("azure", Kind::Azure, "", "", &[]),
    compatible("openai_compatible", "", PLAIN),
    compatible("vllm", "http://127.0.0.1:8000", PLAIN),
    compatible("llamacpp", "http://127.0.0.1:8080", TOKENS),
    compatible("lmstudio", "http://127.0.0.1:1234", TOKENS),
    compatible(
        "groq",
        "https://api.groq.com/openai",
        Known { refuses: &["logit_bias", "logprobs", "top_logprobs"], ..PLAIN },
    ),
    compatible(
        "mistral",
        "https://api.mistral.ai",
        Known {
            refuses: &[
                "stream_options",
                "seed",
                "user",
                "store",
                "logit_bias",
                "logprobs",
                "top_logprobs",
                "service_tier",
            ],
            short_call_ids: true,
            ..TOKENS
        },
    ),
    compatible("deepseek", "https://api.deepseek.com", Known { reasoning_back: true, ..TOKENS }),
    compatible("openrouter", "https://openrouter.ai/api", PLAIN),
    compatible("together", "https://api.together.xyz", TOKENS),
    compatible("xai", "https://api.x.ai", PLAIN),
];

/// Finds a type by its word; `-` and `_` are the same in it.
pub(super) fn preset(word: &str) -> Option<&'static Preset> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    PRESETS.iter().find(|preset| preset.word == word)
}

/// The words one may write, for messages.
pub(super) fn offered() -> String {
    let words: Vec<&str> = PRESETS.iter().map(|preset| preset.word).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::super::value;
    use super::*;

    #[test]
    fn every_preset_brings_a_base_url_that_is_already_normal() {
        for preset in PRESETS.iter().filter(|preset| !preset.base_url.is_empty()) {
            let url = value::base_url(preset.base_url).expect(preset.word);
            assert_eq!(url.plain(), preset.base_url);
            assert!(url.https || url.is_loopback(), "{} would send keys in the clear", preset.word);
        }
    }

    #[test]
    fn a_type_is_known_by_any_spelling_of_its_word() {
        assert_eq!(preset("OpenAI-Compatible").map(|p| p.word), Some("openai_compatible"));
        assert!(preset("gpt").is_none());
    }
}
