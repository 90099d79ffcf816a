//! Words events as log lines: one per request, and one for each change an operator should know of.

use super::logger::{Logging, word};
use crate::clock::Clock;
use crate::config::LogFormat;
use crate::domain::calendar::rfc3339;
use crate::domain::event::{Circuit, Event, Record, Tried};
use serde::Serialize;

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
        Event::Attempted { .. }
        | Event::FirstToken { .. }
        | Event::BreakerFailed { .. }
        | Event::Deduplicated
        | Event::Limited { .. }
        | Event::Used { .. }
        | Event::Arrived { .. } => {}
    }
}

/// The line of one request, field for field as the contract names them.
#[derive(Serialize)]
struct RequestLine<'a> {
    ts: &'a str,
    level: &'static str,
    msg: &'static str,
    request_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<&'a str>,
    endpoint: &'a str,
    method: &'a str,
    status: u16,
    duration_ms: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    model: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<&'a str>,
    attempts: Vec<AttemptLine<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    usage: Option<UsageLine>,
    stream: bool,
    deduplicated: bool,
    bytes_in: u64,
    bytes_out: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    key: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    client: Option<std::net::IpAddr>,
}

#[derive(Serialize)]
struct AttemptLine<'a> {
    provider: &'a str,
    model: &'a str,
    outcome: &'a str,
    duration_ms: f64,
}

#[derive(Serialize)]
struct UsageLine {
    input: u64,
    cached: u64,
    cache_write: u64,
    output: u64,
    reasoning: u64,
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
            let ts = rfc3339(clock.today());
            let mut line = Vec::with_capacity(512);
            if serde_json::to_writer(&mut line, &in_fields(record, &ts, level)).is_ok() {
                line.push(b'\n');
                logging.sink.push(&line);
            }
        }
    }
}

fn in_fields<'a>(record: &'a Record<'_>, ts: &'a str, level: log::Level) -> RequestLine<'a> {
    let attempt = |tried: &'a Tried| AttemptLine {
        provider: &tried.provider,
        model: &tried.model,
        outcome: &tried.outcome,
        duration_ms: milliseconds(tried.took),
    };
    RequestLine {
        ts,
        level: word(level),
        msg: "request",
        request_id: record.request_id,
        trace_id: record.trace_id,
        endpoint: record.endpoint,
        method: record.method,
        status: record.status,
        duration_ms: milliseconds(record.took),
        error: record.error,
        model: record.served.map(|(_, model)| model),
        provider: record.served.map(|(provider, _)| provider),
        attempts: record.attempts.iter().map(attempt).collect(),
        usage: record.usage.map(|usage| UsageLine {
            input: usage.input,
            cached: usage.cached,
            cache_write: usage.cache_write,
            output: usage.output,
            reasoning: usage.reasoning,
        }),
        stream: record.stream,
        deduplicated: record.deduplicated,
        bytes_in: record.bytes_in,
        bytes_out: record.bytes_out,
        key: record.key,
        client: record.client,
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
    if record.stream {
        text.push_str(", streamed");
    }
    if let Some(error) = record.error {
        text.push_str(&format!(": {error}"));
    }
    text.push_str(&format!(" [{}]", record.request_id));
    text
}

/// Milliseconds with microsecond precision.
fn milliseconds(took: std::time::Duration) -> f64 {
    u32::try_from(took.as_micros())
        .map_or_else(|_| took.as_secs_f64() * 1e3, |micros| f64::from(micros) / 1e3)
}
