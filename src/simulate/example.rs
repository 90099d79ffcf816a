//! A value that a JSON schema allows: arguments of tools, structured answers.

use serde_json::{Map, Value, json};

/// Nesting of a schema that an example follows.
const SCHEMA_DEPTH_MAX: usize = 6;

/// A value that a schema allows.
pub(super) fn example(schema: &Value, digest: &str, depth: usize) -> Value {
    if let Some(value) = schema["enum"].get(0).or_else(|| schema.get("const")) {
        return value.clone();
    }
    if let Some(first) = schema["anyOf"].get(0).or_else(|| schema["oneOf"].get(0)) {
        return if depth < SCHEMA_DEPTH_MAX { example(first, digest, depth + 1) } else { Value::Null };
    }
    let kind = schema["type"].as_str().or_else(|| schema["type"][0].as_str());
    match kind.unwrap_or(if schema["properties"].is_object() { "object" } else { "" }) {
        "object" => {
            let mut fields = Map::new();
            for (name, schema) in schema["properties"].as_object().into_iter().flatten() {
                if depth < SCHEMA_DEPTH_MAX {
                    fields.insert(name.clone(), example(schema, digest, depth + 1));
                }
            }
            Value::Object(fields)
        }
        "array" if depth < SCHEMA_DEPTH_MAX && schema["items"].is_object() => {
            json!([example(&schema["items"], digest, depth + 1)])
        }
        "array" => json!([]),
        "integer" => json!(7),
        "number" => json!(0.5),
        "boolean" => json!(true),
        "null" => Value::Null,
        "string" => json!(digest),
        _ => json!({ "answer": digest }),
    }
}
