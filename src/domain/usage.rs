//! Tokens by whom, of whom and where: estimates, the ledger's rows, and what a report makes of them.

use super::calendar;
use super::chat::{Answer, Content, Part, Usage};
use super::price::{NANO_USD, Prices};
use std::collections::BTreeMap;

/// What one token is worth in bytes of text, roughly; for code and other scripts it is less.
const TOKEN_BYTES: usize = 4;
const MINUTES_PER_DAY: u64 = 1_440;

/// About how many tokens a text of so many bytes has.
#[must_use]
pub fn tokens_of(bytes: usize) -> u64 {
    bytes.div_ceil(TOKEN_BYTES) as u64
}

/// About how many tokens an answer has that was said in domain terms; of vectors and bytes nothing is known here.
#[must_use]
pub fn weigh(answer: &Answer) -> Usage {
    let Content::Said { choices, .. } = &answer.content else { return Usage::default() };
    let (mut said, mut thought) = (0, 0);
    for part in choices.iter().flat_map(|choice| &choice.parts) {
        match part {
            Part::Text { text, .. } => said += text.len(),
            Part::Reasoning { text, .. } => thought += text.len(),
            Part::ToolCall(call) => said += call.name.len() + call.arguments.len(),
            Part::Image(_) | Part::ToolResult { .. } => {}
        }
    }
    Usage { output: tokens_of(said + thought), reasoning: tokens_of(thought), ..Usage::default() }
}

/// What one key used of one model at one provider through one endpoint, within one span of time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The span's beginning, in minutes since 1970.
    pub minute: u64,
    /// The key's name, or `none`.
    pub key: String,
    /// The provider.
    pub provider: String,
    /// The model it was asked for.
    pub model: String,
    /// The endpoint's label.
    pub endpoint: String,
    /// Answers, whole or in part.
    pub calls: u64,
    /// Their tokens. Estimated ones have a row of their own.
    pub usage: Usage,
}

/// What a report is divided by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum By {
    /// The caller's key.
    Key,
    /// The model.
    Model,
    /// The provider.
    Provider,
    /// The endpoint.
    Endpoint,
    /// The day, in UTC.
    Day,
    /// A label that keys have today, as it is asked for: `label.team`. Keys without it are one line.
    Label(String),
}

/// What an operator's own word is asked for with.
const LABEL: &str = "label.";

/// What the keys' labels say today, by key and label. Like money they are not stored with what was used.
#[derive(Debug, Default)]
pub struct Labels(BTreeMap<(String, String), String>);

impl Labels {
    /// Of every key by its name.
    pub fn new<'a>(keys: impl IntoIterator<Item = (&'a str, &'a [(String, String)])>) -> Self {
        let all = keys.into_iter().flat_map(|(key, labels)| {
            labels.iter().map(|(label, value)| ((key.to_owned(), label.clone()), value.clone()))
        });
        Self(all.collect())
    }

    fn of(&self, key: &str, label: &str) -> String {
        self.0.get(&(key.to_owned(), label.to_owned())).cloned().unwrap_or_default()
    }
}

impl By {
    /// Everything a report can be divided by, besides labels.
    const ALL: [Self; 5] = [Self::Key, Self::Model, Self::Provider, Self::Endpoint, Self::Day];

    /// `key`, `model`, `provider`, `endpoint`, `day`, or `label.team`.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Label(word) => word,
            Self::Key => "key",
            Self::Model => "model",
            Self::Provider => "provider",
            Self::Endpoint => "endpoint",
            Self::Day => "day",
        }
    }

    /// Reads `key,day`; each may stand once.
    ///
    /// # Errors
    /// Which word is not one of them, in words.
    pub fn list(text: &str) -> Result<Vec<Self>, String> {
        let mut all = Vec::new();
        for word in text.split(',').map(str::trim) {
            let named = word.strip_prefix(LABEL).is_some_and(|label| !label.is_empty());
            let known = Self::ALL.into_iter().find(|by| by.word() == word);
            let by = known.or_else(|| named.then(|| Self::Label(word.to_owned()))).ok_or_else(|| {
                format!("cannot divide by '{word}': say key, model, provider, endpoint, day or label.NAME, or several with commas")
            })?;
            if all.contains(&by) {
                return Err(format!("'{word}' stands there twice"));
            }
            all.push(by);
        }
        Ok(all)
    }

    fn label(&self, row: &Row, labels: &Labels) -> String {
        match self {
            Self::Label(word) => labels.of(&row.key, &word[LABEL.len()..]),
            Self::Key => row.key.clone(),
            Self::Model => row.model.clone(),
            Self::Provider => row.provider.clone(),
            Self::Endpoint => row.endpoint.clone(),
            Self::Day => calendar::date(row.minute / MINUTES_PER_DAY),
        }
    }
}

