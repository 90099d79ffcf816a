//! What the meter promises: exactly so many, nothing lost, and a wait that helps.

#![expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]

use super::*;
use crate::clock::{Clock, ManualClock};
use crate::domain::budget::Period;
use crate::domain::chat::Usage;
use crate::domain::price::Price;
use std::net::Ipv4Addr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::UNIX_EPOCH;

/// Who was told of as limited, and how often.
#[derive(Default)]
struct Counting(AtomicU64, Mutex<Vec<String>>);

impl Observer for Counting {
    fn observe(&self, event: &Event<'_>) {
        if let Event::Limited { client } = event {
            self.0.fetch_add(1, Ordering::Relaxed);
            let mut clients = self.1.lock();
            if clients.last().is_none_or(|last| last != client) {
                clients.push((*client).to_owned());
            }
        }
    }
}

fn limits(requests: u64, tokens: u64, concurrent: u64) -> Limits {
    let some = |number: u64| (number > 0).then_some(number);
    Limits {
        requests_per_minute: some(requests),
        tokens_per_minute: some(tokens),
        concurrent: some(concurrent),
    }
}

fn settings() -> Settings {
    Settings {
        keys: vec![("bot".to_owned(), limits(2, 0, 0), None)],
        routes: Vec::new(),
        per_address: limits(3, 0, 0),
        wrong_keys_per_minute: 2,
    }
}

fn meter(settings: &Settings) -> (Arc<Counting>, Meter) {
    let counting = Arc::new(Counting::default());
    let observer = Arc::clone(&counting) as Arc<dyn Observer>;
    (counting, Meter::new(settings, observer, UNIX_EPOCH))
}

fn key(name: &str) -> Caller {
    Caller::Key(name.into())
}

fn address(number: u32) -> Caller {
    Caller::Address(IpAddr::V4(Ipv4Addr::from(number)))
}

/// A request that is over at once.
fn passes(meter: &Meter, caller: &Caller, path: &str, now: Instant) -> Result<Standing, Limited> {
    let (hold, standing) = meter.admit(Ask { caller, path, tokens: 0 }, now)?;
    drop(hold);
    Ok(standing)
}

fn requests_left(standing: Standing) -> Option<u64> {
    standing.requests.map(|left| left.remaining)
}

#[test]
fn each_key_and_each_address_has_its_own_allowance() {
    let (counting, meter) = meter(&settings());
    let now = Instant::now();
    assert_eq!(passes(&meter, &key("bot"), "/", now).map(requests_left), Ok(Some(1)));
    assert!(passes(&meter, &key("bot"), "/", now).is_ok());
    assert_eq!(passes(&meter, &key("bot"), "/", now).map_err(|l| l.after), Err(Duration::from_secs(30)));
    assert_eq!(passes(&meter, &key("free"), "/", now), Ok(Standing::default()));
    for _ in 0..3 {
        assert!(passes(&meter, &address(1), "/", now).is_ok());
    }
    assert!(passes(&meter, &address(1), "/", now).is_err());
    assert!(passes(&meter, &address(2), "/", now).is_ok());
    assert_eq!(*counting.1.lock(), ["bot", "address"]);
}

#[test]
fn an_endpoint_has_one_allowance_for_everybody_and_the_tightest_is_told() {
    let routes = vec![("/v1/*".to_owned(), limits(4, 0, 0)), ("/v1/chat".to_owned(), limits(3, 0, 0))];
    let (_, meter) = meter(&Settings { routes, ..settings() });
    let now = Instant::now();
    assert_eq!(passes(&meter, &key("bot"), "/v1/chat", now).map(requests_left), Ok(Some(1)), "the key's");
    assert_eq!(passes(&meter, &key("a"), "/v1/chat", now).map(requests_left), Ok(Some(1)), "the path's");
    assert_eq!(passes(&meter, &key("b"), "/v1/chat", now).map(requests_left), Ok(Some(0)));
    let refused = passes(&meter, &key("bot"), "/v1/chat", now).expect_err("the path is used up");
    assert_eq!((refused.refusal, refused.after), (Refusal::Requests(3), Duration::from_secs(20)));
    assert_eq!(
        passes(&meter, &key("bot"), "/v1/x", now).map(requests_left),
        Ok(Some(0)),
        "nothing was taken"
    );
    assert_eq!(passes(&meter, &key("c"), "/other", now), Ok(Standing::default()));
}

