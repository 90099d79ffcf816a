//! Words events as log lines: one per request, and one for each change an operator should know of.

use super::logger::{Logging, word};
use crate::clock::Clock;
use crate::config::LogFormat;
use crate::domain::calendar::stamp;
use crate::domain::digits::{DECIMAL_BYTES, decimal_bytes};
use crate::domain::event::{Circuit, Event, Record, Tried};
use crate::domain::price::NANO_USD;
use std::cell::Cell;
use std::io::Write as _;
use std::net::IpAddr;

/// Room for an ordinary line.
const LINE_BYTES: usize = 640;
/// A longer line's page is not kept for the next.
const PAGE_BYTES_MAX: usize = 4 << 10;

/// Writes the line an event deserves, if any.
pub(super) fn tell(event: &Event<'_>, logging: &Logging, clock: &dyn Clock) {
    match event {
        Event::Answered(record) | Event::Refused(record) => request(record, logging, clock),
        Event::BreakerMoved { name, to: Circuit::Open } => log::warn!("circuit {name} is open"),
        Event::BreakerMoved { name, to } => log::info!("circuit {name} is {}", to.word()),
        Event::KeySetAside { provider } => log::error!("{provider} refused a key of ours: it is set aside"),
        Event::Checked { provider, fault: Some(fault), healthy, .. } => {
            let standing = if *healthy { "still healthy" } else { "unhealthy" };
            log::warn!("check of {provider} failed: {}; it is {standing}", fault.word());
        }
        Event::Checked { provider, fault: None, .. } => log::debug!("check of {provider} succeeded"),
        Event::FailedOver { from, to, fault } => log::debug!("{from} failed ({}), asking {to}", fault.word()),
        Event::Retried { provider, fault } => log::debug!("asking {provider} again after {}", fault.word()),
        Event::StreamResumed { from, to } => log::info!("a stream broken off by {from} goes on at {to}"),
        Event::StreamAborted { provider, fault } => {
            log::warn!("a stream of {provider} could not be saved: {}", fault.word());
        }
        Event::LedgerFailed { why, first: true } => {
            log::error!("the ledger cannot be written ({why}); what is used is kept in memory until it can");
        }
        Event::LedgerFailed { why, first: false } => {
            log::debug!("the ledger still cannot be written ({why})")
        }
        Event::LedgerRecovered => log::info!("the ledger is written again"),
        Event::Attempted { .. }
        | Event::FirstToken { .. }
        | Event::BreakerFailed { .. }
        | Event::Deduplicated
        | Event::Redacted { .. }
        | Event::Looked { .. }
        | Event::Evicted { .. }
        | Event::Limited { .. }
        | Event::OverBudget { .. }
        | Event::Unpriced { .. }
        | Event::Used { .. }
        | Event::Arrived { .. }
        | Event::Lost { .. } => {}
    }
}

fn request(record: &Record<'_>, logging: &Logging, clock: &dyn Clock) {
    let level = match record.status {
        // Probes ask every few seconds, and what they are told has its own lines.
        _ if record.routine => log::Level::Debug,
        500.. => log::Level::Warn,
        _ => log::Level::Info,
    };
    if level > logging.level {
        return;
    }
    match logging.format {
        LogFormat::Text => log::log!(level, "{}", in_words(record)),
        LogFormat::Json => {
            let mut line = Line::begin(&stamp(clock.today()), level);
            line.tell(record);
            let line = line.end();
            logging.sink.push(&line);
            if line.capacity() <= PAGE_BYTES_MAX {
                // A thread that is ending keeps nothing.
                let _ = PAGE.try_with(|page| page.set(line));
            }
        }
    }
}

