//! Words events as log lines: one per request, and one for each change an operator should know of.

use super::logger::{Logging, word};
use crate::clock::Clock;
use crate::config::LogFormat;
use crate::domain::calendar::stamp;
use crate::domain::event::{Circuit, Event, Record, Tried};
use crate::domain::page::{Page, needs_escape};
use crate::domain::price::NANO_DIGITS;
use std::cell::Cell;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

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
            log::warn!("check of {provider} failed: {fault}; it is {standing}");
        }
        Event::Checked { provider, fault: None, .. } => log::debug!("check of {provider} succeeded"),
        Event::FailedOver { from, to, fault } => log::debug!("{from} failed ({fault}), asking {to}"),
        Event::Retried { provider, fault } => log::debug!("asking {provider} again after {fault}"),
        Event::StreamResumed { from, to } => log::info!("a stream broken off by {from} goes on at {to}"),
        Event::StreamAborted { provider, fault } => {
            log::warn!("a stream of {provider} could not be saved: {fault}");
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
        | Event::Uncounted { .. }
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
            let mut desk = DESK.try_with(Cell::take).unwrap_or_default();
            desk.begin(clock.today(), level);
            Line(&mut desk.page).tell(record);
            logging.sink.push(desk.page.text());
            if desk.page.capacity() <= PAGE_BYTES_MAX {
                // A thread that is ending keeps nothing.
                let _ = DESK.try_with(|kept| kept.set(desk));
            }
        }
    }
}

thread_local! {
    /// What this thread writes its lines on.
    static DESK: Cell<Desk> = const { Cell::new(Desk::EMPTY) };
}

/// The page of a thread's lines, and the time it wrote last.
struct Desk {
    page: Page,
    /// Seconds since 1970, and how they are written; of the milliseconds behind them nothing is kept.
    second: u64,
    stamp: [u8; 24],
}

impl Desk {
    const EMPTY: Self = Self { page: Page::EMPTY, second: u64::MAX, stamp: [0; 24] };

    /// An empty page with a line's beginning.
    fn begin(&mut self, today: SystemTime, level: log::Level) {
        let since = today.duration_since(UNIX_EPOCH).unwrap_or_default();
        if self.second != since.as_secs() {
            (self.second, self.stamp) = (since.as_secs(), stamp(today));
        }
        self.page.clear();
        self.page.put(b"{\"ts\":\"");
        self.page.put::<19>(self.stamp.first_chunk().expect("it has 24 bytes"));
        self.page.put(b".");
        self.page.padded::<3>(u64::from(since.subsec_millis()));
        self.page.put(b"Z\",\"level\":\"");
        self.page.bytes(word(level).as_bytes());
        self.page.put(b"\",\"msg\":\"request\",\"request_id\":\"");
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::EMPTY
    }
}

/// One request's line, field for field as the contract names them. Written by hand: it is written for every request,
/// and only a few of its values could need escaping.
struct Line<'a>(&'a mut Page);

