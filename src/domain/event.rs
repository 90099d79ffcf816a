//! The closed list of things that happen: the core reports facts, metrics and log word them at the edge.

use super::chat::Usage;
use super::failure::Fault;
use std::borrow::Cow;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// One try at one provider.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tried {
    /// The provider's name.
    pub provider: Arc<str>,
    /// The model asked for.
    pub model: Arc<str>,
    /// `200`, `503` or a fault's word.
    pub outcome: Cow<'static, str>,
    /// How long it took.
    pub took: Duration,
}

/// Everything worth telling about one HTTP request once it is over: a log line, and the request metrics.
#[derive(Debug, Clone)]
pub struct Record<'a> {
    /// Our id for it, or the caller's own.
    pub request_id: &'a str,
    /// The trace it belongs to, when the caller sent a `traceparent`: 32 hexadecimal digits.
    pub trace_id: Option<&'a str>,
    /// The endpoint's label; `other` for paths that are not ours.
    pub endpoint: &'static str,
    /// Asked by probes, scrapes and pages, again and again: nothing to tell of in an ordinary log.
    pub routine: bool,
    /// HTTP method.
    pub method: &'a str,
    /// The status sent; 499 when the caller left before one was.
    pub status: u16,
    /// From the complete request to the last byte of the answer.
    pub took: Duration,
    /// Of this, spent in Hapax itself rather than waiting for a provider or the caller's socket.
    pub overhead: Option<Duration>,
    /// The error's type, when the answer is an error.
    pub error: Option<&'a str>,
    /// Who answered, and the model it was asked for.
    pub served: Option<(&'a str, &'a str)>,
    /// Every try, in order.
    pub attempts: &'a [Tried],
    /// Tokens, as far as known.
    pub usage: Option<Usage>,
    /// What they cost, in nano-USD, as far as prices are known.
    pub nano_usd: Option<u64>,
    /// Whether it was a stream.
    pub stream: bool,
    /// Whether the answer was shared from another request's flight.
    pub deduplicated: bool,
    /// Whether a kept answer was given; `None` when answers are not kept.
    pub cached: Option<bool>,
    /// Size of the request body.
    pub bytes_in: u64,
    /// Size of the answer, head included.
    pub bytes_out: u64,
    /// The name of the caller's key, when keys are configured.
    pub key: Option<&'a str>,
    /// The caller's address.
    pub client: Option<IpAddr>,
    /// What was asked and answered, where the operator wants it told.
    pub said: Option<Said<'a>>,
}

/// A question and its answer in words.
#[derive(Debug, Clone, Copy)]
pub struct Said<'a> {
    /// The request's body.
    pub prompt: &'a str,
    /// The body of a whole answer, or the text of a stream.
    pub answer: &'a str,
}

/// Where a breaker stands. The numbers are those of `circuit_breaker_state`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Circuit {
    /// Passes.
    Closed = 0,
    /// On trial.
    HalfOpen = 1,
    /// Refuses.
    Open = 2,
}

impl Circuit {
    /// `closed`, `half_open` or `open`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::HalfOpen => "half_open",
            Self::Open => "open",
        }
    }
}

/// Something that happened inside the gateway. `provider` is always a configured name.
#[derive(Debug, Clone)]
pub enum Event<'a> {
    /// One try at one provider ended.
    Attempted {
        /// The provider.
        provider: &'a str,
        /// `None`: it answered.
        fault: Option<Fault>,
        /// From sending to the end of the answer, or to the failure.
        took: Duration,
        /// Whether a stream was asked for.
        stream: bool,
    },
    /// The provider's first content arrived.
    FirstToken {
        /// The provider.
        provider: &'a str,
        /// Since the attempt began.
        after: Duration,
    },
    /// The same provider is asked again.
    Retried {
        /// The provider.
        provider: &'a str,
        /// Why.
        fault: Fault,
    },
    /// The next provider is asked.
    FailedOver {
        /// Who failed.
        from: &'a str,
        /// Who is asked now.
        to: &'a str,
        /// Why.
        fault: Fault,
    },
    /// A committed stream goes on at another provider.
    StreamResumed {
        /// Who broke off.
        from: &'a str,
        /// Who goes on.
        to: &'a str,
    },
    /// A committed stream could not be saved.
    StreamAborted {
        /// Who broke off last.
        provider: &'a str,
        /// Why.
        fault: Fault,
    },
    /// A breaker counted a failure.
    BreakerFailed {
        /// `openai` or `openai/gpt-4o`.
        name: &'a str,
    },
    /// A breaker changed state.
    BreakerMoved {
        /// `openai` or `openai/gpt-4o`.
        name: &'a str,
        /// The state it is in now.
        to: Circuit,
    },
    /// A key of ours was refused and set aside.
    KeySetAside {
        /// The provider.
        provider: &'a str,
    },
    /// A health check ended.
    Checked {
        /// The provider.
        provider: &'a str,
        /// `None`: it is well.
        fault: Option<Fault>,
        /// How long it took.
        took: Duration,
        /// Whether the provider counts as healthy now.
        healthy: bool,
    },
    /// An HTTP request began to be served.
    Arrived {
        /// The endpoint's label.
        endpoint: &'static str,
    },
    /// An HTTP request is over. Every `Arrived` is followed by one, or by a `Lost`.
    Answered(Record<'a>),
    /// Whoever served an HTTP request panicked. A `Refused` tells what it came to.
    Lost {
        /// The endpoint's label.
        endpoint: &'static str,
    },
    /// An HTTP request was turned away, before any endpoint saw it or because its endpoint panicked.
    Refused(Record<'a>),
    /// A request was answered from another one's flight.
    Deduplicated,
    /// A rule found something.
    Redacted {
        /// The rule's name.
        rule: &'a str,
        /// `requests` or `answers`.
        on: &'static str,
        /// How often.
        times: u64,
    },
    /// A kept answer was looked for.
    Looked {
        /// Whether it was there.
        hit: bool,
    },
    /// Kept answers were let go to make room.
    Evicted {
        /// How many.
        answers: usize,
    },
    /// A caller met a limit.
    Limited {
        /// The key's name, or `address`.
        client: &'a str,
    },
    /// A budget did not suffice, or no longer.
    OverBudget {
        /// The key's name.
        key: &'a str,
    },
    /// A key with a budget asks for what nobody knows the price of: no budget counts it.
    Unpriced {
        /// The provider.
        provider: &'a str,
        /// The model: configured name, or `other`.
        model: &'a str,
    },
    /// A provider answered to the end and never said how many tokens that took, or said what cannot be.
    Uncounted {
        /// The provider.
        provider: &'a str,
    },
    /// An attempt used tokens. A request has one for each provider that took part in its answer, and a follower of
    /// a flight has none: its leader's key is accounted.
    Used {
        /// The key's name, or `none`.
        key: &'a str,
        /// The provider.
        provider: &'a str,
        /// The model asked for.
        model: &'a str,
        /// Whether somebody configured that name. Otherwise a caller chose it, and a metric calls it `other`.
        known: bool,
        /// The endpoint's label.
        endpoint: &'static str,
        /// How many.
        usage: Usage,
        /// What they cost, in nano-USD; `None`: nobody knows the price.
        nano_usd: Option<u64>,
    },
    /// The ledger's file cannot be written at present: what was used is kept in memory.
    LedgerFailed {
        /// What the machine said, in words.
        why: &'a str,
        /// Whether it worked until now.
        first: bool,
    },
    /// The ledger's file is written again, and nothing is missing in it.
    LedgerRecovered,
}
