//! Gemini's vectors: `batchEmbedContents`, one request per text.
//!
//! Source: ai.google.dev/api/embeddings.

use super::encode::named;
use crate::dialect::{Outgoing, judged, raw};
use crate::domain::embedding::Embedding;
use crate::domain::failure::{Failure, Fault};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

#[derive(Serialize)]
struct Batch<'a> {
    requests: Vec<One<'a>>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct One<'a> {
    model: &'a str,
    content: Texts<'a>,
    #[serde(skip_serializing_if = "Option::is_none")]
    output_dimensionality: Option<u64>,
}

#[derive(Serialize)]
struct Texts<'a> {
    parts: [Text<'a>; 1],
}

#[derive(Serialize)]
struct Text<'a> {
    text: &'a str,
}

/// Makes the request for vectors of these texts.
///
/// # Errors
/// `UnknownModel` for a name that is no place.
pub fn ask_vectors(embedding: Embedding, model: &str) -> Result<Outgoing, Failure> {
    let path = named(model)?;
    let name = path.trim_start_matches('/');
    let one = |text| One {
        model: name,
        content: Texts { parts: [Text { text }] },
        output_dimensionality: embedding.dimensions,
    };
    let mut body = Vec::new();
    raw::write(
        &mut body,
        &Batch { requests: embedding.texts.iter().map(|text| one(text.as_str())).collect() },
    );
    let path = format!("{path}:batchEmbedContents").into();
    Ok(Outgoing { path, body: body.into(), dropped: embedding.unknown, unwrap_tool: None })
}

/// The vectors of an answer, as they stand. It tells neither the model nor what was used.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`, `ErrorInBody`.
pub fn read_vectors(body: &[u8]) -> Result<Vec<&RawValue>, Failure> {
    #[derive(Deserialize)]
    struct Reply<'a> {
        #[serde(borrow, default)]
        embeddings: Option<Vec<Values<'a>>>,
        #[serde(borrow, default)]
        error: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Values<'a> {
        #[serde(borrow)]
        values: &'a RawValue,
    }
    let reply: Reply<'_> = serde_json::from_slice(body).map_err(|error| raw::unreadable(body, &error))?;
    if reply.error.is_some() {
        return Err(judged(Fault::ErrorInBody, None, ""));
    }
    let embeddings = reply.embeddings.ok_or_else(raw::garbage)?;
    Ok(embeddings.into_iter().map(|vector| vector.values).collect())
}
