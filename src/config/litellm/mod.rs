//! LiteLLM's configuration, written again as one of ours: read here, worded in `write`. Nothing is lost in silence:
//! what has no counterpart is named with its line.
//!
//! Source: <https://docs.litellm.ai/docs/proxy/config_settings>, as of LiteLLM 1.80.

mod read;
mod write;

use super::env::Env;
use super::file::{self, At};
use super::problem::{Problem, Problems};
use crate::domain::digest;

/// A configuration of ours, and what of the other one is not in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// The file's text; the notes stand at its top as comments.
    pub yaml: String,
    /// What was left out or means something else here, with its line.
    pub notes: Vec<String>,
}

/// One deployment: a model at somebody's, under the name callers use.
#[derive(Debug, Clone, PartialEq)]
struct Deployment {
    group: String,
    at: At,
    account: Account,
    /// The model as the provider knows it; `*` and `gpt-*` are patterns.
    model: String,
    order: i128,
    weight: Option<u32>,
    total_timeout: Option<f64>,
    first_token_timeout: Option<f64>,
    retries: Option<i128>,
    max_concurrency: Option<i128>,
}

/// What makes two deployments the same provider of ours.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Account {
    /// Our word for its type.
    kind: &'static str,
    base_url: Option<String>,
    /// Already as our file spells it: `${OPENAI_API_KEY:-}` or a quoted text.
    api_key: Option<String>,
    api_version: Option<String>,
    /// Name and value, the value as our file spells it.
    headers: Vec<(String, String)>,
}

/// Everything that is carried over.
#[derive(Debug, Default)]
struct Carried {
    deployments: Vec<Deployment>,
    /// Another name for a group.
    aliases: Vec<(String, String)>,
    /// Groups asked after a group, in order.
    fallbacks: Vec<(String, Vec<String>)>,
    /// Groups asked after every group.
    default_fallbacks: Vec<String>,
    strategy: Option<&'static str>,
    retries: Option<i128>,
    request_timeout: Option<f64>,
    allowed_fails: Option<i128>,
    cooldown: Option<f64>,
    /// The hash of the key that opened everything.
    master_key: Option<String>,
    notes: Vec<(usize, String)>,
}

/// Reads LiteLLM's configuration from the text of a file called `name`, and writes one of ours.
///
/// # Errors
/// That it is no YAML, that there is no `model_list` in it, or that none of its models can be asked.
pub fn import_litellm(name: &str, text: &str, env: Env<'_>) -> Result<Imported, Problems> {
    let whole = |at: At, message: &str| {
        let (file, path, message) = (name.to_owned(), String::new(), message.to_owned());
        Problems(vec![Problem { file, line: at.line, column: at.column, path, message }])
    };
    let tree = file::read(text).map_err(|(at, message)| whole(at, &message))?;
    let carried = read::carried(&tree, env).map_err(|(at, message)| whole(at, &message))?;
    if carried.deployments.is_empty() {
        let told: String =
            carried.notes.iter().map(|(line, note)| format!("; line {line}: {note}")).collect();
        return Err(whole(tree.at, &format!("none of its models can be asked by Hapax{told}")));
    }
    Ok(write::imported(carried))
}

/// A hash as `auth.keys` holds it.
fn hash(key: &str) -> String {
    format!("sha256:{}", digest::hex(&digest::sha256(key.as_bytes())))
}

#[cfg(test)]
mod tests;
