//! The preferred provider fails half of the time, at random for each request: nobody may notice. And what a request
//! pays for a provider that is left alone.

use crate::caller::{Caller, Request, counted, metrics};
use crate::chance::Chance;
use crate::crowd::crowd;
use crate::options::Options;
use crate::report::Report;
use crate::site::{self, MODEL, Watched};
use crate::time::{self, Stop};
use crate::vitals::quantile;
use crate::words::{VOICES, Voice, Worth, judge};
use hapax::simulate::Simulator;
use std::sync::Mutex;
use std::thread::Builder;
use std::time::Duration;

/// Short: a hang is to cost time, not patience.
const IMPATIENT: &str = ", timeouts: {connect: 1s, first_token: 150ms, idle: 150ms}";
/// A breaker as usual, but with pauses in proportion to the run.
const OPENING: &str = "circuit_breaker: {failure_threshold: 3, timeout: 100ms}\n\
                       health_check: {interval: 1s, timeout: 1s}\n";
/// Faults kept ready for requests to come.
const READY: u64 = 5_000;
const FEED: Duration = Duration::from_millis(20);
/// What an open breaker may add to a request.
const PRICE_MS_MAX: f64 = 5.0;
/// Pairs of requests for the price.
const PAIRS_MAX: u64 = 5_000;
/// Requests before it is measured.
const WARM_UP: u64 = 50;

#[derive(Default)]
struct Tally {
    whole: u64,
    milliseconds: Vec<f64>,
    failures: Vec<String>,
}

/// Runs it.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let half = options.requests / 2;
    flap(options, half, ("every_time", site::NEVER_OPEN), report)?;
    flap(options, options.requests - half, ("with_breaker", OPENING), report)?;
    price(options, report)
}

/// One run of requests beside a provider that fails half of the time.
fn flap(
    options: &Options,
    count: u64,
    (name, settings): (&str, &str),
    report: &mut Report,
) -> Result<(), String> {
    let providers = [(Voice::OpenAi, site::simulator()?), (Voice::Anthropic, site::simulator()?)];
    let watched = Watched::start(options, &site::yaml(&providers, &[IMPATIENT], settings))?;
    let address = watched.gateway.address();
    let (over, began) = (Stop::default(), time::now());
    let callers = std::thread::scope(|scope| {
        let (sick, over) = (&providers[0].1, &over);
        let chance = Chance::new(options.seed, 1 << 40);
        let feeding =
            Builder::new().name("faults".to_owned()).spawn_scoped(scope, || feed(sick, over, chance));
        let state = |_: usize| (Caller::new(address), Tally::default());
        let callers = match feeding {
            Ok(_) => crowd(options.clients, count, state, |(caller, tally), number| {
                ask(caller, tally, number, options.seed);
            }),
            Err(error) => Err(error.to_string()),
        };
        over.stop();
        callers
    })?;
    let seconds = time::since(began).as_secs_f64();
    let counts = metrics(address)?;
    let samples = watched.stop(report)?;
    let (mut whole, mut stale, mut milliseconds) = (0, 0, Vec::new());
    for (caller, tally) in callers {
        whole += tally.whole;
        stale += caller.stale;
        milliseconds.extend(tally.milliseconds);
        for failure in tally.failures {
            report.broke(format!("{name}: {failure}"));
        }
    }
    report.count(format!("{name}_requests"), count);
    report.count(format!("{name}_failed"), count - whole);
    report.count(format!("{name}_kept_connections_found_closed"), stale);
    report.number(format!("{name}_requests_per_second"), count as f64 / seconds);
    report.count(format!("{name}_asked_of_the_sick"), providers[0].1.completions());
    report.count(format!("{name}_asked_of_the_healthy"), providers[1].1.completions());
    report.spread(&format!("{name}_answer"), &milliseconds);
    for metric in ["hapax_failovers_total", "hapax_retries_total", "hapax_streams_resumed_total"] {
        report.words(format!("{name}_{metric}"), &counted(&counts, metric));
    }
    report.vitals(&format!("{name}_"), &samples);
    Ok(())
}

