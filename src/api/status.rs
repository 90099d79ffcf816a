//! `/v1/status` and the page that shows it: providers, circuits, and the last requests with their attempts, never their text.

use super::pulse::{Beats, Counted, milliseconds};
use super::told::Told;
use super::{Api, State};
use crate::clock::Clock;
use crate::domain::budget::Allowance;
use crate::domain::calendar::rfc3339;
use crate::domain::key::Key;
use crate::domain::usage::usd;
use crate::gateway::ports::{Trail, Tried};
use crate::gateway::status::SlotStatus;
use parking_lot::Mutex;
use serde::Serialize;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// Requests remembered for the page.
const RECENT_MAX: usize = 50;
/// Attempts shown of one request.
const STORY_MAX: usize = 8;
/// Characters shown of a configuration's problem.
const PROBLEM_CHARS_MAX: usize = 512;

/// The last requests that reached a provider, newest last.
#[derive(Debug, Default)]
pub(super) struct Recent {
    /// Guards the ring; held to push or to copy.
    ring: Mutex<VecDeque<Remembered>>,
}

/// One of them, as it was told: worded only when somebody looks.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    pub(super) at: Instant,
    pub(super) request_id: Arc<str>,
    pub(super) endpoint: &'static str,
    pub(super) status: u16,
    pub(super) took: Duration,
    pub(super) stream: bool,
    /// The name of the caller's key, when keys are configured.
    pub(super) key: Option<Arc<str>>,
    pub(super) trail: Trail,
}

/// The same in words.
#[derive(Debug, Serialize)]
struct Story {
    at: String,
    request_id: String,
    endpoint: &'static str,
    status: u16,
    duration_ms: u64,
    stream: bool,
    deduplicated: bool,
    provider: Option<String>,
    model: Option<String>,
    attempts: Vec<Attempt>,
}

/// One try, as in the log line.
#[derive(Debug, Serialize)]
struct Attempt {
    provider: String,
    model: String,
    outcome: String,
    duration_ms: u64,
}

/// Whose requests somebody may see: without keys everybody's, with an admin's key too, else his own.
#[derive(Debug, Clone, Copy)]
pub(super) enum Eyes<'a> {
    All,
    Own(&'a str),
}

impl<'a> Eyes<'a> {
    pub(super) fn of(key: Option<&'a Key>) -> Self {
        key.filter(|key| !key.admin).map_or(Self::All, |key| Self::Own(&key.name))
    }

    /// Whether what is this key's may be seen.
    fn see(self, name: &str) -> bool {
        match self {
            Self::All => true,
            Self::Own(key) => key == name,
        }
    }
}

impl Recent {
    /// Remembers a request, if a provider was asked for it or its answer was shared.
    pub(super) fn add(&self, remembered: Remembered) {
        if remembered.trail.attempts.is_empty() && !remembered.trail.deduplicated {
            return;
        }
        let forgotten = {
            let mut ring = self.ring.lock();
            let forgotten = if ring.len() == RECENT_MAX { ring.pop_front() } else { None };
            ring.push_back(remembered);
            forgotten
        };
        drop(forgotten);
    }

    /// Those that whoever looks may see.
    fn newest_first(&self, eyes: Eyes<'_>, clock: &dyn Clock) -> Vec<Story> {
        let seen = |remembered: &&Remembered| match eyes {
            Eyes::All => true,
            Eyes::Own(key) => remembered.key.as_deref() == Some(key),
        };
        let remembered: Vec<Remembered> = self.ring.lock().iter().rev().filter(seen).cloned().collect();
        let (now, today) = (clock.now(), clock.today());
        let calendar = |at: Instant| today - now.saturating_duration_since(at);
        remembered.into_iter().map(|one| Story::new(calendar(one.at), one)).collect()
    }
}

impl Story {
    fn new(at: SystemTime, remembered: Remembered) -> Self {
        let told = |Tried { provider, model, outcome, took }: Tried| Attempt {
            provider: provider.to_string(),
            model: model.to_string(),
            outcome: outcome.into_owned(),
            duration_ms: milliseconds(took),
        };
        let Remembered { at: _, request_id, endpoint, status, took, stream, key: _, trail } = remembered;
        let (provider, model) =
            trail.served.map(|(provider, model)| (provider.to_string(), model.to_string())).unzip();
        Self {
            at: rfc3339(at),
            request_id: request_id.to_string(),
            endpoint,
            status,
            duration_ms: milliseconds(took),
            stream,
            deduplicated: trail.deduplicated,
            provider,
            model,
            attempts: trail.attempts.into_iter().take(STORY_MAX).map(told).collect(),
        }
    }
}

/// The configuration in service, and what became of the last try to change it.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Configuration {
    /// As in `hapax_config_info`.
    hash: String,
    /// Since when it is in service.
    since: String,
    /// Why the last try was refused; `None`: it was not.
    refused: Option<Refused>,
}

/// A file that changed nothing because it is wrong.
#[derive(Debug, Clone, Serialize)]
struct Refused {
    at: String,
    /// Its first problem, with the place to look at.
    problem: String,
}