thread_local! {
    /// What this thread writes its lines on.
    static PAGE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// One request's line, field for field as the contract names them. Written by hand: it is written for every request,
/// and only a few of its values could need escaping.
struct Line(Vec<u8>);

impl Line {
    fn begin(ts: &[u8; 24], level: log::Level) -> Self {
        let mut page = PAGE.try_with(Cell::take).unwrap_or_default();
        page.clear();
        page.reserve(LINE_BYTES);
        let mut line = Self(page);
        line.0.extend_from_slice(b"{\"ts\":\"");
        line.0.extend_from_slice(ts);
        line.ours("\",\"level\":", word(level));
        line.0.extend_from_slice(b",\"msg\":\"request\"");
        line
    }

    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(b"}\n");
        self.0
    }

    fn tell(&mut self, record: &Record<'_>) {
        self.ours(",\"request_id\":", record.request_id);
        self.known(",\"trace_id\":", record.trace_id);
        self.ours(",\"endpoint\":", record.endpoint);
        self.ours(",\"method\":", record.method);
        self.number(",\"status\":", record.status.into());
        self.milliseconds(",\"duration_ms\":", record.took);
        self.known(",\"error\":", record.error);
        self.known(",\"model\":", record.served.map(|(_, model)| model));
        self.known(",\"provider\":", record.served.map(|(provider, _)| provider));
        self.attempts(record.attempts);
        self.known(",\"prompt\":", record.said.map(|said| said.prompt));
        self.known(",\"answer\":", record.said.map(|said| said.answer));
        if let Some(usage) = record.usage {
            self.number(",\"usage\":{\"input\":", usage.input);
            self.number(",\"cached\":", usage.cached);
            self.number(",\"cache_write\":", usage.cache_write);
            self.number(",\"output\":", usage.output);
            self.number(",\"reasoning\":", usage.reasoning);
            if usage.estimated {
                self.truth(",\"estimated\":", true);
            }
            self.0.push(b'}');
        }
        if let Some(nano) = record.nano_usd {
            self.usd(",\"cost_usd\":", nano);
        }
        self.truth(",\"stream\":", record.stream);
        self.truth(",\"deduplicated\":", record.deduplicated);
        self.known(",\"cache\":", record.cached.map(|hit| if hit { "hit" } else { "miss" }));
        self.number(",\"bytes_in\":", record.bytes_in);
        self.number(",\"bytes_out\":", record.bytes_out);
        self.known(",\"key\":", record.key);
        if let Some(client) = record.client {
            self.address(",\"client\":\"", client);
        }
    }

    fn attempts(&mut self, attempts: &[Tried]) {
        self.0.extend_from_slice(b",\"attempts\":[");
        for (index, tried) in attempts.iter().enumerate() {
            self.word(if index == 0 { "{\"provider\":" } else { ",{\"provider\":" }, &tried.provider);
            self.word(",\"model\":", &tried.model);
            self.word(",\"outcome\":", &tried.outcome);
            self.milliseconds(",\"duration_ms\":", tried.took);
            self.0.push(b'}');
        }
        self.0.push(b']');
    }

    fn known(&mut self, name: &str, value: Option<&str>) {
        if let Some(value) = value {
            self.word(name, value);
        }
    }

    /// A word that needs no escaping: our own, an id that was checked, or a token.
    fn ours(&mut self, name: &str, value: &str) {
        for part in [name, "\"", value, "\""] {
            self.0.extend_from_slice(part.as_bytes());
        }
    }

    fn word(&mut self, name: &str, value: &str) {
        self.0.extend_from_slice(name.as_bytes());
        self.text(value);
    }

    fn text(&mut self, value: &str) {
        let is_special = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
        if value.bytes().fold(false, |any, byte| any | is_special(byte)) {
            // Writing to memory cannot fail.
            let _ = serde_json::to_writer(&mut self.0, value);
            return;
        }
        self.0.push(b'"');
        self.0.extend_from_slice(value.as_bytes());
        self.0.push(b'"');
    }

    fn number(&mut self, name: &str, value: u64) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(decimal_bytes(value, &mut [0; DECIMAL_BYTES]));
    }

    /// Digits, dots, colons and letters.
    fn address(&mut self, name: &str, address: IpAddr) {
        match address {
            IpAddr::V4(v4) => {
                let [first, rest @ ..] = v4.octets();
                self.number(name, first.into());
                rest.into_iter().for_each(|octet| self.number(".", octet.into()));
            }
            // Writing to memory cannot fail.
            IpAddr::V6(v6) => drop(write!(self.0, "{name}{v6}")),
        }
        self.0.push(b'"');
    }

    fn truth(&mut self, name: &str, value: bool) {
        self.0.extend_from_slice(name.as_bytes());
        self.0.extend_from_slice(if value { b"true" } else { b"false" });
    }

    /// USD with all nine decimals.
    fn usd(&mut self, name: &str, nano: u64) {
        self.number(name, nano / NANO_USD);
        let at = self.0.len();
        self.0.extend_from_slice(decimal_bytes(nano % NANO_USD + NANO_USD, &mut [0; DECIMAL_BYTES]));
        // The leading one keeps the zeros behind it; it is where the point belongs.
        self.0[at] = b'.';
    }

    /// With microsecond precision.
    fn milliseconds(&mut self, name: &str, took: std::time::Duration) {
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.number(name, micros / 1_000);
        let rest = micros % 1_000 + 1_000;
        let at = self.0.len();
        self.0.extend_from_slice(decimal_bytes(rest, &mut [0; DECIMAL_BYTES]));
        // The leading one keeps the zeros behind it; it is where the point belongs.
        self.0[at] = b'.';
    }
}

