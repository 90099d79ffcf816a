//! JSON schemas rewritten as the subset of OpenAPI that Gemini takes; every other keyword is refused there with 400.
//!
//! Written from the text, without a tree: references are put in place, unions of one are that one, `null` becomes
//! `nullable`, `const` an `enum` of one, and what has no equivalent is left out.

use crate::dialect::{asking, json, raw};
use crate::domain::failure::{Failure, Fault};
use serde_json::value::RawValue;
use std::borrow::Cow;

/// Nesting of a schema, references counted.
const DEPTH_MAX: usize = 32;
/// A rewritten schema; references within references could make it endless.
const SCHEMA_BYTES_MAX: usize = 512 * 1024;

/// Keywords that mean the same there and are kept as they stand.
const KEPT: [&str; 11] = [
    "title",
    "description",
    "minimum",
    "maximum",
    "minItems",
    "maxItems",
    "minLength",
    "maxLength",
    "minProperties",
    "maxProperties",
    "pattern",
];

/// The schema in Gemini's words; `None` for an object without properties, which is refused as a tool's parameters.
///
/// # Errors
/// `BadRequest` when it is no JSON object, `Untranslatable` when it grows without bound.
pub(super) fn rewritten(schema: &str, param: &str) -> Result<Option<Box<RawValue>>, Failure> {
    let root = asking::schema(schema, param)?;
    let mut rewriting = Rewriting { root: root.get(), out: Vec::new() };
    let mut node = Node::default();
    rewriting.gather(root.get(), &mut node, 0);
    if node.is_empty_object() {
        return Ok(None);
    }
    rewriting.write(node, false, 0).map_err(|TooLarge| {
        let message = "the schema is too large once its references are put in place";
        Failure { param: Some(param.to_owned()), ..Failure::new(Fault::Untranslatable, message) }
    })?;
    let text = String::from_utf8(rewriting.out).map_err(|_| raw::garbage())?;
    Ok(RawValue::from_string(text).ok())
}

/// The schema would not end.
struct TooLarge;

struct Rewriting<'a> {
    root: &'a str,
    out: Vec<u8>,
}

/// What a schema says, references and `allOf` put together.
#[derive(Default, Clone)]
struct Node<'a> {
    types: Vec<Cow<'a, str>>,
    nullable: bool,
    kept: Vec<(&'static str, &'a str)>,
    format: Option<Cow<'a, str>>,
    /// Permitted strings; `None`: any.
    permitted: Option<Vec<&'a str>>,
    properties: Vec<(Cow<'a, str>, &'a str)>,
    required: Vec<Cow<'a, str>>,
    items: Option<&'a str>,
    variants: Vec<&'a str>,
}

impl<'a> Node<'a> {
    fn is_empty_object(&self) -> bool {
        let object = self.types.iter().all(|word| word == "object");
        object
            && self.properties.is_empty()
            && self.variants.is_empty()
            && self.permitted.is_none()
            && self.items.is_none()
    }

    fn take_types(&mut self, value: &'a str) {
        let words = match serde_json::from_str::<json::Text<'a>>(value) {
            Ok(word) => vec![word],
            Err(_) => serde_json::from_str::<Vec<json::Text<'a>>>(value).unwrap_or_default(),
        };
        for word in words {
            if word.0.eq_ignore_ascii_case("null") {
                self.nullable = true;
            } else if !self.types.contains(&word.0) {
                self.types.push(word.0);
            }
        }
    }

    /// Only strings can be enumerated; other values say at least their type.
    fn take_values(&mut self, values: &[&'a str]) {
        let strings: Vec<&str> = values.iter().filter(|value| value.starts_with('"')).copied().collect();
        self.nullable |= values.contains(&"null");
        if !strings.is_empty() {
            self.permitted = Some(strings);
            if self.types.is_empty() {
                self.types.push(Cow::Borrowed("string"));
            }
            return;
        }
        let kind = values.iter().find(|value| **value != "null").map(|value| match value.as_bytes() {
            [b't' | b'f', ..] => "boolean",
            [b'{', ..] => "object",
            [b'[', ..] => "array",
            digits if digits.iter().all(|byte| byte.is_ascii_digit() || *byte == b'-') => "integer",
            _ => "number",
        });
        if let (Some(kind), true) = (kind, self.types.is_empty()) {
            self.types.push(Cow::Borrowed(kind));
        }
    }

    /// The type, also where it is only implied.
    fn kind(&self) -> &str {
        match self.types.first() {
            Some(word) => word,
            None if !self.properties.is_empty() => "object",
            None if self.items.is_some() => "array",
            None => "string",
        }
    }
}

