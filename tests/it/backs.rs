//! Every front before every back: what a caller says arrives as the vendor wants it, and comes back as he expects.
//!
//! The simulated providers refuse what the real ones refuse, so a 200 says that the translation was legal.

use crate::rig::caller::Answer;
use crate::rig::{CHAT, PATIENCE, Rig};
use hapax::simulate::Simulator;
use serde_json::{Value, json};
use std::time::Duration;

const MESSAGES: &str = "/v1/messages";
const FRONTS: [&str; 2] = [CHAT, MESSAGES];
const BACKS: [&str; 5] = ["openai_compatible", "anthropic", "ollama", "gemini", "azure"];
const PIXEL: &str = "iVBORw0KGgo=";

/// What a caller hears, whatever the dialect.
#[derive(Debug, Default)]
struct Heard {
    text: String,
    reasoning: String,
    /// The caller's own form of everything said, to be sent back in the next turn.
    turn: Value,
    /// Id, name and arguments.
    calls: Vec<(String, String, Value)>,
    stop: String,
    tokens: (u64, u64),
}

fn heard(front: &str, stream: bool, answer: &Answer) -> Heard {
    assert_eq!(answer.status, 200, "{}", answer.text());
    let message = match (front == CHAT, stream) {
        (true, false) => answer.json(),
        (true, true) => chat_of_chunks(answer),
        (false, false) => answer.json(),
        (false, true) => message_of_events(answer),
    };
    if front == CHAT { of_chat(&message) } else { of_message(&message) }
}

fn of_chat(answer: &Value) -> Heard {
    let (choice, usage) = (&answer["choices"][0], &answer["usage"]);
    let message = &choice["message"];
    let call = |call: &Value| {
        let arguments = call["function"]["arguments"].as_str().expect("text");
        let arguments = serde_json::from_str(arguments).expect("an object");
        (string(&call["id"]), string(&call["function"]["name"]), arguments)
    };
    Heard {
        text: string(&message["content"]),
        reasoning: string(&message["reasoning_content"]),
        turn: message.clone(),
        calls: message["tool_calls"].as_array().into_iter().flatten().map(call).collect(),
        stop: string(&choice["finish_reason"]),
        tokens: (number(&usage["prompt_tokens"]), number(&usage["completion_tokens"])),
    }
}

fn of_message(answer: &Value) -> Heard {
    let blocks = answer["content"].as_array().expect("content");
    let all = |kind: &str, field: &str| -> String {
        blocks.iter().filter(|block| block["type"] == kind).map(|block| string(&block[field])).collect()
    };
    let calls = blocks.iter().filter(|block| block["type"] == "tool_use");
    let word = string(&answer["stop_reason"]);
    Heard {
        text: all("text", "text"),
        reasoning: all("thinking", "thinking"),
        turn: json!({"role": "assistant", "content": blocks}),
        calls: calls
            .map(|call| (string(&call["id"]), string(&call["name"]), call["input"].clone()))
            .collect(),
        stop: match word.as_str() {
            "end_turn" => "stop".to_owned(),
            "max_tokens" => "length".to_owned(),
            "tool_use" => "tool_calls".to_owned(),
            _ => word,
        },
        tokens: (number(&answer["usage"]["input_tokens"]), number(&answer["usage"]["output_tokens"])),
    }
}

fn string(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or_default()
}

