//! Endpoints: who is asking, for what, and what he reads. The table says which; one file owns every status.

mod active;
mod chat;
mod cors;
mod door;
mod errors;
mod explain;
mod health;
mod listener;
mod live;
mod models;
mod ollama;
mod openapi;
mod pass;
mod pulse;
mod record;
mod sources;
mod status;
mod table;
mod told;
mod transcript;
pub mod usage;
mod wish;

use active::Active;
pub use door::Network;
use errors::{CALLER_LEFT, Problem};
pub use explain::{Candidate, Explanation, explain};
pub use live::WATCHERS_MAX;
pub use pulse::Pulse;
use record::{Facts, Sent};
pub use sources::Sources;

use crate::clock::Clock;
use crate::dialect::redact::Lookout;
use crate::domain::budget::Allowance;
use crate::domain::key::{Key, Keyring};
use crate::domain::price::Prices;
use crate::domain::words::{Dialect, OddCharacters};
use crate::gateway::Gateway;
use crate::gateway::meter::Meter;
use crate::server::{
    Exchange, Fields, Handler, Head, Headers, Lane, Pass, Refusal, Request, Response, Turned,
};
use parking_lot::{Mutex, RwLock};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};
use table::{Endpoint, Found, Row};
use told::{Asked, Told};

/// What a reload replaces.
pub struct State {
    /// Who is asked.
    pub gateway: Arc<Gateway>,
    /// What tokens cost.
    pub prices: Arc<Prices>,
    /// How often each may ask.
    pub meter: Meter,
    /// Who may ask.
    pub keyring: Keyring,
    /// What becomes of characters in requests that no text has.
    pub odd_characters: OddCharacters,
    /// What is taken out of requests.
    pub lookout: Option<Arc<Lookout>>,
    /// Whether the log tells what was asked and answered.
    pub prompts: bool,
    /// Who may say for whom he asks.
    pub trusted_proxies: Vec<Network>,
    /// Origins whose pages may ask; `*` is any.
    pub cors_origins: Vec<String>,
    /// How many may watch the status live at once; never more than [`WATCHERS_MAX`].
    pub watchers_max: usize,
}

/// The handler behind the front door.
pub struct Api {
    /// The state in service and how many were before it; replaced as a whole.
    state: RwLock<(u32, Arc<State>)>,
    pulse: Arc<Pulse>,
    clock: Arc<dyn Clock>,
    sources: Sources,
    ids: door::Ids,
    draining: AtomicBool,
    started: SystemTime,
    /// Guards the news of it; held to replace or to copy.
    configuration: Mutex<status::Configuration>,
    recent: status::Recent,
    watchers: Arc<live::Watchers>,
}

impl Api {
    /// Joins what the endpoints need.
    pub fn new(state: State, pulse: Arc<Pulse>, clock: Arc<dyn Clock>, sources: Sources) -> Self {
        Self {
            state: RwLock::new((0, Arc::new(state))),
            pulse,
            started: clock.today(),
            clock,
            sources,
            ids: door::Ids::new(),
            draining: AtomicBool::new(false),
            configuration: Mutex::default(),
            recent: status::Recent::default(),
            watchers: Arc::default(),
        }
    }

    /// Puts another state in service; requests under way keep the one they began with.
    pub fn replace(&self, state: State) -> Arc<State> {
        let mut present = self.state.write();
        present.0 = present.0.wrapping_add(1);
        std::mem::replace(&mut present.1, Arc::new(state))
    }

    /// The state in service.
    #[must_use]
    pub fn state(&self) -> Arc<State> {
        Arc::clone(&self.state.read().1)
    }

    /// From now on `/health/ready` says 503.
    pub fn drain(&self) {
        self.draining.store(true, Ordering::SeqCst);
        self.watchers.wake();
    }

    pub(crate) fn draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// Every key's budget by its name, and what of it was spent in this period, in nano-USD.
    #[must_use]
    pub fn budgets(&self) -> Vec<(String, Allowance, u64)> {
        self.state().meter.budgets(self.clock.today())
    }

    fn seconds_since_1970(&self) -> u64 {
        self.clock.today().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
    }

