//! `hapax serve`: runs the gateway until a signal ends it. SIGHUP reads the configuration again.

use super::Failed;
use super::assemble::House;
use crate::clock::SystemClock;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

pub(super) fn run(config: Option<&Path>) -> Result<(), Failed> {
    let signals = signals()?;
    let settings = super::settings(config)?;
    let listener = TcpListener::bind(settings.server.listen.as_str())
        .map_err(|error| Failed::Running(format!("cannot listen on {}: {error}", settings.server.listen)))?;
    let house = House::open(&settings, listener, Arc::new(SystemClock), std::io::stderr())
        .map_err(Failed::Running)?;
    for warning in &settings.warnings {
        log::warn!("{warning}");
    }
    let providers = settings.preference.join(", ");
    log::info!("hapax {} listens on {}, asks {providers}", env!("CARGO_PKG_VERSION"), house.address());
    until_ended(house, signals, config, settings.server.shutdown_timeout)
}

/// Serves until SIGTERM or SIGINT, then drains; a second one ends at once.
pub(super) fn until_ended(
    house: House,
    mut signals: Signals,
    config: Option<&Path>,
    patience: Duration,
) -> Result<(), Failed> {
    for signal in signals.forever() {
        if signal != SIGHUP {
            break;
        }
        reload(&house, config);
    }
    log::info!("draining: what is under way is finished within {} s", patience.as_secs());
    let (done, drained) = mpsc::channel();
    let (again, news) = (done.clone(), drained);
    std::thread::Builder::new()
        .name("drain".to_owned())
        .spawn(move || {
            let finished = house.close(patience);
            // Nobody listens any more after a second signal.
            let _ = done.send(Some(finished));
        })
        .map_err(|error| Failed::Running(format!("cannot drain: {error}")))?;
    std::thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            if signals.forever().any(|signal| signal != SIGHUP) {
                let _ = again.send(None);
            }
        })
        .map_err(|error| Failed::Running(format!("cannot watch for signals: {error}")))?;
    match news.recv() {
        Ok(Some(true)) => Ok(()),
        Ok(Some(false)) => Err(Failed::Running("some requests were not finished in time".to_owned())),
        Ok(None) | Err(_) => Err(Failed::Running("ended at once by a second signal".to_owned())),
    }
}

fn reload(house: &House, config: Option<&Path>) {
    match super::settings(config) {
        Ok(settings) => match house.reload(&settings) {
            Ok(()) => log::info!("configuration {} is in service", settings.hash),
            Err(problem) => log::error!("the configuration is not changed: {problem}"),
        },
        Err(Failed::Config(problems) | Failed::Running(problems) | Failed::Usage(problems)) => {
            house.reload_failed();
            log::error!("the configuration is not changed: {problems}");
        }
    }
}

/// The signals that end or reload the process.
pub(super) fn signals() -> Result<Signals, Failed> {
    Signals::new([SIGTERM, SIGINT, SIGHUP])
        .map_err(|error| Failed::Running(format!("cannot watch for signals: {error}")))
}

/// Waits for SIGTERM or SIGINT.
pub(super) fn wait_for_end() -> Result<(), Failed> {
    let mut signals = signals()?;
    signals.forever().find(|signal| *signal != SIGHUP);
    Ok(())
}
