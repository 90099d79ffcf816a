//! The use case: ask the candidates in order until one answers, and tell everyone what happened.
//!
//! [`Gateway::ask`] is the door. A question first looks for a flight of its like (`flight`), then goes through
//! the candidates (`run`), who are slots (`slot`); a stream is passed on by `relay`. Checks run beside it
//! (`checker`). Threads meet here and nothing is read, written or awaited but signals; no lock is held across
//! a call through a port, an observation or a hook.

mod account;
mod again;
mod ask;
mod attempt;
mod audience;
pub mod cache;
pub mod cancel;
mod checker;
mod flight;
mod house;
mod inherit;
mod keepsakes;
pub mod meter;
mod pay;
pub mod ports;
mod relay;
mod resort;
mod run;
mod slot;
pub mod status;
mod told;

#[cfg(test)]
mod fakes;
#[cfg(test)]
mod tests;

use crate::clock::Clock;
use crate::domain::balance::{self, Strategy, Timed};
use crate::domain::event::Circuit;
use crate::domain::limit::Limits;
use crate::domain::pattern::Pattern;
use crate::domain::price::Prices;
use crate::domain::quick::Seed;
use crate::domain::route::{Candidate, Offer, Routes, VirtualModel};
use crate::domain::{breaker, health};
use cache::Cache;
use cancel::Cancel;
use checker::Checkers;
use flight::Flights;
use house::House;
use ports::{Observer, Provider};
use slot::{Skip, Slot};
use status::{Explained, SlotStatus};
use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub use flight::{FLIGHTS_MAX, FOLLOWERS_MAX, REPLAY_BYTES_MAX, REPLAY_TOTAL_BYTES_MAX};
pub use pay::BUDGET_EXCEEDED;
pub use slot::{BUSY_MAX, MODEL_BREAKERS_MAX};

/// What the gateway is told. Nothing here is optional: defaults are the configuration's business.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Circuit breakers' numbers, for providers and models alike.
    pub breaker: breaker::Settings,
    /// Health checks' numbers.
    pub health: health::Settings,
    /// One deadline over all attempts; for streams until the first token.
    pub request_timeout: Duration,
    /// A `Retry-After` up to this is waited out.
    pub retry_wait_max: Duration,
    /// What happens to a committed stream that breaks.
    pub on_stream_failure: OnStreamFailure,
    /// While a stream has not begun, its listener is told so this often.
    pub keep_alive: Duration,
    /// Whether identical questions in flight share one call.
    pub deduplicate: bool,
    /// Whether answers are kept, and how many.
    pub cache: Option<cache::Settings>,
    /// Names of the operator's own.
    pub models: Vec<VirtualModel>,
    /// What tokens cost.
    pub prices: Arc<Prices>,
    /// How equals among the candidates are ordered.
    pub strategy: Strategy,
}

/// What happens to a committed stream that breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnStreamFailure {
    /// The next provider goes on.
    Continue,
    /// It ends as broken.
    End,
}

/// One provider's part of the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlotSettings {
    /// Its name; unique.
    pub name: String,
    /// For callers who name no model, and when it stands in for another.
    pub model: String,
    /// Patterns of the names it serves itself.
    pub models: Vec<String>,
    /// Calls at once; past it the provider counts as busy. 0 counts as 1.
    pub max_concurrency: usize,
    /// What it may be asked for in a minute; past it it is passed over.
    pub limits: Limits,
    /// More tries at the same provider, before the next one.
    pub retries: u32,
    /// Its share of the traffic among equals; 0: only when nobody else is left.
    pub weight: u32,
}

/// The providers in service, and everything that stands between them and a question.
pub struct Gateway {
    settings: Settings,
    routes: Routes,
    /// In the order of preference, as in `routes`.
    slots: Vec<Arc<Slot>>,
    /// Every model somebody configured by its full name: the others are `other` in metrics.
    known_models: HashSet<String, Seed>,
    /// Requests so far, for strategies that go by turns.
    tickets: AtomicU64,
    flights: Flights,
    cache: Option<Arc<Cache>>,
    house: Arc<House>,
    checkers: Checkers,
}

impl Gateway {
    /// Puts providers into service, most preferred first. Checks begin with [`Gateway::start_checks`].
    #[must_use]
    pub fn new(
        settings: Settings,
        providers: Vec<(SlotSettings, Arc<dyn Provider>)>,
        clock: Arc<dyn Clock>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let house = Arc::new(House::new(clock, observer));
        let now = house.now();
        let numbers = (settings.breaker, settings.health.failure_threshold);
        let mut offers = Vec::with_capacity(providers.len());
        let mut slots = Vec::with_capacity(providers.len());
        for (told, provider) in providers {
            slots.push(Arc::new(Slot::new(&told, provider, numbers, now)));
            let models = told.models.iter().map(|pattern| Pattern::new(pattern)).collect();
            offers.push(Offer { name: told.name, model: told.model, models });
        }
        let cache = settings.cache.clone().map(|told| Arc::new(Cache::new(told)));
        let routes = Routes::new(offers, settings.models.clone());
        let known_models = known_models(&routes);
        Self {
            settings,
            routes,
            slots,
            known_models,
            tickets: AtomicU64::new(0),
            flights: Flights::new(),
            cache,
            house,
            checkers: Checkers::new(),
        }
    }

