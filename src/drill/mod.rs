//! The fault drill: every promise of the failure contract, played against a gateway with simulated providers.
//!
//! A [`Row`] is a promise with a function. It is played on a [`Stage`]: the cast of simulated providers, and a
//! caller on a socket of his own. The stage keeps what both sides saw, the function says whether it is what was
//! promised. The same rows run in the tests, for `hapax drill`, and against a gateway started elsewhere.
//!
//! What a row needs of the gateway's configuration is in [`configuration`], one for all rows: which providers
//! there are, under which model names they are asked in which order, and patience short enough to watch.

mod answer;
mod blame;
mod caller;
mod cast;
mod faults;
mod flights;
mod process;
mod recovery;
mod stage;
mod streams;

pub use cast::{Cast, NAMES, configuration, urls_from};
pub use stage::{Site, Stage};

use crate::clock::{Clock, SystemClock};
use serde::Serialize;
use std::time::Duration;

/// No wait of a row is longer.
const PATIENCE: Duration = Duration::from_secs(20);

/// One promise.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Its name, unique: letters and underscores.
    pub name: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// Plays it; says what was not kept.
    play: fn(&Stage<'_>) -> Result<(), String>,
}

/// Rows that belong together.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its title.
    pub title: &'static str,
    /// Its rows.
    pub rows: &'static [Row],
}

/// The whole table.
pub const SECTIONS: &[Section] = &[
    Section { title: "A provider fails: the first request already succeeds", rows: faults::ROWS },
    Section { title: "Whose fault it is, and what follows", rows: blame::ROWS },
    Section { title: "Breakers, health and the way back", rows: recovery::ROWS },
    Section { title: "Streams", rows: streams::ROWS },
    Section { title: "Identical requests", rows: flights::ROWS },
    Section { title: "The process", rows: process::ROWS },
];

/// How a row ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The promise was kept.
    Passed,
    /// It was not.
    Failed,
    /// Nobody knows: the gateway's process is needed for it, and is not known.
    NotPlayed,
}

/// What became of a row.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The row.
    pub name: &'static str,
    /// What is promised.
    pub promise: &'static str,
    /// Whether it was kept.
    pub outcome: Outcome,
    /// What was not kept, or why it was not played; empty when all was kept.
    pub problem: String,
    /// What the caller received, request by request.
    pub caller: Vec<String>,
    /// What each provider saw.
    pub providers: Vec<String>,
    /// How long it took, in milliseconds.
    pub milliseconds: u64,
}

/// Every row, in the order of the table.
pub fn rows() -> impl Iterator<Item = &'static Row> {
    SECTIONS.iter().flat_map(|section| section.rows)
}

/// Plays one row.
#[must_use]
pub fn play(row: &Row, stage: &Stage<'_>) -> Report {
    let clock = SystemClock;
    let began = clock.now();
    let result = stage.wait_ready().and_then(|()| (row.play)(stage));
    // Whoever still waits at a gate may go.
    stage.cast.open_gates();
    let took = clock.now().saturating_duration_since(began);
    Report {
        name: row.name,
        promise: row.promise,
        outcome: match &result {
            Ok(()) => Outcome::Passed,
            Err(_) if stage.missed() => Outcome::NotPlayed,
            Err(_) => Outcome::Failed,
        },
        problem: result.err().unwrap_or_default(),
        caller: stage.heard(),
        providers: stage.cast.seen(),
        milliseconds: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
    }
}

impl Row {
    /// What a row becomes when the stage for it could not be built.
    #[must_use]
    pub fn unplayed(&self, problem: String) -> Report {
        Report {
            name: self.name,
            promise: self.promise,
            outcome: Outcome::Failed,
            problem,
            caller: Vec::new(),
            providers: Vec::new(),
            milliseconds: 0,
        }
    }
}
