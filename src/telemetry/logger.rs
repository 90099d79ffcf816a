//! The log's two looks: one JSON object per line for machines, simplelog's lines for people.

use super::sink::{Sink, Writer};
use crate::clock::Clock;
use crate::config::{Level, LogFormat};
use crate::domain::calendar::rfc3339;
use std::io::{IsTerminal, Write};
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
                .set_time_level(log::LevelFilter::Off)
                .set_level_padding(simplelog::LevelPadding::Right)
                .set_target_level(log::LevelFilter::Off)
                .set_thread_level(log::LevelFilter::Off)
                .set_location_level(log::LevelFilter::Off)
                .add_filter_allow_str("hapax")
                .build();
            let colours = std::io::stderr().is_terminal();
            simplelog::WriteLogger::new(level, config, Lines { sink, clock, colours })
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

/// simplelog writes a line in several pieces; this puts the time before it and hands it on as one.
struct Lines {
    sink: Sink,
    clock: Arc<dyn Clock>,
    colours: bool,
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        PIECES.with_borrow_mut(|line| {
            // The end of a line is a piece of its own. One within a piece is a caller's, who names models as he likes.
            if bytes != b"\n" {
                line.extend_from_slice(bytes);
            } else {
                let text = String::from_utf8_lossy(line).replace(char::is_control, "?") + "\n";
                self.sink.push(for_people(&rfc3339(self.clock.today()), &text, self.colours).as_bytes());
                line.clear();
            }
        });
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// A line as people read it: the time to the second without its letters, the level, the words; on a terminal the
/// level has its colour (ECMA-48) and the time stands back.
fn for_people(ts: &str, line: &str, colours: bool) -> String {
    let time = ts.get(..19).unwrap_or(ts).replace('T', " ");
    let (level, words) = line.split_once("] ").unwrap_or(("[", line));
    let level = level.trim_start_matches('[');
    if !colours {
        return format!("{time} {level} {words}");
    }
    let colour = match level.trim_end() {
        "ERROR" => 31,
        "WARN" => 33,
        "INFO" => 32,
        _ => 2,
    };
    format!("\x1b[2m{time}\x1b[0m \x1b[{colour}m{level}\x1b[0m {words}")
}

thread_local! {
    static PIECES: std::cell::RefCell<Vec<u8>> = const { std::cell::RefCell::new(Vec::new()) };
}

#[cfg(test)]
mod tests {
    use super::for_people;

    #[test]
    fn a_line_for_people_has_colours_on_a_terminal_only() {
        let (ts, line) = ("2026-11-23T12:27:05.123Z", "[WARN ] circuit a is open [really]\n");
        assert_eq!(for_people(ts, line, false), "2026-11-23 12:27:05 WARN  circuit a is open [really]\n");
        assert_eq!(
            for_people(ts, line, true),
            "\x1b[2m2026-11-23 12:27:05\x1b[0m \x1b[33mWARN \x1b[0m circuit a is open [really]\n"
        );
    }
}