/// The whole answer that an OpenAI stream tells.
fn chat_of_chunks(answer: &Answer) -> Value {
    assert!(answer.is_done(), "{}", answer.text());
    let mut message = json!({"role": "assistant", "content": "", "reasoning_content": ""});
    let (mut calls, mut details): (Vec<Value>, Vec<Value>) = (Vec::new(), Vec::new());
    let (mut finish, mut usage) = (Value::Null, Value::Null);
    for data in answer.events().iter().filter(|data| *data != "[DONE]") {
        let chunk: Value = serde_json::from_str(data).expect("JSON");
        if chunk["usage"].is_object() {
            usage = chunk["usage"].clone();
        }
        let choice = &chunk["choices"][0];
        if !choice["finish_reason"].is_null() {
            finish = choice["finish_reason"].clone();
        }
        for name in ["content", "reasoning_content"] {
            message[name] = json!(string(&message[name]) + &string(&choice["delta"][name]));
        }
        details.extend(choice["delta"]["reasoning_details"].as_array().into_iter().flatten().cloned());
        for part in choice["delta"]["tool_calls"].as_array().into_iter().flatten() {
            let index = usize::try_from(number(&part["index"])).expect("small");
            if index == calls.len() {
                calls.push(part.clone());
            } else {
                let before = string(&calls[index]["function"]["arguments"]);
                calls[index]["function"]["arguments"] =
                    json!(before + &string(&part["function"]["arguments"]));
            }
        }
    }
    for call in &mut calls {
        call.as_object_mut().expect("a call").remove("index");
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    if !details.is_empty() {
        message["reasoning_details"] = json!(details);
    }
    json!({"choices": [{"message": message, "finish_reason": finish}], "usage": usage})
}

/// The whole message that an Anthropic stream tells.
fn message_of_events(answer: &Answer) -> Value {
    assert!(answer.whole);
    let events: Vec<Value> =
        answer.events().iter().map(|data| serde_json::from_str(data).expect("JSON")).collect();
    assert_eq!(events.last().expect("events")["type"], "message_stop");
    let mut blocks: Vec<Value> = Vec::new();
    let mut inputs: Vec<String> = Vec::new();
    let (mut stop, mut usage) = (Value::Null, json!({}));
    for event in &events {
        let counted = if event["usage"].is_object() { &event["usage"] } else { &event["message"]["usage"] };
        for (name, count) in counted.as_object().into_iter().flatten() {
            usage[name] = count.clone();
        }
        match event["type"].as_str() {
            Some("content_block_start") => {
                blocks.push(event["content_block"].clone());
                inputs.push(String::new());
            }
            Some("content_block_delta") => {
                let index = usize::try_from(number(&event["index"])).expect("small");
                for name in ["text", "thinking", "signature"] {
                    if let Some(more) = event["delta"][name].as_str() {
                        blocks[index][name] = json!(string(&blocks[index][name]) + more);
                    }
                }
                inputs[index] += event["delta"]["partial_json"].as_str().unwrap_or_default();
            }
            Some("message_delta") => stop = event["delta"]["stop_reason"].clone(),
            _ => {}
        }
    }
    for (block, input) in blocks.iter_mut().zip(&inputs).filter(|(block, _)| block["type"] == "tool_use") {
        block["input"] =
            serde_json::from_str(if input.is_empty() { "{}" } else { input }).expect("an object");
    }
    json!({"content": blocks, "stop_reason": stop, "usage": usage})
}

/// A request in the front's words; `more` is merged into it.
fn request(front: &str, stream: bool, messages: Value, more: Value) -> Value {
    let mut body = json!({"messages": messages, "stream": stream});
    if front == MESSAGES {
        body["max_tokens"] = json!(3000);
    } else if stream {
        body["stream_options"] = json!({"include_usage": true});
    }
    for (name, value) in more.as_object().into_iter().flatten() {
        body[name] = value.clone();
    }
    body
}

fn says(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

/// Runs a check for each front, back and way to answer.
fn everywhere(check: impl Fn(&Rig, &str, &str, bool)) {
    for back in BACKS {
        let rig = Rig::new(&[back]);
        for front in FRONTS {
            for stream in [false, true] {
                check(&rig, front, back, stream);
            }
        }
    }
}

fn expected(text: &str) -> (String, u64) {
    let whole = Simulator::expected_text("model-a", text);
    let tokens = whole.split(' ').count() as u64;
    (whole, tokens)
}

#[test]
fn text_instructions_stop_reasons_and_usage_cross_every_pair() {
    let (text, tokens) = expected("Name one.");
    everywhere(|rig, front, back, stream| {
        let (messages, more) = if front == CHAT {
            let system = json!({"role": "system", "content": "Be brief."});
            (
                json!([system, {"role": "user", "content": "Name one."}]),
                json!({"temperature": 0.5, "stop": ["END"]}),
            )
        } else {
            (says("Name one."), json!({"system": "Be brief.", "temperature": 0.5, "stop_sequences": ["END"]}))
        };
        let answer = rig.post(front, &request(front, stream, messages, more).to_string());
        let heard = heard(front, stream, &answer);
        assert_eq!(
            (heard.text.as_str(), heard.stop.as_str()),
            (text.as_str(), "stop"),
            "{front} {back} {stream}"
        );
        assert_eq!(heard.tokens, (4, tokens), "{front} {back} {stream}");
        let seen = rig.asked(0).pop().expect("asked");
        for said in ["Be brief.", "Name one.", "END", "0.5"] {
            assert!(seen.text().contains(said), "{said} from {front} to {back}: {}", seen.text());
        }
        assert_eq!(answer.header("x-hapax-dropped-params"), None, "{front} {back}");
    });
}

#[test]
fn the_bound_on_output_ends_an_answer_as_length_everywhere() {
    everywhere(|rig, front, back, stream| {
        let body = request(front, stream, says("Name one."), json!({"max_tokens": 4}));
        let heard = heard(front, stream, &rig.post(front, &body.to_string()));
        assert_eq!((heard.stop.as_str(), heard.tokens.1), ("length", 4), "{front} {back} {stream}");
    });
}

/// The tool in the front's words, and the wish that it be called.
fn with_tool(front: &str, forced: bool) -> Value {
    let schema = json!({
        "$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "additionalProperties": false,
        "properties": {
            "city": {"type": "string", "const": "Oslo"}, "days": {"type": ["integer", "null"]},
            "where": {"$ref": "#/$defs/where"},
        },
        "$defs": {"where": {"type": "object", "properties": {"x": {"type": "number"}}}},
        "required": ["city"],
    });
    if front == CHAT {
        let function = json!({"name": "weather", "description": "Looks out.", "parameters": schema});
        let mut more = json!({"tools": [{"type": "function", "function": function}]});
        if forced {
            more["tool_choice"] = json!("required");
        }
        more
    } else {
        let mut more =
            json!({"tools": [{"name": "weather", "description": "Looks out.", "input_schema": schema}]});
        if forced {
            more["tool_choice"] = json!({"type": "any"});
        }
        more
    }
}

fn results(front: &str, heard: &Heard) -> Value {
    let result = |id: &str| {
        if front == CHAT {
            json!({"role": "tool", "tool_call_id": id, "content": "rain"})
        } else {
            json!({"type": "tool_result", "tool_use_id": id, "content": "rain"})
        }
    };
    // In the other order: results say themselves whose they are.
    let all: Vec<Value> = heard.calls.iter().rev().map(|(id, ..)| result(id)).collect();
    if front == CHAT { json!(all) } else { json!([{"role": "user", "content": all}]) }
}

/// Two calls, their results, and the answer to them.
fn tools_round_trip(rig: &Rig, place: (&str, &str, bool), model: Value) {
    begun_and_ended((rig, rig), place, model);
}

/// Two calls of one provider's model, and the answer to their results by another's.
fn begun_and_ended((first_rig, rig): (&Rig, &Rig), (front, back, stream): (&str, &str, bool), model: Value) {
    let asked = json!({"role": "user", "content": "Look [[tool]] and [[tool]]"});
    let mut more = with_tool(front, false);
    if !model.is_null() {
        more["model"] = model;
    }
    let body = request(front, stream, json!([asked]), more.clone());
    let first = heard(front, stream, &first_rig.post(front, &body.to_string()));
    assert_eq!((first.calls.len(), first.stop.as_str()), (2, "tool_calls"), "{front} {back} {stream}");
    for (id, name, arguments) in &first.calls {
        assert!(!id.is_empty() && name == "weather", "{front} {back}");
        assert_eq!((&arguments["city"], &arguments["days"]), (&json!("Oslo"), &json!(7)), "{front} {back}");
    }
    assert_ne!(first.calls[0].0, first.calls[1].0, "{front} {back}");
    let mut messages = vec![asked, first.turn.clone()];
    messages.extend(results(front, &first).as_array().expect("a list").iter().cloned());
    let body = request(front, stream, json!(messages), more);
    let second = heard(front, stream, &rig.post(front, &body.to_string()));
    assert_eq!((second.calls.len(), second.stop.as_str()), (0, "stop"), "{front} {back} {stream}");
    assert!(second.text.contains("calm answer"), "{}", second.text);
    assert!(rig.asked(0).pop().expect("asked").text().contains("rain"), "{front} {back}");
}

#[test]
fn tools_are_called_answered_and_the_answer_comes_everywhere() {
    everywhere(|rig, front, back, stream| tools_round_trip(rig, (front, back, stream), Value::Null));
}

#[test]
fn a_conversation_begun_at_one_vendor_goes_on_at_any_other() {
    for back in BACKS {
        let first = Rig::with(&[back], "models: {any: [a/gemini-3-pro]}\n");
        first.behave(0, "reasoning=3");
        for next in BACKS {
            let second = Rig::with(&[next], "models: {any: [a/gemini-3-pro]}\n");
            for front in FRONTS {
                begun_and_ended((&first, &second), (front, next, false), json!("any"));
            }
        }
    }
}

#[test]
fn a_thoughts_signature_returns_to_the_model_that_insists_on_it() {
    let rig = Rig::with(&["gemini"], "models: {newest: [a/gemini-3-pro-preview]}\n");
    for front in FRONTS {
        for stream in [false, true] {
            tools_round_trip(&rig, (front, "gemini", stream), json!("newest"));
            let seen = rig.asked(0).pop().expect("asked");
            let parts = &seen.json()["contents"][1]["parts"];
            assert_eq!(parts[0]["thoughtSignature"], "c2ltdWxhdGVkLXRob3VnaHQ=", "{front} {stream}: {parts}");
        }
    }
}

#[test]
fn a_tool_can_be_forced_where_the_vendor_can_force() {
    everywhere(|rig, front, back, stream| {
        let body = request(front, stream, says("Look"), with_tool(front, true));
        let answer = rig.post(front, &body.to_string());
        if back == "ollama" {
            assert_eq!(answer.header("x-hapax-dropped-params"), Some("tool_choice"), "{front}");
        } else {
            assert_eq!(heard(front, stream, &answer).calls.len(), 1, "{front} {back} {stream}");
        }
    });
}

#[test]
fn images_travel_as_data_and_by_address_only_where_addresses_are_taken() {
    everywhere(|rig, front, back, stream| {
        let (data, address) = if front == CHAT {
            (
                json!({"type": "image_url", "image_url": {"url": format!("data:image/png;base64,{PIXEL}")}}),
                json!({"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}),
            )
        } else {
            (
                json!({"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}),
                json!({"type": "image", "source": {"type": "url", "url": "https://example.org/a.png"}}),
            )
        };
        let show = |image: Value| {
            let content = json!([{"type": "text", "text": "Name one."}, image]);
            let messages = json!([{"role": "user", "content": content}]);
            rig.post(front, &request(front, stream, messages, json!({})).to_string())
        };
        assert_eq!(heard(front, stream, &show(data)).text, expected("Name one.").0, "{front} {back}");
        assert!(rig.asked(0).pop().expect("asked").text().contains(PIXEL));
        let by_address = show(address);
        let wanted = if matches!(back, "ollama" | "gemini") { 400 } else { 200 };
        assert_eq!(by_address.status, wanted, "{front} {back}: {}", by_address.text());
    });
}

#[test]
fn a_structured_answer_is_an_object_of_its_schema_everywhere() {
    let schema = json!({
        "type": "object", "additionalProperties": false, "required": ["city", "days"],
        "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    });
    everywhere(|rig, front, back, stream| {
        let more = if front == CHAT {
            json!({"response_format": {"type": "json_schema", "json_schema": {"name": "place", "schema": schema, "strict": true}}})
        } else {
            json!({"output_config": {"format": {"type": "json_schema", "schema": schema}}})
        };
        let body = request(front, stream, says("Name one."), more);
        let heard = heard(front, stream, &rig.post(front, &body.to_string()));
        let object: Value = serde_json::from_str(&heard.text)
            .unwrap_or_else(|_| panic!("{front} {back} {stream}: {}", heard.text));
        assert_eq!(
            (object["days"].clone(), heard.stop.as_str()),
            (json!(7), "stop"),
            "{front} {back} {stream}"
        );
        assert!(object["city"].is_string() && heard.calls.is_empty(), "{front} {back}");
    });
}

#[test]
fn reasoning_is_asked_for_in_every_vendors_way_and_heard() {
    everywhere(|rig, front, back, stream| {
        rig.behave(0, "reasoning=3");
        let more = if front == CHAT {
            json!({"reasoning_effort": "low", "max_completion_tokens": 3000})
        } else {
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}})
        };
        let body = request(front, stream, says("Name one."), more);
        let heard = heard(front, stream, &rig.post(front, &body.to_string()));
        assert_eq!(heard.reasoning, "Let me think.", "{front} {back} {stream}");
        assert_eq!(heard.text, expected("Name one.").0, "{front} {back} {stream}");
        let mark = match back {
            "anthropic" => "\"thinking\":{",
            "ollama" => "\"think\":true",
            "gemini" => "\"thinkingLevel\":\"low\"",
            _ => return,
        };
        let sent = rig.asked(0).pop().expect("asked").text();
        assert!(sent.contains(mark), "{front} {back}: {sent}");
    });
}

#[test]
fn azure_is_addressed_by_deployment_and_hears_every_byte() {
    let each = ", api_version: '2024-10-21', deployments: {model-a: 'four-o'}";
    let rig = Rig::built(&["azure"], each, "");
    let body = r#"{ "model":"model-a", "messages":[{"role":"user","content":"Hello"}], "x_tomorrow" : {"a":[1, 2]} }"#;
    assert_eq!(rig.post(CHAT, body).status, 200);
    let seen = rig.asked(0).pop().expect("asked");
    assert_eq!(seen.path, "/openai/deployments/four-o/chat/completions?api-version=2024-10-21");
    assert_eq!((seen.header("api-key"), seen.header("authorization")), (Some("sk-a"), None));
    assert!(seen.text().contains(r#""x_tomorrow":{"a":[1, 2]}"#), "{}", seen.text());
    let plain = Rig::new(&["azure"]);
    assert_eq!(plain.post(CHAT, body).status, 200);
    let seen = plain.asked(0).pop().expect("asked");
    assert_eq!((seen.path.as_str(), seen.text().as_str()), ("/openai/v1/chat/completions", body));
}

#[test]
fn a_prompt_that_a_vendor_blocks_is_the_callers_and_nobody_else_is_asked() {
    for back in BACKS.into_iter().filter(|back| *back != "ollama") {
        let rig = Rig::new(&[back, "openai_compatible"]);
        rig.behave(0, "content_policy");
        for stream in [false, true] {
            let body = request(CHAT, stream, says("Hello"), json!({"model": "a-1"}));
            let answer = rig.post(CHAT, &body.to_string());
            assert_eq!(answer.status, 400, "{back}: {}", answer.text());
            assert!(rig.asked(1).is_empty(), "{back}");
        }
    }
}

#[test]
fn every_back_fails_over_and_is_continued_by_every_other() {
    let whole = expected("Hello").0;
    let whole = whole.strip_suffix("model-a.").expect("it says who answers").to_owned();
    for (back, next) in BACKS.iter().flat_map(|back| BACKS.iter().map(move |next| (back, next))) {
        let rig = Rig::new(&[back, next]);
        rig.behave(0, "cut_after=4");
        let answer = rig.post(CHAT, &request(CHAT, true, says("Hello"), json!({})).to_string());
        assert_eq!(answer.said(), format!("{whole}model-b."), "{back} then {next}");
        assert!(answer.is_done(), "{back} then {next}");
    }
}

#[test]
fn a_parameter_the_model_does_not_take_is_dropped_and_named_and_tried_once_in_ten_minutes() {
    let rows = [
        (CHAT, "openai_compatible", "seed", json!({"seed": 7}), "seed"),
        (CHAT, "azure", "temperature", json!({"temperature": 0.5}), "temperature"),
        (CHAT, "anthropic", "temperature", json!({"temperature": 0.5}), "temperature"),
        (MESSAGES, "anthropic", "top_k", json!({"top_k": 5}), "top_k"),
        (
            MESSAGES,
            "anthropic",
            "thinking",
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            "thinking",
        ),
        (
            MESSAGES,
            "ollama",
            "think",
            json!({"thinking": {"type": "enabled", "budget_tokens": 1024}}),
            "think",
        ),
        (CHAT, "gemini", "thinkingConfig", json!({"reasoning_effort": "low"}), "thinkingConfig"),
    ];
    for (front, back, refused, more, named) in rows {
        let rig = Rig::new(&[back]);
        rig.behave(0, &format!("refuses={refused}"));
        for (stream, times) in [(false, 2), (true, 1), (false, 1), (true, 2), (false, 1)] {
            if (stream, times) == (true, 2) {
                rig.advance(Duration::from_secs(600));
            }
            let asked = rig.asked(0).len();
            let answer = rig.post(front, &request(front, stream, says("Hello"), more.clone()).to_string());
            assert_eq!(heard(front, stream, &answer).text, expected("Hello").0, "{front} {back}");
            assert_eq!(answer.header("x-hapax-dropped-params"), Some(named), "{front} {back}");
            assert_eq!(rig.asked(0).len(), asked + times, "{front} {back} {stream}");
        }
    }
}

#[test]
fn several_refused_parameters_are_left_out_within_one_request_and_remembered() {
    let names = ["seed", "user", "store", "verbosity", "service_tier"];
    let more = json!({"seed": 1, "user": "u", "store": true, "verbosity": "low", "service_tier": "auto"});
    let body = request(CHAT, false, says("Hello"), more).to_string();
    for (refused, status) in [(4, 200), (5, 400)] {
        let rig = Rig::new(&["openai_compatible"]);
        rig.behave(
            0,
            &names[..refused].iter().map(|name| format!("refuses={name}")).collect::<Vec<_>>().join(","),
        );
        let answer = rig.post(CHAT, &body);
        assert_eq!((answer.status, rig.asked(0).len()), (status, 5), "{}", answer.text());
        if status == 200 {
            assert_eq!(answer.header("x-hapax-dropped-params"), Some("seed, user, store, verbosity"));
            assert_eq!((rig.post(CHAT, &body).status, rig.asked(0).len()), (200, 6), "it is known now");
        }
    }
}

#[test]
fn a_beginning_that_is_refused_becomes_a_wish() {
    let rig = Rig::new(&["anthropic"]);
    rig.behave(0, "no_prefill");
    let messages =
        json!([{"role": "user", "content": "Hello"}, {"role": "assistant", "content": "You said"}]);
    let answer = rig.post(MESSAGES, &request(MESSAGES, false, messages, json!({})).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-hapax-dropped-params"), Some("prefill"));
}

#[test]
fn a_callers_beta_travels_to_anthropic_alone() {
    let headers = [("anthropic-beta", "context-1m-2025-08-07"), ("anthropic-version", "2099-01-01")];
    let body = request(MESSAGES, false, says("Hello"), json!({})).to_string();
    let to = |back: &str, path: &str| {
        let rig = Rig::new(&[back]);
        assert_eq!(rig.ask("POST", path, &headers, &body).status, 200);
        let seen = rig.asked(0).pop().expect("asked");
        let header = |name: &str| seen.header(name).map(str::to_owned);
        (header("anthropic-beta"), header("anthropic-version"))
    };
    let own = (Some("context-1m-2025-08-07".to_owned()), Some("2099-01-01".to_owned()));
    assert_eq!(to("anthropic", MESSAGES), own);
    assert_eq!(to("openai_compatible", MESSAGES), (None, None));
    assert_eq!(to("anthropic", CHAT), (None, Some("2023-06-01".to_owned())));
}

#[test]
fn geminis_key_is_never_in_the_address() {
    let rig = Rig::new(&["gemini"]);
    for stream in [false, true] {
        let body = request(CHAT, stream, says("Hello"), json!({}));
        assert_eq!(rig.post(CHAT, &body.to_string()).status, 200);
        let seen = rig.asked(0).pop().expect("asked");
        assert!(!seen.path.contains("sk-a"), "{}", seen.path);
        assert_eq!(seen.header("x-goog-api-key"), Some("sk-a"));
    }
}

#[test]
fn a_known_quirk_is_met_before_the_provider_complains() {
    let rig = Rig::new(&["mistral"]);
    let more = json!({"seed": 7, "max_completion_tokens": 50, "model": "a-1"});
    let answer = rig.post(CHAT, &request(CHAT, true, says("Hello"), more).to_string());
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-hapax-dropped-params"), Some("seed"));
    let sent = rig.asked(0).pop().expect("asked").json();
    assert_eq!((&sent["max_tokens"], rig.asked(0).len()), (&json!(50), 1));
    assert!(sent.get("stream_options").is_none() && sent.get("max_completion_tokens").is_none(), "{sent}");
}

#[test]
fn requests_with_different_betas_do_not_share_one_call() {
    let rig = Rig::new(&["anthropic"]);
    rig.behave(0, "hold");
    let body = request(MESSAGES, false, says("Hello"), json!({})).to_string();
    std::thread::scope(|scope| {
        for beta in ["one", "two"] {
            let (rig, body) = (&rig, &body);
            scope.spawn(move || rig.ask("POST", MESSAGES, &[("anthropic-beta", beta)], body));
        }
        let seen = rig.provider(0).wait_for(2, PATIENCE).len();
        rig.provider(0).gate().open();
        assert_eq!(seen, 2);
    });
}

#[test]
fn ollama_hears_seconds_as_numbers() {
    for (written, sent) in [("-1", json!(-1)), ("300", json!(300)), ("5m", json!("5m"))] {
        let rig = Rig::built(&["ollama"], &format!(", keep_alive: {written}"), "");
        assert_eq!(rig.chat().status, 200);
        assert_eq!(rig.asked(0).pop().expect("asked").json()["keep_alive"], sent);
    }
}

#[test]
fn reasoning_comes_back_beside_its_calls_where_the_provider_wants_it() {
    for (back, wants) in [("deepseek", true), ("openai_compatible", false)] {
        let rig = Rig::new(&[back]);
        rig.behave(0, "reasoning=3");
        tools_round_trip(&rig, (MESSAGES, back, false), Value::Null);
        let sent = rig.asked(0).pop().expect("asked").text();
        assert_eq!(sent.contains(r#""reasoning_content":"Let me think.""#), wants, "{back}: {sent}");
    }
}

#[test]
fn what_the_operator_says_of_a_provider_decides_what_is_sent() {
    let rig = Rig::built(
        &["anthropic"],
        ", capabilities: {sampling: false, thinking: adaptive, refuses: [metadata]}",
        "",
    );
    let more = json!({"temperature": 0.5, "reasoning_effort": "low", "user": "u1"});
    let answer = rig.post(CHAT, &request(CHAT, false, says("Hello"), more).to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.header("x-hapax-dropped-params"), Some("temperature, metadata"));
    let sent = rig.asked(0).pop().expect("asked").json();
    assert_eq!((&sent["thinking"]["type"], rig.asked(0).len()), (&json!("adaptive"), 1));
}
