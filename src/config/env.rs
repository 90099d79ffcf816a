//! The environment: `${VAR}` and `file:` in the file's scalars, expanded once and never again.

use super::value;
use std::io::Read;

/// How variables are looked up; an argument everywhere, so that tests bring their own.
pub type Env<'e> = &'e dyn Fn(&str) -> Option<String>;

/// A secret's file; real ones are below 1 KiB.
const SECRET_FILE_BYTES_MAX: u64 = 64 << 10;

/// The process's own environment; the only place that asks it. A value that is not UTF-8 counts as unset.
#[must_use]
pub fn process(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// A variable that is set and not empty.
pub(super) fn set(env: Env<'_>, name: &str) -> Option<String> {
    env(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
}

/// The variable that holds a provider's key: `openai` is asked as `OPENAI_API_KEY`.
pub(super) fn key_variable(provider: &str) -> String {
    let upper = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' };
    format!("{}_API_KEY", provider.chars().map(upper).collect::<String>())
}

/// Expands `${VAR}`, `${VAR:-default}` and `$$` in a scalar of the file.
///
/// What a variable holds is copied as it is: a `$` inside it means nothing. A default is text of the file, so
/// variables in it are expanded, once. A `$` before anything but `{` and `$` is a dollar sign.
pub(super) fn expand(text: &str, env: Env<'_>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar + 1..];
        if let Some(after) = rest.strip_prefix('$') {
            out.push('$');
            rest = after;
        } else if let Some(after) = rest.strip_prefix('{') {
            let end = closing(after).ok_or("has ${ without a closing } (a dollar sign is written $$)")?;
            out.push_str(&variable(&after[..end], env)?);
            rest = &after[end + 1..];
        } else {
            out.push('$');
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// Where the brace closes that was opened before `text`; a default may hold further variables.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0_usize;
    let mut before = '\0';
    for (index, character) in text.char_indices() {
        match character {
            '{' if before == '$' => depth += 1,
            '}' if depth == 0 => return Some(index),
            '}' => depth -= 1,
            _ => {}
        }
        before = character;
    }
    None
}

/// Looks `NAME` or `NAME:-default` up; as in a shell, the default also stands in for an empty value.
fn variable(inside: &str, env: Env<'_>) -> Result<String, String> {
    let (name, default) =
        inside.split_once(":-").map_or((inside, None), |(name, default)| (name, Some(default)));
    let first = |b: u8| b.is_ascii_alphabetic() || b == b'_';
    let valid =
        name.bytes().next().is_some_and(first) && name.bytes().all(|b| first(b) || b.is_ascii_digit());
    if !valid {
        return Err("has ${...} around something that is not a variable's name".to_owned());
    }
    match (env(name), default) {
        (Some(value), None) => Ok(value),
        (Some(value), Some(_)) if !value.is_empty() => Ok(value),
        (_, Some(default)) => expand(default, env),
        (None, None) => Err(format!("the variable {name} is not set (${{{name}:-}} allows that)")),
    }
}

/// Expands a scalar that holds a secret: as [`expand`], and `file:/path` is replaced by what the file holds, without
/// the line break at its end. Only a `file:` written in the configuration counts, never one a variable brings along.
pub(super) fn expand_secret(text: &str, env: Env<'_>) -> Result<String, String> {
    let expanded = expand(text, env)?;
    match (text.strip_prefix("file:"), expanded.strip_prefix("file:")) {
        (Some(_), Some(path)) => secret_file(path),
        _ => Ok(expanded),
    }
}

fn secret_file(path: &str) -> Result<String, String> {
    let wrong = |why: String| format!("cannot read the secret from {path}: {why}");
    value::existing_file(path).map_err(|_| wrong("no such file".to_owned()))?;
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(SECRET_FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > SECRET_FILE_BYTES_MAX {
        return Err(wrong(format!("longer than {SECRET_FILE_BYTES_MAX} bytes")));
    }
    let secret = text.strip_suffix('\n').unwrap_or(&text);
    Ok(secret.strip_suffix('\r').unwrap_or(secret).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(name: &str) -> Option<String> {
        let value = match name {
            "KEY" => "sk-1",
            "EMPTY" => "",
            "DOLLAR" => "ab$HOMEx$${KEY}$",
            "SELF" => "${SELF}",
            "HOME" => "/root",
            "FILE" => "file:/etc/hostname",
            _ => return None,
        };
        Some(value.to_owned())
    }

    #[test]
    fn variables_and_defaults_are_replaced() {
        for (text, expected) in [
            ("${KEY}", "sk-1"),
            ("a${KEY}b${KEY}", "ask-1bsk-1"),
            ("${NONE:-x}", "x"),
            ("${EMPTY:-x}", "x"),
            ("${EMPTY}", ""),
            ("${NONE:-}", ""),
            ("${KEY:-x}", "sk-1"),
            ("${NONE:-${KEY}}!", "sk-1!"),
            ("${NONE:-a:-b}", "a:-b"),
            ("${NONE:-{}}", "{}"),
            ("no variable", "no variable"),
        ] {
            assert_eq!(expand(text, &environment).as_deref(), Ok(expected), "{text}");
        }
    }

    #[test]
    fn bug_9_a_dollar_inside_a_secret_is_left_alone() {
        assert_eq!(expand("${DOLLAR}", &environment).as_deref(), Ok("ab$HOMEx$${KEY}$"));
        assert_eq!(expand("ab$HOMEx", &environment).as_deref(), Ok("ab$HOMEx"));
        assert_eq!(expand("pa$$$$word$$", &environment).as_deref(), Ok("pa$$word$"));
        assert_eq!(expand("$${KEY}", &environment).as_deref(), Ok("${KEY}"));
    }

    #[test]
    fn bug_9_a_variable_that_names_itself_does_not_hang() {
        assert_eq!(expand("${SELF}", &environment).as_deref(), Ok("${SELF}"));
    }

    #[test]
    fn bug_9_an_unclosed_variable_is_an_error() {
        for text in ["${KEY", "${", "a${KEY:-b", "${KEY}${", "${NONE:-${KEY}"] {
            assert!(expand(text, &environment).expect_err(text).contains("closing"), "{text}");
        }
    }

    #[test]
    fn a_missing_variable_is_named() {
        assert!(expand("${NONE}", &environment).expect_err("missing").contains("NONE"));
        assert!(expand("${NONE:-${NEITHER}}", &environment).expect_err("missing").contains("NEITHER"));
    }

    #[test]
    fn only_names_are_looked_up() {
        for text in ["${}", "${1A}", "${A B}", "${A-B}", "${:-x}", "${ä}"] {
            assert!(expand(text, &environment).expect_err(text).contains("name"), "{text}");
        }
    }

    #[test]
    fn a_secret_is_read_from_its_file_and_never_expanded_again() {
        let path = std::env::temp_dir().join(format!("hapax-secret-{}", std::process::id()));
        std::fs::write(&path, "s3cret$HOME${KEY}\r\n").expect("written");
        let text = format!("file:{}", path.display());
        assert_eq!(expand_secret(&text, &environment).as_deref(), Ok("s3cret$HOME${KEY}"));
        std::fs::write(&path, vec![b'x'; SECRET_FILE_BYTES_MAX as usize + 1]).expect("written");
        assert!(expand_secret(&text, &environment).expect_err("long").contains("longer"));
        std::fs::remove_file(&path).expect("removed");
        assert!(expand_secret(&text, &environment).expect_err("gone").contains("no such file"));
    }

    #[test]
    fn a_variable_cannot_bring_a_file_along() {
        assert_eq!(expand_secret("${FILE}", &environment).as_deref(), Ok("file:/etc/hostname"));
    }

    #[test]
    fn a_provider_is_asked_for_by_its_name() {
        assert_eq!(key_variable("openai"), "OPENAI_API_KEY");
        assert_eq!(key_variable("my-site.eu"), "MY_SITE_EU_API_KEY");
    }
}
