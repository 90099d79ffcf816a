//! `/v1/status/explain`: whom a request would be put to now, in which order, and why each other one is left out.

use super::State;
use super::errors::Problem;
use super::told::Told;
use crate::domain::words::Dialect;
use serde::{Deserialize, Serialize};

/// The answer, for machines; `hapax explain` words it for people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Explanation {
    /// The model asked about; `None`: a request that names none.
    pub model: Option<String>,
    /// The key asked about.
    pub key: Option<String>,
    /// Whether that key may use that model.
    pub allowed: bool,
    /// Every provider, those who would be asked first.
    pub providers: Vec<Candidate>,
}

/// One provider's part in it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The provider.
    pub provider: String,
    /// The model it would be asked for; empty when it is no candidate at all.
    pub model: String,
    /// Why it would be left out or passed over now; `None`: it would be asked.
    pub left_out: Option<String>,
}

/// Decides about a model, and a key if one is named.
///
/// # Errors
/// When no key of that name is configured.
pub fn explain(state: &State, model: Option<&str>, key: Option<&str>) -> Result<Explanation, String> {
    let found = match key {
        None => None,
        Some(name) => Some(
            state
                .keyring
                .keys()
                .iter()
                .find(|key| *key.name == *name)
                .ok_or_else(|| format!("no key named {name:?} is configured"))?,
        ),
    };
    let allowed = found.zip(model).is_none_or(|(key, model)| key.may_use(model));
    let candidate = |line: crate::gateway::status::Explained| Candidate {
        provider: line.provider,
        model: line.model,
        left_out: line.left_out,
    };
    Ok(Explanation {
        model: model.map(str::to_owned),
        key: key.map(str::to_owned),
        allowed,
        providers: state.gateway.explain(model, None).into_iter().map(candidate).collect(),
    })
}

/// `?model=M&key=NAME`, both optional.
pub(super) fn serve(state: &State, query: Option<&str>) -> Told {
    let query = query.unwrap_or_default();
    match explain(state, parameter(query, "model").as_deref(), parameter(query, "key").as_deref()) {
        Ok(explanation) => Told::json(super::to_json(&explanation)),
        Err(words) => Told::problem(Problem::new(404, words).code("key_not_found"), Dialect::Hapax),
    }
}

/// One parameter of a query, decoded (URL standard, section 5.1).
pub(super) fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut decoded = Vec::with_capacity(value.len());
    let mut bytes = value.bytes();
    while let Some(byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let digits = [bytes.next()?, bytes.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            other => other,
        });
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::parameter;

    #[test]
    fn a_parameter_is_decoded_once() {
        let query = "key=billing-bot&model=ollama%2Fllama3.2%3Ax+y%2541";
        assert_eq!(parameter(query, "model").as_deref(), Some("ollama/llama3.2:x y%41"));
        assert_eq!(parameter(query, "key").as_deref(), Some("billing-bot"));
        assert_eq!(parameter("model=%zz", "model"), None);
        assert_eq!(parameter("model=%2", "model"), None);
        assert_eq!(parameter("models=x", "model"), None);
    }
}
