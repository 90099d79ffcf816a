//! An answer is given again to the same question of the same caller, for a while, and to nobody else.

use super::super::cache::{self, Cached, ENTRY_SHARE, Wish};
use super::super::fakes::*;
use super::super::ports::{Caller, Outcome, Question};
use super::super::{Gateway, Settings};
use crate::domain::chat::Frame;
use crate::domain::failure::Fault;
use crate::domain::words::Subject;
use crate::memory::Memory;
use std::sync::Arc;
use std::time::Duration;

const TTL: Duration = Duration::from_secs(600);

fn keeping(bytes_max: usize, memory: &Arc<Memory>) -> Settings {
    let cache = cache::Settings { ttl: TTL, bytes_max, memory: Arc::clone(memory) };
    Settings { cache: Some(cache), ..settings() }
}

fn cached(bytes_max: usize, provider: &Arc<Scripted>) -> (Bench, Arc<Memory>) {
    let memory = Memory::new(1 << 30);
    (bench_with(keeping(bytes_max, &memory), &[provider], |_| {}), memory)
}

fn streaming(body: &str) -> Question {
    let mut question = question(body);
    question.gist.stream = true;
    question
}

/// Asks, and says whether the answer was kept.
fn hit(bench: &Bench, question: Question) -> bool {
    let (outcome, trail, _) = bench.ask_with(question, Recorder::default());
    assert!(matches!(outcome, Outcome::Whole(_) | Outcome::Streamed), "{outcome:?}");
    matches!(trail.cached, Some(Cached::Hit(_)))
}

#[test]
fn the_second_to_ask_gets_the_kept_answer_with_its_age_and_nobody_is_asked() {
    let a = Scripted::always(Say::Answer("a"));
    let (bench, _) = cached(1 << 20, &a);
    let (first, trail, _) = bench.ask();
    assert_eq!((brief(&first).as_str(), trail.cached), ("a", Some(Cached::Miss)));
    bench.clock.advance(Duration::from_secs(7));
    let (second, trail, _) = bench.ask();
    assert_eq!((brief(&second).as_str(), trail.cached), ("a", Some(Cached::Hit(Duration::from_secs(7)))));
    assert_eq!(trail.served, Some(("a".into(), "a-own".into())));
    assert!(trail.usage.is_none() && trail.attempts.is_empty() && !trail.deduplicated);
    assert_eq!((a.times(), bench.witness.saw("Used").len()), (1, 1));
    assert_eq!((bench.witness.saw("hit: true").len(), bench.witness.saw("hit: false").len()), (1, 1));
}

#[test]
fn a_stream_is_told_again_frame_by_frame() {
    let a = Scripted::always(streams(&["Hel", "lo"]));
    let (bench, _) = cached(1 << 20, &a);
    let (_, _, first) = bench.ask_with(streaming("{}"), Recorder::default());
    let (outcome, trail, second) = bench.ask_with(streaming("{}"), Recorder::default());
    assert_eq!((brief(&outcome).as_str(), a.times()), ("streamed", 1));
    assert_eq!(second.frames, first.frames);
    assert_eq!(second.begun, [trail]);
    // Who leaves in the middle has left.
    let (outcome, ..) = bench.ask_with(streaming("{}"), Recorder::leaving_after(2));
    assert_eq!(brief(&outcome), "broken: caller_left");
}

#[test]
fn nothing_is_given_across_callers_endpoints_bodies_pins_or_headers() {
    let a = Scripted::always(Say::Answer("a"));
    let (bench, _) = cached(1 << 20, &a);
    let base = || question("{}");
    let others = [
        Question { caller: Caller::Key("other".into()), ..base() },
        Question { caller: Caller::Address([127, 0, 0, 1].into()), ..base() },
        Question { endpoint: "other", ..base() },
        Question { pinned: Some("a".to_owned()), ..base() },
        Question { passed: vec![("anthropic-beta", "x".to_owned())], ..base() },
        question("{ }"),
    ];
    assert!(!hit(&bench, base()));
    for other in &others {
        assert!(!hit(&bench, other.clone()), "{other:?}");
    }
    for question in others.into_iter().chain([base()]) {
        assert!(hit(&bench, question));
    }
}

#[test]
fn an_answer_is_kept_for_its_time_and_not_a_moment_longer() {
    let a = Scripted::always(Say::Answer("a"));
    let (bench, memory) = cached(1 << 20, &a);
    assert!(!hit(&bench, question("{}")));
    bench.clock.advance(TTL - Duration::from_nanos(1));
    assert!(hit(&bench, question("{}")));
    bench.clock.advance(Duration::from_nanos(1));
    let held = memory.held();
    assert!(!hit(&bench, question("{}")));
    assert_eq!((a.times(), memory.held()), (2, held), "the old one is gone");
}

