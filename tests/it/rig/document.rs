//! Every answer of every test against the document the gateway serves: is its status listed, and its body as it says?

use super::caller::Answer;
use serde_json::Value;
use std::sync::LazyLock;

static DOCUMENT: LazyLock<Value> = LazyLock::new(|| {
    serde_json::from_str(include_str!("../../../src/api/openapi.json")).expect("the document is JSON")
});

/// Schemas within schemas; the document's are not that deep.
const DEPTH_MAX: usize = 32;

/// Panics when an answer is none that the document lists. Paths and methods that are not in it are not looked at:
/// they are 404 and 405.
pub fn expect_listed(method: &str, path: &str, answer: &Answer) {
    let path = path.split('?').next().unwrap_or(path);
    let asked = if method == "HEAD" { "get".to_owned() } else { method.to_ascii_lowercase() };
    let Some(methods) = methods_of(path) else { return };
    let operation = &methods[&asked];
    if operation.is_null() {
        assert!(method == "OPTIONS" || answer.status == 405, "{method} {path} gave {}", answer.status);
        return;
    }
    let responses = &operation["responses"];
    let exact = &responses[answer.status.to_string()];
    let ranged = &responses[format!("{}XX", answer.status / 100)];
    let response = resolved(if exact.is_null() { ranged } else { exact });
    assert!(response.is_object(), "{method} {path}: the document does not list {}", answer.status);
    expect_fields(response, answer, &format!("{method} {path} {}", answer.status));
    if method == "HEAD" || !answer.whole {
        return;
    }
    let media = answer.header("content-type").unwrap_or_default();
    let essence = media.split(';').next().unwrap_or(media).trim();
    let content = &response["content"][essence];
    assert!(content.is_object(), "{method} {path} {}: {media} is not in the document", answer.status);
    if essence == "application/json"
        && let Err(wrong) = fits(&answer.json(), &content["schema"], 0)
    {
        panic!("{method} {path} {}: {wrong} in {}", answer.status, answer.text());
    }
}

/// Fields that any HTTP server may send, and those of pages and of other origins.
const OF_HTTP: [&str; 13] = [
    "content-type",
    "content-length",
    "transfer-encoding",
    "connection",
    "date",
    "server",
    "trailer",
    "vary",
    "cache-control",
    "content-security-policy",
    "x-content-type-options",
    "access-control-allow-origin",
    "access-control-expose-headers",
];

/// Every field is one the document names, and says what it says there.
fn expect_fields(response: &'static Value, answer: &Answer, story: &str) {
    let Some(told) = response["headers"].as_object() else { panic!("{story}: the document names no fields") };
    for (name, value) in &answer.headers {
        if OF_HTTP.iter().any(|other| other.eq_ignore_ascii_case(name)) {
            continue;
        }
        let found = told.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        let Some((_, field)) = found else { panic!("{story}: {name} is not in the document") };
        let schema = &resolved(field)["schema"];
        let value = if schema["type"] == "integer" {
            value.parse::<u64>().map_or(Value::Null, Value::from)
        } else {
            Value::from(value.as_str())
        };
        if let Err(wrong) = fits(&value, schema, 0) {
            panic!("{story}: {name}: {wrong}");
        }
    }
    for (name, _) in told.iter().filter(|(_, field)| resolved(field)["required"] == true) {
        assert!(answer.header(name).is_some(), "{story}: {name} is missing");
    }
}

fn methods_of(path: &str) -> Option<&'static Value> {
    let paths = DOCUMENT["paths"].as_object().expect("paths");
    paths.get(path).or_else(|| {
        let fits = |known: &str| known.split_once('{').is_some_and(|(before, _)| path.starts_with(before));
        paths.iter().find(|(known, _)| fits(known)).map(|(_, methods)| methods)
    })
}

fn resolved(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(place) => DOCUMENT.pointer(place.trim_start_matches('#')).expect("references lead somewhere"),
        None => value,
    }
}

