//! What was used and is not in the file yet: one sum per minute, key, provider, model and endpoint, and no more than fit.

use crate::domain::chat::Usage;
use crate::domain::quick::Seed;
use crate::domain::usage::Row;
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasher, Hash, Hasher};

/// Sums kept at once, about 300 bytes each; past it minutes become hours, then days, then models become `other`.
pub const SUMS_MAX: usize = 16_384;
/// Tokens one call can have; a provider that says more is not believed. Keeps sums of millions of calls exact in SQLite's
/// signed 64 bits.
pub const CALL_TOKENS_MAX: u64 = 1 << 40;
/// Models told apart that nobody configured by name: callers choose those. Past it, and past so many bytes of a name,
/// they are `other`.
pub const MODELS_MAX: usize = 256;
const MODEL_BYTES_MAX: usize = 128;
const OTHER: &str = "other";
/// Spans that minutes are folded into when there are too many of them, in minutes.
const SPANS: [u64; 2] = [60, 1_440];

/// Whose tokens, and when.
#[derive(Debug, Clone, Copy)]
pub(super) struct Entry<'a> {
    pub(super) minute: u64,
    pub(super) key: &'a str,
    pub(super) provider: &'a str,
    pub(super) model: &'a str,
    pub(super) endpoint: &'a str,
}

/// The sums.
#[derive(Debug, Default)]
pub(super) struct Sums {
    /// By the hash of an entry; a collision takes the next number.
    rows: HashMap<u64, Row, Seed>,
    hasher: Seed,
    /// Models that nobody configured by name, since the start.
    models: HashSet<String>,
    /// Minutes in a span: 1 until there were too many.
    span: u64,
}

impl Sums {
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    pub(super) fn rows(&self) -> impl Iterator<Item = &Row> {
        self.rows.values()
    }

    /// Takes everything out.
    pub(super) fn take(&mut self) -> Vec<Row> {
        self.span = 1;
        self.rows.drain().map(|(_, row)| row).collect()
    }

    /// Adds one call by a model that was configured by its name, or was not.
    pub(super) fn add(&mut self, mut entry: Entry<'_>, known: bool, usage: Usage) {
        if !known && !self.tells_apart(entry.model) {
            entry.model = OTHER;
        }
        let believed = |tokens: u64| tokens.min(CALL_TOKENS_MAX);
        let usage = Usage {
            input: believed(usage.input),
            cached: believed(usage.cached),
            cache_write: believed(usage.cache_write),
            output: believed(usage.output),
            reasoning: believed(usage.reasoning),
            estimated: usage.estimated,
        };
        self.sum(entry, 1, usage);
    }

    fn tells_apart(&mut self, model: &str) -> bool {
        if self.models.contains(model) {
            return true;
        }
        let room = self.models.len() < MODELS_MAX && model.len() <= MODEL_BYTES_MAX;
        if room {
            self.models.insert(model.to_owned());
        }
        room
    }

    /// Adds rows, such as those that could not be written.
    pub(super) fn add_all(&mut self, rows: Vec<Row>) {
        for row in rows {
            let entry = Entry {
                minute: row.minute,
                key: &row.key,
                provider: &row.provider,
                model: &row.model,
                endpoint: &row.endpoint,
            };
            self.sum(entry, row.calls, row.usage);
        }
    }

    fn sum(&mut self, mut entry: Entry<'_>, calls: u64, usage: Usage) {
        entry.minute -= entry.minute % self.span.max(1);
        if let Some(row) = self.find(&entry, usage.estimated) {
            row.add(calls, usage);
            return;
        }
        if self.rows.len() >= SUMS_MAX {
            self.fold();
            entry.minute -= entry.minute % self.span.max(1);
            if self.rows.len() >= SUMS_MAX {
                // Days of keys at providers: as many as somebody configured.
                entry.model = OTHER;
            }
            if let Some(row) = self.find(&entry, usage.estimated) {
                row.add(calls, usage);
                return;
            }
        }
        self.insert(Row {
            minute: entry.minute,
            key: entry.key.to_owned(),
            provider: entry.provider.to_owned(),
            model: entry.model.to_owned(),
            endpoint: entry.endpoint.to_owned(),
            calls,
            usage,
        });
    }

    fn hash(&self, entry: &Entry<'_>, estimated: bool) -> u64 {
        let mut hasher = self.hasher.build_hasher();
        hasher.write_u64(entry.minute << 1 | u64::from(estimated));
        for text in [entry.key, entry.provider, entry.model, entry.endpoint] {
            text.hash(&mut hasher);
        }
        hasher.finish()
    }

