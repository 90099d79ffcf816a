//! Identical questions of the same caller cost one call, and nobody is left hanging.

use super::super::cancel::{Cancel, Reason};
use super::super::fakes::*;
use super::super::flight::{Boarded, Flights, Lead, News, REPLAY_BYTES_MAX, Shared};
use super::super::ports::{Caller, Outcome, Question, Trail};
use crate::domain::chat::{Delta, Frame};
use crate::domain::failure::Fault;
use std::time::Duration;

/// A hundred callers ask the same at once; what each of them got.
fn a_hundred(bench: &Bench, gate: &Gate) -> Vec<(Outcome, Trail, Recorder)> {
    std::thread::scope(|scope| {
        let asking: Vec<_> = (0..100).map(|_| scope.spawn(|| bench.ask())).collect();
        until(|| bench.gateway.flights.followers() == 99);
        gate.open();
        asking.into_iter().map(|thread| thread.join().expect("answers")).collect()
    })
}

#[track_caller]
fn landed(bench: &Bench) {
    assert_eq!((bench.gateway.flights.in_the_air(), bench.gateway.flights.kept_bytes()), (0, 0));
}

#[test]
fn a_hundred_identical_questions_cost_one_call_and_all_get_the_whole_answer() {
    let gate = Gate::default();
    let a = Scripted::always(Say::Late(gate.clone(), Box::new(Say::Answer("a"))));
    let bench = bench(&[&a]);
    let all = a_hundred(&bench, &gate);
    assert_eq!(a.times(), 1);
    assert!(all.iter().all(|(outcome, ..)| brief(outcome) == "a"));
    assert_eq!(all.iter().filter(|(_, trail, _)| trail.deduplicated).count(), 99);
    assert_eq!(all.iter().filter(|(_, trail, _)| trail.usage.is_some()).count(), 1, "accounted once");
    assert!(all.iter().all(|(_, trail, _)| trail.served.is_some() && trail.attempts.len() == 1));
    assert_eq!(bench.witness.saw("Deduplicated").len(), 99);
    landed(&bench);
}

#[test]
fn a_hundred_identical_streams_cost_one_call_and_late_joiners_hear_all_of_it() {
    let gate = Gate::default();
    // Half of it is already told when the others come.
    let steps = vec![start(), text("Hel"), Step::Gate(gate.clone()), text("lo"), done(), used(3, 2)];
    let a = Scripted::always(Say::Stream(steps));
    let bench = bench(&[&a]);
    let all = a_hundred(&bench, &gate);
    assert_eq!(a.times(), 1);
    for (outcome, _, heard) in &all {
        assert_eq!((brief(outcome).as_str(), heard.text().as_str()), ("streamed", "Hello"));
        assert_eq!((heard.begun.len(), heard.frames.len(), heard.finishes()), (1, 5, 1));
    }
    landed(&bench);
}

#[test]
fn an_error_is_shared_with_those_waiting_and_never_kept() {
    let gate = Gate::default();
    let failing = Say::Late(gate.clone(), Box::new(fails(Fault::ServerError)));
    let a = Scripted::saying(vec![failing], Say::Answer("a"));
    let bench = bench(&[&a]);
    let all = a_hundred(&bench, &gate);
    assert!(all.iter().all(|(outcome, ..)| brief(outcome) == "failed: server_error"));
    assert_eq!(brief(&bench.ask().0), "a");
    assert_eq!(a.times(), 2);
}

#[test]
fn a_leader_who_panics_gives_the_followers_an_error_and_not_a_hang() {
    for streamed in [false, true] {
        let gate = Gate::default();
        let say = if streamed {
            Say::Stream(vec![text("Hel"), Step::Gate(gate.clone()), Step::Panic])
        } else {
            Say::Late(gate.clone(), Box::new(Say::Panic))
        };
        let a = Scripted::always(say);
        let bench = bench(&[&a]);
        let ask = || std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| bench.ask()));
        let results: Vec<_> = std::thread::scope(|scope| {
            let asking: Vec<_> = (0..10).map(|_| scope.spawn(ask)).collect();
            until(|| bench.gateway.flights.followers() == 9);
            gate.open();
            asking.into_iter().map(|thread| thread.join().expect("returns")).collect()
        });
        assert_eq!(results.iter().filter(|result| result.is_err()).count(), 1);
        let expected = if streamed { "broken: internal" } else { "failed: internal" };
        assert!(results.iter().flatten().all(|(outcome, ..)| brief(outcome) == expected));
        landed(&bench);
    }
}

