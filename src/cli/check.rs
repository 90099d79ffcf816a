//! `hapax check`: says whether the configuration is valid, what is in effect, and whom it can reach.

use super::args::Asked;
use super::paint::{Tone, Waiting, tinted};
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

/// Providers asked at once.
const AT_ONCE: usize = 16;

pub(super) fn run(config: Option<&Path>, asked: Asked) -> Result<(), Failed> {
    if asked.json {
        return as_json(config, asked);
    }
    let settings = super::settings(config)?;
    if asked.egress {
        return print(&config::egress(&settings).join("\n"));
    }
    let what = config::find(config, &config::process_environment)
        .map_or_else(|| "the built-in configuration".to_owned(), |path| path.display().to_string());
    let head = tinted(Tone::Good, &format!("# {what} is valid: configuration {}", settings.hash));
    let warning = |warning: &String| format!("{}\n", tinted(Tone::Bad, &format!("# warning: {warning}")));
    let warnings: String = settings.warnings.iter().map(warning).collect();
    print(&format!("{head}\n{warnings}{}", config::effective(&settings)))?;
    if asked.live {
        let news = ask_each(&settings)?;
        print(&in_words(&news))?;
        return verdict(&news);
    }
    Ok(())
}

/// A line for each provider, as comments of the configuration above them.
fn in_words(news: &[News]) -> String {
    let wide = news.iter().map(|one| one.provider.len()).max().unwrap_or(0);
    let line = |one: &News| {
        let (tone, words) = match &one.problem {
            None => (Tone::Good, format!("ok, {} ms", one.milliseconds)),
            Some(problem) => (Tone::Bad, problem.clone()),
        };
        format!("# {:<wide$}  {}\n", one.provider, tinted(tone, &words))
    };
    news.iter().map(line).collect()
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
    milliseconds: u128,
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
    let names: Vec<&str> = settings.providers.iter().map(|provider| provider.name.as_str()).collect();
    let _waiting = Waiting::for_what(&format!("asking {}", names.join(", ")));
    let ask = |provider: &config::Provider| {
        let upstream = upstream::connect(provider, None, Arc::clone(&clock) as _, Arc::clone(&memory))
            .map_err(Failed::Running)?;
        let began = clock.now();
        let call = Call { began, deadline: began + settings.health.timeout, cancel: Cancel::new() };
        let failed = upstream.check(&call).err();
        let problem = failed.map(|failure| format!("{}: {}", failure.outcome(), failure.message));
        let milliseconds = clock.now().saturating_duration_since(began).as_millis();
        Ok(News { provider: provider.name.clone(), problem, milliseconds })
    };
    // All of a handful at once: whoever does not answer is waited for once, not in turn.
    let together = |some: &[config::Provider]| -> Result<Vec<News>, Failed> {
        std::thread::scope(|scope| {
            let asks: Vec<_> = some.iter().map(|provider| scope.spawn(|| ask(provider))).collect();
            let join = |ask: std::thread::ScopedJoinHandle<'_, _>| {
                ask.join().unwrap_or_else(|_| Err(Failed::Running("a check panicked".to_owned())))
            };
            asks.into_iter().map(join).collect()
        })
    };
    let news: Result<Vec<Vec<News>>, Failed> = settings.providers.chunks(AT_ONCE).map(together).collect();
    Ok(news?.into_iter().flatten().collect())
}

fn verdict(news: &[News]) -> Result<(), Failed> {
    match news.iter().filter(|one| one.problem.is_some()).count() {
        0 => Ok(()),
        failed => Err(Failed::Running(format!("{failed} of {} providers cannot be used", news.len()))),
    }
}
