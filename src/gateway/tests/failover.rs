//! Whose fault it is decides who is asked next.

use super::super::cancel::{Cancel, Reason};
use super::super::fakes::*;
use super::super::ports::Outcome;
use crate::domain::failure::{Failure, Fault, Insecure};
use crate::domain::route::VirtualModel;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// One row: the first of two providers always fails so; how often each is asked, and what the caller gets.
#[track_caller]
fn row(fault: Fault, first: usize, second: usize, expected: &str) {
    let a = Scripted::failing(fault);
    let b = Scripted::always(Say::Answer("b"));
    let bench = bench_with(settings(), &[&a, &b], |slot| slot.retries = 1);
    let (outcome, trail, _) = bench.ask();
    assert_eq!((a.times(), b.times(), brief(&outcome).as_str()), (first, second, expected), "{fault:?}");
    assert_eq!(trail.attempts.len(), first + second, "{fault:?}");
    assert!(trail.attempts[..first].iter().all(|tried| tried.outcome == fault.word()), "{fault:?}");
    assert_eq!(bench.witness.saw("Retried").len(), first - 1, "{fault:?}");
    assert_eq!(bench.witness.saw("FailedOver").len(), second, "{fault:?}");
}

#[test]
fn every_row_of_the_verdict_table_holds() {
    for fault in [Fault::BadRequest, Fault::NotFound, Fault::TooLarge, Fault::ContentPolicy] {
        row(fault, 1, 0, &format!("failed: {}", fault.word()));
    }
    for fault in [Fault::ContextLength, Fault::UnknownModel, Fault::KeyRefused, Fault::PaymentRequired] {
        row(fault, 1, 1, "b");
    }
    for fault in [
        Fault::ServerError,
        Fault::Overloaded,
        Fault::Redirect,
        Fault::Refused,
        Fault::Reset,
        Fault::NameNotFound,
        Fault::Tls(Insecure::Expired),
        Fault::Garbage,
        Fault::Empty,
        Fault::Truncated,
        Fault::ErrorInBody,
        Fault::AnswerTooLarge,
    ] {
        row(fault, 2, 1, "b");
    }
    for fault in [Fault::ConnectTimeout, Fault::FirstTokenTimeout, Fault::IdleTimeout, Fault::TotalTimeout] {
        row(fault, 1, 1, "b");
    }
    row(Fault::Busy, 2, 1, "b");
    row(Fault::StaleConnection, 2, 1, "b");
    row(Fault::Untranslatable, 1, 1, "b");
    row(Fault::Internal, 1, 1, "b");
    row(Fault::CallerLeft, 1, 0, "failed: caller_left");
}

#[test]
fn only_the_provider_and_silence_verdicts_count_against_a_breaker() {
    for (fault, counted) in [
        (Fault::BadRequest, None),
        (Fault::ContextLength, None),
        (Fault::UnknownModel, None),
        (Fault::KeyRefused, None),
        (Fault::Busy, None),
        (Fault::StaleConnection, None),
        (Fault::Untranslatable, None),
        (Fault::Internal, None),
        (Fault::CallerLeft, None),
        (Fault::Refused, Some("\"a\"")),
        (Fault::FirstTokenTimeout, Some("\"a\"")),
        (Fault::ServerError, Some("\"a/a-own\"")),
        (Fault::Garbage, Some("\"a/a-own\"")),
    ] {
        let (a, b) = (Scripted::failing(fault), Scripted::always(Say::Answer("b")));
        let bench = bench(&[&a, &b]);
        bench.ask();
        let seen = bench.witness.saw("BreakerFailed");
        match counted {
            None => assert!(seen.is_empty(), "{fault:?}: {seen:?}"),
            Some(name) => assert!(seen.len() == 1 && seen[0].contains(name), "{fault:?}: {seen:?}"),
        }
    }
}

#[test]
fn retries_are_as_many_as_configured_and_one_that_helps_is_the_last() {
    let script = vec![fails(Fault::ServerError), fails(Fault::Reset), Say::Answer("a")];
    let (a, b) = (Scripted::saying(script, fails(Fault::Garbage)), Scripted::always(Say::Answer("b")));
    let bench = bench_with(settings(), &[&a, &b], |slot| slot.retries = 2);
    let (outcome, trail, _) = bench.ask();
    assert_eq!((brief(&outcome).as_str(), a.times(), b.times()), ("a", 3, 0));
    let outcomes: Vec<&str> = trail.attempts.iter().map(|tried| &*tried.outcome).collect();
    assert_eq!(outcomes, ["server_error", "reset", "200"]);
    assert_eq!(trail.served, Some(("a".into(), "a-own".into())));
}