#[test]
fn a_leader_who_leaves_does_not_end_the_flight_while_a_follower_remains() {
    for streamed in [false, true] {
        let gate = Gate::default();
        let say = if streamed {
            Say::Stream(vec![text("Hel"), Step::Gate(gate.clone()), text("lo"), done()])
        } else {
            Say::Late(gate.clone(), Box::new(Say::Answer("Hello")))
        };
        let a = Scripted::always(say);
        let bench = bench(&[&a]);
        let leave = Cancel::new();
        std::thread::scope(|scope| {
            let leader = scope.spawn(|| {
                bench
                    .gateway
                    .ask((question("{}").into(), bench.now()), &leave, &mut Recorder::leaving_after(1))
                    .0
            });
            until(|| a.times() == 1);
            let follower = scope.spawn(|| bench.ask());
            until(|| bench.gateway.flights.followers() == 1);
            leave.fire(Reason::CallerLeft);
            gate.open();
            let (outcome, _, heard) = follower.join().expect("answers");
            if streamed {
                assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", "Hello"));
                assert_eq!(brief(&leader.join().expect("returns")), "broken: caller_left");
            } else {
                assert_eq!(brief(&outcome), "Hello");
            }
        });
        assert_eq!(a.times(), 1);
        landed(&bench);
    }
}

#[test]
fn when_the_last_one_leaves_the_call_is_cancelled() {
    let a = Scripted::always(Say::Hang);
    let bench = bench(&[&a]);
    let (one, two) = (Cancel::new(), Cancel::new());
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| {
            bench.gateway.ask((question("{}").into(), bench.now()), &one, &mut Recorder::default()).0
        });
        until(|| a.times() == 1);
        let follower = scope.spawn(|| {
            bench.gateway.ask((question("{}").into(), bench.now()), &two, &mut Recorder::default()).0
        });
        until(|| bench.gateway.flights.followers() == 1);
        one.fire(Reason::CallerLeft);
        two.fire(Reason::CallerLeft);
        assert_eq!(brief(&follower.join().expect("returns")), "failed: caller_left");
        assert_eq!(brief(&leader.join().expect("returns")), "failed: caller_left");
    });
    landed(&bench);
}

#[test]
fn a_question_after_an_abandoned_flight_begins_a_new_one() {
    let a = Scripted::saying(vec![Say::Hang], Say::Answer("a"));
    let bench = bench(&[&a]);
    let leave = Cancel::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            bench.gateway.ask((question("{}").into(), bench.now()), &leave, &mut Recorder::default())
        });
        until(|| a.times() == 1);
        leave.fire(Reason::CallerLeft);
        assert_eq!(brief(&bench.ask().0), "a");
    });
    landed(&bench);
}

#[test]
fn a_follower_has_a_deadline_of_his_own() {
    let a = Scripted::always(Say::Hang);
    let told = super::super::Settings { request_timeout: Duration::from_millis(50), ..settings() };
    let bench = bench_with(told, &[&a], |_| {});
    let leave = Cancel::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            bench.gateway.ask((question("{}").into(), bench.now()), &leave, &mut Recorder::default())
        });
        until(|| a.times() == 1);
        assert_eq!(brief(&bench.ask().0), "failed: total_timeout");
        leave.fire(Reason::CallerLeft);
    });
}

/// Whether a second question shares the first one's call.
fn shared(one: Question, other: Question) -> bool {
    let flights = Flights::new();
    let Boarded::Lead(_lead) = flights.board(one.into()) else { panic!("nobody else is there") };
    matches!(flights.board(other.into()), Boarded::Follow(_))
}

