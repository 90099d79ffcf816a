//! Breakers, health and the way back.

use super::super::fakes::*;
use super::super::house::House;
use super::super::ports::Observer;
use super::super::slot::{Ended, MODEL_BREAKERS_MAX, Pace, Slot};
use crate::clock::{Clock, ManualClock};
use crate::domain::balance::Timed;
use crate::domain::event::Circuit;
use crate::domain::failure::{Failure, Fault};
use parking_lot::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const A_SECOND: Pace = Pace { took: SECOND, first_token: None, at: None, timed: Timed::Answer };

#[test]
fn the_first_failing_request_already_fails_over_and_the_fourth_does_not_ask_the_broken_one() {
    let (a, b) = (Scripted::failing(Fault::Refused), Scripted::always(Say::Answer("b")));
    let bench = bench(&[&a, &b]);
    for _ in 0..5 {
        assert_eq!(brief(&bench.ask().0), "b");
    }
    assert_eq!((a.times(), b.times()), (3, 5));
    assert_eq!(bench.witness.saw("BreakerMoved").len(), 1);
    assert_eq!(bench.gateway.circuits()[0], ("a".to_owned(), Circuit::Open));
}

#[test]
fn traffic_returns_by_itself_after_the_timeout_and_one_trial() {
    let (a, b) = (Scripted::failing(Fault::Refused), Scripted::always(Say::Answer("b")));
    let bench = bench(&[&a, &b]);
    for _ in 0..3 {
        bench.ask();
    }
    a.now_says(Say::Answer("a"));
    bench.clock.advance(9 * SECOND);
    assert_eq!(brief(&bench.ask().0), "b");
    bench.clock.advance(SECOND);
    for _ in 0..3 {
        assert_eq!(brief(&bench.ask().0), "a");
    }
    let moves = bench.witness.saw("BreakerMoved");
    assert_eq!(moves.len(), 3, "{moves:?}");
    assert!(moves[1].contains("HalfOpen") && moves[2].contains("Closed"), "{moves:?}");
}

#[test]
fn one_sick_model_does_not_take_its_neighbours_down() {
    let sick = || fails(Fault::ServerError);
    let a = Scripted::saying(vec![sick(), sick(), sick()], Say::Answer("a"));
    let b = Scripted::always(Say::Answer("b"));
    let bench = bench(&[&a, &b]);
    for _ in 0..4 {
        assert_eq!(brief(&bench.ask_for("a-sick").0), "b");
    }
    assert_eq!(a.times(), 3);
    assert_eq!(brief(&bench.ask_for("a-well").0), "a");
    assert_eq!(
        bench.gateway.circuits()[..2],
        [("a".to_owned(), Circuit::Closed), ("a/a-sick".to_owned(), Circuit::Open)]
    );
    bench.clock.advance(10 * SECOND);
    assert_eq!(brief(&bench.ask_for("a-sick").0), "a");
    assert_eq!(bench.gateway.circuits()[1].1, Circuit::Closed);
}

#[test]
fn breakers_of_models_are_bounded() {
    let a = Scripted::failing(Fault::ServerError);
    let bench = bench(&[&a]);
    for number in 0..MODEL_BREAKERS_MAX + 50 {
        bench.ask_for(&format!("a-{number}"));
    }
    let models = bench.gateway.snapshot().remove(0).models;
    assert_eq!(models.len(), MODEL_BREAKERS_MAX + 1);
    let last = models.last().expect("not empty");
    assert_eq!((last.name.as_str(), last.circuit), ("a/other", Circuit::Open));
}

#[test]
fn when_everyone_is_broken_the_one_closest_to_recovery_is_tried_anyway() {
    let (a, b) = (Scripted::failing(Fault::Refused), Scripted::failing(Fault::Refused));
    let bench = bench(&[&a, &b]);
    let pinned = |name: &str| {
        let mut question = question("{}");
        question.pinned = Some(name.to_owned());
        question
    };
    for _ in 0..3 {
        bench.ask_with(pinned("b"), Recorder::default());
    }
    bench.clock.advance(SECOND);
    for _ in 0..3 {
        bench.ask_with(pinned("a"), Recorder::default());
    }
    assert_eq!((a.times(), b.times()), (3, 3));
    // b opened first and so is closest; trying it again and again does not prolong its wait.
    for tries in 1..=5 {
        assert_eq!(brief(&bench.ask().0), "failed: refused");
        assert_eq!((a.times(), b.times()), (3, 3 + tries));
    }
    b.now_says(Say::Answer("b"));
    assert_eq!(brief(&bench.ask().0), "b");
    assert_eq!(bench.gateway.circuits()[1].1, Circuit::Closed);
}

#[test]
fn failed_checks_take_a_provider_out_and_one_good_check_brings_it_back() {
    let (a, b) = (Scripted::always(Say::Answer("a")), Scripted::always(Say::Answer("b")));
    let bench = bench(&[&a, &b]);
    *a.check.lock() = Err(Failure::new(Fault::Refused, "refused"));
    assert_eq!(bench.gateway.check_now("a"), Some(true));
    assert_eq!(bench.gateway.check_now("a"), Some(true));
    assert_eq!(brief(&bench.ask().0), "a");
    assert_eq!(bench.gateway.check_now("a"), Some(false));
    assert_eq!(brief(&bench.ask().0), "b");
    let status = &bench.gateway.snapshot()[0];
    assert_eq!((status.healthy, status.consecutive_fails, status.usable()), (false, 3, false));
    assert!(status.last_check.is_some() && status.last_failure.is_some());
    *a.check.lock() = Ok(());
    assert_eq!(bench.gateway.check_now("a"), Some(true));
    assert_eq!(brief(&bench.ask().0), "a");
    assert_eq!(bench.gateway.check_now("nobody"), None);
}