#[test]
fn a_stale_connection_is_asked_again_at_once_and_nobody_is_blamed() {
    let a = Scripted::saying(vec![fails(Fault::StaleConnection)], Say::Answer("a"));
    let bench = bench(&[&a]);
    assert_eq!(brief(&bench.ask().0), "a");
    assert!(bench.witness.saw("Breaker").is_empty());
}

#[test]
fn a_short_retry_after_is_waited_out_and_a_long_one_goes_to_the_next_provider() {
    let a = Scripted::saying(vec![busy(0.02)], Say::Answer("a"));
    let b = Scripted::always(Say::Answer("b"));
    assert_eq!(brief(&bench(&[&a, &b]).ask().0), "a");
    assert_eq!(b.times(), 0);

    let a = Scripted::saying(vec![busy(30.0)], Say::Answer("a"));
    let bench = bench(&[&a, &b]);
    assert_eq!(brief(&bench.ask().0), "b");
    // Passed over until its time has come, then preferred again.
    assert_eq!(brief(&bench.ask().0), "b");
    assert_eq!(a.times(), 1);
    bench.clock.advance(Duration::from_secs(30));
    assert_eq!(brief(&bench.ask().0), "a");
}

#[test]
fn when_all_are_busy_the_caller_is_told_the_soonest_time() {
    let (a, b) = (Scripted::always(busy(30.0)), Scripted::always(busy(7.0)));
    let bench = bench(&[&a, &b]);
    let told = |outcome: Outcome| match outcome {
        Outcome::Failed(failure) => (failure.fault, failure.retry_after),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(bench.ask().0), (Fault::Busy, Some(Duration::from_secs(7))));
    let again = told(bench.ask().0);
    assert_eq!(again, (Fault::Saturated, Some(Duration::from_secs(7))));
    assert_eq!((a.times(), b.times()), (1, 1));
}

#[test]
fn a_provider_whose_calls_are_used_up_is_passed_over_and_the_only_one_is_waited_for() {
    let gate = Gate::default();
    let a = Scripted::saying(vec![Say::Late(gate.clone(), Box::new(Say::Answer("a")))], Say::Answer("a2"));
    let b = Scripted::always(Say::Answer("b"));
    let two = bench_with(settings(), &[&a, &b], |slot| slot.max_concurrency = 1);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| two.ask_with(question("1"), Recorder::default()).0);
        until(|| a.times() == 1);
        assert_eq!(brief(&two.ask_with(question("2"), Recorder::default()).0), "b");
        gate.open();
        assert_eq!(brief(&slow.join().expect("answers")), "a");
    });
    let never = Scripted::always(Say::Hang);
    let one = bench_with(settings(), &[&never], |slot| slot.max_concurrency = 1);
    let leave = Cancel::new();
    std::thread::scope(|scope| {
        scope.spawn(|| one.gateway.ask((question("1").into(), one.now()), &leave, &mut Recorder::default()));
        until(|| never.times() == 1);
        let (outcome, ..) = one.ask_with(question("2"), Recorder::default());
        assert_eq!(brief(&outcome), "failed: saturated");
        assert!(matches!(outcome, Outcome::Failed(failure) if failure.retry_after.is_some()));
        leave.fire(Reason::CallerLeft);
    });
}

#[test]
fn a_refused_key_is_replaced_by_the_next_of_the_pool_and_an_empty_pool_by_the_next_provider() {
    let refused = || fails(Fault::KeyRefused);
    let b = Scripted::always(Say::Answer("b"));
    let a = Scripted::saying(vec![refused(), refused()], Say::Answer("a"));
    a.keys.store(3, Ordering::SeqCst);
    let pool = bench(&[&a, &b]);
    assert_eq!(brief(&pool.ask().0), "a");
    assert_eq!(pool.witness.saw("KeySetAside").len(), 2);
    let a = Scripted::always(refused());
    a.keys.store(3, Ordering::SeqCst);
    let empty = bench(&[&a, &b]);
    assert_eq!(brief(&empty.ask().0), "b");
    assert_eq!((a.times(), empty.gateway.snapshot()[0].keys_left), (3, 0));
}

