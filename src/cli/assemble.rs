//! The one place where the rooms are wired together: settings in, a house in service out.

use super::{books, exposition};
use crate::api::{self, Api, Network, Pulse, Sources, State};
use crate::clock::Clock;
use crate::config::{self, Settings};
use crate::dialect::redact::Lookout;
use crate::domain::key::{Hash, Key, Keyring};
use crate::domain::pattern::Pattern;
use crate::domain::redact::{Redaction, Rule};
use crate::domain::route::VirtualModel;
use crate::domain::{breaker, health};
use crate::gateway::meter::{self, Meter};
use crate::gateway::ports::{Observer, Provider};
use crate::gateway::{self, Gateway, SlotSettings};
use crate::ledger::Ledger;
use crate::memory::Memory;
use crate::server::{Limits, Server};
use crate::telemetry::{self, Metrics, Telemetry};
use crate::upstream;
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// A watcher of the status keeps a worker; so many must there be for each.
const WORKERS_PER_WATCHER: usize = 8;

/// A gateway in service.
pub struct House {
    api: Arc<Api>,
    server: Server,
    parts: Parts,
    log: telemetry::Writer,
    ledger: Arc<Ledger>,
    /// Guards the providers in service, and makes one reload wait for the other.
    made: Mutex<Vec<Made>>,
    /// Guards the thread that ends the checks of the gateway before and begins those of the present one.
    changing_guard: Mutex<Option<JoinHandle<()>>>,
}

/// A provider, and what it was made from.
struct Made {
    settings: config::Provider,
    system_prompt: Option<String>,
    redaction: Option<config::Redaction>,
    provider: Arc<dyn Provider>,
}

/// What a reload needs again.
struct Parts {
    metrics: Arc<Metrics>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    memory: Arc<Memory>,
}

impl House {
    /// Opens the house on a bound listener. Log lines go to `log`.
    ///
    /// # Errors
    /// What could not be used or started, in words.
    pub fn open(
        settings: &Settings,
        listener: TcpListener,
        clock: Arc<dyn Clock>,
        log: impl Write + Send + 'static,
    ) -> Result<Self, String> {
        let (logging, log) = telemetry::start(settings.logging, Arc::clone(&clock), log)
            .map_err(|error| format!("the log cannot be started: {error}"))?;
        let sink = logging.sink.clone();
        let metrics = Arc::new(Metrics::new(&settings.hash).map_err(|error| error.to_string())?);
        let telemetry = Telemetry::new(Arc::clone(&metrics), logging, Arc::clone(&clock));
        let (ledger, kept) = books::open(settings, &clock, Arc::new(telemetry))?;
        let pulse = Arc::new(Pulse::new(Arc::clone(&ledger) as Arc<dyn Observer>));
        let observer = Arc::clone(&pulse) as Arc<dyn Observer>;
        let memory = Memory::new(settings.server.memory_max);
        let parts = Parts { metrics: Arc::clone(&metrics), observer, clock: Arc::clone(&clock), memory };
        let mut made = Vec::new();
        let state = parts.state(settings, &mut made, None)?;
        books::recall(&state, &kept, &*clock);
        let gauges = Arc::new(std::sync::OnceLock::new());
        let api = Arc::new_cyclic(|api: &std::sync::Weak<Api>| {
            let (api, gauges, theirs) = (api.clone(), Arc::clone(&gauges), Arc::clone(&ledger));
            let exposition =
                Box::new(move || exposition::text(&metrics, &api, (gauges.get(), &theirs), &sink));
            let sources = Sources { exposition, usage: books::rows(&ledger) };
            Api::new(state, pulse, Arc::clone(&clock), sources)
        });
        books::remember(&ledger, &api, &clock);
        let server = Server::start(
            listener,
            limits(settings, Arc::clone(&parts.memory)),
            Arc::clone(&api) as _,
            clock,
        )
        .map_err(|error| format!("the front door cannot be opened: {error}"))?;
        // Set once, here: the cell was made a few lines above.
        let _ = gauges.set(server.gauges());
        api.configured(&settings.hash);
        api.state().gateway.start_checks().map_err(|error| format!("checks cannot be started: {error}"))?;
        let (made, changing_guard) = (Mutex::new(made), Mutex::default());
        Ok(Self { api, server, parts, log, ledger, made, changing_guard })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }

    /// The gateway in service.
    #[must_use]
    pub fn gateway(&self) -> Arc<Gateway> {
        Arc::clone(&self.api.state().gateway)
    }

    /// Puts other settings into service, all or nothing: providers, routes, keys, limits. What belongs to the
    /// front door itself (listen, workers, sizes, timeouts) takes effect at the next start.
    ///
    /// # Errors
    /// What cannot be used; nothing has changed then.
    pub fn reload(&self, settings: &Settings) -> Result<(), String> {
        let mut made = lock(&self.made);
        let old = self.api.state();
        let opened =
            books::other(&self.ledger, settings).inspect_err(|problem| self.reload_failed(problem))?;
        let state = self
            .parts
            .state(settings, &mut made, Some(&old))
            .inspect_err(|problem| self.reload_failed(problem))?;
        let gateway = Arc::clone(&state.gateway);
        self.api.replace(state);
        self.parts.metrics.reloaded(Some(&settings.hash));
        self.api.configured(&settings.hash);
        books::change(&self.ledger, opened)?;
        self.change_guard(old, gateway)
    }

