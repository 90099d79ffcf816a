//! Streams: nothing is committed early, and what broke goes on.

use super::super::OnStreamFailure;
use super::super::cancel::{Cancel, Reason};
use super::super::fakes::*;
use super::super::ports::Outcome;
use crate::domain::chat::{Delta, Finish, Usage};
use crate::domain::failure::Fault;
use std::sync::Arc;
use std::time::Duration;

const TEXT: &str = "It was the best of times, it was the worst of times, it was the age of wisdom.";

/// A stream that says the beginning of [`TEXT`] in pieces, then breaks.
fn cut(at: usize, fault: Fault) -> Say {
    let mut steps = vec![start(), frame(Vec::new())];
    steps.extend(
        TEXT.as_bytes()[..at].chunks(7).map(|piece| text(std::str::from_utf8(piece).expect("ascii"))),
    );
    steps.push(breaks(fault));
    Say::Stream(steps)
}

#[test]
fn a_stream_arrives_as_it_was_sent_byte_for_byte() {
    let a = Scripted::always(streams(&["Hel", "lo"]));
    let (outcome, trail, heard) = bench(&[&a]).ask();
    assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", "Hello"));
    assert_eq!(heard.frames.len(), 5);
    for frame in &heard.frames {
        assert_eq!(frame.verbatim.as_deref(), Some(format!("{:?}", frame.deltas).as_bytes()));
    }
    assert_eq!((heard.begun.len(), heard.begun[0].served.clone()), (1, trail.served));
    assert_eq!(trail.usage, Some(Usage { input: 3, output: 2, ..Usage::default() }));
}

#[test]
fn whatever_breaks_before_the_first_content_is_a_failover_the_caller_never_sees() {
    for fault in
        [Fault::Reset, Fault::FirstTokenTimeout, Fault::ErrorInBody, Fault::Truncated, Fault::Garbage]
    {
        let a = Scripted::always(Say::Stream(vec![start(), frame(Vec::new()), used(1, 0), breaks(fault)]));
        let b = Scripted::always(streams(&["Hello"]));
        let (outcome, trail, heard) = bench(&[&a, &b]).ask();
        assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", "Hello"), "{fault:?}");
        assert_eq!(heard.begun.len(), 1);
        assert_eq!(heard.begun[0].served, Some(("b".into(), "b-own".into())));
        assert_eq!(heard.frames.len(), 4, "frames of the first provider reached the caller");
        assert_eq!(b.asked.lock()[0].1, None);
        assert_eq!(trail.attempts[0].outcome, fault.word());
    }
}

#[test]
fn a_stream_cut_anywhere_is_finished_by_the_next_provider_however_it_goes_on() {
    for at in 1..TEXT.len() {
        for (kind, rest) in
            [("the rest", &TEXT[at..]), ("all of it", TEXT), ("from inside", &TEXT[at.saturating_sub(20)..])]
        {
            if kind == "the rest" && at > 30 && TEXT[at..].starts_with("it was the") {
                continue; // Not to be told from an answer that begins again.
            }
            let (a, b) = (Scripted::always(cut(at, Fault::Reset)), Scripted::always(streams(&[rest])));
            let bench = bench(&[&a, &b]);
            let (outcome, trail, heard) = bench.ask();
            assert_eq!(
                (brief(&outcome).as_str(), heard.text().as_str()),
                ("streamed", TEXT),
                "{kind} at {at}"
            );
            assert_eq!(heard.begun.len(), 1);
            assert_eq!(heard.finishes(), 1);
            let starts = heard.deltas().iter().filter(|delta| matches!(delta, Delta::Start { .. })).count();
            assert_eq!(starts, 1, "a second start frame");
            assert_eq!(b.asked.lock()[0].1.as_deref(), Some(&TEXT[..at]));
            assert_eq!(trail.served, Some(("b".into(), "b-own".into())));
            assert_eq!(bench.witness.saw("StreamResumed").len(), 1);
            assert_eq!(bench.witness.saw("StreamAborted").len(), 0);
        }
    }
}