impl<'a> Rewriting<'a> {
    /// Collects what `schema` says, and what it refers to.
    fn gather(&self, schema: &'a str, node: &mut Node<'a>, depth: usize) {
        if depth > DEPTH_MAX {
            return;
        }
        let members = json::members(schema).unwrap_or_default();
        for (key, value) in &members {
            match &**key {
                "type" => node.take_types(value),
                "nullable" => node.nullable |= *value == "true",
                "format" => {
                    node.format = serde_json::from_str::<json::Text<'a>>(value).ok().map(|text| text.0)
                }
                "enum" => node.take_values(&elements(value)),
                "const" => node.take_values(&[*value]),
                "properties" => node.properties.extend(json::members(value).unwrap_or_default()),
                "required" => {
                    let names = serde_json::from_str::<Vec<json::Text<'a>>>(value).unwrap_or_default();
                    node.required.extend(names.into_iter().map(|name| name.0));
                }
                "items" if value.starts_with('{') => node.items = Some(value),
                "prefixItems" if node.items.is_none() => node.items = elements(value).first().copied(),
                key => {
                    let kept = KEPT.into_iter().find(|kept| *kept == key);
                    if let Some(kept) = kept.filter(|kept| node.kept.iter().all(|(other, _)| other != kept)) {
                        node.kept.push((kept, value));
                    }
                }
            }
        }
        // What stands beside a reference says more than what it refers to, so that comes first.
        for (key, value) in members {
            match &*key {
                "$ref" => {
                    if let Some(target) = self.resolve(value) {
                        self.gather(target, node, depth + 1);
                    }
                }
                "allOf" => elements(value).into_iter().for_each(|part| self.gather(part, node, depth + 1)),
                "anyOf" | "oneOf" => self.variants(&elements(value), node, depth),
                _ => {}
            }
        }
    }

    /// A union: without `null`, and if one variant is left it is that one.
    fn variants(&self, all: &[&'a str], node: &mut Node<'a>, depth: usize) {
        let is_null = |variant: &&str| {
            let mut only = Node::default();
            self.gather(variant, &mut only, depth + 1);
            only.nullable && only.types.is_empty() && only.properties.is_empty() && only.permitted.is_none()
        };
        let real: Vec<&str> = all.iter().copied().filter(|variant| !is_null(variant)).collect();
        node.nullable |= real.len() < all.len();
        match real.as_slice() {
            [only] => self.gather(only, node, depth + 1),
            several => node.variants.extend(several),
        }
    }

    /// What `"#/$defs/name"` refers to.
    fn resolve(&self, reference: &str) -> Option<&'a str> {
        let reference = serde_json::from_str::<String>(reference).ok()?;
        let mut at = self.root;
        for step in reference.strip_prefix('#')?.split('/').skip(1) {
            let step = step.replace("~1", "/").replace("~0", "~");
            at = json::members(at).ok()?.into_iter().find(|(key, _)| *key == step)?.1;
        }
        Some(at)
    }

