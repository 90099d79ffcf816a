//! Responses and the providers that have it: untouched where both speak it, translated where only one does, and one
//! stream whoever goes on with it.

use crate::rig::caller::Answer;
use crate::rig::{CHAT, Rig};
use hapax::simulate::Simulator;
use serde_json::{Value, json};

const RESPONSES: &str = "/v1/responses";
const HELLO: &str = r#"{"input":"Hello"}"#;
/// Words of our own making, in no order a library would write them.
const ODD: &str = r#" {"z" : [1.50, 1e2], "input":"caf\u00e9 \/", "model" : "a-1" ,"tools":[{"type":"web_search"}],"brand_new":{"b":1,"a":2}}"#;

fn events(answer: &Answer) -> Vec<Value> {
    answer.events().iter().map(|data| serde_json::from_str(data).expect("JSON")).collect()
}

/// The text that a stream tells piece by piece.
fn told(events: &[Value]) -> String {
    let deltas = events.iter().filter(|event| event["type"] == "response.output_text.delta");
    deltas.filter_map(|event| event["delta"].as_str()).collect()
}

/// Holds a stream to what every client rests on: numbers without a gap, items that begin, end and stand in the last
/// event as they were told, one id.
fn expect_sound(events: &[Value], story: &str) {
    let mut open: Vec<(u64, String)> = Vec::new();
    let mut done: Vec<Value> = Vec::new();
    for (number, event) in events.iter().enumerate() {
        assert_eq!(event["sequence_number"], number, "{story}");
        let place = event["output_index"].as_u64();
        match event["type"].as_str().unwrap_or_default() {
            "response.output_item.added" => {
                let id = event["item"]["id"].as_str().expect("an id").to_owned();
                assert_eq!(place, Some((open.len() + done.len()) as u64), "{story}");
                open.push((place.unwrap_or_default(), id));
            }
            "response.output_item.done" => {
                let item = event["item"].clone();
                let before = open.len();
                open.retain(|(at, id)| (Some(*at), Some(id.as_str())) != (place, item["id"].as_str()));
                assert_eq!(open.len() + 1, before, "{story}: what ends has begun");
                done.push(item);
            }
            _ if event["item_id"].is_string() => {
                let known = |(at, id): &(u64, String)| Some(*at) == place && event["item_id"] == id.as_str();
                assert!(open.iter().any(known), "{story}: {event}");
            }
            _ => {}
        }
    }
    let last = events.last().expect("it has an end");
    assert_eq!((&last["response"]["output"], open.len()), (&json!(done), 0), "{story}");
    assert_eq!(last["response"]["id"], events[0]["response"]["id"], "{story}");
}

#[test]
fn a_request_goes_to_a_provider_that_has_responses_byte_for_byte_and_so_does_the_answer() {
    let whole = r#"{ "id":"resp_9","object" : "response","status":"completed","created_at":9,"model":"m-9","new":[1.0],"output":[{"type":"web_search_call","id":"ws_1"},{"type":"message","id":"msg_1","content":[{"type":"output_text","text":"x"}]}],"usage":{"input_tokens":3,"output_tokens":4} }"#;
    let stream = "event: response.created\ndata: {\"type\":\"response.created\",\"sequence_number\":7,\"response\":{\"id\":\"resp_9\"}}\n\n\
        event: response.output_item.added\ndata: {\"type\":\"response.output_item.added\",\"sequence_number\":8,\"output_index\":0,\"item\":{\"type\":\"web_search_call\",\"id\":\"ws_1\"}}\n\n\
        event: response.brand_new\ndata: {\"type\":\"response.brand_new\",\"x\": 1.0}\n\n\
        event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"sequence_number\":9,\"output_index\":1,\"delta\":\"x\"}\n\n\
        event: response.completed\ndata: {\"type\":\"response.completed\",\"sequence_number\":12,\"response\":{\"id\":\"resp_9\",\"status\":\"completed\",\"usage\":{\"input_tokens\":3,\"output_tokens\":4}}}\n\n";
    for (kind, path) in [("openai", RESPONSES), ("azure", "/openai/v1/responses")] {
        let rig = Rig::new(&[kind]);
        for (body, said) in [(ODD.to_owned(), whole), (ODD.replacen('{', "{\"stream\":true,", 1), stream)] {
            rig.behave(0, &format!("body={said}"));
            let answer = rig.post(RESPONSES, &body);
            let text = answer.text();
            let heard = text.split(": hapax-attempts").next().unwrap_or_default();
            assert_eq!((answer.status, heard), (200, said), "{kind}");
            let seen = rig.asked(0).pop().expect("it was asked");
            assert_eq!((seen.path.as_str(), seen.text()), (path, body), "{kind}");
        }
        let usage = rig.get("/v1/usage").json();
        assert_eq!((&usage["total"]["input"], &usage["total"]["output"]), (&json!(6), &json!(8)));
    }
}

