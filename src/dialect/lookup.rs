//! Questions that one vendor alone answers: Anthropic's `/v1/messages/count_tokens` and Ollama's `/api/show`.
//!
//! They are passed to a provider of that vendor as they are; where there is none, the endpoint has an answer of its
//! own, which is worded here too.

use super::door::Door;
use super::{Body, Invalid, Outgoing, anthropic, decode, raw, said};
use crate::domain::chat::{Answer, Chat, Content, Part, Usage};
use crate::domain::failure::{Failure, Fault};
use crate::domain::usage::{self, tokens_of};
use crate::domain::words::{Dialect, Gist, Subject, Words};
use serde::Serialize;
use serde_json::value::RawValue;

/// What every message costs beside its text.
const MESSAGE_TOKENS: u64 = 4;
/// What an image costs: the vendor's own figure for one of about a megapixel.
const IMAGE_TOKENS: u64 = 1600;

/// Opens a caller's body.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open(subject: Subject, body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    if subject == Subject::Tokens {
        return anthropic::open_count(body);
    }
    let door = Door {
        dialect: Dialect::Ollama,
        unless_said: Gist { subject, ..Gist::default() },
        fields: &["model", "name"],
        needs: None,
    };
    let (gist, words) = door.open(body, |gist, key, value| {
        // The older spelling, which the vendor reads where there is no model.
        if key == "name" && gist.model.is_none() {
            gist.model = Some(raw::string(value, key)?).filter(|model| !model.is_empty());
        }
        Ok(())
    })?;
    if gist.model.is_none() {
        return Err(raw::invalid("model", "is required"));
    }
    Ok((gist, words))
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
        input_tokens: u64,
        estimated: bool,
    }
    let chat = decode(words)?;
    let input_tokens = weigh(&chat);
    let mut out = Vec::new();
    raw::write(&mut out, &Count { input_tokens, estimated: true });
    Ok(out)
}

/// About how many tokens a question has: a conversation as [`estimate`] has it, anything else by its length.
#[must_use]
pub fn weigh_question(subject: Subject, words: &Words) -> u64 {
    let chat = if subject == Subject::Chat { decode(words).ok() } else { None };
    chat.map_or_else(|| tokens_of(words.body.len()), |chat| weigh(&chat))
}

/// About how many tokens a whole answer has, whatever dialect it is in.
#[must_use]
pub fn weigh_answer(answer: &Answer) -> Usage {
    let Content::Verbatim { dialect, body } = &answer.content else { return usage::weigh(answer) };
    // As it was told to the caller, whose dialect may be a form of the provider's.
    let dialect = if *dialect == Dialect::OllamaGenerate { Dialect::Ollama } else { *dialect };
    // A body that was checked when it was read can be read again.
    said(dialect, body, None).map_or_else(|_| Usage::default(), |answer| usage::weigh(&answer))
}

fn weigh(chat: &Chat) -> u64 {
    let length = |text: &Option<String>| text.as_ref().map_or(0, String::len);
    let (mut bytes, mut tokens) = (0, chat.messages.len() as u64 * MESSAGE_TOKENS);
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
    tokens + tokens_of(bytes)
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

    #[test]
    fn an_answer_weighs_the_same_in_every_dialect_it_may_have_come_in() {
        let bodies = [
            (
                Dialect::OpenAiChat,
                r#"{"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"twelve bytes"},"finish_reason":"stop"}]}"#,
            ),
            (
                Dialect::Anthropic,
                r#"{"id":"x","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"twelve bytes"}],"stop_reason":"end_turn"}"#,
            ),
            (
                Dialect::Ollama,
                r#"{"model":"m","message":{"role":"assistant","content":"twelve bytes"},"done":true}"#,
            ),
            (Dialect::OllamaGenerate, r#"{"model":"m","response":"twelve bytes","done":true}"#),
        ];
        for (dialect, body) in bodies {
            let content = Content::Verbatim { dialect, body: body.as_bytes().to_vec() };
            let answer = Answer { model: "m".to_owned(), usage: None, content };
            assert_eq!(weigh_answer(&answer), Usage { output: 3, ..Usage::default() }, "{dialect:?}");
        }
    }

    #[test]
    fn a_question_weighs_what_its_text_does_and_not_what_json_or_an_image_does() {
        let weight = |content: &str| {
            let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{content}}}]}}"#);
            let (gist, words) = crate::dialect::open(Dialect::OpenAiChat, body.into_bytes()).expect("valid");
            weigh_question(gist.subject, &words)
        };
        assert_eq!(weight(r#""twelve bytes""#), 4 + 3);
        let image = format!(
            r#"[{{"type":"image_url","image_url":{{"url":"data:image/png;base64,{}"}}}}]"#,
            "AAAA".repeat(5_000)
        );
        assert_eq!(weight(&image), 4 + 1600);
    }
}
