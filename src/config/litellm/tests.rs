//! LiteLLM's files, after its own documentation, and what becomes of them.

use super::*;
use crate::config::{Kind, Settings, Strategy, parse};

fn nothing(_: &str) -> Option<String> {
    None
}

/// Imports a file, and loads what came of it.
fn imported(text: &str) -> (Imported, Settings) {
    let imported =
        import_litellm("litellm.yaml", text, &nothing).unwrap_or_else(|problems| panic!("{problems}"));
    let environment = |name: &str| name.ends_with("_KEY").then(|| format!("value-of-{name}"));
    let settings = parse("imported", &imported.yaml, &environment)
        .unwrap_or_else(|problems| panic!("{problems}\n{}", imported.yaml));
    (imported, settings)
}

const WHOLE: &str = r#"
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/my-gpt-4o
      api_base: https://europe.openai.azure.com/
      api_key: os.environ/AZURE_API_KEY
      api_version: "2024-10-21"
      rpm: 900
      weight: 3
  - model_name: gpt-4o
    litellm_params: {model: openai/gpt-4o, api_key: os.environ/OPENAI_API_KEY, timeout: 300, stream_timeout: 30, max_retries: 2}
  - model_name: claude
    litellm_params: {model: anthropic/claude-sonnet-4-5, api_key: os.environ/ANTHROPIC_API_KEY}
  - model_name: near
    litellm_params: {model: ollama_chat/llama3.2, api_base: "http://localhost:11434"}
  - model_name: own
    litellm_params:
      model: openai/qwen
      api_base: http://10.0.0.5:8000/v1
      api_key: sk-a$b
      extra_headers: {X-Team: search}
  - model_name: groq/*
    litellm_params: {model: groq/*, api_key: os.environ/GROQ_API_KEY}
  - model_name: rocks
    litellm_params: {model: bedrock/anthropic.claude-3, aws_region_name: us-east-1}
litellm_settings:
  num_retries: 1
  request_timeout: 600
  fallbacks: [{"gpt-4o": ["claude"]}]
  context_window_fallbacks: [{"gpt-4o": ["near"]}]
  success_callback: ["langfuse"]
  drop_params: true
router_settings:
  routing_strategy: simple-shuffle
  model_group_alias: {"gpt-4": "gpt-4o"}
  allowed_fails: 3
  cooldown_time: 30
general_settings:
  master_key: sk-1234
  database_url: postgresql://u:p@db/litellm
"#;

#[test]
fn a_whole_file_means_the_same_here() {
    let (_, settings) = imported(WHOLE);
    let target = |provider: &str, model: &str| (provider.to_owned(), model.to_owned());
    let of = |name: &str| {
        settings.models.iter().find(|model| model.name == name).map(|model| model.targets.clone())
    };
    let gpt = vec![
        target("azure", "my-gpt-4o"),
        target("openai", "gpt-4o"),
        target("anthropic", "claude-sonnet-4-5"),
        target("ollama", "llama3.2"),
    ];
    assert_eq!(
        (of("gpt-4o"), of("gpt-4")),
        (Some(gpt.clone()), Some(gpt)),
        "fallbacks follow, an alias is the same"
    );
    assert_eq!(of("own"), Some(vec![target("openai_compatible", "qwen")]));
    assert_eq!(of("rocks"), None);
    let provider = |name: &str| settings.providers.iter().find(|provider| provider.name == name).expect(name);
    let azure = provider("azure");
    assert_eq!((azure.kind, azure.weight, azure.retries), (Kind::Azure, 3, 1));
    assert_eq!(azure.keys[0].reveal(), "value-of-AZURE_API_KEY");
    let openai = provider("openai");
    assert_eq!(
        (openai.total_timeout.as_secs(), openai.first_token_timeout.as_secs(), openai.retries),
        (300, 30, 2)
    );
    assert_eq!(provider("openai_compatible").keys[0].reveal(), "sk-a$b", "a dollar sign in a key stays one");
    assert_eq!(provider("openai_compatible").headers.len(), 1);
    assert_eq!(provider("groq").models, ["*"]);
    assert_eq!((settings.strategy, settings.breaker.failure_threshold), (Strategy::Weighted, 4));
    assert_eq!((settings.breaker.timeout.as_secs(), settings.server.request_timeout.as_secs()), (30, 600));
    assert_eq!(settings.keys[0].hashes, [digest::sha256(b"sk-1234")], "callers keep their key");
    assert_eq!(settings.server.listen, "0.0.0.0:4000", "and their port");
}

#[test]
fn what_has_no_counterpart_is_named_with_its_line_and_no_secret() {
    let (imported, _) = imported(WHOLE);
    for (line, word) in [
        ("line 9: ", "litellm_params.rpm"),
        ("line 25: ", "bedrock cannot be asked"),
        ("line 17: ", "its key is written down"),
        ("line 32: ", "success_callback"),
        ("line 41: ", "database_url"),
    ] {
        let found = imported.notes.iter().any(|note| note.starts_with(line) && note.contains(word));
        assert!(found, "{line}{word} is missing in {:#?}", imported.notes);
    }
    for note in &imported.notes {
        assert!(imported.yaml.contains(&format!("# - {note}\n")), "the file says it, too");
        assert!(!note.contains("sk-") && !note.contains("u:p@"), "{note}");
    }
}

#[test]
fn what_every_model_means_without_a_key_is_loopback_only() {
    let (imported, settings) = imported(
        "model_list: [{model_name: m, litellm_params: {model: gpt-4o, api_key: os.environ/OPENAI_API_KEY}}]\n",
    );
    assert_eq!(settings.server.listen, "127.0.0.1:4000");
    assert!(imported.notes.iter().any(|note| note.contains("loopback")));
    let text = "model_list: [{model_name: m, litellm_params: {model: gpt-4o}}]\ngeneral_settings: {master_key: os.environ/MASTER}\n";
    let with = import_litellm("f", text, &|name| (name == "MASTER").then(|| "sk-m".to_owned()))
        .expect("it can be read");
    assert!(with.yaml.contains(&hash("sk-m")) && !with.yaml.contains("sk-m\n"));
}

#[test]
fn what_is_no_configuration_of_litellm_is_refused_with_a_reason() {
    for (text, reason) in [
        ("- 1", "model_list"),
        ("providers: {}", "no model_list"),
        ("model_list: [", "not valid YAML"),
        ("model_list: []", "none of its models"),
        ("model_list: [{model_name: m, litellm_params: {model: sagemaker/x}}]", "sagemaker cannot be asked"),
    ] {
        let problems = import_litellm("f.yaml", text, &nothing).expect_err(text).to_string();
        assert!(problems.starts_with("f.yaml") && problems.contains(reason), "{problems}");
    }
}
