//! One example in, three dialects out: model, system prompt and roles arrive intact, and the answer comes back.

use crate::rig::{CHAT, Rig};
use hapax::simulate::Simulator;
use serde_json::{Value, json};

/// The conversation every provider must receive whole.
fn conversation() -> Value {
    json!([
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "What is a hapax?"},
        {"role": "assistant", "content": "A word that occurs once."},
        {"role": "user", "content": "Name one."},
    ])
}

/// What a provider received, in OpenAI's form: (system, the rest).
fn received(kind: &str, body: &Value) -> (String, Vec<(String, String)>) {
    let text = |content: &Value| match content {
        Value::String(text) => text.clone(),
        Value::Array(parts) => parts.iter().filter_map(|part| part["text"].as_str()).collect(),
        _ => String::new(),
    };
    let all: Vec<(String, String)> = body["messages"]
        .as_array()
        .expect("messages")
        .iter()
        .map(|message| (message["role"].as_str().expect("a role").to_owned(), text(&message["content"])))
        .collect();
    if kind == "anthropic" {
        return (text(&body["system"]), all);
    }
    assert_eq!(all[0].0, "system");
    (all[0].1.clone(), all[1..].to_vec())
}

fn expect_whole_conversation(kind: &str, rig: &Rig, path: &str) {
    let seen = rig.asked(0).pop().expect("it was asked");
    let body = seen.json();
    assert_eq!(body["model"], "model-a", "{path} to {kind}");
    let (system, rest) = received(kind, &body);
    assert_eq!(system, "Be brief.", "{path} to {kind}");
    let rest: Vec<(&str, &str)> = rest.iter().map(|(role, text)| (role.as_str(), text.as_str())).collect();
    assert_eq!(
        rest,
        [("user", "What is a hapax?"), ("assistant", "A word that occurs once."), ("user", "Name one.")],
        "{path} to {kind}"
    );
}

#[test]
fn a_conversation_reaches_every_dialect_intact_and_its_answer_comes_back() {
    let expected = Simulator::expected_text("model-a", "Name one.");
    for kind in ["openai_compatible", "anthropic", "ollama"] {
        let rig = Rig::new(&[kind]);
        for stream in [false, true] {
            let body = json!({"messages": conversation(), "stream": stream}).to_string();
            let answer = rig.post(CHAT, &body);
            assert_eq!((answer.status, answer.said()), (200, expected.clone()), "{kind}");
            assert!(!stream || answer.is_done());
            expect_whole_conversation(kind, &rig, CHAT);
        }
        let own = rig.post("/v1/completions", &json!({"messages": conversation()}).to_string());
        assert_eq!((own.status, own.json()["content"].clone()), (200, expected.clone().into()), "{kind}");
        expect_whole_conversation(kind, &rig, "/v1/completions");
    }
}

#[test]
fn hapaxs_own_form_gets_the_configured_system_prompt_when_it_brings_none() {
    for kind in ["openai_compatible", "anthropic", "ollama"] {
        let rig = Rig::with(&[kind], "system_prompt: Be brief.\n");
        for body in
            [json!({"input": "Name one."}), json!({"messages": [{"role": "user", "content": "Name one."}]})]
        {
            let answer = rig.post("/v1/completions", &body.to_string());
            assert_eq!(answer.json()["content"], Simulator::expected_text("model-a", "Name one."), "{kind}");
            let (system, rest) = received(kind, &rig.asked(0).pop().expect("asked").json());
            assert_eq!((system.as_str(), rest.len()), ("Be brief.", 1), "{kind}");
        }
        let own = json!({"messages": conversation()}).to_string();
        assert_eq!(rig.post("/v1/completions", &own).status, 200);
        expect_whole_conversation(kind, &rig, "/v1/completions");
    }
}

#[test]
fn the_legacy_form_and_the_alias_answer_through_every_dialect() {
    for kind in ["openai_compatible", "anthropic", "ollama"] {
        let rig = Rig::new(&[kind]);
        let legacy = rig.post("/v1/completions", r#"{"model":"a-x","prompt":"Hello"}"#).json();
        assert_eq!(legacy["object"], "text_completion", "{kind}");
        assert_eq!(legacy["choices"][0]["text"], Simulator::expected_text("a-x", "Hello"), "{kind}");
        let alias = rig.post("/v1/completion", r#"{"input":"Hello"}"#).json();
        assert_eq!(alias["content"], Simulator::expected_text("model-a", "Hello"), "{kind}");
    }
}

#[test]
fn the_same_dialect_goes_through_untouched_but_for_the_model() {
    let rig = Rig::new(&["openai_compatible"]);
    let body = r#"{ "messages" : [{"role":"user","content":"Hello\u0021","x_new":[1, 2]}],  "tomorrow": {"a":1.50} }"#;
    let answer = rig.post(CHAT, body);
    assert_eq!(answer.status, 200);
    let sent = rig.asked(0)[0].text();
    assert!(sent.contains(r#" "messages" : [{"role":"user","content":"Hello\u0021","x_new":[1, 2]}],  "tomorrow": {"a":1.50} }"#), "{sent}");
    assert!(sent.contains(r#""model":"model-a""#), "{sent}");
}

#[test]
fn a_stream_shows_usage_only_to_a_caller_who_asked() {
    for kind in ["openai_compatible", "anthropic", "ollama"] {
        let rig = Rig::new(&[kind]);
        let ask = |options: &str| {
            rig.post(
                CHAT,
                &format!(r#"{{"stream":true{options},"messages":[{{"role":"user","content":"Hello"}}]}}"#),
            )
        };
        let with_usage = |answer: &crate::rig::caller::Answer| {
            answer.events().iter().filter(|event| event.contains("\"usage\":{")).count()
        };
        assert_eq!(with_usage(&ask("")), 0, "{kind}");
        assert_eq!(with_usage(&ask(r#","stream_options":{"include_usage":true}"#)), 1, "{kind}");
        rig.wait_for_metric("hapax_tokens_total{direction=\"input\",key=\"none\",model=\"model-a\"} 2");
    }
}