    /// Answers a request that has a row and a caller, unless a provider is needed for it: who waits for one does not keep
    /// the stack of everything else.
    #[inline(never)]
    fn endpoint(&self, state: &State, asked: &Asked<'_>, exchange: &mut Exchange<'_>) -> Option<Box<Told>> {
        Some(Box::new(match asked.row.endpoint {
            Endpoint::Question | Endpoint::Completions => return None,
            Endpoint::Tags => ollama::tags(self, state, asked),
            Endpoint::Loaded => ollama::loaded(),
            Endpoint::Version => ollama::version(),
            Endpoint::Models => models::list(state, asked),
            Endpoint::Model => models::one(state, asked),
            Endpoint::Health => health::all(self, state),
            Endpoint::Live => health::live(),
            Endpoint::Ready => health::ready(self),
            Endpoint::ProviderHealth => health::one(state, asked.argument),
            Endpoint::Metrics => Told::text(
                200,
                "text/plain; version=0.0.4; charset=utf-8",
                (self.sources.exposition)().into_bytes(),
            ),
            Endpoint::Status => status::json(self, state, asked.key),
            Endpoint::Explain => explain::serve(state, asked.query),
            Endpoint::Usage => usage::serve(self, state, asked),
            Endpoint::Watch => {
                let mut headers = Fields::of("Content-Type", "text/event-stream");
                headers.add("Cache-Control", "no-cache");
                headers.add("X-Request-ID", asked.request_id);
                cors::tell(&mut headers, state, asked.headers);
                live::serve(self, (state, status::Eyes::of(asked.key)), &headers, exchange)
            }
            Endpoint::Document => openapi::serve(),
            Endpoint::Page => status::page(),
        }))
    }

    /// Finds row and caller, or the reason why he is not let in, and his key where it is known. `known`: the caller's key is
    /// the one at this place.
    fn admit<'a>(
        &self,
        state: &'a State,
        (method, path): (&str, &str),
        headers: &crate::server::Headers,
        peer: IpAddr,
        known: Option<usize>,
    ) -> Result<(&'static Row, Option<&'a Key>), Refused<'a>> {
        let nobody = |problem| (problem, None);
        match table::find(method, path) {
            Found::Row(row) if row.guarded => {
                let address = || door::address(peer, headers, &state.trusted_proxies);
                let refused =
                    |problem| nobody(door::slowed(problem, &state.meter, address, self.clock.now()));
                let today = || self.clock.today();
                let key = door::caller(&state.keyring, headers, known, today).map_err(refused)?;
                door::allowed(key, path, row.label)
                    .map_err(|problem| (door::counted(problem, &state.meter, key, self.clock.now()), key))?;
                Ok((row, key))
            }
            Found::Row(row) => Ok((row, None)),
            Found::WrongMethod(row) => Err(nobody(Problem {
                allow: Some(table::allow(row)),
                ..Problem::new(405, "this method is not allowed here").code("method_not_allowed")
            })),
            Found::Nothing => {
                Err(nobody(Problem::new(404, "there is nothing at this path").code("not_found")))
            }
        }
    }
}

/// Why somebody is not let in, and his key where it is known.
type Refused<'a> = (Problem, Option<&'a Key>);

impl Handler for Api {
    fn lane(&self, method: &str, path: &str) -> Lane {
        match table::find(method, path) {
            Found::Row(row) if !row.control => Lane::Work,
            // Wrong methods and unknown paths are answered quickly and must not wait for a worker.
            Found::Row(_) | Found::WrongMethod(_) | Found::Nothing => Lane::Control,
        }
    }

    /// Refuses before the body is read: no byte of an unknown caller's body is worth having.
    fn screen(&self, head: &Head) -> Result<Pass, Response> {
        if &*head.method == "OPTIONS" {
            return Ok(Pass::default());
        }
        let (number, state) = self.state.read().clone();
        let asked = (&*head.method, &*head.path);
        let known = pass::place(head.known, number);
        match self.admit(&state, asked, &head.headers, head.peer, known) {
            Ok((_, key)) => Ok(pass::of(number, key.and_then(|key| state.keyring.place(key)))),
            Err(refused) => Err(self.turn_away(&state, &Turned::head(head, self.clock.now()), refused)),
        }
    }

