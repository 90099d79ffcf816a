//! The types of provider by the word one writes, with what each brings along.

use super::Kind;

/// A word for `type:`, and its defaults.
#[derive(Debug)]
pub(super) struct Preset {
    pub(super) word: &'static str,
    /// `None`: a known word, but not offered in this version.
    pub(super) kind: Option<Kind>,
    /// Empty: the file must say where.
    pub(super) base_url: &'static str,
    /// Empty: the file must say which.
    pub(super) model: &'static str,
    /// What a provider of this type serves when there is no file at all.
    pub(super) models_without_file: &'static [&'static str],
}

const fn own(
    word: &'static str,
    kind: Kind,
    base_url: &'static str,
    model: &'static str,
    models_without_file: &'static [&'static str],
) -> Preset {
    Preset { word, kind: Some(kind), base_url, model, models_without_file }
}

const fn compatible(word: &'static str, base_url: &'static str) -> Preset {
    Preset { word, kind: Some(Kind::OpenAiCompatible), base_url, model: "", models_without_file: &[] }
}

const fn not_offered(word: &'static str) -> Preset {
    Preset { word, kind: None, base_url: "", model: "", models_without_file: &[] }
}

/// Every word; the first three are, in this order, the providers without a file.
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
        "ollama",
        Kind::Ollama,
        "http://127.0.0.1:11434",
        "llama3.2",
        &["llama*", "qwen*", "gemma*", "mistral*", "phi*", "deepseek*"],
    ),
    compatible("openai_compatible", ""),
    compatible("vllm", "http://127.0.0.1:8000"),
    compatible("llamacpp", "http://127.0.0.1:8080"),
    compatible("lmstudio", "http://127.0.0.1:1234"),
    compatible("groq", "https://api.groq.com/openai"),
    compatible("mistral", "https://api.mistral.ai"),
    compatible("deepseek", "https://api.deepseek.com"),
    compatible("openrouter", "https://openrouter.ai/api"),
    compatible("together", "https://api.together.xyz"),
    compatible("xai", "https://api.x.ai"),
    not_offered("gemini"),
    not_offered("azure"),
];

/// Finds a type by its word; `-` and `_` are the same in it.
pub(super) fn preset(word: &str) -> Option<&'static Preset> {
    let word = word.to_ascii_lowercase().replace('-', "_");
    PRESETS.iter().find(|preset| preset.word == word)
}

/// The words one may write, for messages.
pub(super) fn offered() -> String {
    let words: Vec<&str> = PRESETS.iter().filter(|p| p.kind.is_some()).map(|p| p.word).collect();
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
