//! Callers who leave: while they wait, in the middle of a stream, as the one whose call others share. The call to the
//! provider ends within a second of the last one's departure, and not before it.

use crate::caller::{Caller, Request, metrics};
use crate::options::Options;
use crate::report::Report;
use crate::site::{self, NEVER_OPEN, Watched};
use crate::time;
use crate::words::VOICES;
use hapax::simulate::{End, Simulator};
use std::net::SocketAddr;
use std::time::{Duration, Instant};

/// Calls under way at once; three connections each at most.
const BATCH: u64 = 40;
const PROMISED: Duration = Duration::from_secs(1);
/// For what is expected to happen at once.
const PATIENCE: Duration = Duration::from_secs(15);
/// Others who ask the same thing.
const FOLLOWERS: usize = 2;
/// How long those who stay are watched after the first has left.
const AFTERWARDS: Duration = Duration::from_millis(300);
/// Chunks that those who stay must hear; more than had been said when the first left.
const STILL_HEARD: usize = 40;

/// When a caller leaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum When {
    /// He waits for a whole answer.
    WaitingWhole,
    /// He waits for a stream's head.
    WaitingStream,
    /// Words arrive.
    MidStream,
    /// Words arrived, then nothing: nobody will notice by writing.
    Stalled,
    /// Others share his stream, and go on hearing it.
    LeaderMidStream,
    /// Others share his call, and nobody has heard anything yet.
    LeaderWaiting,
}

const WHENS: [(When, &str); 6] = [
    (When::WaitingWhole, "waiting_whole"),
    (When::WaitingStream, "waiting_stream"),
    (When::MidStream, "mid_stream"),
    (When::Stalled, "stalled_stream"),
    (When::LeaderMidStream, "flight_mid_stream"),
    (When::LeaderWaiting, "flight_waiting"),
];

impl When {
    fn behaviour(self) -> &'static str {
        match self {
            Self::WaitingWhole | Self::WaitingStream => "m-1!stall",
            Self::MidStream | Self::LeaderMidStream => "m-1!endless,pace=10ms",
            Self::Stalled => "m-1!stall_after=3",
            Self::LeaderWaiting => "m-1!delay=1s,endless,pace=10ms",
        }
    }

    fn shared(self) -> bool {
        matches!(self, Self::LeaderMidStream | Self::LeaderWaiting)
    }

    /// Whether words have arrived when he leaves.
    fn heard(self) -> bool {
        matches!(self, Self::MidStream | Self::Stalled | Self::LeaderMidStream)
    }
}

/// One call to the provider, and everybody who waits for it.
struct Call {
    request: Request,
    leader: Caller,
    followers: Vec<Caller>,
    /// When the last of them left.
    left: Option<Instant>,
}

/// Runs it.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let providers = site::three()?;
    let watched = Watched::start(options, &site::yaml(&providers, &[], NEVER_OPEN))?;
    let address = watched.gateway.address();
    let mut all: Vec<f64> = Vec::new();
    let mut of_each: [Vec<f64>; WHENS.len()] = Default::default();
    let (mut given, mut batch) = (0, 0);
    while given < options.callers {
        let count = BATCH.min(options.callers - given);
        let (kind, turn) = (batch % WHENS.len(), batch / WHENS.len());
        let provider = (site::NAMES[turn % providers.len()], &providers[turn % providers.len()].1);
        let took = part(address, provider, WHENS[kind].0, (given, count), report)?;
        of_each[kind].extend(&took);
        all.extend(&took);
        given += count;
        batch += 1;
    }
    let late = all.iter().filter(|took| **took > PROMISED.as_secs_f64() * 1e3).count() as u64;
    report.count("callers_who_left", given);
    report.count("calls_closed", all.len() as u64);
    report.count("calls_closed_within_1s", all.len() as u64 - late);
    report.spread("closed_after", &all);
    for ((_, name), took) in WHENS.iter().zip(&of_each) {
        report.count(format!("{name}_calls"), took.len() as u64);
        report.spread(name, took);
    }
    report.promise(late == 0, || format!("{late} calls went on for more than a second"));
    report.promise(all.len() as u64 == given, || format!("{} of {given} calls were closed", all.len()));
    let samples = watched.stop(report)?;
    report.vitals("", &samples);
    Ok(())
}

