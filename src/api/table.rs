//! The table (method, path) → endpoint. A path that is not here does not exist.

use crate::domain::words::{Dialect, Subject};

/// Everything a caller can ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endpoint {
    /// Everything that is put to a provider, in the row's dialect and about its subject.
    Question,
    /// `POST /v1/completions`: Hapax's own form, or OpenAI's legacy one when it has a `prompt`.
    Completions,
    /// `GET /api/tags`.
    Tags,
    /// `GET /api/ps`.
    Loaded,
    /// `GET /api/version`.
    Version,
    /// `GET /v1/models`.
    Models,
    /// `GET /v1/models/{id}`.
    Model,
    /// `GET /health`, `/v1/health`.
    Health,
    /// `GET /health/live`.
    Live,
    /// `GET /health/ready`.
    Ready,
    /// `GET /health/provider/{name}`.
    ProviderHealth,
    /// `GET /metrics`.
    Metrics,
    /// `GET /v1/status`.
    Status,
    /// `GET /v1/status/explain`.
    Explain,
    /// `GET /v1/status/live`.
    Watch,
    /// `GET /openapi.json`.
    Document,
    /// `GET /v1/usage`.
    Usage,
    /// `GET /`.
    Page,
}

/// What holds for every request to an endpoint.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    /// Which one.
    pub endpoint: Endpoint,
    /// Exact path, or a prefix when it ends in `/`: the rest is the argument.
    pub path: &'static str,
    /// `POST`, or `GET` (which brings `HEAD`).
    pub method: &'static str,
    /// The label in metrics and logs.
    pub label: &'static str,
    /// What is spoken here, errors included.
    pub dialect: Dialect,
    /// What is asked for here.
    pub subject: Subject,
    /// Whether a key is needed when keys are configured.
    pub guarded: bool,
    /// Whether it is answered while every worker is busy.
    pub control: bool,
}

const fn row(endpoint: Endpoint, method: &'static str, path: &'static str, dialect: Dialect) -> Row {
    Row {
        endpoint,
        path,
        method,
        label: path,
        dialect,
        subject: Subject::Chat,
        guarded: true,
        control: false,
    }
}

/// A row that probes and operators read: no key, own lane.
const fn open(endpoint: Endpoint, path: &'static str) -> Row {
    Row { guarded: false, control: true, ..row(endpoint, "GET", path, Dialect::Hapax) }
}

/// A question to a provider.
const fn ask(path: &'static str, dialect: Dialect, subject: Subject) -> Row {
    Row { subject, ..row(Endpoint::Question, "POST", path, dialect) }
}

/// A row whose label differs from its path.
const fn labelled(label: &'static str, row: Row) -> Row {
    Row { label, ..row }
}

/// Every endpoint, the busiest first.
pub const TABLE: &[Row] = &[
    ask("/v1/chat/completions", Dialect::OpenAiChat, Subject::Chat),
    row(Endpoint::Completions, "POST", "/v1/completions", Dialect::Hapax),
    labelled("/v1/completions", row(Endpoint::Completions, "POST", "/v1/completion", Dialect::Hapax)),
    ask("/v1/messages", Dialect::Anthropic, Subject::Chat),
    ask("/api/chat", Dialect::Ollama, Subject::Chat),
    ask("/v1/responses", Dialect::OpenAiResponses, Subject::Chat),
    ask("/v1/embeddings", Dialect::OpenAiChat, Subject::Embedding),
    ask("/v1/messages/count_tokens", Dialect::Anthropic, Subject::Tokens),
    ask("/api/generate", Dialect::OllamaGenerate, Subject::Chat),
    ask("/api/embed", Dialect::Ollama, Subject::Embedding),
    ask("/api/show", Dialect::Ollama, Subject::Description),
    row(Endpoint::Tags, "GET", "/api/tags", Dialect::Ollama),
    row(Endpoint::Loaded, "GET", "/api/ps", Dialect::Ollama),
    row(Endpoint::Version, "GET", "/api/version", Dialect::Ollama),
    row(Endpoint::Models, "GET", "/v1/models", Dialect::OpenAiChat),
    labelled("/v1/models/{id}", row(Endpoint::Model, "GET", "/v1/models/", Dialect::OpenAiChat)),
    open(Endpoint::Health, "/health"),
    labelled("/health", open(Endpoint::Health, "/v1/health")),
    open(Endpoint::Live, "/health/live"),
    open(Endpoint::Ready, "/health/ready"),
    labelled("/health/provider/{name}", open(Endpoint::ProviderHealth, "/health/provider/")),
    open(Endpoint::Metrics, "/metrics"),
    Row { guarded: true, ..open(Endpoint::Status, "/v1/status") },
    Row { guarded: true, ..open(Endpoint::Explain, "/v1/status/explain") },
    row(Endpoint::Watch, "GET", "/v1/status/live", Dialect::Hapax),
    open(Endpoint::Document, "/openapi.json"),
    row(Endpoint::Usage, "GET", "/v1/usage", Dialect::Hapax),
    open(Endpoint::Page, "/"),
];

