//! A provider's complete response: checked when it is passed on, read when it is translated.

use super::wire::{self, Body, Item};
use crate::domain::chat::{Answer, Choice, Content, Finish, Part, ToolCall, Usage};
use crate::domain::failure::{Failure, Fault};

/// Checks that a body is a proper, complete answer, and reads who gave it and what it cost.
///
/// # Errors
/// `Garbage`, `Truncated`, `Empty`, or what the error in it means.
pub fn facts(body: &[u8]) -> Result<(String, Option<Usage>), Failure> {
    let (body, ..) = parse(body)?;
    Ok((body.model(), body.usage.as_ref().map(wire::Tokens::usage)))
}

/// Reads an answer. What the vendor did itself — searches, pictures — has no place in it.
///
/// # Errors
/// As [`facts`].
pub fn read_answer(body: &[u8]) -> Result<Answer, Failure> {
    let (body, items, finish) = parse(body)?;
    let mut parts = Vec::new();
    let mut finish = finish;
    for item in &items {
        finish = collect(item, &mut parts)?.unwrap_or(finish);
    }
    if parts.is_empty() && finish == Finish::Stop {
        return Err(empty());
    }
    Ok(Answer {
        model: body.model(),
        usage: body.usage.as_ref().map(wire::Tokens::usage),
        content: Content::Said {
            id: body.id.as_ref().map(|id| id.0.clone().into_owned()),
            choices: vec![Choice { parts, finish }],
        },
    })
}

fn parse(body: &[u8]) -> Result<(Body<'_>, Vec<Item<'_>>, Finish), Failure> {
    let parsed: Body<'_> = match serde_json::from_slice(body) {
        Ok(parsed) => parsed,
        Err(_) if body.trim_ascii().is_empty() => {
            return Err(Failure::new(Fault::Empty, "the provider sent an empty answer"));
        }
        Err(error) if error.is_eof() => {
            return Err(Failure::new(Fault::Truncated, "the provider's answer was cut short"));
        }
        Err(_) => return Err(wire::garbage()),
    };
    let items = wire::items(parsed.output)?;
    let finish = parsed.finish(items.iter().any(Item::is_call))?;
    let is_response = parsed.output.is_some() && parsed.object.as_ref().is_none_or(|it| it.0 == "response");
    if !is_response {
        return Err(wire::garbage());
    }
    // A bound or a filter that leaves nothing is an answer; asking again would not change it.
    let cut = matches!(finish, Finish::Length | Finish::ContentFilter);
    let says = |item: &Item<'_>| item.is_call() || item.is_foreign() || !item.texts().is_empty();
    if cut || items.iter().any(|item| item.kind.0 != "reasoning" && says(item)) {
        return Ok((parsed, items, finish));
    }
    Err(empty())
}

fn empty() -> Failure {
    Failure::new(Fault::Empty, "the provider's answer has no content")
}

/// Collects what an item says; how the answer ended, where the item knows better.
fn collect(item: &Item<'_>, parts: &mut Vec<Part>) -> Result<Option<Finish>, Failure> {
    match &*item.kind.0 {
        "message" => {
            let mut refused = false;
            for (text, refusal) in item.texts() {
                refused |= refusal;
                parts.push(Part::Text { text, cache_control: None });
            }
            return Ok(refused.then_some(Finish::ContentFilter));
        }
        "reasoning" => {
            let (text, signature) = (item.thoughts(), item.signature());
            if !text.is_empty() || signature.is_some() {
                parts.push(Part::Reasoning { text, signature });
            }
        }
        "function_call" => {
            let Some(name) = &item.name else { return Ok(None) };
            let arguments = item.arguments.as_ref().map_or("", |arguments| &arguments.0);
            let arguments = wire::object(arguments).ok_or_else(|| {
                Failure::new(Fault::Garbage, "the model's tool arguments are not a JSON object")
            })?;
            let id = item.call_id.as_ref().or(item.id.as_ref());
            let id = id.map_or_else(|| format!("call_{}", parts.len()), |id| id.0.clone().into_owned());
            parts.push(Part::ToolCall(ToolCall { id, name: name.0.clone().into_owned(), arguments }));
        }
        _ => {}
    }
    Ok(None)
}
