//! Anthropic to Anthropic: the caller's bytes go through, and only the model is replaced. Thoughts that this vendor did
//! not sign are left out: it would refuse them.

use super::capabilities;
use super::messages::CONTINUE;
use crate::dialect::{Body, Invalid, Outgoing, json, raw, signed_by_others, signed_elsewhere};
use crate::domain::failure::Failure;
use crate::domain::quirks::Quirks;
use crate::domain::words::{Gist, Words};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::ops::Range;

#[derive(Serialize)]
struct Turn<'a> {
    role: &'static str,
    content: &'a str,
}

/// The caller's own request for `model`; text already delivered is put at the end of the conversation, to be
/// continued.
///
/// # Errors
/// `BadRequest` when the body is not text, which the door has excluded.
pub fn pass(
    words: &Words,
    _gist: &Gist,
    (model, quirks): (&str, &Quirks),
    so_far: Option<&str>,
) -> Result<Outgoing, Failure> {
    let body = words.body.as_slice();
    let mut edits = vec![raw::model_edit(body, words.marks.model.as_ref(), model)];
    if signed_elsewhere(words) {
        let text = raw::text_of(body).map_err(raw::failure_of)?;
        leave_out_foreign_thoughts(text, &mut edits).map_err(raw::failure_of)?;
    }
    if let (Some(so_far), Some(messages)) = (so_far, &words.marks.messages) {
        let text = raw::text_of(body).map_err(raw::failure_of)?;
        let turns = turns(so_far, capabilities::of(model).told(quirks).prefill && !thinks(text));
        let end = messages.end - 1;
        edits.push((end..end, turns));
    }
    Ok(Outgoing {
        path: super::PATH.into(),
        body: Body::spliced(&words.body, edits),
        dropped: Vec::new(),
        unwrap_tool: None,
    })
}

/// What stands where a message has nothing left.
const NOTHING_SAID: &str = r#"[{"type":"text","text":"..."}]"#;

/// The edits that leave out thoughts signed by another vendor, or by nobody.
fn leave_out_foreign_thoughts(text: &str, edits: &mut Vec<(Range<usize>, Vec<u8>)>) -> Result<(), Invalid> {
    let mut content = |value: &RawValue| {
        let mut kept = Vec::new();
        let mut gone = false;
        raw::items(value.get(), |_, block| {
            if is_foreign(block) {
                gone = true;
            } else {
                kept.push(block.get());
            }
            Ok(())
        })?;
        if gone {
            let left =
                if kept.is_empty() { NOTHING_SAID.to_owned() } else { format!("[{}]", kept.join(",")) };
            edits.push((raw::range(text, value), left.into_bytes()));
        }
        Ok(())
    };
    raw::fields(text, |key, messages| match key {
        "messages" => raw::items(messages.get(), |_, message| {
            raw::fields(message.get(), |key, value| match key {
                "content" if !raw::is_string(value) => content(value),
                _ => Ok(()),
            })
        }),
        _ => Ok(()),
    })
}

fn is_foreign(block: &RawValue) -> bool {
    #[derive(Deserialize)]
    struct Thought<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: Cow<'a, str>,
        #[serde(borrow, default)]
        signature: Cow<'a, str>,
    }
    serde_json::from_str::<Thought<'_>>(block.get()).is_ok_and(|thought| {
        thought.kind == "thinking" && (thought.signature.is_empty() || signed_by_others(&thought.signature))
    })
}

/// The turns to be added, each with its comma: the assistant's beginning, and where it is not accepted as such
/// the wish that it be continued.
fn turns(so_far: &str, prefill: bool) -> Vec<u8> {
    let mut out = Vec::new();
    let content = if prefill { so_far.trim_end() } else { so_far };
    if content.trim().is_empty() {
        return out;
    }
    out.push(b',');
    raw::write(&mut out, &Turn { role: "assistant", content });
    if !prefill {
        out.push(b',');
        raw::write(&mut out, &Turn { role: "user", content: CONTINUE });
    }
    out
}

/// A request whose beginning was refused, with the wish that it be continued in its place; `None` when it does not
/// end with a beginning.
pub(in crate::dialect) fn without_prefill(body: &[u8]) -> Option<Vec<u8>> {
    #[derive(Deserialize)]
    struct Said<'a> {
        #[serde(borrow)]
        role: Cow<'a, str>,
    }
    let text = std::str::from_utf8(body).ok()?;
    let mut end = None;
    raw::fields(text, |key, value| {
        if key == "messages" {
            let mut last = None;
            raw::items(value.get(), |_, item| {
                last = serde_json::from_str::<Said<'_>>(item.get()).ok();
                Ok(())
            })?;
            let begun = last.is_some_and(|said| said.role == "assistant");
            end = begun.then(|| raw::range(text, value).end - 1);
        }
        Ok(())
    })
    .ok()?;
    let end = end?;
    let mut turn = vec![b','];
    raw::write(&mut turn, &Turn { role: "user", content: CONTINUE });
    Some(json::replace(body, &mut [(end..end, turn)]))
}

/// Whether the caller asks for thinking or forces a tool: a beginning is refused then.
fn thinks(body: &str) -> bool {
    #[derive(Deserialize)]
    struct Head<'a> {
        #[serde(borrow)]
        thinking: Option<&'a RawValue>,
        #[serde(borrow)]
        tool_choice: Option<&'a RawValue>,
    }
    #[derive(Deserialize)]
    struct Typed<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: Cow<'a, str>,
    }
    let kind = |value: Option<&RawValue>| {
        let typed = value.and_then(|value| serde_json::from_str::<Typed<'_>>(value.get()).ok());
        typed.map(|typed| typed.kind.into_owned()).unwrap_or_default()
    };
    serde_json::from_str::<Head<'_>>(body).is_ok_and(|head| {
        matches!(kind(head.thinking).as_str(), "enabled" | "adaptive")
            || matches!(kind(head.tool_choice).as_str(), "any" | "tool")
    })
}
