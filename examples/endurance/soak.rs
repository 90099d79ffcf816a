//! Mixed faults at a steady load for a long time: nothing grows, and nobody who stays goes without his answer.
//!
//! Three providers of three dialects; one of them at a time is sick, in turns, and changes its illness several times
//! a second. Callers of three dialects ask each of them first, whole and streamed; some leave, some ask the same thing
//! at once, and the configuration is read again now and then.

use crate::caller::{Caller, Request, counted, metrics};
use crate::chance::Chance;
use crate::options::Options;
use crate::report::Report;
use crate::site::{self, Watched};
use crate::time::{self, Stop};
use crate::vitals::{Sample, median, slope_per_hour};
use crate::words::{VOICES, Voice, Worth, judge};
use hapax::simulate::Simulator;
use std::net::SocketAddr;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::Builder;
use std::time::Duration;

const RATE: u64 = 50;
/// Callers; more than can be busy at this rate.
const CALLERS: usize = 64;
/// Requests waiting for a caller; past it one is not asked, and counted.
const QUEUE: usize = 128;
/// A provider is sick for this long, then all are well for as long.
const ILLNESS: Duration = Duration::from_secs(15);
/// Between two readings of the configuration.
const RELOAD: Duration = Duration::from_secs(60);
/// Shorter runs are too short to say whether something grows.
const TREND_MIN: Duration = Duration::from_secs(300);
/// What memory may be more at the end than at the beginning: the C library's arenas fill for hours.
const RSS_KIB_SLACK: f64 = 2_048.0;
/// The same of threads and descriptors: as many as a busier moment takes.
const COUNT_SLACK: f64 = 8.0;
/// Failures told when they happen; all are told at the end, or counted.
const TOLD_AT_ONCE_MAX: usize = 100;

const ROUTES: &str = "models:\n  first-a: [a/m-1, b/m-1, c/m-1]\n  first-b: [b/m-1, c/m-1, a/m-1]\n  \
                      first-c: [c/m-1, a/m-1, b/m-1]\n";
const SETTINGS: &str = "circuit_breaker: {failure_threshold: 3, timeout: 1s}\n\
                        health_check: {interval: 2s, timeout: 2s, failure_threshold: 3}\n";
const EACH: &str = ", timeouts: {connect: 1s, first_token: 1s, idle: 1s}";
/// What every second reading of the configuration changes: the providers are made anew.
const CHANGED: [&str; 2] = ["connect: 1s", "connect: 2s"];
const ILLNESSES: [&str; 15] = [
    "ok",
    "status=500",
    "status=503",
    "status=429,header=Retry-After:1",
    "reset",
    "close",
    "stall",
    "garbage",
    "empty",
    "error_200",
    "cut_after=3",
    "reset_after=5",
    "stall_after=4",
    "error_after=2",
    "no_finish",
];