    /// Ends the old checks and begins the new ones, on a thread of its own: a check may hang in the machine's name
    /// resolver, and signals are not to wait for that.
    fn change_guard(&self, old: Arc<State>, new: Arc<Gateway>) -> Result<(), String> {
        let mut changing = lock(&self.changing_guard);
        if let Some(before) = changing.take() {
            let _ = before.join();
        }
        let body = move || {
            old.gateway.stop();
            if let Err(error) = new.start_checks() {
                log::error!("checks cannot be started: {error}");
            }
        };
        let thread = Builder::new().name("change-guard".to_owned()).spawn(body);
        *changing = Some(thread.map_err(|error| format!("checks cannot be started: {error}"))?);
        Ok(())
    }

    /// As [`Server::heartbeat`].
    #[must_use]
    pub fn heartbeat(&self) -> u64 {
        self.server.heartbeat()
    }

    /// A configuration could not be put into service: its problems, one per line.
    pub fn reload_failed(&self, problems: &str) {
        self.parts.metrics.reloaded(None);
        self.api.refused(problems);
    }

    /// Takes no new work: ready says 503, the listener closes, what is under way goes on.
    pub fn drain(&self) {
        self.api.drain();
        self.server.drain();
    }

    /// Waits for what is under way, at most this long; whether all of it was finished.
    pub fn close(self, patience: Duration) -> bool {
        self.drain();
        let finished = self.server.join(patience);
        if let Some(changing) = lock(&self.changing_guard).take() {
            let _ = changing.join();
        }
        self.api.state().gateway.stop();
        self.ledger.close();
        self.log.close();
        finished
    }
}

impl Parts {
    /// What is to be in service: see [`in_service`].
    fn state(&self, settings: &Settings, made: &mut Vec<Made>, old: Option<&State>) -> Result<State, String> {
        let state = in_service(settings, (&self.clock, &self.observer, &self.memory), made, old)?;
        self.metrics.configured(state.gateway.known_models().clone());
        Ok(state)
    }
}

/// What a configuration puts into service at the start; nothing is connected or started yet.
pub(super) fn state(
    settings: &Settings,
    clock: &Arc<dyn Clock>,
    observer: &Arc<dyn Observer>,
) -> Result<State, String> {
    let memory = Memory::new(settings.server.memory_max);
    in_service(settings, (clock, observer, &memory), &mut Vec::new(), None)
}

/// What is to be in service. `made` are the providers of `old`; what is the same in both stays as it is, and
/// nothing is changed when something cannot be used.
fn in_service(
    settings: &Settings,
    (clock, observer, memory): (&Arc<dyn Clock>, &Arc<dyn Observer>, &Arc<Memory>),
    made: &mut Vec<Made>,
    old: Option<&State>,
) -> Result<State, String> {
    let mut providers: Vec<(SlotSettings, Arc<dyn Provider>)> = Vec::new();
    let mut now_made = Vec::new();
    for name in &settings.preference {
        let Some(provider) = settings.providers.iter().find(|provider| provider.name == *name) else {
            continue;
        };
        let upstream = known_or_new(provider, settings, made, (clock, memory, observer))?;
        providers.push((slot(provider), Arc::clone(&upstream)));
        now_made.push(Made {
            settings: provider.clone(),
            system_prompt: settings.system_prompt.clone(),
            redaction: settings.redaction.clone(),
            provider: upstream,
        });
    }
    *made = now_made;
    let mut gateway =
        Gateway::new(routes(settings, memory), providers, Arc::clone(clock), Arc::clone(observer));
    let counted = counted(settings);
    let mut meter = Meter::new(&counted, Arc::clone(observer), clock.today());
    if let Some(old) = old {
        gateway = gateway.inheriting(&old.gateway);
        meter = meter.inheriting(&old.meter, &counted, (clock.now(), clock.today()));
    }
    Ok(State {
        gateway: Arc::new(gateway),
        meter,
        prices: Arc::new(settings.prices()),
        keyring: Keyring::new(settings.keys.iter().map(key).collect()),
        odd_characters: settings.odd_characters,
        lookout: redaction(settings, |rule| rule.on_requests)?.map(Lookout::new),
        prompts: settings.logging.prompts,
        trusted_proxies: settings.server.trusted_proxies.iter().map(network).collect(),
        cors_origins: settings.cors_origins.clone(),
        watchers_max: (settings.server.workers / WORKERS_PER_WATCHER).min(api::WATCHERS_MAX),
    })
}

