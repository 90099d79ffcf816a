//! `hapax check`: says whether the configuration is valid, what is in effect, and whom it can reach.

use super::{Failed, print};
use crate::clock::{Clock, SystemClock};
use crate::config::{self, Settings};
use crate::gateway::cancel::Cancel;
use crate::gateway::ports::{Call, Provider};
use crate::memory::Memory;
use crate::upstream;
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(config: Option<&Path>, live: bool, egress: bool) -> Result<(), Failed> {
    let settings = super::settings(config)?;
    if egress {
        return print(&config::egress(&settings).join("\n"));
    }
    let warnings: String =
        settings.warnings.iter().map(|warning| format!("# warning: {warning}\n")).collect();
    print(&format!("{warnings}{}", config::effective(&settings)))?;
    if live { ask_each(&settings) } else { Ok(()) }
}

/// The Go original's `--validate`.
pub(super) fn validate(config: Option<&Path>) -> Result<(), Failed> {
    super::settings(config)?;
    print("Configuration is valid")
}

/// Asks every provider, unbilled, whether it can be reached and accepts our key.
fn ask_each(settings: &Settings) -> Result<(), Failed> {
    let clock = Arc::new(SystemClock);
    let mut failed = 0;
    for provider in &settings.providers {
        let upstream = upstream::connect(
            provider,
            None,
            Arc::clone(&clock) as _,
            Memory::new(settings.server.memory_max),
        )
        .map_err(Failed::Running)?;
        let call = Call { deadline: clock.now() + settings.health.timeout, cancel: Cancel::new() };
        let news = match upstream.check(&call) {
            Ok(()) => "ok".to_owned(),
            Err(failure) => {
                failed += 1;
                format!("{}: {}", failure.outcome(), failure.message)
            }
        };
        print(&format!("# {}: {news}", provider.name))?;
    }
    match failed {
        0 => Ok(()),
        _ => {
            Err(Failed::Running(format!("{failed} of {} providers cannot be used", settings.providers.len())))
        }
    }
}
