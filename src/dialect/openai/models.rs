//! What OpenAI's models accept, by name: the one table that parameters are left out or renamed by.
//!
//! Source: platform.openai.com, "Reasoning models" and the parameter notes of each model's page.

/// What a model accepts beyond the plain parameters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Abilities {
    /// Takes `max_completion_tokens` and refuses `max_tokens`.
    pub completion_bound: bool,
    /// Takes `temperature`, `top_p` and the penalties.
    pub sampling: bool,
    /// Takes `stop`.
    pub stop: bool,
    /// The words of `reasoning_effort` for "not at all" and "as little as possible"; `None`: the parameter is refused.
    pub effort: Option<Effort>,
}

/// How a model says how much to think.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Effort {
    /// "Not at all", as nearly as the model can.
    pub off: Option<&'static str>,
    /// `minimal`.
    pub least: &'static str,
}

const PLAIN: Abilities = Abilities { completion_bound: false, sampling: true, stop: true, effort: None };

/// What the model of this name accepts. A path before the name (`openai/o3`) is ignored.
#[must_use]
pub fn abilities(model: &str) -> Abilities {
    let name = model.rsplit('/').next().unwrap_or(model);
    let reasoning = |off, least| Abilities {
        completion_bound: true,
        sampling: false,
        stop: false,
        effort: Some(Effort { off, least }),
    };
    if name.starts_with("gpt-5") && name.contains("-chat") {
        Abilities { completion_bound: true, ..PLAIN }
    } else if name.starts_with("gpt-5.") {
        reasoning(Some("none"), "low")
    } else if name.starts_with("gpt-5") {
        reasoning(Some("minimal"), "minimal")
    } else if is_o_series(name) {
        reasoning(None, "low")
    } else if name.starts_with("gpt-oss") {
        Abilities { effort: Some(Effort { off: None, least: "low" }), ..PLAIN }
    } else {
        PLAIN
    }
}

/// `o1`, `o3-mini`, `o4-mini-2025-04-16`; not `olmo`.
fn is_o_series(name: &str) -> bool {
    let mut letters = name.chars();
    letters.next() == Some('o')
        && letters.next().is_some_and(|c| c.is_ascii_digit())
        && letters.next().is_none_or(|c| c == '-')
}
