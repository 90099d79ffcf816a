//! Ollama to Ollama: the caller's bytes go through, and only the model is replaced.

use crate::dialect::{Body, Outgoing, raw};
use crate::domain::failure::Failure;
use crate::domain::words::{Gist, Words};
use serde::Serialize;

/// The caller's own request for `model`; text already delivered is put at the end of the conversation as the
/// assistant's beginning, which this vendor's templates continue.
///
/// # Errors
/// None: what could be wrong has been refused at the door.
pub fn pass(words: &Words, _gist: &Gist, model: &str, so_far: Option<&str>) -> Result<Outgoing, Failure> {
    #[derive(Serialize)]
    struct Turn<'a> {
        role: &'static str,
        content: &'a str,
    }
    let body = words.body.as_slice();
    let mut edits = vec![raw::model_edit(body, words.marks.model.as_ref(), model)];
    let so_far = so_far.filter(|so_far| !so_far.is_empty());
    if let (Some(content), Some(messages)) = (so_far, &words.marks.messages) {
        let mut turn = vec![b','];
        raw::write(&mut turn, &Turn { role: "assistant", content });
        let end = messages.end - 1;
        edits.push((end..end, turn));
    }
    Ok(Outgoing {
        path: super::PATH.into(),
        body: Body::spliced(&words.body, edits),
        dropped: Vec::new(),
        unwrap_tool: None,
    })
}
