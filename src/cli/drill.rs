//! `hapax drill`: the failure contract's table, played against simulated providers on this machine.

use super::args::Place;
use super::assemble::House;
use super::paint::{Tone, tinted};
use super::{Failed, health, print};
use crate::clock::SystemClock;
use crate::config::{self, Settings};
use crate::drill::{self, Cast, Outcome, Report, Row, SECTIONS, Site, Stage};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::io::{IsTerminal, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Where the providers listen for a gateway that is started elsewhere.
const FIRST_PORT: u16 = 9_211;
/// Rows played at once in this process; most of their time is waiting.
const AT_ONCE: usize = 8;
/// How long a gateway of the drill may take to end.
const CLOSING: Duration = Duration::from_secs(5);

/// What the command line asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wish<'a> {
    /// The site's own configuration: its front door and its ways with failures, with the drill's providers.
    pub(super) config: Option<&'a Path>,
    /// A gateway that was started elsewhere.
    pub(super) place: Option<Place>,
    /// Print the configuration for such a gateway, and nothing else.
    pub(super) print_config: bool,
    /// Print JSON.
    pub(super) json: bool,
}

pub(super) fn run(wish: &Wish<'_>) -> Result<(), Failed> {
    if wish.print_config {
        return print(&drill::configuration(&drill::urls_from(FIRST_PORT)));
    }
    let own = wish.config.map(|path| super::settings(Some(path))).transpose()?;
    let reports = match &wish.place {
        Some(place) => elsewhere(place)?,
        None => here(own.as_ref()),
    };
    let tally = Tally::of(&reports);
    print(&if wish.json { as_json(&reports, &tally) } else { as_table(&reports, &tally) })?;
    match tally {
        Tally { failed: 0, not_played: 0, .. } => Ok(()),
        Tally { failed: 0, not_played, .. } => {
            Err(Failed::Running(format!("{not_played} rows were not played: they need --pid")))
        }
        Tally { failed, .. } => Err(Failed::Running(format!("{failed} promises were not kept"))),
    }
}

/// How many rows ended how.
struct Tally {
    passed: usize,
    failed: usize,
    not_played: usize,
}

impl Tally {
    fn of(reports: &[Report]) -> Self {
        let count = |outcome| reports.iter().filter(|report| report.outcome == outcome).count();
        Self {
            passed: count(Outcome::Passed),
            failed: count(Outcome::Failed),
            not_played: count(Outcome::NotPlayed),
        }
    }
}

/// Plays one row in this process: a cast and a gateway of its own. `own`: the site's settings, of which everything
/// counts but who is asked and how long is waited.
///
/// # Errors
/// Why the stage could not be built.
pub fn play_here(row: &Row, own: Option<&Settings>) -> Result<Report, String> {
    let cast = Cast::start(None).map_err(|error| format!("no port for a provider: {error}"))?;
    let text = drill::configuration(&cast.urls());
    let ours = config::parse("drill", &text, &|_| None).map_err(|problems| problems.to_string())?;
    let settings = own.map_or_else(|| ours.clone(), |own| adopted(own, &ours));
    let listener =
        TcpListener::bind("127.0.0.1:0").map_err(|error| format!("no port for a gateway: {error}"))?;
    let house = House::open(&settings, listener, Arc::new(SystemClock), std::io::sink())?;
    let address = house.address();
    let here = Here { house, settings };
    let report = drill::play(row, &Stage::new(&cast, address, Some(&here)));
    here.house.close(CLOSING);
    Ok(report)
}

/// The site's ways with failures, and the drill's providers, names and patience.
fn adopted(own: &Settings, ours: &Settings) -> Settings {
    Settings {
        on_stream_failure: own.on_stream_failure,
        deduplicate: own.deduplicate,
        system_prompt: own.system_prompt.clone(),
        cors_origins: own.cors_origins.clone(),
        ..ours.clone()
    }
}

/// A gateway in this process.
struct Here {
    house: House,
    settings: Settings,
}

impl Site for Here {
    fn reload(&self) -> Result<(), String> {
        self.house.reload(&self.settings)
    }

    fn drain(&self) -> Result<(), String> {
        self.house.drain();
        Ok(())
    }
}

/// A gateway in a process of its own, told by signals.
struct There(Pid);

impl There {
    fn signal(&self, signal: Signal) -> Result<(), String> {
        kill_process(self.0, signal).map_err(|error| format!("the gateway's process: {error}"))
    }
}

impl Site for There {
    fn reload(&self) -> Result<(), String> {
        self.signal(Signal::HUP)
    }

    fn drain(&self) -> Result<(), String> {
        self.signal(Signal::TERM)
    }
}

/// Plays one row against a gateway in a process of its own, which asks this cast and may have been asked before.
/// `pid`: its process, without which some rows are not played.
///
/// # Errors
/// There is no process of this number.
pub fn play_there(row: &Row, cast: &Cast, gateway: SocketAddr, pid: Option<i32>) -> Result<Report, String> {
    let there = pid.map(|pid| Pid::from_raw(pid).map(There).ok_or("0 is nobody's process")).transpose()?;
    let site = there.as_ref().map(|there| there as &dyn Site);
    Ok(drill::play(row, &Stage::new(cast, gateway, site).before_one_that_remembers()))
}

