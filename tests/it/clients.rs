//! What well-known clients ask beside their questions, each in its own words: Claude Code, Codex, Open WebUI.

use crate::rig::Rig;
use serde_json::{Value, json};

const KINDS: [&str; 3] = ["openai_compatible", "anthropic", "ollama"];
const VERSION: (&str, &str) = ("anthropic-version", "2023-06-01");
const KEYS: &str = "auth: {keys: [{name: bot, hash: 'sha256:454455b94ef220276be2bff195c484f7c48eeba38859be34741a4ca001c31b53'}]}\n";

#[test]
fn who_names_a_version_of_anthropics_api_gets_its_list_page_by_page() {
    let rig = Rig::new(&KINDS);
    let all = ["model-a", "model-b", "model-c"];
    let listed = rig.ask("GET", "/v1/models?limit=2", &[VERSION], "");
    assert_eq!(
        listed.json(),
        json!({
            "data": all[..2].iter().map(|id| json!({
                "type": "model", "id": id, "display_name": id, "created_at": "1970-01-01T00:00:00Z",
            })).collect::<Vec<_>>(),
            "has_more": true, "first_id": "model-a", "last_id": "model-b",
        })
    );
    assert!(listed.header("request-id").is_some());
    let ids = |path: &str| -> Vec<String> {
        let page = rig.ask("GET", path, &[VERSION], "").json();
        page["data"]
            .as_array()
            .expect("data")
            .iter()
            .map(|model| model["id"].as_str().expect("id").to_owned())
            .collect()
    };
    assert_eq!(ids("/v1/models?limit=1000"), all, "Claude Code asks for so many");
    assert_eq!(ids("/v1/models?after_id=model-b"), all[2..]);
    assert_eq!(ids("/v1/models?before_id=model-b"), all[..1]);
    let one = rig.ask("GET", "/v1/models/model-b", &[VERSION], "").json();
    assert_eq!((&one["type"], &one["id"]), (&json!("model"), &json!("model-b")));
    assert_eq!(rig.get("/v1/models/model-b").json()["owned_by"], "b", "everybody else gets OpenAI's");
}

#[test]
fn errors_about_models_are_in_the_words_of_who_asks() {
    let rig = Rig::new(&KINDS);
    let of_anthropic = |answer: &Value| answer["type"] == "error" && answer["error"]["message"].is_string();
    for (path, status) in [
        ("/v1/models/nothing", 404),
        ("/v1/models?limit=0", 400),
        ("/v1/models?limit=1001", 400),
        ("/v1/models?limit=two", 400),
        ("/v1/models?after_id=nothing", 400),
        ("/v1/models?before_id=model-a&after_id=model-b", 400),
    ] {
        let answer = rig.ask("GET", path, &[VERSION], "");
        assert_eq!((answer.status, of_anthropic(&answer.json())), (status, true), "{path}");
    }
    assert_eq!(rig.get("/v1/models/nothing").json()["error"]["code"], "model_not_found");
    let locked = Rig::with(&KINDS, KEYS);
    let answer = locked.ask("GET", "/v1/models", &[VERSION], "");
    assert_eq!((answer.status, &answer.json()["error"]["type"]), (401, &json!("authentication_error")));
    assert_eq!(locked.get("/v1/models").json()["error"]["code"], "missing_api_key");
}

#[test]
fn claude_code_finds_what_it_looks_for() {
    let rig = Rig::new(&["anthropic"]);
    assert_eq!(rig.ask("HEAD", "/", &[], "").status, 200, "is anybody there");
    let beta = ("anthropic-beta", "claude-code-20250219,interleaved-thinking-2025-05-14");
    for stream in [false, true] {
        let body = json!({"model": "model-a", "max_tokens": 100, "stream": stream, "messages": [{"role": "user", "content": "Hello"}]});
        let answer = rig.ask("POST", "/v1/messages?beta=true", &[VERSION, beta], &body.to_string());
        assert_eq!(answer.status, 200, "{}", answer.text());
        let seen = rig.asked(0).pop().expect("it was asked");
        assert_eq!((seen.path.as_str(), seen.header("anthropic-beta")), ("/v1/messages", Some(beta.1)));
    }
    let count = json!({"model": "model-a", "messages": [{"role": "user", "content": "Hello"}]});
    let answer = rig.ask("POST", "/v1/messages/count_tokens?beta=true", &[VERSION, beta], &count.to_string());
    assert!(answer.json()["input_tokens"].is_u64(), "{}", answer.text());
}

#[test]
fn codex_reads_the_list_of_models() {
    let rig = Rig::new(&["openai"]);
    let listed = rig.get("/v1/models?client_version=0.145.0").json();
    assert_eq!((&listed["models"], &listed["data"][0]["id"]), (&json!([]), &json!("model-a")));
    assert!(rig.get("/v1/models").json().get("models").is_none());
    // What it sends, as far as it differs from what others send.
    let body = json!({
        "model": "model-a", "instructions": "You are Codex.", "store": false, "stream": true, "tool_choice": "auto",
        "parallel_tool_calls": false, "include": ["reasoning.encrypted_content"], "prompt_cache_key": "c",
        "reasoning": {"effort": "medium", "summary": "auto"},
        "input": [{"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Hello"}]}],
        "tools": [
            {"type": "function", "name": "shell", "strict": false, "parameters": {"type": "object", "properties": {}}},
            {"type": "custom", "name": "apply_patch", "format": {"type": "grammar", "syntax": "lark", "definition": "s: x"}},
        ],
    });
    let answer = rig.post("/v1/responses", &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(rig.asked(0).pop().expect("asked").json(), body);
}

#[test]
fn open_web_ui_finds_models_a_version_and_what_is_loaded() {
    let rig = Rig::new(&KINDS);
    let tags = rig.get("/api/tags").json();
    for model in tags["models"].as_array().expect("models") {
        let text = |name: &str| model[name].is_string();
        assert!(text("name") && text("model") && text("digest") && text("modified_at"), "{model}");
        assert!(model["size"].is_u64() && model["details"]["families"].is_array(), "{model}");
        let body = json!({"model": model["model"], "name": model["model"]}).to_string();
        let told = rig.post("/api/show", &body).json();
        let capable =
            |word: &str| told["capabilities"].as_array().expect("words").iter().any(|it| it == word);
        assert!(
            capable("completion") && told["details"].is_object() && told["model_info"].is_object(),
            "{told}"
        );
        assert!(told["model_info"]["general.architecture"].is_string(), "{told}");
    }
    assert!(
        rig.get("/api/version").json()["version"]
            .as_str()
            .is_some_and(|version| version.split('.').count() == 3)
    );
    assert_eq!(rig.get("/api/ps").json(), json!({"models": []}));
    // It follows every answer with a list of tasks of its own, and lets Ollama's options stand beside OpenAI's.
    let body = json!({"model": "model-c", "messages": [{"role": "user", "content": "Hello"}], "stream": true, "options": {"temperature": 0.1}, "keep_alive": "5m"});
    assert!(rig.post("/api/chat", &body.to_string()).text().contains("\"done\":true"));
}
