//! The circuit breaker: stops asking what is proven broken, and finds out by itself when it works again.
//!
//! ```text
//!            threshold failures in a row                    the wait is over
//!   ┌────────┐ ───────────────────────▶ ┌──────┐ ───────────────────────────▶ ┌───────────┐
//!   │ Closed │                          │ Open │                              │ Half-open │
//!   └────────┘ ◀─────────────┐          └──────┘ ◀─────── one failure ─────── └───────────┘
//!                            └──────────────────────────── one success ─────────────┘
//! ```
//!
//! Every change of state begins a new generation; an answer to a permit of an older one changes nothing. The wait
//! doubles each time a trial fails. A trial that never comes back frees its place after [`TRIAL_MAX`].

use super::event::Circuit;
use std::time::{Duration, Instant};

/// The longest wait that doubling leads to (a longer configured one stays as it is).
pub const OPEN_MAX: Duration = Duration::from_secs(60);
/// After this a trial's place is given to another; its answer still counts.
pub const TRIAL_MAX: Duration = Duration::from_secs(60);
/// Jitter takes at most this part off a doubled wait, so that gateways do not come back in step.
const JITTER: f64 = 0.2;

/// The numbers of a breaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Failures in a row that open it; 0 counts as 1.
    pub failure_threshold: u32,
    /// While closed, the count is cleared this often.
    pub interval: Duration,
    /// How long it stays open at first.
    pub timeout: Duration,
    /// Trials at once while half-open; 0 counts as 1.
    pub max_requests: u32,
}

/// A circuit breaker.
#[derive(Debug)]
pub struct Breaker {
    settings: Settings,
    state: State,
    generation: u64,
    /// How long it stays open the next time.
    wait: Duration,
}

#[derive(Debug)]
enum State {
    Closed { failures: u32, since: Instant },
    Open { since: Instant, until: Instant },
    HalfOpen { trials: Vec<Trial>, next: u64 },
}

#[derive(Debug)]
struct Trial {
    id: u64,
    expires: Instant,
}

/// Leave to try, to be handed back with what came of it.
#[derive(Debug)]
#[must_use = "a permit must come back through `settle`"]
pub struct Permit {
    generation: u64,
    kind: Kind,
}

#[derive(Debug, Clone, Copy)]
enum Kind {
    Pass,
    Trial {
        id: u64,
        first: bool,
    },
    /// Taken although the breaker refuses: only a success means anything.
    Forced,
}

impl Permit {
    /// Whether taking it moved the breaker from open to half-open.
    #[must_use]
    pub fn began_trial(&self) -> bool {
        matches!(self.kind, Kind::Trial { first: true, .. })
    }

    /// Whether something is to be learned from its success: everything but a pass through a closed breaker.
    #[must_use]
    pub fn on_trial(&self) -> bool {
        !matches!(self.kind, Kind::Pass)
    }
}

/// Not now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// When it may be worth asking again.
    pub until: Instant,
}