    /// Writes one schema.
    fn write(&mut self, mut node: Node<'a>, nullable: bool, depth: usize) -> Result<(), TooLarge> {
        if depth > DEPTH_MAX || self.out.len() > SCHEMA_BYTES_MAX {
            return Err(TooLarge);
        }
        node.nullable |= nullable;
        // A union may say nothing beside its variants.
        if !node.variants.is_empty() && node.properties.is_empty() {
            let variants = std::mem::take(&mut node.variants);
            return self.union(variants.len(), depth, |this, index| {
                let mut variant = Node::default();
                this.gather(variants[index], &mut variant, depth + 1);
                variant.nullable |= node.nullable;
                variant
            });
        }
        if node.types.len() > 1 {
            let types = std::mem::take(&mut node.types);
            return self.union(types.len(), depth, |_, index| {
                let types = vec![types[index].clone()];
                Node { types, ..node.clone() }
            });
        }
        self.one(&node, depth)
    }

    fn union(
        &mut self,
        count: usize,
        depth: usize,
        variant: impl Fn(&Self, usize) -> Node<'a>,
    ) -> Result<(), TooLarge> {
        self.out.extend_from_slice(b"{\"anyOf\":[");
        for index in 0..count {
            if index > 0 {
                self.out.push(b',');
            }
            let node = variant(self, index);
            self.write(node, false, depth + 1)?;
        }
        self.out.extend_from_slice(b"]}");
        Ok(())
    }

    fn one(&mut self, node: &Node<'a>, depth: usize) -> Result<(), TooLarge> {
        let kind = node.kind().to_ascii_lowercase();
        self.out.extend_from_slice(b"{\"type\":");
        json::push(&mut self.out, &kind.to_ascii_uppercase());
        for (key, value) in &node.kept {
            self.member(key, value);
        }
        if node.nullable {
            self.member("nullable", "true");
        }
        if let Some(format) = node.format.as_deref().filter(|format| takes_format(&kind, format)) {
            self.out.extend_from_slice(b",\"format\":");
            json::push(&mut self.out, format);
        }
        match kind.as_str() {
            "string" => {
                if let Some(permitted) = &node.permitted {
                    self.member("enum", &format!("[{}]", permitted.join(",")));
                }
            }
            "array" => {
                self.out.extend_from_slice(b",\"items\":");
                let mut items = Node::default();
                if let Some(schema) = node.items {
                    self.gather(schema, &mut items, depth + 1);
                }
                self.write(items, false, depth + 1)?;
            }
            "object" if !node.properties.is_empty() => self.properties(node, depth)?,
            _ => {}
        }
        self.out.push(b'}');
        Ok(())
    }