impl Line<'_> {
    fn tell(&mut self, record: &Record<'_>) {
        // Our own words, ids that were checked and methods that are tokens need no escaping.
        self.0.bytes(record.request_id.as_bytes());
        self.0.put(b"\"");
        self.known(b",\"trace_id\":", record.trace_id);
        self.0.put(b",\"endpoint\":\"");
        self.0.bytes(record.endpoint.as_bytes());
        self.0.put(b"\",\"method\":\"");
        self.0.bytes(record.method.as_bytes());
        self.0.put(b"\",\"status\":");
        self.0.number(record.status.into());
        self.milliseconds(record.took);
        self.known(b",\"error\":", record.error);
        self.known(b",\"model\":", record.served.map(|(_, model)| model));
        self.known(b",\"provider\":", record.served.map(|(provider, _)| provider));
        self.attempts(record.attempts);
        self.known(b",\"prompt\":", record.said.map(|said| said.prompt));
        self.known(b",\"answer\":", record.said.map(|said| said.answer));
        if let Some(usage) = record.usage {
            self.number(b",\"usage\":{\"input\":", usage.input);
            self.number(b",\"cached\":", usage.cached);
            self.number(b",\"cache_write\":", usage.cache_write);
            self.number(b",\"output\":", usage.output);
            self.number(b",\"reasoning\":", usage.reasoning);
            if usage.estimated {
                self.0.put(b",\"estimated\":true");
            }
            self.0.put(b"}");
        }
        if let Some(nano) = record.nano_usd {
            // All nine decimals.
            self.0.put(b",\"cost_usd\":");
            self.0.decimals::<NANO_DIGITS>(nano);
        }
        self.truth(b",\"stream\":", record.stream);
        self.truth(b",\"deduplicated\":", record.deduplicated);
        self.known(b",\"cache\":", record.cached.map(|hit| if hit { "hit" } else { "miss" }));
        self.number(b",\"bytes_in\":", record.bytes_in);
        self.number(b",\"bytes_out\":", record.bytes_out);
        self.known(b",\"key\":", record.key);
        if let Some(client) = record.client {
            self.address(client);
        }
        self.0.put(b"}\n");
    }

    fn attempts(&mut self, attempts: &[Tried]) {
        self.0.put(b",\"attempts\":[");
        for (index, tried) in attempts.iter().enumerate() {
            if index > 0 {
                self.0.put(b",");
            }
            self.word(b"{\"provider\":", &tried.provider);
            self.word(b",\"model\":", &tried.model);
            self.word(b",\"outcome\":", &tried.outcome);
            self.milliseconds(tried.took);
            self.0.put(b"}");
        }
        self.0.put(b"]");
    }

    fn known<const N: usize>(&mut self, name: &[u8; N], value: Option<&str>) {
        if let Some(value) = value {
            self.word(name, value);
        }
    }

    fn word<const N: usize>(&mut self, name: &[u8; N], value: &str) {
        self.0.put(name);
        if needs_escape(value) {
            // A text can always be written as JSON.
            let escaped = serde_json::to_vec(value).unwrap_or_default();
            return self.0.bytes(&escaped);
        }
        self.0.put(b"\"");
        self.0.bytes(value.as_bytes());
        self.0.put(b"\"");
    }

    fn number<const N: usize>(&mut self, name: &[u8; N], value: u64) {
        self.0.put(name);
        self.0.number(value);
    }

    /// Digits, dots, colons and letters.
    fn address(&mut self, address: IpAddr) {
        self.0.put(b",\"client\":\"");
        match address {
            IpAddr::V4(v4) => {
                let [first, rest @ ..] = v4.octets();
                self.0.number(first.into());
                rest.into_iter().for_each(|octet| self.number(b".", octet.into()));
            }
            IpAddr::V6(v6) => self.0.bytes(v6.to_string().as_bytes()),
        }
        self.0.put(b"\"");
    }

    fn truth<const N: usize>(&mut self, name: &[u8; N], value: bool) {
        self.0.put(name);
        if value { self.0.put(b"true") } else { self.0.put(b"false") }
    }

    /// With microsecond precision.
    fn milliseconds(&mut self, took: Duration) {
        self.0.put(b",\"duration_ms\":");
        self.0.decimals::<3>(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
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
fn milliseconds(took: Duration) -> f64 {
    u32::try_from(took.as_micros())
        .map_or_else(|_| took.as_secs_f64() * 1e3, |micros| f64::from(micros) / 1e3)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let mut desk = Desk::default();
        let mut line = |milliseconds: u64| {
            desk.begin(
                UNIX_EPOCH + Duration::from_millis(1_795_436_825_000 + milliseconds),
                log::Level::Info,
            );
            Line(&mut desk.page).tell(&record);
            desk.page.text().to_vec()
        };
        for (milliseconds, stamp) in [(0, "05.000Z"), (7, "05.007Z"), (999, "05.999Z"), (1_000, "06.000Z")] {
            let line = line(milliseconds);
            let told: serde_json::Value = serde_json::from_slice(&line).expect("JSON");
            assert_eq!(told["ts"], format!("2026-11-23T12:27:{stamp}"));
        }
        let line = line(0);
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
