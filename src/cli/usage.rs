//! `hapax usage`: what was used, from the ledger's file, whether the gateway runs or not.

use super::{Failed, print};
use crate::api::usage::{BY, Report, SINCE};
use crate::clock::{Clock, SystemClock};
use crate::domain::calendar::rfc3339;
use crate::domain::usage::{self, By, Labels, Sums, usd};
use crate::ledger;
use std::path::PathBuf;
use std::time::{Duration, UNIX_EPOCH};

/// What is wanted.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) config: Option<PathBuf>,
    pub(super) by: Option<String>,
    pub(super) since: Option<String>,
    pub(super) format: Option<String>,
}

pub(super) fn run(wish: &Wish) -> Result<(), Failed> {
    let now = ledger::minute_of(SystemClock.today());
    let by = By::list(wish.by.as_deref().unwrap_or(BY))
        .map_err(|words| Failed::Usage(format!("--by: {words}")))?;
    let since = usage::since(wish.since.as_deref().unwrap_or(SINCE), now)
        .map_err(|words| Failed::Usage(format!("--since: {words}")))?;
    let worded = match wish.format.as_deref().unwrap_or("table") {
        "table" => table,
        "csv" => csv,
        "json" => json,
        other => return Err(Failed::Usage(format!("--format: '{other}' is none of table, csv, json"))),
    };
    let settings = super::settings(wish.config.as_deref())?;
    let Some(path) = &settings.usage.path else {
        let words = "usage.path is not set, so usage is kept in the gateway's memory: ask GET /v1/usage while it runs";
        return Err(Failed::Running(words.to_owned()));
    };
    let rows = ledger::read(path, since).map_err(Failed::Running)?;
    let labels = Labels::new(settings.keys.iter().map(|key| (&*key.name, key.labels.as_slice())));
    print(&worded(&Report::new(&rows, since, by, (&settings.prices(), &labels))))
}

/// The columns behind the labels.
const COLUMNS: [&str; 9] = [
    "calls",
    "input",
    "cached",
    "cache_write",
    "output",
    "reasoning",
    "estimated_calls",
    "unpriced_calls",
    "cost_usd",
];

fn cells(sums: &Sums) -> [String; 9] {
    let Sums { calls, estimated, unpriced, usage, nano_usd } = sums;
    let number = |number: &u64| number.to_string();
    [
        number(calls),
        number(&usage.input),
        number(&usage.cached),
        number(&usage.cache_write),
        number(&usage.output),
        number(&usage.reasoning),
        number(estimated),
        number(unpriced),
        usd(*nano_usd),
    ]
}

fn json(report: &Report) -> String {
    serde_json::to_string_pretty(report).unwrap_or_default()
}

/// Comma-separated values (RFC 4180), with a heading and without a total.
fn csv(report: &Report) -> String {
    let labels = report.by.iter().map(|by| by.word().to_owned());
    let heading = labels.chain(COLUMNS.map(str::to_owned)).collect::<Vec<_>>().join(",");
    let line = |line: &usage::Line| {
        line.labels.iter().map(|label| quoted(label)).chain(cells(&line.sums)).collect::<Vec<_>>().join(",")
    };
    [heading].into_iter().chain(report.lines.iter().map(line)).collect::<Vec<_>>().join("\r\n")
}

fn quoted(field: &str) -> String {
    if field.contains(['"', ',', '\r', '\n']) {
        format!("\"{}\"", field.replace('"', "\"\""))
    } else {
        field.to_owned()
    }
}

/// Columns for people: labels to the left, numbers to the right, the total last.
fn table(report: &Report) -> String {
    let since =
        UNIX_EPOCH.checked_add(Duration::from_secs(report.since.saturating_mul(60))).unwrap_or(UNIX_EPOCH);
    let since = rfc3339(since);
    let since = since.get(..16).unwrap_or(&since).replace('T', " ");
    if report.lines.is_empty() {
        return format!("No usage since {since} UTC.");
    }
    let labels = report.by.len();
    let heading = report.by.iter().map(|by| by.word().to_owned()).chain(COLUMNS.map(str::to_owned));
    let mut rows: Vec<Vec<String>> = vec![heading.collect()];
    for line in &report.lines {
        rows.push(line.labels.iter().map(|label| visible(label)).chain(cells(&line.sums)).collect());
    }
    let total = (0..labels).map(|place| if place == 0 { "total".to_owned() } else { String::new() });
    rows.push(total.chain(cells(&report.total)).collect());
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..labels + COLUMNS.len()).map(width).collect();
    let mut text = format!("Usage since {since} UTC\n\n");
    for row in &rows {
        let cells = row.iter().zip(&widths).enumerate().map(|(column, (cell, width))| {
            if column < labels { format!("{cell:<width$}") } else { format!("{cell:>width$}") }
        });
        text.push_str(cells.collect::<Vec<_>>().join("  ").trim_end());
        text.push('\n');
    }
    if report.total.unpriced > 0 {
        text.push_str("\nunpriced calls are not in cost_usd: say what their models cost under prices:\n");
    }
    text
}

/// A label as a terminal may see it: callers choose the names of models.
fn visible(label: &str) -> String {
    label.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::chat::Usage;
    use crate::domain::price::Prices;
    use crate::domain::usage::Row;

    fn report() -> Report {
        let row = |key: &str, model: &str, provider: &str, input: u64| Row {
            minute: 28_900_000,
            key: key.to_owned(),
            provider: provider.to_owned(),
            model: model.to_owned(),
            endpoint: "/v1/chat/completions".to_owned(),
            calls: 1,
            usage: Usage { input, output: 7, ..Usage::default() },
        };
        let rows = [row("bot", "m,\"1\"", "ollama", 1_000), row("laptop", "\u{1b}[31m", "unheard-of", 5)];
        Report::new(&rows, 28_800_000, vec![By::Key, By::Model], (&Prices::default(), &Labels::default()))
    }

    #[test]
    fn a_table_has_a_total_and_says_what_has_no_price() {
        let text = table(&report());
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines[0], "Usage since 2024-10-04 00:00 UTC");
        assert!(lines[2].starts_with("key     model") && lines[2].ends_with("cost_usd"), "{text}");
        assert!(lines[4].starts_with("laptop  ?[31m") && lines[5].starts_with("total"), "{text}");
        assert!(lines[5].contains(" 1005 ") && lines[7].starts_with("unpriced"), "{text}");
        assert!(lines[2..6].iter().all(|line| line.len() == lines[2].len()), "{text}");
        let none = Report::new(&[], 28_800_000, vec![By::Key], (&Prices::default(), &Labels::default()));
        assert_eq!(table(&none), "No usage since 2024-10-04 00:00 UTC.");
    }

    #[test]
    fn csv_quotes_what_would_end_a_field() {
        let text = csv(&report());
        let lines: Vec<&str> = text.split("\r\n").collect();
        assert_eq!(
            lines[0],
            "key,model,calls,input,cached,cache_write,output,reasoning,estimated_calls,unpriced_calls,cost_usd"
        );
        assert_eq!(lines[1], "bot,\"m,\"\"1\"\"\",1,1000,0,0,7,0,0,0,0.00");
    }

    #[test]
    fn json_has_a_field_for_each_label() {
        let told: serde_json::Value = serde_json::from_str(&json(&report())).expect("JSON");
        assert_eq!((&told["rows"][0]["key"], &told["rows"][0]["input"]), (&"bot".into(), &1_000.into()));
        assert_eq!((&told["total"]["unpriced_calls"], &told["by"][1]), (&1.into(), &"model".into()));
        assert_eq!(told["since"], "2024-10-04T00:00:00.000Z");
    }
}
