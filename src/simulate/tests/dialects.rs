//! Each dialect as its vendor speaks it.

use super::super::Simulator;
use super::client::*;
use serde_json::{Value, json};

fn expected() -> String {
    Simulator::expected_text("m", "hello there")
}

#[test]
fn openai_answers_whole() {
    let simulator = simulator();
    let answer = hello(&simulator, "/v1/chat/completions", false).json();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["model"], "m");
    assert_eq!(answer["choices"][0]["message"]["content"], json!(expected()));
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    let words = expected().split_whitespace().count();
    assert_eq!(answer["usage"]["prompt_tokens"], 2);
    assert_eq!(answer["usage"]["completion_tokens"], json!(words));
    assert_eq!(answer["usage"]["total_tokens"], json!(words + 2));
}

#[test]
fn openai_streams_role_then_tokens_then_finish_then_done() {
    let simulator = simulator();
    let answer = hello(&simulator, "/v1/chat/completions", true);
    assert!(answer.head.contains("Content-Type: text/event-stream"), "{}", answer.head);
    let frames = answer.json_frames();
    assert_eq!(frames[0]["choices"][0]["delta"]["role"], "assistant");
    assert!(
        frames
            .iter()
            .all(|frame| frame["id"] == frames[0]["id"] && frame["object"] == "chat.completion.chunk")
    );
    assert_eq!(answer.tokens().concat(), expected());
    assert_eq!(frames.last().expect("frames")["choices"][0]["finish_reason"], "stop");
    assert!(frames.iter().all(|frame| frame.get("usage").is_none()));
    assert_eq!(answer.frames().last().map(String::as_str), Some("[DONE]"));
    assert_eq!(answer.chunks, frames.len() + 1);
}

#[test]
fn openai_sends_usage_to_those_who_ask() {
    let simulator = simulator();
    let mut asked = question("m", "hello there", true);
    asked["stream_options"] = json!({"include_usage": true});
    let frames = ask(&simulator, "/v1/chat/completions", &asked).json_frames();
    let last = frames.last().expect("frames");
    assert_eq!(last["choices"], json!([]));
    assert_eq!(last["usage"]["completion_tokens"], json!(expected().split_whitespace().count()));
    assert!(frames[0]["usage"].is_null() && frames[0].get("usage").is_some());
}

#[test]
fn openai_calls_tools_in_fragments() {
    let simulator = simulator();
    let mut asked = question("m", "hi", true);
    let parameters =
        json!({"type": "object", "properties": {"city": {"type": "string"}, "n": {"type": "integer"}}});
    asked["tools"] = json!([{"type": "function", "function": {"name": "weather", "parameters": parameters}}]);
    asked["tool_choice"] = json!("required");
    let frames = ask(&simulator, "/v1/chat/completions", &asked).json_frames();
    let calls: Vec<&Value> = frames
        .iter()
        .map(|frame| &frame["choices"][0]["delta"]["tool_calls"][0])
        .filter(|call| call.is_object())
        .collect();
    assert_eq!(calls[0]["function"], json!({"name": "weather", "arguments": ""}));
    assert!(calls[0]["id"].as_str().is_some_and(|id| id.starts_with("call_")));
    assert!(calls.len() > 2 && calls[1..].iter().all(|call| call.get("id").is_none() && call["index"] == 0));
    let arguments: String =
        calls.iter().map(|call| call["function"]["arguments"].as_str().expect("a fragment")).collect();
    let arguments: Value = serde_json::from_str(&arguments).expect("an object");
    assert_eq!(arguments["n"], 7);
    assert_eq!(frames.last().expect("frames")["choices"][0]["finish_reason"], "tool_calls");
    asked["stream"] = json!(false);
    let whole = ask(&simulator, "/v1/chat/completions", &asked).json();
    let call = &whole["choices"][0]["message"]["tool_calls"][0]["function"];
    assert_eq!(call["arguments"], json!(arguments.to_string()));
    assert!(whole["choices"][0]["message"]["content"].is_null());
}