    /// Starts one checking thread per provider, each checking at once and then at every interval.
    ///
    /// # Errors
    /// When the machine has no thread to spare; those already started go on.
    pub fn start_checks(&self) -> std::io::Result<()> {
        self.checkers.start(&self.slots, &self.house, self.settings.health, self.settings.breaker.timeout)
    }

    /// Ends the checks and joins their threads. Questions under way are not touched.
    pub fn stop(&self) {
        self.checkers.stop(&self.slots);
    }

    /// Checks one provider now, in this thread; whether it counts as healthy afterwards. `None`: no such provider.
    pub fn check_now(&self, name: &str) -> Option<bool> {
        let slot = self.slots.iter().find(|slot| &*slot.name == name)?;
        checker::check(slot, &self.house, self.settings.health.timeout, &Cancel::new())
    }

    /// Where every provider stands, most preferred first.
    #[must_use]
    pub fn snapshot(&self) -> Vec<SlotStatus> {
        let now = self.house.now();
        self.slots.iter().map(|slot| slot.status(now)).collect()
    }

    /// Every breaker by its name in the metrics, `openai` or `openai/gpt-4o`, with its state.
    #[must_use]
    pub fn circuits(&self) -> Vec<(String, Circuit)> {
        let mut all = Vec::new();
        for status in self.snapshot() {
            all.push((status.name, status.circuit));
            all.extend(status.models.into_iter().map(|model| (model.name, model.circuit)));
        }
        all
    }

    /// Whether answers are kept.
    #[must_use]
    pub fn keeps_answers(&self) -> bool {
        self.cache.is_some()
    }

    /// Answers kept, and their bytes.
    #[must_use]
    pub fn kept(&self) -> (usize, usize) {
        self.cache.as_ref().map_or((0, 0), |cache| cache.size())
    }

    /// Every model somebody configured by its full name.
    #[must_use]
    pub fn known_models(&self) -> &HashSet<String, Seed> {
        &self.known_models
    }

    /// The models a caller can name, with who serves them first: own names (`hapax`), then each provider's.
    #[must_use]
    pub fn models(&self) -> Vec<(String, String)> {
        let mut listed = HashSet::new();
        let mut all = Vec::new();
        let mut list = |id: &str, owner: &str| {
            if listed.insert(id.to_owned()) {
                all.push((id.to_owned(), owner.to_owned()));
            }
        };
        for (name, _) in self.routes.own_names() {
            list(name, "hapax");
        }
        for offer in self.routes.offers() {
            list(&offer.model, &offer.name);
            offer.models.iter().filter_map(Pattern::exact).for_each(|id| list(id, &offer.name));
        }
        all
    }

    /// The number of a question, by which shares of the traffic are dealt out.
    fn ticket(&self) -> u64 {
        self.tickets.fetch_add(1, Ordering::Relaxed)
    }

    /// The candidates in the order in which they are asked, by the strategy.
    fn arranged<'a>(
        &'a self,
        mut candidates: Vec<Candidate<'a>>,
        timed: Timed,
        ticket: u64,
    ) -> Vec<Candidate<'a>> {
        let equals = |one: &Candidate<'_>, other: &Candidate<'_>| one.step == other.step;
        let load = |candidate: &Candidate<'_>| self.slots[candidate.offer].load(timed);
        balance::arrange((self.settings.strategy, ticket), &mut candidates, equals, load);
        candidates
    }

    /// Whom a question would be put to now, in order, and why each other one would be left out.
    #[must_use]
    pub fn explain(&self, model: Option<&str>, pinned: Option<&str>) -> Vec<Explained> {
        let now = self.house.now();
        let line = |candidate: &Candidate<'_>| {
            let slot = &self.slots[candidate.offer];
            Explained {
                provider: slot.name.to_string(),
                model: candidate.model.to_owned(),
                left_out: slot.objection((candidate.model, 0), now).map(|skip| worded(skip, now)),
            }
        };
        let ticket = self.tickets.load(Ordering::Relaxed);
        let mut lines: Vec<Explained> = self
            .arranged(self.routes.candidates(model, pinned), Timed::default(), ticket)
            .iter()
            .map(line)
            .collect();
        let left_out = self.routes.left_out(model, pinned).into_iter().map(|(offer, reason)| Explained {
            provider: self.slots[offer].name.to_string(),
            model: String::new(),
            left_out: Some(reason.word().to_owned()),
        });
        lines.extend(left_out);
        lines
    }
}

fn known_models(routes: &Routes) -> HashSet<String, Seed> {
    let targets = routes.own_names().flat_map(|(_, targets)| targets.iter().map(|(_, model)| model.as_str()));
    let of_offer = |offer: &Offer| {
        let exact = offer.models.iter().filter_map(Pattern::exact).map(str::to_owned);
        exact.chain([offer.model.clone()]).collect::<Vec<_>>()
    };
    targets.map(str::to_owned).chain(routes.offers().iter().flat_map(of_offer)).collect()
}

fn worded(skip: Skip, now: Instant) -> String {
    let seconds = |until: Instant| until.saturating_duration_since(now).as_secs_f64().ceil();
    match skip {
        Skip::Unhealthy => "its health checks fail".to_owned(),
        Skip::Open { until } => format!("its circuit is open for {} s more", seconds(until)),
        Skip::Busy { until } => format!("it is busy for {} s more", seconds(until)),
        Skip::Limited { until } => format!("its own limit is reached for {} s more", seconds(until)),
        Skip::Saturated => "its calls at once are used up".to_owned(),
    }
}