#[test]
fn a_continued_stream_reports_the_sum_of_tokens_and_the_trail_knows_both() {
    let cut = vec![start(), used(10, 1), text("Hello "), used(10, 4), breaks(Fault::IdleTimeout)];
    let rest = vec![start(), used(20, 0), text("world"), done(), used(20, 5)];
    let (a, b) = (Scripted::always(Say::Stream(cut)), Scripted::always(Say::Stream(rest)));
    let bench = bench(&[&a, &b]);
    let (_, trail, heard) = bench.ask();
    // The first one's last word is missing: what he counted so far is an estimate.
    let sum = Some(Usage { input: 30, output: 9, estimated: true, ..Usage::default() });
    assert_eq!((heard.last_usage(), trail.usage), (sum, sum));
    assert_eq!(bench.witness.saw("Used").len(), 2);
    let outcomes: Vec<&str> = trail.attempts.iter().map(|tried| &*tried.outcome).collect();
    assert_eq!(outcomes, ["idle_timeout", "200"]);
    assert!(heard.frames[4..].iter().all(|frame| frame.verbatim.is_none()));
}

#[test]
fn a_stream_is_continued_more_than_once_and_past_those_who_refuse() {
    let a = Scripted::always(cut(20, Fault::Reset));
    let b = Scripted::failing(Fault::BadRequest);
    let c = Scripted::always(Say::Stream(vec![text(&TEXT[20..50]), breaks(Fault::Truncated)]));
    let d = Scripted::always(streams(&[&TEXT[50..]]));
    let bench = bench(&[&a, &b, &c, &d]);
    let (outcome, trail, heard) = bench.ask();
    assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", TEXT));
    assert_eq!(d.asked.lock()[0].1.as_deref(), Some(&TEXT[..50]));
    assert_eq!(trail.attempts.len(), 4);
    let resumed = bench.witness.saw("StreamResumed");
    assert!(resumed[0].contains("from: \"a\", to: \"c\"") && resumed[1].contains("from: \"c\", to: \"d\""));
}

#[test]
fn a_stream_that_breaks_long_after_the_deadline_of_its_first_token_is_still_continued() {
    let (a, b) = (Scripted::always(Say::Hang), Scripted::failing(Fault::ServerError));
    let c = Scripted::always(streams(&[&TEXT[20..]]));
    let bench = bench(&[&a, &b, &c]);
    let hours = Step::Advance(bench.clock.clone(), Duration::from_secs(7_200));
    a.now_says(Say::Stream(vec![text(&TEXT[..20]), hours, breaks(Fault::Reset)]));
    let (outcome, _, heard) = bench.ask();
    assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", TEXT));
}

#[test]
fn a_stream_nobody_can_continue_ends_as_broken_and_never_as_finished() {
    let cases: Vec<(&str, Vec<Arc<Scripted>>)> = vec![
        ("alone", vec![Scripted::always(cut(20, Fault::Reset))]),
        (
            "the next refuses",
            vec![Scripted::always(cut(20, Fault::Reset)), Scripted::failing(Fault::BadRequest)],
        ),
        (
            "the next fails",
            vec![Scripted::always(cut(20, Fault::Reset)), Scripted::failing(Fault::ServerError)],
        ),
        (
            "the next is empty",
            vec![Scripted::always(cut(20, Fault::Reset)), Scripted::always(Say::Stream(vec![start()]))],
        ),
        (
            "the next does not stream",
            vec![Scripted::always(cut(20, Fault::Reset)), Scripted::always(Say::Answer("whole"))],
        ),
    ];
    for (name, providers) in cases {
        let providers: Vec<&Arc<Scripted>> = providers.iter().collect();
        let bench = bench(&providers);
        let (outcome, _, heard) = bench.ask();
        assert_eq!(brief(&outcome), "broken: reset", "{name}");
        assert_eq!((heard.text().as_str(), heard.finishes()), (&TEXT[..20], 0), "{name}");
        let aborted = bench.witness.saw("StreamAborted");
        assert!(aborted.len() == 1 && aborted[0].contains("\"a\""), "{name}: {aborted:?}");
    }
}