impl Api {
    /// This configuration is in service from now on.
    pub fn configured(&self, hash: &str) {
        let since = rfc3339(self.clock.today());
        *self.configuration.lock() = Configuration { hash: hash.to_owned(), since, refused: None };
    }

    /// Another one was to be put in service, and could not be.
    pub fn refused(&self, problems: &str) {
        let first = problems.lines().next().unwrap_or_default();
        // `/etc/hapax/config.yaml:12:5: ...`: in which folder is nobody's business here.
        let folder = first.split(": ").next().and_then(|place| place.rfind('/')).map_or(0, |slash| slash + 1);
        // Nor where the ledger lies: `usage.path: /var/lib/hapax/usage.db: ...`.
        fn bare(part: &str) -> &str {
            part.rsplit_once('/')
                .filter(|_| part.starts_with('/') && !part.contains(' '))
                .map_or(part, |(_, name)| name)
        }
        let parts: Vec<&str> = first[folder..].split(": ").map(bare).collect();
        let problem = parts.join(": ").chars().take(PROBLEM_CHARS_MAX).collect();
        self.configuration.lock().refused = Some(Refused { at: rfc3339(self.clock.today()), problem });
    }
}

#[derive(Serialize)]
struct Status {
    version: &'static str,
    started: String,
    draining: bool,
    config: Configuration,
    #[serde(flatten)]
    counted: Counted,
    providers: Vec<Provider>,
    budgets: Vec<Standing>,
    recent: Vec<Story>,
}

#[derive(Serialize)]
struct Provider {
    name: String,
    healthy: bool,
    circuit: &'static str,
    usable: bool,
    keys_left: usize,
    busy_for_ms: u64,
    latency_ms: Option<u64>,
    first_token_ms: Option<u64>,
    in_flight: usize,
    request_count: u64,
    error_count: u64,
    last_check: Option<String>,
    consecutive_fails: u32,
    last_failure: Option<String>,
    last_failure_at: Option<String>,
    models: Vec<(String, &'static str)>,
    #[serde(flatten)]
    beats: Beats,
}

impl Provider {
    fn new(slot: SlotStatus, beats: Beats) -> Self {
        let usable = slot.usable();
        let (failed_at, last_failure) = slot.last_failure.unzip();
        Self {
            healthy: slot.healthy,
            circuit: slot.circuit.word(),
            usable,
            keys_left: slot.keys_left,
            busy_for_ms: slot.busy_for.map_or(0, milliseconds),
            latency_ms: slot.latency.map(milliseconds),
            first_token_ms: slot.first_token.map(milliseconds),
            in_flight: slot.in_flight,
            request_count: slot.request_count,
            error_count: slot.error_count,
            last_check: slot.last_check.map(rfc3339),
            consecutive_fails: slot.consecutive_fails,
            models: slot.models.iter().map(|model| (model.model.clone(), model.circuit.word())).collect(),
            last_failure,
            last_failure_at: failed_at.map(rfc3339),
            name: slot.name,
            beats,
        }
    }
}

/// What a key may cost, and has cost in this period.
#[derive(Serialize)]
struct Standing {
    key: String,
    spent_usd: f64,
    usd: f64,
    per: &'static str,
}

impl Standing {
    fn new((key, allowance, spent): (String, Allowance, u64)) -> Self {
        // As exact as a float is, and as `/v1/usage` says it.
        let dollars = |nano: u64| usd(nano).parse().unwrap_or_default();
        Self { key, spent_usd: dollars(spent), usd: dollars(allowance.nano_usd), per: allowance.per.word() }
    }
}

/// The state of everything, for machines and for the page.
pub(super) fn json(api: &Api, state: &State, key: Option<&Key>) -> Told {
    Told::json(body(api, state, Eyes::of(key)))
}

/// The same, as its text.
pub(super) fn body(api: &Api, state: &State, eyes: Eyes<'_>) -> Vec<u8> {
    let slots = state.gateway.snapshot();
    api.pulse.keep(|name| slots.iter().any(|slot| slot.name == name));
    super::to_json(&Status {
        version: env!("CARGO_PKG_VERSION"),
        started: rfc3339(api.started),
        draining: api.draining(),
        config: api.configuration.lock().clone(),
        counted: api.pulse.counted(),
        providers: slots
            .into_iter()
            .map(|slot| {
                let beats = api.pulse.of(&slot.name);
                Provider::new(slot, beats)
            })
            .collect(),
        budgets: state
            .meter
            .budgets(api.clock.today())
            .into_iter()
            .filter(|(key, ..)| eyes.see(key))
            .map(Standing::new)
            .collect(),
        recent: api.recent.newest_first(eyes, &*api.clock),
    })
}

/// The page: one file, no request to any other host (the policy holds it to that).
pub(super) fn page() -> Told {
    let mut told = Told::text(200, "text/html; charset=utf-8", include_bytes!("page.html").to_vec());
    if let Some(response) = &mut told.response {
        let policy = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
        response.headers.add("Content-Security-Policy", policy);
        response.headers.add("X-Content-Type-Options", "nosniff");
        response.headers.add("Cache-Control", "no-cache");
    }
    told
}
