//! Makes a request fit what its provider accepts, on its bytes: members left out or renamed, ids shortened.
//!
//! Only the outermost object is put together anew, and only when something has to go; every value stays as it stands.

use super::anthropic;
use super::{Body, Outgoing, json, raw};
use crate::domain::failure::{Failure, Fault};
use crate::domain::quirks::{OutputBound, Quirks};
use crate::domain::words::Dialect;
use std::ops::Range;

/// The ids of tool calls that Mistral accepts are exactly this long.
const CALL_ID_LETTERS: usize = 9;

/// What may be left out of a request that was refused for it, with what goes with it. The first is what is looked for
/// in the provider's words.
const MAY_GO: &[&[&str]] = &[
    &["temperature", "top_p", "top_k"],
    &["top_p", "temperature", "top_k"],
    &["top_k"],
    &["thinking", "output_config.effort"],
    &["output_config", "output_config.effort", "thinking"],
    &["effort", "output_config.effort"],
    &["think"],
    &["stop"],
    &["seed"],
    &["presence_penalty", "frequency_penalty"],
    &["frequency_penalty", "presence_penalty"],
    &["logit_bias"],
    &["logprobs", "top_logprobs"],
    &["top_logprobs", "logprobs"],
    &["stream_options"],
    &["parallel_tool_calls"],
    &["reasoning_effort"],
    &["reasoning.summary"],
    &["reasoning"],
    &["include"],
    &["user"],
    &["metadata"],
    &["store"],
    &["service_tier"],
    &["verbosity"],
    &["prediction"],
    &["safety_identifier"],
    &["prompt_cache_key"],
    &["prompt_cache_retention"],
    &["presencePenalty", "generationConfig.presencePenalty", "generationConfig.frequencyPenalty"],
    &["penalty", "generationConfig.presencePenalty", "generationConfig.frequencyPenalty"],
    &["thinkingConfig", "generationConfig.thinkingConfig"],
    &["thinking_config", "generationConfig.thinkingConfig"],
];

/// Ways to say that a parameter is not taken at all, as opposed to a wrong value of it, which is the caller's own.
const REFUSALS: [&str; 14] = [
    "not supported",
    "unsupported",
    "does not support",
    "doesn't support",
    "not permitted",
    "extra_forbidden",
    "deprecated",
    "unrecognized",
    "unknown parameter",
    "unknown name",
    "not enabled",
    "not available",
    "cannot both be",
    "not allowed",
];

/// Ways to say that a refusal depends on a value or on the rest of the request: another request need not meet it.
const ON_CONDITION: [&str; 6] =
    ["unsupported value", " when ", " unless ", " while ", "together", "cannot both be"];

/// Ways to say that a conversation must not end with the assistant's words: Anthropic and llama.cpp, Mistral, Gemini's
/// compatible endpoint.
const NO_BEGINNING: [&str; 3] = ["prefill", "expected last role", "end with a user"];

/// How Anthropic says that a turn with tools cannot go on with thinking, as it did not begin with it.
const UNTHOUGHT: &str = "must start with a thinking block";

/// Applies what is known of a provider.
pub(super) fn fit(mut outgoing: Outgoing, quirks: &Quirks) -> Outgoing {
    if let Some(bound) = quirks.output_bound {
        let other = match bound {
            OutputBound::Tokens => OutputBound::CompletionTokens,
            OutputBound::CompletionTokens => OutputBound::Tokens,
        };
        rename(&mut outgoing, other.word(), bound.word());
    }
    if !quirks.refuses.is_empty() {
        let names: Vec<&str> = quirks.refuses.iter().map(String::as_str).collect();
        leave_out(&mut outgoing, &names);
    }
    if quirks.short_call_ids == Some(true) {
        outgoing.body = with_short_ids(&outgoing.body.joined()).into();
    }
    outgoing
}

/// The same request for a model of another name.
#[must_use]
pub fn for_model(outgoing: Outgoing, model: &str) -> Outgoing {
    let mut value = Vec::new();
    json::push(&mut value, model);
    let edit = |name: &str, _: &str| {
        if name == "model" { Edit::Put(value.clone()) } else { Edit::Keep }
    };
    let rebuilt = rebuilt(&outgoing.body.joined(), edit);
    Outgoing { body: rebuilt.map_or(outgoing.body, Body::from), ..outgoing }
}