#[test]
fn what_is_told_to_wait_for_is_admitted_then_and_not_before_whatever_limits_it() {
    let routes = vec![("/v1/*".to_owned(), limits(7, 900, 0))];
    let keys = vec![("bot".to_owned(), limits(5, 1_300, 0), None)];
    let (_, meter) = meter(&Settings { keys, routes, ..settings() });
    let bot = key("bot");
    let mut now = Instant::now();
    for round in 0..200_u64 {
        let ask = Ask { caller: &bot, path: "/v1/x", tokens: 17 * (round % 29) };
        if let Err(limited) = meter.admit(ask, now) {
            let early = now + limited.after - Duration::from_nanos(1);
            assert!(meter.admit(ask, early).is_err(), "round {round}: admitted early");
            now += limited.after;
            let (hold, _) = meter.admit(ask, now).unwrap_or_else(|_| panic!("round {round}: too short"));
            hold.settle(Some(Usage { input: ask.tokens, ..Usage::default() }));
        }
    }
}

#[test]
fn a_hundred_threads_are_admitted_exactly_as_often_as_the_limit_says() {
    const THREADS: u64 = 100;
    const EACH: u64 = 10_000;
    const LIMIT: u64 = 6_000;
    let routes = vec![("/v1/*".to_owned(), limits(LIMIT, 0, 0))];
    let keys = vec![("bot".to_owned(), limits(2 * LIMIT, 0, 0), None)];
    let (counting, meter) = meter(&Settings { keys, routes, ..settings() });
    let clock = ManualClock::new();
    let admitted = AtomicU64::new(0);
    let bot = key("bot");
    let run = || {
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..EACH {
                        if passes(&meter, &bot, "/v1/chat/completions", clock.now()).is_ok() {
                            admitted.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
        });
        admitted.swap(0, Ordering::Relaxed)
    };
    assert_eq!(run(), LIMIT, "the burst, a minute's worth");
    clock.advance(Duration::from_secs(30));
    assert_eq!(run(), LIMIT / 2, "and what came back in half a minute");
    let refused = counting.0.load(Ordering::Relaxed);
    assert_eq!(refused, 2 * THREADS * EACH - LIMIT - LIMIT / 2, "every other one was refused and told of");
}

#[test]
fn no_more_are_under_way_than_may_be_and_every_place_comes_back() {
    let keys = vec![("bot".to_owned(), limits(0, 0, 3), None)];
    let (_, meter) = meter(&Settings { keys, ..settings() });
    let (now, bot) = (Instant::now(), key("bot"));
    let ask = Ask { caller: &bot, path: "/", tokens: 0 };
    let (under_way, most) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..20 {
            scope.spawn(|| {
                for _ in 0..2_000 {
                    if let Ok((hold, _)) = meter.admit(ask, now) {
                        let at_once = under_way.fetch_add(1, Ordering::SeqCst) + 1;
                        most.fetch_max(at_once, Ordering::SeqCst);
                        under_way.fetch_sub(1, Ordering::SeqCst);
                        drop(hold);
                    }
                }
            });
        }
    });
    assert!((1..=3).contains(&most.load(Ordering::SeqCst)));
    let held: Vec<_> = (0..3).map(|_| meter.admit(ask, now).map(|(hold, _)| hold)).collect();
    assert!(held.iter().all(Result::is_ok));
    let refused = meter.admit(ask, now).map(drop).expect_err("three are there");
    assert_eq!((refused.refusal, refused.after), (Refusal::Concurrent(3), Duration::from_secs(1)));
    drop(held);
    assert!(meter.admit(ask, now).is_ok());
}

