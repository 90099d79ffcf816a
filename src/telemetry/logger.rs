//! The log's two looks: one JSON object per line for machines, simplelog's lines for people.

use super::sink::{Sink, Writer};
use crate::clock::Clock;
use crate::config::{Level, LogFormat};
use crate::domain::calendar::rfc3339;
use std::io::Write;
use std::sync::Arc;

/// How this process logs.
#[derive(Clone)]
pub struct Logging {
    /// The least important level written.
    pub level: log::LevelFilter,
    /// How lines look.
    pub format: LogFormat,
    /// Where they go.
    pub sink: Sink,
}

/// Starts the log on `out` and installs it behind the `log` facade. Only the first call in a process installs.
///
/// # Errors
/// When the writer thread cannot be started.
pub fn start(
    settings: crate::config::Logging,
    clock: Arc<dyn Clock>,
    out: impl Write + Send + 'static,
) -> std::io::Result<(Logging, Writer)> {
    let (sink, writer) = Sink::start(out)?;
    let level = filter(settings.level);
    let logging = Logging { level, format: settings.format, sink: sink.clone() };
    let logger: Box<dyn log::Log> = match settings.format {
        LogFormat::Json => Box::new(JsonLines { level, sink, clock }),
        LogFormat::Text => {
            let config = simplelog::ConfigBuilder::new()
                .set_time_format_rfc3339()
                .set_target_level(log::LevelFilter::Off)
                .set_thread_level(log::LevelFilter::Off)
                .set_location_level(log::LevelFilter::Off)
                .add_filter_allow_str("hapax")
                .build();
            simplelog::WriteLogger::new(level, config, Lines(sink))
        }
    };
    // Tests start several gateways in one process; the first log stays in place.
    if log::set_boxed_logger(logger).is_ok() {
        log::set_max_level(level);
    }
    Ok((logging, writer))
}

fn filter(level: Level) -> log::LevelFilter {
    match level {
        Level::Error => log::LevelFilter::Error,
        Level::Warn => log::LevelFilter::Warn,
        Level::Info => log::LevelFilter::Info,
        Level::Debug => log::LevelFilter::Debug,
        Level::Trace => log::LevelFilter::Trace,
    }
}

/// The word for a level in JSON lines.
pub(super) fn word(level: log::Level) -> &'static str {
    match level {
        log::Level::Error => "error",
        log::Level::Warn => "warn",
        log::Level::Info => "info",
        log::Level::Debug => "debug",
        log::Level::Trace => "trace",
    }
}

/// Lines that do not belong to a request, as JSON.
struct JsonLines {
    level: log::LevelFilter,
    sink: Sink,
    clock: Arc<dyn Clock>,
}

#[derive(serde::Serialize)]
struct Line<'a> {
    ts: &'a str,
    level: &'static str,
    msg: &'a str,
}

impl log::Log for JsonLines {
    fn enabled(&self, metadata: &log::Metadata<'_>) -> bool {
        metadata.level() <= self.level && metadata.target().starts_with("hapax")
    }

    fn log(&self, record: &log::Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        let ts = rfc3339(self.clock.today());
        let line = Line { ts: &ts, level: word(record.level()), msg: &record.args().to_string() };
        if let Ok(mut text) = serde_json::to_vec(&line) {
            text.push(b'\n');
            self.sink.push(&text);
        }
    }

    fn flush(&self) {}
}

/// simplelog writes a line in several pieces; this hands them on as one.
struct Lines(Sink);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        PIECES.with_borrow_mut(|line| {
            line.extend_from_slice(bytes);
            if line.ends_with(b"\n") {
                self.0.push(line);
                line.clear();
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

thread_local! {
    static PIECES: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}