/// The label of everything that is not in the table.
pub const OTHER: &str = "other";

/// What a path leads to.
#[derive(Debug, Clone, Copy)]
pub enum Found {
    /// An endpoint.
    Row(&'static Row),
    /// An endpoint, but not by this method.
    WrongMethod(&'static Row),
    /// Nothing.
    Nothing,
}

/// Looks a request up. `HEAD` finds what `GET` does.
#[must_use]
pub fn find(method: &str, path: &str) -> Found {
    let asked = if method == "HEAD" { "GET" } else { method };
    let Some((row, _)) = by_path(path) else { return Found::Nothing };
    if row.method == asked { Found::Row(row) } else { Found::WrongMethod(row) }
}

/// The row of a path, whatever the method: errors use its dialect.
#[must_use]
pub fn by_path(path: &str) -> Option<(&'static Row, &str)> {
    TABLE.iter().find_map(|row| {
        if row.path == path {
            return Some((row, ""));
        }
        let takes_argument = row.path.len() > 1 && row.path.ends_with('/');
        let rest = path.strip_prefix(row.path).filter(|rest| takes_argument && !rest.is_empty())?;
        Some((row, rest))
    })
}

/// What is spoken at a path that is none: what is spoken at those beside it, for his client expects that.
#[cold]
pub fn spoken_beside(path: &str) -> Dialect {
    const BELOW: [(&str, Dialect); 2] = [("/api/", Dialect::Ollama), ("/v1/messages/", Dialect::Anthropic)];
    BELOW.iter().find(|(above, _)| path.starts_with(above)).map_or(Dialect::Hapax, |(_, dialect)| *dialect)
}

/// What an `Allow` header says of a row (RFC 9110, section 10.2.1).
#[must_use]
pub fn allow(row: &Row) -> &'static str {
    if row.method == "GET" { "GET, HEAD, OPTIONS" } else { "POST, OPTIONS" }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_follow_their_prefix_and_the_root_is_only_itself() {
        assert!(
            matches!(find("GET", "/v1/models/gpt-4o"), Found::Row(row) if row.endpoint == Endpoint::Model)
        );
        assert!(matches!(find("HEAD", "/health"), Found::Row(row) if row.endpoint == Endpoint::Health));
        assert!(matches!(find("GET", "/"), Found::Row(row) if row.endpoint == Endpoint::Page));
        assert!(matches!(find("GET", "/nothing"), Found::Nothing));
        assert!(matches!(find("GET", "/health/provider/"), Found::Row(_)));
        assert_eq!(by_path("/v1/models/gpt-4o").map(|(_, rest)| rest), Some("gpt-4o"));
        assert!(
            matches!(find("GET", "/v1/completions"), Found::WrongMethod(row) if allow(row) == "POST, OPTIONS")
        );
    }

    #[test]
    fn whatever_reaches_a_provider_is_guarded() {
        for row in TABLE.iter().filter(|row| row.method == "POST") {
            assert!(row.guarded && !row.control, "{}", row.path);
        }
    }
}
