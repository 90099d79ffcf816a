//! The same dialect: the caller's own bytes, with `model` replaced.

use super::{OUR_ITEM, OURS, PATH};
use crate::dialect::{Body, Outgoing, anthropic::CONTINUE, json, raw};
use crate::domain::failure::Failure;
use crate::domain::words::Words;
use serde::Deserialize;
use serde_json::value::RawValue;

/// The caller's bytes. Reasoning items that we made of other vendors' thoughts in earlier turns are left out, for the
/// vendor would look for them and not find them.
///
/// # Errors
/// None today; other vendors have some.
pub fn pass(words: &Words, model: &str, so_far: Option<&str>) -> Result<Outgoing, Failure> {
    let body = &words.body;
    let mut edits = Vec::with_capacity(2);
    let mut value = Vec::with_capacity(model.len() + 12);
    match &words.marks.model {
        Some(at) => {
            json::push(&mut value, model);
            edits.push((at.clone(), value));
        }
        None => {
            // Behind the opening brace: the body is an object with at least `input` in it.
            let begin = body.iter().position(|&b| b == b'{').map_or(0, |at| at + 1);
            value.extend_from_slice(b"\"model\":");
            json::push(&mut value, model);
            value.push(b',');
            edits.push((begin..begin, value));
        }
    }
    let text = std::str::from_utf8(body).unwrap_or_default();
    if let Some(input) = &words.marks.messages
        && let Some(said) = text.get(input.clone())
        && let Some(new) = rewritten(said, so_far)
    {
        edits.push((input.clone(), new));
    }
    let body = Body::spliced(body, edits);
    Ok(Outgoing { path: PATH.into(), body, dropped: Vec::new(), unwrap_tool: None })
}

/// The input as it has to be; `None` when it can stay as it is.
fn rewritten(input: &str, so_far: Option<&str>) -> Option<Vec<u8>> {
    let ours = input.contains(OUR_ITEM) || input.contains(OURS);
    if !ours && so_far.is_none() {
        return None;
    }
    let mut out = Vec::with_capacity(input.len() + 256);
    out.push(b'[');
    if input.starts_with('"') {
        out.extend_from_slice(b"{\"role\":\"user\",\"content\":");
        out.extend_from_slice(input.as_bytes());
        out.push(b'}');
    } else {
        let items: Vec<&RawValue> = serde_json::from_str(input).ok()?;
        for item in items.into_iter().filter(|item| !(ours && is_ours(item))) {
            comma(&mut out);
            out.extend_from_slice(item.get().as_bytes());
        }
    }
    if let Some(so_far) = so_far {
        comma(&mut out);
        out.extend_from_slice(b"{\"role\":\"assistant\",\"content\":");
        json::push(&mut out, so_far);
        out.extend_from_slice(b"},{\"role\":\"user\",\"content\":");
        json::push(&mut out, CONTINUE);
        out.push(b'}');
    }
    out.push(b']');
    Some(out)
}

fn comma(out: &mut Vec<u8>) {
    if !out.ends_with(b"[") {
        out.push(b',');
    }
}

/// Whether an item is a thought that we put in this vendor's words: by its id, or, where a client left that out, by
/// what only we can read.
fn is_ours(item: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Thought {
        #[serde(rename = "type", default)]
        kind: Option<String>,
        #[serde(default)]
        id: Option<String>,
        #[serde(default)]
        encrypted_content: Option<String>,
    }
    let Ok(thought) = raw::read::<Thought>(item, "", "") else { return false };
    let begins = |field: &Option<String>, with| field.as_deref().is_some_and(|it| it.starts_with(with));
    thought.kind.as_deref() == Some("reasoning")
        && (begins(&thought.id, OUR_ITEM) || begins(&thought.encrypted_content, OURS))
}