#[test]
fn openai_embeds_in_floats_and_in_base64() {
    let simulator = simulator();
    let asked = json!({"model": "e", "input": ["one two", "three"], "dimensions": 4});
    let answer = ask(&simulator, "/v1/embeddings", &asked).json();
    assert_eq!(answer["data"][1]["index"], 1);
    assert_eq!(answer["data"][0]["embedding"].as_array().map(Vec::len), Some(4));
    assert_eq!(answer["usage"], json!({"prompt_tokens": 3, "total_tokens": 3}));
    let coded = json!({"model": "e", "input": "one two", "encoding_format": "base64"});
    let coded = ask(&simulator, "/v1/embeddings", &coded).json();
    assert_eq!(coded["data"][0]["embedding"].as_str().map(str::len), Some(44));
}

#[test]
fn anthropic_answers_whole() {
    let simulator = simulator();
    let mut asked = question("m", "hello there", false);
    asked["system"] = json!([{"type": "text", "text": "be brief"}]);
    let answer = ask(&simulator, "/v1/messages", &asked).json();
    assert_eq!(answer["type"], "message");
    assert_eq!(answer["content"], json!([{"type": "text", "text": expected()}]));
    assert_eq!(answer["stop_reason"], "end_turn");
    assert_eq!(answer["usage"]["input_tokens"], 4);
}

#[test]
fn anthropic_streams_its_events_in_order() {
    let simulator = simulator();
    let answer = hello(&simulator, "/v1/messages", true);
    let text = answer.text();
    let events: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let kinds: Vec<Value> = answer.json_frames().iter().map(|frame| frame["type"].clone()).collect();
    assert_eq!(kinds, events.iter().map(|event| json!(event)).collect::<Vec<_>>());
    assert_eq!(events[..3], ["message_start", "content_block_start", "ping"]);
    assert!(events[3..events.len() - 3].iter().all(|event| *event == "content_block_delta"));
    assert_eq!(events[events.len() - 3..], ["content_block_stop", "message_delta", "message_stop"]);
    assert_eq!(answer.tokens().concat(), expected());
    let frames = answer.json_frames();
    assert_eq!(frames[0]["message"]["usage"]["input_tokens"], 2);
    let end = &frames[frames.len() - 2];
    assert_eq!(end["delta"]["stop_reason"], "end_turn");
    assert_eq!(end["usage"]["output_tokens"], json!(answer.tokens().len()));
}

