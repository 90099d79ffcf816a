//! The original's files and every spelling load.

use super::*;

#[test]
fn llm_with_backups_is_a_list_of_providers() {
    let text = "\
llm:
  provider: anthropic
  model: claude-3-haiku
  api_key: ${ANTHROPIC_API_KEY}
  endpoint: https://api.anthropic.com/v1
  system_prompt: Be kind.
  max_context_tokens: 100000
  options: {temperature: 0.7, max_tokens: 100}
  retry: {max_retries: 2, initial_delay: 100ms, multiplier: 2.0, retryable_errors: [timeout]}
  cache: {enable: true, type: redis, redis: {password: '${NOT_SET}'}}
  health_check: {enabled: true, interval: 15s, timeout: 4s, failure_threshold: 2}
  backup_providers:
    - {provider: openai, model: gpt-4, api_key: b}
    - {provider: openai, model: gpt-4o, api_key: c}
    - provider: ollama
";
    let settings = good_in(text, &[("ANTHROPIC_API_KEY", "a")]);
    assert_eq!(settings.preference, ["anthropic", "openai", "openai-2", "ollama"]);
    let first = &settings.providers[0];
    assert_eq!((first.model.as_str(), first.retries, first.max_tokens), ("claude-3-haiku", 2, 100));
    assert_eq!(first.base_url, "https://api.anthropic.com");
    assert_eq!(secrets(&settings, "openai-2"), ["c"]);
    assert_eq!(settings.system_prompt.as_deref(), Some("Be kind."));
    assert_eq!(settings.health.interval, Duration::from_secs(15));
    assert_eq!(settings.health.failure_threshold, 2);
    let named = [
        "max_context_tokens",
        "options.temperature",
        "retry.initial_delay",
        "retry.multiplier",
        "retry.retryable_errors",
        "cache",
    ];
    assert_eq!(settings.warnings.len(), named.len(), "{:#?}", settings.warnings);
    for (warning, key) in settings.warnings.iter().zip(named) {
        assert!(warning.contains(&format!(" llm.{key}: has no effect: ")), "{warning}");
    }
    assert_eq!(good_in(text, &[("ANTHROPIC_API_KEY", "a"), ("LLM_MODEL", "m")]).providers[0].model, "m");
}

#[test]
fn llm_beside_providers_fills_in_what_they_leave_open() {
    let text = "\
llm: {provider: ollama, model: llama3, endpoint: 'http://far:1', backup_providers: [{provider: openai}]}
providers: {openai: {api_key: k}, ollama: {}}
";
    let settings = good(text);
    assert_eq!(settings.preference, ["ollama", "openai"], "the primary first, then the file's order");
    let ollama = settings.providers.iter().find(|p| p.name == "ollama").expect("ollama");
    assert_eq!((ollama.model.as_str(), ollama.base_url.as_str()), ("llama3", "http://far:1"));
    assert_eq!(settings.warnings.len(), 1, "backups beside providers: {:?}", settings.warnings);
}

#[test]
fn every_key_of_the_original_loads() {
    let text = "\
server:
  port: 8081
  read_timeout: 5s
  write_timeout: 45s
  max_header_bytes: 2097152
  shutdown_timeout: 30s
  http3: {enabled: true, port: 443, tls_cert_file: a, enable_0rtt: true, max_bi_streams_concurrent: 100}
llm: {provider: ollama, model: llama2, endpoint: '', api_key: '', options: {stream: true}, cache: {enable: false}}
providers:
  anthropic: {type: anthropic, model: claude-3-haiku, api_key: k}
  ollama: {type: ollama, model: llama3, api_key: ''}
providerPreference: [anthropic, ollama]
circuitBreaker: {maxRequests: 100, interval: 30s, timeout: 10s, failureThreshold: 5, testMode: false}
queue: {enabled: true, initial_size: 1000, state_path: /var/q, save_interval: 30s}
logging: {level: info, format: json}
routes:
  - {path: /v1/completions, handler: completion, version: v1, methods: [POST], middleware: [auth], headers: {A: b},
     health_check: {enabled: true, interval: 30s, timeout: 5s, threshold: 3, checks: {api: http}}}
processing: {request_templates: {default: x}, response_formatting: {clean_json: true}}
metrics: {enabled: true}
health_check: {enabled: true, interval: 15s, timeout: 5s, failure_threshold: 2}
";
    let settings = good(text);
    assert_eq!(settings.server.listen, "0.0.0.0:8081");
    assert_eq!(settings.server.header_bytes_max, 2 << 20);
    assert_eq!(settings.server.body_timeout, Duration::from_secs(5));
    assert_eq!(settings.server.header_timeout, Duration::from_secs(5));
    assert_eq!(settings.server.queue, 1000);
    assert_eq!(settings.breaker.max_requests, 100);
    assert_eq!(settings.preference, ["anthropic", "ollama"]);
    for gone in [
        "server.http3",
        "queue.state_path",
        "routes[0].handler",
        "processing",
        "metrics",
        "llm.options.stream",
    ] {
        let named = |warning: &String| warning.contains(&format!(" {gone}: has no effect: "));
        assert!(settings.warnings.iter().any(named), "{gone} is not named: {:#?}", settings.warnings);
    }
}

#[test]
fn every_spelling_of_every_key_is_known() {
    let camel = |word: &str| {
        let mut upper = false;
        let step = |c: char| match (c, std::mem::take(&mut upper)) {
            ('_', _) => {
                upper = true;
                None
            }
            (c, true) => Some(c.to_ascii_uppercase()),
            (c, false) => Some(c),
        };
        word.chars().filter_map(step).collect::<String>()
    };
    for row in keys::rows().filter(|row| !row.path.contains('*') && !row.path.contains("[]")) {
        let words: Vec<String> = row.path.split('.').map(camel).collect();
        let opening: String = words.iter().map(|word| format!("{{{word}: ")).collect();
        let text = format!("{opening}~{}", "}".repeat(words.len()));
        read_in(&text, &[]).unwrap_or_else(|problems| panic!("{text}: {problems}"));
    }
    assert!(keys::rows().any(|row| row.effect == Effect::Gone));
}