/// What to send once more after a refusal: the request without the parameter that the provider does not take, or with
/// a wish in place of a beginning. `None` when the refusal is about something else.
#[must_use]
pub fn yielding(target: Dialect, outgoing: &Outgoing, failure: &Failure) -> Option<Outgoing> {
    if !matches!(failure.status, Some(400 | 422)) {
        return None;
    }
    let words = failure.message.to_ascii_lowercase();
    let mut again = outgoing.clone();
    if NO_BEGINNING.iter().any(|refusal| words.contains(refusal)) {
        again.body = anthropic::without_prefill(&outgoing.body.joined())?.into();
        remember(&mut again.dropped, "prefill");
        return Some(again);
    }
    if words.contains(UNTHOUGHT) {
        return leave_out(&mut again, &["thinking"]).then_some(again);
    }
    if failure.fault == Fault::Untranslatable {
        return (words.contains("does not support thinking") && leave_out(&mut again, &["think"]))
            .then_some(again);
    }
    if failure.fault != Fault::BadRequest {
        return None;
    }
    let code = failure.code.as_deref().unwrap_or_default();
    if !code.starts_with("unsupported") && !REFUSALS.iter().any(|refusal| words.contains(refusal)) {
        return None;
    }
    for (from, to) in [("max_tokens", "max_completion_tokens"), ("max_completion_tokens", "max_tokens")] {
        if target == Dialect::OpenAiChat && names(failure, from) {
            return rename(&mut again, from, to).then_some(again);
        }
    }
    if words.contains("cannot both be") {
        return leave_out(&mut again, &["top_p"]).then_some(again);
    }
    let body = outgoing.body.joined();
    let gone = MAY_GO.iter().find(|group| names(failure, group[0]) && contains(&body, group))?;
    let with_name: Vec<&str> = gone.iter().copied().filter(|name| !name.is_empty()).collect();
    leave_out(&mut again, &with_name).then_some(again)
}

/// Whether a refusal holds for whatever else is asked of this model: it is about a parameter's name, not about one value
/// of it, what stands beside it, or the conversation.
#[must_use]
pub fn lasting(failure: &Failure) -> bool {
    let words = failure.message.to_ascii_lowercase();
    let says = |of: &[&str]| of.iter().any(|way| words.contains(way));
    failure.code.as_deref() != Some("unsupported_value")
        && !says(&ON_CONDITION)
        && !says(&NO_BEGINNING)
        && !words.contains(UNTHOUGHT)
}

/// Whether a failure is about this parameter: it says so, or quotes its name.
fn names(failure: &Failure, name: &str) -> bool {
    if let Some(param) = &failure.param {
        return param.rsplit("generation_config.").next().is_some_and(|param| {
            let param = param.strip_prefix("body.").unwrap_or(param);
            param == name || param.split(['.', '[']).next() == Some(name)
        });
    }
    let words = &failure.message;
    words.match_indices(name).any(|(at, _)| {
        let letter = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let before = words[..at].chars().next_back();
        let after = words[at + name.len()..].chars().next();
        let quoted = before.is_some_and(|c| "'\"`".contains(c)) && after.is_some_and(|c| "'\"`.".contains(c));
        // Gemini speaks of "Penalty" and "Thinking" without quoting anything.
        quoted || (at == 0 && !after.is_some_and(letter))
    }) || (name == "penalty" && words.starts_with("Penalty"))
        || (name == "thinkingConfig" && words.starts_with("Thinking"))
}

/// Whether any of these members is there.
fn contains(body: &[u8], names: &[&str]) -> bool {
    let Some(members) = std::str::from_utf8(body).ok().and_then(|text| json::members(text).ok()) else {
        return false;
    };
    names.iter().any(|name| {
        let (first, rest) = name.split_once('.').map_or((*name, None), |(first, rest)| (first, Some(rest)));
        let found = members.iter().find(|(key, _)| key == first);
        found.is_some_and(|(_, value)| rest.is_none_or(|rest| contains(value.as_bytes(), &[rest])))
    })
}

