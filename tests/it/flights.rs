//! Identical requests of one caller in flight at once cost one upstream call, and everyone hears all of it.

use crate::rig::{CHAT, HELLO, HELLO_STREAM, PATIENCE, Rig, at_once};
use hapax::simulate::Simulator;

const OPENAI: &str = "openai_compatible";
const CALLERS: usize = 100;

/// A hundred callers of which all but the first have joined when the provider begins to answer.
fn hundred(body: &str) -> (Rig, Vec<crate::rig::caller::Answer>) {
    let rig = Rig::with(&[OPENAI], "server: {workers: 128}\n");
    rig.behave(0, "hold");
    let answers = std::thread::scope(|scope| {
        let callers = scope.spawn(|| at_once(CALLERS, |_| rig.post(CHAT, body)));
        assert_eq!(rig.provider(0).wait_for(1, PATIENCE).len(), 1);
        rig.wait_for_metric(&format!("hapax_deduplicated_requests_total {}", CALLERS - 1));
        rig.provider(0).gate().open();
        callers.join().expect("no panic")
    });
    (rig, answers)
}

#[test]
fn a_hundred_identical_requests_cost_one_call_and_all_get_the_whole_answer() {
    for body in [HELLO, HELLO_STREAM] {
        let (rig, answers) = hundred(body);
        assert_eq!(rig.asked(0).len(), 1);
        for answer in &answers {
            assert_eq!((answer.status, answer.said()), (200, Simulator::expected_text("model-a", "Hello")));
            assert!(answer.whole && (body == HELLO || answer.is_done()));
        }
        let shared =
            answers.iter().filter(|answer| answer.header("x-hapax-deduplicated") == Some("true")).count();
        assert_eq!(shared, CALLERS - 1);
    }
}

#[test]
fn a_follower_who_joins_late_hears_what_was_already_said() {
    let rig = Rig::new(&[OPENAI]);
    rig.behave(0, "hold_after=4");
    let mut leader = rig.connect();
    leader.send("POST", CHAT, &[], HELLO_STREAM);
    assert_eq!(leader.head().0, 200);
    for _ in 0..5 {
        assert!(leader.chunk().is_some());
    }
    std::thread::scope(|scope| {
        let late = scope.spawn(|| rig.post(CHAT, HELLO_STREAM));
        rig.wait_for_metric("hapax_deduplicated_requests_total 1");
        rig.provider(0).gate().open();
        let late = late.join().expect("no panic");
        assert_eq!(late.said(), Simulator::expected_text("model-a", "Hello"));
        assert!(late.is_done());
    });
    assert_eq!(rig.asked(0).len(), 1);
}

#[test]
fn the_leaders_departure_does_not_end_the_flight_while_followers_remain() {
    let rig = Rig::new(&[OPENAI]);
    rig.behave(0, "hold");
    let mut leader = rig.connect();
    leader.send("POST", CHAT, &[], HELLO_STREAM);
    assert_eq!(rig.provider(0).wait_for(1, PATIENCE).len(), 1);
    std::thread::scope(|scope| {
        let follower = scope.spawn(|| rig.post(CHAT, HELLO_STREAM));
        rig.wait_for_metric("hapax_deduplicated_requests_total 1");
        drop(leader);
        rig.provider(0).gate().open();
        assert!(follower.join().expect("no panic").is_done());
    });
    assert_eq!(rig.asked(0).len(), 1);
}

#[test]
fn an_error_is_shared_with_those_waiting_and_not_kept() {
    let rig = Rig::with(&[OPENAI], "");
    rig.provider(0).script(&["hold,status=400"]);
    let answers = std::thread::scope(|scope| {
        let callers = scope.spawn(|| at_once(5, |_| rig.chat().status));
        rig.wait_for_metric("hapax_deduplicated_requests_total 4");
        rig.provider(0).gate().open();
        callers.join().expect("no panic")
    });
    assert_eq!(answers, [400; 5]);
    assert_eq!(rig.chat().status, 200);
}

#[test]
fn whoever_opts_out_or_asks_something_else_goes_alone() {
    let rig = Rig::new(&[OPENAI]);
    rig.behave(0, "hold");
    let off = [("X-Hapax-Deduplicate", "off")];
    let other = r#"{"messages":[{"role":"user","content":"Hello!"}]}"#;
    std::thread::scope(|scope| {
        let rig = &rig;
        let threads = [
            scope.spawn(|| rig.chat().status),
            scope.spawn(|| rig.ask("POST", CHAT, &off, HELLO).status),
            scope.spawn(|| rig.post(CHAT, other).status),
        ];
        assert_eq!(rig.provider(0).wait_for(3, PATIENCE).len(), 3);
        rig.provider(0).gate().open();
        assert!(threads.into_iter().all(|thread| thread.join().expect("no panic") == 200));
    });
}
