//! Who may ask now and who must wait: limits per key, address and endpoint, and each key's budget.
//!
//! A request takes from every rule that holds for it, or from none: the rules are locked one after the other, the
//! caller's own first, then the endpoints' in one order for all, checked, and only then changed. What it reserved of
//! tokens comes back with its [`Hold`].

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
use crate::domain::price::Prices;
use crate::domain::rule::{Refusal, Rule, Standing};
use addresses::Addresses;
use parking_lot::{Mutex, MutexGuard};
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

/// What the meter is told.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Every key's name, with what it may use and cost.
    pub keys: Vec<(String, Limits, Option<Allowance>)>,
    /// Paths of ours or patterns of them, with what all callers together may use there.
    pub routes: Vec<(String, Limits)>,
    /// What each address may use, when no key is configured.
    pub per_address: Limits,
    /// Wrong keys from one address in a minute.
    pub wrong_keys_per_minute: u64,
    /// What tokens cost.
    pub prices: Arc<Prices>,
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
    keys: HashMap<String, Arc<Account>>,
    /// In the order in which they are locked.
    routes: Vec<Route>,
    /// Guards which addresses are known; `None` when nothing limits them.
    addresses: Option<Arc<Mutex<Addresses>>>,
    /// Guards which addresses have shown wrong keys.
    strangers: Arc<Mutex<Addresses>>,
    prices: Arc<Prices>,
    observer: Arc<dyn Observer>,
}

/// What one key has used and spent. Shared by the meters before and after a reload, so that nothing is lost.
struct Account {
    /// Guards what was used.
    rule: Arc<Mutex<Rule>>,
    /// Guards what was spent.
    budget: Mutex<Option<Budget>>,
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
            let budget = Mutex::new(allowance.map(|allowance| Budget::new(allowance, today)));
            (name.clone(), Arc::new(Account { rule: shared(limits), budget }))
        };
        let route = |(written, limits): &(String, Limits)| {
            let (pattern, written) = (Pattern::new(written), written.clone());
            Route { pattern, written, rule: shared(limits) }
        };
        let per_address = settings.per_address;
        let strangers =
            Limits { requests_per_minute: Some(settings.wrong_keys_per_minute), ..Limits::default() };
        let mut meter = Self {
            keys: keys.map(account).collect(),
            routes: settings.routes.iter().map(route).collect(),
            addresses: per_address.any().then(|| Arc::new(Mutex::new(Addresses::new(per_address)))),
            strangers: Arc::new(Mutex::new(Addresses::new(strangers))),
            prices: Arc::clone(&settings.prices),
            observer,
        };
        meter.order_routes();
        meter
    }

    /// Rules are locked in the order of their addresses: the same for the meters before and after a reload.
    fn order_routes(&mut self) {
        self.routes.sort_by_key(|route| Arc::as_ptr(&route.rule).addr());
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
            let mut budget = known.budget.lock();
            match (&mut *budget, allowance) {
                (Some(budget), Some(allowance)) => budget.resize(*allowance, today),
                (budget, allowance) => *budget = allowance.map(|allowance| Budget::new(allowance, today)),
            }
            drop(budget);
            self.keys.insert(name.clone(), Arc::clone(known));
        }
        for route in &mut self.routes {
            let limits = settings.routes.iter().find(|(written, _)| *written == route.written);
            let known = old.routes.iter().find(|known| known.written == route.written);
            if let (Some((_, limits)), Some(known)) = (limits, known) {
                known.rule.lock().resize(limits, now);
                route.rule = Arc::clone(&known.rule);
            }
        }
        self.order_routes();
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
        let own = match ask.caller {
            Caller::Key(name) => self.keys.get(&**name).map(|account| Arc::clone(&account.rule)),
            Caller::Address(address) => {
                self.addresses.as_ref().map(|addresses| addresses.lock().of(*address, now))
            }
        };
        let routes: Vec<Arc<Mutex<Rule>>> = self
            .routes
            .iter()
            .filter(|route| route.pattern.matches(ask.path))
            .map(|route| Arc::clone(&route.rule))
            .collect();
        let admitted = match (&own, routes.as_slice()) {
            (None, []) => Ok(Standing::default()),
            (Some(rule), []) | (None, [rule]) => take(&mut [rule.lock()], ask.tokens, now),
            _ => {
                let mut all: Vec<_> = own.iter().chain(&routes).map(|rule| rule.lock()).collect();
                take(&mut all, ask.tokens, now)
            }
        };
        match admitted {
            Ok(standing) => Ok((Hold::new(own, routes, ask.tokens), standing)),
            Err(limited) => {
                self.observer.observe(&Event::Limited { client: ask.caller.key_name().unwrap_or("address") });
                Err(limited)
            }
        }
    }

    /// The money of a caller whose key has a budget; `input` says how many tokens his question cannot exceed.
    pub fn purse(&self, caller: &Caller, input: impl FnOnce() -> u64) -> Option<Purse> {
        let account = self.keys.get(caller.key_name()?)?;
        if account.budget.lock().is_none() {
            return None;
        }
        Some(Purse { account: Arc::clone(account), prices: Arc::clone(&self.prices), input: input() })
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

/// Takes from all of these rules, or from none.
fn take(rules: &mut [MutexGuard<'_, Rule>], tokens: u64, now: Instant) -> Result<Standing, Limited> {
    let refused = rules.iter_mut().filter_map(|rule| rule.refuses(tokens, now)).max_by_key(|(_, wait)| *wait);
    if refused.is_none() {
        rules.iter_mut().for_each(|rule| rule.take(tokens));
    }
    let standing = rules.iter_mut().map(|rule| rule.standing(now));
    let standing = standing.reduce(Standing::tightest).unwrap_or_default();
    match refused {
        None => Ok(standing),
        Some((refusal, after)) => Err(Limited { refusal, after, standing }),
    }
}

#[cfg(test)]
mod tests;