/// Leaves members out and names them; says whether any was there. What we put there ourselves is not named.
fn leave_out(outgoing: &mut Outgoing, names: &[&str]) -> bool {
    let mut gone = Vec::new();
    let inner =
        |name: &str| names.iter().filter_map(|full| full.strip_prefix(name)?.strip_prefix('.')).collect();
    let edit = |name: &str, value: &str| {
        if names.contains(&name) {
            gone.push(name.to_owned());
            return Edit::Leave;
        }
        let within: Vec<&str> = inner(name);
        if within.is_empty() {
            return Edit::Keep;
        }
        let mut left = false;
        let nested = rebuilt(value.as_bytes(), |name, _| {
            if within.contains(&name) {
                gone.push(name.to_owned());
                left = true;
                return Edit::Leave;
            }
            Edit::Keep
        });
        match nested {
            Some(nested) if left && nested == b"{}" => Edit::Leave,
            Some(nested) if left => Edit::Put(nested),
            _ => Edit::Keep,
        }
    };
    let Some(body) = rebuilt(&outgoing.body.joined(), edit) else { return false };
    if gone.is_empty() {
        return false;
    }
    outgoing.body = body.into();
    for name in gone.iter().filter(|name| *name != "stream_options") {
        remember(&mut outgoing.dropped, name);
    }
    true
}

fn remember(dropped: &mut Vec<String>, name: &str) {
    raw::remember(dropped, name);
}

/// Renames a member unless the other is there already; says whether it did.
fn rename(outgoing: &mut Outgoing, from: &str, to: &'static str) -> bool {
    let body = outgoing.body.joined();
    if !contains(&body, &[from]) || contains(&body, &[to]) {
        return false;
    }
    let edit = |name: &str, _: &str| if name == from { Edit::Rename(to) } else { Edit::Keep };
    let Some(renamed) = rebuilt(&body, edit) else { return false };
    outgoing.body = renamed.into();
    true
}