#[test]
fn tokens_are_reserved_before_and_settled_after_to_the_token() {
    let keys = vec![("bot".to_owned(), limits(0, 1_000, 0), None)];
    let (_, meter) = meter(&Settings { keys, ..settings() });
    let (now, bot) = (Instant::now(), key("bot"));
    let ask = |tokens| meter.admit(Ask { caller: &bot, path: "/", tokens }, now);
    let tokens_left = |standing: Standing| standing.tokens.map(|left| left.remaining);
    let (first, standing) = ask(600).expect("there is room");
    assert_eq!(tokens_left(standing), Some(400));
    assert_eq!(ask(401).map(drop).map_err(|limited| limited.refusal), Err(Refusal::Tokens(1_000)));
    first.settle(Some(Usage { input: 30, output: 20, ..Usage::default() }));
    let (second, standing) = ask(500).expect("what was not used is there again");
    assert_eq!(tokens_left(standing), Some(450));
    drop(second);
    let (third, standing) = ask(1).expect("a request that used nothing costs nothing");
    assert_eq!(tokens_left(standing), Some(949));
    third.settle(Some(Usage { input: 2_000, ..Usage::default() }));
    assert_eq!(
        ask(1).map(drop).map_err(|limited| limited.after.as_millis()),
        Err(63_060),
        "a debt is paid off"
    );
}

#[test]
fn a_reload_loses_nothing_and_a_request_under_way_settles_where_it_counts() {
    let keys = |tokens| vec![("bot".to_owned(), limits(10, tokens, 2), None)];
    let routes = vec![("/a".to_owned(), limits(5, 0, 0)), ("/b".to_owned(), limits(5, 0, 0))];
    let before = Settings { keys: keys(1_000), routes: routes.clone(), ..settings() };
    let (counting, old) = meter(&before);
    let now = Instant::now();
    let bot = key("bot");
    let (hold, _) = old.admit(Ask { caller: &bot, path: "/a", tokens: 800 }, now).expect("there is room");
    let after = Settings { keys: keys(2_000), routes, ..settings() };
    let observer = Arc::clone(&counting) as Arc<dyn Observer>;
    let new = Meter::new(&after, observer, UNIX_EPOCH).inheriting(&old, &after, (now, UNIX_EPOCH));
    let ask = Ask { caller: &bot, path: "/a", tokens: 100 };
    let (second, standing) = new.admit(ask, now).expect("there is room");
    assert_eq!(requests_left(standing), Some(3), "the path's, of five two are used");
    assert_eq!(standing.tokens.map(|left| left.remaining), Some(1_100));
    assert!(matches!(new.admit(ask, now).map(drop), Err(Limited { refusal: Refusal::Concurrent(2), .. })));
    hold.settle(Some(Usage { input: 50, ..Usage::default() }));
    second.settle(None);
    let (_, standing) = new.admit(ask, now).expect("both places are free");
    assert_eq!(standing.tokens.map(|left| left.remaining), Some(1_850));
}

#[test]
fn a_budget_taken_away_and_given_anew_owes_nothing_to_questions_from_before() {
    let told = |nano_usd: Option<u64>| Settings {
        keys: vec![(
            "bot".to_owned(),
            limits(100, 0, 0),
            nano_usd.map(|nano_usd| Allowance { nano_usd, per: Period::Day }),
        )],
        ..settings()
    };
    let (counting, first) = meter(&told(Some(100)));
    let (now, bot) = (Instant::now(), key("bot"));
    let ask = |meter: &Meter| meter.admit(Ask { caller: &bot, path: "/", tokens: 0 }, now).expect("room");
    let next = |told: &Settings, old: &Meter| {
        let observer = Arc::clone(&counting) as Arc<dyn Observer>;
        Meter::new(told, observer, UNIX_EPOCH).inheriting(old, told, (now, UNIX_EPOCH))
    };
    let price = Price { output: 1, ..Price::default() };
    let open =
        |hold: &Hold| hold.purse(|| 0).expect("a budget").open(price, Output::Whole(80), 0, UNIX_EPOCH);
    let (before, _) = ask(&first);
    let early = open(&before).expect("affordable");
    let second = next(&told(None), &first);
    let (between, standing) = ask(&second);
    assert!(between.purse(|| 0).is_none());
    assert_eq!(requests_left(standing), Some(98), "what the limit counted goes on");
    let third = next(&told(Some(100)), &second);
    let (after, _) = ask(&third);
    let late = open(&after).expect("a new budget is whole");
    early.settle(Some(Usage { output: 80, ..Usage::default() }), UNIX_EPOCH);
    assert!(open(&after).is_err(), "what the other reserved is still reserved");
    assert_eq!(third.budgets(UNIX_EPOCH)[0].2, 0, "and nothing was spent of it");
    late.settle(None, UNIX_EPOCH);
}