fn ask(caller: &mut Caller, tally: &mut Tally, number: u64, seed: u64) {
    let mut chance = Chance::new(seed, number);
    let voice = *chance.one(&VOICES);
    let request = Request::new(voice, format!("Flapping question {number}"), chance.percent(50));
    let expected = Simulator::expected_text(MODEL, &request.user);
    let began = time::now();
    let answer = caller.ask(&request);
    tally.milliseconds.push(time::since(began).as_secs_f64() * 1e3);
    let worth = answer.map(|heard| judge(voice, request.stream, &heard, &expected));
    match worth {
        Ok(Worth::Whole) => tally.whole += 1,
        other => {
            let failure = format!("{voice:?} stream={} {:?}: {other:?}", request.stream, request.user);
            crate::complain(&failure);
            tally.failures.push(failure);
        }
    }
}

/// Keeps a fault ready for every request to come, and refuses connections now and then.
fn feed(sick: &Simulator, over: &Stop, mut chance: Chance) {
    let mut fed = 0;
    loop {
        while fed < sick.completions() + READY {
            sick.script(&[fault(&mut chance)]);
            fed += 1;
        }
        let refuses = chance.percent(10);
        if refuses {
            sick.stop_listening();
        }
        let ended = over.wait(FEED);
        if refuses {
            sick.resume();
        }
        if ended {
            return;
        }
    }
}

/// Half of all requests meet a fault; refused ones come on top.
fn fault(chance: &mut Chance) -> &'static str {
    match chance.below(100) {
        0..50 => "ok",
        50..58 => "reset",
        58..66 => "status=500",
        66..74 => "cut_after=2",
        74..80 => "reset_after=3",
        80..86 => "close",
        86..91 => "stall",
        91..95 => "stall_after=2",
        95..98 => "garbage",
        _ => "empty",
    }
}

/// Asks two gateways by turns, one of them with a preferred provider that is down: what that adds to a request.
fn price(options: &Options, report: &mut Report) -> Result<(), String> {
    let (down, well) = (site::simulator()?, site::simulator()?);
    down.stop_listening();
    let both = site::yaml(&[(Voice::OpenAi, &down), (Voice::OpenAi, &well)], &[], "");
    let beside = Watched::start(options, &both)?;
    let without = Watched::start(options, &site::yaml(&[(Voice::OpenAi, &well)], &[], ""))?;
    let callers = [beside.gateway.address(), without.gateway.address()].map(|a| Mutex::new(Caller::new(a)));
    let mut took = [Vec::new(), Vec::new()];
    let pairs = (options.requests / 10).clamp(10, PAIRS_MAX);
    for number in 0..WARM_UP + pairs {
        // Who goes first changes, so that neither is always the one with the warm caches.
        for turn in [number % 2, (number + 1) % 2] {
            let turn = usize::try_from(turn).unwrap_or(0);
            let request = Request::new(Voice::OpenAi, format!("What does {number} cost"), false);
            let expected = Simulator::expected_text(MODEL, &request.user);
            let Ok(mut caller) = callers[turn].lock() else { continue };
            let began = time::now();
            let answer = caller.ask(&request);
            let milliseconds = time::since(began).as_secs_f64() * 1e3;
            let worth = answer.map(|heard| judge(Voice::OpenAi, false, &heard, &expected));
            report.promise(worth == Ok(Worth::Whole), || format!("price: {worth:?}"));
            if number >= WARM_UP {
                took[turn].push(milliseconds);
            }
        }
    }
    drop(callers);
    let asked = counted(&metrics(beside.gateway.address())?, "hapax_provider_requests_total");
    report.words("price_asked_beside_open_breaker", &asked);
    beside.stop(report)?;
    without.stop(report)?;
    report.count("price_pairs", pairs);
    for (name, share) in [("p50", 0.5), ("p99", 0.99)] {
        let [with, plain] = [&took[0], &took[1]].map(|took| quantile(took.clone(), share));
        report.number(format!("price_without_ms_{name}"), plain);
        report.number(format!("price_beside_open_breaker_ms_{name}"), with);
        report.number(format!("price_added_ms_{name}"), with - plain);
        report.promise(with - plain < PRICE_MS_MAX, || {
            format!("an open breaker adds {:.3} ms at the {name}", with - plain)
        });
    }
    Ok(())
}