/// Nano-USD as USD, exactly: at least two decimals, and no zeros behind those.
#[must_use]
pub fn usd(nano: u64) -> String {
    let mut text = format!("{}.{:09}", nano / NANO_USD, nano % NANO_USD);
    while text.ends_with('0') && !text.ends_with(".00") && text[text.find('.').unwrap_or(0)..].len() > 3 {
        text.pop();
    }
    text
}

/// Sums over rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sums {
    /// Answers.
    pub calls: u64,
    /// Of these, with estimated tokens.
    pub estimated: u64,
    /// Of these, by models whose price nobody knows: not in `nano_usd`.
    pub unpriced: u64,
    /// All tokens.
    pub usage: Usage,
    /// What they cost.
    pub nano_usd: u64,
}

impl Sums {
    fn add(&mut self, row: &Row, prices: &Prices) {
        self.calls = self.calls.saturating_add(row.calls);
        self.usage = self.usage.plus(row.usage);
        if row.usage.estimated {
            self.estimated = self.estimated.saturating_add(row.calls);
        }
        match prices.of(&row.provider, &row.model) {
            Some(price) => self.nano_usd = self.nano_usd.saturating_add(price.cost(&row.usage)),
            None => self.unpriced = self.unpriced.saturating_add(row.calls),
        }
    }
}

/// One line of a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// What it is about, in the order asked for.
    pub labels: Vec<String>,
    /// The sums.
    pub sums: Sums,
}

/// Divides rows as asked: lines in the order of their labels, and the sum of all. Money is derived here and stored
/// nowhere, so that a corrected price corrects the past.
#[must_use]
pub fn report(rows: &[Row], by: &[By], (prices, names): (&Prices, &Labels)) -> (Vec<Line>, Sums) {
    let mut lines: BTreeMap<Vec<String>, Sums> = BTreeMap::new();
    let mut total = Sums::default();
    for row in rows {
        let labels = by.iter().map(|by| by.label(row, names)).collect();
        lines.entry(labels).or_default().add(row, prices);
        total.add(row, prices);
    }
    (lines.into_iter().map(|(labels, sums)| Line { labels, sums }).collect(), total)
}

