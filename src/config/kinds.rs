//! The kinds of value a key can have, and how each is read from what was typed.

use super::file::{Node, Value};
use super::value;
use std::time::Duration;

/// Checks text beyond its being text.
pub(super) type Check = fn(&str) -> Result<(), String>;

/// What a key holds.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// A mapping with the table's keys.
    Section,
    /// A mapping whose keys are the operator's own names.
    Named(Check),
    /// A list of mappings.
    Listed,
    /// Not looked into.
    Any,
    Flag,
    /// A whole number from, to.
    Count(u64, u64),
    /// A duration of at least so many milliseconds.
    Duration(u64),
    /// Bytes from, to.
    Size(u64, u64),
    /// A decimal number that is not negative.
    Amount,
    Text(Check),
    /// A duration or a whole number, either may be negative.
    KeepAlive,
    Secret,
    /// A secret that may contain spaces.
    SecretLine,
    Choice(&'static [&'static str]),
    /// A list of texts; one alone needs no brackets.
    Texts(Check),
    Secrets,
}

/// A value as read. Lists keep their items' positions in the tree.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Parsed {
    Nothing,
    Flag(bool),
    Count(u64),
    Duration(Duration),
    Amount(f64),
    Text(String),
    Texts(Vec<String>),
}

/// What is wrong: with which item of a list, if it is one, and why.
pub(super) type Wrong = (Option<usize>, String);

impl Kind {
    /// What may be written, in words: its sort, and its range or its choices.
    pub(super) fn words(self) -> String {
        let range =
            |least: u64, most: u64, word: fn(u64) -> String| format!("{}–{}", word(least), word(most));
        match self {
            Self::Count(least, most) => format!("number, {}", range(least, most, grouped)),
            Self::Size(least, most) => format!("size, {}", range(least, most, value::size_text)),
            Self::Duration(0) => "duration, or `0s`".to_owned(),
            Self::Duration(least @ 2..) => {
                format!("duration, at least {}", value::duration_text(Duration::from_millis(least)))
            }
            Self::Choice(words) => format!("`{}`", words.join("`, `")),
            other => other.word().to_owned(),
        }
    }

    fn word(self) -> &'static str {
        match self {
            Self::Section => "section",
            Self::Named(_) => "names",
            Self::Listed => "list",
            Self::Any => "any",
            Self::Flag => "true or false",
            Self::Count(..) => "number",
            Self::Duration(_) => "duration",
            Self::Size(..) => "size",
            Self::Amount => "decimal",
            Self::Text(_) => "text",
            Self::KeepAlive => "duration or number",
            Self::Secret | Self::SecretLine => "secret",
            Self::Choice(_) => "word",
            Self::Texts(_) => "texts",
            Self::Secrets => "secrets",
        }
    }

    /// Whether `file:` is understood.
    pub(super) fn is_secret(self) -> bool {
        matches!(self, Self::Secret | Self::SecretLine | Self::Secrets)
    }

    /// Reads a value that is not null.
    pub(super) fn parse(self, typed: &Value) -> Result<Parsed, Wrong> {
        let whole = |result: Result<Parsed, String>| result.map_err(|why| (None, why));
        match self {
            Self::Section | Self::Named(_) if matches!(typed, Value::Map(_)) => Ok(Parsed::Nothing),
            Self::Section | Self::Named(_) => Err((None, "must be a mapping of keys to values".to_owned())),
            Self::Listed if matches!(typed, Value::List(_)) => Ok(Parsed::Nothing),
            Self::Listed => Err((None, "must be a list".to_owned())),
            Self::Any => Ok(Parsed::Nothing),
            Self::Flag => whole(flag(typed).map(Parsed::Flag)),
            Self::Count(least, most) => whole(count(typed, least, most).map(Parsed::Count)),
            Self::Duration(least) => whole(duration(typed, least).map(Parsed::Duration)),
            Self::Size(least, most) => whole(size(typed, least, most).map(Parsed::Count)),
            Self::Amount => whole(amount(typed).map(Parsed::Amount)),
            Self::Text(check) => whole(text(typed, check).map(Parsed::Text)),
            Self::KeepAlive => whole(keep_alive(typed).map(Parsed::Text)),
            Self::Secret => whole(text(typed, |t| value::secret(t, false)).map(Parsed::Text)),
            Self::SecretLine => whole(text(typed, |t| value::secret(t, true)).map(Parsed::Text)),
            Self::Choice(words) => whole(choice(typed, words).map(|w| Parsed::Text(w.to_owned()))),
            Self::Texts(check) => texts(typed, check).map(Parsed::Texts),
            Self::Secrets => texts(typed, |t| value::secret(t, false)).map(Parsed::Texts),
        }
    }

    /// Reads the table's own words for a default; empty is nothing.
    pub(super) fn parse_default(self, words: &str) -> Result<Parsed, Wrong> {
        match self {
            _ if words.is_empty() => Ok(Parsed::Nothing),
            Self::Texts(_) | Self::Secrets => Ok(Parsed::Texts(Vec::new())),
            Self::Listed => Ok(Parsed::Nothing),
            _ => self.parse(&Value::Text(words.to_owned())),
        }
    }
}

