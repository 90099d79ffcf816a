//! What a text must be beyond its being text, one check per sort of key.

use super::value;

pub(super) fn any_text(_: &str) -> Result<(), String> {
    Ok(())
}

pub(super) fn listen(text: &str) -> Result<(), String> {
    value::listen(text).map(drop)
}

pub(super) fn host(text: &str) -> Result<(), String> {
    value::host(text).map(drop)
}

pub(super) fn network(text: &str) -> Result<(), String> {
    value::network(text).map(drop)
}

pub(super) fn base_url(text: &str) -> Result<(), String> {
    value::base_url(text).map(drop)
}

pub(super) fn proxy(text: &str) -> Result<(), String> {
    match value::url(text)? {
        url if url.https || !url.path.is_empty() => {
            Err("must be a proxy such as http://proxy:3128".to_owned())
        }
        _ => Ok(()),
    }
}

pub(super) fn header(text: &str) -> Result<(), String> {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    const OURS: [&str; 5] = ["host", "content-length", "transfer-encoding", "connection", "upgrade"];
    if text.is_empty() || !text.bytes().all(token) {
        return Err("is not a header's name".to_owned());
    }
    if OURS.iter().any(|ours| ours.eq_ignore_ascii_case(text)) {
        return Err("is a header that only Hapax itself sets".to_owned());
    }
    Ok(())
}

pub(super) fn target(text: &str) -> Result<(), String> {
    match text.split_once('/') {
        Some((provider, model)) if value::name(provider).is_ok() => value::model(model),
        _ => Err("must be provider/model".to_owned()),
    }
}

pub(super) fn hash(text: &str) -> Result<(), String> {
    let digits = text.strip_prefix("sha256:").and_then(crate::domain::digest::unhex);
    digits
        .map(drop)
        .ok_or_else(|| "must be sha256: and 64 hexadecimal digits (hapax keys new prints one)".to_owned())
}

pub(super) fn date(text: &str) -> Result<(), String> {
    value::date(text).map(drop)
}

/// A path of ours, or a pattern of such paths.
pub(super) fn path(text: &str) -> Result<(), String> {
    let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
    if text.starts_with('/') && visible {
        Ok(())
    } else {
        Err("must be a path such as /v1/chat/completions or /v1/*".to_owned())
    }
}

/// The longest value of a label, in bytes.
const LABEL_BYTES_MAX: usize = 64;

pub(super) fn label(text: &str) -> Result<(), String> {
    if text.len() <= LABEL_BYTES_MAX && !text.chars().any(char::is_control) {
        Ok(())
    } else {
        Err(format!("must be at most {LABEL_BYTES_MAX} bytes, without line breaks"))
    }
}

pub(super) fn pattern(text: &str) -> Result<(), String> {
    crate::domain::redact::Pattern::new(text).map(drop)
}

pub(super) fn direction(text: &str) -> Result<(), String> {
    if ["requests", "answers"].contains(&text) {
        Ok(())
    } else {
        Err("must be requests or answers".to_owned())
    }
}
