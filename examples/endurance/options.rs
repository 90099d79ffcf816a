//! The command line: which phases, how much of each.

use std::path::PathBuf;
use std::time::Duration;

/// What `--help` says.
pub const HELP: &str = "\
endurance [phase...] [options]        all phases when none is named

phases
  flapping        the preferred provider fails half of the time: nobody may notice
  killed-streams  providers' connections killed at a random byte of a stream
  departed        callers who leave: the upstream call ends within a second
  abandoned       streams abandoned for a long time: nothing leaks
  soak            mixed faults at a steady load: memory, threads and descriptors stay flat

options
  --quick               all of it in about a minute
  --binary PATH         the gateway to run (default: hapax beside the examples)
  --requests N          of flapping (100000)
  --streams N           of killed-streams, alone, with a second provider, with one that refuses beginnings (10000)
  --callers N           of departed (1000)
  --abandon-for TIME    such as 90s, 30m, 1h (30m)
  --soak-for TIME       (1h)
  --rate N              requests per second of abandoned (20) and soak (50)
  --clients N           callers at once in flapping and killed-streams (32)
  --seed N              of the random choices (1)
  --samples FILE        one line per second: seconds,rss KiB,threads,descriptors,cpu seconds (abandoned, soak)
";

/// What is to be done.
pub enum Command {
    /// Run phases.
    Run(Options),
    /// Print the help.
    Help,
}

/// One kind of endurance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// The preferred provider fails half of the time.
    Flapping,
    /// Connections killed at a random byte.
    KilledStreams,
    /// Callers who leave.
    Departed,
    /// Abandoned streams for a long time.
    Abandoned,
    /// Everything, for a long time.
    Soak,
}

const PHASES: [Phase; 5] =
    [Phase::Flapping, Phase::KilledStreams, Phase::Departed, Phase::Abandoned, Phase::Soak];

impl Phase {
    /// Its name.
    pub fn word(self) -> &'static str {
        match self {
            Self::Flapping => "flapping",
            Self::KilledStreams => "killed-streams",
            Self::Departed => "departed",
            Self::Abandoned => "abandoned",
            Self::Soak => "soak",
        }
    }
}

/// How much of everything.
#[derive(Debug, Clone)]
pub struct Options {
    /// What to run, in order.
    pub phases: Vec<Phase>,
    /// The gateway.
    pub binary: PathBuf,
    /// Requests of `flapping`.
    pub requests: u64,
    /// Streams of `killed-streams`, for each of its three parts.
    pub streams: u64,
    /// Callers of `departed`.
    pub callers: u64,
    /// How long `abandoned` lasts.
    pub abandon_for: Duration,
    /// How long `soak` lasts.
    pub soak_for: Duration,
    /// Requests per second, if not the phase's own.
    pub rate: Option<u64>,
    /// Callers at once.
    pub clients: usize,
    /// Of the random choices.
    pub seed: u64,
    /// Where samples are written.
    pub samples: Option<PathBuf>,
}

impl Options {
    fn usual() -> Self {
        let beside = std::env::current_exe().ok();
        let binary = beside.as_deref().and_then(|path| Some(path.parent()?.parent()?.join("hapax")));
        Self {
            phases: Vec::new(),
            binary: binary.unwrap_or_else(|| PathBuf::from("hapax")),
            requests: 100_000,
            streams: 10_000,
            callers: 1_000,
            abandon_for: Duration::from_secs(1_800),
            soak_for: Duration::from_secs(3_600),
            rate: None,
            clients: 32,
            seed: 1,
            samples: None,
        }
    }
}

/// Parses everything after the program's name.
///
/// # Errors
/// What is wrong, in words.
pub fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Command, String> {
    let mut options = Options::usual();
    while let Some(argument) = arguments.next() {
        if let Some(phase) = PHASES.into_iter().find(|phase| phase.word() == argument) {
            options.phases.push(phase);
            continue;
        }
        let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
        match argument.as_str() {
            "--help" | "-h" => return Ok(Command::Help),
            "--quick" => {
                (options.requests, options.streams, options.callers) = (2_000, 450, 90);
                options.abandon_for = Duration::from_secs(5);
                options.soak_for = Duration::from_secs(10);
            }
            "--binary" => options.binary = value()?.into(),
            "--requests" => options.requests = number(&value()?)?,
            "--streams" => options.streams = number(&value()?)?,
            "--callers" => options.callers = number(&value()?)?,
            "--abandon-for" => options.abandon_for = duration(&value()?)?,
            "--soak-for" => options.soak_for = duration(&value()?)?,
            "--rate" => options.rate = Some(number(&value()?)?.clamp(1, 1_000)),
            // The front door takes 256 connections of one address.
            "--clients" => options.clients = usize::try_from(number(&value()?)?).unwrap_or(1).clamp(1, 200),
            "--seed" => options.seed = number(&value()?)?,
            "--samples" => options.samples = Some(value()?.into()),
            _ => return Err(format!("`{argument}` is neither a phase nor an option; see --help")),
        }
    }
    if options.phases.is_empty() {
        options.phases = PHASES.to_vec();
    }
    Ok(Command::Run(options))
}

fn number(text: &str) -> Result<u64, String> {
    text.parse().map_err(|_| format!("`{text}` is not a number"))
}

fn duration(text: &str) -> Result<Duration, String> {
    let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        _ => return Err(format!("`{text}` is not a duration such as 90s, 30m or 1h")),
    };
    Ok(Duration::from_secs(number(digits)?.saturating_mul(seconds)))
}
