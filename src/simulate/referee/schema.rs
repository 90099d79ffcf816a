//! What `strict: true` demands of a JSON schema, at OpenAI.

use super::super::complaint::Complaint;
use super::items;
use serde_json::Value;

/// Nesting that is looked into; the vendor allows ten levels of objects.
const DEPTH_MAX: usize = 32;

/// Judges a schema that is to be followed strictly. `what` is `function 'weather'`, `param` the field it stands in.
pub(super) fn strict(
    schema: &Value,
    what: &str,
    (param, code): (&str, &'static str),
) -> Result<(), Complaint> {
    let wrong = match schema["type"].as_str() {
        Some("object") => level(schema, "()", 0),
        other => Some(format!(
            "schema must be a JSON Schema of 'type: \"object\"', got 'type: \"{}\"'.",
            other.unwrap_or("None")
        )),
    };
    match wrong {
        Some(wrong) => {
            Err(Complaint::invalid(format!("Invalid schema for {what}: {wrong}"), Some(param), Some(code)))
        }
        None => Ok(()),
    }
}

/// What is wrong at one level, or below it.
fn level(schema: &Value, context: &str, depth: usize) -> Option<String> {
    if depth == DEPTH_MAX {
        return Some(format!("In context={context}, nesting is too deep."));
    }
    let properties = schema["properties"].as_object();
    let object = schema["type"] == "object" || items(&schema["type"]).iter().any(|kind| kind == "object");
    if object || properties.is_some() {
        if schema["additionalProperties"] != false {
            return Some(format!(
                "In context={context}, 'additionalProperties' is required to be supplied and to be false."
            ));
        }
        let required = items(&schema["required"]);
        if let Some(name) = properties
            .into_iter()
            .flatten()
            .map(|(name, _)| name)
            .find(|name| !required.iter().any(|it| it == *name))
        {
            return Some(format!(
                "In context={context}, 'required' is required to be supplied and to be an array including every key \
                 in properties. Missing '{name}'."
            ));
        }
    }
    let named = ["properties", "$defs", "definitions"].into_iter();
    let named = named.filter_map(|name| Some((name, schema[name].as_object()?)));
    let named = named.flat_map(|(list, all)| {
        all.iter().map(move |(name, below)| (format!("('{list}', '{name}')"), below))
    });
    let listed = items(&schema["anyOf"]).iter().enumerate();
    let listed = listed.map(|(index, below)| (format!("('anyOf', '{index}')"), below));
    let element =
        schema.get("items").filter(|items| items.is_object()).map(|below| ("('items',)".to_owned(), below));
    named.chain(listed).chain(element).find_map(|(context, below)| level(below, &context, depth + 1))
}