#[test]
fn azure_is_asked_where_its_version_has_responses() {
    for (version, path) in [
        ("2024-10-21", "/openai/deployments/dep-1/chat/completions?api-version=2024-10-21"),
        ("2025-04-01-preview", "/openai/responses?api-version=2025-04-01-preview"),
    ] {
        let rig =
            Rig::built(&["azure"], &format!(", api_version: {version}, deployments: {{a-1: dep-1}}"), "");
        let answer = rig.post(RESPONSES, r#"{"model":"a-1","input":"Hello"}"#);
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = rig.asked(0).pop().expect("it was asked");
        assert_eq!((seen.path.as_str(), &seen.json()["model"]), (path, &json!("dep-1")));
    }
}

#[test]
fn who_is_not_known_to_have_responses_is_asked_as_chat_and_passed_over_for_what_a_chat_cannot_say() {
    let tool = r#"{"input":"Hello","tools":[{"type":"web_search"}]}"#;
    let rig = Rig::new(&["openai_compatible", "openai"]);
    assert_eq!(rig.post(RESPONSES, HELLO).header("x-hapax-provider"), Some("a"));
    assert_eq!(rig.asked(0)[0].path, CHAT);
    let answer = rig.post(RESPONSES, tool);
    assert_eq!((answer.status, answer.header("x-hapax-provider")), (200, Some("b")));
    assert!(answer.header("x-hapax-attempts").is_some_and(|tries| tries.starts_with("a:untranslatable")));
    assert_eq!(rig.asked(1)[0].path, RESPONSES);
    let alone = Rig::built(&["openai"], ", capabilities: {responses: off}", "");
    let answer = alone.post(RESPONSES, tool);
    assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!("tools[0]")));
    assert!(alone.asked(0).is_empty());
}

