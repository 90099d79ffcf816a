//! Whose fault a failure is, decided once: retry, failover, breaker, metrics and the reply only read the verdict.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

/// Everything that can go wrong with one attempt, as finely as anyone downstream needs to tell it apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// 400, 422: the request is wrong.
    BadRequest,
    /// 404 for the path, not the model.
    NotFound,
    /// 413.
    TooLarge,
    /// The provider's content policy rejected the request.
    ContentPolicy,
    /// 400 whose code says that the prompt exceeds the model's context window.
    ContextLength,
    /// 404 (or 400) whose code says that the provider has no such model.
    UnknownModel,
    /// 401, 403: the provider refused our key.
    KeyRefused,
    /// 402: our account at the provider is out of credit.
    PaymentRequired,
    /// 429.
    Busy,
    /// Our own cap on concurrent calls to this provider is reached.
    Saturated,
    /// Too much is held in memory for this question or its answer.
    NoMemory,
    /// 5xx other than 529, 408, 409.
    ServerError,
    /// 529 (Anthropic).
    Overloaded,
    /// 3xx: never followed.
    Redirect,
    /// Connection refused or host unreachable.
    Refused,
    /// Connection reset, or closed before a complete head.
    Reset,
    /// The provider's name does not resolve.
    NameNotFound,
    /// TLS handshake or certificate.
    Tls(Insecure),
    /// A body or head that is not what the dialect says.
    Garbage,
    /// A 200 without content.
    Empty,
    /// A body or stream that ended before its end.
    Truncated,
    /// A 200, or a frame in a stream, that carries an error.
    ErrorInBody,
    /// A body, line or frame over our limit.
    AnswerTooLarge,
    /// No connection in time.
    ConnectTimeout,
    /// No head or no first token in time.
    FirstTokenTimeout,
    /// No further byte of content in time.
    IdleTimeout,
    /// The whole call, or the request's deadline, took too long.
    TotalTimeout,
    /// A reused connection that died before the first byte of an answer.
    StaleConnection,
    /// The caller left; nobody waits for the answer.
    CallerLeft,
    /// The budget of the caller's key does not suffice.
    OverBudget,
    /// What the caller asks for has no equivalent at this provider.
    Untranslatable,
    /// We failed: a panic, or a leader that vanished.
    Internal,
}

/// Why a connection could not be made secure, as far as an operator mends each in another place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Insecure {
    /// The certificate is for another name.
    Misnamed,
    /// The certificate is over; or the clock here is ahead.
    Expired,
    /// The certificate has not begun; or the clock here is behind.
    NotYetValid,
    /// Nobody we trust has signed the certificate.
    UnknownIssuer,
    /// The certificate is wrong in another way.
    BadCertificate,
    /// What answered does not speak TLS.
    NotTls,
    /// Both speak TLS, and found no way to.
    Handshake,
}

/// Whose fault it is, and so what happens next. See the table in `docs/technical.md`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The caller's: he gets the provider's reason; nobody else is asked.
    Caller,
    /// The model's window is too small: a larger one may do.
    Capacity,
    /// The provider does not have the model: another may.
    UnknownModel,
    /// Our key's: it is set aside, not the provider.
    OurKey,
    /// The provider is busy: it is passed over until it is not.
    Busy,
    /// The provider's or the model's.
    Provider,
    /// The provider said nothing: asking it again only doubles the wait.
    Silence,
    /// The connection's age: once more at once on a fresh one.
    StaleConnection,
    /// The caller left.
    CallerLeft,
    /// The provider cannot express the request: another may; if none can, it is the caller's.
    Untranslatable,
    /// Ours.
    Internal,
}

/// What the breaker is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blame {
    /// Nothing is proven against anyone.
    Nobody,
    /// The provider itself is unreachable or silent.
    Provider,
    /// This model at this provider misbehaves; its other models may be well.
    Model,
}

impl Fault {
    /// What a provider's status means when its body says nothing better.
    #[must_use]
    pub fn of_status(status: u16) -> Self {
        match status {
            200..=299 => Self::ErrorInBody,
            300..=399 => Self::Redirect,
            401 | 403 => Self::KeyRefused,
            402 => Self::PaymentRequired,
            404 => Self::NotFound,
            408 | 409 => Self::ServerError,
            413 => Self::TooLarge,
            429 => Self::Busy,
            400..=499 => Self::BadRequest,
            529 => Self::Overloaded,
            500..=599 => Self::ServerError,
            _ => Self::Garbage,
        }
    }

    /// The verdict on this fault.
    #[must_use]
    pub fn verdict(self) -> Verdict {
        match self {
            Self::BadRequest | Self::NotFound | Self::TooLarge | Self::ContentPolicy | Self::OverBudget => {
                Verdict::Caller
            }
            Self::ContextLength => Verdict::Capacity,
            Self::UnknownModel => Verdict::UnknownModel,
            Self::KeyRefused | Self::PaymentRequired => Verdict::OurKey,
            Self::Busy | Self::Saturated | Self::NoMemory => Verdict::Busy,
            Self::ServerError
            | Self::Overloaded
            | Self::Redirect
            | Self::Refused
            | Self::Reset
            | Self::NameNotFound
            | Self::Tls(_)
            | Self::Garbage
            | Self::Empty
            | Self::Truncated
            | Self::ErrorInBody
            | Self::AnswerTooLarge => Verdict::Provider,
            Self::ConnectTimeout | Self::FirstTokenTimeout | Self::IdleTimeout | Self::TotalTimeout => {
                Verdict::Silence
            }
            Self::StaleConnection => Verdict::StaleConnection,
            Self::CallerLeft => Verdict::CallerLeft,
            Self::Untranslatable => Verdict::Untranslatable,
            Self::Internal => Verdict::Internal,
        }
    }

