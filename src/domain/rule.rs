//! What one caller, address, endpoint or provider may use: requests and tokens per minute, and requests at once.

use super::limit::{Left, Limit, Limits, MINUTE};
use std::time::{Duration, Instant};

/// How soon a place may be free again: nobody knows when the requests under way end.
const PLACE_SOON: Duration = Duration::from_secs(1);

/// The longest debt of tokens that is carried over a restart.
const DEBT_MAX: Duration = Duration::from_secs(600);
/// Rules for endpoints at once: which of them hold for a request is a bit each.
pub const ROUTES_MAX: usize = u64::BITS as usize;

/// Everything that was counted for one of them.
#[derive(Debug, Clone, Default)]
pub struct Rule {
    requests: Option<Limit>,
    tokens: Option<Limit>,
    concurrent: Option<u64>,
    in_flight: u64,
}

/// Which limit refused a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// So many requests per minute.
    Requests(u64),
    /// So many tokens per minute.
    Tokens(u64),
    /// So many requests at once.
    Concurrent(u64),
}

/// Where somebody stands with requests and tokens; `None` where nothing limits them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Standing {
    /// Requests per minute.
    pub requests: Option<Left>,
    /// Tokens per minute.
    pub tokens: Option<Left>,
}

impl Standing {
    /// The tightest of two: fewest left, and whole again last.
    #[must_use]
    pub fn tightest(self, other: Self) -> Self {
        let tighter = |one: Option<Left>, other: Option<Left>| match (one, other) {
            (Some(one), Some(other)) => {
                let is_looser = |left: &Left| (left.remaining, std::cmp::Reverse(left.reset));
                Some(if is_looser(&other) < is_looser(&one) { other } else { one })
            }
            (one, other) => one.or(other),
        };
        Self { requests: tighter(self.requests, other.requests), tokens: tighter(self.tokens, other.tokens) }
    }
}

impl Rule {
    /// Nothing used yet.
    #[must_use]
    pub fn new(limits: &Limits) -> Self {
        Self {
            requests: limits.requests_per_minute.map(Limit::new),
            tokens: limits.tokens_per_minute.map(Limit::new),
            concurrent: limits.concurrent,
            in_flight: 0,
        }
    }

    /// Other limits from now on; what was used stays used.
    pub fn resize(&mut self, limits: &Limits, now: Instant) {
        let resized = |old: Option<Limit>, size: Option<u64>| match (old, size) {
            (Some(mut limit), Some(size)) => {
                limit.resize(size, now);
                Some(limit)
            }
            (None, Some(size)) => Some(Limit::new(size)),
            (_, None) => None,
        };
        self.requests = resized(self.requests.take(), limits.requests_per_minute);
        self.tokens = resized(self.tokens.take(), limits.tokens_per_minute);
        self.concurrent = limits.concurrent;
    }

    /// What refuses a request of so many tokens now, and after which time it would be admitted. Takes nothing.
    pub fn refuses(&mut self, tokens: u64, now: Instant) -> Option<(Refusal, Duration)> {
        let places = self.concurrent.filter(|most| self.in_flight >= *most);
        let of =
            |limit: &mut Option<Limit>, units: u64| limit.as_mut().and_then(|limit| limit.wait(units, now));
        let (requests, tokens) = (of(&mut self.requests, 1), of(&mut self.tokens, tokens));
        if places.is_none() && requests.is_none() && tokens.is_none() {
            return None;
        }
        let refusals = [
            places.map(|most| (Refusal::Concurrent(most), PLACE_SOON)),
            requests.map(|wait| (Refusal::Requests(self.size().0), wait)),
            tokens.map(|wait| (Refusal::Tokens(self.size().1), wait)),
        ];
        refusals.into_iter().flatten().max_by_key(|(_, wait)| *wait)
    }

    fn size(&self) -> (u64, u64) {
        let of = |limit: &Option<Limit>| limit.as_ref().map_or(0, Limit::per_minute);
        (of(&self.requests), of(&self.tokens))
    }

    /// Takes one request, a place, and so many tokens.
    pub fn take(&mut self, tokens: u64) {
        self.in_flight += 1;
        if let Some(limit) = &mut self.requests {
            limit.charge(1);
        }
        if let Some(limit) = &mut self.tokens {
            limit.charge(tokens);
        }
    }

    /// The request is over: its place is free, and instead of the tokens it reserved those it used are gone.
    pub fn settle(&mut self, reserved: u64, used: u64) {
        self.in_flight = self.in_flight.saturating_sub(1);
        if let Some(limit) = &mut self.tokens {
            if used > reserved {
                limit.charge(used - reserved);
            } else {
                limit.refund(reserved - used);
            }
        }
    }

