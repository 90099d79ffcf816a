//! What a phase found: facts, and promises kept or broken; as a JSON line and as a row of the table.

use crate::vitals::{Sample, quantile};
use std::fmt::Write;

/// Broken promises told in full; the others are counted.
const TOLD_MAX: usize = 12;

/// One phase's findings.
#[derive(Debug)]
pub struct Report {
    phase: &'static str,
    /// Name and value, the value as JSON.
    facts: Vec<(String, String)>,
    broken: Vec<String>,
    broken_count: usize,
}

impl Report {
    /// Nothing found yet.
    pub fn new(phase: &'static str) -> Self {
        Self { phase, facts: Vec::new(), broken: Vec::new(), broken_count: 0 }
    }

    /// A count.
    pub fn count(&mut self, name: impl Into<String>, value: u64) {
        self.facts.push((name.into(), value.to_string()));
    }

    /// A measure; three digits are enough.
    pub fn number(&mut self, name: impl Into<String>, value: f64) {
        self.facts.push((name.into(), format!("{value:.3}")));
    }

    /// Words.
    pub fn words(&mut self, name: impl Into<String>, value: &str) {
        self.facts.push((name.into(), quoted(value)));
    }

    /// A promise: broken unless it is kept, and then this is what happened.
    pub fn promise(&mut self, kept: bool, broken: impl FnOnce() -> String) {
        if !kept {
            self.broke(broken());
        }
    }

    /// A promise was broken.
    pub fn broke(&mut self, how: String) {
        self.broken_count += 1;
        if self.broken.len() < TOLD_MAX {
            self.broken.push(how);
        }
    }

    /// Whether every promise was kept.
    pub fn kept(&self) -> bool {
        self.broken_count == 0
    }

    /// Median, 99th percentile and maximum of some durations in milliseconds.
    pub fn spread(&mut self, name: &str, milliseconds: &[f64]) {
        for (suffix, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            self.number(format!("{name}_ms_{suffix}"), quantile(milliseconds.to_vec(), share));
        }
    }

    /// The most the process ever needed, and its share of one core.
    pub fn vitals(&mut self, prefix: &str, samples: &[Sample]) {
        let most = |value: fn(&Sample) -> f64| samples.iter().map(value).fold(0.0, f64::max);
        self.number(format!("{prefix}rss_mib_max"), most(|sample| sample.rss_kib) / 1024.0);
        self.number(format!("{prefix}threads_max"), most(|sample| sample.threads));
        self.number(format!("{prefix}fds_max"), most(|sample| sample.fds));
        if let [first, .., last] = samples {
            let share = (last.cpu - first.cpu) / (last.at - first.at).max(1e-3);
            self.number(format!("{prefix}gateway_cores"), share);
        }
    }

    /// The whole report as one line of JSON.
    pub fn json(&self) -> String {
        let mut line = format!("{{\"phase\":{},\"kept\":{}", quoted(self.phase), self.kept());
        for (name, value) in &self.facts {
            // Writing to a String cannot fail.
            let _ = write!(line, ",{}:{value}", quoted(name));
        }
        let broken: Vec<String> = self.broken.iter().map(|how| quoted(how)).collect();
        let _ = write!(line, ",\"broken_count\":{},\"broken\":[{}]}}", self.broken_count, broken.join(","));
        line
    }
}

/// All phases, for people.
pub fn table(reports: &[Report]) -> String {
    let mut text = String::new();
    for report in reports {
        let verdict = if report.kept() { "kept" } else { "BROKEN" };
        let _ = writeln!(text, "\n{:<16} {verdict}", report.phase);
        for (name, value) in &report.facts {
            let _ = writeln!(text, "  {name:<44} {value}");
        }
        for how in &report.broken {
            let _ = writeln!(text, "  broken: {how}");
        }
    }
    text
}

/// A JSON string.
pub fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            c if c < ' ' => {
                let _ = write!(quoted, "\\u{:04x}", c as u32);
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}