#[test]
fn every_rule_is_taken_from_or_none_however_many_hold() {
    let routes = (0..ROUTES_MAX as u64)
        .map(|place| (format!("/v1/{}*", "*".repeat(place as usize)), limits(200 - place, 0, 0)));
    let told = Settings {
        keys: vec![("bot".to_owned(), limits(1_000, 0, 0), None)],
        routes: routes.collect(),
        ..settings()
    };
    let (_, meter) = meter(&told);
    let (now, bot) = (Instant::now(), key("bot"));
    let tightest = 200 - (ROUTES_MAX as u64 - 1);
    for left in (0..tightest).rev() {
        assert_eq!(passes(&meter, &bot, "/v1/x", now).map(requests_left), Ok(Some(left)));
    }
    for _ in 0..3 {
        let refused = meter.admit(Ask { caller: &bot, path: "/v1/x", tokens: 0 }, now).map(drop);
        assert_eq!(refused.map_err(|limited| limited.refusal), Err(Refusal::Requests(tightest)));
    }
    let key_alone = passes(&meter, &bot, "/elsewhere", now).map(requests_left);
    assert_eq!(key_alone, Ok(Some(1_000 - tightest - 1)), "refusals took nothing");
}

#[test]
fn a_restart_changes_nothing_for_anybody() {
    let allowance = Allowance { nano_usd: 1_000, per: Period::Day };
    let told = Settings {
        keys: vec![("bot".to_owned(), limits(10, 600, 0), Some(allowance))],
        routes: vec![("/v1/*".to_owned(), limits(20, 0, 0))],
        per_address: limits(3, 0, 0),
        wrong_keys_per_minute: 1,
    };
    let (_, old) = meter(&told);
    let (now, today) = (Instant::now(), UNIX_EPOCH + Duration::from_secs(1_000));
    for caller in [key("bot"), key("bot"), address(7)] {
        let (hold, _) = old.admit(Ask { caller: &caller, path: "/v1/x", tokens: 90 }, now).expect("room");
        hold.settle(Some(Usage { input: 90, ..Usage::default() }));
    }
    if let Some(budget) = &old.keys["bot"].budget {
        budget.lock().settle(0, 321, today);
    }
    let saved = old.snapshot(now, today);
    assert_eq!(saved.len(), 3, "{saved:?}");
    // Ten seconds later, after a restart.
    let (later, today) = (now + Duration::from_secs(10), today + Duration::from_secs(10));
    let (_, new) = meter(&told);
    let gone = Saved { name: "gone".to_owned(), ..saved[0].clone() };
    new.restore(&[saved.as_slice(), &[gone]].concat(), later, today);
    assert_eq!(new.snapshot(later, today), old.snapshot(later, today));
    for caller in [key("bot"), address(7)] {
        let standing = |meter: &Meter| passes(meter, &caller, "/v1/x", later);
        assert_eq!(standing(&new), standing(&old));
    }
    assert_eq!(new.snapshot(later, today)[0].spent.map(|spent| spent.nano_usd), Some(321));
}

#[test]
fn wrong_keys_are_slowed_per_address_and_a_network_of_ipv6_is_one() {
    let (_, meter) = meter(&settings());
    let now = Instant::now();
    let at = |text: &str| text.parse::<IpAddr>().expect("an address");
    assert_eq!(meter.stranger(at("2001:db8::1"), now), None);
    assert_eq!(meter.stranger(at("2001:db8::2"), now), None);
    assert_eq!(meter.stranger(at("2001:db8::3"), now), Some(Duration::from_secs(30)));
    assert_eq!(meter.stranger(at("2001:db8:0:1::1"), now), None);
    assert_eq!(meter.stranger(at("2001:db8::3"), now + Duration::from_secs(30)), None);
}
