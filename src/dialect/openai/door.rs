//! The door: a caller's body is checked once, its gist read, and the places marked that we may replace.

use super::super::Invalid;
use super::super::door::MESSAGES_MAX;
use super::super::json::{self, Scan};
use crate::domain::words::{Dialect, Gist, Marks, Words};
use std::borrow::Cow;
use std::ops::Range;
use std::sync::Arc;

/// Hapax's own `input`; the original's bound.
pub const INPUT_BYTES_MAX: usize = 512 * 1024;
/// Hapax's own `function_description`; the original's bound.
pub const FUNCTION_DESCRIPTION_BYTES_MAX: usize = 5 * 1024;

/// Opens a body in one of the forms that look like OpenAI's: chat, legacy completion, or Hapax's own.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open_as(dialect: Dialect, body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let found = {
        let text = json::text(&body)?;
        let mut scan = Scan::new(text);
        if scan.peek() != b'{' {
            return Err(Invalid::new(None, "the body must be a JSON object"));
        }
        let mut found = Found::default();
        scan.object(|scan, key| found.member(scan, &key, dialect))?;
        scan.end()?;
        found.odd = scan.odd();
        found
    };
    found.complete(dialect)?;
    let max_tokens = found.bound();
    let choices = found.choices.max(found.best_of);
    let Found { model, model_at, stream, include_usage, stream_options, messages, .. } = found;
    let gist = Gist { model, stream, include_usage, max_tokens, choices, ..Gist::default() };
    let marks = Marks { model: model_at, stream_options, messages, odd: found.odd };
    Ok((gist, Words { dialect, body: Arc::new(body), marks }))
}

/// Whether a body is a legacy completion: it has a `prompt` and neither `messages` nor `input`.
#[must_use]
pub fn names_prompt(body: &[u8]) -> bool {
    let Ok(text) = json::text(body) else { return false };
    let mut scan = Scan::new(text);
    let (mut prompt, mut other) = (false, false);
    let walked = scan.object(|scan, key| {
        match &*key {
            "prompt" => prompt = true,
            "messages" | "input" => other = true,
            _ => {}
        }
        scan.value().map(drop)
    });
    let walked: Result<(), json::Bad> = walked;
    walked.is_ok() && prompt && !other
}

/// What one walk over the top level has found.
#[derive(Default)]
struct Found {
    model: Option<String>,
    model_at: Option<Range<usize>>,
    stream: bool,
    include_usage: bool,
    stream_options: Option<Range<usize>>,
    messages: Option<Range<usize>>,
    prompt: bool,
    input: bool,
    max_tokens: Option<u64>,
    max_completion_tokens: Option<u64>,
    options_max_tokens: Option<u64>,
    choices: Option<u64>,
    best_of: Option<u64>,
    odd: Option<usize>,
    /// One bit per key we read, to meet a second one.
    seen: u16,
}

/// The keys the door reads; their order is the bit in [`Found::seen`].
const KEYS: [&str; 12] = [
    "model",
    "stream",
    "stream_options",
    "messages",
    "prompt",
    "input",
    "max_tokens",
    "max_completion_tokens",
    "function_description",
    "options",
    "n",
    "best_of",
];

/// A key's place among [`KEYS`]: one look at its length and letters, where a search would try each.
fn bit(key: &str) -> Option<u8> {
    Some(match key {
        "model" => 0,
        "stream" => 1,
        "stream_options" => 2,
        "messages" => 3,
        "prompt" => 4,
        "input" => 5,
        "max_tokens" => 6,
        "max_completion_tokens" => 7,
        "function_description" => 8,
        "options" => 9,
        "n" => 10,
        "best_of" => 11,
        _ => return None,
    })
}

impl Found {
    fn member(&mut self, scan: &mut Scan<'_>, key: &str, dialect: Dialect) -> Result<(), Invalid> {
        let Some(bit) = bit(key) else {
            json::only_ours(key, &KEYS)?;
            scan.pass()?;
            return Ok(());
        };
        if self.seen & 1 << bit != 0 {
            return Err(Invalid::new(Some(key), format!("{key} is given twice")));
        }
        self.seen |= 1 << bit;
        match key {
            "model" => {
                let begin = scan.position();
                self.model = match scan.plain()? {
                    Some(model) => Some(model.to_owned()),
                    None => json::read(scan.since(begin), key, "a string")?,
                };
                self.model_at = Some(begin..scan.here());
            }
            "stream" => {
                self.stream = match scan.value()? {
                    "true" => true,
                    "false" | "null" => false,
                    raw => json::read(raw, key, "a boolean")?,
                }
            }
            "stream_options" => {
                let begin = scan.position();
                let raw = scan.value()?;
                self.include_usage = include_usage(raw)?;
                self.stream_options = Some(begin..begin + raw.len());
            }
            "messages" if dialect != Dialect::OpenAiCompletion => self.messages = messages(scan)?,
            "prompt" if dialect == Dialect::OpenAiCompletion => {
                prompt(scan.value()?)?;
                self.prompt = true;
            }
            "input" if dialect == Dialect::Hapax => self.input = input(scan.value()?)?,
            "max_tokens" => self.max_tokens = json::count(scan.value()?, key)?,
            "max_completion_tokens" => self.max_completion_tokens = json::count(scan.value()?, key)?,
            "n" => self.choices = json::count(scan.value()?, key)?,
            "best_of" if dialect == Dialect::OpenAiCompletion => {
                self.best_of = json::count(scan.value()?, key)?;
            }
            "function_description" if dialect == Dialect::Hapax => function_description(scan.value()?)?,
            "options" if dialect == Dialect::Hapax => self.options_max_tokens = options(scan.value()?)?,
            _ => scan.pass()?,
        }
        Ok(())
    }