fn in_words(record: &Record<'_>) -> String {
    let mut text = format!(
        "{} {} {} in {:.1} ms",
        record.method,
        record.endpoint,
        record.status,
        milliseconds(record.took)
    );
    if let Some((provider, model)) = record.served {
        text.push_str(&format!(" by {provider}/{model}"));
    }
    if record.attempts.len() > 1 {
        let story: Vec<String> = record
            .attempts
            .iter()
            .map(|tried| format!("{}:{}:{:.0}ms", tried.provider, tried.outcome, milliseconds(tried.took)))
            .collect();
        text.push_str(&format!(" after {}", story.join(", ")));
    }
    if record.deduplicated {
        text.push_str(", deduplicated");
    }
    if record.cached == Some(true) {
        text.push_str(", from the cache");
    }
    if record.stream {
        text.push_str(", streamed");
    }
    if let Some(error) = record.error {
        text.push_str(&format!(": {error}"));
    }
    text.push_str(&format!(" [{}]", record.request_id));
    if let Some(said) = record.said {
        // Escaped: what a caller says must not look like a line of ours.
        text.push_str(&format!(" prompt {:?} answer {:?}", said.prompt, said.answer));
    }
    text
}

/// Milliseconds with microsecond precision.
fn milliseconds(took: std::time::Duration) -> f64 {
    u32::try_from(took.as_micros())
        .map_or_else(|_| took.as_secs_f64() * 1e3, |micros| f64::from(micros) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn a_requests_line_is_json_whatever_its_words_are() {
        let tried = |outcome: &str| Tried {
            provider: "openai".into(),
            model: "a \"quoted\"\nmodel".into(),
            outcome: outcome.to_owned().into(),
            took: Duration::from_micros(1_234_005),
        };
        let attempts = [tried("503"), tried("200")];
        let record = Record {
            routine: false,
            trace_id: None,
            request_id: "req_1",
            endpoint: "/v1/chat/completions",
            method: "POST",
            status: 200,
            took: Duration::from_micros(12_030),
            overhead: None,
            error: None,
            served: Some(("openai", "gpt-4o")),
            attempts: &attempts,
            usage: Some(crate::domain::chat::Usage { input: 11, output: 7, ..Default::default() }),
            nano_usd: Some(51_600),
            stream: true,
            deduplicated: false,
            cached: None,
            bytes_in: 100,
            bytes_out: 2_000,
            key: Some("bot"),
            client: Some(std::net::IpAddr::from([127, 0, 0, 1])),
            said: Some(crate::domain::event::Said { prompt: "Say \"x\"\n", answer: "x" }),
        };
        let mut line = Line::begin(b"2026-11-23T12:27:05.000Z", log::Level::Info);
        line.tell(&record);
        let line = line.end();
        assert_eq!(line.last(), Some(&b'\n'));
        let told: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
        assert_eq!(told["duration_ms"], 12.03);
        assert_eq!(told["attempts"][0]["duration_ms"], 1234.005);
        assert_eq!(told["attempts"][1]["model"], "a \"quoted\"\nmodel");
        assert_eq!(told["attempts"][1]["outcome"], "200");
        assert_eq!(told["usage"]["output"], 7);
        assert!(String::from_utf8_lossy(&line).contains("\"cost_usd\":0.000051600,"));
        assert_eq!((&told["stream"], &told["deduplicated"]), (&true.into(), &false.into()));
        assert_eq!((&told["client"], &told["key"]), (&"127.0.0.1".into(), &"bot".into()));
        assert_eq!((&told["prompt"], &told["answer"]), (&"Say \"x\"\n".into(), &"x".into()));
        assert!(in_words(&record).ends_with(r#"prompt "Say \"x\"\n" answer "x""#), "{}", in_words(&record));
        assert!(told.get("error").is_none());
    }
}
