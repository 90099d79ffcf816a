//! Which behaviour a request meets: queue, model name, model entry, default; and a script file that sets them all.

use super::behaviour::{BadBehaviour, Behaviour, Entry};
use serde::Deserialize;
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Instant;

/// Behaviours waiting in the queue.
const QUEUE_MAX: usize = 100_000;
/// Models with a behaviour of their own.
const MODELS_MAX: usize = 10_000;

/// A behaviour, or why there is none.
pub(super) type Choice = Result<Arc<Behaviour>, BadBehaviour>;

/// What a simulator is told in a file.
#[derive(Debug, Clone, Default)]
pub struct Script {
    default: Option<Behaviour>,
    models: Vec<(String, Behaviour)>,
    checks: Option<Behaviour>,
    key: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    default: Option<String>,
    #[serde(default)]
    models: BTreeMap<String, String>,
    checks: Option<String>,
    key: Option<String>,
}

/// Reads a script: `{"default": "...", "models": {"name": "..."}, "checks": "...", "key": "..."}`, every field optional.
///
/// # Errors
/// One sentence that names the field or the behaviour that is wrong.
pub fn parse_script(json: &str) -> Result<Script, String> {
    let written: Written = serde_json::from_str(json).map_err(|error| format!("script: {error}"))?;
    let behaviour = |name: &str, text: String| {
        Behaviour::parse(&text).map_err(|error| format!("script: {name}: {error}"))
    };
    let mut script = Script { key: written.key, ..Script::default() };
    script.default = written.default.map(|text| behaviour("default", text)).transpose()?;
    script.checks = written.checks.map(|text| behaviour("checks", text)).transpose()?;
    for (model, text) in written.models {
        let parsed = behaviour(&model, text)?;
        script.models.push((model, parsed));
    }
    Ok(script)
}

/// Everything a simulator has been told so far.
#[derive(Debug)]
pub(super) struct Plan {
    default: Entry,
    models: BTreeMap<String, Result<Entry, BadBehaviour>>,
    queue: VecDeque<Choice>,
    checks: Option<Result<Entry, BadBehaviour>>,
    /// The key that callers must show.
    pub key: Option<String>,
    start: Instant,
}

impl Plan {
    /// Health for everyone.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            default: Entry::new(Behaviour::default(), now),
            models: BTreeMap::new(),
            queue: VecDeque::new(),
            checks: None,
            key: None,
            start: now,
        }
    }

    /// Everyone who has nothing of his own behaves like this.
    pub(super) fn behave(&mut self, behaviour: &str, now: Instant) -> Result<(), BadBehaviour> {
        self.default = Entry::new(Behaviour::parse(behaviour)?, now);
        Ok(())
    }

    /// This model behaves like this.
    pub(super) fn behave_model(&mut self, model: &str, behaviour: &str, now: Instant) {
        if self.models.len() < MODELS_MAX || self.models.contains_key(model) {
            let entry = Behaviour::parse(behaviour).map(|behaviour| Entry::new(behaviour, now));
            self.models.insert(model.to_owned(), entry);
        }
    }

    /// Health checks meet this.
    pub(super) fn checks(&mut self, behaviour: &str, now: Instant) {
        self.checks = Some(Behaviour::parse(behaviour).map(|behaviour| Entry::new(behaviour, now)));
    }

    /// The next completion requests meet these, one each.
    pub(super) fn script(&mut self, behaviours: &[&str]) {
        for text in behaviours {
            if self.queue.len() < QUEUE_MAX {
                self.queue.push_back(Behaviour::parse(text).map(Arc::new));
            }
        }
    }

    /// Everything a file says.
    pub(super) fn apply(&mut self, script: Script, now: Instant) {
        if let Some(default) = script.default {
            self.default = Entry::new(default, now);
        }
        let room = MODELS_MAX.saturating_sub(self.models.len());
        for (model, behaviour) in script.models.into_iter().take(room) {
            self.models.insert(model, Ok(Entry::new(behaviour, now)));
        }
        if let Some(checks) = script.checks {
            self.checks = Some(Ok(Entry::new(checks, now)));
        }
        if script.key.is_some() {
            self.key = script.key;
        }
    }

    /// What the next completion request for this model meets. Takes it from the queue if one is there.
    pub(super) fn choose(&mut self, model: &str, embedded: Option<&str>, now: Instant) -> Choice {
        if let Some(choice) = self.queue.pop_front() {
            return choice.map(|behaviour| Entry::new((*behaviour).clone(), self.start).at(now));
        }
        if let Some(text) = embedded {
            return Behaviour::parse(text).map(|behaviour| Entry::new(behaviour, self.start).at(now));
        }
        match self.models.get(model) {
            Some(entry) => entry.clone().map(|entry| entry.at(now)),
            None => Ok(self.default.at(now)),
        }
    }

    /// What a health check meets.
    pub(super) fn choose_for_check(&self, now: Instant) -> Choice {
        match &self.checks {
            Some(entry) => entry.clone().map(|entry| entry.at(now)),
            None => Ok(Arc::new(self.default.at(now).for_checks())),
        }
    }

    /// What everyone meets who has nothing of his own.
    pub(super) fn default_at(&self, now: Instant) -> Arc<Behaviour> {
        self.default.at(now)
    }

    /// The models that have a behaviour of their own; they appear in the lists of models.
    pub(super) fn model_names(&self) -> Vec<String> {
        self.models.keys().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::super::behaviour::Instead;
    use super::*;
    use crate::clock::{Clock, SystemClock};

    #[test]
    fn queue_then_model_name_then_model_entry_then_default() {
        let now = SystemClock.now();
        let mut plan = Plan::new(now);
        plan.behave("status=500", now).expect("a behaviour");
        plan.behave_model("m", "status=501", now);
        plan.script(&["status=503"]);
        let mut choose = |model, embedded| {
            let chosen = plan.choose(model, embedded, now).expect("a behaviour");
            chosen.instead
        };
        assert_eq!(choose("m", Some("status=502")), Instead::Status(503));
        assert_eq!(choose("m", Some("status=502")), Instead::Status(502));
        assert_eq!(choose("m", None), Instead::Status(501));
        assert_eq!(choose("other", None), Instead::Status(500));
    }

    #[test]
    fn a_script_file_is_checked_before_it_is_applied() {
        let now = SystemClock.now();
        let script = parse_script(
            r#"{"default":"status=500","models":{"m":"reset"},"checks":"status=404","key":"k"}"#,
        );
        let mut plan = Plan::new(now);
        plan.apply(script.expect("a script"), now);
        assert_eq!(plan.choose("m", None, now).expect("a behaviour").instead, Instead::Reset);
        assert_eq!(plan.default_at(now).instead, Instead::Status(500));
        assert_eq!(plan.choose_for_check(now).expect("a behaviour").instead, Instead::Status(404));
        assert_eq!(plan.key.as_deref(), Some("k"));
        for (bad, word) in [
            ("{", "EOF"),
            (r#"{"defualt":""}"#, "defualt"),
            (r#"{"models":{"m":"rest"}}"#, "m: behaviour: `rest`"),
        ] {
            let error = parse_script(bad).expect_err(bad);
            assert!(error.contains(word), "{error}");
        }
    }

    #[test]
    fn a_bad_behaviour_in_the_queue_is_an_error_for_the_request_that_meets_it() {
        let now = SystemClock.now();
        let mut plan = Plan::new(now);
        plan.script(&["nonsense"]);
        assert!(plan.choose("m", None, now).is_err());
        assert!(plan.choose("m", None, now).is_ok());
    }
}
