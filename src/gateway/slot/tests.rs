//! A hundred threads at one slot, over the real lock, in thousands of orders: none of them may matter.
//!
//! Shuttle chooses whose turn it is each time the lock is about to be taken; the same orders every time.

use super::lock::in_every_order;
use super::{Ended, Entry, Pace, Slot};
use crate::clock::{Clock, ManualClock};
use crate::domain::balance::Timed;
use crate::domain::breaker::{Settings, TRIAL_MAX};
use crate::domain::event::Circuit;
use crate::domain::failure::{Failure, Fault};
use crate::gateway::SlotSettings;
use crate::gateway::fakes::{Scripted, Witness, settings, slot};
use crate::gateway::house::House;
use crate::gateway::ports::Observer;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const A_SECOND: Pace = Pace { took: SECOND, first_token: None, at: None, timed: Timed::Answer };
const THREADS: usize = 100;
const ORDERS: usize = 100;

/// What a thread does with the entry it got.
#[derive(Clone, Copy)]
enum Way {
    Well,
    Failed,
    SickModel,
    Panic,
    Leave,
    /// It neither ends nor drops: its thread is gone for good.
    Lose,
    /// The first word has come; then it ends badly after all.
    Proven,
}

struct Yard {
    slot: Slot,
    house: House,
    clock: Arc<ManualClock>,
}

impl Yard {
    /// A slot with so many trials at once, its breaker open.
    fn open(trials: u32) -> Self {
        let yard = Self::closed(trials, usize::MAX);
        yard.fail();
        yard
    }

    /// One with so many places, its breaker closed.
    fn closed(trials: u32, places: usize) -> Self {
        let clock = Arc::new(ManualClock::new());
        let witness = Arc::new(Witness::default()) as Arc<dyn Observer>;
        let house = House::new(clock.clone() as Arc<dyn Clock>, witness);
        let breaker = Settings { max_requests: trials, ..settings().breaker };
        let told = SlotSettings { max_concurrency: places, ..slot("a") };
        let slot = Slot::new(&told, Scripted::failing(Fault::Refused), (breaker, 3), clock.now());
        Self { slot, house, clock }
    }

    fn enter(&self) -> Option<Entry<'_>> {
        self.slot.admit(("m", 0), (&self.house, self.house.now())).ok()
    }

    /// It fails until its breaker opens.
    fn fail(&self) {
        for _ in 0..3 {
            self.enter().expect("closed").end(Ended::Failed(&refused()), A_SECOND);
        }
        assert_eq!(self.circuit(), Circuit::Open);
    }

    fn circuit(&self) -> Circuit {
        self.slot.status(self.clock.now()).circuit
    }

    fn in_flight(&self) -> usize {
        self.slot.status(self.clock.now()).in_flight
    }

    /// However it stands: when every trial that may be lost has expired, one that succeeds closes it for everyone.
    fn recovers(&self) {
        self.clock.advance(2 * TRIAL_MAX);
        self.enter().expect("a trial").end(Ended::Well, A_SECOND);
        assert_eq!(self.circuit(), Circuit::Closed);
        let all: Vec<_> = (0..THREADS).filter_map(|_| self.enter()).collect();
        assert_eq!(all.len(), THREADS);
    }
}

fn refused() -> Failure {
    Failure::new(Fault::Refused, "refused")
}

fn go(entry: Entry<'_>, way: Way) {
    match way {
        Way::Well => entry.end(Ended::Well, A_SECOND),
        Way::Failed => entry.end(Ended::Failed(&refused()), A_SECOND),
        Way::SickModel => entry.end(Ended::Failed(&Failure::new(Fault::ServerError, "500")), A_SECOND),
        Way::Panic => {
            let held = AssertUnwindSafe(entry);
            let broke = catch_unwind(move || {
                let _held = held;
                // As a panic, without its hook, which would print the order.
                resume_unwind(Box::new("as the script says"));
            });
            assert!(broke.is_err());
        }
        Way::Leave => drop(entry),
        Way::Lose => std::mem::forget(entry),
        Way::Proven => {
            let mut entry = entry;
            entry.proven();
            entry.end(Ended::Failed(&refused()), A_SECOND);
        }
    }
}