#[test]
fn a_stream_is_not_continued_when_told_so_nor_after_a_tool_call_nor_with_several_choices() {
    let call = Delta::ToolCall { choice: 0, call: 0, id: "c".to_owned(), name: "t".to_owned() };
    let second = Delta::Text { choice: 1, text: "x".to_owned() };
    for (setting, step) in [
        (OnStreamFailure::End, text("more")),
        (OnStreamFailure::Continue, frame(vec![call])),
        (OnStreamFailure::Continue, frame(vec![second])),
    ] {
        let a = Scripted::always(Say::Stream(vec![text("Hello"), step, breaks(Fault::Reset)]));
        let b = Scripted::always(streams(&["Hello world"]));
        let told = super::super::Settings { on_stream_failure: setting, ..settings() };
        let (outcome, _, heard) = bench_with(told, &[&a, &b], |_| {}).ask();
        assert_eq!((brief(&outcome).as_str(), b.times(), heard.finishes()), ("broken: reset", 0, 0));
    }
}

#[test]
fn a_stream_that_ends_without_a_finish_is_truncated_and_one_with_a_finish_is_complete() {
    let a = Scripted::always(Say::Stream(vec![text("Hello")]));
    assert_eq!(brief(&bench(&[&a]).ask().0), "broken: truncated");
    for fault in [Fault::Reset, Fault::IdleTimeout, Fault::Truncated] {
        let a = Scripted::always(Say::Stream(vec![text("Hello"), done(), breaks(fault)]));
        let bench = bench(&[&a]);
        assert_eq!(brief(&bench.ask().0), "streamed");
        assert!(bench.witness.saw("BreakerFailed").is_empty());
    }
    let two = |choice| frame(vec![Delta::Text { choice, text: "x".to_owned() }]);
    let a = Scripted::always(Say::Stream(vec![two(0), two(1), done(), breaks(Fault::Reset)]));
    assert_eq!(brief(&bench(&[&a]).ask().0), "broken: reset");
}

#[test]
fn an_answer_without_content_is_delivered_when_it_was_cut_short_and_failed_over_when_it_was_not() {
    let b = Scripted::always(streams(&["b"]));
    let full = frame(vec![Delta::Finish { choice: 0, finish: Finish::Length }]);
    let a = Scripted::always(Say::Stream(vec![start(), full, used(3, 0)]));
    let (outcome, trail, heard) = bench(&[&a, &b]).ask();
    assert_eq!((brief(&outcome).as_str(), heard.frames.len(), b.times()), ("streamed", 3, 0));
    assert_eq!(trail.usage.map(|usage| usage.input), Some(3));
    for steps in [vec![], vec![start()], vec![start(), used(3, 0)], vec![start(), done(), used(3, 0)]] {
        let a = Scripted::always(Say::Stream(steps));
        let (outcome, trail, heard) = bench(&[&a, &b]).ask();
        assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", "b"));
        assert_eq!(trail.attempts[0].outcome, "empty");
    }
}

#[test]
fn endless_frames_without_content_are_no_answer() {
    let pings = (0..5_000).map(|_| frame(Vec::new())).collect();
    let a = Scripted::always(Say::Stream(pings));
    assert_eq!(brief(&bench(&[&a]).ask().0), "failed: garbage");
}

