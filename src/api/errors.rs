//! Every status and every error body: one table from what went wrong to what a caller of each dialect reads.

use super::listener::tell_id;
use crate::dialect::{self, Complaint};
use crate::domain::failure::{Failure, Fault, Verdict};
use crate::domain::words::Dialect;
use crate::gateway::BUDGET_EXCEEDED;
use crate::server::{Fields, Refusal, Response};
use std::time::Duration;

/// A class of error: one status, and its type in each dialect's own vocabulary.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Class {
    /// HTTP status.
    pub status: u16,
    openai: &'static str,
    anthropic: &'static str,
    /// The original's word; also the label of `hapax_errors_total`.
    pub hapax: &'static str,
}

const fn class(status: u16, openai: &'static str, anthropic: &'static str, hapax: &'static str) -> Class {
    Class { status, openai, anthropic, hapax }
}

/// Every class there is. The words are those of the OpenAI and Anthropic error pages and of the Go original.
const CLASSES: &[Class] = &[
    class(400, "invalid_request_error", "invalid_request_error", "validation_error"),
    class(401, "authentication_error", "authentication_error", "api_key_error"),
    class(403, "permission_error", "permission_error", "permission_error"),
    class(404, "invalid_request_error", "not_found_error", "not_found"),
    class(405, "invalid_request_error", "invalid_request_error", "method_not_allowed"),
    class(408, "timeout_error", "timeout_error", "request_timeout"),
    class(413, "invalid_request_error", "request_too_large", "too_large"),
    class(414, "invalid_request_error", "invalid_request_error", "too_large"),
    class(415, "invalid_request_error", "invalid_request_error", "unsupported_media_type"),
    class(417, "invalid_request_error", "invalid_request_error", "validation_error"),
    class(422, "invalid_request_error", "invalid_request_error", "validation_error"),
    class(429, "rate_limit_error", "rate_limit_error", "rate_limit_error"),
    class(431, "invalid_request_error", "request_too_large", "too_large"),
    class(CALLER_LEFT, "caller_left", "caller_left", "caller_left"),
    INTERNAL,
    class(501, "invalid_request_error", "invalid_request_error", "not_implemented"),
    class(502, "server_error", "api_error", "provider_error"),
    class(503, "server_error", "overloaded_error", "unavailable"),
    class(504, "timeout_error", "timeout_error", "timeout_error"),
    class(505, "invalid_request_error", "invalid_request_error", "unsupported_version"),
];

/// The class of a status; anything we do not send ourselves is told by its hundred.
#[must_use]
pub fn class_of(status: u16) -> &'static Class {
    let known = |status: u16| CLASSES.iter().find(|class| class.status == status);
    known(status).or_else(|| known(status / 100 * 100)).unwrap_or(&INTERNAL)
}

/// Every status an error of ours has.
#[cfg(test)]
pub(super) fn statuses() -> impl Iterator<Item = u16> {
    CLASSES.iter().map(|class| class.status)
}

/// OpenAI's type and code for what we call a budget: its clients know it, and do not try again.
const OPENAI_BROKE: &str = "insufficient_quota";

/// Never sent: the status in log and metrics of a request whose caller left (nginx's number).
pub(super) const CALLER_LEFT: u16 = 499;

const INTERNAL: Class = class(500, "server_error", "api_error", "internal_error");

/// An error on its way to a caller.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// HTTP status.
    pub status: u16,
    /// One sentence, without keys, paths or addresses.
    pub message: String,
    /// OpenAI's `code`.
    pub code: Option<String>,
    /// The field complained of.
    pub param: Option<String>,
    /// When a retry makes sense.
    pub retry_after: Option<Duration>,
    /// The `Allow` header of a 405.
    pub allow: Option<&'static str>,
}

