//! Why the front door turns a request away: a closed list, each with its status and its word for metrics.

/// Why a request is not served.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Not HTTP/1.1 as it is written down; says what is wrong, for the caller.
    Malformed(&'static str),
    /// The head is longer than allowed.
    HeaderTooLarge,
    /// The head has more fields than allowed.
    TooManyHeaders,
    /// The target is longer than allowed.
    TargetTooLong,
    /// The body is, or says it will be, longer than allowed.
    BodyTooLarge,
    /// Head or body did not arrive in time.
    TooSlow,
    /// HTTP, but neither 1.0 nor 1.1.
    UnsupportedVersion,
    /// A method that makes no sense at a server that is no proxy: CONNECT.
    MethodNotAllowed,
    /// A transfer coding other than chunked, or a method of absurd length.
    NotImplemented,
    /// An expectation other than `100-continue`.
    Expectation,
    /// A body in a content coding.
    UnsupportedEncoding,
    /// All workers are busy and the queue is full.
    QueueFull,
    /// No worker became free in time.
    QueueWait,
    /// No thread could be started.
    NoWorker,
    /// Bodies and buffers hold all the memory they may.
    MemoryFull,
    /// Too many connections, of everyone or of this address, or no descriptor left.
    TooManyConnections,
    /// The server is ending.
    Draining,
    /// The handler panicked, or ended without an answer, before anything was sent.
    Panicked,
}

/// The words of [`Refusal::reason`], in the order of [`Refusal::index`].
pub const REASONS: [&str; 18] = [
    "malformed",
    "header_too_large",
    "too_many_headers",
    "target_too_long",
    "body_too_large",
    "too_slow",
    "unsupported_version",
    "method_not_allowed",
    "not_implemented",
    "expectation",
    "unsupported_encoding",
    "queue_full",
    "queue_wait",
    "no_worker",
    "memory_full",
    "too_many_connections",
    "draining",
    "panicked",
];

impl Refusal {
    /// The status of its answer.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed(_) => 400,
            Self::HeaderTooLarge | Self::TooManyHeaders => 431,
            Self::TargetTooLong => 414,
            Self::BodyTooLarge => 413,
            Self::TooSlow => 408,
            Self::UnsupportedVersion => 505,
            Self::MethodNotAllowed => 405,
            Self::NotImplemented => 501,
            Self::Expectation => 417,
            Self::UnsupportedEncoding => 415,
            Self::QueueFull
            | Self::QueueWait
            | Self::NoWorker
            | Self::MemoryFull
            | Self::TooManyConnections
            | Self::Draining => 503,
            Self::Panicked => 500,
        }
    }

    /// Its word for metrics.
    #[must_use]
    pub fn reason(self) -> &'static str {
        REASONS[self.index()]
    }

    /// Its place in [`REASONS`].
    #[must_use]
    pub fn index(self) -> usize {
        match self {
            Self::Malformed(_) => 0,
            Self::HeaderTooLarge => 1,
            Self::TooManyHeaders => 2,
            Self::TargetTooLong => 3,
            Self::BodyTooLarge => 4,
            Self::TooSlow => 5,
            Self::UnsupportedVersion => 6,
            Self::MethodNotAllowed => 7,
            Self::NotImplemented => 8,
            Self::Expectation => 9,
            Self::UnsupportedEncoding => 10,
            Self::QueueFull => 11,
            Self::QueueWait => 12,
            Self::NoWorker => 13,
            Self::MemoryFull => 14,
            Self::TooManyConnections => 15,
            Self::Draining => 16,
            Self::Panicked => 17,
        }
    }
}
