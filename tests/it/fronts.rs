//! Every front through every provider: what the clients' own tests (`scripts/sdk-check`) do not see from outside.

use crate::rig::Rig;
use hapax::simulate::Simulator;
use serde_json::json;

const KINDS: [&str; 5] = ["openai_compatible", "anthropic", "ollama", "gemini", "azure"];

#[test]
fn responses_and_generate_answer_through_every_dialect() {
    for kind in KINDS {
        let rig = Rig::new(&[kind]);
        let expected = Simulator::expected_text("a-x", "Hello");
        let answer = rig.post("/v1/responses", r#"{"model":"a-x","input":"Hello"}"#).json();
        assert_eq!(answer["output"][0]["content"][0]["text"], expected, "{kind}");
        let answer = rig.post("/api/generate", r#"{"model":"a-x","prompt":"Hello","stream":false}"#).json();
        assert_eq!((&answer["response"], &answer["done"]), (&json!(expected), &json!(true)), "{kind}");
    }
}

#[test]
fn a_stream_cut_after_five_tokens_is_finished_by_the_next_provider_in_every_new_front() {
    for second in KINDS {
        for first in KINDS {
            let rig = Rig::new(&[first, second]);
            rig.behave(0, "cut_after=5");
            let answer = rig.post("/v1/responses", r#"{"input":"Hello","stream":true}"#);
            let text: String = answer
                .events()
                .iter()
                .filter_map(|event| serde_json::from_str::<serde_json::Value>(event).ok())
                .filter(|event| event["type"] == "response.output_text.delta")
                .filter_map(|event| event["delta"].as_str().map(str::to_owned))
                .collect();
            assert_eq!(text, Simulator::expected_text("model-b", "Hello"), "{first} to {second}");
            assert!(answer.text().contains("event: response.completed"), "{first} to {second}");
            let answer = rig.post("/api/generate", r#"{"prompt":"Hello"}"#).text();
            let lines: Vec<serde_json::Value> =
                answer.lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect();
            let text: String = lines.iter().filter_map(|line| line["response"].as_str()).collect();
            assert_eq!(text, Simulator::expected_text("model-b", "Hello"), "{first} to {second}");
            assert_eq!(
                lines.last().map(|line| line["done"].clone()),
                Some(json!(true)),
                "{first} to {second}"
            );
        }
    }
}

#[test]
fn vectors_fail_over_to_those_who_have_the_same_model_and_to_nobody_else() {
    let own = "\nmodels: {embed: [a/model-a, b/same, c/same]}\n";
    let rig = Rig::with(&["openai_compatible", "anthropic", "ollama"], own);
    rig.behave(0, "status=500");
    let answer = rig.post("/v1/embeddings", r#"{"model":"embed","input":["one","two"]}"#);
    assert_eq!(answer.json()["data"].as_array().map(Vec::len), Some(2));
    assert_eq!(answer.header("x-hapax-provider"), Some("c"));
    assert!(answer.header("x-hapax-attempts").is_some_and(|story| story.contains("b:untranslatable")));
    assert!(rig.asked(1).is_empty(), "the provider without vectors was sent something");
    // A model of one provider only: nobody stands in with another.
    let before = rig.asked(2).len();
    let answer = rig.post("/v1/embeddings", r#"{"model":"a-embed","input":"one"}"#);
    assert_eq!((answer.status, rig.asked(2).len()), (502, before));
}

#[test]
fn every_vendor_that_has_vectors_gives_the_same_to_every_front() {
    let vector = |answer: &serde_json::Value, at: &str| answer.pointer(at).cloned().expect("a vector");
    let mut seen = Vec::new();
    for kind in ["openai_compatible", "ollama", "gemini", "azure"] {
        let rig = Rig::new(&[kind]);
        let body = r#"{"model":"a-embed","input":["one","two"],"dimensions":3}"#;
        let answer = rig.post("/v1/embeddings", body).json();
        let of_openai = [vector(&answer, "/data/0/embedding"), vector(&answer, "/data/1/embedding")];
        let answer = rig.post("/api/embed", body).json();
        assert_eq!(of_openai, [vector(&answer, "/embeddings/0"), vector(&answer, "/embeddings/1")], "{kind}");
        assert_eq!(of_openai[0].as_array().map(Vec::len), Some(3), "{kind}");
        seen.push(of_openai);
    }
    assert!(seen.iter().all(|vectors| *vectors == seen[0] && vectors[0] != vectors[1]), "{seen:?}");
}

#[test]
fn a_callers_model_leads_to_no_other_place_at_a_provider() {
    for each in ["", ", api_version: '2024-10-21'"] {
        for kind in ["azure", "gemini"] {
            if kind == "gemini" && !each.is_empty() {
                continue;
            }
            let rig = Rig::built(&[kind], each, "");
            for model in ["..", "a-x/../../../secret", "a-x?key=stolen", "a-x#", "a-x/%2e%2e"] {
                for (path, field) in [("/v1/embeddings", "input"), ("/v1/chat/completions", "messages")] {
                    let body = json!({"model": model, field: if field == "input" { json!("x") } else { json!([{"role": "user", "content": "Hello"}]) }});
                    let status = rig.post(path, &body.to_string()).status;
                    assert!(matches!(status, 200 | 400 | 404), "{kind} {path} {model}: {status}");
                }
            }
            assert!(!rig.asked(0).is_empty(), "{kind}: nothing was sent, so nothing went astray");
            for seen in rig.asked(0) {
                let bare = seen.path.split('?').next().unwrap_or_default();
                assert!(!bare.split('/').any(|segment| segment == ".."), "{kind}: {}", seen.path);
                assert!(seen.path.contains("stolen") == bare.contains("stolen"), "{kind}: {}", seen.path);
            }
        }
    }
}

#[test]
fn a_model_nobody_lists_is_asked_for_by_its_own_name() {
    let rig = Rig::new(&["openai_compatible"]);
    assert_eq!(rig.post("/v1/embeddings", r#"{"model":"text-embedding-3-small","input":"one"}"#).status, 200);
    assert_eq!(rig.asked(0)[0].json()["model"], "text-embedding-3-small");
    assert_eq!(rig.asked(0)[0].path, "/v1/embeddings");
}

#[test]
fn tokens_are_counted_by_the_vendor_and_estimated_for_the_others() {
    let body = r#"{"model":"a-x","messages":[{"role":"user","content":"one two three"}]}"#;
    let path = "/v1/messages/count_tokens";
    let counted = Rig::new(&["anthropic"]).post(path, body);
    assert_eq!(counted.json(), json!({"input_tokens": 3}));
    let rig = Rig::new(&["openai_compatible", "anthropic"]);
    let guessed = rig.post(path, body);
    assert_eq!((guessed.status, guessed.json()["estimated"].clone()), (200, json!(true)));
    assert!(rig.asked(0).is_empty() && rig.asked(1).is_empty(), "another model was counted for");
    assert_eq!(rig.post(path, r#"{"model":"a-x"}"#).status, 400);
}

#[test]
fn what_no_provider_can_express_is_a_400_before_anything_is_sent() {
    let rig = Rig::new(&["openai_compatible", "anthropic", "ollama"]);
    for (path, body) in [
        ("/v1/responses", r#"{"input":"x","tools":[{"type":"web_search"}]}"#),
        ("/v1/responses", r#"{"input":"x","previous_response_id":"resp_1"}"#),
        ("/v1/embeddings", r#"{"model":"b-x","input":"x"}"#),
        ("/v1/embeddings", r#"{"model":"c-x","input":[1,2]}"#),
    ] {
        let answer = rig.post(path, body);
        assert_eq!(
            (answer.status, answer.json()["error"]["type"].clone()),
            (400, json!("invalid_request_error")),
            "{body}"
        );
    }
    assert!((0..3).all(|provider| rig.asked(provider).is_empty()));
    // One of them can: the others are passed over.
    let answer = rig.post("/api/generate", r#"{"prompt":"Hello","raw":true,"stream":false}"#);
    assert_eq!((answer.status, answer.header("x-hapax-provider")), (200, Some("c")));
}

#[test]
fn ollamas_clients_find_what_they_look_for() {
    let rig = Rig::new(&["openai_compatible", "anthropic"]);
    let tags = rig.get("/api/tags").json();
    let names: Vec<_> =
        tags["models"].as_array().into_iter().flatten().map(|model| model["name"].clone()).collect();
    assert_eq!(names, [json!("model-a"), json!("model-b")]);
    assert_eq!(rig.get("/api/ps").json(), json!({"models": []}));
    assert!(rig.get("/api/version").json()["version"].is_string());
    assert_eq!(rig.post("/api/show", r#"{"model":"model-b"}"#).json()["details"]["family"], "b");
    let unknown = rig.post("/api/show", r#"{"model":"nobody-has-it"}"#);
    assert_eq!((unknown.status, unknown.json()["error"].is_string()), (404, true));
    assert_eq!(Rig::new(&["ollama"]).post("/api/show", r#"{"model":"a-x"}"#).status, 200);
}

#[test]
fn anthropics_clients_find_the_request_id_where_they_look() {
    let rig = Rig::new(&["ollama"]);
    let body =
        |more: &str| format!(r#"{{"max_tokens":9,"messages":[{{"role":"user","content":"Hello"}}]{more}}}"#);
    for body in [body(""), body(r#","stream":true"#), "{}".to_owned()] {
        let answer = rig.post("/v1/messages", &body);
        assert!(answer.header("request-id").is_some(), "{body}");
        assert_eq!(answer.header("request-id"), answer.header("x-request-id"), "{body}");
    }
}

#[test]
fn a_bare_curl_works_as_in_ollamas_manual_and_a_browsers_form_does_not() {
    let rig = Rig::new(&["ollama"]);
    let form = ("Content-Type", "application/x-www-form-urlencoded");
    let body = r#"{"model":"a-x","prompt":"Hello","stream":false}"#;
    assert_eq!(rig.ask("POST", "/api/generate", &[form], body).status, 200);
    let origin = ("Origin", "https://elsewhere.example");
    assert_eq!(rig.ask("POST", "/api/generate", &[form, origin], body).status, 415);
    assert_eq!(rig.ask("POST", "/v1/responses", &[form], r#"{"input":"Hello"}"#).status, 415);
}

#[test]
fn a_refusal_names_the_field_wherever_the_dialect_has_a_place_for_it() {
    let rig = Rig::new(&["openai_compatible"]);
    for (path, body, field) in [
        ("/v1/chat/completions", r#"{"messages":[{"role":"bot","content":"x"}]}"#, "messages[0].role"),
        ("/v1/messages", r#"{"messages":[{"role":"user","content":"x"}]}"#, "max_tokens"),
        ("/v1/messages", r#"{"max_tokens":1,"messages":[{"role":"bot","content":"x"}]}"#, "messages[0].role"),
        ("/v1/messages/count_tokens", r#"{"model":"m"}"#, "messages"),
        ("/v1/responses", r#"{"model":"m"}"#, "input"),
        ("/api/chat", r#"{"messages":[{"role":"user","content":1}]}"#, "messages[0].content"),
        ("/api/generate", r#"{"model":"m"}"#, "prompt"),
        ("/api/embed", r#"{"model":"m","input":[]}"#, "input"),
        ("/v1/embeddings", r#"{"input":"x"}"#, "model"),
        ("/api/show", "{}", "model"),
    ] {
        let answer = rig.post(path, body);
        let told = answer.json();
        let message = told.pointer("/error/message").or(told.get("error")).and_then(|words| words.as_str());
        assert!(message.is_some_and(|words| words.starts_with(field)), "{path} {body}: {}", answer.text());
        assert_eq!(answer.status, 400, "{path} {body}");
    }
}