#[test]
fn an_unhealthy_provider_is_still_better_than_none() {
    let a = Scripted::always(Say::Answer("a"));
    let bench = bench(&[&a]);
    *a.check.lock() = Err(Failure::new(Fault::Refused, "refused"));
    for _ in 0..3 {
        bench.gateway.check_now("a");
    }
    assert_eq!(brief(&bench.ask().0), "a");
}

#[test]
fn a_busy_check_is_no_failed_check() {
    let a = Scripted::always(Say::Answer("a"));
    let bench = bench(&[&a]);
    *a.check.lock() = Err(Failure::new(Fault::Busy, "busy"));
    for _ in 0..5 {
        assert_eq!(bench.gateway.check_now("a"), Some(true));
    }
}

#[test]
fn checks_run_at_once_at_the_start_and_when_a_breaker_opens_and_end_when_told() {
    let a = Scripted::failing(Fault::Refused);
    let bench = bench(&[&a]);
    bench.gateway.start_checks().expect("a thread to spare");
    until(|| a.checks.load(Ordering::SeqCst) == 1);
    until(|| bench.witness.saw("Checked").len() == 1);
    for _ in 0..3 {
        bench.ask();
    }
    until(|| a.checks.load(Ordering::SeqCst) == 2);
    bench.gateway.stop();
    let checks = a.checks.load(Ordering::SeqCst);
    bench.gateway.start_checks().expect("a thread to spare");
    until(|| a.checks.load(Ordering::SeqCst) == checks + 1);
    bench.gateway.stop();
}

#[test]
fn a_panic_counts_as_a_failure_and_frees_the_permit() {
    let a = Scripted::always(Say::Panic);
    let bench = bench(&[&a]);
    for _ in 0..3 {
        let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.ask()));
        assert!(asked.is_err());
    }
    let status = bench.gateway.snapshot().remove(0);
    assert_eq!((status.in_flight, status.error_count), (0, 3));
    assert_eq!(status.models[0].circuit, Circuit::Open);
}

#[test]
fn a_trial_stream_closes_the_breaker_with_its_first_token_and_a_later_cut_still_counts() {
    let gate = Gate::default();
    let a = Scripted::failing(Fault::Refused);
    let bench = bench(&[&a]);
    for _ in 0..3 {
        bench.ask();
    }
    bench.clock.advance(10 * SECOND);
    let cut = vec![text("half"), Step::Gate(gate.clone()), breaks(Fault::Reset)];
    a.now_says(Say::Stream(cut));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| bench.ask().0);
        until(|| bench.gateway.circuits()[0].1 == Circuit::Closed);
        gate.open();
        assert_eq!(brief(&asking.join().expect("returns")), "broken: reset");
    });
    assert_eq!(bench.witness.saw("BreakerFailed").len(), 4);
}

#[test]
fn a_hundred_threads_at_the_instant_of_half_open_get_exactly_the_configured_trials() {
    for most in [1, 5] {
        let clock = Arc::new(ManualClock::new());
        let witness = Arc::new(Witness::default());
        let house = House::new(clock.clone() as Arc<dyn Clock>, witness.clone() as Arc<dyn Observer>);
        let mut numbers = settings().breaker;
        numbers.max_requests = most;
        let slot = Slot::new(
            &super::super::fakes::slot("a"),
            Scripted::failing(Fault::Refused),
            (numbers, 3),
            clock.now(),
        );
        let refused = Failure::new(Fault::Refused, "refused");
        for _ in 0..3 {
            let Ok(entry) = slot.admit(("m", 0), (&house, house.now())) else { panic!("refused too early") };
            entry.end(Ended::Failed(&refused), A_SECOND);
        }
        assert!(slot.admit(("m", 0), (&house, house.now())).is_err());
        clock.advance(10 * SECOND);
        let (barrier, admitted) = (Barrier::new(100), AtomicUsize::new(0));
        let entries = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for _ in 0..100 {
                scope.spawn(|| {
                    barrier.wait();
                    if let Ok(entry) = slot.admit(("m", 0), (&house, house.now())) {
                        admitted.fetch_add(1, Ordering::SeqCst);
                        entries.lock().push(entry);
                    }
                });
            }
        });
        assert_eq!(admitted.load(Ordering::SeqCst), most as usize);
        entries.into_inner().remove(0).end(Ended::Well, A_SECOND);
        assert_eq!(slot.status(clock.now()).circuit, Circuit::Closed);
    }
}

#[test]
fn explaining_names_every_provider_and_why_it_is_left_out() {
    let (a, b) = (Scripted::failing(Fault::Refused), Scripted::always(busy(30.0)));
    let bench = bench(&[&a, &b]);
    for _ in 0..3 {
        bench.ask();
    }
    let lines = bench.gateway.explain(Some("b-large"), None);
    let brief: Vec<_> = lines.iter().map(|line| (line.provider.as_str(), line.model.as_str())).collect();
    assert_eq!(brief, [("b", "b-large"), ("a", "a-own")]);
    assert_eq!(lines[0].left_out.as_deref(), Some("it is busy for 30 s more"));
    assert_eq!(lines[1].left_out.as_deref(), Some("its circuit is open for 10 s more"));
    let pinned = bench.gateway.explain(None, Some("a"));
    assert_eq!(pinned[1].left_out.as_deref(), Some("another provider is pinned"));
}