    /// The request was not made after all: as if it had never been taken.
    pub fn take_back(&mut self, reserved: u64) {
        if let Some(limit) = &mut self.requests {
            limit.refund(1);
        }
        self.settle(reserved, 0);
    }

    /// Where it stands.
    pub fn standing(&mut self, now: Instant) -> Standing {
        let of = |limit: &mut Option<Limit>| limit.as_mut().map(|limit| limit.left(now));
        Standing { requests: of(&mut self.requests), tokens: of(&mut self.tokens) }
    }

    /// Whether it is as good as new, and so need not be remembered.
    pub fn untouched(&mut self, now: Instant) -> bool {
        let whole = |limit: &mut Option<Limit>| limit.as_mut().is_none_or(|limit| limit.untouched(now));
        self.in_flight == 0 && whole(&mut self.requests) && whole(&mut self.tokens)
    }

    /// In how much time requests and tokens are whole again: what a restart needs to know.
    pub fn whole_in(&mut self, now: Instant) -> (Duration, Duration) {
        let of =
            |limit: &mut Option<Limit>| limit.as_mut().map_or(Duration::ZERO, |limit| limit.whole_in(now));
        (of(&mut self.requests), of(&mut self.tokens))
    }

    /// The same after the restart. Requests never owe more than a minute; a calendar that was set back in between must
    /// not make anybody wait as if they did.
    pub fn restore(&mut self, (requests, tokens): (Duration, Duration), now: Instant) {
        let owed = [(&mut self.requests, requests.min(MINUTE)), (&mut self.tokens, tokens.min(DEBT_MAX))];
        for (limit, whole_in) in owed {
            if let Some(limit) = limit {
                limit.restore(whole_in, now);
            }
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    fn rule(requests: u64, tokens: u64, concurrent: u64) -> Rule {
        let some = |number: u64| (number > 0).then_some(number);
        Rule::new(&Limits {
            requests_per_minute: some(requests),
            tokens_per_minute: some(tokens),
            concurrent: some(concurrent),
        })
    }

    #[test]
    fn the_longest_wait_is_the_one_that_is_told() {
        let now = Instant::now();
        let mut rule = rule(60, 600, 1);
        assert_eq!(rule.refuses(100, now), None);
        rule.take(600);
        let tokens = (Refusal::Tokens(600), Duration::from_secs(10));
        assert_eq!(rule.refuses(100, now), Some(tokens));
        let later = now + Duration::from_secs(10);
        assert_eq!(rule.refuses(100, later), Some((Refusal::Concurrent(1), PLACE_SOON)));
        rule.settle(600, 600);
        assert_eq!(rule.refuses(100, later), None);
    }

    #[test]
    fn what_was_reserved_too_much_is_there_again_and_what_was_used_beyond_it_is_gone() {
        let now = Instant::now();
        let mut rule = rule(0, 1_000, 0);
        rule.take(900);
        rule.settle(900, 100);
        assert_eq!(rule.standing(now).tokens.map(|left| left.remaining), Some(900));
        rule.take(100);
        rule.settle(100, 400);
        assert_eq!(rule.standing(now).tokens.map(|left| left.remaining), Some(500));
    }

    #[test]
    fn the_tightest_rule_is_told_for_requests_and_tokens_apart() {
        let now = Instant::now();
        let (mut one, mut other) = (rule(10, 1_000, 0), rule(20, 500, 0));
        let both = one.standing(now).tightest(other.standing(now));
        assert_eq!((both.requests.map(|l| l.limit), both.tokens.map(|l| l.limit)), (Some(10), Some(500)));
        for _ in 0..15 {
            other.take(0);
        }
        let both = one.standing(now).tightest(other.standing(now));
        assert_eq!(both.requests.map(|left| (left.limit, left.remaining)), Some((20, 5)));
        assert_eq!(one.standing(now).tightest(Standing::default()), one.standing(now));
    }

    #[test]
    fn other_limits_keep_what_was_used_and_who_is_there() {
        let now = Instant::now();
        let mut rule = rule(10, 0, 3);
        rule.take(0);
        rule.take(0);
        let limits = Limits { requests_per_minute: Some(5), tokens_per_minute: Some(9), concurrent: Some(2) };
        rule.resize(&limits, now);
        assert_eq!(rule.standing(now).requests.map(|left| left.remaining), Some(3));
        assert!(matches!(rule.refuses(1, now), Some((Refusal::Concurrent(2), _))));
        assert!(!rule.untouched(now + Duration::from_secs(3_600)), "somebody is there");
    }
}