/// What must not grow: its name, its value, and how much more it may be at the end.
type Measure = (&'static str, fn(&Sample) -> f64, f64);

/// One errand for a caller.
enum Errand {
    Ask(Request),
    /// Leave after this long, wherever the answer is then.
    Leave(Request, Duration),
}

#[derive(Debug, Default)]
struct Tally {
    asked: u64,
    whole: u64,
    left: u64,
    shared: u64,
    stale: u64,
    not_asked: u64,
    milliseconds_max: f64,
    failures: Vec<String>,
}

/// Runs it.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let providers = site::three()?;
    for (_, provider) in &providers {
        provider.behave("pace=2ms").map_err(|bad| bad.to_string())?;
    }
    let yaml = site::yaml(&providers, &[EACH; 3], &format!("{ROUTES}{SETTINGS}"));
    let watched = Watched::start(options, &yaml)?;
    let tally = Mutex::new(Tally::default());
    let over = Stop::default();
    let address = watched.gateway.address();
    let (give, take) = sync_channel(QUEUE);
    let take = Mutex::new(take);
    let mut reloads = 0;
    std::thread::scope(|scope| {
        let (take, tally, over, providers) = (&take, &tally, &over, &providers);
        let mut threads = Vec::new();
        for index in 0..CALLERS {
            let builder = Builder::new().name(format!("caller-{index}"));
            threads.push(builder.spawn_scoped(scope, move || serve(address, take, tally)));
        }
        let seed = options.seed;
        let sicken = move || fall_ill(providers, over, Chance::new(seed, 1));
        threads.push(Builder::new().name("illness".to_owned()).spawn_scoped(scope, sicken));
        let started = threads.iter().all(Result::is_ok);
        if started {
            reloads = keep_asking(options, (&watched, &yaml), give, tally);
        }
        over.stop();
        if started { Ok(()) } else { Err("a thread could not be started".to_owned()) }
    })?;
    let counts = metrics(address)?;
    for name in ["hapax_failovers_total", "hapax_streams_resumed_total", "hapax_rejected_total"] {
        report.words(name, &counted(&counts, name));
    }
    let samples = watched.stop(report)?;
    report.count("reloads", reloads);
    conclude(&tally.into_inner().unwrap_or_else(PoisonError::into_inner), report);
    trend(&samples, options.soak_for, report);
    Ok(())
}

/// Gives errands at a steady rate until the time is over; how often the configuration was read again.
fn keep_asking(
    options: &Options,
    (watched, yaml): (&Watched, &str),
    give: SyncSender<Errand>,
    tally: &Mutex<Tally>,
) -> u64 {
    let mut chance = Chance::new(options.seed, 0);
    let interval = Duration::from_secs(1) / u32::try_from(options.rate.unwrap_or(RATE)).unwrap_or(1);
    let (start, mut reloads, mut number) = (time::now(), 0, 0_u64);
    let mut due = start;
    while time::since(start) < options.soak_for {
        time::pause(due.saturating_duration_since(time::now()));
        for errand in errands(&mut chance, number) {
            due += interval;
            if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = give.try_send(errand) {
                tally.lock().unwrap_or_else(PoisonError::into_inner).not_asked += 1;
            }
        }
        number += 1;
        if time::since(start) > RELOAD * (reloads + 1) {
            reloads += 1;
            let now = CHANGED[usize::try_from(reloads).unwrap_or(0) % CHANGED.len()];
            // One that fails is seen in the gateway's end.
            let _ = watched.gateway.reload(&yaml.replace(CHANGED[0], now));
        }
    }
    u64::from(reloads)
}

/// The next errands: one, or the same one several times.
fn errands(chance: &mut Chance, number: u64) -> Vec<Errand> {
    let voice = *chance.one(&VOICES);
    let mut request = Request::new(voice, format!("Question {number} of many"), chance.percent(60));
    request.model = format!("first-{}", chance.one(&site::NAMES));
    match chance.below(100) {
        0..5 => vec![Errand::Leave(request, Duration::from_millis(chance.below(60)))],
        5..9 => {
            let count = 2 + chance.below(3);
            (0..count).map(|_| Errand::Ask(request.clone())).collect()
        }
        _ => vec![Errand::Ask(request)],
    }
}

/// One caller's working life.
fn serve(address: SocketAddr, take: &Mutex<Receiver<Errand>>, tally: &Mutex<Tally>) {
    let mut caller = Caller::new(address);
    loop {
        let errand = take.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let (began, stale) = (time::now(), caller.stale);
        let (left, failure, shared) = match errand {
            Err(_) => return,
            Ok(Errand::Leave(request, after)) => {
                leave(&mut caller, &request, after);
                (true, None, false)
            }
            Ok(Errand::Ask(request)) => {
                let (failure, shared) = ask(&mut caller, &request);
                (false, failure, shared)
            }
        };
        let took = time::since(began).as_secs_f64() * 1e3;
        let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
        tally.asked += 1;
        tally.left += u64::from(left);
        tally.whole += u64::from(!left && failure.is_none());
        tally.shared += u64::from(shared);
        tally.stale += caller.stale - stale;
        tally.milliseconds_max = tally.milliseconds_max.max(took);
        if let Some(failure) = failure {
            if tally.failures.len() < TOLD_AT_ONCE_MAX {
                crate::complain(&failure);
            }
            tally.failures.push(failure);
        }
    }
}

