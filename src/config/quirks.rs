//! What a provider accepts otherwise than its dialect says: known of its type, overridden by `capabilities:`.

use super::Kind;
use super::presets::Preset;
use super::reading::Section;
use crate::domain::quirks::{OutputBound, Quirks, Responses, Thinking};

/// The words for [`Thinking`].
pub(super) const THINKING: &[&str] = &["none", "budget", "adaptive"];
/// The words for [`OutputBound`].
pub(super) const BOUNDS: &[&str] = &["max_tokens", "max_completion_tokens"];

/// The words for [`Responses`].
pub(super) const RESPONSES: &[&str] = &["off", "own", "all"];
/// The first version of Azure's older API that has Responses.
const AZURE_SINCE: &str = "2025-03-01-preview";

/// Reads a provider's `capabilities:`; what it leaves out is as the type has it.
pub(super) fn read(provider: &Section<'_>, preset: &Preset) -> Quirks {
    let said = provider.section("capabilities");
    let flag = |key: &str, known: Option<bool>| said.written(key).map_or(known, |_| Some(said.flag(key)));
    let known = preset.quirks;
    let refuses = if said.written("refuses").is_some() {
        said.plain_texts("refuses")
    } else {
        known.refuses.iter().map(|name| (*name).to_owned()).collect()
    };
    Quirks {
        refuses,
        sampling: flag("sampling", None),
        thinking: said.text("thinking").map(|word| match word.as_str() {
            "budget" => Thinking::Budget,
            "adaptive" => Thinking::Adaptive,
            _ => Thinking::Unable,
        }),
        prefill: flag("prefill", None),
        forced_tool: flag("forced_tool", None),
        output_bound: said.text("output_bound").map_or(known.output_bound, |word| {
            Some(if word == BOUNDS[0] { OutputBound::Tokens } else { OutputBound::CompletionTokens })
        }),
        short_call_ids: flag("short_call_ids", known.short_call_ids.then_some(true)),
        reasoning_back: flag("reasoning_back", known.reasoning_back.then_some(true)),
        responses: match said.text("responses").as_deref() {
            Some("off") => Responses::Off,
            Some("own") => Responses::Own,
            Some(_) => Responses::All,
            None => responses(provider, preset.kind),
        },
    }
}

/// What is known of a type. Versions of Azure's are dates, and so sort as texts do.
fn responses(provider: &Section<'_>, kind: Kind) -> Responses {
    let version = provider.text("api_version");
    match kind {
        Kind::OpenAi => Responses::Own,
        Kind::Azure if version.is_none_or(|version| &*version >= AZURE_SINCE) => Responses::Own,
        _ => Responses::Off,
    }
}

/// Whether a type of provider can have Responses at all.
pub(super) fn may_have_responses(kind: Kind) -> bool {
    matches!(kind, Kind::OpenAi | Kind::OpenAiCompatible | Kind::Azure)
}

/// The word for a way to think.
pub(super) fn thinking_word(thinking: Thinking) -> &'static str {
    match thinking {
        Thinking::Unable => "none",
        Thinking::Budget => "budget",
        Thinking::Adaptive => "adaptive",
    }
}
