//! Who may ask now and who must wait: limits per key, address and endpoint, and each key's budget.
//!
//! A request takes from every rule that holds for it, or from none: the rules are locked one after the other, the
//! caller's own first, then the endpoints' in one order for all, checked, and only then changed, in one pass that
//! allocates nothing. What it reserved of tokens comes back with its [`Hold`].

mod addresses;
mod hold;
mod purse;
mod saved;

pub use addresses::ADDRESSES_MAX;
pub use hold::Hold;
pub use purse::Purse;
pub(super) use purse::{Broke, Output, Tab, WHOLE_TOKENS};
pub use saved::{Saved, Scope, Spent};

use super::ports::{Caller, Observer};
use crate::domain::budget::{Allowance, Budget};
use crate::domain::event::Event;
use crate::domain::limit::Limits;
use crate::domain::pattern::Pattern;
use crate::domain::quick::Seed;
use crate::domain::rule::{ROUTES_MAX, Refusal, Rule, Standing};
use addresses::Addresses;
use hold::Own;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What the meter is told.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Every key's name, with what it may use and cost.
    pub keys: Vec<(String, Limits, Option<Allowance>)>,
    /// Paths of ours or patterns of them, with what all callers together may use there; at most [`ROUTES_MAX`].
    pub routes: Vec<(String, Limits)>,
    /// What each address may use, when no key is configured.
    pub per_address: Limits,
    /// Wrong keys from one address in a minute.
    pub wrong_keys_per_minute: u64,
}

/// One request, as the meter sees it.
#[derive(Debug, Clone, Copy)]
pub struct Ask<'a> {
    /// Who asks.
    pub caller: &'a Caller,
    /// At which path.
    pub path: &'a str,
    /// How many tokens it may come to.
    pub tokens: u64,
}

/// A limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited {
    /// Which one: the one that keeps the caller waiting longest.
    pub refusal: Refusal,
    /// After this the request would be admitted, as far as can be known.
    pub after: Duration,
    /// Where the caller stands.
    pub standing: Standing,
}

/// Counts requests, tokens and money.
pub struct Meter {
    /// Per key that has a limit or a budget.
    keys: HashMap<String, Arc<Account>, Seed>,
    /// In the order in which they are locked.
    routes: Arc<[Route]>,
    /// Guards which addresses are known; `None` when nothing limits them.
    addresses: Option<Arc<Mutex<Addresses>>>,
    /// Guards which addresses have shown wrong keys.
    strangers: Arc<Mutex<Addresses>>,
    observer: Arc<dyn Observer>,
}

/// What one key has used and spent. Shared by the meters before and after a reload, so that nothing is lost.
struct Account {
    /// Guards what was used.
    rule: Arc<Mutex<Rule>>,
    /// Guards what was spent. A reload that gives a budget or takes it away makes another account: a question under
    /// way settles where it reserved.
    budget: Option<Mutex<Budget>>,
}

struct Route {
    pattern: Pattern,
    written: String,
    /// Guards what was used.
    rule: Arc<Mutex<Rule>>,
}

impl Meter {
    /// Counts for these; nobody else is limited.
    #[must_use]
    pub fn new(settings: &Settings, observer: Arc<dyn Observer>, today: SystemTime) -> Self {
        let shared = |limits: &Limits| Arc::new(Mutex::new(Rule::new(limits)));
        let keys = settings.keys.iter().filter(|(_, limits, allowance)| limits.any() || allowance.is_some());
        let account = |(name, limits, allowance): &(String, Limits, Option<Allowance>)| {
            (name.clone(), Arc::new(Account { rule: shared(limits), budget: whole(*allowance, today) }))
        };
        let route = |(written, limits): &(String, Limits)| {
            let (pattern, written) = (Pattern::new(written), written.clone());
            Route { pattern, written, rule: shared(limits) }
        };
        let per_address = settings.per_address;
        let strangers =
            Limits { requests_per_minute: Some(settings.wrong_keys_per_minute), ..Limits::default() };
        Self {
            keys: keys.map(account).collect(),
            routes: in_order(settings.routes.iter().take(ROUTES_MAX).map(route).collect()),
            addresses: per_address.any().then(|| Arc::new(Mutex::new(Addresses::new(per_address)))),
            strangers: Arc::new(Mutex::new(Addresses::new(strangers))),
            observer,
        }
    }

