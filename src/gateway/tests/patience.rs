//! Waiting: a stream with nothing to say is kept alive, a slow caller holds nobody up, equals share the traffic.

use super::super::Settings;
use super::super::fakes::*;
use super::super::ports::Question;
use crate::domain::balance::Strategy;
use crate::domain::failure::Fault;
use std::sync::Arc;
use std::time::Duration;

fn a_stream() -> Question {
    let mut question = question("{}");
    question.gist.stream = true;
    question
}

#[test]
fn a_caller_of_a_stream_is_told_how_long_to_be_left_without_a_word_and_another_is_not() {
    let every = Duration::from_secs(7);
    let a = Scripted::always(streams(&["Hel", "lo"]));
    let bench = bench_with(Settings { keep_alive: every, ..settings() }, &[&a], |_| {});
    for (question, waits) in [(a_stream(), vec![every]), (question("{}"), Vec::new())] {
        let recorder = Recorder::default();
        let told = Arc::clone(&recorder.waits);
        let _ = bench.ask_with(question, recorder);
        assert_eq!(*told.lock(), waits);
    }
}

#[test]
fn a_panic_in_a_stream_passes_through_and_frees_everything() {
    let a = Scripted::always(Say::Panic);
    let bench = bench_with(settings(), &[&a], |_| {});
    let asked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        bench.ask_with(a_stream(), Recorder::default())
    }));
    let words = asked.err().expect("it panics");
    assert_eq!(words.downcast_ref::<&str>(), Some(&"as the script says"));
    assert_eq!((bench.gateway.snapshot()[0].in_flight, bench.gateway.flights.in_the_air()), (0, 0));
}

#[test]
fn a_slow_leader_does_not_hold_his_followers_up_and_hears_everything_in_the_end() {
    let (aboard, slow) = (Gate::default(), Gate::default());
    let pieces: Vec<String> = (0..50).map(|number| format!("{number} ")).collect();
    let pieces: Vec<&str> = pieces.iter().map(String::as_str).collect();
    let a = Scripted::always(Say::Late(aboard.clone(), Box::new(streams(&pieces))));
    let bench = bench(&[&a]);
    let leader = Recorder { slow: Some(slow.clone()), ..Recorder::default() };
    std::thread::scope(|scope| {
        let leading = scope.spawn(|| bench.ask_with(a_stream(), leader));
        until(|| a.times() == 1);
        let following = scope.spawn(|| bench.ask_with(a_stream(), Recorder::default()));
        until(|| bench.gateway.flights.followers() == 1);
        aboard.open();
        // The leader's socket takes nothing all the while.
        let is_served_first = comes_true(|| following.is_finished()) && !leading.is_finished();
        slow.open();
        assert!(is_served_first, "the followers were held up");
        let (outcome, _, heard) = following.join().expect("returns");
        assert_eq!((brief(&outcome).as_str(), heard.text()), ("streamed", pieces.concat()));
        let (outcome, _, heard) = leading.join().expect("returns");
        assert_eq!((brief(&outcome).as_str(), heard.text()), ("streamed", pieces.concat()));
    });
    assert_eq!((a.times(), bench.gateway.flights.kept_bytes()), (1, 0));
}

#[test]
fn equals_share_the_traffic_by_weight_and_stand_in_for_each_other() {
    let (a, b) = (Scripted::always(Say::Answer("a")), Scripted::always(Say::Answer("b")));
    let weighted = Settings { strategy: Strategy::Weighted, ..settings() };
    let bench = bench_with(weighted, &[&a, &b], |slot| slot.weight = if slot.name == "a" { 3 } else { 1 });
    for _ in 0..80 {
        bench.ask();
    }
    assert!((58..=62).contains(&a.times()), "{} of 80", a.times());
    assert_eq!(a.times() + b.times(), 80);
    a.now_says(fails(Fault::Refused));
    assert!((0..20).all(|_| brief(&bench.ask().0) == "b"));
    // A model that only one of them serves goes there first, whatever the weights.
    a.now_says(Say::Answer("a"));
    assert!((0..20).all(|_| brief(&bench.ask_for("b-large").0) == "b"));
}

#[test]
fn the_least_busy_is_asked_first() {
    let gate = Gate::default();
    let a = Scripted::always(Say::Late(gate.clone(), Box::new(Say::Answer("a"))));
    let b = Scripted::always(Say::Answer("b"));
    let least_busy = Settings { strategy: Strategy::LeastBusy, deduplicate: false, ..settings() };
    let bench = bench_with(least_busy, &[&a, &b], |_| {});
    std::thread::scope(|scope| {
        let held = scope.spawn(|| brief(&bench.ask().0));
        until(|| a.times() == 1);
        assert_eq!(brief(&bench.ask().0), "b");
        gate.open();
        assert_eq!(held.join().expect("returns"), "a");
    });
    assert_eq!(brief(&bench.ask().0), "a");
}

#[test]
fn the_fastest_at_streams_is_asked_for_streams_and_the_fastest_at_whole_answers_for_those() {
    // `a` begins at once and takes its time for the whole; `b` is the other way round.
    let (a, b) = (Scripted::always(Say::Answer("a")), Scripted::always(Say::Answer("b")));
    let fastest = Settings { strategy: Strategy::Fastest, ..settings() };
    let bench = bench_with(fastest, &[&a, &b], |_| {});
    let ask = |provider: &Scripted, seconds, say: Say, question: Question| {
        provider.now_says(Say::Slow(bench.clock.clone(), Duration::from_secs(seconds), Box::new(say)));
        let before = provider.times();
        let _ = bench.ask_with(question, Recorder::default());
        assert_eq!(provider.times(), before + 1, "whoever is not known yet comes first");
    };
    ask(&a, 9, Say::Answer("a"), question("{}"));
    ask(&b, 5, Say::Answer("b"), question("{}"));
    ask(&a, 1, streams(&["a"]), a_stream());
    ask(&b, 2, streams(&["b"]), a_stream());
    for _ in 0..3 {
        ask(&b, 5, Say::Answer("b"), question("{}"));
        ask(&a, 1, streams(&["a"]), a_stream());
    }
}
