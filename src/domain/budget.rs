//! So much money per day, week or month: reserved before it is spent, settled by what was used.
//!
//! Periods are those of the calendar in UTC: a day begins at midnight, a week on Monday, a month on the first. What is
//! in flight when a period ends is paid from the one in which it ends.

use super::calendar;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const DAY_SECONDS: u64 = 86_400;
/// 1970-01-01 was a Thursday: three days after a Monday.
const MONDAY_OFFSET: u64 = 3;
/// What only others' reservations stand in the way of may be there as soon as one of them is settled.
const SETTLED_SOON: Duration = Duration::from_secs(1);

/// How long a budget lasts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Period {
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// From the first to the first.
    Month,
}

impl Period {
    /// `day`, `week` or `month`.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Day => "day",
            Self::Week => "week",
            Self::Month => "month",
        }
    }

    /// The period's beginning and its end, in seconds since 1970.
    #[must_use]
    pub fn around(self, at: SystemTime) -> (u64, u64) {
        let seconds = at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let day = seconds / DAY_SECONDS;
        let (first, next) = match self {
            Self::Day => (day, day + 1),
            Self::Week => {
                let first = (day + MONDAY_OFFSET) / 7 * 7;
                // The week of 1970-01-01 began in 1969.
                (first.saturating_sub(MONDAY_OFFSET), first + 7 - MONDAY_OFFSET)
            }
            Self::Month => calendar::month_around(day),
        };
        (first * DAY_SECONDS, next * DAY_SECONDS)
    }
}

/// What a key may cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Allowance {
    /// In nano-USD.
    pub nano_usd: u64,
    /// Until it is whole again.
    pub per: Period,
}

/// One key's money: what it may cost, what it has cost in this period, and what is reserved.
#[derive(Debug, Clone)]
pub struct Budget {
    allowance: Allowance,
    /// The period's beginning and end, in seconds since 1970.
    period: (u64, u64),
    spent: u64,
    reserved: u64,
    /// A period that the calendar had reached before it was set back, and what was spent in it.
    ahead: Option<((u64, u64), u64)>,
}

/// Why there was no money.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Exhausted {
    /// When there may be: the period's end, or soon, when only reservations of others stand in the way.
    pub retry_after: Duration,
}

impl Budget {
    /// An untouched budget.
    #[must_use]
    pub fn new(allowance: Allowance, today: SystemTime) -> Self {
        Self { allowance, period: allowance.per.around(today), spent: 0, reserved: 0, ahead: None }
    }

    /// Another allowance from now on. What was spent stays spent if the period is the same.
    pub fn resize(&mut self, allowance: Allowance, today: SystemTime) {
        self.turn(today);
        if allowance.per != self.allowance.per {
            (self.period, self.spent) = (allowance.per.around(today), 0);
        }
        self.allowance = allowance;
    }

    /// Begins the next period when this one is over. A calendar that is set back a little does not begin one again; one
    /// that is set back by more than a period was wrong before, or is now: what was spent counts in the period it
    /// shows, and in the other one if that should come after all.
    fn turn(&mut self, today: SystemTime) {
        let seconds = today.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        let (began, ends) = self.period;
        if seconds >= ends {
            self.period = self.allowance.per.around(today);
            let known = self.ahead.take_if(|(period, _)| *period == self.period);
            self.spent = known.map_or(0, |(_, spent)| spent);
        } else if seconds.saturating_add(ends - began) < began {
            self.ahead = Some((self.period, self.spent));
            self.period = self.allowance.per.around(today);
        }
    }

    /// Reserves at least `least` and at most `most` nano-USD; says how much.
    ///
    /// # Errors
    /// [`Exhausted`] when not even the least is there; nothing is reserved then.
    pub fn reserve(&mut self, least: u64, most: u64, today: SystemTime) -> Result<u64, Exhausted> {
        self.turn(today);
        if most == 0 {
            return Ok(0);
        }
        let unspent = self.allowance.nano_usd.saturating_sub(self.spent);
        let free = unspent.saturating_sub(self.reserved);
        if free == 0 || free < least {
            let retry_after =
                if unspent == 0 || unspent < least { self.ends_in(today) } else { SETTLED_SOON };
            return Err(Exhausted { retry_after });
        }
        let granted = most.min(free);
        self.reserved += granted;
        Ok(granted)
    }

