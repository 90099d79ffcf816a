//! `/v1/models`: what this caller may ask for, as the OpenAI API lists it.

use super::State;
use super::errors::Problem;
use super::told::{Asked, Told};
use crate::domain::words::Dialect;
use serde::Serialize;

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
}

/// The list; a key sees the models it may use.
pub(super) fn list(state: &State, asked: &Asked<'_>) -> Told {
    let models = state.gateway.models();
    let data = models
        .iter()
        .filter(|(id, _)| asked.key.is_none_or(|key| key.may_use(id)))
        .map(|(id, owner)| model(id, owner))
        .collect();
    Told::json(super::to_json(&List { object: "list", data }))
}

/// One of them.
pub(super) fn one(state: &State, asked: &Asked<'_>) -> Told {
    let models = state.gateway.models();
    let found = models.iter().find(|(id, _)| id == asked.argument);
    match found.filter(|(id, _)| asked.key.is_none_or(|key| key.may_use(id))) {
        Some((id, owner)) => Told::json(super::to_json(&model(id, owner))),
        None => {
            let problem = Problem::new(404, "this model does not exist or may not be used with this key");
            Told::problem(problem.code("model_not_found"), Dialect::OpenAiChat)
        }
    }
}

fn model<'a>(id: &'a str, owner: &'a str) -> Model<'a> {
    Model { id, object: "model", created: 0, owned_by: owner }
}