#[test]
fn thoughts_told_before_the_cut_do_not_stop_the_continuation_and_late_ones_are_dropped() {
    let thought =
        |text: &str| frame(vec![Delta::Reasoning { choice: 0, text: text.to_owned(), signature: None }]);
    let a = Scripted::always(Say::Stream(vec![thought("hm"), text("Hello "), breaks(Fault::Reset)]));
    let b = Scripted::always(Say::Stream(vec![thought("ha"), text("world"), done()]));
    let (outcome, _, heard) = bench(&[&a, &b]).ask();
    assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", "Hello world"));
    let thoughts = heard.deltas().iter().filter(|delta| matches!(delta, Delta::Reasoning { .. })).count();
    assert_eq!(thoughts, 1);
    let finish = heard.deltas().pop();
    assert_eq!(finish, Some(Delta::Finish { choice: 0, finish: Finish::Stop }));
}

#[test]
fn a_caller_who_stops_listening_ends_the_stream_and_what_was_used_is_accounted() {
    let a = Scripted::always(Say::Stream(vec![used(5, 0), text("one"), text("two"), text("three"), done()]));
    let b = Scripted::always(streams(&["b"]));
    let bench = bench(&[&a, &b]);
    let (outcome, trail, heard) = bench.ask_with(question("{}"), Recorder::leaving_after(2));
    assert!(matches!(outcome, Outcome::Broken(ref failure) if failure.fault == Fault::CallerLeft));
    assert_eq!((heard.frames.len(), b.times()), (2, 0));
    assert_eq!(trail.usage.map(|usage| usage.input), Some(5));
    assert!(bench.witness.saw("Breaker").is_empty());
    assert!(bench.witness.saw("StreamAborted").is_empty());
}

#[test]
fn a_caller_who_leaves_during_a_silence_ends_the_call_and_nobody_is_blamed() {
    let a = Scripted::always(Say::Stream(vec![text("Hello"), Step::Hang]));
    let b = Scripted::always(streams(&["b"]));
    let bench = bench(&[&a, &b]);
    let leave = Cancel::new();
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            bench.gateway.ask((question("{}").into(), bench.now()), &leave, &mut Recorder::default()).0
        });
        until(|| !bench.witness.saw("FirstToken").is_empty());
        leave.fire(Reason::CallerLeft);
        assert_eq!(brief(&asking.join().expect("returns")), "broken: caller_left");
    });
    assert_eq!(b.times(), 0);
    assert!(bench.witness.saw("Breaker").is_empty());
}

#[test]
fn a_stream_whose_remaining_providers_were_passed_over_tries_the_one_closest_to_recovery() {
    let a = Scripted::always(cut(20, Fault::Reset));
    let b = Scripted::failing(Fault::Refused);
    let bench = bench(&[&a, &b]);
    for _ in 0..3 {
        let mut pinned = question("{}");
        pinned.pinned = Some("b".to_owned());
        bench.ask_with(pinned, Recorder::default());
    }
    b.now_says(streams(&[&TEXT[20..]]));
    let (outcome, _, heard) = bench.ask();
    assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", TEXT));
}

#[test]
fn frames_that_came_together_leave_together_and_none_waits_for_one_that_did_not() {
    let gate = Gate::default();
    let steps = vec![start(), text("a"), text("b"), Step::Gate(gate.clone()), text("c"), text("d"), done()];
    let a = Scripted::always(Say::Stream(steps));
    gate.open();
    let (outcome, _, heard) = bench(&[&a]).ask();
    assert_eq!(brief(&outcome), "streamed");
    assert_eq!((heard.text().as_str(), &*heard.flushed), ("abcd", &[3, 6][..]));
}

#[test]
fn what_was_told_has_left_before_somebody_else_is_asked_to_go_on() {
    let a = Scripted::always(Say::Stream(vec![text("Hel"), text("lo "), breaks(Fault::Reset)]));
    let b = Scripted::always(streams(&["there"]));
    let (outcome, _, heard) = bench(&[&a, &b]).ask();
    assert_eq!((brief(&outcome).as_str(), heard.text().as_str()), ("streamed", "Hello there"));
    assert_eq!(heard.flushed.first(), Some(&2));
}