    /// Hands a reservation back and pays what was used, be it more.
    pub fn settle(&mut self, reserved: u64, used: u64, today: SystemTime) {
        self.turn(today);
        self.reserved = self.reserved.saturating_sub(reserved);
        self.spent = self.spent.saturating_add(used);
    }

    /// Hands a reservation back of which nothing was used.
    pub fn give_back(&mut self, reserved: u64) {
        self.reserved = self.reserved.saturating_sub(reserved);
    }

    fn ends_in(&self, today: SystemTime) -> Duration {
        let end = UNIX_EPOCH + Duration::from_secs(self.period.1);
        end.duration_since(today).unwrap_or(SETTLED_SOON)
    }

    /// What it may cost.
    #[must_use]
    pub fn allowance(&self) -> Allowance {
        self.allowance
    }

    /// The period's beginning, and what was spent in it, in nano-USD.
    pub fn spent(&mut self, today: SystemTime) -> (SystemTime, u64) {
        self.turn(today);
        (UNIX_EPOCH + Duration::from_secs(self.period.0), self.spent)
    }

    /// What was spent before a restart, in the period that began then; of an earlier period it is forgotten. One that
    /// is still to come is where the calendar stood before: a machine may wake up in 1970.
    pub fn restore(&mut self, began: SystemTime, spent: u64, today: SystemTime) {
        self.turn(today);
        let seconds = began.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
        if seconds >= self.period.0 {
            self.period = self.allowance.per.around(began);
            self.spent = self.spent.saturating_add(spent);
            self.turn(today);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> SystemTime {
        let parts: Vec<u64> = text.split('-').map(|part| part.parse().expect("a number")).collect();
        UNIX_EPOCH + Duration::from_secs(calendar::days(parts[0], parts[1], parts[2]) * DAY_SECONDS)
    }

    fn budget(usd: u64, per: Period, today: &str) -> Budget {
        Budget::new(Allowance { nano_usd: usd, per }, at(today))
    }

    #[test]
    fn periods_begin_at_midnight_on_monday_and_on_the_first() {
        let noon = Duration::from_secs(12 * 3_600);
        for (today, per, first, next) in [
            ("2026-11-25", Period::Day, "2026-11-25", "2026-11-26"),
            ("2026-11-25", Period::Week, "2026-11-23", "2026-11-30"),
            ("2026-11-23", Period::Week, "2026-11-23", "2026-11-30"),
            ("2026-11-29", Period::Week, "2026-11-23", "2026-11-30"),
            ("2026-11-25", Period::Month, "2026-11-01", "2026-12-01"),
            ("2026-12-31", Period::Month, "2026-12-01", "2027-01-01"),
            ("2028-02-29", Period::Month, "2028-02-01", "2028-03-01"),
            ("1970-01-01", Period::Week, "1970-01-01", "1970-01-05"),
        ] {
            let seconds = |text| at(text).duration_since(UNIX_EPOCH).expect("later").as_secs();
            assert_eq!(per.around(at(today) + noon), (seconds(first), seconds(next)), "{today} {per:?}");
        }
    }

    #[test]
    fn what_is_reserved_is_not_there_for_anybody_else() {
        let (mut budget, today) = (budget(100, Period::Day, "2026-11-25"), at("2026-11-25"));
        assert_eq!(budget.reserve(60, 60, today), Ok(60));
        assert_eq!(budget.reserve(50, 50, today), Err(Exhausted { retry_after: SETTLED_SOON }));
        assert_eq!(budget.reserve(1, 50, today), Ok(40), "as much as there is");
        assert_eq!(budget.reserve(0, 1, today), Err(Exhausted { retry_after: SETTLED_SOON }));
        budget.settle(60, 10, today);
        assert_eq!(budget.reserve(50, 50, today), Ok(50));
        budget.settle(50, 50, today);
        budget.settle(40, 40, today);
        assert_eq!(budget.spent(today), (at("2026-11-25"), 100));
        assert_eq!(budget.reserve(0, 0, today), Ok(0), "what costs nothing is always there");
    }

    #[test]
    fn a_spent_budget_is_whole_again_when_the_next_period_begins() {
        let today = at("2026-11-25") + Duration::from_secs(3_600);
        let mut budget = budget(100, Period::Month, "2026-11-25");
        budget.settle(0, 100, today);
        let Exhausted { retry_after } = budget.reserve(1, 1, today).expect_err("spent");
        assert_eq!(today + retry_after, at("2026-12-01"));
        assert!(budget.reserve(1, 1, today + retry_after - Duration::from_secs(1)).is_err());
        assert_eq!(budget.reserve(100, 100, today + retry_after), Ok(100));
        assert!(budget.reserve(1, 1, today).is_err(), "a calendar set back begins nothing again");
    }

    #[test]
    fn a_calendar_that_was_years_ahead_locks_nobody_out_and_gives_nothing_away() {
        let (today, wrong) = (at("2026-11-25"), at("2099-05-05"));
        let mut budget = budget(100, Period::Month, "2026-11-25");
        budget.settle(0, 60, today);
        budget.settle(0, 70, wrong);
        assert_eq!(budget.spent(wrong), (at("2099-05-01"), 70));
        assert_eq!(
            budget.spent(today),
            (at("2026-11-01"), 70),
            "put right: what was spent meanwhile counts here"
        );
        assert_eq!(
            budget.reserve(31, 31, today),
            Err(Exhausted { retry_after: at("2026-12-01").duration_since(today).expect("later") })
        );
        assert_eq!(
            budget.reserve(100, 100, at("2026-12-01")),
            Ok(100),
            "and a month later all of it is there again"
        );
    }

    #[test]
    fn a_machine_that_wakes_up_in_1970_remembers_what_was_spent_when_it_learns_the_day() {
        let (today, unset) = (at("2026-11-25"), at("1970-01-01"));
        let mut budget = Budget::new(Allowance { nano_usd: 100, per: Period::Month }, unset);
        budget.restore(at("2026-11-01"), 90, unset);
        assert!(budget.reserve(11, 11, unset).is_err(), "nor does it forget until then");
        assert_eq!(budget.spent(today), (at("2026-11-01"), 90));
        assert_eq!(budget.spent(at("2026-12-01")).1, 0);
    }

    #[test]
    fn what_is_in_flight_when_the_period_ends_is_paid_from_the_next() {
        let mut budget = budget(100, Period::Day, "2026-11-25");
        assert_eq!(budget.reserve(30, 30, at("2026-11-25")), Ok(30));
        let next = at("2026-11-26");
        assert_eq!(budget.reserve(1, 100, next), Ok(70), "the reservation is still held");
        budget.settle(30, 20, next);
        assert_eq!(budget.spent(next), (next, 20));
    }

    #[test]
    fn another_allowance_keeps_what_was_spent_and_a_restart_too() {
        let today = at("2026-11-25");
        let mut budget = budget(100, Period::Day, "2026-11-25");
        budget.settle(0, 80, today);
        budget.resize(Allowance { nano_usd: 50, per: Period::Day }, today);
        assert!(budget.reserve(1, 1, today).is_err());
        budget.resize(Allowance { nano_usd: 200, per: Period::Day }, today);
        assert_eq!(budget.reserve(120, 120, today), Ok(120));
        let (began, spent) = budget.spent(today);
        let mut after = Budget::new(budget.allowance(), today);
        after.restore(began, spent, today);
        assert_eq!(after.spent(today), (began, 80));
        let mut later = Budget::new(budget.allowance(), at("2026-11-26"));
        later.restore(began, spent, at("2026-11-26"));
        assert_eq!(later.spent(at("2026-11-26")).1, 0);
    }
}