    /// What this fault proves broken.
    #[must_use]
    pub fn blame(self) -> Blame {
        match self {
            Self::Refused
            | Self::Reset
            | Self::NameNotFound
            | Self::Tls(_)
            | Self::ConnectTimeout
            | Self::FirstTokenTimeout
            | Self::IdleTimeout
            | Self::TotalTimeout => Blame::Provider,
            Self::ServerError
            | Self::Overloaded
            | Self::Redirect
            | Self::Garbage
            | Self::Empty
            | Self::Truncated
            | Self::ErrorInBody
            | Self::AnswerTooLarge => Blame::Model,
            Self::BadRequest
            | Self::NotFound
            | Self::TooLarge
            | Self::ContentPolicy
            | Self::ContextLength
            | Self::UnknownModel
            | Self::KeyRefused
            | Self::PaymentRequired
            | Self::Busy
            | Self::Saturated
            | Self::NoMemory
            | Self::StaleConnection
            | Self::CallerLeft
            | Self::OverBudget
            | Self::Untranslatable
            | Self::Internal => Blame::Nobody,
        }
    }

    /// The word for metrics, logs and `X-Hapax-Attempts` when there is no status.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::BadRequest => "bad_request",
            Self::NotFound => "not_found",
            Self::TooLarge => "too_large",
            Self::ContentPolicy => "content_policy",
            Self::ContextLength => "context_length",
            Self::UnknownModel => "unknown_model",
            Self::KeyRefused => "key_refused",
            Self::PaymentRequired => "payment_required",
            Self::Busy => "busy",
            Self::Saturated => "saturated",
            Self::NoMemory => "no_memory",
            Self::ServerError => "server_error",
            Self::Overloaded => "overloaded",
            Self::Redirect => "redirect",
            Self::Refused => "refused",
            Self::Reset => "reset",
            Self::NameNotFound => "name_not_found",
            Self::Tls(_) => "tls",
            Self::Garbage => "garbage",
            Self::Empty => "empty",
            Self::Truncated => "truncated",
            Self::ErrorInBody => "error_in_body",
            Self::AnswerTooLarge => "answer_too_large",
            Self::ConnectTimeout => "connect_timeout",
            Self::FirstTokenTimeout => "first_token_timeout",
            Self::IdleTimeout => "idle_timeout",
            Self::TotalTimeout => "total_timeout",
            Self::StaleConnection => "stale_connection",
            Self::CallerLeft => "caller_left",
            Self::OverBudget => "over_budget",
            Self::Untranslatable => "untranslatable",
            Self::Internal => "internal",
        }
    }
}

impl Insecure {
    /// What is wrong, in words that go on after "could not be reached securely: ".
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Misnamed => "its certificate is for another name",
            Self::Expired => "its certificate has expired, or the clock here is wrong",
            Self::NotYetValid => "its certificate is not valid yet, or the clock here is wrong",
            Self::UnknownIssuer => "its certificate is signed by nobody trusted here",
            Self::BadCertificate => "its certificate cannot be accepted",
            Self::NotTls => "it does not speak TLS",
            Self::Handshake => "the TLS handshake failed",
        }
    }
}

/// For an operator: the word, and what is known beyond it.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tls(why) => write!(f, "{}: {}", self.word(), why.words()),
            _ => f.write_str(self.word()),
        }
    }
}

/// One failed attempt, with what its readers need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// What went wrong.
    pub fault: Fault,
    /// The provider's HTTP status, if it answered.
    pub status: Option<u16>,
    /// In words, for the caller: the provider's own message where it is the caller's business, else ours.
    /// Names no key, path or address.
    pub message: String,
    /// The provider's machine-readable code (`context_length_exceeded`), if any.
    pub code: Option<String>,
    /// The request field the provider complains of, if it said so.
    pub param: Option<String>,
    /// How long the provider asks us to wait.
    pub retry_after: Option<Duration>,
}

impl Failure {
    /// A failure without status, in our own words.
    #[must_use]
    pub fn new(fault: Fault, message: impl Into<String>) -> Self {
        Self { fault, status: None, message: message.into(), code: None, param: None, retry_after: None }
    }

    /// Whose fault it is.
    #[must_use]
    pub fn verdict(&self) -> Verdict {
        self.fault.verdict()
    }

    /// `503`, or `refused` where there was no status.
    #[must_use]
    pub fn outcome(&self) -> Cow<'static, str> {
        self.status.map_or_else(|| self.fault.word().into(), |status| status.to_string().into())
    }
}