#[test]
fn a_callers_wish_is_met() {
    let a = Scripted::always(Say::Answer("a"));
    let (bench, _) = cached(1 << 20, &a);
    let wishing = |wish: Wish| Question { wish, ..question("{}") };
    let aged = |seconds| Wish { age_max: Some(Duration::from_secs(seconds)), ..Wish::default() };
    let store = Wish { look: false, keep: false, age_max: None };
    assert!(!hit(&bench, wishing(store)));
    assert!(!hit(&bench, wishing(Wish::default())), "it was not kept");
    bench.clock.advance(Duration::from_secs(5));
    assert!(hit(&bench, wishing(aged(5))));
    assert!(!hit(&bench, wishing(aged(4))), "too old, and kept anew");
    assert!(hit(&bench, wishing(aged(0))));
    bench.clock.advance(Duration::from_secs(1));
    assert!(!hit(&bench, wishing(Wish { look: false, ..Wish::default() })));
    assert!(hit(&bench, wishing(aged(0))), "what was asked for anew was kept");
    assert!(!hit(&bench, wishing(store)), "and is not looked for by him who wants no cache");
}

#[test]
fn only_what_came_to_its_proper_end_is_kept() {
    let a = Scripted::saying(
        vec![
            fails(Fault::BadRequest),
            Say::Stream(vec![start(), text("Hel"), breaks(Fault::Reset)]),
            Say::Stream(vec![start(), text("Hel")]),
        ],
        streams(&["Hello"]),
    );
    let (bench, memory) = cached(1 << 20, &a);
    for expected in ["failed: bad_request", "broken: reset", "broken: truncated"] {
        let (outcome, trail, _) = bench.ask_with(streaming("{}"), Recorder::default());
        assert_eq!((brief(&outcome).as_str(), trail.cached), (expected, Some(Cached::Miss)));
        assert_eq!((bench.gateway.kept(), memory.held()), ((0, 0), 0));
    }
    assert!(!hit(&bench, streaming("{}")) && hit(&bench, streaming("{}")));
}

#[test]
fn what_was_not_used_longest_goes_first_and_the_bytes_stay_within_their_bound() {
    let a = Scripted::always(Say::Answer("a"));
    let (bench, memory) = cached(1 << 20, &a);
    assert!(!hit(&bench, question("{}")));
    let (_, one) = bench.gateway.kept();
    // Room for exactly ten of them.
    let (bench, _) = cached(10 * one, &a);
    let body = |number: usize| question(&format!("{{{number}}}"));
    let fill =
        |numbers: std::ops::Range<usize>| numbers.for_each(|number| assert!(!hit(&bench, body(number))));
    fill(0..10);
    assert_eq!((bench.gateway.kept(), bench.witness.saw("Evicted").len()), ((10, 10 * one), 0));
    assert!(hit(&bench, body(0)));
    fill(10..11);
    assert_eq!((bench.gateway.kept(), bench.witness.saw("answers: 1").len()), ((10, 10 * one), 1));
    assert!(hit(&bench, body(0)), "used lately");
    assert!(!hit(&bench, body(1)), "longest unused");
    drop(bench);
    let (tight, _) = cached(10 * one - 1, &a);
    (0..10).for_each(|number| assert!(!hit(&tight, body(number))));
    assert_eq!(tight.gateway.kept(), (9, 9 * one), "a byte too few for ten");
    assert_eq!(memory.held(), one, "what the second cache held was counted elsewhere");
}

#[test]
fn one_answer_takes_its_share_of_the_room_and_no_more() {
    const CHUNK: usize = 1_000;
    let a = Scripted::always(Say::Stream(vec![]));
    let long = |frames: usize| {
        let chunk = Frame { verbatim: Some(vec![b'x'; CHUNK]), ..Frame::default() };
        let chunks = (0..frames).map(|_| Step::Frame(chunk.clone()));
        Say::Stream([start(), text("x")].into_iter().chain(chunks).chain([done()]).collect())
    };
    let (bench, _) = cached(1 << 20, &a);
    a.now_says(long(20));
    assert!(!hit(&bench, streaming("{}")));
    let (_, bytes) = bench.gateway.kept();
    let (exact, memory) = cached(bytes * ENTRY_SHARE, &a);
    assert!(!hit(&exact, streaming("{}")) && hit(&exact, streaming("{}")));
    assert_eq!(memory.held(), bytes);
    let (short, memory) = cached(bytes * ENTRY_SHARE - ENTRY_SHARE, &a);
    assert!(!hit(&short, streaming("{}")) && !hit(&short, streaming("{}")));
    assert_eq!(memory.held(), 0, "what was begun was let go");
    // The same for one that comes whole.
    a.now_says(Say::Answer("a"));
    let (bench, _) = cached(1 << 20, &a);
    assert!(!hit(&bench, question("{}")));
    let (_, bytes) = bench.gateway.kept();
    let (exact, _) = cached(bytes * ENTRY_SHARE, &a);
    assert!(!hit(&exact, question("{}")) && hit(&exact, question("{}")));
    let (short, _) = cached(bytes * ENTRY_SHARE - ENTRY_SHARE, &a);
    assert!(!hit(&short, question("{}")) && !hit(&short, question("{}")));
}

