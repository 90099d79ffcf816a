//! A hundred threads at one slot: permits lost, answers late, panics; and the way back is always open.

use super::super::fakes::*;
use super::super::house::House;
use super::super::ports::Observer;
use super::super::slot::{Ended, Entry, Pace, Slot};
use crate::clock::{Clock, ManualClock};
use crate::domain::balance::Timed;
use crate::domain::breaker::TRIAL_MAX;
use crate::domain::event::Circuit;
use crate::domain::failure::{Failure, Fault};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const A_SECOND: Pace = Pace { took: SECOND, first_token: None, at: None, timed: Timed::Answer };
const THREADS: usize = 100;

struct Yard {
    slot: Slot,
    house: House,
    clock: Arc<ManualClock>,
}

impl Yard {
    /// A slot with so many trials at once, its breaker open.
    fn open(trials: u32) -> Self {
        let clock = Arc::new(ManualClock::new());
        let witness = Arc::new(Witness::default());
        let house = House::new(clock.clone() as Arc<dyn Clock>, witness as Arc<dyn Observer>);
        let mut numbers = settings().breaker;
        numbers.max_requests = trials;
        let slot = Slot::new(&slot("a"), Scripted::failing(Fault::Refused), (numbers, 3), clock.now());
        let yard = Self { slot, house, clock };
        for _ in 0..3 {
            yard.enter().expect("closed").end(Ended::Failed(&refused()), A_SECOND);
        }
        assert_eq!(yard.circuit(), Circuit::Open);
        yard
    }

    fn enter(&self) -> Option<Entry<'_>> {
        self.slot.admit(("m", 0), (&self.house, self.house.now())).ok()
    }

    fn circuit(&self) -> Circuit {
        self.slot.status(self.clock.now()).circuit
    }

    /// A hundred threads come in at once and do this with their entry; how many got one.
    fn storm(&self, with: impl Fn(usize, Entry<'_>) + Sync) -> usize {
        let (barrier, entered) = (Barrier::new(THREADS), AtomicUsize::new(0));
        std::thread::scope(|scope| {
            for number in 0..THREADS {
                let (barrier, entered, with) = (&barrier, &entered, &with);
                scope.spawn(move || {
                    barrier.wait();
                    if let Some(entry) = self.enter() {
                        entered.fetch_add(1, Ordering::SeqCst);
                        with(number, entry);
                    }
                });
            }
        });
        entered.into_inner()
    }
}

fn refused() -> Failure {
    Failure::new(Fault::Refused, "refused")
}

#[test]
fn trials_that_fail_or_panic_at_half_open_open_it_again_and_free_their_places() {
    for panics in [false, true] {
        let yard = Yard::open(5);
        for round in 1..4_u32 {
            yard.clock.advance(70 * SECOND);
            let entered = yard.storm(|_, entry| {
                if panics {
                    let broke = catch_unwind(AssertUnwindSafe(|| {
                        let _entry = entry;
                        panic!("as the script says");
                    }));
                    assert!(broke.is_err());
                } else {
                    entry.end(Ended::Failed(&refused()), A_SECOND);
                }
            });
            assert!((1..=5).contains(&entered), "round {round}: {entered} entered");
            let status = yard.slot.status(yard.clock.now());
            assert_eq!((status.in_flight, status.circuit), (0, Circuit::Open), "round {round}");
        }
        yard.clock.advance(70 * SECOND);
        yard.enter().expect("a trial").end(Ended::Well, A_SECOND);
        assert_eq!(yard.circuit(), Circuit::Closed);
    }
}

#[test]
fn lost_trials_expire_and_exactly_as_many_take_their_places() {
    let yard = Yard::open(4);
    yard.clock.advance(10 * SECOND);
    // Entries that neither end nor drop: their threads are gone for good.
    assert_eq!(yard.storm(|_, entry| std::mem::forget(entry)), 4);
    assert_eq!(yard.storm(|_, entry| std::mem::forget(entry)), 0);
    yard.clock.advance(TRIAL_MAX);
    assert_eq!(yard.storm(|_, entry| std::mem::forget(entry)), 4);
    yard.clock.advance(TRIAL_MAX);
    yard.enter().expect("a place that expired").end(Ended::Well, A_SECOND);
    assert_eq!(yard.circuit(), Circuit::Closed);
    assert_eq!(yard.storm(|_, entry| entry.end(Ended::Well, A_SECOND)), THREADS);
}

#[test]
fn late_answers_from_before_it_opened_change_nothing() {
    let yard = Yard::open(1);
    yard.clock.advance(10 * SECOND);
    yard.enter().expect("a trial").end(Ended::Well, A_SECOND);
    let early: Vec<Entry<'_>> = (0..THREADS).filter_map(|_| yard.enter()).collect();
    assert_eq!(early.len(), THREADS);
    for _ in 0..3 {
        yard.enter().expect("closed").end(Ended::Failed(&refused()), A_SECOND);
    }
    assert_eq!(yard.circuit(), Circuit::Open);
    std::thread::scope(|scope| {
        for (number, entry) in early.into_iter().enumerate() {
            scope.spawn(move || {
                let refused = refused();
                entry.end(if number % 2 == 0 { Ended::Well } else { Ended::Failed(&refused) }, A_SECOND);
            });
        }
    });
    let status = yard.slot.status(yard.clock.now());
    assert_eq!((status.circuit, status.in_flight), (Circuit::Open, 0));
    yard.clock.advance(10 * SECOND);
    assert_eq!(yard.storm(|_, entry| std::mem::forget(entry)), 1);
}
