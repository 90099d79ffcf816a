//! The cast: the simulated providers of a drill, and the configuration that a gateway needs to ask them.

use crate::clock::SystemClock;
use crate::simulate::{End, Simulator};
use std::fmt::Write as _;
use std::io;
use std::sync::Arc;

/// The providers, in the order of preference.
///
/// `a` and `b` speak OpenAI, `c` Anthropic, `d` Ollama, `e` OpenAI with Responses; `twice` is asked a second time,
/// `capped` takes one call at once, `keyed` has two keys of which it refuses the first.
pub const NAMES: &[&str] = &["a", "b", "c", "d", "twice", "capped", "keyed", "e"];

/// The key that `keyed` accepts.
const GOOD_KEY: &str = "sk-drill-good";

/// The simulated providers of one row.
#[derive(Debug)]
pub struct Cast {
    simulators: Vec<Simulator>,
}

impl Cast {
    /// Starts the cast. With a first port the providers listen on it and those after it, else on any.
    ///
    /// # Errors
    /// A port is taken, or the machine has no descriptor or thread left.
    pub fn start(first_port: Option<u16>) -> io::Result<Self> {
        let mut simulators = Vec::with_capacity(NAMES.len());
        for (name, offset) in NAMES.iter().zip(0..) {
            let port = first_port.map_or(0, |first| first + offset);
            let simulator = Simulator::start(&format!("127.0.0.1:{port}"), Arc::new(SystemClock))?;
            if *name == "keyed" {
                simulator.require_key(Some(GOOD_KEY));
            }
            simulators.push(simulator);
        }
        Ok(Self { simulators })
    }

    /// Where each of them listens, in the order of [`NAMES`].
    #[must_use]
    pub fn urls(&self) -> Vec<String> {
        self.simulators.iter().map(Simulator::url).collect()
    }

    /// One of them.
    ///
    /// # Errors
    /// Nobody has this name.
    pub(super) fn provider(&self, name: &str) -> Result<&Simulator, String> {
        let place = NAMES.iter().position(|known| *known == name);
        place.and_then(|place| self.simulators.get(place)).ok_or_else(|| format!("nobody is called {name}"))
    }

    /// Forgets what was asked before the row began.
    pub(super) fn forget(&self) {
        self.simulators.iter().for_each(Simulator::forget);
    }

    /// Lets everyone go who waits at a gate.
    pub(super) fn open_gates(&self) {
        self.simulators.iter().for_each(|simulator| simulator.gate().open());
    }

    /// What each provider saw of completions, in words; those who saw none are left out.
    pub(super) fn seen(&self) -> Vec<String> {
        let mut lines = Vec::new();
        for (name, simulator) in NAMES.iter().zip(&self.simulators) {
            let ends: Vec<End> = simulator
                .seen()
                .into_iter()
                .filter(|seen| seen.method == "POST")
                .map(|seen| seen.end)
                .collect();
            let mut line = format!("{name} {}x", ends.len());
            for (word, count) in [
                ("answered", count(&ends, |end| *end == End::Answered)),
                ("broken off", count(&ends, |end| *end == End::Misbehaved)),
                ("hung up on", count(&ends, |end| matches!(end, End::PeerClosed(_)))),
                ("under way", count(&ends, |end| *end == End::InProgress)),
            ] {
                if count > 0 && ends.len() > 1 {
                    // Writing to a string does not fail.
                    let _ = write!(line, ", {count} {word}");
                } else if count > 0 {
                    let _ = write!(line, " {word}");
                }
            }
            if !ends.is_empty() {
                lines.push(line);
            }
        }
        lines
    }
}

fn count(ends: &[End], which: impl Fn(&End) -> bool) -> usize {
    ends.iter().filter(|end| which(end)).count()
}

/// Where the cast listens when its first port is this one.
#[must_use]
pub fn urls_from(first_port: u16) -> Vec<String> {
    NAMES.iter().zip(0..).map(|(_, offset)| format!("http://127.0.0.1:{}", first_port + offset)).collect()
}

/// The configuration every row relies on, for providers at these addresses.
#[must_use]
pub fn configuration(urls: &[String]) -> String {
    let mut text = "\
# The drill's providers: simulated, on this machine. Everything below is as the drill's rows expect it.
server: {workers: 24, queue: 8, request_timeout: 5s}
providers:
"
    .to_owned();
    for (name, url) in NAMES.iter().zip(urls) {
        let (kind, more) = match *name {
            "c" => ("anthropic", ", api_key: sk-drill"),
            "d" => ("ollama", ""),
            "e" => ("openai_compatible", ", api_key: sk-drill, capabilities: {responses: own}"),
            "twice" => ("openai_compatible", ", api_key: sk-drill, retries: 1"),
            "capped" => ("openai_compatible", ", api_key: sk-drill, max_concurrency: 1"),
            "keyed" => ("openai_compatible", ", api_keys: [sk-drill-old, sk-drill-good]"),
            _ => ("openai_compatible", ", api_key: sk-drill"),
        };
        let retries = if more.contains("retries") { "" } else { ", retries: 0" };
        // Writing to a string does not fail.
        let _ = writeln!(
            text,
            "  {name}: {{type: {kind}, base_url: '{url}', model: one{more}{retries},\n    \
             timeouts: {{connect: 2s, first_token: 2s, idle: 2s, total: 20s}}}}"
        );
    }
    text.push_str(MODELS);
    text
}

/// The names the rows ask for: who is asked, in which order. Everyone serves the same model, so that any of them
/// can finish what another began.
const MODELS: &str = "\
models:
  a-then-b: [a/one, b/one]
  a-then-c: [a/one, c/one]
  c-then-d: [c/one, d/one]
  d-then-a: [d/one, a/one]
  e-then-c: [e/one, c/one]
  a-b-c: [a/one, b/one, c/one]
  only-a: [a/one]
  only-c: [c/one]
  only-d: [d/one]
  only-e: [e/one]
  sick-at-a: [a/sick, b/one]
  twice-then-b: [twice/one, b/one]
  capped-then-b: [capped/one, b/one]
  keyed-then-b: [keyed/one, b/one]
circuit_breaker: {failure_threshold: 3, interval: 30s, timeout: 3s, max_requests: 1}
health_check: {interval: 1s, timeout: 2s, failure_threshold: 3}
retry: {wait_max: 2s}
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cast_is_found_by_name_and_what_it_saw_is_told_in_words() {
        let cast = Cast::start(None).expect("ports are free");
        assert!(cast.provider("a").is_ok() && cast.provider("nobody").is_err());
        assert!(cast.seen().is_empty());
        assert_eq!(cast.urls().len(), NAMES.len());
        assert_eq!(urls_from(9_210)[1], "http://127.0.0.1:9211");
    }
}
