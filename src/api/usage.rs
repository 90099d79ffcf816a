//! `/v1/usage`: what was used, divided as asked: one's own, or everybody's for whoever may see that.

use super::errors::Problem;
use super::explain::parameter;
use super::told::{Asked, Told};
use super::{Api, State};
use crate::domain::calendar::rfc3339;
use crate::domain::price::Prices;
use crate::domain::usage::{self, By, Labels, Line, Row, Sums, usd};
use crate::domain::words::Dialect;
use serde::ser::{Serialize, SerializeMap, Serializer};
use std::time::{Duration, UNIX_EPOCH};

/// How far a report goes back when nobody says.
pub const SINCE: &str = "7d";
/// What it is divided by when nobody says.
pub const BY: &str = "key";

/// Gives the ledger's rows since a minute, of one key or of all.
pub type Rows = Box<dyn Fn(u64, Option<&str>) -> Result<Vec<Row>, String> + Send + Sync>;

/// A report for machines; `hapax usage` words it for people, too.
#[derive(Debug, Clone)]
pub struct Report {
    /// The first minute that counts, since 1970.
    pub since: u64,
    /// What it is divided by.
    pub by: Vec<By>,
    /// Its lines.
    pub lines: Vec<Line>,
    /// The sum of all.
    pub total: Sums,
}

impl Report {
    /// Divides rows as asked.
    #[must_use]
    pub fn new(rows: &[Row], since: u64, by: Vec<By>, told: (&Prices, &Labels)) -> Self {
        let (lines, total) = usage::report(rows, &by, told);
        Self { since, by, lines, total }
    }
}

impl Serialize for Report {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let words: Vec<&str> = self.by.iter().map(|by| by.word()).collect();
        let lines: Vec<Labelled<'_>> = self
            .lines
            .iter()
            .map(|line| Labelled { by: &self.by, labels: &line.labels, sums: &line.sums })
            .collect();
        let since = UNIX_EPOCH.checked_add(Duration::from_secs(self.since.saturating_mul(60)));
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("since", &rfc3339(since.unwrap_or(UNIX_EPOCH)))?;
        map.serialize_entry("by", &words)?;
        map.serialize_entry("rows", &lines)?;
        map.serialize_entry("total", &Labelled { by: &[], labels: &[], sums: &self.total })?;
        map.end()
    }
}

/// Sums with what they are about.
struct Labelled<'a> {
    by: &'a [By],
    labels: &'a [String],
    sums: &'a Sums,
}

impl Serialize for Labelled<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Sums { calls, estimated, unpriced, usage, nano_usd } = self.sums;
        let mut map = serializer.serialize_map(None)?;
        for (by, label) in self.by.iter().zip(self.labels) {
            map.serialize_entry(by.word(), label)?;
        }
        for (name, number) in [
            ("calls", *calls),
            ("input", usage.input),
            ("cached", usage.cached),
            ("cache_write", usage.cache_write),
            ("output", usage.output),
            ("reasoning", usage.reasoning),
            ("estimated_calls", *estimated),
            ("unpriced_calls", *unpriced),
        ] {
            map.serialize_entry(name, &number)?;
        }
        // A number as exact as a float is: below nine million USD, to the nano-USD.
        map.serialize_entry("cost_usd", &usd(*nano_usd).parse::<f64>().unwrap_or_default())?;
        map.end()
    }
}

/// `?by=key,day&since=7d`, both optional.
pub(super) fn serve(api: &Api, state: &State, asked: &Asked<'_>) -> Told {
    let query = asked.query.unwrap_or_default();
    let given = |name: &str, otherwise: &str| parameter(query, name).unwrap_or_else(|| otherwise.to_owned());
    let wrong = |param: &str, words: String| {
        let problem =
            Problem { param: Some(param.to_owned()), ..Problem::new(400, words).code("invalid_request") };
        Told::problem(problem, Dialect::Hapax)
    };
    let by = match By::list(&given("by", BY)) {
        Ok(by) => by,
        Err(words) => return wrong("by", words),
    };
    let since = match usage::since(&given("since", SINCE), api.seconds_since_1970() / 60) {
        Ok(since) => since,
        Err(words) => return wrong("since", words),
    };
    // A key sees its own usage, an admin's everybody's.
    let own = asked.key.filter(|key| !key.admin).map(|key| &*key.name);
    match (api.sources.usage)(since, own) {
        Ok(rows) => {
            let keys = state.keyring.keys().iter();
            let labels = Labels::new(keys.map(|key| (&*key.name, key.labels.as_slice())));
            Told::json(super::to_json(&Report::new(&rows, since, by, (&state.prices, &labels))))
        }
        Err(_) => Told::problem(
            // Where the file is, and what is wrong with it, stands in the log.
            Problem::new(503, "the ledger cannot be read at present").code("ledger_unavailable"),
            Dialect::Hapax,
        ),
    }
}