/// A number with commas between the thousands.
fn grouped(number: u64) -> String {
    match (number / 1000, number % 1000) {
        (0, last) => last.to_string(),
        (more, last) => format!("{},{last:03}", grouped(more)),
    }
}

fn flag(typed: &Value) -> Result<bool, String> {
    match typed {
        Value::Flag(flag) => Ok(*flag),
        Value::Text(text) if text == "true" => Ok(true),
        Value::Text(text) if text == "false" => Ok(false),
        _ => Err("must be true or false".to_owned()),
    }
}

fn count(typed: &Value, least: u64, most: u64) -> Result<u64, String> {
    let number = match typed {
        Value::Integer(number) => *number,
        Value::Text(text) => text.trim().parse().map_err(|_| "must be a whole number".to_owned())?,
        _ => return Err("must be a whole number".to_owned()),
    };
    within(number, least, most, |bound| bound.to_string())
}

fn within(number: i128, least: u64, most: u64, word: fn(u64) -> String) -> Result<u64, String> {
    match u64::try_from(number) {
        Ok(number) if number > most => Err(format!("must be at most {}", word(most))),
        Ok(number) if number >= least => Ok(number),
        _ if number > 0 && u64::try_from(number).is_err() => Err(format!("must be at most {}", word(most))),
        _ => Err(format!("must be at least {}", word(least))),
    }
}

fn duration(typed: &Value, least: u64) -> Result<Duration, String> {
    let read = match typed {
        Value::Text(text) => value::duration(text)?,
        Value::Integer(number) => value::duration(&number.to_string())?,
        Value::Decimal(number) => value::duration(&number.to_string())?,
        _ => return Err("must be a duration such as 30s".to_owned()),
    };
    if read < Duration::from_millis(least) {
        return Err(format!("must be at least {}", value::duration_text(Duration::from_millis(least))));
    }
    Ok(read)
}

fn size(typed: &Value, least: u64, most: u64) -> Result<u64, String> {
    let bytes = match typed {
        Value::Integer(number) => *number,
        Value::Text(text) => value::size(text)?.into(),
        _ => return Err("must be a size such as 16KiB".to_owned()),
    };
    within(bytes, least, most, value::size_text)
}

fn amount(typed: &Value) -> Result<f64, String> {
    let number = match typed {
        Value::Integer(number) => *number as f64,
        Value::Decimal(number) => *number,
        Value::Text(text) => text.trim().parse().unwrap_or(f64::NAN),
        _ => f64::NAN,
    };
    if number.is_finite() && number >= 0.0 {
        Ok(number)
    } else {
        Err("must be a number, 0 or more".to_owned())
    }
}

fn text(typed: &Value, check: impl Fn(&str) -> Result<(), String>) -> Result<String, String> {
    match typed {
        Value::Text(text) if text.is_empty() => Ok(String::new()),
        Value::Text(text) => check(text).map(|()| text.clone()),
        Value::List(_) | Value::Map(_) => Err("must be one text".to_owned()),
        _ => Err("must be text: put it in quotes".to_owned()),
    }
}

fn keep_alive(typed: &Value) -> Result<String, String> {
    match typed {
        Value::Integer(seconds) => Ok(seconds.to_string()),
        Value::Text(text) if text.parse::<i64>().is_ok() => Ok(text.clone()),
        Value::Text(text) => value::duration(text.strip_prefix('-').unwrap_or(text)).map(|_| text.clone()),
        _ => Err("must be a duration such as 30m, or -1 for ever".to_owned()),
    }
}

fn choice(typed: &Value, words: &'static [&'static str]) -> Result<&'static str, String> {
    let typed = match typed {
        // Older YAML reads `off` as false; whoever writes that means the same.
        Value::Flag(false) => "off",
        Value::Flag(true) => "always",
        Value::Text(text) if text.eq_ignore_ascii_case("warning") => "warn",
        Value::Text(text) => text,
        _ => "",
    };
    let found = words.iter().find(|word| word.eq_ignore_ascii_case(typed));
    found.copied().ok_or_else(|| format!("must be one of: {}", words.join(", ")))
}

fn texts(typed: &Value, check: impl Fn(&str) -> Result<(), String>) -> Result<Vec<String>, Wrong> {
    let Value::List(items) = typed else {
        let one = text(typed, check).map_err(|_| (None, "must be a list of texts".to_owned()))?;
        return Ok(if one.is_empty() { Vec::new() } else { vec![one] });
    };
    let item = |(index, item): (usize, &Node)| match text(&item.value, &check) {
        Ok(text) if text.is_empty() => Err((Some(index), "must not be empty".to_owned())),
        other => other.map_err(|why| (Some(index), why)),
    };
    items.iter().enumerate().map(item).collect()
}
