//! What is told of a request once it is over: one record for metrics, log and status page.

use super::errors::class_of;
use super::table::{self, Endpoint, Row};
use super::told::Told;
use super::transcript::Transcript;
use super::{Api, door, models, status};
use crate::domain::event::{Event, Record, Said};
use crate::domain::words::Dialect;
use crate::gateway::ports::{Cached, Observer};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What is known of a request before its endpoint is.
pub(super) struct Facts<'a> {
    pub(super) method: &'a str,
    pub(super) path: &'a str,
    /// Where the path leads, and what follows its beginning.
    pub(super) found: Option<(&'static Row, &'a str)>,
    pub(super) headers: &'a crate::server::Headers,
    pub(super) request_id: &'a Arc<str>,
    pub(super) client: IpAddr,
    pub(super) received: Instant,
    pub(super) bytes_in: u64,
}

impl Facts<'_> {
    /// What is spoken where the path leads.
    pub(super) fn dialect(&self) -> Dialect {
        match self.found {
            Some((row, _)) => models::spoken(row, self.headers),
            None => table::spoken_beside(self.path),
        }
    }
}

/// What went out.
pub(super) struct Sent {
    pub(super) status: u16,
    pub(super) bytes: u64,
    pub(super) refused: bool,
    /// When all of it had.
    pub(super) at: Instant,
}

impl Api {
    /// Tells everyone what became of a request.
    #[inline(never)]
    pub(super) fn record(&self, facts: &Facts<'_>, told: &mut Told, sent: &Sent, key: Option<&Arc<str>>) {
        let trail = &told.trail;
        let now = sent.at;
        let took = now.saturating_duration_since(facts.received);
        let waited: Duration = trail.attempts.iter().map(|tried| tried.took).sum();
        let row = facts.found.map(|(row, _)| row);
        let asked = !trail.attempts.is_empty();
        let whole = !told.stream && !trail.deduplicated && trail.served.is_some() && asked;
        let said = told.transcript.as_ref().map(Transcript::text);
        let record = Record {
            request_id: facts.request_id,
            trace_id: door::trace(facts.headers).map(|(_, id)| id),
            endpoint: row.map_or(table::OTHER, |row| row.label),
            routine: row.is_some_and(|row| row.control || row.endpoint == Endpoint::Watch),
            method: facts.method,
            status: sent.status,
            took,
            overhead: whole.then(|| took.saturating_sub(waited)),
            error: told.problem.as_ref().map(|problem| class_of(problem.status).hapax),
            served: trail.served.as_ref().map(|(provider, model)| (&**provider, &**model)),
            attempts: &trail.attempts,
            usage: trail.usage,
            nano_usd: trail.nano_usd,
            stream: told.stream,
            deduplicated: trail.deduplicated,
            cached: trail.cached.map(|cached| matches!(cached, Cached::Hit(_))),
            bytes_in: facts.bytes_in,
            bytes_out: sent.bytes,
            key: key.map(|key| &**key),
            client: Some(facts.client),
            said: said.as_ref().map(|(prompt, answer)| Said { prompt, answer }),
        };
        let endpoint = record.endpoint;
        self.pulse.observe(&if sent.refused { Event::Refused(record) } else { Event::Answered(record) });
        self.recent.add(status::Remembered {
            at: now,
            request_id: Arc::clone(facts.request_id),
            endpoint,
            status: sent.status,
            took,
            stream: told.stream,
            key: key.map(Arc::clone),
            trail: std::mem::take(&mut told.trail),
        });
    }
}
