//! `hapax check`: says whether the configuration is valid, what is in effect, and whom it can reach.

use super::args::Asked;
use super::{Failed, print};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Problem, Settings};
use crate::gateway::cancel::Cancel;
use crate::gateway::ports::{Call, Provider};
use crate::memory::Memory;
use crate::upstream;
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(config: Option<&Path>, asked: Asked) -> Result<(), Failed> {
    if asked.json {
        return as_json(config, asked);
    }
    let settings = super::settings(config)?;
    if asked.egress {
        return print(&config::egress(&settings).join("\n"));
    }
    let warnings: String =
        settings.warnings.iter().map(|warning| format!("# warning: {warning}\n")).collect();
    print(&format!("{warnings}{}", config::effective(&settings)))?;
    if asked.live {
        let news = ask_each(&settings)?;
        for one in &news {
            print(&format!("# {}: {}", one.provider, one.problem.as_deref().unwrap_or("ok")))?;
        }
        return verdict(&news);
    }
    Ok(())
}

/// Everything `check` has to say, for machines.
#[derive(Serialize)]
struct Report {
    valid: bool,
    problems: Vec<Trouble>,
    warnings: Vec<String>,
    hash: Option<String>,
    egress: Vec<String>,
    /// The effective configuration, as YAML.
    effective: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    live: Vec<News>,
}

/// One problem of a file.
#[derive(Serialize)]
struct Trouble {
    file: String,
    line: usize,
    column: usize,
    path: String,
    message: String,
}

/// How one provider answered.
#[derive(Serialize)]
struct News {
    provider: String,
    problem: Option<String>,
}

fn as_json(config: Option<&Path>, asked: Asked) -> Result<(), Failed> {
    let environment = &config::process_environment;
    let found = config::find(config, environment);
    let loaded =
        found.map_or_else(|| Ok(config::defaults(environment)), |path| config::load(&path, environment));
    let (report, end) = match loaded {
        Err(problems) => {
            let words = problems.to_string();
            (wrong(problems.0), Err(Failed::Config(words)))
        }
        Ok(settings) => {
            let live = if asked.live { ask_each(&settings)? } else { Vec::new() };
            let end = verdict(&live);
            (right(&settings, live), end)
        }
    };
    let text = serde_json::to_string_pretty(&report).map_err(|error| Failed::Running(error.to_string()))?;
    print(&text)?;
    end
}

fn wrong(problems: Vec<Problem>) -> Report {
    let trouble =
        |Problem { file, line, column, path, message }| Trouble { file, line, column, path, message };
    let problems = problems.into_iter().map(trouble).collect();
    Report {
        valid: false,
        problems,
        warnings: Vec::new(),
        hash: None,
        egress: Vec::new(),
        effective: None,
        live: Vec::new(),
    }
}

fn right(settings: &Settings, live: Vec<News>) -> Report {
    Report {
        valid: true,
        problems: Vec::new(),
        warnings: settings.warnings.clone(),
        hash: Some(settings.hash.clone()),
        egress: config::egress(settings),
        effective: Some(config::effective(settings)),
        live,
    }
}

/// The Go original's `--validate`.
pub(super) fn validate(config: Option<&Path>) -> Result<(), Failed> {
    super::settings(config)?;
    print("Configuration is valid")
}

/// Asks every provider, unbilled, whether it can be reached and accepts our key.
fn ask_each(settings: &Settings) -> Result<Vec<News>, Failed> {
    let clock = Arc::new(SystemClock);
    let memory = Memory::new(settings.server.memory_max);
    let ask = |provider: &config::Provider| {
        let upstream = upstream::connect(provider, None, Arc::clone(&clock) as _, Arc::clone(&memory))
            .map_err(Failed::Running)?;
        let call = Call { deadline: clock.now() + settings.health.timeout, cancel: Cancel::new() };
        let failed = upstream.check(&call).err();
        let problem = failed.map(|failure| format!("{}: {}", failure.outcome(), failure.message));
        Ok(News { provider: provider.name.clone(), problem })
    };
    settings.providers.iter().map(ask).collect()
}

fn verdict(news: &[News]) -> Result<(), Failed> {
    match news.iter().filter(|one| one.problem.is_some()).count() {
        0 => Ok(()),
        failed => Err(Failed::Running(format!("{failed} of {} providers cannot be used", news.len()))),
    }
}
