//! A site: simulated providers, and a configuration that names them.

use crate::gateway::Gateway;
use crate::options::Options;
use crate::report::Report;
use crate::vitals::Sampler;
use crate::words::{VOICES, Voice};
use hapax::clock::SystemClock;
use hapax::simulate::Simulator;
use std::borrow::Borrow;
use std::fmt::Write;
use std::sync::Arc;

/// The model that all providers have, so that one can finish what another began, to the last word.
pub const MODEL: &str = "m-1";
/// A breaker that never opens: every request meets the fault that waits for it.
pub const NEVER_OPEN: &str = "circuit_breaker: {failure_threshold: 1000000}\n";

/// A provider on a port of its own.
pub fn simulator() -> Result<Simulator, String> {
    let simulator =
        Simulator::start("127.0.0.1:0", Arc::new(SystemClock)).map_err(|error| error.to_string())?;
    simulator.checks("ok");
    Ok(simulator)
}

/// One provider of each dialect.
pub fn three() -> Result<Vec<(Voice, Simulator)>, String> {
    VOICES.into_iter().map(|voice| Ok((voice, simulator()?))).collect()
}

/// The names that the providers of a configuration have, in order.
pub const NAMES: [&str; 3] = ["a", "b", "c"];

/// A configuration with these providers in their order, more said of each, and more of the file.
pub fn yaml<S: Borrow<Simulator>>(providers: &[(Voice, S)], each: &[&str], more: &str) -> String {
    let mut text = "providers:\n".to_owned();
    for (index, (voice, simulator)) in providers.iter().enumerate() {
        let (name, kind, url) = (NAMES[index % NAMES.len()], voice.word(), simulator.borrow().url());
        let said = each.get(index).copied().unwrap_or_default();
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "  {name}: {{type: {kind}, base_url: '{url}', api_key: sk-{name}, model: {MODEL}, \
             models: ['m-*'], max_concurrency: 200{said}}}"
        );
    }
    text + more
}

/// A gateway with its sampler.
pub struct Watched {
    /// The gateway.
    pub gateway: Gateway,
    sampler: Sampler,
}

impl Watched {
    /// Starts both.
    pub fn start(options: &Options, yaml: &str) -> Result<Self, String> {
        let gateway = Gateway::start(&options.binary, yaml)?;
        let sampler = Sampler::start(gateway.pid(), options.samples.as_deref())?;
        Ok(Self { gateway, sampler })
    }

    /// Ends both: an end in peace, and no panic on the way.
    pub fn stop(mut self, report: &mut Report) -> Result<Vec<crate::vitals::Sample>, String> {
        let samples = self.sampler.stop();
        let log = self.gateway.stop()?;
        report.promise(log.panics == 0, || format!("{} panics: {}", log.panics, log.trouble.join("; ")));
        Ok(samples)
    }
}
