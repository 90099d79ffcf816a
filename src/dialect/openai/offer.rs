//! What a caller puts on offer beside the conversation: tools, which of them to call, and the answer's shape.

use super::super::{Invalid, json};
use super::decode::untranslatable;
use crate::domain::chat::{Format, Tool, ToolChoice};
use crate::domain::failure::Failure;

/// Reads `tools`.
///
/// # Errors
/// `BadRequest` with the field's path; `Untranslatable` for tools of other types than `function`.
pub fn tools(raw: &str) -> Result<Vec<Tool>, Failure> {
    #[derive(serde::Deserialize)]
    struct Offer<'a> {
        #[serde(borrow, rename = "type", default)]
        kind: json::Text<'a>,
        #[serde(borrow, default)]
        function: Option<Function<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Function<'a> {
        name: String,
        #[serde(default)]
        description: Option<String>,
        #[serde(borrow, default)]
        parameters: Option<&'a serde_json::value::RawValue>,
        #[serde(default)]
        strict: Option<bool>,
    }
    let offers: Vec<Offer<'_>> = json::read(raw, "tools", "an array of tools")?;
    let mut tools = Vec::with_capacity(offers.len());
    for (index, offer) in offers.into_iter().enumerate() {
        let path = format!("tools[{index}]");
        let function = match (&*offer.kind.0, offer.function) {
            ("function", Some(function)) => function,
            ("function", None) => {
                let param = format!("{path}.function");
                return Err(Invalid::new(Some(&param), format!("{param} is required")).into());
            }
            (other, _) => return Err(untranslatable(&path, &format!("a tool of type `{other:.40}`"))),
        };
        tools.push(Tool {
            name: function.name,
            description: function.description,
            parameters: function.parameters.map(|schema| schema.get().to_owned()),
            strict: function.strict,
        });
    }
    Ok(tools)
}

/// Reads `tool_choice`; `None` for a form only OpenAI knows.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn tool_choice(raw: &str) -> Result<Option<ToolChoice>, Invalid> {
    const EXPECTED: &str = "none, auto, required or a function";
    #[derive(serde::Deserialize)]
    struct Named {
        #[serde(default)]
        function: Option<Function>,
    }
    #[derive(serde::Deserialize)]
    struct Function {
        name: String,
    }
    if raw.starts_with('"') {
        return match json::read::<String>(raw, "tool_choice", EXPECTED)?.as_str() {
            "none" => Ok(Some(ToolChoice::None)),
            "auto" => Ok(Some(ToolChoice::Auto)),
            "required" => Ok(Some(ToolChoice::Required)),
            _ => Err(Invalid::new(Some("tool_choice"), format!("tool_choice must be {EXPECTED}"))),
        };
    }
    let named: Named = json::read(raw, "tool_choice", EXPECTED)?;
    Ok(named.function.map(|function| ToolChoice::Named(function.name)))
}

/// Reads `response_format`; `None` for plain text.
///
/// # Errors
/// [`Invalid`] names the field.
pub fn format(raw: &str) -> Result<Option<Format>, Invalid> {
    #[derive(serde::Deserialize)]
    struct Wanted<'a> {
        #[serde(borrow, rename = "type")]
        kind: json::Text<'a>,
        #[serde(borrow, default)]
        json_schema: Option<Schema<'a>>,
    }
    #[derive(serde::Deserialize)]
    struct Schema<'a> {
        #[serde(default)]
        name: Option<String>,
        #[serde(borrow, default)]
        schema: Option<&'a serde_json::value::RawValue>,
        #[serde(default)]
        strict: Option<bool>,
    }
    let wanted: Wanted<'_> = json::read(raw, "response_format", "an object with a type")?;
    match (&*wanted.kind.0, wanted.json_schema) {
        ("text", _) => Ok(None),
        ("json_object", _) => Ok(Some(Format::JsonObject)),
        ("json_schema", Some(Schema { name, schema, strict })) => {
            let schema = schema.map_or_else(|| "{}".to_owned(), |schema| schema.get().to_owned());
            Ok(Some(Format::JsonSchema { name, schema, strict }))
        }
        ("json_schema", None) => {
            Err(Invalid::new(Some("response_format.json_schema"), "response_format.json_schema is required"))
        }
        _ => Err(Invalid::new(
            Some("response_format.type"),
            "response_format.type must be text, json_object or json_schema",
        )),
    }
}
