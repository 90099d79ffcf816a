//! The closed list of things that happen: the core reports facts, metrics and log word them at the edge.

use super::chat::Usage;
use super::failure::Fault;
use std::time::Duration;

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
#[derive(Debug, Clone, PartialEq)]
pub enum Event<'a> {
    /// One try at one provider ended.
    Attempted {
        /// The provider.
        provider: &'a str,
        /// `None`: it answered.
        fault: Option<Fault>,
        /// From sending to the end of the answer, or to the failure.
        took: Duration,
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
    /// A request was answered from another one's flight.
    Deduplicated,
    /// A caller met a limit.
    Limited {
        /// The key's name, or `address`.
        client: &'a str,
    },
    /// Tokens were used.
    Used {
        /// The key's name, or `none`.
        key: &'a str,
        /// The model: configured name, or `other`.
        model: &'a str,
        /// How many.
        usage: Usage,
    },
}
