//! So much per minute: a full minute's worth may come at once, and comes back evenly (GCRA, as ATM Forum TM 4.0).
//!
//! The allowance is a bucket that leaks: what was taken raises its level, and time lowers it. The level is counted in
//! units × nanoseconds per minute, so that a leak of any rate over any time, a refund and a charge are exact.

use std::time::{Duration, Instant};

/// What allowances are counted by.
pub const MINUTE: Duration = Duration::from_secs(60);
/// Nanoseconds per minute: the level of one unit.
const UNIT: u128 = MINUTE.as_nanos();
/// The same; it fits.
const UNIT_NANOS: u64 = UNIT as u64;

/// What a caller, an address, an endpoint or a provider may use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Limits {
    /// Requests per minute; `None`: no limit.
    pub requests_per_minute: Option<u64>,
    /// Tokens per minute, input and output together; `None`: no limit.
    pub tokens_per_minute: Option<u64>,
    /// Requests at once; `None`: no limit.
    pub concurrent: Option<u64>,
}

impl Limits {
    /// Whether there is any.
    #[must_use]
    pub fn any(&self) -> bool {
        *self != Self::default()
    }
}

/// One allowance, of requests or of tokens.
#[derive(Debug, Clone)]
pub struct Limit {
    per_minute: u64,
    /// How full it was at `at`, in units × [`UNIT`]; above the rim when more was charged than was there.
    level: u128,
    at: Option<Instant>,
}

/// Where somebody stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Units per minute.
    pub limit: u64,
    /// Units that would be admitted right now.
    pub remaining: u64,
    /// Until the allowance is whole again.
    pub reset: Duration,
}

impl Limit {
    /// An untouched allowance. A limit of 0 admits nothing.
    #[must_use]
    pub fn new(per_minute: u64) -> Self {
        Self { per_minute, level: 0, at: None }
    }

    /// Another size from now on; what was used stays used.
    pub fn resize(&mut self, per_minute: u64, now: Instant) {
        if per_minute != self.per_minute {
            self.leak(now);
            self.per_minute = per_minute;
        }
    }

    /// Its size, in units.
    #[must_use]
    pub fn per_minute(&self) -> u64 {
        self.per_minute
    }

    fn rim(&self) -> u128 {
        u128::from(self.per_minute) * UNIT
    }

    fn leak(&mut self, now: Instant) {
        let Some(at) = self.at.filter(|at| *at < now) else {
            // A caller whose `now` is a little older than the last one's must not turn the time back.
            self.at.get_or_insert(now);
            return;
        };
        if self.level > 0 {
            // Five centuries fit, and so does the product.
            let passed = u64::try_from((now - at).as_nanos()).unwrap_or(u64::MAX);
            self.level = self.level.saturating_sub(u128::from(passed) * u128::from(self.per_minute));
        }
        self.at = Some(now);
    }

    /// After which time so many units would be admitted; `None`: now. More than a whole minute's worth is admitted
    /// when the allowance is whole. Lets time pass, takes nothing.
    pub fn wait(&mut self, units: u64, now: Instant) -> Option<Duration> {
        self.leak(now);
        if self.per_minute == 0 {
            return Some(MINUTE);
        }
        let asked = u128::from(units.min(self.per_minute)) * UNIT;
        let over = (self.level + asked).checked_sub(self.rim()).filter(|over| *over > 0)?;
        Some(nanoseconds(over.div_ceil(self.per_minute.into())))
    }

    /// Takes units whether or not they are there: a reservation that [`Limit::wait`] admitted, or what an answer used
    /// beyond it.
    pub fn charge(&mut self, units: u64) {
        self.level = self.level.saturating_add(u128::from(units) * UNIT);
    }

    /// Gives units back. Never more than were taken: what leaked meanwhile is whole already.
    pub fn refund(&mut self, units: u64) {
        self.level = self.level.saturating_sub(u128::from(units) * UNIT);
    }

    /// Where it stands.
    pub fn left(&mut self, now: Instant) -> Left {
        self.leak(now);
        // Units that are taken, a part of one being one; of a debt there are more than all.
        let taken = u64::try_from(quotient_up(self.level, UNIT_NANOS)).unwrap_or(u64::MAX);
        let remaining = self.per_minute.saturating_sub(taken);
        Left { limit: self.per_minute, remaining, reset: self.full_in() }
    }

    fn full_in(&self) -> Duration {
        if self.level == 0 {
            return Duration::ZERO;
        }
        nanoseconds(quotient_up(self.level, self.per_minute.max(1)))
    }

    /// Whether it is as good as new, and so need not be remembered.
    pub fn untouched(&mut self, now: Instant) -> bool {
        self.leak(now);
        self.level == 0
    }

    /// In how much time it is whole again: what a restart needs to know.
    pub fn whole_in(&mut self, now: Instant) -> Duration {
        self.leak(now);
        self.full_in()
    }

    /// Takes so much that it is whole again later by this time, as it was before a restart.
    pub fn restore(&mut self, whole_in: Duration, now: Instant) {
        self.leak(now);
        let taken = whole_in.as_nanos().saturating_mul(self.per_minute.into());
        self.level = self.level.saturating_add(taken);
    }
}

/// Rounded up. Almost every level fits into a machine's word, whose division is one instruction.
fn quotient_up(level: u128, by: u64) -> u128 {
    u64::try_from(level).map_or_else(|_| level.div_ceil(by.into()), |level| level.div_ceil(by).into())
}