#[test]
fn when_all_fail_the_caller_gets_the_last_real_cause() {
    for (faults, expected) in [
        ([Fault::ServerError, Fault::Refused], Fault::Refused),
        ([Fault::ServerError, Fault::UnknownModel], Fault::ServerError),
        ([Fault::UnknownModel, Fault::ContextLength], Fault::ContextLength),
        ([Fault::UnknownModel, Fault::Untranslatable], Fault::UnknownModel),
        ([Fault::Untranslatable, Fault::Untranslatable], Fault::Untranslatable),
        ([Fault::FirstTokenTimeout, Fault::KeyRefused], Fault::KeyRefused),
    ] {
        let (a, b) = (Scripted::failing(faults[0]), Scripted::failing(faults[1]));
        let (outcome, trail, _) = bench(&[&a, &b]).ask();
        assert_eq!(brief(&outcome), format!("failed: {}", expected.word()), "{faults:?}");
        assert_eq!((trail.attempts.len(), trail.served), (2, None));
    }
}

#[test]
fn one_deadline_spans_all_attempts() {
    let b = Scripted::always(Say::Answer("b"));
    let a = Scripted::always(Say::Answer("unused"));
    let bench = bench_with(settings(), &[&a, &b], |slot| slot.retries = 5);
    let silent = Failure::new(Fault::FirstTokenTimeout, "silence");
    a.now_says(Say::Slow(bench.clock.clone(), Duration::from_secs(601), Box::new(Say::Fail(silent))));
    assert_eq!(brief(&bench.ask().0), "failed: first_token_timeout");
    let error = Failure::new(Fault::ServerError, "slow");
    a.now_says(Say::Slow(bench.clock.clone(), Duration::from_secs(599), Box::new(Say::Fail(error))));
    assert_eq!(brief(&bench.ask().0), "failed: server_error");
    assert_eq!(b.times(), 0);
}

#[test]
fn a_caller_who_leaves_cancels_the_call_and_nobody_is_blamed() {
    let (a, b) = (Scripted::always(Say::Hang), Scripted::always(Say::Answer("b")));
    let bench = bench(&[&a, &b]);
    let leave = Cancel::new();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            bench.gateway.ask((question("{}").into(), bench.now()), &leave, &mut Recorder::default()).0
        });
        until(|| a.times() == 1);
        leave.fire(Reason::CallerLeft);
        assert_eq!(brief(&asking.join().expect("returns")), "failed: caller_left");
    });
    assert_eq!(b.times(), 0);
    assert!(bench.witness.saw("Breaker").is_empty());
    assert_eq!(bench.gateway.snapshot()[0].in_flight, 0);
}

#[test]
fn the_caller_s_model_travels_and_an_own_name_asks_its_list_alone() {
    let (a, b) = (Scripted::failing(Fault::ServerError), Scripted::always(Say::Answer("b")));
    let mut told = settings();
    let targets = vec![("b".to_owned(), "b-tiny".to_owned()), ("a".to_owned(), "a-x".to_owned())];
    told.models = vec![VirtualModel { name: "fast".to_owned(), targets }];
    let bench = bench_with(told, &[&a, &b], |_| {});
    bench.ask_for("a-large");
    bench.ask_for("fast");
    let models = |provider: &Scripted| -> Vec<String> {
        provider.asked.lock().iter().map(|(model, _)| model.clone()).collect()
    };
    assert_eq!(
        (models(&a), models(&b)),
        (vec!["a-large".to_owned()], vec!["b-own".to_owned(), "b-tiny".to_owned()])
    );
    let used = bench.witness.saw("Used");
    assert!(used[0].contains("\"bot\"") && used[0].contains("\"b-own\"") && used[1].contains("\"b-tiny\""));
    assert_eq!(
        bench.gateway.models(),
        [("fast", "hapax"), ("a-own", "a"), ("b-own", "b")].map(|(id, by)| (id.to_owned(), by.to_owned()))
    );
}

#[test]
fn a_model_nobody_configured_by_name_is_not_known_to_the_metrics() {
    let a = Scripted::always(Say::Answer("a"));
    let bench = bench(&[&a]);
    bench.ask_for("a-made-up-by-the-caller");
    assert!(bench.witness.saw("Used")[0].contains("model: \"a-made-up-by-the-caller\", known: false"));
}

#[test]
fn a_pinned_provider_is_asked_alone_and_an_unknown_one_is_the_caller_s_mistake() {
    let (a, b) = (Scripted::always(Say::Answer("a")), Scripted::failing(Fault::ServerError));
    let bench = bench(&[&a, &b]);
    let pinned = |name: &str| {
        let mut question = question("{}");
        question.pinned = Some(name.to_owned());
        brief(&bench.ask_with(question, Recorder::default()).0)
    };
    assert_eq!(pinned("b"), "failed: server_error");
    assert_eq!(pinned("nobody"), "failed: bad_request");
    assert_eq!(a.times(), 0);
}

#[test]
fn a_gateway_without_providers_says_so() {
    assert_eq!(brief(&bench(&[]).ask().0), "failed: refused");
}