#[test]
fn only_identical_questions_of_the_same_caller_share_a_call() {
    assert!(shared(question("{}"), question("{}")));
    assert!(!shared(question("{}"), question("{ }")));
    let with = |change: fn(&mut Question)| {
        let mut changed = question("{}");
        change(&mut changed);
        changed
    };
    assert!(shared(question("{}"), with(|q| q.request_id = "another".into())));
    assert!(!shared(question("{}"), with(|q| q.caller = Caller::Key("other".into()))));
    assert!(!shared(question("{}"), with(|q| q.endpoint = "other")));
    assert!(!shared(question("{}"), with(|q| q.pinned = Some("a".to_owned()))));
    // Long bodies that differ in a byte the hash does not look at.
    let long = "x".repeat(100_000);
    for at in [0, 5_001, 50_002, 99_999] {
        let mut other = long.clone();
        other.replace_range(at..=at, "y");
        assert!(!shared(question(&long), question(&other)), "byte {at}");
    }
    assert!(shared(question(&long), question(&long)));
}

#[test]
fn deduplication_can_be_declined_by_the_caller_and_by_the_operator() {
    for (setting, asked) in [(true, false), (false, true)] {
        let gate = Gate::default();
        let a = Scripted::always(Say::Late(gate.clone(), Box::new(Say::Answer("a"))));
        let told = super::super::Settings { deduplicate: setting, ..settings() };
        let bench = bench_with(told, &[&a], |_| {});
        std::thread::scope(|scope| {
            for _ in 0..2 {
                let mut question = question("{}");
                question.deduplicate = asked;
                scope.spawn(|| bench.ask_with(question, Recorder::default()));
            }
            until(|| a.times() == 2);
            gate.open();
        });
    }
}

fn leading(flights: &Flights) -> Lead<'_> {
    match flights.board(question("{}").into()) {
        Boarded::Lead(lead) => lead,
        Boarded::Follow(_) | Boarded::Alone(_) => panic!("somebody else leads"),
    }
}

fn big(bytes: usize) -> Frame {
    let text = "x".repeat(bytes);
    Frame { deltas: vec![Delta::Text { choice: 0, text }], verbatim: None }
}

#[test]
fn a_flight_too_big_to_replay_takes_nobody_on_and_keeps_little() {
    let flights = Flights::new();
    let lead = leading(&flights);
    lead.flight.begin(&Trail::default());
    for _ in 0..9 {
        lead.flight.publish(&big(REPLAY_BYTES_MAX / 8));
    }
    assert!(matches!(flights.board(question("{}").into()), Boarded::Alone(_)));
    assert_eq!(flights.kept_bytes(), 0);
}

#[test]
fn a_follower_who_falls_too_far_behind_is_told_and_the_others_are_not_held_up() {
    let flights = Flights::new();
    let lead = leading(&flights);
    let Boarded::Follow(mut quick) = flights.board(question("{}").into()) else { panic!("a follower") };
    let Boarded::Follow(mut slow) = flights.board(question("{}").into()) else { panic!("a follower") };
    let (leave, soon) = (Cancel::new(), crate::clock::Clock::now(&crate::clock::SystemClock));
    lead.flight.begin(&Trail::default());
    assert!(matches!(quick.next(&leave, soon), News::Begun(_)));
    assert!(matches!(slow.next(&leave, soon), News::Begun(_)));
    for _ in 0..20 {
        lead.flight.publish(&big(REPLAY_BYTES_MAX / 8));
        let News::Frames(mut clip) = quick.next(&leave, soon) else { panic!("one more came") };
        assert!(clip.next(&mut Frame::default()) && !clip.next(&mut Frame::default()));
        assert!(flights.kept_bytes() <= REPLAY_BYTES_MAX);
    }
    assert!(matches!(slow.next(&leave, soon), News::Behind));
    lead.end(|| Shared::Streamed, &Trail::default());
    assert!(matches!(quick.next(&leave, soon), News::Ended(_)));
    drop((lead, quick, slow));
    assert_eq!(flights.kept_bytes(), 0);
}
