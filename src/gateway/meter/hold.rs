//! What a request under way has taken of the limits; given back when it is over.

use super::purse::Purse;
use super::{Account, Route};
use crate::domain::chat::Usage;
use crate::domain::rule::{Refusal, Rule, Standing};
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A request's place and tokens. Dropped without a word about what was used, it used nothing.
#[must_use = "the request's place is free again when this is dropped"]
#[derive(Default)]
pub struct Hold {
    own: Option<Own>,
    /// All rules for endpoints, and which of them hold here: a bit each.
    routes: Option<(Arc<[Route]>, u64)>,
    reserved: u64,
    used: u64,
}

/// Whose own rule holds.
pub(super) enum Own {
    Key(Arc<Account>),
    Address(Arc<Mutex<Rule>>),
}

/// Which limit refuses, and for how long.
type Refused = Option<(Refusal, Duration)>;

impl Hold {
    pub(super) fn new(own: Option<Own>, routes: Option<(Arc<[Route]>, u64)>, reserved: u64) -> Self {
        Self { own, routes, reserved, used: 0 }
    }

    /// Every rule that holds, in the order in which they are locked.
    fn rules(&self) -> impl Iterator<Item = &Mutex<Rule>> {
        let own = self.own.iter().map(|own| match own {
            Own::Key(account) => &*account.rule,
            Own::Address(rule) => &**rule,
        });
        let (all, here) = self.routes.as_ref().map_or((&[][..], 0), |(all, here)| (&**all, *here));
        let holds = move |(place, route): (usize, _)| (here >> place & 1 == 1).then_some(route);
        own.chain(all.iter().enumerate().filter_map(holds).map(|route: &Route| &*route.rule))
    }

    /// Takes from all rules, or from none; says which one refuses, if any, and where the caller stands.
    pub(super) fn take(&self, now: Instant) -> (Refused, Standing) {
        take(&mut self.rules(), (self.reserved, now), None)
    }

    /// Nothing was taken.
    pub(super) fn forget(mut self) {
        (self.own, self.routes) = (None, None);
    }

    /// The money of the caller, if his key has a budget; `input` says how many tokens his question cannot exceed.
    pub fn purse(&self, input: impl FnOnce() -> u64) -> Option<Purse> {
        match &self.own {
            Some(Own::Key(account)) if account.budget.is_some() => Some(Purse::new(account, input())),
            _ => None,
        }
    }

    /// The request is over and has used this; `None`: nothing, or somebody else paid.
    pub fn settle(mut self, usage: Option<Usage>) {
        self.used = usage.map_or(0, Usage::total);
    }
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.rules().for_each(|rule| rule.lock().settle(self.reserved, self.used));
    }
}

/// Locks one rule after the other, each for as long as it takes to look at those behind it: so all of them are looked at
/// before any is changed, and no list of locks is needed.
fn take(
    rules: &mut dyn Iterator<Item = &Mutex<Rule>>,
    (tokens, now): (u64, Instant),
    refused: Refused,
) -> (Refused, Standing) {
    let Some(rule) = rules.next() else { return (refused, Standing::default()) };
    let mut rule = rule.lock();
    let longer = match (refused, rule.refuses(tokens, now)) {
        (Some(one), Some(other)) => Some(if one.1 > other.1 { one } else { other }),
        (one, other) => one.or(other),
    };
    let (refused, behind) = take(rules, (tokens, now), longer);
    if refused.is_none() {
        rule.take(tokens);
    }
    (refused, rule.standing(now).tightest(behind))
}