impl Problem {
    /// An error with a status and a sentence.
    #[must_use]
    pub fn new(status: u16, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), code: None, param: None, retry_after: None, allow: None }
    }

    /// The same with OpenAI's `code`.
    #[must_use]
    pub fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    /// The same with a moment to retry.
    #[must_use]
    pub fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// What a caller reads of a failure that no provider could mend.
    #[must_use]
    pub fn of_failure(failure: &Failure) -> Self {
        let status = match failure.verdict() {
            Verdict::Caller | Verdict::Capacity => {
                failure.status.filter(|s| (400..500).contains(s)).unwrap_or(400)
            }
            Verdict::UnknownModel => 404,
            Verdict::Untranslatable => 400,
            Verdict::Busy if failure.fault == Fault::NoMemory => 503,
            Verdict::Busy => 429,
            Verdict::OurKey | Verdict::Provider | Verdict::StaleConnection => 502,
            Verdict::Silence => 504,
            Verdict::CallerLeft => 499,
            Verdict::Internal => 500,
        };
        Self {
            status,
            message: failure.message.clone(),
            code: failure.code.clone().or_else(|| Some(failure.fault.word().to_owned())),
            param: failure.param.clone(),
            retry_after: failure.retry_after,
            allow: None,
        }
    }

    /// What the log says when nobody waits for the answer any more.
    #[must_use]
    pub fn caller_left() -> Self {
        Self::new(CALLER_LEFT, "the caller left")
    }

    /// What a caller reads when the door itself refuses.
    #[must_use]
    pub fn of_refusal(refusal: Refusal) -> Self {
        let problem = Self::new(refusal.status(), sentence(refusal)).code(refusal.reason());
        if problem.status == 503 { problem.retry_after(Duration::from_secs(1)) } else { problem }
    }

    /// In a dialect's own shape.
    #[must_use]
    pub fn complaint(&self, dialect: Dialect, request_id: &str) -> Complaint {
        let class = class_of(self.status);
        let is_openai =
            matches!(dialect, Dialect::OpenAiChat | Dialect::OpenAiCompletion | Dialect::OpenAiResponses);
        let broke = is_openai && self.code.as_deref() == Some(BUDGET_EXCEEDED);
        Complaint {
            status: self.status,
            kind: match dialect {
                _ if broke => OPENAI_BROKE,
                Dialect::OpenAiChat | Dialect::OpenAiCompletion | Dialect::OpenAiResponses => class.openai,
                Dialect::Anthropic => class.anthropic,
                Dialect::Ollama | Dialect::OllamaGenerate | Dialect::Gemini | Dialect::Hapax => class.hapax,
            },
            message: self.message.clone(),
            code: if broke { Some(OPENAI_BROKE.to_owned()) } else { self.code.clone() },
            param: self.param.clone(),
            request_id: request_id.to_owned(),
            retry_after: self.retry_after.map(seconds_up),
        }
    }

    /// As a whole answer.
    #[must_use]
    pub fn response(&self, dialect: Dialect, request_id: &str) -> Response {
        let complaint = self.complaint(dialect, request_id);
        let mut headers = Fields::of("Content-Type", "application/json");
        tell_id(&mut headers, dialect, request_id);
        if let Some(seconds) = complaint.retry_after {
            headers.add("Retry-After", &seconds.to_string());
        } else if matches!(self.status, 429 | 503) {
            headers.add("Retry-After", "1");
        }
        if let Some(allow) = self.allow {
            headers.add("Allow", allow);
        }
        if self.status == 401 {
            headers.add("WWW-Authenticate", "Bearer");
        }
        Response { status: self.status, headers, body: dialect::write_error(dialect, &complaint) }
    }
}

/// A refusal of the door in words.
fn sentence(refusal: Refusal) -> String {
    let words = match refusal {
        Refusal::Malformed(what) => return format!("not a proper HTTP/1.1 request: {what}"),
        Refusal::HeaderTooLarge => "the request's header is too large",
        Refusal::TooManyHeaders => "the request has too many header fields",
        Refusal::TargetTooLong => "the request target is too long",
        Refusal::BodyTooLarge => "the request's body is too large",
        Refusal::TooSlow => "the request took too long to arrive",
        Refusal::UnsupportedVersion => "only HTTP/1.1 and HTTP/1.0 are spoken here",
        Refusal::MethodNotAllowed => "this method is not allowed here",
        Refusal::NotImplemented => "this transfer coding or method is not implemented",
        Refusal::Expectation => "only the expectation 100-continue can be met",
        Refusal::UnsupportedEncoding => "send the body without a Content-Encoding",
        Refusal::QueueFull | Refusal::QueueWait | Refusal::NoWorker => {
            "every worker is busy: try again shortly"
        }
        Refusal::MemoryFull => "too much is in flight: try again shortly",
        Refusal::TooManyConnections => "too many connections: try again shortly",
        Refusal::Draining => "this server is shutting down: try again elsewhere",
        Refusal::Panicked => "an error of our own: the request was not completed",
    };
    words.to_owned()
}

/// Whole seconds, rounded up: a retry a moment too early would be refused again.
fn seconds_up(after: Duration) -> u64 {
    (after.as_secs() + u64::from(after.subsec_nanos() > 0)).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_has_a_status_of_its_class() {
        for (fault, status) in [
            (Fault::BadRequest, 400),
            (Fault::UnknownModel, 404),
            (Fault::KeyRefused, 502),
            (Fault::Busy, 429),
            (Fault::NoMemory, 503),
            (Fault::Refused, 502),
            (Fault::FirstTokenTimeout, 504),
            (Fault::CallerLeft, 499),
            (Fault::Untranslatable, 400),
            (Fault::Internal, 500),
        ] {
            assert_eq!(Problem::of_failure(&Failure::new(fault, "")).status, status, "{fault:?}");
        }
    }

    #[test]
    fn a_callers_fault_keeps_the_providers_status() {
        let failure = Failure { status: Some(422), ..Failure::new(Fault::BadRequest, "no") };
        assert_eq!(Problem::of_failure(&failure).status, 422);
    }

    #[test]
    fn a_retry_is_never_invited_too_early() {
        let problem = Problem::new(429, "slow down").retry_after(Duration::from_millis(1_001));
        let response = problem.response(Dialect::OpenAiChat, "r");
        assert_eq!(response.headers.get("Retry-After"), Some("2"));
    }

    #[test]
    fn an_unknown_status_is_told_by_its_hundred() {
        assert_eq!(class_of(418).status, 400);
        assert_eq!(class_of(599).status, 500);
    }
}
