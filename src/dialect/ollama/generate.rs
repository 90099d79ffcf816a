//! `/api/generate`: one prompt instead of a conversation. To an Ollama it goes as it is, to others as a conversation.

use super::decode::{format, media_type, option, think};
use crate::dialect::{Body, Invalid, Outgoing, raw};
use crate::domain::chat::{Chat, Image, Message, Part, Role};
use crate::domain::words::Words;
use serde_json::value::RawValue;

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
