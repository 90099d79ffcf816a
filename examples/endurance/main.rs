//! Endurance: what the gateway promises, kept up for hours and over thousands of faults, seen from its callers,
//! its providers and its process.
//!
//! The release binary runs as a child with a configuration of its own; providers are simulated in this process, and
//! callers speak to the gateway over raw sockets. Each phase prints one JSON line, the end is a table, and a broken
//! promise is a status that is not 0. What was measured, and how to repeat it: `docs/endurance.md`.

mod abandoned;
mod caller;
mod chance;
mod crowd;
mod departed;
mod flapping;
mod gateway;
mod killed;
mod options;
mod report;
mod site;
mod soak;
mod time;
mod vitals;
mod words;

use options::{Command, Options, Phase};
use report::Report;
use std::io::Write;
use std::process::ExitCode;

fn main() -> ExitCode {
    let options = match options::parse(std::env::args().skip(1)) {
        Ok(Command::Run(options)) => options,
        Ok(Command::Help) => {
            say(options::HELP);
            return ExitCode::SUCCESS;
        }
        Err(wrong) => {
            complain(&wrong);
            return ExitCode::from(64);
        }
    };
    let mut reports: Vec<Report> = Vec::new();
    for phase in &options.phases {
        let mut report = Report::new(phase.word());
        if let Err(problem) = run(*phase, &options, &mut report) {
            report.broke(format!("the phase could not be carried out: {problem}"));
        }
        say(&report.json());
        reports.push(report);
    }
    say(&report::table(&reports));
    if reports.iter().all(Report::kept) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn run(phase: Phase, options: &Options, report: &mut Report) -> Result<(), String> {
    let began = time::now();
    let done = match phase {
        Phase::Flapping => flapping::run(options, report),
        Phase::KilledStreams => killed::run(options, report),
        Phase::Departed => departed::run(options, report),
        Phase::Abandoned => abandoned::run(options, report),
        Phase::Soak => soak::run(options, report),
    };
    report.number("seconds", time::since(began).as_secs_f64());
    done
}

/// A reader who has gone away does not end a run of hours; the status still tells.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn complain(text: &str) {
    let _ = writeln!(std::io::stderr(), "endurance: {text}");
}