    fn handle(&self, request: &mut Request, exchange: &mut Exchange<'_>) {
        let (number, state) = self.state.read().clone();
        let body = std::mem::take(&mut request.body);
        let Request { method, path, query, headers, peer, received, pass, .. } = &*request;
        let request_id = self.ids.of(headers);
        let facts = Facts {
            method,
            path,
            found: table::by_path(path),
            headers,
            request_id: &request_id,
            client: door::address(*peer, headers, &state.trusted_proxies),
            received: *received,
            bytes_in: body.len() as u64,
        };
        if **method == *"OPTIONS" {
            return self.preflight(&state, &facts, exchange);
        }
        let known = pass::place(*pass, number);
        let admitted = self.admit(&state, (method, path), headers, *peer, known);
        let label = admitted.as_ref().map_or(table::OTHER, |(row, _)| row.label);
        let mut active = Active::arrive(&*self.pulse, label);
        let (Ok((_, key)) | Err((_, key))) = &admitted;
        let key = key.map(|key| &key.name);
        let mut told = match admitted {
            Err((problem, _)) => Told::problem(problem, facts.dialect()),
            Ok((row, key)) => {
                let argument = facts.found.map_or("", |(_, argument)| argument);
                let (query, request_id, client) = (query.as_deref(), &request_id, facts.client);
                let asked = Asked { row, path, argument, query, headers, request_id, key, client };
                match self.endpoint(&state, &asked, exchange) {
                    Some(told) => *told,
                    None => chat::serve(self, &state, &asked, body, exchange),
                }
            }
        };
        let status = self.send(&state, &facts, &mut told, exchange);
        let sent = Sent { status, bytes: exchange.bytes_out(), refused: false, at: exchange.ended() };
        active.endpoint = None;
        self.record(&facts, &mut told, &sent, key);
    }

    fn refuse(&self, refusal: Refusal, turned: Option<&Turned<'_>>) -> Response {
        let problem = Problem::of_refusal(refusal);
        match turned {
            Some(turned) => self.turn_away(&self.state(), turned, (problem, None)),
            // Nobody has asked anything: there is nothing to tell of.
            None => problem.response(Dialect::Hapax, &self.ids.of(&Headers::default())),
        }
    }
}

impl Api {
    #[cold]
    #[inline(never)]
    fn preflight(&self, state: &State, facts: &Facts<'_>, exchange: &mut Exchange<'_>) {
        let mut told = Told::response(cors::preflight(facts.path));
        let status = self.send(state, facts, &mut told, exchange);
        let sent = Sent { status, bytes: exchange.bytes_out(), refused: true, at: exchange.ended() };
        self.record(facts, &mut told, &sent, None);
    }

    /// The answer to a request that no worker will see; everyone is told of it.
    fn turn_away(&self, state: &State, turned: &Turned<'_>, (problem, key): Refused<'_>) -> Response {
        let request_id = self.ids.of(turned.headers);
        let path = turned.path.unwrap_or_default();
        let facts = Facts {
            method: turned.method,
            path,
            found: table::by_path(path),
            headers: turned.headers,
            request_id: &request_id,
            client: door::address(turned.peer, turned.headers, &state.trusted_proxies),
            received: turned.received,
            bytes_in: 0,
        };
        let dialect = facts.dialect();
        let mut response = problem.response(dialect, &request_id);
        cors::tell(&mut response.headers, state, turned.headers);
        let (status, bytes) = (response.status, response.body.len() as u64);
        let sent = Sent { status, bytes, refused: true, at: self.clock.now() };
        self.record(&facts, &mut Told::problem(problem, dialect), &sent, key.map(|key| &key.name));
        response
    }
}

impl Api {
    /// Sends what is still to be sent, and says which status the caller got.
    #[inline(never)]
    fn send(&self, state: &State, facts: &Facts<'_>, told: &mut Told, exchange: &mut Exchange<'_>) -> u16 {
        let dialect = told.dialect.unwrap_or_else(|| facts.dialect());
        let response = match (&told.problem, told.response.take()) {
            (_, Some(response)) => Some(response),
            (Some(problem), None) if !exchange.started() => {
                let mut response = problem.response(dialect, facts.request_id);
                listener::tell_trail(&mut response.headers, &told.trail);
                Some(response)
            }
            _ => None,
        };
        // What a caller who left would have got says nothing of what he got.
        let left = told.problem.as_ref().is_some_and(|problem| problem.status == CALLER_LEFT);
        let Some(mut response) = response else { return if left { CALLER_LEFT } else { 200 } };
        if response.headers.get("X-Request-ID").is_none() {
            listener::tell_id(&mut response.headers, dialect, facts.request_id);
        }
        listener::tell_limits(&mut response.headers, &told.standing);
        cors::tell(&mut response.headers, state, facts.headers);
        let status = response.status;
        exchange.send(response);
        if left { CALLER_LEFT } else { status }
    }
}

/// JSON of a type of ours; such types always have one.
fn to_json(value: &impl serde::Serialize) -> Vec<u8> {
    serde_json::to_vec(value).unwrap_or_default()
}
