//! What the real vendors refuse is refused, in their words and their shape; what they take is taken.

use super::super::Simulator;
use super::client::*;
use serde_json::{Value, json};

const ANTHROPIC: &str = "/v1/messages";
const OPENAI: &str = "/v1/chat/completions";
const RESPONSES: &str = "/v1/responses";
const OLLAMA: &str = "/api/chat";
const GEMINI: &str = "/v1beta/models/gemini-2.5-flash:generateContent";
const NEWEST: &str = "/v1beta/models/gemini-3-pro:generateContent";

/// A legal request, with some members replaced; `null` takes one away.
fn with(path: &str, changes: &Value) -> Value {
    let mut body = match path {
        GEMINI | NEWEST => json!({"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}),
        RESPONSES => json!({"model": "m", "input": "hi"}),
        _ => question("m", "hi", false),
    };
    for (name, value) in changes.as_object().expect("changes") {
        match value {
            Value::Null => drop(body.as_object_mut().expect("an object").remove(name)),
            other => body[name] = other.clone(),
        }
    }
    body
}

fn post(simulator: &Simulator, path: &str, body: &Value) -> Answer {
    let headers = match path {
        ANTHROPIC => "x-api-key: k\r\nanthropic-version: 2023-06-01\r\n",
        GEMINI | NEWEST => "x-goog-api-key: k\r\n",
        _ => "",
    };
    let mut client = Client::to(simulator);
    client.ask("POST", path, headers, &body.to_string());
    client.answer()
}

/// Each row: what is changed, and words of the refusal.
fn refused(path: &str, message: &str, rows: &[(Value, &str)]) {
    let simulator = simulator();
    assert_eq!(post(&simulator, path, &with(path, &json!({}))).status, 200, "{path}");
    for (changes, words) in rows {
        let answer = post(&simulator, path, &with(path, changes));
        assert_eq!(answer.status, 400, "{path} {changes}: {}", answer.text());
        let said = answer.json().pointer(message).and_then(Value::as_str).map(str::to_owned);
        assert!(said.is_some_and(|said| said.contains(words)), "{path} {changes}: {}", answer.text());
    }
}

fn taken(path: &str, rows: &[Value]) {
    let simulator = simulator();
    for changes in rows {
        let answer = post(&simulator, path, &with(path, changes));
        assert_eq!(answer.status, 200, "{path} {changes}: {}", answer.text());
    }
}

#[test]
fn anthropic_is_strict() {
    let user = |content: Value| json!({"role": "user", "content": content});
    let assistant = |content: Value| json!({"role": "assistant", "content": content});
    let call = json!({"type": "tool_use", "id": "t1", "name": "f", "input": {}});
    let result = json!({"type": "tool_result", "tool_use_id": "t1", "content": "1"});
    let tools = json!([{"name": "f", "input_schema": {"type": "object"}}]);
    refused(
        ANTHROPIC,
        "/error/message",
        &[
            (json!({"max_tokens": null}), "max_tokens: Field required"),
            (json!({"seed": 1}), "seed: Extra inputs are not permitted"),
            (json!({"temperature": 1.5}), "temperature: range"),
            (json!({"stop_sequences": [" "]}), "non-whitespace"),
            (json!({"messages": [assistant(json!("a")), user(json!("b"))]}), "first message"),
            (json!({"messages": [user(json!("")), assistant(json!("x"))]}), "non-empty content"),
            (json!({"messages": [user(json!([{"type": "text", "text": " "}]))]}), "non-whitespace text"),
            (
                json!({"messages": [user(json!("a")), assistant(json!([call])), user(json!("b"))]}),
                "without `tool_result`",
            ),
            (json!({"messages": [user(json!("a")), assistant(json!([call]))]}), "without `tool_result`"),
            (json!({"messages": [user(json!([result]))]}), "unexpected `tool_use_id`"),
            (
                json!({"messages": [user(json!("a")), assistant(json!([{"type": "tool_use", "id": "a.b", "name": "f", "input": {}}])), user(json!([{"type": "tool_result", "tool_use_id": "a.b"}]))]}),
                "should match pattern",
            ),
            (
                json!({"messages": [user(json!("a")), assistant(json!([{"type": "tool_use", "id": "t1", "name": "f", "input": "{}"}])), user(json!([result]))]}),
                "valid dictionary",
            ),
            (
                json!({"messages": [user(json!("a")), assistant(json!([{"type": "thinking", "thinking": "x", "signature": "forged"}])), user(json!("b"))]}),
                "Invalid `signature`",
            ),
            (
                json!({"messages": [user(json!([{"type": "image_url"}]))]}),
                "does not match any of the expected tags",
            ),
            (json!({"tool_choice": {"type": "any"}}), "while providing tools"),
            (json!({"tools": [{"name": "f"}]}), "input_schema"),
            (json!({"thinking": {"type": "enabled", "budget_tokens": 100}}), "1024"),
            (
                json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1024}),
                "must be greater",
            ),
            (
                json!({"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 4000, "temperature": 0.5}),
                "may only be set to 1",
            ),
            (
                json!({"thinking": {"type": "adaptive"}, "tools": tools, "tool_choice": {"type": "any"}}),
                "forces tool use",
            ),
        ],
    );
    taken(
        ANTHROPIC,
        &[
            json!({"messages": [user(json!("a")), assistant(json!([call])), user(json!([result]))], "tools": tools}),
            json!({"messages": [user(json!("a")), user(json!("b"))], "temperature": 1}),
        ],
    );
}

#[test]
fn openai_is_strict() {
    let user = json!({"role": "user", "content": "a"});
    let call = |id: &str, arguments: Value| {
        let function = json!({"name": "f", "arguments": arguments});
        json!({"role": "assistant", "content": null, "tool_calls": [{"id": id, "type": "function", "function": function}]})
    };
    let result = json!({"role": "tool", "tool_call_id": "c1", "content": "1"});
    let long = "c".repeat(41);
    refused(
        OPENAI,
        "/error/message",
        &[
            (json!({"messages": [{"role": "robot", "content": "a"}]}), "Supported values"),
            (json!({"messages": [user, result]}), "must be a response"),
            (json!({"messages": [user, call("c1", json!("{}"))]}), "must be followed by tool messages"),
            (json!({"messages": [user, call("c1", json!("{}")), user]}), "must be followed by tool messages"),
            (json!({"messages": [user, call("c1", json!({})), result]}), "expected a string"),
            (json!({"messages": [user, call(&long, json!("{}")), result]}), "string too long"),
            (json!({"stop": ["a", "b", "c", "d", "e"]}), "maximum length 4"),
            (json!({"temperature": 2.5}), "between 0 and 2"),
            (json!({"temperature": "hot"}), "expected a decimal"),
            (json!({"tools": []}), "minimum length 1"),
            (json!({"tool_choice": "auto"}), "only allowed when 'tools'"),
            (json!({"stream_options": {"include_usage": true}}), "only allowed when 'stream'"),
            (json!({"model": "o3-mini"}), "'max_tokens' is not supported"),
            (json!({"model": "gpt-5", "max_tokens": null, "temperature": 0.5}), "does not support"),
        ],
    );
    taken(
        OPENAI,
        &[
            json!({"messages": [user, call("c1", json!("{}")), result], "stop": ["a", "b", "c", "d"]}),
            json!({"model": "gpt-5", "max_tokens": null, "max_completion_tokens": 9}),
        ],
    );
}

#[test]
fn ollama_is_strict() {
    let says = |message: Value| json!({"messages": [message]});
    refused(
        OLLAMA,
        "/error",
        &[
            (says(json!({"role": "robot", "content": "a"})), "invalid role"),
            (says(json!({"role": "user", "content": [{"type": "text"}]})), "cannot unmarshal array"),
            (says(json!({"role": "user", "content": "a", "images": ["https://x/y.png"]})), "illegal base64"),
            (
                says(
                    json!({"role": "assistant", "content": "", "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}),
                ),
                "api.ToolCallFunctionArguments",
            ),
            (json!({"options": {"temperature": "hot"}}), "float32"),
            (json!({"options": {"num_predict": 1.5}}), "integer"),
            (json!({"options": {"stop": "x"}}), "array"),
            (json!({"format": "xml"}), "invalid format"),
            (json!({"keep_alive": "300"}), "missing unit"),
        ],
    );
    taken(OLLAMA, &[json!({"keep_alive": -1, "format": {"type": "object"}}), json!({"keep_alive": "5m"})]);
}

#[test]
fn gemini_is_strict() {
    let user = json!({"role": "user", "parts": [{"text": "a"}]});
    let call = json!({"role": "model", "parts": [{"functionCall": {"name": "f", "args": {}}}]});
    let result = json!({"role": "user", "parts": [{"functionResponse": {"name": "f", "response": {}}}]});
    let tool = |parameters: Value| json!({"tools": [{"functionDeclarations": [{"name": "f", "parameters": parameters}]}]});
    let property = |schema: Value| tool(json!({"type": "OBJECT", "properties": {"a": schema}}));
    refused(
        GEMINI,
        "/error/message",
        &[
            (json!({"messages": []}), "Unknown name \"messages\""),
            (json!({"contents": []}), "contents is not specified"),
            (json!({"contents": [{"role": "assistant", "parts": [{"text": "a"}]}]}), "valid role"),
            (json!({"contents": [{"role": "model", "parts": [{"text": "a"}]}]}), "first turn"),
            (json!({"contents": [{"role": "user", "parts": []}]}), "must not be empty"),
            (json!({"contents": [{"role": "user", "parts": [{"thought": true}]}]}), "oneof field 'data'"),
            (
                json!({"contents": [{"role": "user", "parts": [{"text": "a", "type": "text"}]}]}),
                "Unknown name \"type\"",
            ),
            (json!({"contents": [user, call, user]}), "number of function response parts"),
            (json!({"contents": [user, result]}), "number of function response parts"),
            (json!({"contents": [user, call]}), "function call turn"),
            (json!({"generationConfig": {"stop": ["a"]}}), "Unknown name \"stop\" at 'generation_config'"),
            (json!({"generationConfig": {"temperature": 3}}), "range"),
            (property(json!({"type": "STRING", "const": "x"})), "Unknown name \"const\""),
            (property(json!({"type": ["STRING", "NULL"]})), "Invalid value"),
            (property(json!({"type": "STRING", "format": "uri"})), "only 'enum' and 'date-time'"),
            (property(json!({"type": "INTEGER", "enum": ["1"]})), "only allowed for STRING"),
            (property(json!({"type": "ARRAY"})), "missing field"),
            (property(json!({"type": "OBJECT", "properties": {}})), "should be non-empty"),
            (property(json!({"anyOf": [{"type": "STRING", "$ref": "x"}]})), "Unknown name \"$ref\""),
            (tool(json!({"type": "OBJECT", "properties": {}})), "should be non-empty"),
            (
                tool(
                    json!({"type": "OBJECT", "properties": {"a": {"type": "STRING"}}, "additionalProperties": false}),
                ),
                "Unknown name \"additionalProperties\"",
            ),
        ],
    );
    taken(
        GEMINI,
        &[json!({"contents": [user, call, result]}), property(json!({"type": "STRING", "enum": ["x"]}))],
    );
    refused(
        NEWEST,
        "/error/message",
        &[(json!({"contents": [user, call, result]}), "missing a thought_signature")],
    );
}

#[test]
fn gemini_and_azure_have_doors_of_their_own() {
    let simulator = simulator();
    simulator.require_key(Some("k"));
    let asked = |path: &str, headers: &str, body: &Value| {
        let mut client = Client::to(&simulator);
        client.ask("POST", path, headers, &body.to_string());
        client.answer()
    };
    let gemini = with(GEMINI, &json!({}));
    assert_eq!(asked(GEMINI, "x-goog-api-key: k\r\n", &gemini).status, 200);
    let wrong = asked(GEMINI, "x-goog-api-key: other\r\n", &gemini);
    assert_eq!(
        (wrong.status, wrong.json()["error"]["details"][0]["reason"].clone()),
        (400, json!("API_KEY_INVALID"))
    );
    assert_eq!(asked(&format!("{GEMINI}?key=k"), "x-goog-api-key: k\r\n", &gemini).status, 400);
    let stream = "/v1beta/models/g%2F1:streamGenerateContent?alt=sse";
    let answer = asked(stream, "x-goog-api-key: k\r\n", &gemini);
    assert!(answer.text().contains("\"modelVersion\":\"g/1\"") && answer.text().ends_with("\r\n\r\n"));
    let chat = question("ignored", "hi", false);
    let azure = "/openai/deployments/mine/chat/completions";
    let answer = asked(&format!("{azure}?api-version=2024-10-21"), "api-key: k\r\n", &chat);
    assert_eq!((answer.status, answer.json()["model"].clone()), (200, json!("mine")));
    assert_eq!(asked(azure, "api-key: k\r\n", &chat).status, 404, "a version is needed");
    assert_eq!(asked(azure, "", &chat).status, 404);
    assert_eq!(asked("/openai/v1/chat/completions", "api-key: other\r\n", &chat).status, 401);
    simulator.behave("content_policy").expect("known");
    let filtered = asked("/openai/v1/chat/completions", "api-key: k\r\n", &chat);
    assert_eq!(filtered.json()["error"]["innererror"]["code"], "ResponsibleAIPolicyViolation");
    assert_eq!(
        asked(GEMINI, "x-goog-api-key: k\r\n", &gemini).json()["promptFeedback"]["blockReason"],
        "PROHIBITED_CONTENT"
    );
}

#[test]
fn parameters_of_another_type_are_refused_by_every_vendor() {
    let names = ["n", "seed", "user", "logprobs", "tools", "response_format", "stop", "temperature"];
    let rows = names.map(|name| (json!({ name: false }), format!("Invalid type for '{name}'")));
    let mut rows: Vec<_> = rows.iter().map(|(changes, words)| (changes.clone(), words.as_str())).collect();
    rows[3].0 = json!({"logprobs": 1});
    refused(OPENAI, "/error/message", &rows);
    refused(
        ANTHROPIC,
        "/error/message",
        &[
            (json!({"temperature": "x"}), "temperature: Input should be a valid number"),
            (json!({"system": 3}), "system: Input should be a valid string or list"),
            (json!({"top_k": 1.5}), "top_k: Input should be a valid integer"),
            (json!({"metadata": []}), "metadata: Input should be a valid dictionary"),
        ],
    );
    refused(
        OLLAMA,
        "/error",
        &[
            (json!({"tools": {}}), "cannot unmarshal object into Go struct field ChatRequest.tools"),
            (json!({"think": 3}), "think must be a boolean or string"),
            (json!({"keep_alive": true}), "time: missing unit"),
            (json!({"options": []}), "ChatRequest.options"),
        ],
    );
    refused(
        GEMINI,
        "/error/message",
        &[(json!({"generationConfig": {"topK": "x"}}), "Invalid value at 'generation_config.topK'")],
    );
}

#[test]
fn a_prompt_and_a_request_for_vectors_are_judged_too() {
    let simulator = simulator();
    let vertex = "/v1beta/models/e:batchEmbedContents";
    let one = |more: Value| {
        let mut one = json!({"model": "models/e", "content": {"parts": [{"text": "a"}]}});
        one.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        json!({"requests": [one]})
    };
    for (path, body, status) in [
        ("/api/generate", json!({"model": "m", "prompt": "x", "stream": false}), 200),
        ("/api/generate", json!({"model": "m", "prompt": "x", "images": 3}), 400),
        ("/api/generate", json!({"model": "m", "prompt": "x", "images": ["a b"]}), 400),
        ("/api/generate", json!({"model": "m", "prompt": "x", "raw": "yes"}), 400),
        ("/api/embed", json!({"model": "m", "input": ["a"], "truncate": true}), 200),
        ("/api/embed", json!({"model": "m", "input": ["a", 1]}), 400),
        ("/api/embed", json!({"model": "m", "input": "a", "dimensions": "x"}), 400),
        ("/v1/embeddings", json!({"model": "m", "input": [[1, 2], [3]]}), 200),
        ("/v1/embeddings", json!({"model": "m", "input": [1, 2]}), 200),
        ("/v1/embeddings", json!({"model": "m", "input": ["a", 2]}), 400),
        ("/v1/embeddings", json!({"model": "m", "input": "a", "dimensions": 0}), 400),
        ("/v1/embeddings", json!({"model": "m", "input": "a", "encoding_format": "int8"}), 400),
        (vertex, one(json!({"outputDimensionality": 2})), 200),
        (vertex, one(json!({"dimensions": 2})), 400),
        (vertex, one(json!({"content": {}})), 400),
        (vertex, json!({"requests": []}), 400),
    ] {
        let mut client = Client::to(&simulator);
        client.ask("POST", path, "x-goog-api-key: k\r\n", &body.to_string());
        let answer = client.answer();
        assert_eq!(answer.status, status, "{path} {body}: {}", answer.text());
    }
}

#[test]
fn openai_is_strict_with_schemas_that_are_to_be_followed_strictly() {
    let tool = |schema: Value| json!({"tools": [{"type": "function", "function": {"name": "w", "strict": true, "parameters": schema}}]});
    let answer = |schema: Value| json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "strict": true, "schema": schema}}});
    let good = json!({
        "type": "object", "additionalProperties": false, "required": ["a", "b"],
        "properties": {"a": {"type": "array", "items": {"$ref": "#/$defs/c"}}, "b": {"anyOf": [{"type": "string"}, {"type": "null"}]}},
        "$defs": {"c": {"type": "object", "additionalProperties": false, "properties": {}, "required": []}},
    });
    let changed = |at: &str, value: Value| {
        let mut schema = good.clone();
        *schema.pointer_mut(at).expect(at) = value;
        schema
    };
    let rows = [
        (changed("/additionalProperties", json!(true)), "In context=(), 'additionalProperties' is required"),
        (changed("/required", json!(["a"])), "Missing 'b'"),
        (changed("/type", json!("array")), "schema must be a JSON Schema of 'type: \"object\"'"),
        (changed("/$defs/c", json!({"type": "object"})), "In context=('$defs', 'c')"),
        (changed("/properties/a/items", json!({"type": ["object", "null"]})), "In context=('items',)"),
        (changed("/properties/b/anyOf/0", json!({"properties": {}})), "In context=('anyOf', '0')"),
    ];
    for (schema, words) in rows {
        refused(OPENAI, "/error/message", &[(tool(schema.clone()), words), (answer(schema.clone()), words)]);
        let mut lax = tool(schema.clone());
        lax["tools"][0]["function"]["strict"] = json!(false);
        taken(OPENAI, &[lax]);
        let lax = json!({"tools": [{"type": "function", "name": "w", "parameters": schema}]});
        let mut offer = lax.clone();
        offer["tools"][0]["strict"] = json!(true);
        refused(RESPONSES, "/error/message", &[(offer, words)]);
        taken(RESPONSES, &[lax]);
    }
    taken(OPENAI, &[tool(good.clone()), answer(good)]);
}