/// What the meter counts.
fn counted(settings: &Settings) -> meter::Settings {
    meter::Settings {
        keys: settings.keys.iter().map(|key| (key.name.clone(), key.limits, key.budget)).collect(),
        routes: settings.routes.iter().map(|route| (route.path.clone(), route.limits)).collect(),
        per_address: settings.per_address,
        wrong_keys_per_minute: settings.wrong_keys_per_minute.into(),
    }
}

/// The provider as it is in service, with its connections and keys, if it was configured the same; else a new
/// one. A file of certificates may have changed under its name, so such a provider is always made anew.
fn known_or_new(
    settings: &config::Provider,
    all: &Settings,
    made: &[Made],
    (clock, memory, observer): (&Arc<dyn Clock>, &Arc<Memory>, &Arc<dyn Observer>),
) -> Result<Arc<dyn Provider>, String> {
    let same = |made: &&Made| {
        // Its limits are counted by the gateway: other ones need no other provider.
        config::Provider { limits: settings.limits, ..made.settings.clone() } == *settings
            && made.system_prompt == all.system_prompt
            && made.redaction == all.redaction
            && settings.ca_file.is_none()
    };
    if let Some(known) = made.iter().find(same) {
        return Ok(Arc::clone(&known.provider));
    }
    let system_prompt = all.system_prompt.as_deref();
    let provider =
        Arc::new(upstream::connect(settings, system_prompt, Arc::clone(clock), Arc::clone(memory))?);
    Ok(match redaction(all, |rule| rule.on_answers)? {
        None => provider,
        Some(rules) => Arc::new(upstream::Redacted::new(provider, rules, Arc::clone(observer))),
    })
}

/// The rules for one direction, if there are any.
fn redaction(settings: &Settings, on: fn(&Rule) -> bool) -> Result<Option<Redaction>, String> {
    let told = settings.redaction.as_ref();
    told.map_or(Ok(None), |told| Redaction::of(told.mode, &told.rules, on))
}

fn slot(provider: &config::Provider) -> SlotSettings {
    SlotSettings {
        name: provider.name.clone(),
        model: provider.model.clone(),
        models: provider.models.clone(),
        max_concurrency: provider.max_concurrency,
        limits: provider.limits,
        retries: provider.retries,
        weight: provider.weight,
    }
}

fn routes(settings: &Settings, memory: &Arc<Memory>) -> gateway::Settings {
    let own = |model: &config::VirtualModel| VirtualModel {
        name: model.name.clone(),
        targets: model.targets.clone(),
    };
    gateway::Settings {
        breaker: breaker::Settings {
            failure_threshold: settings.breaker.failure_threshold,
            interval: settings.breaker.interval,
            timeout: settings.breaker.timeout,
            max_requests: settings.breaker.max_requests,
        },
        health: health::Settings {
            interval: settings.health.interval,
            timeout: settings.health.timeout,
            failure_threshold: settings.health.failure_threshold,
        },
        request_timeout: settings.server.request_timeout,
        retry_wait_max: settings.retry_wait_max,
        on_stream_failure: match settings.on_stream_failure {
            config::OnStreamFailure::Continue => gateway::OnStreamFailure::Continue,
            config::OnStreamFailure::End => gateway::OnStreamFailure::End,
        },
        keep_alive: settings.keep_alive,
        deduplicate: settings.deduplicate,
        cache: settings.cache.map(|told| gateway::cache::Settings {
            ttl: told.ttl,
            bytes_max: told.bytes_max,
            memory: Arc::clone(memory),
        }),
        models: settings.models.iter().map(own).collect(),
        prices: Arc::new(settings.prices()),
        strategy: settings.strategy,
    }
}

fn key(key: &config::CallerKey) -> Key {
    Key {
        name: key.name.as_str().into(),
        hashes: key.hashes.iter().copied().map(Hash::from_bytes).collect(),
        models: key.models.iter().map(|pattern| Pattern::new(pattern)).collect(),
        endpoints: key.endpoints.iter().map(|pattern| Pattern::new(pattern)).collect(),
        labels: key.labels.clone(),
        expires: key.expires,
        limits: key.limits,
        budget: key.budget,
        may_pin: key.may_pin,
        admin: key.admin,
    }
}

fn network(network: &config::Network) -> Network {
    Network { address: network.address, prefix: network.prefix }
}

fn limits(settings: &Settings, memory: Arc<Memory>) -> Limits {
    let server = &settings.server;
    Limits {
        workers: server.workers,
        queue: server.queue,
        connections_max: server.connections_max,
        connections_per_address_max: server.connections_per_address_max,
        header_bytes_max: server.header_bytes_max,
        body_bytes_max: server.body_bytes_max,
        memory,
        header_timeout: server.header_timeout,
        body_timeout: server.body_timeout,
        idle_timeout: server.idle_timeout,
        write_timeout: server.write_timeout,
        ..Limits::default()
    }
}

/// Allows this process as many descriptors as it may have: the usual soft limit of 1024 is soon used up by callers.
pub(super) fn raise_descriptors() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // Where it is refused, the connections make do with half of what there is.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
}

/// What is guarded here is replaced as a whole, so a panic leaves it right.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