/// What came of a permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It works.
    Good,
    /// It is broken.
    Bad,
    /// Neither was proven.
    Unproven,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: Settings, now: Instant) -> Self {
        let settings = Settings {
            failure_threshold: settings.failure_threshold.max(1),
            max_requests: settings.max_requests.max(1),
            ..settings
        };
        let state = State::Closed { failures: 0, since: now };
        Self { settings, state, generation: 0, wait: settings.timeout }
    }

    /// Asks for leave to try.
    ///
    /// # Errors
    /// [`Refused`] while open, and while half-open with every trial taken.
    pub fn admit(&mut self, now: Instant) -> Result<Permit, Refused> {
        match &mut self.state {
            State::Closed { .. } => Ok(Permit { generation: self.generation, kind: Kind::Pass }),
            State::Open { until, .. } if now < *until => Err(Refused { until: *until }),
            State::Open { .. } => {
                let trials = vec![Trial { id: 0, expires: now + TRIAL_MAX }];
                self.enter(State::HalfOpen { trials, next: 1 });
                Ok(Permit { generation: self.generation, kind: Kind::Trial { id: 0, first: true } })
            }
            State::HalfOpen { trials, next } => {
                trials.retain(|trial| trial.expires > now);
                if trials.len() >= self.settings.max_requests as usize {
                    // Trials are taken in order of time, so the first one expires first.
                    return Err(Refused { until: trials.first().map_or(now, |trial| trial.expires) });
                }
                let id = *next;
                *next += 1;
                trials.push(Trial { id, expires: now + TRIAL_MAX });
                Ok(Permit { generation: self.generation, kind: Kind::Trial { id, first: false } })
            }
        }
    }

    /// Leave to try although it refuses, for when there is nobody else: a success closes it, a failure changes
    /// nothing, so that despair does not double the wait.
    pub fn admit_anyway(&self) -> Permit {
        let kind = if matches!(self.state, State::Closed { .. }) { Kind::Pass } else { Kind::Forced };
        Permit { generation: self.generation, kind }
    }

    /// Hands a permit back. Returns the state it moved to, if it moved. `jitter` is from 0 to 1.
    pub fn settle(&mut self, permit: Permit, outcome: Outcome, now: Instant, jitter: f64) -> Option<Circuit> {
        if permit.generation != self.generation {
            return None;
        }
        match (&mut self.state, outcome) {
            (State::HalfOpen { trials, .. }, Outcome::Unproven) => {
                if let Kind::Trial { id, .. } = permit.kind {
                    trials.retain(|trial| trial.id != id);
                }
                None
            }
            (_, Outcome::Unproven) => None,
            (State::Closed { failures, .. }, Outcome::Good) => {
                *failures = 0;
                None
            }
            (State::Closed { failures, since }, Outcome::Bad) => {
                if now.saturating_duration_since(*since) >= self.settings.interval {
                    (*failures, *since) = (0, now);
                }
                *failures += 1;
                (*failures >= self.settings.failure_threshold).then(|| self.open(now))
            }
            (State::Open { .. } | State::HalfOpen { .. }, Outcome::Good) => {
                self.wait = self.settings.timeout;
                self.enter(State::Closed { failures: 0, since: now });
                Some(Circuit::Closed)
            }
            (State::HalfOpen { .. }, Outcome::Bad) if !matches!(permit.kind, Kind::Forced) => {
                let doubled = (self.wait * 2).min(OPEN_MAX).mul_f64(1.0 - JITTER * jitter.clamp(0.0, 1.0));
                self.wait = doubled.max(self.settings.timeout);
                Some(self.open(now))
            }
            (State::Open { .. } | State::HalfOpen { .. }, Outcome::Bad) => None,
        }
    }

    /// Something else proved that it can be reached: an open breaker waits no longer than it did the first time.
    pub fn relent(&mut self, now: Instant) {
        self.wait = self.settings.timeout;
        if let State::Open { since, until } = &mut self.state {
            *until = (*until).min((*since + self.settings.timeout).max(now));
        }
    }

    /// What a restart needs to know of a breaker that is not closed: how long it refuses still, and its present wait.
    #[must_use]
    pub fn trouble(&self, now: Instant) -> Option<(Duration, Duration)> {
        match self.state {
            State::Closed { .. } => None,
            State::Open { until, .. } => Some((until.saturating_duration_since(now), self.wait)),
            State::HalfOpen { .. } => Some((Duration::ZERO, self.wait)),
        }
    }

    /// Opens it as it was before a restart: refusing for so long, at most [`OPEN_MAX`] or the configured timeout.
    pub fn resume(&mut self, (refusing, wait): (Duration, Duration), now: Instant) {
        let most = OPEN_MAX.max(self.settings.timeout);
        self.wait = wait.clamp(self.settings.timeout, most);
        self.enter(State::Open { since: now, until: now + refusing.min(most) });
    }

    /// Where it stands. One whose wait is over counts as half-open: the next request is a trial.
    #[must_use]
    pub fn state(&self, now: Instant) -> Circuit {
        match self.state {
            State::Closed { .. } => Circuit::Closed,
            State::Open { until, .. } if now < until => Circuit::Open,
            State::Open { .. } | State::HalfOpen { .. } => Circuit::HalfOpen,
        }
    }

    /// Whether [`Breaker::admit`] would refuse now, and until when. Changes nothing.
    #[must_use]
    pub fn refuses(&self, now: Instant) -> Option<Refused> {
        match &self.state {
            State::Open { until, .. } if now < *until => Some(Refused { until: *until }),
            State::HalfOpen { trials, .. } => {
                let mut alive = trials.iter().filter(|trial| trial.expires > now);
                let first = alive.next()?;
                let taken = 1 + alive.count();
                (taken >= self.settings.max_requests as usize).then_some(Refused { until: first.expires })
            }
            State::Closed { .. } | State::Open { .. } => None,
        }
    }

    fn open(&mut self, now: Instant) -> Circuit {
        self.enter(State::Open { since: now, until: now + self.wait });
        Circuit::Open
    }

    fn enter(&mut self, state: State) {
        self.state = state;
        self.generation += 1;
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn settings() -> Settings {
        Settings { failure_threshold: 3, interval: 30 * SECOND, timeout: 10 * SECOND, max_requests: 2 }
    }

    fn fail(breaker: &mut Breaker, now: Instant) -> Option<Circuit> {
        let permit = breaker.admit(now).expect("admitted");
        breaker.settle(permit, Outcome::Bad, now, 0.0)
    }

    fn opened(now: Instant) -> Breaker {
        let mut breaker = Breaker::new(settings(), now);
        assert_eq!(fail(&mut breaker, now), None);
        assert_eq!(fail(&mut breaker, now), None);
        assert_eq!(fail(&mut breaker, now), Some(Circuit::Open));
        breaker
    }

    #[test]
    fn it_opens_at_the_threshold_and_refuses_until_the_timeout_is_over() {
        let now = Instant::now();
        let mut breaker = opened(now);
        let until = now + 10 * SECOND;
        assert_eq!(breaker.admit(until - Duration::from_nanos(1)).unwrap_err(), Refused { until });
        assert_eq!(breaker.state(now), Circuit::Open);
        assert_eq!(breaker.state(until), Circuit::HalfOpen);
        assert!(breaker.admit(until).expect("a trial").began_trial());
    }

    #[test]
    fn after_a_restart_it_goes_on_refusing_where_it_stopped_and_no_longer_than_ever() {
        let now = Instant::now();
        let mut before = opened(now);
        assert_eq!(Breaker::new(settings(), now).trouble(now), None);
        let later = now + 4 * SECOND;
        let trouble = before.trouble(later).expect("it is open");
        assert_eq!(trouble, (6 * SECOND, 10 * SECOND));
        let mut after = Breaker::new(settings(), later);
        after.resume(trouble, later);
        assert_eq!(after.admit(later).unwrap_err(), Refused { until: now + 10 * SECOND });
        assert!(after.admit(now + 10 * SECOND).expect("a trial").began_trial());
        let _trial = before.admit(now + 10 * SECOND).expect("a trial");
        assert_eq!(before.trouble(now + 10 * SECOND), Some((Duration::ZERO, 10 * SECOND)));
        after.resume((9_000 * SECOND, 9_000 * SECOND), now);
        assert_eq!(after.admit(now).unwrap_err(), Refused { until: now + OPEN_MAX });
    }

    #[test]
    fn a_success_between_failures_starts_the_count_anew_and_so_does_the_interval() {
        let now = Instant::now();
        let mut breaker = Breaker::new(settings(), now);
        fail(&mut breaker, now);
        fail(&mut breaker, now);
        let permit = breaker.admit(now).expect("admitted");
        assert_eq!(breaker.settle(permit, Outcome::Good, now, 0.0), None);
        fail(&mut breaker, now);
        fail(&mut breaker, now);
        assert_eq!(breaker.state(now), Circuit::Closed);
        let later = now + 30 * SECOND;
        assert_eq!(fail(&mut breaker, later), None);
        assert_eq!(fail(&mut breaker, later), None);
        assert_eq!(fail(&mut breaker, later), Some(Circuit::Open));
    }

    #[test]
    fn half_open_admits_its_trials_and_a_lost_one_frees_its_place() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        now += 10 * SECOND;
        let lost = breaker.admit(now).expect("first trial");
        let second = breaker.admit(now).expect("second trial");
        assert!(breaker.admit(now).is_err());
        assert_eq!(breaker.settle(second, Outcome::Unproven, now, 0.0), None);
        let third = breaker.admit(now).expect("a place that came back");
        assert_eq!(breaker.refuses(now), Some(Refused { until: now + TRIAL_MAX }));
        drop((lost, third));
        now += TRIAL_MAX;
        assert_eq!(breaker.refuses(now), None);
        let permit = breaker.admit(now).expect("a place that expired");
        assert_eq!(breaker.settle(permit, Outcome::Good, now, 0.0), Some(Circuit::Closed));
    }

    #[test]
    fn the_wait_doubles_while_trials_fail_up_to_a_minute_and_starts_over_after_a_success() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        for seconds in [10, 20, 40, 60, 60] {
            assert!(breaker.admit(now + seconds * SECOND - Duration::from_millis(1)).is_err());
            now += seconds * SECOND;
            assert_eq!(fail(&mut breaker, now), Some(Circuit::Open), "after {seconds}");
        }
        now += 60 * SECOND;
        let permit = breaker.admit(now).expect("a trial");
        assert_eq!(breaker.settle(permit, Outcome::Good, now, 0.0), Some(Circuit::Closed));
        for _ in 0..3 {
            fail(&mut breaker, now);
        }
        assert_eq!(breaker.admit(now).unwrap_err().until, now + 10 * SECOND);
    }

    #[test]
    fn jitter_shortens_a_doubled_wait_but_never_below_the_timeout() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        now += 10 * SECOND;
        let permit = breaker.admit(now).expect("a trial");
        breaker.settle(permit, Outcome::Bad, now, 1.0);
        assert_eq!(breaker.admit(now).unwrap_err().until, now + 16 * SECOND);
        let long = Settings { timeout: 90 * SECOND, failure_threshold: 1, ..settings() };
        let mut breaker = Breaker::new(long, now);
        fail(&mut breaker, now);
        now += 90 * SECOND;
        fail(&mut breaker, now);
        assert_eq!(breaker.admit(now).unwrap_err().until, now + 90 * SECOND);
    }

    #[test]
    fn a_late_answer_from_an_older_generation_changes_nothing() {
        let mut now = Instant::now();
        let mut breaker = Breaker::new(settings(), now);
        let (good, bad) = (breaker.admit(now).expect("early"), breaker.admit(now).expect("early"));
        for _ in 0..3 {
            fail(&mut breaker, now);
        }
        assert_eq!(breaker.settle(good, Outcome::Good, now, 0.0), None);
        assert_eq!(breaker.state(now), Circuit::Open);
        now += 10 * SECOND;
        let trial = breaker.admit(now).expect("a trial");
        assert_eq!(breaker.settle(bad, Outcome::Bad, now, 0.0), None);
        assert_eq!(breaker.settle(trial, Outcome::Good, now, 0.0), Some(Circuit::Closed));
    }

    #[test]
    fn a_forced_try_closes_on_success_and_never_prolongs_the_wait() {
        let now = Instant::now();
        let mut breaker = opened(now);
        for _ in 0..10 {
            let permit = breaker.admit_anyway();
            assert_eq!(breaker.settle(permit, Outcome::Bad, now + SECOND, 0.0), None);
        }
        assert_eq!(breaker.admit(now).unwrap_err().until, now + 10 * SECOND);
        let permit = breaker.admit_anyway();
        assert_eq!(breaker.settle(permit, Outcome::Good, now + SECOND, 0.0), Some(Circuit::Closed));
    }

    #[test]
    fn a_good_check_takes_the_doubling_back_but_not_the_first_wait() {
        let mut now = Instant::now();
        let mut breaker = opened(now);
        breaker.relent(now);
        assert_eq!(breaker.admit(now).unwrap_err().until, now + 10 * SECOND);
        for seconds in [10, 20, 40] {
            now += seconds * SECOND;
            fail(&mut breaker, now);
        }
        breaker.relent(now + 15 * SECOND);
        assert!(breaker.admit(now + 15 * SECOND).is_ok());
    }

    /// The same rules, written as naively as possible: a log of what happened, read anew each time.
    struct Naive {
        settings: Settings,
        circuit: Circuit,
        failures: Vec<Instant>,
        cleared: Instant,
        opened: Instant,
        until: Instant,
        wait: Duration,
        trials: Vec<(usize, Instant)>,
        era: usize,
    }

    /// Who was let in, in which era, and whether by force.
    type Ticket = (usize, usize, bool);

    impl Naive {
        fn admit(&mut self, ticket: usize, now: Instant) -> bool {
            match self.circuit {
                Circuit::Closed => true,
                Circuit::Open if now < self.until => false,
                Circuit::Open => {
                    (self.circuit, self.era) = (Circuit::HalfOpen, self.era + 1);
                    self.trials = vec![(ticket, now)];
                    true
                }
                Circuit::HalfOpen => {
                    self.trials.retain(|(_, at)| now < *at + TRIAL_MAX);
                    let admitted = self.trials.len() < self.settings.max_requests as usize;
                    if admitted {
                        self.trials.push((ticket, now));
                    }
                    admitted
                }
            }
        }

        fn relent(&mut self, now: Instant) {
            self.wait = self.settings.timeout;
            if self.circuit == Circuit::Open {
                self.until = self.until.min((self.opened + self.wait).max(now));
            }
        }

        fn open(&mut self, now: Instant) {
            (self.circuit, self.era) = (Circuit::Open, self.era + 1);
            (self.opened, self.until) = (now, now + self.wait);
        }

        fn settle(&mut self, (ticket, era, forced): Ticket, outcome: Outcome, now: Instant) {
            if era != self.era {
                return;
            }
            match (self.circuit, outcome) {
                (_, Outcome::Unproven) => self.trials.retain(|(other, _)| *other != ticket),
                (Circuit::Closed, Outcome::Good) => self.failures.clear(),
                (Circuit::Closed, Outcome::Bad) => {
                    if now >= self.cleared + self.settings.interval {
                        self.failures.clear();
                        self.cleared = now;
                    }
                    self.failures.push(now);
                    if self.failures.len() == self.settings.failure_threshold as usize {
                        self.open(now);
                    }
                }
                (_, Outcome::Good) => {
                    (self.circuit, self.era, self.cleared) = (Circuit::Closed, self.era + 1, now);
                    self.wait = self.settings.timeout;
                    self.failures.clear();
                }
                (_, Outcome::Bad) if forced => {}
                (_, Outcome::Bad) => {
                    self.wait = (self.wait * 2).min(OPEN_MAX);
                    self.open(now);
                }
            }
        }
    }

    #[test]
    fn it_agrees_with_a_naive_model_over_many_random_histories() {
        let mut seed = 0x2545_F491_4F6C_DD1D_u64;
        let mut random = move |below: u64| {
            seed ^= seed << 13;
            seed ^= seed >> 7;
            seed ^= seed << 17;
            seed % below
        };
        for history in 0..3_000_u64 {
            let mut now = Instant::now();
            let settings = Settings {
                failure_threshold: 1 + u32::try_from(random(4)).expect("small"),
                interval: Duration::from_secs(5 + random(30)),
                timeout: Duration::from_secs(1 + random(20)),
                max_requests: 1 + u32::try_from(random(3)).expect("small"),
            };
            let mut breaker = Breaker::new(settings, now);
            let mut naive = Naive {
                settings,
                circuit: Circuit::Closed,
                failures: Vec::new(),
                cleared: now,
                opened: now,
                until: now,
                wait: settings.timeout,
                trials: Vec::new(),
                era: 0,
            };
            let mut out: Vec<(Permit, Ticket)> = Vec::new();
            for step in 0..60 {
                now += Duration::from_millis(random(9_000) * random(2));
                if random(12) == 0 {
                    breaker.relent(now);
                    naive.relent(now);
                } else if random(12) == 0 {
                    let forced = naive.circuit != Circuit::Closed;
                    out.push((breaker.admit_anyway(), (step, naive.era, forced)));
                } else if random(2) == 0 || out.is_empty() {
                    let refuses = breaker.refuses(now).is_some();
                    let admitted = breaker.admit(now);
                    assert_eq!(admitted.is_err(), refuses);
                    assert_eq!(admitted.is_ok(), naive.admit(step, now), "history {history}, step {step}");
                    out.extend(admitted.ok().map(|permit| (permit, (step, naive.era, false))));
                } else {
                    let at = usize::try_from(random(out.len() as u64)).expect("small");
                    let (permit, ticket) = out.swap_remove(at);
                    let outcome = [Outcome::Good, Outcome::Bad, Outcome::Bad, Outcome::Unproven]
                        [usize::try_from(random(4)).expect("small")];
                    breaker.settle(permit, outcome, now, 0.0);
                    naive.settle(ticket, outcome, now);
                }
                if naive.circuit != Circuit::Open {
                    assert_eq!(breaker.state(now), naive.circuit, "history {history}, step {step}");
                }
            }
        }
    }
}