#[test]
fn a_server_that_knows_no_responses_is_asked_as_chat_in_the_same_attempt() {
    let rig = Rig::new(&["openai"]);
    for (stream, status) in [(false, 404), (true, 404), (false, 405)] {
        rig.provider(0).script(&[&format!("status={status}"), "ok"]);
        let answer = rig.post(RESPONSES, &json!({"input": "Hello", "stream": stream}).to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let paths: Vec<String> = rig.asked(0).into_iter().map(|seen| seen.path).collect();
        assert_eq!(paths[paths.len() - 2..], [RESPONSES, CHAT]);
    }
    // A model, or an item, that is not there is another matter.
    rig.behave(
        0,
        "status=404,body={\"error\":{\"message\":\"Item with id 'rs_1' not found.\",\"param\":\"input\"}}",
    );
    assert_eq!(rig.post(RESPONSES, HELLO).status, 404);
    assert_eq!(rig.asked(0).pop().expect("asked").path, RESPONSES);
}

#[test]
fn a_model_that_knows_nothing_but_responses_answers_a_chat_all_the_same() {
    let rig = Rig::new(&["openai"]);
    let refusal = "status=404,body={\"error\":{\"message\":\"This model is only supported in v1/responses and not in v1/chat/completions.\",\"param\":\"model\"}}";
    rig.provider(0).script(&[refusal, "ok"]);
    let answer = rig.chat();
    assert_eq!((answer.status, answer.said()), (200, Simulator::expected_text("model-a", "Hello")));
    let paths: Vec<String> = rig.asked(0).into_iter().map(|seen| seen.path).collect();
    assert_eq!(paths, [CHAT, RESPONSES]);
}

#[test]
fn what_needs_a_memory_is_refused_before_anybody_is_asked() {
    let rig = Rig::new(&["openai"]);
    for (field, value) in [
        ("previous_response_id", json!("resp_1")),
        ("conversation", json!("conv_1")),
        ("background", json!(true)),
    ] {
        let mut body = json!({"input": "Hello"});
        body[field] = value;
        let answer = rig.post(RESPONSES, &body.to_string());
        assert_eq!((answer.status, &answer.json()["error"]["param"]), (400, &json!(field)));
    }
    assert!(rig.asked(0).is_empty());
}

#[test]
fn whatever_a_provider_does_in_place_of_a_response_the_next_one_answers() {
    for second in ["openai", "openai_compatible", "anthropic", "ollama", "gemini"] {
        let rig =
            Rig::built(&["openai", second], ", retries: 0", "circuit_breaker: {failure_threshold: 1000}\n");
        for fault in [
            "status=500",
            "status=429",
            "close",
            "garbage",
            "empty",
            "empty=content",
            "error_200",
            "error_after=0",
            "cut_after=0",
            "no_finish,empty=content",
            "insufficient_quota",
            "unknown_model",
            "context_length",
        ] {
            rig.behave(0, fault);
            for stream in [false, true] {
                let answer = rig.post(RESPONSES, &json!({"input": "Hello", "stream": stream}).to_string());
                let story = format!("{fault} before {second}, stream {stream}: {}", answer.text());
                assert_eq!((answer.status, answer.header("x-hapax-provider")), (200, Some("b")), "{story}");
                if stream {
                    expect_sound(&events(&answer), &story);
                }
            }
        }
    }
}

#[test]
fn a_response_that_failed_says_whose_fault_it_was() {
    let rig = Rig::built(&["openai", "anthropic"], ", retries: 0", "");
    let failed = |code: &str| {
        format!(
            r#"body={{"object":"response","status":"failed","output":[],"error":{{"code":"{code}","message":"It went wrong."}}}}"#
        )
    };
    rig.behave(0, &failed("invalid_image_format"));
    let answer = rig.post(RESPONSES, HELLO);
    assert_eq!((answer.status, &answer.json()["error"]["message"]), (400, &json!("It went wrong.")));
    rig.behave(0, "bad_request");
    assert_eq!(rig.post(RESPONSES, HELLO).json()["error"]["param"], "temperature");
    rig.behave(0, &failed("server_error"));
    assert_eq!(
        rig.post(RESPONSES, HELLO).header("x-hapax-attempts").map(|it| it.contains("a:error_in_body")),
        Some(true)
    );
}

#[test]
fn a_stream_of_responses_cut_anywhere_is_one_sound_stream_whoever_goes_on() {
    let whole = Simulator::expected_text("one", "Hello");
    let tokens = whole.split_inclusive(' ').count();
    let body = r#"{"model":"one","input":"Hello","stream":true}"#;
    for (first, second) in [
        ("openai", "openai"),
        ("openai", "openai_compatible"),
        ("openai", "anthropic"),
        ("openai", "ollama"),
        ("azure", "gemini"),
        ("anthropic", "openai"),
    ] {
        let rig = Rig::built(
            &[first, second],
            ", retries: 0",
            "models: {one: [a/one, b/one]}\ncircuit_breaker: {failure_threshold: 1000}\n",
        );
        for cut in 0..=tokens {
            for (broken, manner) in [("cut", "ok"), ("error", "repeats"), ("reset", "repeats=6")] {
                rig.behave(0, &format!("{broken}_after={cut}"));
                rig.behave(1, manner);
                let answer = rig.post(RESPONSES, body);
                let story = format!("{first} to {second}, {broken} after {cut}, {manner}: {}", answer.text());
                let events = events(&answer);
                expect_sound(&events, &story);
                assert_eq!(told(&events), whole, "{story}");
                let last = events.last().expect("an end");
                assert_eq!(last["type"], "response.completed", "{story}");
                let item = last["response"]["output"].as_array().and_then(|output| output.last());
                assert_eq!(item.expect("an item")["content"][0]["text"], whole, "{story}");
            }
        }
        rig.behave(1, "bad_request");
        rig.behave(0, "cut_after=3");
        let answer = rig.post(RESPONSES, body);
        let last = events(&answer).pop().expect("an end");
        assert_eq!(
            (&last["type"], answer.text().contains("completed\"")),
            (&json!("response.failed"), false)
        );
    }
}

#[test]
fn what_breaks_while_a_tool_is_called_ends_as_failed_and_looks_so() {
    let tool = json!({"type": "function", "name": "w", "parameters": {"type": "object", "properties": {"city": {"type": "string"}}}, "strict": false});
    let rig = Rig::built(&["openai", "openai"], ", retries: 0", "");
    rig.behave(0, "cut_after=2");
    let answer =
        rig.post(RESPONSES, &json!({"input": "[[tool]]", "tools": [tool], "stream": true}).to_string());
    let events = events(&answer);
    assert_eq!(events.last().map(|last| last["type"].clone()), Some(json!("response.failed")));
    let numbers: Vec<u64> = events.iter().filter_map(|event| event["sequence_number"].as_u64()).collect();
    assert!(numbers.iter().copied().eq(0..events.len() as u64), "{}", answer.text());
    assert!(rig.asked(1).is_empty());
}

#[test]
fn thoughts_of_another_vendor_stay_out_of_what_goes_on_untouched() {
    let rig = Rig::built(&["anthropic", "openai"], ", retries: 0", "");
    let ask = |input: &Value| {
        rig.post(
            RESPONSES,
            &json!({"input": input, "reasoning": {"effort": "low"}, "max_output_tokens": 4000}).to_string(),
        )
    };
    rig.behave(0, "reasoning=3");
    let first = ask(&json!("Hello")).json();
    assert_eq!(first["output"][0]["type"], "reasoning");
    let mut input = vec![json!({"role": "user", "content": "Hello"})];
    input.extend(first["output"].as_array().expect("output").iter().cloned());
    input.push(json!({"role": "user", "content": "And now?"}));
    // Another turn at the same vendor has them again,
    assert_eq!(ask(&json!(input)).status, 200);
    assert!(rig.asked(0).pop().expect("asked").text().contains("\"thinking\""));
    // and at one who is strict with thoughts, and has not had them, they are not said.
    rig.behave(0, "status=500");
    let answer = ask(&json!(input));
    assert_eq!((answer.status, answer.header("x-hapax-provider")), (200, Some("b")), "{}", answer.text());
    let asked = rig.asked(1).pop().expect("asked").json();
    let kinds: Vec<&Value> =
        asked["input"].as_array().expect("input").iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, [&Value::Null, &json!("message"), &Value::Null]);
}