/// What JSON Schema says of a value, as far as the document uses it.
fn fits(value: &Value, schema: &'static Value, depth: usize) -> Result<(), String> {
    let schema = resolved(schema);
    assert!(depth < DEPTH_MAX, "the document's schemas go round");
    if let Some(any) = schema["anyOf"].as_array() {
        let tried: Vec<String> = any.iter().filter_map(|one| fits(value, one, depth + 1).err()).collect();
        return if tried.len() < any.len() { Ok(()) } else { Err(tried.join(", nor ")) };
    }
    if let Some(only) = schema.get("const").filter(|only| *only != value) {
        return Err(format!("{value} is not {only}"));
    }
    if let Some(words) = schema["enum"].as_array().filter(|words| !words.contains(value)) {
        return Err(format!("{value} is none of {words:?}"));
    }
    let is = |kind: &Value| kind.as_str().is_some_and(|kind| is_a(value, kind));
    match &schema["type"] {
        Value::Null => {}
        Value::Array(kinds) if kinds.iter().any(is) => {}
        kind if is(kind) => {}
        kind => return Err(format!("{value} is not of type {kind}")),
    }
    let below = value.as_f64().zip(schema["minimum"].as_f64()).is_some_and(|(is, least)| is < least);
    if below {
        return Err(format!("{value} is too small"));
    }
    members(value, schema, depth)?;
    for item in value.as_array().into_iter().flatten().filter(|_| schema["items"].is_object()) {
        fits(item, &schema["items"], depth + 1)?;
    }
    Ok(())
}

fn members(value: &Value, schema: &'static Value, depth: usize) -> Result<(), String> {
    let Some(fields) = value.as_object() else { return Ok(()) };
    for name in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
        fields.get(name).ok_or_else(|| format!("{name} is missing"))?;
    }
    for (name, field) in fields {
        let known = &schema["properties"][name];
        match (known.is_object(), &schema["additionalProperties"]) {
            (true, _) => fits(field, known, depth + 1).map_err(|wrong| format!("{name}: {wrong}"))?,
            (false, Value::Bool(false)) => return Err(format!("{name} is not in the document")),
            (false, more) if more.is_object() => fits(field, more, depth + 1)?,
            _ => {}
        }
    }
    Ok(())
}

fn is_a(value: &Value, kind: &str) -> bool {
    match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        "null" => value.is_null(),
        other => panic!("the document names the type {other}"),
    }
}

#[test]
fn an_answer_that_is_not_in_the_document_is_noticed() {
    let listed = |status: u16, media: &str, body: &str| {
        let fields = [("Content-Type", media), ("X-Request-ID", "r"), ("Content-Length", "9")];
        let headers = fields.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec();
        let answer = Answer { status, headers, body: body.as_bytes().to_vec(), whole: true };
        std::panic::catch_unwind(|| expect_listed("GET", "/v1/models/x?y", &answer)).is_ok()
    };
    let json = "application/json";
    let good = r#"{"id":"x","object":"model","created":0,"owned_by":"a"}"#;
    let wrong = r#"{"error":{"message":"m","type":"t","param":null,"code":null}}"#;
    assert!(listed(200, json, good) && listed(401, "application/json; charset=utf-8", wrong));
    assert!(!listed(403, json, wrong), "a status that is not listed");
    assert!(!listed(200, "text/html", good), "a type that is not listed");
    assert!(!listed(200, json, &good.replace("model", "mode")), "another constant");
    assert!(!listed(200, json, &good.replace("\"a\"", "1")), "another type");
    assert!(!listed(404, json, &wrong.replace(",\"code\":null", "")), "a field is missing");
    assert!(!listed(404, json, &wrong.replace("{\"message", "{\"more\":1,\"message")), "a field too many");
    let with = |fields: &[(&str, &str)]| {
        let headers = fields.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let answer = Answer { status: 200, headers, body: good.as_bytes().to_vec(), whole: true };
        std::panic::catch_unwind(|| expect_listed("GET", "/v1/models/x", &answer)).is_ok()
    };
    let (media, id) = (("Content-Type", json), ("X-Request-ID", "r"));
    assert!(with(&[media, id, ("Date", "now")]));
    assert!(!with(&[media]), "a field that every answer has is missing");
    assert!(!with(&[media, id, ("X-New", "1")]), "a field that is not in the document");
}
