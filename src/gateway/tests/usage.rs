//! What is accounted: the provider's word where he gives it, an estimate that says so where he does not.

use super::super::cancel::{Cancel, Reason};
use super::super::fakes::*;
use crate::domain::chat::{Answer, Usage};
use crate::domain::failure::Fault;
use crate::domain::usage::tokens_of;
use std::sync::atomic::Ordering;

fn estimated(input: u64, output: u64) -> Option<Usage> {
    Some(Usage { input, output, estimated: true, ..Usage::default() })
}

/// The question `{}` has two bytes.
const ASKED: u64 = 1;

#[test]
fn what_the_provider_reports_at_the_end_is_taken_as_it_is_and_nothing_is_weighed() {
    for say in [streams(&["Hello ", "world"]), Say::Answer("Hello world")] {
        let a = Scripted::always(say);
        let bench = bench(&[&a]);
        let (_, trail, _) = bench.ask();
        assert_eq!(trail.usage, Some(Usage { input: 3, output: 2, ..Usage::default() }));
        assert_eq!(a.weighed.load(Ordering::SeqCst), 0);
        let told = bench.witness.saw("Used");
        assert!(
            told[0]
                .contains("key: \"bot\", provider: \"a\", model: \"a-own\", known: true, endpoint: \"chat\"")
        );
    }
}

#[test]
fn a_provider_who_never_reports_or_says_what_cannot_be_is_estimated_from_question_and_answer() {
    let text = "four and twenty bytes!!!";
    let silent = || Say::Stream(vec![start(), self::text(text), done()]);
    let a = Scripted::always(silent());
    let (_, trail, _) = bench(&[&a]).ask();
    assert_eq!(trail.usage, estimated(ASKED, tokens_of(text.len())));
    let zero = Say::Stream(vec![start(), self::text(text), done(), used(0, 0)]);
    assert_eq!(bench(&[&Scripted::always(zero)]).ask().1.usage, estimated(ASKED, 6));
    let most = |input| Scripted::always(Say::Stream(vec![start(), self::text(text), done(), used(input, 6)]));
    let counted = Some(Usage { input: 1_000_000_000, output: 6, ..Usage::default() });
    assert_eq!(bench(&[&most(1_000_000_000)]).ask().1.usage, counted);
    assert_eq!(bench(&[&most(1_000_000_001)]).ask().1.usage, estimated(ASKED, 6), "no call has so many");
    let whole = Scripted::always(Say::Whole(Answer { usage: None, ..answer(text) }));
    assert_eq!(bench(&[&whole]).ask().1.usage, estimated(ASKED, 6));
}

#[test]
fn a_provider_whose_counts_cannot_be_relied_on_is_told_of_and_no_other() {
    let nonsense = Usage { input: u64::MAX, ..Usage::default() };
    let told = |say| {
        let bench = bench(&[&Scripted::always(say)]);
        bench.ask();
        bench.witness.saw("Uncounted")
    };
    let odd = ["Uncounted { provider: \"a\" }"];
    assert_eq!(told(Say::Whole(Answer { usage: Some(nonsense), ..answer("text") })), odd);
    assert_eq!(told(Say::Stream(vec![start(), text("text"), done()])), odd);
    for counted in
        [streams(&["text"]), Say::Answer("text"), Say::Stream(vec![start(), text("a"), breaks(Fault::Reset)])]
    {
        assert!(told(counted).is_empty());
    }
}

#[test]
fn a_stream_that_breaks_before_its_count_is_accounted_by_what_was_delivered() {
    let cut = vec![start(), text("twelve bytes"), breaks(Fault::Reset)];
    let (_, trail, _) = bench(&[&Scripted::always(Say::Stream(cut))]).ask();
    assert_eq!(trail.usage, estimated(ASKED, 3));
    // Half a count is better than none: the input at the start, the output when it says more than was heard.
    let counted = vec![start(), used(10, 1), text("twelve bytes"), breaks(Fault::Reset)];
    let (_, trail, _) = bench(&[&Scripted::always(Say::Stream(counted))]).ask();
    assert_eq!(trail.usage, estimated(10, 3));
    let counted = vec![start(), used(10, 9), text("twelve bytes"), breaks(Fault::Reset)];
    let (_, trail, _) = bench(&[&Scripted::always(Say::Stream(counted))]).ask();
    assert_eq!(trail.usage, estimated(10, 9));
}

#[test]
fn a_resumed_stream_is_the_sum_over_its_providers_for_caller_and_account_alike() {
    let cut = vec![start(), text("twelve bytes"), breaks(Fault::Reset)];
    let rest = vec![start(), text(" and more"), done(), used(20, 5)];
    let (a, b) = (Scripted::always(Say::Stream(cut)), Scripted::always(Say::Stream(rest)));
    let bench = bench(&[&a, &b]);
    let (_, trail, heard) = bench.ask();
    assert_eq!(
        (trail.usage, heard.last_usage()),
        (estimated(ASKED + 20, 3 + 5), estimated(ASKED + 20, 3 + 5))
    );
    let told = bench.witness.saw("Used");
    assert!(told[0].contains("provider: \"a\"") && told[0].contains("estimated: true"));
    assert!(told[1].contains("provider: \"b\"") && told[1].contains("estimated: false"));
}

#[test]
fn the_one_who_goes_on_has_read_the_beginning_too() {
    let cut = vec![start(), text("twelve bytes"), breaks(Fault::Reset)];
    let rest = vec![start(), text(" and more"), done()];
    let (a, b) = (Scripted::always(Say::Stream(cut)), Scripted::always(Say::Stream(rest)));
    let (_, trail, _) = bench(&[&a, &b]).ask();
    assert_eq!(trail.usage, estimated(ASKED + ASKED + 3, 3 + 3));
}

#[test]
fn a_caller_who_leaves_half_way_is_accounted_for_what_came() {
    let steps = vec![start(), text("twelve bytes"), text("more"), text("unheard"), Step::Hang];
    let a = Scripted::always(Say::Stream(steps));
    let (outcome, trail, _) = bench(&[&a]).ask_with(question("{}"), Recorder::leaving_after(2));
    assert_eq!(brief(&outcome), "broken: caller_left");
    assert_eq!(trail.usage, estimated(ASKED, 4));
}

#[test]
fn a_caller_who_leaves_before_anything_came_is_accounted_for_his_question() {
    let a = Scripted::always(Say::Hang);
    let bench = bench(&[&a]);
    let leave = Cancel::new();
    let trail = std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            bench.gateway.ask((question("{}").into(), bench.now()), &leave, &mut Recorder::default()).1
        });
        until(|| a.times() == 1);
        leave.fire(Reason::CallerLeft);
        asking.join().expect("it ends")
    });
    assert_eq!(trail.usage, estimated(ASKED, 0));
    // Who has left before anybody was asked has used nothing.
    let (_, trail) =
        bench.gateway.ask((question("{}").into(), bench.now()), &leave, &mut Recorder::default());
    assert_eq!(trail.usage, None);
}

#[test]
fn an_attempt_that_failed_before_anything_came_is_not_accounted() {
    let (a, b) = (Scripted::failing(Fault::ServerError), Scripted::failing(Fault::FirstTokenTimeout));
    let bench = bench(&[&a, &b]);
    assert_eq!(bench.ask().1.usage, None);
    assert!(bench.witness.saw("Used").is_empty());
}
