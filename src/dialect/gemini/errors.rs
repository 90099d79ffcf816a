//! Google's error bodies, read: `{"error":{"code","message","status","details"}}`, also as a list of one.

use crate::dialect::judged;
use crate::domain::failure::{Failure, Fault};
use serde::Deserialize;
use serde_json::value::RawValue;
use std::time::Duration;

#[derive(Default, Deserialize)]
struct Body {
    #[serde(default)]
    error: Trouble,
}

#[derive(Default, Deserialize)]
struct Trouble {
    #[serde(default)]
    message: String,
    #[serde(default)]
    status: String,
    #[serde(default)]
    details: Vec<Detail>,
}

/// `google.rpc.ErrorInfo`, `RetryInfo`, `BadRequest` and others, as far as they matter.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Detail {
    #[serde(default)]
    reason: Option<String>,
    #[serde(default)]
    retry_delay: Option<String>,
    #[serde(default)]
    field_violations: Vec<Violation>,
}

#[derive(Deserialize)]
struct Violation {
    #[serde(default)]
    field: Option<String>,
}

/// Reads an error body. Never fails: garbage is judged by its status.
#[must_use]
pub fn read_error(status: u16, body: &[u8]) -> Failure {
    let list: Result<[&RawValue; 1], _> = serde_json::from_slice(body);
    let body = list.map_or(body, |[only]| only.get().as_bytes());
    let trouble = serde_json::from_slice::<Body>(body).unwrap_or_default().error;
    let fault = fault(status, &trouble);
    let code = Some(trouble.status.to_ascii_lowercase())
        .filter(|code| (1..=64).contains(&code.len()))
        .filter(|code| code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'));
    let violation = trouble.details.iter().flat_map(|detail| &detail.field_violations).next();
    let param = violation.and_then(|violation| violation.field.clone());
    let wait = trouble.details.iter().find_map(|detail| detail.retry_delay.as_deref());
    Failure {
        param: param.filter(|param| fault == Fault::BadRequest && (1..=64).contains(&param.len())),
        retry_after: wait.and_then(seconds),
        code,
        ..judged(fault, Some(status), &trouble.message)
    }
}

/// `34s`, `34.074824224s`.
fn seconds(delay: &str) -> Option<Duration> {
    let seconds = delay.strip_suffix('s')?.parse::<f64>().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

fn fault(status: u16, trouble: &Trouble) -> Fault {
    let words = trouble.message.to_ascii_lowercase();
    let says = |phrases: &[&str]| phrases.iter().any(|phrase| words.contains(phrase));
    let reason = |name: &str| trouble.details.iter().any(|detail| detail.reason.as_deref() == Some(name));
    match trouble.status.as_str() {
        // A wrong key is announced as 400.
        _ if reason("API_KEY_INVALID") || says(&["api key not valid", "api key expired"]) => {
            Fault::KeyRefused
        }
        "FAILED_PRECONDITION" if says(&["billing"]) => Fault::PaymentRequired,
        "FAILED_PRECONDITION" if says(&["location"]) => Fault::KeyRefused,
        "INVALID_ARGUMENT" if says(&["token count", "exceeds the maximum number of tokens"]) => {
            Fault::ContextLength
        }
        "NOT_FOUND" if says(&["model"]) => Fault::UnknownModel,
        "RESOURCE_EXHAUSTED" => Fault::Busy,
        "UNAVAILABLE" => Fault::Overloaded,
        "DEADLINE_EXCEEDED" | "INTERNAL" | "ABORTED" | "CANCELLED" => Fault::ServerError,
        _ => Fault::of_status(status),
    }
}