#[test]
fn anthropic_thinks_then_calls_two_tools_each_in_its_block() {
    let simulator = simulator();
    let mut asked = question("m", "[[tool]] and [[tool]]", true);
    asked["tools"] =
        json!([{"name": "a", "input_schema": {"type": "object", "properties": {"x": {"type": "number"}}}}]);
    asked["thinking"] = json!({"type": "enabled", "budget_tokens": 1024});
    asked["max_tokens"] = json!(2048);
    let frames = ask(&simulator, "/v1/messages", &asked).json_frames();
    let starts: Vec<&Value> = frames.iter().filter(|frame| frame["type"] == "content_block_start").collect();
    let kinds: Vec<&Value> = starts.iter().map(|start| &start["content_block"]["type"]).collect();
    assert_eq!(kinds, ["thinking", "tool_use", "tool_use"]);
    assert_eq!([&starts[0]["index"], &starts[1]["index"], &starts[2]["index"]], [0, 1, 2]);
    assert_eq!(frames.iter().filter(|frame| frame["type"] == "content_block_stop").count(), 3);
    assert!(frames.iter().any(|frame| frame["delta"]["type"] == "signature_delta"));
    let arguments: String = frames
        .iter()
        .filter(|frame| frame["index"] == 2)
        .filter_map(|f| f["delta"]["partial_json"].as_str())
        .collect();
    assert_eq!(arguments, r#"{"x":0.5}"#);
    assert_eq!(frames[frames.len() - 2]["delta"]["stop_reason"], "tool_use");
}

#[test]
fn anthropic_counts_tokens_and_lists_models() {
    let simulator = simulator();
    let asked = json!({"model": "m", "messages": [{"role": "user", "content": "one two three"}]});
    assert_eq!(ask(&simulator, "/v1/messages/count_tokens", &asked).json(), json!({"input_tokens": 3}));
    let mut client = Client::to(&simulator);
    client.ask("GET", "/v1/models", ANTHROPIC, "");
    assert_eq!(client.answer().json()["data"][0]["type"], "model");
    client.ask("GET", "/v1/models", "", "");
    assert_eq!(client.answer().json()["object"], "list");
}

#[test]
fn ollama_streams_unless_told_not_to() {
    let simulator = simulator();
    let mut asked = question("m", "hello there", true);
    asked.as_object_mut().expect("an object").remove("stream");
    let answer = ask(&simulator, "/api/chat", &asked);
    assert!(answer.head.contains("application/x-ndjson"));
    assert_eq!(answer.tokens().concat(), expected());
    let frames = answer.json_frames();
    let (last, before) = frames.split_last().expect("frames");
    assert!(before.iter().all(|frame| frame["done"] == false));
    assert_eq!((&last["done"], &last["done_reason"]), (&json!(true), &json!("stop")));
    assert_eq!((&last["prompt_eval_count"], &last["eval_count"]), (&json!(2), &json!(before.len())));
    assert!(last["total_duration"].is_u64() && last["eval_duration"].is_u64());
    let whole = hello(&simulator, "/api/chat", false).json();
    assert_eq!(whole["message"]["content"], json!(expected()));
    assert_eq!(whole["done"], true);
}

#[test]
fn ollama_calls_tools_whole_and_generates_and_loads() {
    let simulator = simulator();
    let mut asked = question("m", "[[tool]]", true);
    asked["tools"] =
        json!([{"type": "function", "function": {"name": "t", "parameters": {"type": "object"}}}]);
    let frames = ask(&simulator, "/api/chat", &asked).json_frames();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[0]["message"]["tool_calls"][0]["function"]["name"], "t");
    assert_eq!(frames[0]["message"]["tool_calls"][0]["function"]["arguments"], json!({}));
    let prompt = json!({"model": "m", "prompt": "hello there"});
    assert_eq!(ask(&simulator, "/api/generate", &prompt).tokens().concat(), expected());
    let load = ask(&simulator, "/api/chat", &json!({"model": "m", "stream": false})).json();
    assert_eq!((&load["done_reason"], &load["message"]["content"]), (&json!("load"), &json!("")));
}

#[test]
fn ollama_embeds_and_tells_about_itself() {
    let simulator = simulator();
    simulator.behave_model("mine", "ok");
    let embedded = ask(&simulator, "/api/embed", &json!({"model": "e", "input": ["a", "b c"]})).json();
    assert_eq!(embedded["embeddings"].as_array().map(Vec::len), Some(2));
    assert_eq!(embedded["prompt_eval_count"], 3);
    let shown = ask(&simulator, "/api/show", &json!({"model": "m"})).json();
    assert!(shown["model_info"]["llama.context_length"].is_u64());
    let mut client = Client::to(&simulator);
    for (path, field) in [("/api/tags", "models"), ("/api/version", "version"), ("/api/ps", "models")] {
        client.ask("GET", path, "", "");
        let answer = client.answer().json();
        assert!(!answer[field].is_null(), "{path}");
        assert!(field != "models" || answer.to_string().contains("mine"));
    }
    client.ask("GET", "/", "", "");
    assert_eq!(client.answer().text(), "Ollama is running");
}