    fn properties(&mut self, node: &Node<'a>, depth: usize) -> Result<(), TooLarge> {
        // The last of two properties of one name counts, as in any JSON.
        let mut properties: Vec<(&str, &'a str)> = Vec::new();
        for (name, schema) in &node.properties {
            properties.retain(|(other, _)| other != name);
            properties.push((name, schema));
        }
        self.out.extend_from_slice(b",\"properties\":{");
        for (index, (name, schema)) in properties.iter().enumerate() {
            if index > 0 {
                self.out.push(b',');
            }
            json::push(&mut self.out, name);
            self.out.push(b':');
            let mut property = Node::default();
            self.gather(schema, &mut property, depth + 1);
            self.write(property, false, depth + 1)?;
        }
        self.out.push(b'}');
        let names: Vec<&str> = properties.iter().map(|(name, _)| *name).collect();
        let required: Vec<&str> =
            names.iter().copied().filter(|name| node.required.iter().any(|other| other == name)).collect();
        if !required.is_empty() {
            self.out.extend_from_slice(b",\"required\":");
            json::push(&mut self.out, &required);
        }
        if names.len() > 1 {
            self.out.extend_from_slice(b",\"propertyOrdering\":");
            json::push(&mut self.out, &names);
        }
        Ok(())
    }

    fn member(&mut self, key: &str, value: &str) {
        self.out.push(b',');
        json::push(&mut self.out, key);
        self.out.push(b':');
        self.out.extend_from_slice(value.as_bytes());
    }
}

/// The formats that are accepted; others are refused.
fn takes_format(kind: &str, format: &str) -> bool {
    match kind {
        "string" => matches!(format, "date-time" | "enum"),
        "number" => matches!(format, "float" | "double"),
        "integer" => matches!(format, "int32" | "int64"),
        _ => false,
    }
}

/// An array's elements as they stand; nothing for what is no array.
fn elements(array: &str) -> Vec<&str> {
    let all: Vec<&RawValue> = serde_json::from_str(array).unwrap_or_default();
    all.into_iter().map(RawValue::get).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(schema: &str, expected: &str) {
        let written = rewritten(schema, "schema").expect("an object");
        assert_eq!(written.as_ref().map_or("", |raw| raw.get()), expected, "{schema}");
    }

    #[test]
    fn what_gemini_refuses_is_rewritten_or_left_out() {
        check(
            r##"{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","additionalProperties":false,
               "properties":{"city":{"type":"string","minLength":1,"format":"uri"},"n":{"type":["integer","null"],"exclusiveMinimum":0}},
               "required":["city","gone"]}"##,
            r#"{"type":"OBJECT","properties":{"city":{"type":"STRING","minLength":1},"n":{"type":"INTEGER","nullable":true}},"required":["city"],"propertyOrdering":["city","n"]}"#,
        );
        check(r#"{"type":"object","properties":{}}"#, "");
        check("{}", "");
        check(
            r#"{"type":"object","properties":{"a":{"const":"x"},"b":{"const":3},"c":{"enum":[1,2]},"d":{"type":"object","properties":{}}}}"#,
            r#"{"type":"OBJECT","properties":{"a":{"type":"STRING","enum":["x"]},"b":{"type":"INTEGER"},"c":{"type":"INTEGER"},"d":{"type":"OBJECT"}},"propertyOrdering":["a","b","c","d"]}"#,
        );
        check(r#"{"type":"array"}"#, r#"{"type":"ARRAY","items":{"type":"STRING"}}"#);
    }

    #[test]
    fn unions_lose_their_null_and_become_what_is_left() {
        check(
            r#"{"properties":{"a":{"anyOf":[{"type":"string"},{"type":"null"}]},"b":{"oneOf":[{"type":"string"},{"type":"integer"}]},"c":{"type":["string","number"]}}}"#,
            r#"{"type":"OBJECT","properties":{"a":{"type":"STRING","nullable":true},"b":{"anyOf":[{"type":"STRING"},{"type":"INTEGER"}]},"c":{"anyOf":[{"type":"STRING"},{"type":"NUMBER"}]}},"propertyOrdering":["a","b","c"]}"#,
        );
    }

    #[test]
    fn references_are_put_in_place() {
        check(
            r##"{"properties":{"p":{"$ref":"#/$defs/P","description":"here"}},"$defs":{"P":{"type":"object","description":"there","properties":{"x":{"type":"number"}}}}}"##,
            r#"{"type":"OBJECT","properties":{"p":{"type":"OBJECT","description":"here","properties":{"x":{"type":"NUMBER"}}}}}"#,
        );
        check(
            r#"{"allOf":[{"properties":{"a":{"type":"string"}}},{"properties":{"b":{"type":"string"}},"required":["b"]}]}"#,
            r#"{"type":"OBJECT","properties":{"a":{"type":"STRING"},"b":{"type":"STRING"}},"required":["b"],"propertyOrdering":["a","b"]}"#,
        );
    }

    #[test]
    fn a_schema_that_contains_itself_is_refused_and_does_not_hang() {
        let endless = r##"{"properties":{"a":{"$ref":"#"},"b":{"$ref":"#"}}}"##;
        assert_eq!(rewritten(endless, "s").expect_err("endless").fault, Fault::Untranslatable);
        let circle = r##"{"properties":{"a":{"$ref":"#/properties/a"}}}"##;
        check(circle, r#"{"type":"OBJECT","properties":{"a":{"type":"STRING"}}}"#);
        assert_eq!(rewritten("[]", "s").expect_err("no object").fault, Fault::BadRequest);
    }
}
