//! Streams abandoned for a long time: afterwards no socket, thread or permit is missing.

use crate::caller::{Caller, Request, metrics};
use crate::chance::Chance;
use crate::crowd::crowd;
use crate::options::Options;
use crate::report::Report;
use crate::site::{self, Watched};
use crate::time;
use crate::vitals::look;
use crate::words::{VOICES, Voice, Worth, judge};
use hapax::simulate::Simulator;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

const RATE: u64 = 20;
const CALLERS: usize = 16;
/// All that one provider may do at once, in the trial at the end.
const CONCURRENCY: usize = 96;
/// Workers without work end after half a minute; kept connections somewhat later.
const SETTLE: Duration = Duration::from_secs(150);
/// A kept connection to each provider.
const FDS_SLACK: f64 = 3.0;
/// How providers answer streams that are going to be abandoned.
const MANNERS: [&str; 4] =
    ["m-1!endless,pace=10ms", "m-1!stall_after=2", "m-1!stall", "m-1!first=200ms,pace=5ms"];

/// Runs it.
pub fn run(options: &Options, report: &mut Report) -> Result<(), String> {
    let providers = site::three()?;
    let bound = format!(", max_concurrency: {CONCURRENCY}");
    let yaml = site::yaml(&providers, &[], site::NEVER_OPEN).replace(", max_concurrency: 200", &bound);
    let watched = Watched::start(options, &yaml)?;
    let (pid, address) = (watched.gateway.pid(), watched.gateway.address());
    let start = time::now();
    let idle = settled(pid, f64::MAX, f64::MAX)?;
    let heard = abandon(options, address, report)?;
    let busy = look(pid, start)?;
    report.number("threads_idle_before", idle.0);
    report.number("fds_idle_before", idle.1);
    report.number("threads_at_the_end", busy.threads);
    report.number("fds_at_the_end", busy.fds);
    report.promise(heard > 0, || "no stream had begun when it was abandoned".to_owned());

    let began = time::now();
    let after = settled(pid, idle.0, idle.1 + FDS_SLACK)?;
    report.number("settled_after_s", time::since(began).as_secs_f64());
    report.number("threads_idle_after", after.0);
    report.number("fds_idle_after", after.1);
    report.promise(after.0 <= idle.0, || format!("threads: {} idle before, {} after", idle.0, after.0));
    report
        .promise(after.1 <= idle.1 + FDS_SLACK, || format!("fds: {} idle before, {} after", idle.1, after.1));
    let gauges = metrics(address)?;
    for (gauge, most) in [("hapax_workers_busy ", 1), ("hapax_connections ", 1), ("hapax_queue_depth ", 0)] {
        let value = gauges.lines().find_map(|line| line.strip_prefix(gauge)?.parse::<u64>().ok());
        report.promise(value.is_some_and(|value| value <= most), || format!("{gauge}is {value:?} at rest"));
    }
    for (index, (voice, provider)) in providers.iter().enumerate() {
        let open = provider.open_connections();
        report.promise(open <= 1, || format!("{open} connections to the {} provider are open", voice.word()));
        full_house(address, (index, *voice, provider), report)?;
    }
    let samples = watched.stop(report)?;
    report.vitals("", &samples);
    Ok(())
}

/// Waits until threads and descriptors are down to these, or patience ends; what they are then.
fn settled(pid: u32, threads: f64, fds: f64) -> Result<(f64, f64), String> {
    let start = time::now();
    // A start takes a moment: the health checks' first round.
    time::pause(Duration::from_secs(1));
    loop {
        let sample = look(pid, start)?;
        if (sample.threads <= threads && sample.fds <= fds) || time::since(start) > SETTLE {
            return Ok((sample.threads, sample.fds));
        }
        time::pause(Duration::from_millis(500));
    }
}