#[test]
fn where_memory_is_scarce_nothing_is_kept_and_everything_answered() {
    let a = Scripted::always(Say::Answer("a"));
    let memory = Memory::new(1_000);
    let full = memory.hold(1_000).expect("there is room");
    let bench = bench_with(keeping(1 << 20, &memory), &[&a], |_| {});
    assert!(!hit(&bench, question("{}")) && !hit(&bench, question("{}")));
    a.now_says(streams(&["Hello"]));
    assert!(!hit(&bench, streaming("{}")) && !hit(&bench, streaming("{}")));
    assert_eq!(memory.held(), 1_000);
    drop(full);
    a.now_says(Say::Answer("a"));
    assert!(!hit(&bench, question("{}")) && hit(&bench, question("{}")));
    drop(bench);
    assert_eq!(memory.held(), 0);
}

#[test]
fn a_follower_is_a_miss_and_what_he_heard_is_kept_once() {
    let gate = Gate::default();
    let a = Scripted::always(Say::Late(gate.clone(), Box::new(Say::Answer("a"))));
    let (bench, _) = cached(1 << 20, &a);
    let trails: Vec<_> = std::thread::scope(|scope| {
        let asking: Vec<_> = (0..10).map(|_| scope.spawn(|| bench.ask().1)).collect();
        until(|| bench.gateway.flights.followers() == 9);
        gate.open();
        asking.into_iter().map(|thread| thread.join().expect("answers")).collect()
    });
    assert!(trails.iter().all(|trail| trail.cached == Some(Cached::Miss)));
    assert_eq!((trails.iter().filter(|trail| trail.deduplicated).count(), a.times()), (9, 1));
    assert_eq!(bench.gateway.kept().0, 1);
    assert!(hit(&bench, question("{}")));
}

#[test]
fn a_stream_whose_first_caller_left_is_kept_when_others_heard_it_to_the_end() {
    let gate = Gate::default();
    let steps = vec![start(), text("Hel"), Step::Gate(gate.clone()), text("lo"), done()];
    let a = Scripted::always(Say::Stream(steps));
    let (bench, _) = cached(1 << 20, &a);
    std::thread::scope(|scope| {
        let leader = scope.spawn(|| bench.ask_with(streaming("{}"), Recorder::leaving_after(2)).0);
        until(|| bench.gateway.flights.in_the_air() == 1);
        let follower = scope.spawn(|| bench.ask_with(streaming("{}"), Recorder::default()).0);
        until(|| bench.gateway.flights.followers() == 1);
        gate.open();
        assert_eq!(brief(&leader.join().expect("ends")), "broken: caller_left");
        assert_eq!(brief(&follower.join().expect("ends")), "streamed");
    });
    let (_, _, heard) = bench.ask_with(streaming("{}"), Recorder::default());
    assert_eq!((heard.text().as_str(), a.times()), ("Hello", 1));
}

#[test]
fn what_a_model_is_is_asked_anew_and_so_is_everything_without_a_cache() {
    let a = Scripted::always(Say::Answer("a"));
    let (with, _) = cached(1 << 20, &a);
    let mut described = question("{}");
    described.gist.subject = Subject::Description;
    described.gist.model = Some("a-own".to_owned());
    assert!(!hit(&with, described.clone()) && !hit(&with, described));
    let without = bench(&[&a]);
    let (_, trail, _) = without.ask();
    assert_eq!((trail.cached, without.gateway.keeps_answers()), (None, false));
    assert!(!hit(&without, question("{}")));
    assert!(without.witness.saw("Looked").is_empty());
}

#[test]
fn a_reload_keeps_the_answers_as_long_as_the_same_would_be_answered() {
    let (a, other) = (Scripted::always(Say::Answer("a")), Scripted::always(Say::Answer("b")));
    let memory = Memory::new(1 << 30);
    let renewed = |old: &Bench, settings: Settings, provider: &Arc<Scripted>| -> Bench {
        let new = bench_with(settings, &[provider], |_| {});
        let gateway = Arc::into_inner(new.gateway).expect("nobody else has it");
        let gateway: Gateway = gateway.inheriting(&old.gateway);
        Bench { gateway: Arc::new(gateway), clock: new.clock, witness: new.witness }
    };
    let first = bench_with(keeping(1 << 20, &memory), &[&a], |_| {});
    assert!(!hit(&first, question("{}")));
    let same = renewed(&first, keeping(1 << 20, &memory), &a);
    assert!(hit(&same, question("{}")));
    let smaller = renewed(&first, keeping(1 << 19, &memory), &a);
    assert!(!hit(&smaller, question("{}")));
    let elsewhere = renewed(&first, keeping(1 << 20, &memory), &other);
    assert!(!hit(&elsewhere, question("{}")));
    let models = vec![crate::domain::route::VirtualModel { name: "fast".to_owned(), targets: Vec::new() }];
    let named = renewed(&first, Settings { models, ..keeping(1 << 20, &memory) }, &a);
    assert!(!hit(&named, question("{}")));
}
