//! What probes ask: is the process alive, does it take work, and how are the providers.

use super::errors::Problem;
use super::pulse::milliseconds;
use super::told::Told;
use super::{Api, State};
use crate::domain::calendar::rfc3339;
use crate::domain::words::Dialect;
use crate::gateway::status::SlotStatus;
use serde::Serialize;
use std::collections::BTreeMap;

/// One provider, as the Go original's users know it, and a little more.
#[derive(Serialize)]
struct Provider {
    healthy: bool,
    circuit: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_check: Option<String>,
    consecutive_fails: u32,
    latency_ms: Option<u64>,
    first_token_ms: Option<u64>,
    error_count: u64,
    request_count: u64,
    in_flight: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    models: BTreeMap<String, &'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    alarm: Option<&'static str>,
}

impl Provider {
    fn new(slot: &SlotStatus) -> Self {
        Self {
            healthy: slot.healthy,
            circuit: slot.circuit.word(),
            last_check: slot.last_check.map(rfc3339),
            consecutive_fails: slot.consecutive_fails,
            latency_ms: slot.latency.map(milliseconds),
            first_token_ms: slot.first_token.map(milliseconds),
            error_count: slot.error_count,
            request_count: slot.request_count,
            in_flight: slot.in_flight,
            last_failure: slot.last_failure.as_ref().map(|(_, words)| words.clone()),
            models: slot.models.iter().map(|model| (model.model.clone(), model.circuit.word())).collect(),
            alarm: (slot.keys_left == 0).then_some("every key was refused"),
        }
    }
}

#[derive(Serialize)]
struct Health {
    status: &'static str,
    version: &'static str,
    providers: BTreeMap<String, Provider>,
}

/// `/health`: `ok`, `degraded` when some provider cannot be used, `down` (503) when none can.
pub(super) fn all(api: &Api, state: &State) -> Told {
    let slots = state.gateway.snapshot();
    let usable = slots.iter().filter(|slot| slot.usable()).count();
    let status = match usable {
        _ if api.draining() => "draining",
        0 => "down",
        _ if usable < slots.len() => "degraded",
        _ => "ok",
    };
    let providers = slots.iter().map(|slot| (slot.name.clone(), Provider::new(slot))).collect();
    let health = Health { status, version: env!("CARGO_PKG_VERSION"), providers };
    let code = if matches!(status, "ok" | "degraded") { 200 } else { 503 };
    Told::text(code, "application/json", super::to_json(&health))
}

/// `/health/provider/{name}`.
pub(super) fn one(state: &State, name: &str) -> Told {
    match state.gateway.snapshot().iter().find(|slot| slot.name == name) {
        Some(slot) => {
            let code = if slot.usable() { 200 } else { 503 };
            Told::text(code, "application/json", super::to_json(&Provider::new(slot)))
        }
        None => Told::problem(Problem::new(404, "no provider of this name is configured"), Dialect::Hapax),
    }
}

/// `/health/live`: the process answers, whatever the providers do.
pub(super) fn live() -> Told {
    Told::json(br#"{"status":"ok"}"#.to_vec())
}

/// `/health/ready`: 503 while draining.
pub(super) fn ready(api: &Api) -> Told {
    if api.draining() {
        return Told::text(503, "application/json", br#"{"status":"draining"}"#.to_vec());
    }
    Told::json(br#"{"status":"ok"}"#.to_vec())
}