/// What becomes of a member.
enum Edit {
    Keep,
    Leave,
    Rename(&'static str),
    Put(Vec<u8>),
}

/// An object's bytes with its members edited; `None` when it is no object.
fn rebuilt(body: &[u8], mut edit: impl FnMut(&str, &str) -> Edit) -> Option<Vec<u8>> {
    let members = json::members(std::str::from_utf8(body).ok()?).ok()?;
    let mut out = Vec::with_capacity(body.len());
    out.push(b'{');
    for (key, value) in members {
        let (key, value) = match edit(&key, value) {
            Edit::Leave => continue,
            Edit::Keep => (key, value.as_bytes().to_vec()),
            Edit::Rename(other) => (other.into(), value.as_bytes().to_vec()),
            Edit::Put(value) => (key, value),
        };
        if out.len() > 1 {
            out.push(b',');
        }
        json::push(&mut out, &*key);
        out.push(b':');
        out.extend_from_slice(&value);
    }
    out.push(b'}');
    Some(out)
}

/// The body with every id of a tool call nine letters long; a call and its result still refer to each other.
fn with_short_ids(body: &[u8]) -> Vec<u8> {
    let mut edits: Vec<(Range<usize>, Vec<u8>)> = Vec::new();
    if let Ok(text) = std::str::from_utf8(body) {
        // What cannot be read is left as it is: the provider will say why.
        let _ = raw::fields(text, |key, value| {
            if key != "messages" {
                return Ok(());
            }
            raw::items(value.get(), |_, message| {
                raw::fields(message.get(), |key, value| match key {
                    "tool_call_id" => {
                        shorten(text, value, &mut edits);
                        Ok(())
                    }
                    "tool_calls" if value.get().starts_with('[') => raw::items(value.get(), |_, call| {
                        raw::fields(call.get(), |key, value| {
                            if key == "id" {
                                shorten(text, value, &mut edits);
                            }
                            Ok(())
                        })
                    }),
                    _ => Ok(()),
                })
            })
        });
    }
    json::replace(body, &mut edits)
}

fn shorten(text: &str, value: &serde_json::value::RawValue, edits: &mut Vec<(Range<usize>, Vec<u8>)>) {
    let Ok(id) = raw::string(value, "") else { return };
    if id.len() == CALL_ID_LETTERS && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return;
    }
    // FNV-1a, as base 62.
    let mut hash = id
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3));
    const LETTERS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut short = vec![b'"'];
    for _ in 0..CALL_ID_LETTERS {
        // Less than 62.
        short.push(LETTERS[(hash % 62) as usize]);
        hash /= 62;
    }
    short.push(b'"');
    edits.push((raw::range(text, value), short));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn outgoing(body: &str) -> Outgoing {
        Outgoing {
            path: "/x".into(),
            body: body.as_bytes().to_vec().into(),
            dropped: Vec::new(),
            unwrap_tool: None,
        }
    }

    fn text(outgoing: &Outgoing) -> String {
        String::from_utf8(outgoing.body.clone().into_vec()).expect("text")
    }

    fn refused(target: Dialect, status: u16, error: &str) -> Failure {
        super::super::read_error(target, status, error.as_bytes())
    }

    /// What is sent once more, and what is named.
    fn again(target: Dialect, body: &str, error: &str) -> Option<(String, Vec<String>)> {
        let again = yielding(target, &outgoing(body), &refused(target, 400, error))?;
        Some((text(&again), again.dropped))
    }

    fn expect(target: Dialect, body: &str, error: &str, sent: &str, named: &[&str]) {
        let (body, dropped) = again(target, body, error).unwrap_or_else(|| panic!("nothing for {error}"));
        assert_eq!(
            (body.as_str(), dropped),
            (sent, named.iter().map(|name| (*name).to_owned()).collect()),
            "{error}"
        );
    }

    #[test]
    fn a_refused_parameter_goes_and_is_named() {
        let anthropic = |message: &str| {
            format!(
                r#"{{"type":"error","error":{{"type":"invalid_request_error","message":{}}}}}"#,
                serde_json::json!(message)
            )
        };
        expect(
            Dialect::Anthropic,
            r#"{"model":"m","temperature":0.5,"top_k":3,"messages":[]}"#,
            &anthropic("`temperature` is deprecated for this model."),
            r#"{"model":"m","messages":[]}"#,
            &["temperature", "top_k"],
        );
        expect(
            Dialect::Anthropic,
            r#"{"model":"m","temperature":0.5,"top_p":0.9}"#,
            &anthropic(
                "`temperature` and `top_p` cannot both be specified for this model. Please use only one.",
            ),
            r#"{"model":"m","temperature":0.5}"#,
            &["top_p"],
        );
        expect(
            Dialect::Anthropic,
            r#"{"model":"m","thinking":{"type":"enabled"},"output_config":{"effort":"low","format":{}}}"#,
            &anthropic("thinking.type: \"enabled\" is not supported for this model."),
            r#"{"model":"m","output_config":{"format":{}}}"#,
            &["thinking", "effort"],
        );
        expect(
            Dialect::Anthropic,
            r#"{"model":"m","thinking":{"type":"enabled","budget_tokens":2000},"messages":[]}"#,
            &anthropic(
                "messages.1.content.0.type: Expected `thinking` or `redacted_thinking`, but found `tool_use`. When `thinking` is enabled, a final `assistant` message must start with a thinking block (preceeding the lastmost set of `tool_use` and `tool_result` blocks).",
            ),
            r#"{"model":"m","messages":[]}"#,
            &["thinking"],
        );
        expect(
            Dialect::Ollama,
            r#"{"model":"m","think":true}"#,
            r#"{"error":"\"llama3.2\" does not support thinking"}"#,
            r#"{"model":"m"}"#,
            &["think"],
        );
        expect(
            Dialect::Gemini,
            r#"{"contents":[],"generationConfig":{"seed":1,"presencePenalty":0.5}}"#,
            r#"{"error":{"code":400,"message":"Penalty is not enabled for models/gemini-x","status":"INVALID_ARGUMENT"}}"#,
            r#"{"contents":[],"generationConfig":{"seed":1}}"#,
            &["presencePenalty"],
        );
    }

    #[test]
    fn every_compatible_server_says_it_in_its_own_way() {
        let chat = Dialect::OpenAiChat;
        expect(
            chat,
            r#"{"model":"m","seed":1}"#,
            r#"{"object":"error","message":{"detail":[{"type":"extra_forbidden","loc":["body","seed"],"msg":"Extra inputs are not permitted"}]},"type":"invalid_request_error","param":null}"#,
            r#"{"model":"m"}"#,
            &["seed"],
        );
        expect(
            chat,
            r#"{"model":"m","logprobs":true}"#,
            r#"{"error":{"message":"`logprobs` is not supported with this model","type":"invalid_request_error"}}"#,
            r#"{"model":"m"}"#,
            &["logprobs"],
        );
        expect(
            chat,
            r#"{"model":"m","stream_options":{"include_usage":true},"stream":true}"#,
            r#"{"detail":[{"type":"extra_forbidden","loc":["body","stream_options","include_usage"],"msg":"Extra inputs are not permitted"}]}"#,
            r#"{"model":"m","stream":true}"#,
            &[],
        );
        expect(
            chat,
            r#"{"model":"m","max_tokens":7}"#,
            r#"{"error":{"message":"Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.","type":"invalid_request_error","param":"max_tokens","code":"unsupported_parameter"}}"#,
            r#"{"model":"m","max_completion_tokens":7}"#,
            &[],
        );
    }

    #[test]
    fn a_wrong_value_is_the_callers_own() {
        let chat = Dialect::OpenAiChat;
        let error = r#"{"error":{"message":"Invalid value for 'temperature': expected a number between 0 and 2.","type":"invalid_request_error","param":"temperature","code":"invalid_value"}}"#;
        assert_eq!(again(chat, r#"{"temperature":9}"#, error), None);
        let absent = r#"{"error":{"message":"'seed' is not supported","param":"seed"}}"#;
        assert_eq!(again(chat, r#"{"temperature":1}"#, absent), None);
        let needed = r#"{"error":{"message":"'messages' is not supported","param":"messages"}}"#;
        assert_eq!(again(chat, r#"{"messages":[]}"#, needed), None);
    }

    #[test]
    fn a_refused_beginning_becomes_a_wish() {
        let body =
            r#"{"model":"m","messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]}"#;
        let anthropics = r#"{"type":"error","error":{"type":"invalid_request_error","message":"This model does not support assistant message prefill. The conversation must end with a user message."}}"#;
        let mistrals = r#"{"object":"error","message":"Expected last role User or Tool (or Assistant with prefix True) for serving but got assistant","type":"invalid_request_error","param":null,"code":null}"#;
        let llamas = r#"{"error":{"code":400,"message":"Assistant response prefill is incompatible with enable_thinking.","type":"invalid_request_error"}}"#;
        let ollamas = r#"{"error":"This model does not support assistant message prefill."}"#;
        for (target, error) in [
            (Dialect::Anthropic, anthropics),
            (Dialect::OpenAiChat, mistrals),
            (Dialect::OpenAiChat, llamas),
            (Dialect::Ollama, ollamas),
        ] {
            let (sent, named) = again(target, body, error).expect(error);
            let sent: serde_json::Value = serde_json::from_str(&sent).expect("JSON");
            assert_eq!(sent["messages"][1]["content"], "b", "{error}");
            assert_eq!(sent["messages"][2]["role"], "user", "{error}");
            assert_eq!(named, ["prefill"]);
        }
        let asked = r#"{"model":"m","messages":[{"role":"user","content":"a"}]}"#;
        assert_eq!(again(Dialect::OpenAiChat, asked, mistrals), None);
    }

    #[test]
    fn quirks_of_a_provider_are_met_before_it_complains() {
        let quirks = Quirks {
            refuses: vec!["seed".into(), "stream_options".into()],
            output_bound: Some(OutputBound::Tokens),
            short_call_ids: Some(true),
            ..Quirks::default()
        };
        let body = r#"{"max_completion_tokens":5,"seed":1,"stream_options":{},"messages":[{"role":"assistant","tool_calls":[{"id":"call_0123456789","x":1}]},{"role":"tool","tool_call_id":"call_0123456789"},{"role":"tool","tool_call_id":"abcABC123"}]}"#;
        let fitted = fit(outgoing(body), &quirks);
        assert_eq!(fitted.dropped, ["seed"]);
        let sent: serde_json::Value = serde_json::from_slice(&fitted.body.joined()).expect("JSON");
        assert_eq!(sent["max_tokens"], 5);
        assert!(sent.get("stream_options").is_none() && sent.get("seed").is_none());
        let id = sent["messages"][0]["tool_calls"][0]["id"].as_str().expect("an id");
        assert_eq!((id.len(), sent["messages"][0]["tool_calls"][0]["x"].clone()), (9, 1.into()));
        assert_eq!(sent["messages"][1]["tool_call_id"], id);
        assert_eq!(sent["messages"][2]["tool_call_id"], "abcABC123");
    }

    #[test]
    fn without_quirks_every_byte_stays() {
        let body = "{ \"a\" : 1,\n \"max_tokens\":2 }";
        assert_eq!(text(&fit(outgoing(body), &Quirks::default())), body);
    }
}
