//! `hapax explain`: whom a request would be put to, in which order, and why each other provider is left out.

use super::args::Question;
use super::paint::{Tone, tinted};
use super::{Failed, assemble, health, print};
use crate::api::{self, Explanation};
use crate::clock::{Clock, SystemClock};
use crate::domain::event::Event;
use crate::gateway::ports::Observer;
use std::sync::Arc;

pub(super) fn run(question: &Question) -> Result<(), Failed> {
    let explanation = match &question.url {
        Some(url) => of_running(url, question)?,
        None => of_file(question)?,
    };
    if question.json {
        let text = serde_json::to_string_pretty(&explanation);
        return print(&text.map_err(|error| Failed::Running(error.to_string()))?);
    }
    print(&in_words(&explanation))
}

/// Nobody needs to be told of a decision that is only thought through.
struct Deaf;

impl Observer for Deaf {
    fn observe(&self, _event: &Event<'_>) {}
}

/// As a gateway of this configuration would decide in its first moment.
fn of_file(question: &Question) -> Result<Explanation, Failed> {
    let settings = super::settings(question.config.as_deref())?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let observer: Arc<dyn Observer> = Arc::new(Deaf);
    let state = assemble::state(&settings, &clock, &observer).map_err(Failed::Running)?;
    api::explain(&state, question.model.as_deref(), question.key.as_deref()).map_err(Failed::Running)
}

/// As the gateway at `url` decides now.
fn of_running(url: &str, question: &Question) -> Result<Explanation, Failed> {
    let authority = health::of_url(url)?;
    let parameter = |(name, value): (&str, &Option<String>)| {
        value.as_ref().map(|value| format!("{name}={}", encoded(value)))
    };
    let given = [("model", &question.model), ("key", &question.key)];
    let query: Vec<String> = given.into_iter().filter_map(parameter).collect();
    let target = format!("/v1/status/explain?{}", query.join("&"));
    let key = crate::config::process_environment("HAPAX_API_KEY");
    let (status, body) = health::get(&authority, &target, key.as_deref())
        .map_err(|error| Failed::Running(format!("no answer from {authority}: {error}")))?;
    if status == 401 {
        let words = format!("{authority} wants to see a key: put it into $HAPAX_API_KEY");
        return Err(Failed::Running(words));
    }
    serde_json::from_slice(&body).map_err(|_| {
        let words = String::from_utf8_lossy(&body);
        Failed::Running(format!("{authority} answers {status}: {}", words.trim_end()))
    })
}

/// A value as a query carries it (RFC 3986, section 2.3).
fn encoded(value: &str) -> String {
    value.bytes().fold(String::new(), |mut text, byte| {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            text.push(char::from(byte));
        } else {
            text.push_str(&format!("%{byte:02X}"));
        }
        text
    })
}

fn in_words(explanation: &Explanation) -> String {
    let asked = explanation.model.as_deref().unwrap_or("no model in particular");
    let mut text = format!("A request for {asked} would be put to:\n");
    let wide = |column: fn(&api::Candidate) -> &str| {
        explanation.providers.iter().map(|one| column(one).len()).max().unwrap_or(0)
    };
    let (provider, model) = (wide(|one| &one.provider), wide(|one| &one.model));
    let line = |place: &str, one: &api::Candidate, news: &str| {
        let line = format!("  {place:<3}{:<provider$}  {:<model$}  {news}", one.provider, one.model);
        line.trim_end().to_owned()
    };
    let (chosen, left_out): (Vec<_>, Vec<_>) =
        explanation.providers.iter().partition(|one| one.left_out.is_none());
    for (place, one) in chosen.iter().enumerate() {
        let news = if place == 0 { "first" } else { "if those before it fail" };
        let tone = if place == 0 { Tone::Good } else { Tone::Dim };
        text.push_str(&format!("{}\n", tinted(tone, &line(&format!("{}.", place + 1), one, news))));
    }
    if chosen.is_empty() {
        text.push_str(&format!("{}\n", tinted(Tone::Bad, "  nobody")));
    }
    if !left_out.is_empty() {
        text.push_str("Left out:\n");
    }
    for one in left_out {
        text.push_str(&format!("{}\n", line("-", one, one.left_out.as_deref().unwrap_or_default())));
    }
    match (&explanation.key, explanation.allowed) {
        (Some(key), true) => text.push_str(&format!("The key {key} may use it.\n")),
        (Some(key), false) => text.push_str(&format!("The key {key} may not use it: 403.\n")),
        (None, _) => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_decided_is_worded_for_people() {
        let one = |provider: &str, model: &str, left_out: Option<&str>| api::Candidate {
            provider: provider.to_owned(),
            model: model.to_owned(),
            left_out: left_out.map(str::to_owned),
        };
        let explanation = Explanation {
            model: Some("fast".to_owned()),
            key: Some("bot".to_owned()),
            allowed: false,
            providers: vec![
                one("ollama", "llama3.2", Some("its health checks fail")),
                one("openai", "gpt-4o-mini", None),
                one("anthropic", "", Some("it is not on the list")),
            ],
        };
        let expected = "\
A request for fast would be put to:
  1. openai     gpt-4o-mini  first
Left out:
  -  ollama     llama3.2     its health checks fail
  -  anthropic               it is not on the list
The key bot may not use it: 403.
";
        assert_eq!(in_words(&explanation), expected);
    }

    #[test]
    fn a_models_name_survives_the_way() {
        assert_eq!(encoded("ollama/llama3.2:x y&z"), "ollama%2Fllama3.2%3Ax%20y%26z");
    }
}
