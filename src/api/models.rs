//! `/v1/models`: what this caller may ask for, as the OpenAI API lists it; or as Anthropic's does, page by page, for a
//! caller who names a version of that API, as its clients always do.

use super::State;
use super::errors::Problem;
use super::explain::parameter;
use super::table::{Endpoint, Row};
use super::told::{Asked, Told};
use crate::domain::words::Dialect;
use crate::server::Headers;
use serde::Serialize;

/// Models on one of Anthropic's pages: at most, and when nothing is said (docs.anthropic.com, "List Models").
const PAGE_MODELS_MAX: usize = 1000;
const PAGE_MODELS: usize = 20;
/// The vendor's own word for a date that is not known.
const NO_DATE: &str = "1970-01-01T00:00:00Z";

#[derive(Serialize)]
struct Model<'a> {
    id: &'a str,
    object: &'static str,
    created: u64,
    owned_by: &'a str,
}

#[derive(Serialize)]
struct List<'a> {
    object: &'static str,
    data: Vec<Model<'a>>,
    /// Codex wants a catalogue of its own kind and takes an empty one; without it it does not read the answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    models: Option<[(); 0]>,
}

/// One model as Anthropic tells of it.
#[derive(Serialize)]
struct Listed<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    id: &'a str,
    display_name: &'a str,
    created_at: &'static str,
}

/// One of Anthropic's pages.
#[derive(Serialize)]
struct Page<'a> {
    data: Vec<Listed<'a>>,
    has_more: bool,
    first_id: Option<&'a str>,
    last_id: Option<&'a str>,
}

/// What is spoken to this caller at this row.
pub(super) fn spoken(row: &Row, headers: &Headers) -> Dialect {
    let lists = matches!(row.endpoint, Endpoint::Models | Endpoint::Model);
    if lists && headers.get("anthropic-version").is_some() { Dialect::Anthropic } else { row.dialect }
}

/// The list; a key sees the models it may use.
pub(super) fn list(state: &State, asked: &Asked<'_>) -> Told {
    let query = asked.query.unwrap_or_default();
    let dialect = spoken(asked.row, asked.headers);
    let models = state.gateway.models();
    let usable = models.iter().filter(|(id, _)| asked.key.is_none_or(|key| key.may_use(id)));
    let usable: Vec<(&str, &str)> = usable.map(|(id, owner)| (id.as_str(), owner.as_str())).collect();
    let limit = match parameter(query, "limit").map(|limit| limit.parse::<usize>()) {
        None => PAGE_MODELS,
        Some(Ok(limit)) if (1..=PAGE_MODELS_MAX).contains(&limit) => limit,
        Some(_) => return wrong("limit", "limit must be a whole number from 1 to 1000", dialect),
    };
    if dialect != Dialect::Anthropic {
        let models = parameter(query, "client_version").map(|_| []);
        let data = usable.iter().map(|(id, owner)| model(id, owner)).collect();
        return Told::json(super::to_json(&List { object: "list", data, models }));
    }
    let ids: Vec<&str> = usable.iter().map(|(id, _)| *id).collect();
    match page(&ids, limit, (parameter(query, "before_id"), parameter(query, "after_id"))) {
        Ok((ids, has_more)) => Told::json(super::to_json(&Page {
            first_id: ids.first().copied(),
            last_id: ids.last().copied(),
            data: ids.iter().map(|id| told(id)).collect(),
            has_more,
        })),
        Err(param) => wrong(param, "there is no such model to begin or end a page at", dialect),
    }
}

/// The page before or after a model, and whether more lie beyond it; which parameter is wrong.
fn page<'a, 'b>(
    ids: &'b [&'a str],
    limit: usize,
    (before, after): (Option<String>, Option<String>),
) -> Result<(&'b [&'a str], bool), &'static str> {
    let place = |id: &str, param| ids.iter().position(|other| *other == id).ok_or(param);
    let (whole, from_the_end) = match (before, after) {
        (None, None) => (ids, false),
        (None, Some(after)) => (&ids[place(&after, "after_id")? + 1..], false),
        (Some(before), None) => (&ids[..place(&before, "before_id")?], true),
        (Some(_), Some(_)) => return Err("before_id"),
    };
    let beyond = whole.len().saturating_sub(limit);
    let page = if from_the_end { &whole[beyond..] } else { &whole[..whole.len() - beyond] };
    Ok((page, beyond > 0))
}

fn wrong(param: &str, words: &str, dialect: Dialect) -> Told {
    let problem = Problem { param: Some(param.to_owned()), ..Problem::new(400, format!("{param}: {words}")) };
    Told::problem(problem.code("invalid_request"), dialect)
}

/// One of them.
pub(super) fn one(state: &State, asked: &Asked<'_>) -> Told {
    let dialect = spoken(asked.row, asked.headers);
    let models = state.gateway.models();
    let found = models.iter().find(|(id, _)| id == asked.argument);
    match found.filter(|(id, _)| asked.key.is_none_or(|key| key.may_use(id))) {
        Some((id, _)) if dialect == Dialect::Anthropic => Told::json(super::to_json(&told(id))),
        Some((id, owner)) => Told::json(super::to_json(&model(id, owner))),
        None => {
            let problem = Problem::new(404, "this model does not exist or may not be used with this key");
            Told::problem(problem.code("model_not_found"), dialect)
        }
    }
}

fn model<'a>(id: &'a str, owner: &'a str) -> Model<'a> {
    Model { id, object: "model", created: 0, owned_by: owner }
}

fn told(id: &str) -> Listed<'_> {
    Listed { kind: "model", id, display_name: id, created_at: NO_DATE }
}

#[cfg(test)]
mod tests {
    use super::page;

    #[test]
    fn pages_meet_without_a_gap_in_either_direction_and_say_when_there_is_more() {
        let ids = ["a", "b", "c", "d", "e"];
        let id = |id: &str| Some(id.to_owned());
        type Row<'a> = (usize, Option<String>, Option<String>, &'a [&'a str], bool);
        let rows: [Row<'_>; 7] = [
            (2, None, None, &["a", "b"], true),
            (2, None, id("b"), &["c", "d"], true),
            (2, None, id("d"), &["e"], false),
            (2, None, id("e"), &[], false),
            (2, id("e"), None, &["c", "d"], true),
            (2, id("c"), None, &["a", "b"], false),
            (5, None, None, &ids, false),
        ];
        for (limit, before, after, wanted, more) in rows {
            assert_eq!(
                page(&ids, limit, (before.clone(), after.clone())),
                Ok((wanted, more)),
                "{before:?} {after:?}"
            );
        }
        assert_eq!(page(&ids, 2, (id("x"), None)), Err("before_id"));
        assert_eq!(page(&ids, 2, (None, id("x"))), Err("after_id"));
        assert_eq!(page(&ids, 2, (id("a"), id("b"))), Err("before_id"));
    }
}