/// Reads how far a report goes back: `7d`, `12h`, `90m`, `2w`, or a day such as `2026-11-01`, in UTC. Gives the first
/// minute since 1970; `now` is the present one.
///
/// # Errors
/// What is wrong with it, in words.
pub fn since(text: &str, now: u64) -> Result<u64, String> {
    let wrong =
        || format!("'{text}' is no time to look back to: say 7d, 12h, 90m, 2w, or a day such as 2026-11-01");
    if let Some(day) = calendar::day_of(text) {
        return Ok(day * MINUTES_PER_DAY);
    }
    let minutes = match text.as_bytes().last() {
        Some(b'm') => 1,
        Some(b'h') => 60,
        Some(b'd') => MINUTES_PER_DAY,
        Some(b'w') => 7 * MINUTES_PER_DAY,
        _ => return Err(wrong()),
    };
    let count: u64 = text[..text.len() - 1].parse().map_err(|_| wrong())?;
    Ok(now.saturating_sub(count.saturating_mul(minutes)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::pattern::Pattern;
    use crate::domain::price::Price;

    fn row(day: u64, key: &str, model: &str, usage: Usage) -> Row {
        Row {
            minute: day * MINUTES_PER_DAY + 5,
            key: key.to_owned(),
            provider: "p".to_owned(),
            model: model.to_owned(),
            endpoint: "/v1/chat/completions".to_owned(),
            calls: 2,
            usage,
        }
    }

    #[test]
    fn a_report_divides_as_asked_and_prices_what_has_a_price() {
        let usage = Usage { input: 10, output: 3, ..Usage::default() };
        let rows = [
            row(20_000, "a", "cheap", usage),
            row(20_001, "a", "cheap", Usage { estimated: true, ..usage }),
            row(20_001, "b", "unheard-of", usage),
        ];
        let price = Price { input: 2, cached: 2, cache_write: 2, output: 5 };
        let prices = Prices::new([], [(Pattern::new("cheap"), price)]);
        let bot: &[(String, String)] = &[("team".to_owned(), "billing".to_owned())];
        let labels = &Labels::new([("a", bot)]);
        let (lines, total) = report(&rows, &[By::Key], (&prices, labels));
        let both = Usage { input: 20, output: 6, estimated: true, ..Usage::default() };
        let of_a = Sums { calls: 4, estimated: 2, unpriced: 0, usage: both, nano_usd: 70 };
        assert_eq!(lines[0], Line { labels: vec!["a".to_owned()], sums: of_a });
        assert_eq!((lines[1].sums.unpriced, lines[1].sums.nano_usd), (2, 0));
        assert_eq!((total.calls, total.usage.input, total.unpriced), (6, 30, 2));
        let (teams, _) = report(&rows, &By::list("label.team").expect("a label"), (&prices, labels));
        let teams: Vec<_> = teams.iter().map(|line| (line.labels[0].as_str(), line.sums.calls)).collect();
        assert_eq!(teams, [("", 2), ("billing", 4)], "who has no label is counted, too");
        let (lines, _) = report(&rows, &[By::Day, By::Model], (&prices, labels));
        let days: Vec<String> = lines.iter().map(|line| line.labels.join(" ")).collect();
        assert_eq!(days, ["2024-10-04 cheap", "2024-10-05 cheap", "2024-10-05 unheard-of"]);
        assert_eq!(report(&[], &[By::Key], (&prices, labels)), (Vec::new(), Sums::default()));
    }

    #[test]
    fn money_is_worded_exactly() {
        let worded = [
            (0, "0.00"),
            (1, "0.000000001"),
            (1_500_000_000, "1.50"),
            (12_345_000_000, "12.345"),
            (100_000_000_000, "100.00"),
        ];
        for (nano, text) in worded {
            assert_eq!(usd(nano), text);
        }
    }

    #[test]
    fn what_a_report_is_divided_by_is_read_or_refused_in_words() {
        assert_eq!(By::list("day, key"), Ok(vec![By::Day, By::Key]));
        assert_eq!(By::list("label.team"), Ok(vec![By::Label("label.team".to_owned())]));
        assert!(By::list("label.").is_err() && By::list("label").is_err());
        assert!(By::list("kay").unwrap_err().contains("'kay'"));
        assert!(By::list("").is_err() && By::list("key,").is_err());
        assert!(By::list("key,key").unwrap_err().contains("twice"));
    }

    #[test]
    fn looking_back_is_read_in_units_or_from_a_day() {
        let now = 20_000 * MINUTES_PER_DAY + 600;
        assert_eq!(since("90m", now), Ok(now - 90));
        assert_eq!(since("12h", now), Ok(now - 720));
        assert_eq!(since("7d", now), Ok(now - 7 * 1_440));
        assert_eq!(since("2w", now), Ok(now - 14 * 1_440));
        assert_eq!(since("2024-10-04", now), Ok(20_000 * MINUTES_PER_DAY));
        assert_eq!(since("999999999999999999d", now), Ok(0));
        for wrong in ["", "7", "d", "7y", "-1d", "2024-13-01", "2024-02-30", "\u{e9}d", "7\u{e9}"] {
            assert!(since(wrong, now).is_err(), "{wrong}");
        }
    }
}