#[test]
fn responses_are_strict() {
    let call = json!({"type": "function_call", "call_id": "c", "name": "w", "arguments": "{}"});
    let result = json!({"type": "function_call_output", "call_id": "c", "output": "x"});
    let user = json!({"role": "user", "content": "hi"});
    let with_id = |item: &Value, id: &str| {
        let mut item = item.clone();
        item["id"] = json!(id);
        item
    };
    refused(
        RESPONSES,
        "/error/message",
        &[
            (json!({"messages": []}), "Unsupported parameter: 'messages'"),
            (json!({"max_tokens": 99}), "Try 'max_output_tokens' instead"),
            (json!({"stop": "x"}), "Unsupported parameter: 'stop'"),
            (json!({"input": null}), "Missing required parameter: 'input'"),
            (json!({"max_output_tokens": 15}), "Expected a value >= 16"),
            (json!({"temperature": 3}), "between 0 and 2"),
            (json!({"model": "o3", "temperature": 1}), "not supported with this model"),
            (json!({"previous_response_id": "resp_1"}), "not found"),
            (json!({"tool_choice": "required"}), "must be specified with 'tools'"),
            (json!({"tools": [{"type": "function"}]}), "'tools[0].name'"),
            (json!({"text": {"format": {"type": "json_schema"}}}), "'text.format.name'"),
            (json!({"input": [user, call]}), "No tool output found for function call c"),
            (json!({"input": [user, result]}), "No tool call found"),
            (
                json!({"input": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]}),
                "Invalid value: 'text'",
            ),
            (
                json!({"input": [{"role": "assistant", "content": [{"type": "input_text", "text": "x"}]}]}),
                "'output_text'",
            ),
            (json!({"input": [with_id(&user, "x_1")]}), "begins with 'msg'"),
            (json!({"input": [with_id(&user, &format!("msg_{}", "x".repeat(61)))]}), "begins with 'msg'"),
            (
                json!({"input": [user, {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "other"}]}),
                "could not be verified",
            ),
        ],
    );
    taken(
        RESPONSES,
        &[
            json!({"input": [user, call, result], "max_output_tokens": 16, "store": false, "brand_new": 1}),
            json!({"input": [with_id(&user, &format!("msg_{}", "x".repeat(60)))]}),
            json!({"tools": [{"type": "web_search"}], "temperature": 2}),
        ],
    );
}
