//! Requests per minute: a full minute's worth may come at once, and comes back evenly (GCRA, as ATM Forum TM 4.0).

use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// One client's allowance.
#[derive(Debug, Clone)]
pub struct Limit {
    per_minute: u32,
    /// When the allowance would be whole again; `None`: it is whole.
    whole_at: Option<Instant>,
}

/// What is left after a request was admitted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Left {
    /// Requests per minute.
    pub limit: u32,
    /// Requests that would be admitted right now.
    pub remaining: u32,
    /// Until the allowance is whole again.
    pub reset: Duration,
}

/// Why a request was refused, and when to come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retry {
    /// Requests per minute.
    pub limit: u32,
    /// After this, one request would be admitted.
    pub after: Duration,
    /// Until the allowance is whole again.
    pub reset: Duration,
}

impl Limit {
    /// An untouched allowance. A limit of 0 admits nothing.
    #[must_use]
    pub fn new(per_minute: u32) -> Self {
        Self { per_minute, whole_at: None }
    }

    /// Goes on where another allowance of the same size stands; one of another size changes nothing.
    pub fn take_over(&mut self, other: Self) {
        if self.per_minute == other.per_minute {
            *self = other;
        }
    }

    /// Takes one request from the allowance.
    ///
    /// # Errors
    /// [`Retry`] when nothing is left; nothing is taken then.
    pub fn take(&mut self, now: Instant) -> Result<Left, Retry> {
        let limit = self.per_minute;
        if limit == 0 {
            return Err(Retry { limit, after: MINUTE, reset: MINUTE });
        }
        let each = MINUTE / limit;
        let most = each * limit;
        let owed = self.whole_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let owing = owed + each;
        if owing > most {
            return Err(Retry { limit, after: owing - most, reset: owed });
        }
        self.whole_at = Some(now + owing);
        // At most `limit`, which is a u32.
        let remaining = u32::try_from((most - owing).as_nanos() / each.as_nanos()).unwrap_or(limit);
        Ok(Left { limit, remaining, reset: owing })
    }

    /// Whether it is as good as new, and so need not be remembered.
    #[must_use]
    pub fn untouched(&self, now: Instant) -> bool {
        self.whole_at.is_none_or(|at| at <= now)
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    #[test]
    fn ten_per_minute_admits_ten_at_once_and_one_more_every_six_seconds() {
        let start = Instant::now();
        let mut limit = Limit::new(10);
        for left in (0..10).rev() {
            assert_eq!(limit.take(start).map(|left| left.remaining), Ok(left));
        }
        let refused = limit.take(start).unwrap_err();
        assert_eq!(refused, Retry { limit: 10, after: Duration::from_secs(6), reset: MINUTE });
        assert!(limit.take(start + Duration::from_millis(5_999)).is_err());
        assert_eq!(limit.take(start + Duration::from_secs(6)).map(|left| left.remaining), Ok(0));
        assert!(limit.take(start + Duration::from_secs(6)).is_err());
    }

    #[test]
    fn the_wait_that_is_announced_is_the_wait_that_helps() {
        for per_minute in [1, 3, 7, 60, 1_000, 999_999] {
            let mut now = Instant::now();
            let mut limit = Limit::new(per_minute);
            for _ in 0..per_minute.min(2_000) {
                let _ = limit.take(now);
            }
            for _ in 0..100 {
                if let Err(retry) = limit.take(now) {
                    let early = now + retry.after - Duration::from_nanos(1);
                    assert!(limit.clone().take(early).is_err(), "{per_minute}: admitted early");
                    now += retry.after;
                    assert!(limit.take(now).is_ok(), "{per_minute}: the announced wait was too short");
                }
            }
        }
    }

    #[test]
    fn an_allowance_left_alone_for_a_minute_is_whole() {
        let start = Instant::now();
        let mut limit = Limit::new(7);
        assert!(limit.untouched(start));
        while limit.take(start).is_ok() {}
        assert!(!limit.untouched(start + Duration::from_secs(59)));
        let later = start + MINUTE;
        assert!(limit.untouched(later));
        assert_eq!(limit.take(later).map(|left| left.remaining), Ok(6));
    }

    #[test]
    fn no_minute_admits_more_than_the_burst_and_what_came_back_in_it() {
        let start = Instant::now();
        let mut limit = Limit::new(10);
        let admitted =
            (0..60_000_u64).filter(|at| limit.take(start + Duration::from_millis(*at)).is_ok()).count();
        assert_eq!(admitted, 10 + 9);
    }

    #[test]
    fn a_limit_of_nothing_admits_nothing() {
        assert_eq!(Limit::new(0).take(Instant::now()).unwrap_err().after, MINUTE);
    }
}