    /// Goes on where another meter stands: what was used stays used, also where a limit is another one now.
    #[must_use]
    pub fn inheriting(
        mut self,
        old: &Self,
        settings: &Settings,
        (now, today): (Instant, SystemTime),
    ) -> Self {
        for (name, limits, allowance) in &settings.keys {
            let Some(known) = old.keys.get(name).filter(|_| self.keys.contains_key(name)) else { continue };
            known.rule.lock().resize(limits, now);
            let account = match (&known.budget, allowance) {
                (Some(budget), Some(allowance)) => {
                    budget.lock().resize(*allowance, today);
                    Arc::clone(known)
                }
                (None, None) => Arc::clone(known),
                (_, allowance) => {
                    let rule = Arc::clone(&known.rule);
                    Arc::new(Account { rule, budget: whole(*allowance, today) })
                }
            };
            self.keys.insert(name.clone(), account);
        }
        let inherit = |route: &Route| {
            let limits = settings.routes.iter().find(|(written, _)| *written == route.written);
            let known = old.routes.iter().find(|known| known.written == route.written);
            let rule = match (limits, known) {
                (Some((_, limits)), Some(known)) => {
                    known.rule.lock().resize(limits, now);
                    Arc::clone(&known.rule)
                }
                _ => Arc::clone(&route.rule),
            };
            Route { pattern: route.pattern.clone(), written: route.written.clone(), rule }
        };
        self.routes = in_order(self.routes.iter().map(inherit).collect());
        if let (Some(mine), Some(known)) = (&mut self.addresses, &old.addresses) {
            known.lock().resize(settings.per_address, now);
            *mine = Arc::clone(known);
        }
        let strangers = Some(settings.wrong_keys_per_minute);
        old.strangers.lock().resize(Limits { requests_per_minute: strangers, ..Limits::default() }, now);
        self.strangers = Arc::clone(&old.strangers);
        self
    }

    /// Admits a request: takes it and its tokens from every rule that holds for it. The hold gives back what was not
    /// used. Where the caller stands is that of the tightest rule.
    ///
    /// # Errors
    /// [`Limited`] says which limit is reached and when to come back; nothing was taken then.
    pub fn admit(&self, ask: Ask<'_>, now: Instant) -> Result<(Hold, Standing), Limited> {
        let fits = |(place, route): (usize, &Route)| u64::from(route.pattern.matches(ask.path)) << place;
        let here = self.routes.iter().enumerate().map(fits).fold(0, |all, one| all | one);
        let routes = (here > 0).then(|| Arc::clone(&self.routes)).map(|all| (all, here));
        self.take(Hold::new(self.own(ask.caller, now), routes, ask.tokens), ask.caller, now)
    }

    /// A request its caller may not make at all: one of so many of his own, and of nobody else's.
    ///
    /// # Errors
    /// As [`Meter::admit`].
    pub fn admit_alone(&self, caller: &Caller, now: Instant) -> Result<(), Limited> {
        self.take(Hold::new(self.own(caller, now), None, 0), caller, now).map(drop)
    }

    fn own(&self, caller: &Caller, now: Instant) -> Option<Own> {
        match caller {
            Caller::Key(name) => self.keys.get(&**name).map(|account| Own::Key(Arc::clone(account))),
            Caller::Address(address) => {
                self.addresses.as_ref().map(|addresses| Own::Address(addresses.lock().of(*address, now)))
            }
        }
    }

    fn take(&self, hold: Hold, caller: &Caller, now: Instant) -> Result<(Hold, Standing), Limited> {
        match hold.take(now) {
            (None, standing) => Ok((hold, standing)),
            (Some((refusal, after)), standing) => {
                hold.forget();
                self.observer.observe(&Event::Limited { client: caller.key_name().unwrap_or("address") });
                Err(Limited { refusal, after, standing })
            }
        }
    }

    /// Somebody at this address showed a key that nobody has. After how much time another one is worth looking at;
    /// `None`: now.
    pub fn stranger(&self, address: IpAddr, now: Instant) -> Option<Duration> {
        let rule = self.strangers.lock().of(address, now);
        let mut rule = rule.lock();
        if let Some((_, wait)) = rule.refuses(0, now) {
            return Some(wait);
        }
        rule.take(0);
        rule.settle(0, 0);
        None
    }
}

/// An untouched budget.
fn whole(allowance: Option<Allowance>, today: SystemTime) -> Option<Mutex<Budget>> {
    allowance.map(|allowance| Mutex::new(Budget::new(allowance, today)))
}

/// Rules are locked in the order of their addresses: the same for the meters before and after a reload.
fn in_order(mut routes: Vec<Route>) -> Arc<[Route]> {
    routes.sort_by_key(|route| Arc::as_ptr(&route.rule).addr());
    routes.into()
}

#[cfg(test)]
mod tests;
