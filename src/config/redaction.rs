//! The rules that take private words out: read, checked, and written out again.

use super::Redaction;
use super::reading::{Reading, Section};
use crate::domain::redact::{self, Mode, NAMES, Pattern, RULES_MAX, Rule};

/// Reads `redaction`; `None` when it is off or has no rule. What is wrong is wrong also while it is off.
pub(super) fn read(reading: &mut Reading<'_>, root: &Section<'_>) -> Option<Redaction> {
    let section = root.section("redaction");
    let items = section.items("rules");
    if items.len() > RULES_MAX {
        let words = format!("has {} rules; {RULES_MAX} are the most", items.len());
        reading.problem(section.at_of("rules"), &section.path_of("rules"), words);
    }
    let mut rules: Vec<Rule> = Vec::new();
    for item in &items {
        let Some(rule) = rule(reading, item) else { continue };
        if rules.iter().any(|other| other.name == rule.name) {
            let words = format!("{} is the name of another rule", rule.name);
            reading.problem(item.at_of("name"), &item.path_of("name"), words);
        }
        rules.push(rule);
    }
    if let Err(why) = redact::Redaction::of(Mode::Enforce, &rules, |_| true) {
        reading.problem(section.at_of("rules"), &section.path_of("rules"), why);
    }
    let mode = match section.text("mode").as_deref() {
        Some("monitor") => Mode::Monitor,
        Some("enforce") => Mode::Enforce,
        _ => return None,
    };
    if items.is_empty() {
        reading.warn(section.at, "redaction", "has no rules, so nothing is looked for");
        return None;
    }
    Some(Redaction { mode, rules })
}

fn rule(reading: &mut Reading<'_>, item: &Section<'_>) -> Option<Rule> {
    let name = item.need(reading, "name")?;
    let pattern = match item.text("pattern") {
        Some(text) => Pattern::new(&text).ok()?,
        None if item.is_wrong("pattern") => return None,
        None => {
            let built_in = redact::named(&name);
            if built_in.is_none() {
                let words = format!("is needed, except for a rule called {}", NAMES.join(", "));
                reading.problem(item.at, &item.path_of("pattern"), words);
            }
            built_in?
        }
    };
    let on = item.plain_texts("on");
    let looks = |direction: &str| on.is_empty() || on.iter().any(|other| other == direction);
    let replace = item.text("replace").unwrap_or_else(|| format!("[{name}]"));
    Some(Rule { name, pattern, replace, on_requests: looks("requests"), on_answers: looks("answers") })
}

/// The word for a mode.
pub(super) fn word(redaction: Option<&Redaction>) -> &'static str {
    match redaction.map(|redaction| redaction.mode) {
        None => "\"off\"",
        Some(Mode::Monitor) => "monitor",
        Some(Mode::Enforce) => "enforce",
    }
}
