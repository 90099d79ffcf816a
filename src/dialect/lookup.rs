//! Questions that one vendor alone answers: Anthropic's `/v1/messages/count_tokens` and Ollama's `/api/show`.
//!
//! They are passed to a provider of that vendor as they are; where there is none, the endpoint has an answer of its
//! own, which is worded here too.

use super::{Body, Invalid, Outgoing, anthropic, decode, raw};
use crate::domain::chat::{Answer, Chat, Content, Part};
use crate::domain::failure::{Failure, Fault};
use crate::domain::words::{Dialect, Gist, Marks, Subject, Words};
use serde::Serialize;
use serde_json::value::RawValue;
use std::sync::Arc;

/// What one token is worth in bytes of text, roughly; for code and other scripts it is less.
const TOKEN_BYTES: usize = 4;
/// What every message costs beside its text.
const MESSAGE_TOKENS: usize = 4;
/// What an image costs: the vendor's own figure for one of about a megapixel.
const IMAGE_TOKENS: usize = 1600;

/// Opens a caller's body.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open(subject: Subject, body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    if subject == Subject::Tokens {
        return anthropic::open_count(body);
    }
    let mut gist = Gist { subject, ..Gist::default() };
    let mut marks = Marks::default();
    let text = raw::text_of(&body)?;
    raw::fields(text, |key, value| {
        if key == "model" || key == "name" && gist.model.is_none() {
            gist.model = Some(raw::string(value, key)?).filter(|model| !model.is_empty());
        }
        if key == "model" {
            raw::once(&mut marks.model, raw::range(text, value), key)?;
        }
        Ok(())
    })?;
    if gist.model.is_none() {
        return Err(raw::invalid("model", "is required"));
    }
    Ok((gist, Words { dialect: Dialect::Ollama, body: Arc::new(body), marks }))
}

/// Makes the provider's request: the caller's bytes with the model replaced.
///
/// # Errors
/// `Untranslatable` for every other vendor.
pub fn ask(target: Dialect, (gist, words): (&Gist, &Words), model: &str) -> Result<Outgoing, Failure> {
    let path = match (target, gist.subject) {
        (Dialect::Anthropic, Subject::Tokens) => "/messages/count_tokens",
        (Dialect::Ollama, Subject::Description) => "/api/show",
        _ => return Err(Failure::new(Fault::Untranslatable, "the provider does not answer this question")),
    };
    let edit = raw::model_edit(&words.body, words.marks.model.as_ref(), model);
    let body = Body::spliced(&words.body, vec![edit]);
    Ok(Outgoing { path: path.into(), body, dropped: Vec::new(), unwrap_tool: None })
}

/// Passes a provider's answer on, if it is a JSON object.
///
/// # Errors
/// `Garbage`, `Empty`, `Truncated`.
pub fn read_answer(target: Dialect, body: Vec<u8>) -> Result<Answer, Failure> {
    let value: &RawValue = serde_json::from_slice(&body).map_err(|error| raw::unreadable(&body, &error))?;
    if !raw::is_object(value) {
        return Err(raw::garbage());
    }
    let content = Content::Verbatim { dialect: target, body };
    Ok(Answer { model: String::new(), usage: None, content })
}

/// About how many tokens a conversation has, for callers whose model nobody can be asked to count for.
///
/// # Errors
/// `BadRequest` when the words cannot be understood.
pub fn estimate(words: &Words) -> Result<Vec<u8>, Failure> {
    #[derive(Serialize)]
    struct Count {
        input_tokens: usize,
        estimated: bool,
    }
    let chat = decode(words)?;
    let input_tokens = weigh(&chat);
    let mut out = Vec::new();
    raw::write(&mut out, &Count { input_tokens, estimated: true });
    Ok(out)
}

fn weigh(chat: &Chat) -> usize {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let (mut bytes, mut tokens) = (0, chat.messages.len() * MESSAGE_TOKENS);
    for part in chat.messages.iter().flat_map(|message| &message.parts) {
        match part {
            Part::Text { text, .. } | Part::Reasoning { text, .. } => bytes += text.len(),
            Part::ToolCall(call) => bytes += call.name.len() + call.arguments.len(),
            Part::ToolResult { content, .. } => bytes += content.len(),
            Part::Image(_) => tokens += IMAGE_TOKENS,
        }
    }
    for tool in &chat.tools {
        bytes += tool.name.len() + length(&tool.description) + length(&tool.parameters);
    }
    tokens + bytes.div_ceil(TOKEN_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_goes_to_its_own_vendor_only() {
        let said = open(Subject::Description, br#"{"model":"x","verbose":true}"#.to_vec()).expect("it opens");
        let outgoing = ask(Dialect::Ollama, (&said.0, &said.1), "m").expect("its vendor");
        assert_eq!(
            (&*outgoing.path, &outgoing.body.joined()[..]),
            ("/api/show", &br#"{"model":"m","verbose":true}"#[..])
        );
        for other in [Dialect::OpenAiChat, Dialect::Anthropic] {
            let failure = ask(other, (&said.0, &said.1), "m").expect_err("another vendor");
            assert_eq!(failure.fault, Fault::Untranslatable);
        }
        let old = open(Subject::Description, br#"{"name":"x"}"#.to_vec()).expect("the older spelling");
        assert_eq!(old.0.model.as_deref(), Some("x"));
        assert!(open(Subject::Description, b"{}".to_vec()).is_err());
    }

    #[test]
    fn an_estimate_counts_everything_and_says_what_it_is() {
        let body = r#"{"model":"m","system":"12345678","messages":[{"role":"user","content":"1234"}],"tools":[{"name":"abcd","input_schema":{}}]}"#;
        let (gist, words) = open(Subject::Tokens, body.as_bytes().to_vec()).expect("no max_tokens is needed");
        assert_eq!(gist.subject, Subject::Tokens);
        let counted = String::from_utf8(estimate(&words).expect("it is understood")).expect("JSON is UTF-8");
        assert_eq!(counted, r#"{"input_tokens":13,"estimated":true}"#);
    }

    #[test]
    fn a_reply_that_is_no_object_is_garbage() {
        assert_eq!(read_answer(Dialect::Ollama, b"[]".to_vec()).expect_err("a list").fault, Fault::Garbage);
        assert_eq!(read_answer(Dialect::Ollama, b" ".to_vec()).expect_err("nothing").fault, Fault::Empty);
        assert!(read_answer(Dialect::Ollama, br#"{"a":[1]}"#.to_vec()).is_ok());
    }
}
