//! What Ollama's clients ask beside their questions: which models there are, which version, what a model is.

use super::errors::Problem;
use super::told::{Asked, Told};
use super::{Api, State};
use crate::dialect;
use crate::domain::digest;
use crate::domain::words::Dialect;
use serde::Serialize;

/// The version of Ollama whose API is spoken here: clients refuse to work with one that is too old.
const VERSION: &str = "0.12.0";

#[derive(Serialize)]
struct Models<'a> {
    models: Vec<Model<'a>>,
}

#[derive(Serialize)]
struct Model<'a> {
    name: &'a str,
    model: &'a str,
    modified_at: &'a str,
    size: u64,
    digest: String,
    details: Details<'a>,
}

#[derive(Serialize)]
struct Details<'a> {
    parent_model: &'static str,
    format: &'static str,
    family: &'a str,
    families: [&'a str; 1],
    parameter_size: &'static str,
    quantization_level: &'static str,
}

#[derive(Serialize)]
struct Description<'a> {
    modelfile: &'static str,
    parameters: &'static str,
    template: &'static str,
    details: Details<'a>,
    model_info: Facts<'a>,
    capabilities: [&'static str; 3],
}

#[derive(Serialize)]
struct Facts<'a> {
    #[serde(rename = "general.architecture")]
    architecture: &'a str,
    #[serde(rename = "general.basename")]
    name: &'a str,
}

#[derive(Serialize)]
struct Version {
    version: &'static str,
}

/// `GET /api/tags`: what this caller may ask for. Sizes are not known and 0.
pub(super) fn tags(api: &Api, state: &State, asked: &Asked<'_>) -> Told {
    let now = dialect::ollama::rfc3339(api.seconds_since_1970());
    let known = state.gateway.models();
    let models = known
        .iter()
        .filter(|(id, _)| asked.key.is_none_or(|key| key.may_use(id)))
        .map(|(id, owner)| Model {
            name: id,
            model: id,
            modified_at: &now,
            size: 0,
            digest: digest::hex(&digest::sha256(id.as_bytes())),
            details: details(owner),
        })
        .collect();
    Told::json(super::to_json(&Models { models }))
}

/// `GET /api/ps`: nothing is loaded here; what is loaded elsewhere is the provider's business.
pub(super) fn loaded() -> Told {
    Told::json(super::to_json(&Models { models: Vec::new() }))
}

/// `GET /api/version`.
pub(super) fn version() -> Told {
    Told::json(super::to_json(&Version { version: VERSION }))
}

/// `POST /api/show` for a model that no Ollama has: what is known here.
pub(super) fn show(state: &State, asked: &Asked<'_>, name: &str) -> Told {
    let known = state.gateway.models();
    let found = known.iter().find(|(id, _)| id == name);
    match found.filter(|(id, _)| asked.key.is_none_or(|key| key.may_use(id))) {
        Some((id, owner)) => Told::json(super::to_json(&Description {
            modelfile: "",
            parameters: "",
            template: "",
            details: details(owner),
            model_info: Facts { architecture: owner, name: id },
            capabilities: ["completion", "tools", "vision"],
        })),
        None => Told::problem(
            Problem::new(404, "this model does not exist or may not be used with this key")
                .code("model_not_found"),
            Dialect::Ollama,
        ),
    }
}

/// The provider stands for the family; the rest is not known.
fn details(owner: &str) -> Details<'_> {
    Details {
        parent_model: "",
        format: "",
        family: owner,
        families: [owner],
        parameter_size: "",
        quantization_level: "",
    }
}
