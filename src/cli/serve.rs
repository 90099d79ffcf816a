//! `hapax serve`: runs the gateway until a signal ends it. SIGHUP, or a changed file, reads the configuration again.

use super::assemble::House;
use super::duty::{self, Duty};
use super::reload::Reload;
use super::systemd::{self, Notify};
use super::watch::Watch;
use super::{Failed, assemble, container};
use crate::clock::SystemClock;
use crate::config;
use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;

pub(super) fn run(explicit: Option<&Path>) -> Result<(), Failed> {
    let handed_over = systemd::inherited()?;
    let signals = duty::signals()?;
    assemble::raise_descriptors();
    // The watch begins before the file is read: what changes in between is read again.
    let watch = config::find(explicit, &config::process_environment).map(|path| Watch::new(&path));
    let mut settings = super::settings(explicit)?;
    // As the file says it: what a container leaves of it is no change of the file.
    let reload = Reload::new(explicit, &settings);
    let memory_max = settings.server.memory_max;
    settings.server.memory_max = container::fitting(memory_max);
    let listen = &settings.server.listen;
    let listener = match handed_over {
        Some(listener) => listener,
        None => TcpListener::bind(listen.as_str()).map_err(|error| super::cannot_listen(listen, &error))?,
    };
    tell_panics_by_their_place();
    let house = House::open(&settings, listener, Arc::new(SystemClock), std::io::stderr())
        .map_err(Failed::Running)?;
    for warning in &settings.warnings {
        log::warn!("{warning}");
    }
    if settings.server.memory_max < memory_max {
        let (fits, asked) = (settings.server.memory_max >> 20, memory_max >> 20);
        log::info!(
            "server.memory_max is {fits} MiB instead of {asked}: a quarter of what the container may have"
        );
    }
    let providers = settings.preference.join(", ");
    log::info!("hapax {} listens on {}, asks {providers}", env!("CARGO_PKG_VERSION"), house.address());
    let duty = Duty {
        reload: Some(reload),
        watch,
        notify: Notify::from_environment(),
        patience: settings.server.shutdown_timeout,
    };
    duty.until_ended(house, signals)
}

/// A panic's words may repeat what it choked on, so the log gets its place alone; whoever asked gets his 500.
fn tell_panics_by_their_place() {
    std::panic::set_hook(Box::new(|panic| match panic.location() {
        Some(place) => log::error!("a thread panicked at {}:{}", place.file(), place.line()),
        None => log::error!("a thread panicked"),
    }));
}