/// Begins streams and leaves them; how many had begun.
fn abandon(options: &Options, address: std::net::SocketAddr, report: &mut Report) -> Result<u64, String> {
    let rate = options.rate.unwrap_or(RATE);
    let count = (options.abandon_for.as_secs_f64() * rate as f64) as u64;
    let (start, heard, unheard) = (time::now(), AtomicU64::new(0), AtomicU64::new(0));
    crowd(
        CALLERS,
        count,
        |_| Caller::new(address),
        |caller, number| {
            let mut chance = Chance::new(options.seed, number);
            let due = start + Duration::from_secs_f64(number as f64 / rate as f64);
            time::pause(due.saturating_duration_since(time::now()));
            let user = format!("Nobody waits for answer {number}");
            let mut request = Request::new(*chance.one(&VOICES), user, chance.percent(90));
            request.model = (*chance.one(&MANNERS)).to_owned();
            request.headers = format!("X-Hapax-Provider: {}\r\n", chance.one(&site::NAMES));
            // Whatever goes wrong, the stream is abandoned either way.
            let _ = caller.send(&request);
            caller.be_patient_for(Duration::from_millis(1 + chance.below(300)));
            if caller.head().is_ok() {
                let mut chunks = chance.below(10);
                while chunks > 0 && caller.chunk().is_ok() {
                    chunks -= 1;
                }
                heard.fetch_add(1, Ordering::Relaxed);
            } else {
                unheard.fetch_add(1, Ordering::Relaxed);
            }
            caller.leave();
        },
    )?;
    report.count("abandoned", count);
    report.count("of_them_mid_stream", heard.load(Ordering::Relaxed));
    report.count("of_them_before_the_head", unheard.load(Ordering::Relaxed));
    Ok(heard.load(Ordering::Relaxed))
}

/// As many requests at once as the provider may have: all of them are with it together, and all succeed.
fn full_house(
    address: std::net::SocketAddr,
    (index, voice, provider): (usize, Voice, &Simulator),
    report: &mut Report,
) -> Result<(), String> {
    provider.forget();
    provider.behave("hold").map_err(|bad| bad.to_string())?;
    let failures: Mutex<Vec<String>> = Mutex::default();
    let together = std::thread::scope(|scope| {
        let opened = scope.spawn(|| {
            let arrived = provider.wait_for(CONCURRENCY, Duration::from_secs(20)).len();
            // One more would be one too many: it has nowhere else to go, and is told so.
            let mut extra = Request::new(voice, "One too many".to_owned(), false);
            extra.headers = format!("X-Hapax-Provider: {}\r\n", site::NAMES[index]);
            let refused = Caller::new(address).ask(&extra).map(|heard| heard.status);
            provider.gate().open();
            (arrived, refused)
        });
        let asked = crowd(
            CONCURRENCY,
            CONCURRENCY as u64,
            |_| Caller::new(address),
            |caller, number| {
                let mut request = Request::new(voice, format!("Full house {number}"), number % 2 == 0);
                request.headers = format!("X-Hapax-Provider: {}\r\n", site::NAMES[index]);
                let expected = Simulator::expected_text(site::MODEL, &request.user);
                let worth = caller.ask(&request).map(|heard| judge(voice, request.stream, &heard, &expected));
                if worth != Ok(Worth::Whole)
                    && let Ok(mut failures) = failures.lock()
                {
                    failures.push(format!("{worth:?}"));
                }
            },
        );
        asked.and_then(|_| opened.join().map_err(|_| "the gate's thread panicked".to_owned()))
    })?;
    provider.gate().close();
    let failures = failures.into_inner().unwrap_or_default();
    let name = site::NAMES[index];
    report.count(format!("at_once_after_{name}"), together.0 as u64);
    report.promise(together.0 == CONCURRENCY, || {
        format!("only {} of {CONCURRENCY} requests reached {name} at once", together.0)
    });
    report.promise(matches!(together.1, Ok(429 | 503)), || format!("one too many got {:?}", together.1));
    report.promise(failures.is_empty(), || {
        format!("{} of a full house failed: {:?}", failures.len(), failures.first())
    });
    Ok(())
}
