//! The tables of keys: every key that loads, what it holds, its default, what it means, and whether it has an effect.
//!
//! Unknown keys, suggestions, ranges, defaults, warnings, `hapax help KEY` and the tables of `docs/configuration.md` all
//! read these; `HAPAX_REWRITE=1 cargo test --lib config` writes those of the page anew. `*` stands for a name of the
//! operator's own, `[]` for an item of a list.

mod callers;
mod original;
mod providers;
mod rest;
mod routing;
mod server;

use super::checks::*;
use super::kinds::Kind::{self, *};
use super::{quirks, value};

/// Whether a key changes anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Effect {
    Used,
    /// A key of the Go original, or of its documentation, that loads and does nothing.
    Gone,
}

/// One key.
#[derive(Debug)]
pub(super) struct Row {
    pub(super) path: &'static str,
    pub(super) kind: Kind,
    /// As one would write it; empty: none.
    pub(super) default: &'static str,
    pub(super) effect: Effect,
    /// For whoever writes it: what it does, or why it does nothing. Markdown.
    pub(super) meaning: &'static str,
}

/// Every key that loads, as the page has them: one table after the other.
pub(super) static TABLES: &[&[Row]] = &[
    server::SERVER,
    providers::PROVIDERS,
    routing::ROUTING,
    routing::FAILURES,
    callers::CALLERS,
    rest::REST,
    original::ORIGINAL,
];

/// Every key that loads.
pub(super) fn rows() -> impl Iterator<Item = &'static Row> {
    TABLES.iter().copied().flatten()
}

/// Finds a key by its path in the table.
pub(super) fn row(path: &str) -> Option<&'static Row> {
    rows().find(|row| row.path == path)
}

/// Finds `key` below `parent` (empty: the top), as itself or as one of the operator's names.
pub(super) fn child(parent: &str, key: &str) -> Option<&'static Row> {
    let join = |key: &str| if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
    row(&join(key)).or_else(|| row(&join("*")))
}

/// The keys directly below `parent`.
pub(super) fn children(parent: &str) -> impl Iterator<Item = &'static str> + '_ {
    rows().filter_map(move |row| {
        let below =
            if parent.is_empty() { row.path } else { row.path.strip_prefix(parent)?.strip_prefix('.')? };
        (!below.contains('.') && !matches!(below, "*" | "[]")).then_some(below)
    })
}

const fn used(path: &'static str, kind: Kind, default: &'static str, meaning: &'static str) -> Row {
    Row { path, kind, default, effect: Effect::Used, meaning }
}

const fn gone(path: &'static str, default: &'static str, why: &'static str) -> Row {
    Row { path, kind: Any, default, effect: Effect::Gone, meaning: why }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;
const MINUTE_MAX: u64 = 1_000_000; // requests per minute; more is no limit at all
const TOKENS_MAX: u64 = 1_000_000_000_000; // per minute; more is no limit at all
const ONE: u64 = 1; // millisecond: no duration of zero

const NO_HTTP3: &str = "HTTP/3 is not offered";
const NO_RETRY: &str = "a failing provider is left for the next one at once; see retry.wait_max";
const NO_ROUTES: &str = "the endpoints are fixed";
const CALLERS_DO: &str = "callers set this in their requests";
const SEE_SERVER_QUEUE: &str = "the queue is never written to disk; see server.queue";
const ALWAYS: &str = "health checks cost nothing and always run";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_is_a_valid_value_of_its_key() {
        for row in rows() {
            row.kind.parse_default(row.default).unwrap_or_else(|why| panic!("{}: {why:?}", row.path));
        }
    }

    #[test]
    fn every_key_stands_once_and_below_its_section() {
        let all: Vec<&Row> = rows().collect();
        for (index, row) in all.iter().enumerate() {
            assert!(all[index + 1..].iter().all(|other| other.path != row.path), "{} twice", row.path);
            if let Some((parent, last)) = row.path.rsplit_once('.') {
                let kind = super::row(parent).map(|row| row.kind);
                let fits = match kind {
                    Some(Section) => last != "*" && last != "[]",
                    Some(Named(_)) => true,
                    Some(Listed) => last == "[]",
                    _ => false,
                };
                assert!(fits, "{} has no fitting parent", row.path);
            }
            assert_eq!(super::super::spelling::snake(row.path), row.path, "the table is in snake_case");
        }
    }
}