fn here(own: Option<&Settings>) -> Vec<Report> {
    let rows: Vec<&Row> = drill::rows().collect();
    let progress = Progress::new(rows.len());
    let next = AtomicUsize::new(0);
    let play = || {
        let mut played = Vec::new();
        while let Some((place, row)) = take(&next, &rows) {
            let report = play_here(row, own).unwrap_or_else(|problem| row.unplayed(problem));
            progress.step(row.name);
            played.push((place, report));
        }
        played
    };
    let mut played: Vec<(usize, Report)> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(play)).collect();
        threads.into_iter().filter_map(|thread| thread.join().ok()).flatten().collect()
    });
    progress.end();
    played.sort_by_key(|(place, _)| *place);
    played.into_iter().map(|(_, report)| report).collect()
}

fn take<'r>(next: &AtomicUsize, rows: &[&'r Row]) -> Option<(usize, &'r Row)> {
    let place = next.fetch_add(1, Ordering::Relaxed);
    rows.get(place).map(|row| (place, *row))
}

fn elsewhere(place: &Place) -> Result<Vec<Report>, Failed> {
    let authority = health::of_url(&place.url)?;
    // Not sixty rows that all fail for want of a gateway.
    let silent = |error| Failed::Running(format!("no answer from {authority}: {error}"));
    let address = health::connect(&authority).and_then(|stream| stream.peer_addr()).map_err(silent)?;
    health::get(&authority, "/health/live", None).map_err(silent)?;
    let progress = Progress::new(drill::rows().count());
    let mut reports = Vec::new();
    for row in drill::rows() {
        let cast = Cast::start(Some(FIRST_PORT))
            .map_err(|error| Failed::Running(format!("no port for a provider: {error}")))?;
        reports.push(play_there(row, &cast, address, place.pid).map_err(Failed::Usage)?);
        progress.step(row.name);
    }
    progress.end();
    Ok(reports)
}

/// Shows on a terminal how far it is; nothing in a pipe.
struct Progress {
    done: AtomicUsize,
    all: usize,
    shown: bool,
}

impl Progress {
    fn new(all: usize) -> Self {
        Self { done: AtomicUsize::new(0), all, shown: std::io::stderr().is_terminal() }
    }

    fn step(&self, name: &str) {
        let done = self.done.fetch_add(1, Ordering::Relaxed) + 1;
        self.show(&format!("\r{done}/{} {name:<32}", self.all));
    }

    fn end(&self) {
        self.show(&format!("\r{:48}\r", ""));
    }

    fn show(&self, text: &str) {
        if self.shown {
            // A terminal that is gone needs no progress.
            let _ = std::io::stderr().write_all(text.as_bytes());
        }
    }
}

fn as_json(reports: &[Report], tally: &Tally) -> String {
    let Tally { passed, failed, not_played } = tally;
    json!({"passed": passed, "failed": failed, "not_played": not_played, "rows": reports}).to_string()
}

fn as_table(reports: &[Report], tally: &Tally) -> String {
    let mut text = String::new();
    for section in SECTIONS {
        text.push_str(&format!("\n{}\n", section.title));
        for row in section.rows {
            let Some(report) = reports.iter().find(|report| report.name == row.name) else { continue };
            let (mark, so) = match report.outcome {
                Outcome::Passed => (tinted(Tone::Good, "ok  "), ""),
                Outcome::Failed => (tinted(Tone::Bad, "FAIL"), "NOT KEPT  "),
                Outcome::NotPlayed => (tinted(Tone::Dim, "--  "), "NOT PLAYED"),
            };
            text.push_str(&format!("  {mark} {:<24} {}\n", report.name, report.promise));
            if report.outcome != Outcome::NotPlayed {
                text.push_str(&format!("         caller    {}\n", shortened(&report.caller)));
                let seconds = Duration::from_millis(report.milliseconds).as_secs_f64();
                let providers = report.providers.join("; ");
                text.push_str(&format!("         providers {providers}   ({seconds:.1} s)\n"));
            }
            if report.outcome != Outcome::Passed {
                text.push_str(&format!("         {so} {}\n", report.problem));
            }
        }
    }
    let Tally { passed, failed, not_played } = tally;
    text.push_str(&format!("\n{passed} of {} promises kept, {failed} broken", reports.len()));
    if *not_played > 0 {
        text.push_str(&format!(", {not_played} not played"));
    }
    text.push('\n');
    text
}

/// The last three of what the caller heard, and how many there were.
fn shortened(heard: &[String]) -> String {
    let last = heard.len().saturating_sub(3);
    let tail = heard[last..].join("; ");
    if last == 0 { tail } else { format!("{last} more; {tail}") }
}
