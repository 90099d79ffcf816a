//! `/api/generate`: one prompt instead of a conversation. To an Ollama it goes as it is, to others as a conversation.

use super::decode::{format, media_type, option, think};
use super::open::options;
use crate::dialect::{Body, Invalid, Outgoing, raw};
use crate::domain::chat::{Chat, Image, Message, Part, Role};
use crate::domain::words::{Dialect, Gist, Marks, Words};
use serde_json::value::RawValue;
use std::ops::Range;
use std::sync::Arc;

/// Opens a caller's body. Without `stream` the answer is a stream. A prompt is required: loading and unloading
/// models is not a caller's business here.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn open_generate(body: Vec<u8>) -> Result<(Gist, Words), Invalid> {
    let mut gist = Gist { include_usage: true, stream: true, ..Gist::default() };
    let mut marks = Marks::default();
    let (mut stream, mut prompt): (Option<Range<usize>>, Option<Range<usize>>) = (None, None);
    let text = raw::text_of(&body)?;
    raw::fields(text, |key, value| {
        match key {
            "model" => {
                raw::once(&mut marks.model, raw::range(text, value), key)?;
                gist.model = raw::read::<Option<String>>(value, key, "must be a string")?;
            }
            "prompt" => {
                raw::once(&mut prompt, raw::range(text, value), key)?;
                if raw::string(value, key)?.is_empty() {
                    return Err(raw::invalid(key, "must not be empty"));
                }
            }
            "stream" => {
                raw::once(&mut stream, 0..0, key)?;
                gist.stream = raw::is_null(value) || raw::boolean(value, key)?;
            }
            "options" if !raw::is_null(value) => {
                gist.max_tokens = options(value).map_err(raw::inside(key))?;
            }
            _ => {}
        }
        Ok(())
    })?;
    gist.model = gist.model.filter(|model| !model.is_empty());
    if prompt.is_none() {
        return Err(raw::invalid("prompt", "is required"));
    }
    Ok((gist, Words { dialect: Dialect::OllamaGenerate, body: Arc::new(body), marks }))
}

/// Translates the whole request.
///
/// # Errors
/// [`Invalid`] names the field; a suffix and a raw prompt have no equivalent elsewhere.
pub fn decode_generate(words: &Words) -> Result<Chat, Invalid> {
    let mut chat = Chat::default();
    let mut system = String::new();
    let mut parts = Vec::new();
    raw::fields(raw::text_of(&words.body)?, |key, value| {
        match key {
            "model" | "stream" => {}
            _ if raw::is_null(value) => {}
            "prompt" => parts.push(Part::Text { text: raw::string(value, key)?, cache_control: None }),
            "system" => system = raw::string(value, key)?,
            "images" => images(value, &mut parts).map_err(raw::inside(key))?,
            "options" => {
                raw::fields(value.get(), |key, value| option(&mut chat, key, value))
                    .map_err(raw::inside(key))?;
            }
            "format" => chat.format = format(value)?,
            "think" => chat.reasoning = Some(think(value)?),
            "suffix" if value.get() == r#""""# => {}
            "raw" if !raw::boolean(value, key)? => {}
            "suffix" | "raw" => return Err(raw::invalid(key, raw::NO_EQUIVALENT)),
            _ => raw::remember(&mut chat.unknown, key),
        }
        Ok(())
    })?;
    if !system.is_empty() {
        let parts = vec![Part::Text { text: system, cache_control: None }];
        chat.messages.push(Message { role: Role::System, parts });
    }
    chat.messages.push(Message { role: Role::User, parts });
    Ok(chat)
}

fn images(value: &RawValue, parts: &mut Vec<Part>) -> Result<(), Invalid> {
    raw::items(value.get(), |_, item| {
        let base64 = raw::string(item, "")?;
        let media_type = media_type(&base64).to_owned();
        parts.push(Part::Image(Image::Data { media_type, base64 }));
        Ok(())
    })
}

/// The caller's own request for `model`.
#[must_use]
pub fn pass_generate(words: &Words, model: &str) -> Outgoing {
    let edit = raw::model_edit(&words.body, words.marks.model.as_ref(), model);
    let body = Body::spliced(&words.body, vec![edit]);
    Outgoing { path: "/api/generate".into(), body, dropped: Vec::new(), unwrap_tool: None }
}