    /// The bound on output. Which of two a provider heeds is its own business: the larger one counts.
    fn bound(&self) -> Option<u64> {
        self.max_completion_tokens.max(self.max_tokens).or(self.options_max_tokens)
    }

    fn complete(&self, dialect: Dialect) -> Result<(), Invalid> {
        match dialect {
            Dialect::OpenAiCompletion if !self.prompt => {
                Err(Invalid::new(Some("prompt"), "prompt is required"))
            }
            Dialect::Hapax if self.messages.is_none() && !self.input => {
                Err(Invalid::new(Some("messages"), "messages or input is required"))
            }
            Dialect::OpenAiChat if self.messages.is_none() => {
                Err(Invalid::new(Some("messages"), "messages is required"))
            }
            _ => Ok(()),
        }
    }
}

/// Walks through the messages: a non-empty array of objects with a known role. `null` is none.
fn messages(scan: &mut Scan<'_>) -> Result<Option<Range<usize>>, Invalid> {
    let begin = scan.position();
    match scan.peek() {
        b'[' => {}
        b'n' => {
            scan.pass()?;
            return Ok(None);
        }
        _ => return Err(Invalid::new(Some("messages"), "messages must be an array")),
    }
    let count = scan.array(message)?;
    if count == 0 {
        return Err(Invalid::new(Some("messages"), "messages must not be empty"));
    }
    Ok(Some(begin..scan.here()))
}

fn message(scan: &mut Scan<'_>, index: usize) -> Result<(), Invalid> {
    let at = |rest: &str| format!("messages[{index}]{rest}");
    if index == MESSAGES_MAX {
        return Err(Invalid::new(Some(&at("")), format!("{} is one message too many", at(""))));
    }
    if scan.peek() != b'{' {
        return Err(Invalid::new(Some(&at("")), format!("{} must be an object", at(""))));
    }
    let mut known = None;
    scan.object(|scan, key| {
        if key != "role" {
            scan.pass()?;
            return Ok(());
        }
        let begin = scan.position();
        let role = scan.plain()?;
        if known.is_some() {
            return Err(Invalid::new(Some(&at(".role")), format!("{} is given twice", at(".role"))));
        }
        known = Some(match role {
            Some(role) => is_role(role),
            None => serde_json::from_str::<String>(scan.since(begin)).is_ok_and(|role| is_role(&role)),
        });
        Ok(())
    })?;
    match known {
        Some(true) => Ok(()),
        Some(false) => Err(Invalid::new(
            Some(&at(".role")),
            format!("{} must be system, developer, user, assistant or tool", at(".role")),
        )),
        None => Err(Invalid::new(Some(&at(".role")), format!("{} is required", at(".role")))),
    }
}

fn is_role(role: &str) -> bool {
    matches!(role, "system" | "developer" | "user" | "assistant" | "tool" | "function")
}

fn include_usage(raw: &str) -> Result<bool, Invalid> {
    if raw == "null" {
        return Ok(false);
    }
    if !raw.starts_with('{') {
        return Err(Invalid::new(Some("stream_options"), "stream_options must be an object"));
    }
    let mut include = false;
    for (key, raw) in json::members(raw)? {
        if key == "include_usage" {
            include =
                json::read::<Option<bool>>(raw, "stream_options.include_usage", "a boolean")? == Some(true);
        }
    }
    Ok(include)
}

/// A legacy prompt: a string, or a list of one string.
///
/// # Errors
/// [`Invalid`] for anything else: several prompts, or token numbers.
pub fn prompt(raw: &str) -> Result<Cow<'_, str>, Invalid> {
    const EXPECTED: &str = "a string, or an array of one string";
    if raw.starts_with('[') {
        let [only] = json::read::<[json::Text<'_>; 1]>(raw, "prompt", EXPECTED)?;
        Ok(only.0)
    } else {
        Ok(json::read::<json::Text<'_>>(raw, "prompt", EXPECTED)?.0)
    }
}

fn input(raw: &str) -> Result<bool, Invalid> {
    let Some(json::Text(text)) = json::read::<Option<json::Text<'_>>>(raw, "input", "a string")? else {
        return Ok(false);
    };
    if text.len() > INPUT_BYTES_MAX {
        return Err(Invalid::new(Some("input"), "input must be at most 512 KiB"));
    }
    Ok(!text.is_empty())
}

fn function_description(raw: &str) -> Result<(), Invalid> {
    let text = json::read::<Option<json::Text<'_>>>(raw, "function_description", "a string")?;
    if text.is_some_and(|text| text.0.len() > FUNCTION_DESCRIPTION_BYTES_MAX) {
        return Err(Invalid::new(Some("function_description"), "function_description must be at most 5 KiB"));
    }
    Ok(())
}

/// `max_tokens` inside the original's `options`.
fn options(raw: &str) -> Result<Option<u64>, Invalid> {
    if raw == "null" {
        return Ok(None);
    }
    if !raw.starts_with('{') {
        return Err(Invalid::new(Some("options"), "options must be an object"));
    }
    for (key, raw) in json::members(raw)? {
        if key == "max_tokens" {
            return json::count(raw, "options.max_tokens");
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_that_is_read_has_its_own_bit() {
        for (index, key) in KEYS.iter().enumerate() {
            assert_eq!(bit(key).map(usize::from), Some(index), "{key}");
        }
        assert_eq!(bit("temperature"), None);
    }
}
