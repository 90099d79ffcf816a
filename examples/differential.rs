//! Mutated requests against our front door, nginx and HAProxy: whatever we accept, we see as they do.
//!
//! `scripts/differential [COUNT] [SEED]`. Each of the three stands before somebody who tells, in a header field of his
//! answer, what he was asked: method, target and body. Targets are compared in our normal form, and
//! paths in that of each front door that tells its own (nginx). A case is made from
//! seed and number alone, so `COUNT` cases are the same ones every time.

#[path = "differential/fronts.rs"]
mod fronts;
#[path = "differential/mutate.rs"]
mod mutate;

use fronts::{Fronts, Seen, Story};
use std::collections::BTreeMap;
use std::io::Write;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// Callers at once.
const CALLERS: usize = 4;
/// Disagreements shown in full.
const SHOWN_MAX: usize = 12;

/// How somebody's story of a case relates to ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Verdict {
    /// The same requests.
    Same,
    /// We refused where the other did not.
    WeRefuse,
    /// The other refused where we did not.
    TheyRefuse,
    /// We said that the connection ends, and heard no more.
    WeClose,
    /// The other said so.
    TheyClose,
    /// Both saw a request, but not the same one.
    Differs,
    /// The other saw a request that we neither saw nor refused.
    WeSawFewer,
    /// We saw a request that the other neither saw nor refused.
    WeSawMore,
}

impl Verdict {
    fn of(ours: &Story, theirs: &Story) -> Self {
        if ours.seen.iter().zip(&theirs.seen).any(|(our, their)| !our.agrees(their)) {
            Self::Differs
        } else if ours.seen.len() == theirs.seen.len() {
            match (ours.refused, theirs.refused) {
                (Some(_), None) => Self::WeRefuse,
                (None, Some(_)) => Self::TheyRefuse,
                _ => Self::Same,
            }
        } else if ours.seen.len() < theirs.seen.len() {
            match ours.refused {
                Some(_) => Self::WeRefuse,
                None if ours.closes => Self::WeClose,
                None => Self::WeSawFewer,
            }
        } else {
            match theirs.refused {
                Some(_) => Self::TheyRefuse,
                None if theirs.closes => Self::TheyClose,
                None => Self::WeSawMore,
            }
        }
    }

    fn is_fine(self) -> bool {
        !matches!(self, Self::Differs | Self::WeSawFewer | Self::WeSawMore)
    }
}

#[derive(Default)]
struct Tally {
    verdicts: BTreeMap<(&'static str, Verdict), u64>,
    accepted: u64,
    refused: u64,
    shown: Vec<String>,
}

fn tell(story: &Story) -> String {
    let line = |seen: &Seen| format!("{} {} {} {:?}", seen.method, seen.target, seen.body, seen.place);
    let seen: Vec<_> = story.seen.iter().map(line).collect();
    format!("{seen:?} then {:?}", story.refused)
}

fn run(fronts: &Fronts, count: u64, seed: u64) -> Tally {
    let next = AtomicU64::new(0);
    let tally = Mutex::new(Tally::default());
    let caller = || {
        loop {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= count {
                return;
            }
            let bytes = mutate::case(seed, number);
            let ours = fronts.ask("hapax", &bytes);
            for name in ["nginx", "haproxy"] {
                let mut theirs = fronts.ask(name, &bytes);
                let mut verdict = Verdict::of(&ours, &theirs);
                if !verdict.is_fine() {
                    // Some drop what is on its way when our side closes: now nobody closes.
                    theirs = fronts.ask_patiently(name, &bytes);
                    verdict = Verdict::of(&fronts.ask_patiently("hapax", &bytes), &theirs);
                }
                let mut tally = tally.lock().expect("no caller panics here");
                *tally.verdicts.entry((name, verdict)).or_default() += 1;
                if !verdict.is_fine() && tally.shown.len() < SHOWN_MAX {
                    let (ours, theirs) = (tell(&ours), tell(&theirs));
                    tally.shown.push(format!(
                        "case {number}, {verdict:?}\n  {}\n  hapax {ours}\n  {name} {theirs}",
                        bytes.escape_ascii()
                    ));
                }
            }
            let mut tally = tally.lock().expect("no caller panics here");
            tally.accepted += u64::from(!ours.seen.is_empty());
            tally.refused += u64::from(ours.refused.is_some());
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(caller);
        }
    });
    tally.into_inner().expect("no caller panics")
}

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let mut number =
        |otherwise: u64| arguments.next().and_then(|text| text.parse().ok()).unwrap_or(otherwise);
    let (count, seed) = (number(50_000), number(1));
    let mut out = std::io::stdout();
    let fronts = match Fronts::start() {
        Ok(fronts) => fronts,
        Err(error) => {
            let _ = writeln!(out, "cannot start: {error}");
            return ExitCode::FAILURE;
        }
    };
    let tally = run(&fronts, count, seed);
    let _ = writeln!(
        out,
        "{count} cases, seed {seed}: {} with a request we accept, {} we refuse",
        tally.accepted, tally.refused
    );
    let mut wrong = 0;
    for ((name, verdict), count) in &tally.verdicts {
        let _ = writeln!(out, "{name:8} {count:6} {verdict:?}");
        wrong += if verdict.is_fine() { 0 } else { *count };
    }
    for shown in &tally.shown {
        let _ = writeln!(out, "{shown}");
    }
    let _ = writeln!(out, "{wrong} seen otherwise than by the others");
    // A run in which nothing was accepted, or the others answered nothing, has shown nothing.
    let same = |name| tally.verdicts.get(&(name, Verdict::Same)).copied().unwrap_or(0);
    let meaningful = tally.accepted > count / 20 && same("nginx") > 0 && same("haproxy") > 0;
    if wrong == 0 && meaningful { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