/// What went wrong, if something did, and whether the answer was shared.
fn ask(caller: &mut Caller, request: &Request) -> (Option<String>, bool) {
    let expected = Simulator::expected_text(site::MODEL, &request.user);
    let Request { voice, stream, model, user, .. } = request;
    let told = |what: String| format!("{voice:?} stream={stream} {model} {user:?}: {what}");
    match caller.ask(request) {
        Err(error) => (Some(told(format!("no answer: {error}"))), false),
        Ok(heard) => match judge(*voice, *stream, &heard, &expected) {
            Worth::Whole => (None, heard.deduplicated),
            Worth::Honest(how) | Worth::Lying(how) => (Some(told(how)), heard.deduplicated),
        },
    }
}

fn leave(caller: &mut Caller, request: &Request, after: Duration) {
    // Whatever goes wrong here, the caller is about to leave anyway.
    if caller.send(request).is_ok() {
        time::pause(after);
    }
    caller.leave();
}

/// One provider after the other falls ill and recovers.
fn fall_ill(providers: &[(Voice, Simulator)], over: &Stop, mut chance: Chance) {
    for (_, provider) in providers.iter().cycle() {
        let since = time::now();
        while time::since(since) < ILLNESS {
            if chance.percent(10) {
                provider.stop_listening();
            } else {
                // The list is right: the first request would tell if it were not.
                let _ = provider.behave(&format!("pace=2ms,{}", chance.one(&ILLNESSES)));
            }
            let ended = over.wait(Duration::from_millis(50 + chance.below(400)));
            provider.resume();
            if ended {
                return;
            }
        }
        let _ = provider.behave("pace=2ms");
        if over.wait(ILLNESS) {
            return;
        }
        provider.forget();
    }
}

fn conclude(tally: &Tally, report: &mut Report) {
    report.count("asked", tally.asked);
    report.count("whole", tally.whole);
    report.count("callers_who_left", tally.left);
    report.count("shared", tally.shared);
    report.count("kept_connections_found_closed", tally.stale);
    report.count("failed", tally.failures.len() as u64);
    report.count("not_asked_all_callers_busy", tally.not_asked);
    report.number("answer_ms_max", tally.milliseconds_max);
    for failure in &tally.failures {
        report.broke(format!("failed: {failure}"));
    }
    report.promise(tally.asked > 0, || "nothing was asked".to_owned());
}

/// Compares the first sixth after a warm-up with the last one.
fn trend(samples: &[Sample], lasted: Duration, report: &mut Report) {
    report.vitals("", samples);
    let warm = &samples[samples.len() / 10..];
    let sixth = warm.len() / 6;
    let (first, last) = (&warm[..sixth], &warm[warm.len() - sixth..]);
    let judged = lasted >= TREND_MIN;
    let measures: [Measure; 3] = [
        ("rss_kib", |sample| sample.rss_kib, RSS_KIB_SLACK),
        ("threads", |sample| sample.threads, COUNT_SLACK),
        ("fds", |sample| sample.fds, COUNT_SLACK),
    ];
    for (name, value, slack) in measures {
        let (before, after) = (median(first.iter().map(value)), median(last.iter().map(value)));
        report.number(format!("{name}_median_first_sixth"), before);
        report.number(format!("{name}_median_last_sixth"), after);
        report.number(format!("{name}_per_hour"), slope_per_hour(warm, value));
        report.promise(!judged || after <= before + slack, || {
            format!("{name} grew from {before:.0} to {after:.0}")
        });
    }
}