/// A batch of callers who leave at the same kind of moment: milliseconds until each call was closed.
fn part(
    address: SocketAddr,
    (name, provider): (&str, &Simulator),
    when: When,
    (first, count): (u64, u64),
    report: &mut Report,
) -> Result<Vec<f64>, String> {
    provider.forget();
    let mut calls: Vec<Call> = (first..first + count)
        .map(|number| {
            let voice = VOICES[usize::try_from(number).unwrap_or(0) % VOICES.len()];
            let stream = when != When::WaitingWhole;
            let mut request = Request::new(voice, format!("Caller {number} will leave"), stream);
            request.model = when.behaviour().to_owned();
            request.headers = format!("X-Hapax-Provider: {name}\r\n");
            Call { request, leader: Caller::new(address), followers: Vec::new(), left: None }
        })
        .collect();
    arrive(address, provider, when, &mut calls)?;
    for call in &mut calls {
        call.left = Some(time::now());
        call.leader.leave();
    }
    if when.shared() {
        stay(provider, &mut calls, report);
    }
    let in_progress =
        || provider.seen().iter().any(|seen| seen.method == "POST" && seen.end == End::InProgress);
    time::until(PATIENCE, || !in_progress());
    let mut took = Vec::new();
    let seen = provider.seen();
    report.promise(provider.completions() == count, || {
        format!("{when:?}: {} calls for {count} questions", provider.completions())
    });
    for call in &calls {
        let mark = format!("{}\"", call.request.user);
        let end = seen.iter().find(|seen| seen.text().contains(&mark)).map(|seen| seen.end);
        match (end, call.left) {
            (Some(End::PeerClosed(at)), Some(left)) => {
                report.promise(at >= left || !when.shared(), || {
                    format!("{when:?}: the call was closed while somebody waited for it")
                });
                took.push(at.saturating_duration_since(left).as_secs_f64() * 1e3);
            }
            other => report.broke(format!("{when:?} {:?}: its call ended with {other:?}", call.request.user)),
        }
    }
    Ok(took)
}

/// Brings all callers to the point where they leave.
fn arrive(address: SocketAddr, provider: &Simulator, when: When, calls: &mut [Call]) -> Result<(), String> {
    let told = |error: std::io::Error| format!("{when:?}: {error}");
    for call in calls.iter_mut() {
        call.leader.send(&call.request).map_err(told)?;
    }
    let arrived = provider.wait_for(calls.len(), PATIENCE).len();
    if arrived < calls.len() {
        return Err(format!("{when:?}: only {arrived} of {} calls arrived", calls.len()));
    }
    if when.shared() {
        let before = shared_so_far(address)?;
        for call in calls.iter_mut() {
            for _ in 0..FOLLOWERS {
                let mut follower = Caller::new(address);
                follower.send(&call.request).map_err(told)?;
                call.followers.push(follower);
            }
        }
        let all = before + (calls.len() * FOLLOWERS) as u64;
        if !time::until(PATIENCE, || shared_so_far(address).is_ok_and(|shared| shared >= all)) {
            return Err(format!("{when:?}: not all identical questions were shared"));
        }
    }
    if when.heard() {
        for call in calls.iter_mut() {
            call.leader.head().map_err(told)?;
            call.leader.chunk().map_err(told)?;
        }
    }
    Ok(())
}

fn shared_so_far(address: SocketAddr) -> Result<u64, String> {
    let text = metrics(address)?;
    let value = text.lines().find_map(|line| line.strip_prefix("hapax_deduplicated_requests_total "));
    Ok(value.and_then(|value| value.parse().ok()).unwrap_or(0))
}

/// The leaders have left: those who share their calls go on hearing them, and then leave as well.
fn stay(provider: &Simulator, calls: &mut [Call], report: &mut Report) {
    time::pause(AFTERWARDS);
    for call in calls.iter_mut() {
        for follower in &mut call.followers {
            let heard = follower.head().and_then(|head| {
                for _ in 0..STILL_HEARD {
                    follower.chunk()?;
                }
                Ok(head.deduplicated())
            });
            report.promise(matches!(heard, Ok(true)), || {
                format!("{:?}: one who stayed heard {heard:?}", call.request.user)
            });
        }
    }
    let closed = provider.seen().iter().filter(|seen| seen.end != End::InProgress).count();
    report.promise(closed == 0, || format!("{closed} shared calls ended when their leader left"));
    for call in calls.iter_mut() {
        while let Some(mut follower) = call.followers.pop() {
            call.left = Some(time::now());
            follower.leave();
        }
    }
}
