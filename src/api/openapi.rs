//! `/openapi.json`: this surface as an OpenAPI 3.1 document, for generators of clients and for those who test us.
//!
//! The file is written by hand and held to the code by the tests below; `tests/it` holds every answer to it.

use super::told::Told;

/// The document. Every row of the table has a path in it, and no path lacks a row.
pub(super) const DOCUMENT: &str = include_str!("openapi.json");

/// The document, as it is.
pub(super) fn serve() -> Told {
    Told::json(DOCUMENT.as_bytes().to_vec())
}

#[cfg(test)]
mod tests {
    use super::super::errors::{CALLER_LEFT, class_of, statuses};
    use super::super::table::{Endpoint, Row, TABLE};
    use super::DOCUMENT;
    use crate::domain::words::Dialect;
    use crate::server::Refusal;
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn document() -> Value {
        serde_json::from_str(DOCUMENT).expect("it is JSON")
    }

    /// A row's path as the document writes it.
    fn path(row: &Row) -> &'static str {
        if row.label.contains('{') { row.label } else { row.path }
    }

    fn operation<'a>(document: &'a Value, row: &Row) -> &'a Value {
        &document["paths"][path(row)][row.method.to_ascii_lowercase()]
    }

    /// Every status an answer may have that is none of the endpoint's own doing.
    fn of_the_door() -> BTreeSet<String> {
        let refusals = [
            Refusal::Malformed(""),
            Refusal::HeaderTooLarge,
            Refusal::TargetTooLong,
            Refusal::BodyTooLarge,
            Refusal::TooSlow,
            Refusal::UnsupportedVersion,
            Refusal::NotImplemented,
            Refusal::Expectation,
            Refusal::UnsupportedEncoding,
            Refusal::QueueFull,
            Refusal::Panicked,
        ];
        refusals.iter().map(|refusal| refusal.status().to_string()).collect()
    }

    /// Every status an answer of this row may have.
    fn expected(row: &Row) -> BTreeSet<String> {
        let mut expected = of_the_door();
        expected.insert("200".to_owned());
        if row.method == "POST" {
            // Another method's status belongs to the path, and who has left reads none.
            let sent = statuses().filter(|status| ![405, CALLER_LEFT].contains(status));
            expected.extend(sent.map(|status| status.to_string()));
            expected.insert("4XX".to_owned());
        }
        if row.guarded {
            expected.insert("401".to_owned());
        }
        if row.path.len() > 1 && row.path.ends_with('/') || row.endpoint == Endpoint::Explain {
            expected.insert("404".to_owned());
        }
        expected
    }

    fn words_of(row: &Row) -> &'static str {
        match row.dialect {
            _ if row.endpoint == Endpoint::Completions => "Completions",
            _ if matches!(row.endpoint, Endpoint::Models | Endpoint::Model) => "Models",
            Dialect::OpenAiChat | Dialect::OpenAiCompletion | Dialect::OpenAiResponses => "OpenAi",
            Dialect::Anthropic => "Anthropic",
            Dialect::Ollama | Dialect::OllamaGenerate => "Ollama",
            Dialect::Hapax | Dialect::Gemini => "Hapax",
        }
    }

    #[test]
    fn every_row_has_a_path_with_its_method_and_no_path_lacks_a_row() {
        let document = document();
        let mut told = BTreeSet::new();
        for (path, methods) in document["paths"].as_object().expect("paths") {
            told.extend(
                methods.as_object().expect("methods").keys().map(|method| (path.clone(), method.clone())),
            );
        }
        let rows = TABLE.iter().map(|row| (path(row).to_owned(), row.method.to_ascii_lowercase())).collect();
        assert_eq!(told, rows);
        assert_eq!(document["info"]["version"], env!("CARGO_PKG_VERSION"));
    }

    #[test]
    fn every_row_tells_its_statuses_its_errors_and_whether_a_key_is_needed() {
        let document = document();
        for row in TABLE {
            let operation = operation(&document, row);
            let responses = operation["responses"].as_object().expect("responses");
            let told: BTreeSet<String> = responses.keys().cloned().collect();
            assert_eq!(told, expected(row), "{}", row.path);
            assert_eq!(operation["security"].is_null(), row.guarded, "{}", row.path);
            assert_eq!(operation["requestBody"].is_object(), row.method == "POST", "{}", row.path);
            for (status, response) in responses.iter().filter(|(status, _)| *status != "200") {
                let words = format!("#/components/responses/{}", words_of(row));
                // A provider that cannot be used is no error of ours: its state is the answer.
                let state = status == "503" && response["$ref"].is_null();
                assert!(
                    state && row.path.contains("health") || response["$ref"] == words,
                    "{} {status}",
                    row.path
                );
            }
        }
        assert_eq!(class_of(405).status, 405);
    }

    fn references<'a>(value: &'a Value, found: &mut BTreeSet<&'a str>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_nothing_is_left_over() {
        let document = document();
        let mut found = BTreeSet::new();
        references(&document, &mut found);
        let mut parts = BTreeSet::new();
        for kind in ["schemas", "responses", "parameters", "headers"] {
            let names = document["components"][kind].as_object().expect("parts").keys();
            parts.extend(names.map(|name| format!("#/components/{kind}/{name}")));
        }
        assert_eq!(found, parts.iter().map(String::as_str).collect());
    }

    /// The fields a proper answer may have beyond what HTTP asks of every server; `tests/it` holds every answer to them.
    fn fields(row: &Row) -> BTreeSet<&'static str> {
        let mut fields = BTreeSet::from(["X-Request-ID"]);
        if row.dialect == Dialect::Anthropic || matches!(row.endpoint, Endpoint::Models | Endpoint::Model) {
            fields.insert("request-id");
        }
        if row.method == "POST" {
            fields.extend(["X-Hapax-Provider", "X-Hapax-Model", "X-Hapax-Attempts", "X-Hapax-Deduplicated"]);
            fields.extend(["X-Hapax-Cache", "Age", "X-Hapax-Dropped-Params"]);
            fields.extend(["x-ratelimit-limit-requests", "x-ratelimit-limit-tokens"]);
            fields.extend(["x-ratelimit-remaining-requests", "x-ratelimit-remaining-tokens"]);
            fields.extend(["x-ratelimit-reset-requests", "x-ratelimit-reset-tokens"]);
        }
        fields
    }

    /// The fields that a response of the document names.
    fn named<'a>(document: &'a Value, response: &'a Value) -> BTreeSet<&'a str> {
        let place = response["$ref"].as_str().map_or("", |place| place.trim_start_matches('#'));
        let response =
            if place.is_empty() { response } else { document.pointer(place).expect("it is there") };
        response["headers"].as_object().expect("fields").keys().map(String::as_str).collect()
    }

    #[test]
    fn every_field_an_answer_may_have_is_told_and_no_other() {
        let document = document();
        for row in TABLE {
            for (status, response) in operation(&document, row)["responses"].as_object().expect("responses") {
                let told = named(&document, response);
                if status == "200" {
                    assert_eq!(told, fields(row), "{}", row.path);
                } else {
                    assert!(told.is_superset(&fields(row)), "{} {status}", row.path);
                }
            }
        }
    }

    /// The page's table of endpoints; `HAPAX_REWRITE=1 cargo test --lib openapi` writes it anew.
    #[test]
    fn the_page_lists_the_endpoints_as_the_document_does() {
        const HEAD: &str = "| endpoint | what it is |\n|---|---|\n";
        let document = document();
        let line = |row: &Row| {
            let summary = operation(&document, row)["summary"].as_str().expect("a summary");
            format!("| `{} {}` | {summary} |\n", row.method, path(row))
        };
        let table = HEAD.to_owned() + &TABLE.iter().map(line).collect::<String>();
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/api.md");
        let page = std::fs::read_to_string(file).expect("the page is there");
        if std::env::var_os("HAPAX_REWRITE").is_some() {
            let (before, rest) = page.split_once(HEAD).expect("it has the table");
            let (_, after) = rest.split_once("\n\n").expect("it goes on");
            std::fs::write(file, format!("{before}{table}\n{after}")).expect("it can be written");
        } else {
            assert!(page.contains(&format!("{table}\n")), "the table of endpoints in docs/api.md is another");
        }
    }
}