#[test]
fn every_dialect_refuses_what_its_vendor_refuses_in_its_own_shape() {
    let simulator = simulator();
    let mut client = Client::to(&simulator);
    let messages = json!([{"role": "user", "content": "x"}]);
    let wrong_role = json!([{"role": "robot", "content": "x"}]);
    let cases = [
        ("/v1/chat/completions", "{".to_owned(), 400),
        ("/v1/chat/completions", json!({"model": "m"}).to_string(), 400),
        ("/v1/chat/completions", json!({"model": "m", "messages": wrong_role}).to_string(), 400),
        ("/v1/messages", "nope".to_owned(), 400),
        ("/v1/messages", json!({"model": "m", "messages": messages}).to_string(), 400),
        ("/v1/messages", json!({"model": "m", "max_tokens": 5}).to_string(), 400),
        ("/v1/messages", json!({"model": "m", "max_tokens": 5, "messages": wrong_role}).to_string(), 400),
        ("/api/chat", "]".to_owned(), 400),
        ("/api/chat", json!({"messages": messages}).to_string(), 400),
        ("/api/chat", json!({"model": "m", "messages": wrong_role}).to_string(), 400),
        ("/api/nonsense", "{}".to_owned(), 404),
        ("/v1/nonsense", "{}".to_owned(), 404),
    ];
    for (path, body, status) in cases {
        client.ask("POST", path, if path == "/v1/messages" { ANTHROPIC } else { "" }, &body);
        let answer = client.answer();
        assert_eq!((answer.status, answer.how), (status, How::Complete), "{path} {body}");
        let error = answer.json();
        let message = match path {
            "/v1/messages" => {
                assert_eq!(error["type"], "error");
                &error["error"]["message"]
            }
            path if path.starts_with("/api") => &error["error"],
            _ => &error["error"]["message"],
        };
        assert!(message.as_str().is_some_and(|message| !message.is_empty()), "{error}");
    }
}

#[test]
fn anthropic_wants_key_and_version() {
    let simulator = simulator();
    let mut client = Client::to(&simulator);
    let body = question("m", "x", false).to_string();
    for (headers, status, kind) in [
        ("anthropic-version: 2023-06-01\r\n", 401, "authentication_error"),
        ("x-api-key: k\r\n", 400, "invalid_request_error"),
    ] {
        client.ask("POST", "/v1/messages", headers, &body);
        let answer = client.answer();
        assert_eq!(answer.status, status);
        assert_eq!(answer.json()["error"]["type"], kind);
    }
    let mut spaced = question("m", "x", false);
    let prefill = json!({"role": "assistant", "content": "You said "});
    spaced["messages"].as_array_mut().expect("messages").push(prefill);
    assert_eq!(ask(&simulator, "/v1/messages", &spaced).status, 400);
}

#[test]
fn a_wrong_key_is_refused_in_every_dialect() {
    let simulator = simulator();
    simulator.require_key(Some("right"));
    let mut client = Client::to(&simulator);
    let body = question("m", "x", false).to_string();
    for (path, name, prefix) in [
        ("/v1/chat/completions", "Authorization", "Bearer "),
        ("/v1/messages", "anthropic-version: 1\r\nx-api-key", ""),
        ("/api/chat", "Authorization", "Bearer "),
    ] {
        for (key, status) in [("wrong", 401), ("right", 200)] {
            client.ask("POST", path, &format!("{name}: {prefix}{key}\r\n"), &body);
            assert_eq!(client.answer().status, status, "{path} {key}");
        }
    }
    client.ask("POST", "/v1/chat/completions", "", &body);
    assert_eq!(client.answer().status, 401);
}

#[test]
fn a_stream_cut_at_one_provider_is_finished_exactly_at_another() {
    let (first, second) = (behaving("cut_after=5"), simulator());
    for path in CHATS {
        let cut = hello(&first, path, true).tokens().concat();
        for instruction in [None, Some("please go on")] {
            let mut asked = question("other", "hello there", true);
            let messages = asked["messages"].as_array_mut().expect("messages");
            messages.push(json!({"role": "assistant", "content": cut}));
            if let Some(instruction) = instruction {
                messages.push(json!({"role": "user", "content": instruction}));
            }
            let rest = ask(&second, path, &asked).tokens().concat();
            assert_eq!(format!("{cut}{rest}"), Simulator::expected_text("other", "hello there"));
        }
    }
}

#[test]
fn the_bound_on_output_is_kept_in_every_dialect() {
    let simulator = simulator();
    let mut asked = question("m", "hello there", false);
    asked["max_tokens"] = json!(4);
    for (path, place, word) in [
        (CHATS[0], "/choices/0/finish_reason", "length"),
        (CHATS[1], "/stop_reason", "max_tokens"),
        (CHATS[2], "/done_reason", "length"),
    ] {
        if path == CHATS[2] {
            asked["options"] = json!({"num_predict": 4});
        }
        let answer = ask(&simulator, path, &asked).json();
        assert_eq!(answer.pointer(place), Some(&json!(word)), "{path}");
    }
}
