//! What can be told of the providers: for `/health`, the status page, metrics and `hapax explain`.

use crate::domain::event::Circuit;
use std::time::{Duration, SystemTime};

/// Where one provider stands.
#[derive(Debug, Clone, PartialEq)]
pub struct SlotStatus {
    /// The provider.
    pub name: String,
    /// What the checks say.
    pub healthy: bool,
    /// The provider's own breaker; those of its models are listed apart.
    pub circuit: Circuit,
    /// When it was last checked.
    pub last_check: Option<SystemTime>,
    /// Failed checks since the last good one.
    pub consecutive_fails: u32,
    /// How long the last good whole answer took.
    pub latency: Option<Duration>,
    /// How long the last good stream took until its first content.
    pub first_token: Option<Duration>,
    /// Attempts that failed through no fault of the caller's.
    pub error_count: u64,
    /// Attempts.
    pub request_count: u64,
    /// Attempts under way.
    pub in_flight: usize,
    /// Keys in service; 0: every key was refused.
    pub keys_left: usize,
    /// How long it is still passed over because it said it was busy; zero once that is over.
    pub busy_for: Option<Duration>,
    /// The last thing that went wrong, when and in words without secrets.
    pub last_failure: Option<(SystemTime, String)>,
    /// The models that ever failed.
    pub models: Vec<ModelStatus>,
}

impl SlotStatus {
    /// Whether a request could be served by it now, be it as a trial.
    #[must_use]
    pub fn usable(&self) -> bool {
        self.healthy && self.circuit != Circuit::Open && self.keys_left > 0
    }
}

/// Where one model at one provider stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelStatus {
    /// `openai/gpt-4o`: the breaker's name in metrics and log.
    pub name: String,
    /// The model.
    pub model: String,
    /// Its breaker.
    pub circuit: Circuit,
}

/// One line of `hapax explain`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Explained {
    /// The provider.
    pub provider: String,
    /// The model it would be asked for; empty when it is no candidate at all.
    pub model: String,
    /// Why it would be left out or passed over now; `None`: it would be asked.
    pub left_out: Option<String>,
}