fn nanoseconds(count: u128) -> Duration {
    Duration::from_nanos(u64::try_from(count).unwrap_or(u64::MAX))
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    fn take(limit: &mut Limit, units: u64, now: Instant) -> Result<Left, Duration> {
        match limit.wait(units, now) {
            Some(wait) => Err(wait),
            None => {
                limit.charge(units);
                Ok(limit.left(now))
            }
        }
    }

    #[test]
    fn ten_per_minute_admits_ten_at_once_and_one_more_every_six_seconds() {
        let start = Instant::now();
        let mut limit = Limit::new(10);
        for left in (0..10).rev() {
            assert_eq!(take(&mut limit, 1, start).map(|left| left.remaining), Ok(left));
        }
        assert_eq!(take(&mut limit, 1, start), Err(Duration::from_secs(6)));
        assert_eq!(limit.left(start), Left { limit: 10, remaining: 0, reset: MINUTE });
        assert!(take(&mut limit, 1, start + Duration::from_millis(5_999)).is_err());
        assert_eq!(take(&mut limit, 1, start + Duration::from_secs(6)).map(|left| left.remaining), Ok(0));
        assert!(take(&mut limit, 1, start + Duration::from_secs(6)).is_err());
    }

    #[test]
    fn the_wait_that_is_announced_is_the_wait_that_helps() {
        for per_minute in [1_u64, 3, 7, 60, 1_000, 999_999, 1_000_000_000_000] {
            for units in [1, 2, per_minute.div_ceil(3)] {
                let mut now = Instant::now();
                let mut limit = Limit::new(per_minute);
                limit.charge(per_minute - per_minute / 7);
                for _ in 0..100 {
                    if let Err(wait) = take(&mut limit, units, now) {
                        let early = now + wait - Duration::from_nanos(1);
                        assert!(limit.clone().wait(units, early).is_some(), "{per_minute}: admitted early");
                        now += wait;
                        assert!(take(&mut limit, units, now).is_ok(), "{per_minute}: the wait was too short");
                    }
                }
            }
        }
    }

    #[test]
    fn an_allowance_left_alone_for_a_minute_is_whole() {
        let start = Instant::now();
        let mut limit = Limit::new(7);
        assert!(limit.untouched(start));
        while take(&mut limit, 1, start).is_ok() {}
        assert!(!limit.untouched(start + Duration::from_secs(59)));
        let later = start + MINUTE;
        assert!(limit.untouched(later));
        assert_eq!(take(&mut limit, 1, later).map(|left| left.remaining), Ok(6));
    }

    #[test]
    fn no_minute_admits_more_than_the_burst_and_what_came_back_in_it() {
        let start = Instant::now();
        let mut limit = Limit::new(10);
        let admitted = (0..60_000_u64)
            .filter(|at| take(&mut limit, 1, start + Duration::from_millis(*at)).is_ok())
            .count();
        assert_eq!(admitted, 10 + 9);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again_to_the_unit() {
        let now = Instant::now();
        let mut limit = Limit::new(100_000);
        assert!(take(&mut limit, 70_000, now).is_ok());
        assert!(take(&mut limit, 30_001, now).is_err());
        limit.refund(1);
        assert_eq!(take(&mut limit, 30_001, now).map(|left| left.remaining), Ok(0));
        limit.refund(u64::MAX);
        assert_eq!(limit.left(now), Left { limit: 100_000, remaining: 100_000, reset: Duration::ZERO });
    }

    #[test]
    fn a_debt_is_paid_before_anybody_is_admitted_again() {
        let now = Instant::now();
        let mut limit = Limit::new(60);
        limit.charge(90);
        assert_eq!(limit.left(now).remaining, 0);
        assert_eq!(limit.wait(1, now), Some(Duration::from_secs(31)));
        assert_eq!(limit.wait(1, now + Duration::from_secs(31)), None);
    }

    #[test]
    fn more_than_a_minutes_worth_waits_for_the_whole_allowance_and_no_longer() {
        let now = Instant::now();
        let mut limit = Limit::new(60);
        assert_eq!(limit.wait(1_000, now), None);
        limit.charge(1);
        assert_eq!(limit.wait(1_000, now), Some(Duration::from_secs(1)));
    }

    #[test]
    fn a_limit_of_nothing_admits_nothing() {
        assert_eq!(Limit::new(0).wait(1, Instant::now()), Some(MINUTE));
    }

    #[test]
    fn an_older_now_turns_nothing_back() {
        let start = Instant::now();
        let mut limit = Limit::new(60);
        let later = start + Duration::from_secs(10);
        limit.leak(later);
        limit.charge(60);
        assert!(limit.wait(1, start).is_some());
        assert_eq!(limit.wait(1, later), Some(Duration::from_secs(1)), "the second is not counted twice");
    }

    #[test]
    fn another_size_keeps_what_was_used_and_a_restart_keeps_the_moment() {
        let now = Instant::now();
        let mut limit = Limit::new(10);
        limit.charge(8);
        limit.resize(20, now);
        assert_eq!(limit.left(now).remaining, 12);
        let mut after = Limit::new(20);
        after.restore(limit.whole_in(now), now);
        assert_eq!(after.left(now), limit.left(now));
    }
}
