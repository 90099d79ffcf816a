//! Limits and budgets as plain values in wall-clock time: what a restart needs to go on where it stopped.

use super::{Account, Meter};
use crate::domain::budget::Allowance;
use crate::domain::rule::Rule;
use parking_lot::Mutex;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

/// What an entry is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scope {
    /// A key, by its name.
    Key,
    /// An endpoint's rule, by its path or pattern as it is written.
    Route,
    /// A client's address, by its text; of IPv6 the network.
    Address,
}

impl Scope {
    /// `key`, `route` or `address`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Key => "key",
            Self::Route => "route",
            Self::Address => "address",
        }
    }

    /// The scope of a word.
    #[must_use]
    pub fn of_word(word: &str) -> Option<Self> {
        [Self::Key, Self::Route, Self::Address].into_iter().find(|scope| scope.word() == word)
    }
}

/// Where one of them stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// What it is about.
    pub scope: Scope,
    /// Which one.
    pub name: String,
    /// When its requests are whole again; in the past: they are.
    pub requests_whole_at: SystemTime,
    /// When its tokens are whole again.
    pub tokens_whole_at: SystemTime,
    /// What a key has spent, if it has a budget.
    pub spent: Option<Spent>,
}

/// What a key has spent in one period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Spent {
    /// The period's beginning.
    pub began: SystemTime,
    /// In nano-USD. What is only reserved is not in it.
    pub nano_usd: u64,
}

impl Meter {
    /// Where everybody stands who is not as good as new.
    #[must_use]
    pub fn snapshot(&self, now: Instant, today: SystemTime) -> Vec<Saved> {
        let saved = |scope, name: String, rule: &Mutex<Rule>, spent: Option<Spent>| {
            let (requests, tokens) = rule.lock().whole_in(now);
            let touched = !requests.is_zero() || !tokens.is_zero() || spent.is_some_and(|s| s.nano_usd > 0);
            touched.then(|| Saved {
                scope,
                name,
                requests_whole_at: today + requests,
                tokens_whole_at: today + tokens,
                spent,
            })
        };
        let keys = self.keys.iter().filter_map(|(name, account)| {
            let spent = account.budget.as_ref().map(|budget| {
                let (began, nano_usd) = budget.lock().spent(today);
                Spent { began, nano_usd }
            });
            saved(Scope::Key, name.clone(), &account.rule, spent)
        });
        let routes = self.routes.iter().filter_map(|r| saved(Scope::Route, r.written.clone(), &r.rule, None));
        let busy = self.addresses.as_ref().map(|addresses| addresses.lock().busy(now)).unwrap_or_default();
        let addresses =
            busy.iter().filter_map(|(address, rule)| saved(Scope::Address, address.to_string(), rule, None));
        keys.chain(routes).chain(addresses).collect()
    }

    /// Every key's budget by its name, and what of it was spent in this period, in nano-USD.
    #[must_use]
    pub fn budgets(&self, today: SystemTime) -> Vec<(String, Allowance, u64)> {
        let of = |(name, account): (&String, &Arc<Account>)| {
            let mut budget = account.budget.as_ref()?.lock();
            Some((name.clone(), budget.allowance(), budget.spent(today).1))
        };
        let mut budgets: Vec<_> = self.keys.iter().filter_map(of).collect();
        budgets.sort_by(|one, other| one.0.cmp(&other.0));
        budgets
    }

    /// Puts everybody where he stood. Entries about what is not configured any more are passed over, and so is what
    /// was spent in another period.
    pub fn restore(&self, saved: &[Saved], now: Instant, today: SystemTime) {
        for entry in saved {
            let rule = match entry.scope {
                Scope::Key => self.keys.get(&entry.name).map(|account| {
                    if let (Some(budget), Some(spent)) = (&account.budget, entry.spent) {
                        budget.lock().restore(spent.began, spent.nano_usd, today);
                    }
                    Arc::clone(&account.rule)
                }),
                Scope::Route => {
                    self.routes.iter().find(|r| r.written == entry.name).map(|r| Arc::clone(&r.rule))
                }
                Scope::Address => self
                    .addresses
                    .as_ref()
                    .zip(entry.name.parse().ok())
                    .map(|(addresses, address)| addresses.lock().of(address, now)),
            };
            let left = |at: SystemTime| at.duration_since(today).unwrap_or_default();
            if let Some(rule) = rule {
                rule.lock().restore((left(entry.requests_whole_at), left(entry.tokens_whole_at)), now);
            }
        }
    }
}
