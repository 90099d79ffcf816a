//! Reading the configuration again while the gateway serves: all or nothing.

use super::Failed;
use super::assemble::House;
use crate::config::{Logging, Server, Settings};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What a reload needs to know.
pub(super) struct Reload {
    /// `--config`.
    explicit: Option<PathBuf>,
    /// What stays as it was at the start.
    door: Server,
    logging: Logging,
}

impl Reload {
    /// For a gateway started with these settings, as they were told.
    pub(super) fn new(explicit: Option<&Path>, settings: &Settings) -> Self {
        let (explicit, door) = (explicit.map(Path::to_owned), settings.server.clone());
        Self { explicit, door, logging: settings.logging }
    }

    /// Reads the configuration and puts it into service, if there is nothing wrong with it. Gives the patience with
    /// the end, from the settings that are now in service.
    pub(super) fn again(&self, house: &House) -> Option<Duration> {
        let settings = match super::settings(self.explicit.as_deref()) {
            Ok(settings) => settings,
            Err(Failed::Config(problems) | Failed::Running(problems) | Failed::Usage(problems)) => {
                house.reload_failed(&problems);
                problems.lines().for_each(|problem| log::error!("{problem}"));
                log::error!("the configuration is not changed");
                return None;
            }
        };
        if let Err(problem) = house.reload(&settings) {
            log::error!("the configuration is not changed: {problem}");
            return None;
        }
        settings.warnings.iter().for_each(|warning| log::warn!("{warning}"));
        log::info!("configuration {} is in service", settings.hash);
        if self.needs_a_start(&settings) {
            log::warn!(
                "what server and logging say of addresses, sizes, times and levels waits for the next start"
            );
        }
        Some(settings.server.shutdown_timeout)
    }

    /// Whether something was changed that is read only at the start.
    fn needs_a_start(&self, settings: &Settings) -> bool {
        let door = Server {
            request_timeout: self.door.request_timeout,
            shutdown_timeout: self.door.shutdown_timeout,
            trusted_proxies: self.door.trusted_proxies.clone(),
            ..settings.server.clone()
        };
        let logging = Logging { prompts: self.logging.prompts, ..settings.logging };
        door != self.door || logging != self.logging
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config;

    #[test]
    fn only_what_waits_for_the_next_start_is_said_to_wait() {
        let settings = |text: &str| config::parse("test.yaml", text, &|_| None).expect(text);
        let reload = Reload::new(None, &settings(""));
        for at_once in [
            "server: {request_timeout: 1m, shutdown_timeout: 1s, trusted_proxies: [10.0.0.1]}",
            "logging: {prompts: true}",
            "retry: {wait_max: 1s}",
        ] {
            assert!(!reload.needs_a_start(&settings(at_once)), "{at_once}");
        }
        for later in ["server: {workers: 7}", "server: {memory_max: 255MiB}", "logging: {level: debug}"] {
            assert!(reload.needs_a_start(&settings(later)), "{later}");
        }
    }
}