    fn find(&mut self, entry: &Entry<'_>, estimated: bool) -> Option<&mut Row> {
        let mut place = self.hash(entry, estimated);
        // At most as often as there are rows; in fact once.
        loop {
            let same = |row: &Row| {
                row.minute == entry.minute
                    && row.usage.estimated == estimated
                    && row.key == entry.key
                    && row.model == entry.model
                    && row.provider == entry.provider
                    && row.endpoint == entry.endpoint
            };
            if self.rows.get(&place).map(same)? {
                return self.rows.get_mut(&place);
            }
            place = place.wrapping_add(1);
        }
    }

    fn insert(&mut self, row: Row) {
        let entry = Entry {
            minute: row.minute,
            key: &row.key,
            provider: &row.provider,
            model: &row.model,
            endpoint: &row.endpoint,
        };
        let mut place = self.hash(&entry, row.usage.estimated);
        while self.rows.contains_key(&place) {
            place = place.wrapping_add(1);
        }
        self.rows.insert(place, row);
    }

    /// Folds minutes into hours, and hours into days, until there is room again.
    fn fold(&mut self) {
        for span in SPANS {
            if self.span >= span {
                continue;
            }
            let rows = self.take();
            self.span = span;
            // With wider spans there are fewer of them, never more.
            self.add_all(rows);
            if self.rows.len() < SUMS_MAX {
                return;
            }
        }
    }
}

impl Row {
    fn add(&mut self, calls: u64, usage: Usage) {
        self.calls = self.calls.saturating_add(calls);
        self.usage = self.usage.plus(usage);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(minute: u64, model: &str) -> Entry<'_> {
        Entry { minute, key: "k", provider: "p", model, endpoint: "/e" }
    }

    const ONE: Usage =
        Usage { input: 3, cached: 1, cache_write: 0, output: 2, reasoning: 1, estimated: false };

    #[test]
    fn calls_of_one_minute_and_kind_are_one_row_and_estimates_are_another() {
        let mut sums = Sums::default();
        for _ in 0..3 {
            sums.add(entry(7, "m"), true, ONE);
        }
        sums.add(entry(7, "m"), true, Usage { estimated: true, ..ONE });
        sums.add(entry(8, "m"), true, ONE);
        sums.add(entry(7, "n"), true, ONE);
        let mut rows = sums.take();
        rows.sort_by_key(|row| std::cmp::Reverse(row.calls));
        assert_eq!((rows.len(), rows[0].calls, rows[0].usage.input), (4, 3, 9));
        assert_eq!(sums.len(), 0);
    }

    #[test]
    fn at_the_limit_time_grows_coarse_but_no_token_is_lost() {
        let mut sums = Sums::default();
        let many = SUMS_MAX as u64;
        for minute in 0..many {
            sums.add(entry(minute, "m"), true, ONE);
        }
        assert_eq!((sums.len(), sums.span), (SUMS_MAX, 0));
        sums.add(entry(many, "m"), true, ONE);
        assert_eq!((sums.len(), sums.span), ((SUMS_MAX + 1).div_ceil(60), 60));
        let models: Vec<String> = (0..SUMS_MAX + 100).map(|number| format!("m{number}")).collect();
        for model in &models {
            sums.add(entry(0, model), true, ONE);
        }
        assert!(sums.len() <= SUMS_MAX + 1, "{}", sums.len());
        assert!(sums.rows().any(|row| row.model == OTHER));
        let calls: u64 = sums.rows().map(|row| row.calls).sum();
        let input: u64 = sums.rows().map(|row| row.usage.input).sum();
        let all = many + 1 + models.len() as u64;
        assert_eq!((calls, input), (all, 3 * all));
        sums.take();
        assert_eq!(sums.span, 1);
    }

    #[test]
    fn a_provider_that_counts_beyond_belief_cannot_spoil_the_sums() {
        let mut sums = Sums::default();
        for believed in [CALL_TOKENS_MAX, CALL_TOKENS_MAX + 1, u64::MAX] {
            sums.add(entry(1, "m"), true, Usage { input: believed, ..ONE });
        }
        assert_eq!(sums.take()[0].usage.input, 3 * CALL_TOKENS_MAX);
    }

    #[test]
    fn models_that_callers_make_up_are_told_apart_up_to_a_limit() {
        let mut sums = Sums::default();
        for number in 0..=MODELS_MAX {
            sums.add(entry(1, &format!("made-up-{number}")), false, ONE);
            sums.add(entry(1, "made-up-0"), false, ONE);
        }
        sums.add(entry(1, &"x".repeat(MODEL_BYTES_MAX + 1)), false, ONE);
        sums.add(entry(1, "configured"), true, ONE);
        let rows = sums.take();
        let calls = |model: &str| rows.iter().find(|row| row.model == model).map_or(0, |row| row.calls);
        assert_eq!((rows.len(), calls(OTHER), calls("configured")), (MODELS_MAX + 2, 2, 1));
        assert_eq!(calls("made-up-0"), MODELS_MAX as u64 + 2);
    }
}