/// A hundred threads come in at once, and each goes its way with the entry it gets; how many got one.
fn storm(yard: &Arc<Yard>, way: impl Fn(usize) -> Way) -> usize {
    let entered = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|number| {
            let (yard, entered, way) = (Arc::clone(yard), Arc::clone(&entered), way(number));
            shuttle::thread::spawn(move || {
                if let Some(entry) = yard.enter() {
                    *entered.lock() += 1;
                    go(entry, way);
                }
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
    *entered.lock()
}

#[test]
fn at_the_instant_of_half_open_exactly_as_many_pass_as_may_try() {
    in_every_order(ORDERS, || {
        let yard = Arc::new(Yard::open(3));
        yard.clock.advance(10 * SECOND);
        assert_eq!(storm(&yard, |_| Way::Lose), 3);
        yard.clock.advance(TRIAL_MAX);
        assert_eq!(storm(&yard, |_| Way::Lose), 3, "as many as were lost, once they have expired");
        assert_eq!(yard.in_flight(), 6);
        yard.recovers();
    });
}

#[test]
fn whatever_becomes_of_the_trials_none_is_counted_twice_and_the_way_back_is_open() {
    const WAYS: [Way; 7] =
        [Way::Well, Way::Failed, Way::SickModel, Way::Panic, Way::Leave, Way::Lose, Way::Proven];
    for (number, first) in WAYS.into_iter().enumerate() {
        in_every_order(ORDERS, move || {
            let yard = Arc::new(Yard::open(2));
            yard.clock.advance(10 * SECOND);
            let lost = Arc::new(Mutex::new(0));
            // Half of them go one way, the others each his own.
            let way = move |of: usize| {
                if of.is_multiple_of(2) { first } else { WAYS[(of / 2 + number) % WAYS.len()] }
            };
            let threads: Vec<_> = (0..THREADS)
                .map(|of| {
                    let (yard, lost) = (Arc::clone(&yard), Arc::clone(&lost));
                    shuttle::thread::spawn(move || {
                        if let Some(entry) = yard.enter() {
                            *lost.lock() += usize::from(matches!(way(of), Way::Lose));
                            go(entry, way(of));
                        }
                    })
                })
                .collect();
            threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
            assert_eq!(yard.in_flight(), *lost.lock(), "only what is lost is still there");
            yard.recovers();
        });
    }
}

#[test]
fn never_more_are_inside_at_once_than_there_are_places() {
    in_every_order(ORDERS, || {
        let yard = Arc::new(Yard::closed(1, 4));
        let inside = Arc::new(Mutex::new((0, 0)));
        let threads: Vec<_> = (0..THREADS)
            .map(|_| {
                let (yard, inside) = (Arc::clone(&yard), Arc::clone(&inside));
                shuttle::thread::spawn(move || {
                    let Some(entry) = yard.enter() else { return };
                    {
                        let (now, most) = &mut *inside.lock();
                        *now += 1;
                        *most = (*most).max(*now);
                    }
                    shuttle::thread::yield_now();
                    inside.lock().0 -= 1;
                    entry.end(Ended::Well, A_SECOND);
                })
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
        let (_, most) = *inside.lock();
        assert!((1..=4).contains(&most), "{most} at once");
        assert_eq!(yard.in_flight(), 0);
    });
}

#[test]
fn one_failed_trial_lets_nobody_in_who_comes_later() {
    in_every_order(ORDERS, || {
        let yard = Arc::new(Yard::open(1));
        yard.clock.advance(10 * SECOND);
        assert_eq!(storm(&yard, |_| Way::Failed), 1);
        assert_eq!((yard.circuit(), yard.in_flight()), (Circuit::Open, 0));
        yard.recovers();
    });
}

#[test]
fn late_answers_change_nothing_whenever_they_come() {
    for early in [Way::Well, Way::Failed, Way::Panic, Way::Leave] {
        in_every_order(ORDERS, move || {
            let yard = Arc::new(Yard::open(1));
            yard.clock.advance(10 * SECOND);
            yard.enter().expect("a trial").end(Ended::Well, A_SECOND);
            // Entered while it was closed; they end when it has opened, and somebody is on trial.
            let yard: &'static Yard = Box::leak(Box::new(Arc::into_inner(yard).expect("nobody else has it")));
            let entries: Vec<_> = (0..THREADS / 2).filter_map(|_| yard.enter()).collect();
            yard.fail();
            yard.clock.advance(10 * SECOND);
            let trial = yard.enter().expect("a trial");
            let mut threads: Vec<_> =
                entries.into_iter().map(|entry| shuttle::thread::spawn(move || go(entry, early))).collect();
            threads.push(shuttle::thread::spawn(move || {
                assert!(yard.enter().is_none(), "the one place is taken, whatever the others say");
            }));
            threads.into_iter().for_each(|thread| thread.join().expect("no thread panics"));
            assert_eq!(yard.circuit(), Circuit::HalfOpen);
            trial.end(Ended::Failed(&refused()), A_SECOND);
            assert_eq!((yard.circuit(), yard.in_flight()), (Circuit::Open, 0));
            yard.recovers();
        });
    }
}
