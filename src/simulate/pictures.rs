//! The pictures in a request: how many there are, and what they count for.

use serde_json::Value;

/// What one picture counts for in input tokens, so that one that got lost on the way is noticed.
pub(super) const PICTURE_TOKENS: usize = 7;

/// The pictures in a request, in every vendor's form.
pub(super) fn pictures(value: &Value) -> usize {
    match value {
        Value::Object(fields) => {
            let shown = matches!(
                fields.get("type").and_then(Value::as_str),
                Some("image" | "image_url" | "input_image")
            );
            let given = fields.get("images").and_then(Value::as_array).map_or(0, Vec::len);
            let inline = fields.contains_key("inlineData") || fields.contains_key("fileData");
            let within: usize = if shown { 0 } else { fields.values().map(pictures).sum() };
            usize::from(shown || inline) + given + within
        }
        Value::Array(items) => items.iter().map(pictures).sum(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::pictures;
    use serde_json::json;

    #[test]
    fn a_picture_is_seen_in_every_vendors_form() {
        for (body, count) in [
            (
                json!({"messages": [{"content": [{"type": "text"}, {"type": "image_url", "image_url": {}}]}]}),
                1,
            ),
            (json!({"messages": [{"content": [{"type": "image", "source": {"type": "base64"}}]}]}), 1),
            (json!({"messages": [{"content": "x", "images": ["a", "b"]}]}), 2),
            (json!({"contents": [{"parts": [{"inlineData": {}}, {"text": "image"}]}]}), 1),
            (json!({"messages": [{"content": "images"}]}), 0),
        ] {
            assert_eq!(pictures(&body), count, "{body}");
        }
    }
}