#[test]
fn where_everything_goes_as_responses_every_front_is_answered() {
    let rig = Rig::built(&["openai"], ", capabilities: {responses: all}", "models: {o3: [a/o3]}\n");
    rig.behave(0, "reasoning=3");
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"], "additionalProperties": false});
    let tool = json!({"type": "function", "function": {"name": "w", "parameters": schema, "strict": true}});
    for stream in [false, true] {
        let body = json!({
            "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "[[tool]]"}],
            "tools": [tool], "stream": stream, "reasoning_effort": "low", "max_tokens": 5, "stop": ["x"], "model": "o3",
        });
        let answer = rig.post(CHAT, &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.header("x-hapax-dropped-params"), Some("max_tokens, stop"));
        let asked = rig.asked(0).pop().expect("asked");
        let sent = asked.json();
        assert_eq!(
            (asked.path.as_str(), &sent["store"], &sent["max_output_tokens"]),
            (RESPONSES, &json!(false), &json!(16))
        );
    }
    let answer = rig.post(CHAT, &json!({"messages": [{"role": "user", "content": "[[tool]]"}], "tools": [tool], "reasoning_effort": "low", "model": "o3"}).to_string()).json();
    let said = &answer["choices"][0]["message"];
    assert_eq!(
        (&said["reasoning_content"], &answer["choices"][0]["finish_reason"]),
        (&json!("Let me think."), &json!("tool_calls"))
    );
    let id = &said["tool_calls"][0]["id"];
    let turn = json!({"messages": [{"role": "user", "content": "[[tool]]"}, said, {"role": "tool", "tool_call_id": id, "content": "sunny"}], "tools": [tool], "model": "o3"});
    assert_eq!(rig.post(CHAT, &turn.to_string()).status, 200);
    let sent = rig.asked(0).pop().expect("asked").json();
    let kinds: Vec<&str> =
        sent["input"].as_array().expect("input").iter().filter_map(|item| item["type"].as_str()).collect();
    assert_eq!(
        kinds,
        ["reasoning", "function_call", "function_call_output"],
        "its own thoughts come back to it"
    );
    let picture = json!({"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": [{"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}, {"type": "text", "text": "Hello"}]}]});
    assert_eq!(rig.post("/v1/messages", &picture.to_string()).status, 200);
    let vectors = rig.post("/v1/embeddings", r#"{"model":"a-v","input":"x"}"#);
    assert_eq!((vectors.status, rig.asked(0).pop().expect("asked").path.as_str()), (200, "/v1/embeddings"));
}

#[test]
fn what_a_rule_takes_out_of_a_stream_of_responses_is_gone_from_every_event_and_the_stream_is_sound() {
    let rules = "redaction: {mode: enforce, rules: [{name: calm, pattern: 'a calm answer', replace: '[calm]', on: answers}]}\n";
    let rig = Rig::with(&["openai"], rules);
    let answer = rig.post(RESPONSES, r#"{"input":"Hello","stream":true}"#);
    let events = events(&answer);
    expect_sound(&events, &answer.text());
    assert!(!answer.text().contains("calm answer"), "{}", answer.text());
    let whole = Simulator::expected_text("model-a", "Hello").replace("a calm answer", "[calm]");
    assert_eq!(told(&events), whole);
    let last = events.last().expect("an end");
    assert_eq!(last["response"]["output"][0]["content"][0]["text"], whole);
    let whole_answer = rig.post(RESPONSES, HELLO).text();
    assert!(whole_answer.contains("[calm]") && !whole_answer.contains("calm answer"));
}
