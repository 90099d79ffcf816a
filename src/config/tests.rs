//! Promises of the configuration as a whole.

use super::keys::{self, Effect, ROWS};
use super::*;
use crate::domain::budget::Period;
use crate::domain::price::NANO_USD;
use crate::domain::quirks::{OutputBound, Thinking};
use std::collections::HashMap;

/// Reads a file in an environment.
fn read_in(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Problems> {
    let map: HashMap<&str, &str> = variables.iter().copied().collect();
    parse("config.yaml", text, &|name| map.get(name).map(|value| (*value).to_owned()))
}

fn good(text: &str) -> Settings {
    good_in(text, &[])
}

fn good_in(text: &str, variables: &[(&str, &str)]) -> Settings {
    read_in(text, variables).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

/// The lines a wrong file is met with.
fn bad(text: &str) -> Vec<String> {
    bad_in(text, &[])
}

fn bad_in(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = read_in(text, variables).expect_err(text);
    problems.to_string().lines().map(str::to_owned).collect()
}

fn secrets(settings: &Settings, name: &str) -> Vec<String> {
    let provider = settings.providers.iter().find(|p| p.name == name).expect("the provider");
    provider.keys.iter().map(|key| key.reveal().to_owned()).collect()
}

const KEY_HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn repository(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("a file of the repository")
}

// ---- what we ship ----

#[test]
fn the_example_loads_without_any_variable_and_without_a_surprise() {
    let settings = good(&repository("config.yaml"));
    assert_eq!(settings.preference, ["ollama", "anthropic", "openai"]);
    assert_eq!(settings.warnings.len(), 2, "only the two missing keys: {:?}", settings.warnings);
    let settings =
        good_in(&repository("config.yaml"), &[("OPENAI_API_KEY", "a"), ("ANTHROPIC_API_KEY", "b")]);
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
}

#[test]
fn the_example_says_what_would_happen_anyway() {
    let (example, defaults) = (good(&repository("config.yaml")), good("providers: {ollama: {}}"));
    let general = |settings: &Settings| {
        let Settings { server, breaker, health, retry_wait_max, deduplicate, logging, .. } = settings;
        format!("{server:?} {breaker:?} {health:?} {retry_wait_max:?} {deduplicate} {logging:?}")
    };
    assert_eq!(general(&example), general(&defaults));
}

/// The rows of the documentation's tables: key, type, default.
fn documented() -> Vec<(String, String, String)> {
    let cell = |cell: &str| cell.trim().trim_matches('`').to_owned();
    let row = |line: &str| {
        let cells: Vec<&str> = line.strip_prefix("| `")?.split('|').collect();
        // Four columns and the end of the line: a table of keys.
        (cells.len() == 5).then(|| (cell(cells[0]), cell(cells[1]), cell(cells[2])))
    };
    repository("docs/configuration.md").lines().filter_map(row).collect()
}

#[test]
fn every_key_is_documented_with_its_type_and_default() {
    let documented = documented();
    for row in ROWS {
        let Some((_, kind, default)) = documented.iter().find(|(key, ..)| key == row.path) else {
            panic!("docs/configuration.md lacks {}", row.path)
        };
        assert_eq!(kind, row.kind.word(), "type of {}", row.path);
        let expected = if row.default.is_empty() { "–" } else { row.default };
        assert_eq!(default, expected, "default of {}", row.path);
    }
}

#[test]
fn every_documented_key_loads() {
    for (key, ..) in documented() {
        assert!(keys::row(&key).is_some(), "docs/configuration.md names {key}, which does not load");
    }
}

#[test]
fn the_worked_examples_of_the_documentation_load() {
    let page = repository("docs/configuration.md");
    let examples: Vec<&str> =
        page.split("```yaml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(examples.len() >= 2);
    for example in examples {
        let variables = [("OPENAI_API_KEY", "a"), ("ANTHROPIC_API_KEY", "b"), ("GROQ_API_KEY", "c")];
        let settings = good_in(example, &variables);
        assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    }
}

// ---- every problem, with its place ----

#[test]
fn a_problem_is_one_line_with_file_line_column_key_and_reason() {
    let text = "circuit_breaker:\n    interval: 30s\n    failure_threshold: 0\n";
    assert_eq!(bad(text), ["config.yaml:3:5: circuit_breaker.failure_threshold: must be at least 1"]);
}

#[test]
fn all_problems_are_reported_in_the_order_of_the_file() {
    let text = "\
server: {workers: 0, header_timeout: 10, body_bytes_max: big}
providers:
  openai: {type: bedrock}
  site: {}
circuitBreaker: {maxRequest: 1}
colour: blue
provider_preference: [openai, nobody]
models: {fast: [nobody/x, openai]}
";
    assert_eq!(
        bad(text),
        [
            "config.yaml:1:10: server.workers: must be at least 1",
            "config.yaml:1:22: server.header_timeout: 10 has no unit: write 10s or 10ms",
            "config.yaml:1:42: server.body_bytes_max: must be a size such as 16KiB, 256MiB or a number of bytes",
            &format!("config.yaml:3:12: providers.openai.type: must be one of: {}", presets::offered()),
            &format!(
                "config.yaml:4:3: providers.site.type: is needed, as site is not a type itself; one of: {}",
                presets::offered()
            ),
            "config.yaml:5:18: circuit_breaker.max_request: is not a known key; did you mean `max_requests`?",
            "config.yaml:6:1: colour: is not a known key",
            "config.yaml:7:31: provider_preference: names nobody, which is not among providers",
            "config.yaml:8:27: models.fast[1]: must be provider/model",
        ]
    );
}

#[test]
fn what_is_not_yaml_not_a_mapping_or_too_long_is_one_problem() {
    assert!(bad("server: [1, 2\nproviders: {}")[0].starts_with("config.yaml:2:"));
    assert!(bad("- a\n- b")[0].starts_with("config.yaml:1:3: must be a mapping"));
    assert!(bad(&"#".repeat(1 << 20 | 1))[0].contains("longer than 1048576 bytes"));
    assert_eq!(bad("server: 1\nserver: 2\nlogging: x").len(), 3, "wrong, twice, wrong");
    assert_eq!(
        bad("circuitBreaker: {}\ncircuit_breaker: {}"),
        ["config.yaml:2:1: circuit_breaker: is written twice"]
    );
}

#[test]
fn a_wrong_value_is_reported_once_and_drags_nothing_along() {
    for (text, count) in [
        ("providers: {site: {type: 7}}\nprovider_preference: [site]\nmodels: {m: [site/x]}", 1),
        ("providers: {x: {type: vllm, model: 7}}", 1),
        ("providers: {x: {type: openai_compatible, base_url: 'ftp://x', model: m}}", 1),
        ("auth: {keys: [{name: 7, hash: nonsense}]}", 2),
        ("auth: {keys: [{name: ~}]}", 2),
        ("models: {fast: 7}\nproviders: {ollama: {}}", 1),
        ("llm: {provider: 7}", 1),
        ("providers: {site: 7}\nprovider_preference: [site]", 1),
        ("auth: {keys: [7]}", 1),
        ("auth: 7\nllm: 7\nserver: 7\nproviders: 7\nmodels: 7", 5),
        ("server: {listen: nowhere}", 1),
    ] {
        assert_eq!(bad(text).len(), count, "{text}: {:#?}", bad(text));
    }
}

#[test]
fn no_problem_repeats_a_value_that_may_be_secret() {
    let variables = [("S", "sk-very-secret\n")];
    for text in [
        "providers: {openai: {api_key: '${S}'}}",
        "providers: {openai: {api_keys: ['${S}']}}",
        "providers: {openai: {base_url: 'https://u:sk-very-secret@h'}}",
        "providers: {openai: {headers: {X-A: '${S}'}}}",
        "providers: {openai: {retries: '${S}', timeouts: {idle: '${S}'}, base_url: '${S}', ca_file: '${S}'}}",
        "server: {listen: '${S}', body_bytes_max: '${S}'}",
        "logging: {level: '${S}'}",
        "auth: {keys: [{name: a, hash: '${S}', expires: '${S}'}]}",
    ] {
        let lines = bad_in(text, &variables).join("\n");
        assert!(!lines.contains("very-secret"), "{lines}");
    }
    let lines = bad_in("", &[("OPENAI_API_KEY", "sk very-secret")]).join("\n");
    assert_eq!(lines, "environment: OPENAI_API_KEY: contains a character that cannot travel in a header");
}

#[test]
fn a_hundred_problems_are_shown_and_the_rest_counted() {
    let text: String = (0..150).map(|n| format!("key_{n}: 1\n")).collect();
    let lines = bad(&text);
    assert_eq!(lines.len(), 101);
    assert_eq!(lines[100], "and 50 more");
}

#[test]
fn ranges_are_kept() {
    for text in [
        "circuit_breaker: {max_requests: 0}",
        "circuit_breaker: {timeout: 0s}",
        "circuit_breaker: {interval: -5s}",
        "health_check: {failure_threshold: 0}",
        "health_check: {interval: 1ms}",
        "server: {queue: 0}",
        "server: {port: 65536}",
        "server: {port: -1}",
        "server: {memory_max: 8MiB}",
        "server: {workers: 1.5}",
        "server: {workers: 99999999999999999999}",
        "server: {trusted_proxies: [10.0.0.0/33]}",
        "server: {cors_origins: [example.com]}",
        "server: {listen: '127.0.0.1:8080', port: 8080}",
        "rate_limit: {requests_per_minute: 0}",
        "providers: {openai: {retries: 99}}",
        "providers: {openai: {max_concurrency: 0}}",
        "providers: {'a b': {type: openai}}",
        "providers: {openai: {headers: {Host: x}}}",
        "providers: {openai: {headers: {'a b': x}}}",
        "providers: {openai: {ca_file: /no/such/file.pem}}",
        "providers: {openai: {proxy: 'socks5://x'}}",
        "streams: {on_failure: retry}",
        "deduplicate: sometimes",
        "logging: {level: loud}",
        "models: {fast: []}\nproviders: {ollama: {}}",
        "provider_preference: [ollama, ollama]",
        "auth: {keys: [{name: a, hash: 'sha256:12'}]}",
        "auth: {keys: [{hash: 'x'}]}",
    ] {
        assert_eq!(bad(text).len(), if text.contains("{hash") { 2 } else { 1 }, "{text}: {:#?}", bad(text));
    }
}

// ---- meaning ----

#[test]
fn an_empty_file_and_no_file_mean_the_same() {
    let map = |name: &str| (name == "ANTHROPIC_API_KEY").then(|| "k".to_owned());
    let (without, empty) = (defaults(&map), parse("x", "", &map).expect("valid"));
    assert_eq!(effective(&without), effective(&empty));
    assert_eq!(without.hash, "defaults");
    assert_eq!(without.preference, ["anthropic", "ollama"]);
    assert_eq!(without.server.listen, "127.0.0.1:8080");
    assert_eq!(empty.hash, "e3b0c44298fc1c14", "of the SHA-256 of nothing");
}

#[test]
fn without_a_file_every_key_in_the_environment_is_a_provider() {
    let settings =
        good_in("", &[("OPENAI_API_KEY", " k1\n"), ("OLLAMA_HOST", "0.0.0.0"), ("LLM_MODEL", "gpt-5")]);
    assert_eq!(settings.preference, ["openai", "ollama"]);
    assert_eq!(secrets(&settings, "openai"), ["k1"]);
    assert_eq!(settings.providers[0].model, "gpt-5");
    assert_eq!(settings.providers[0].models[0], "gpt-5");
    assert_eq!(settings.providers[1].model, "llama3.2");
    assert_eq!(settings.providers[1].base_url, "http://127.0.0.1:11434");
}

#[test]
fn ollama_is_found_where_its_own_variables_say() {
    for (variable, value, expected) in [
        ("OLLAMA_HOST", "10.0.0.7", "http://10.0.0.7:11434"),
        ("OLLAMA_HOST", ":9999", "http://127.0.0.1:9999"),
        ("OLLAMA_HOST", "https://llm.example", "https://llm.example"),
        ("OLLAMA_HOST", "[::1]:7", "http://[::1]:7"),
        ("OLLAMA_ENDPOINT", "http://ollama:11434/", "http://ollama:11434"),
    ] {
        assert_eq!(good_in("", &[(variable, value)]).providers[0].base_url, expected);
        assert_eq!(good_in("llm: {provider: ollama}", &[(variable, value)]).providers[0].base_url, expected);
    }
    let written = good_in("providers: {ollama: {base_url: 'http://here:1'}}", &[("OLLAMA_HOST", "there:2")]);
    assert_eq!(written.providers[0].base_url, "http://here:1");
    assert!(bad_in("", &[("OLLAMA_HOST", "http://")])[0].starts_with("environment: OLLAMA_HOST: "));
}

#[test]
fn defaults_pass_over_a_variable_that_makes_no_sense() {
    let env = |name: &str| (name == "LOG_LEVEL" || name == "HAPAX_PORT").then(|| "banana".to_owned());
    let settings = defaults(&env);
    assert_eq!(settings.warnings.len(), 2, "{:?}", settings.warnings);
    assert!(settings.warnings[0].ends_with("it is passed over"));
    assert_eq!(settings.logging.level, Level::Info);
    assert_eq!(settings.server.listen, "127.0.0.1:8080");
}

#[test]
fn who_listens_where() {
    let keys = format!("auth: {{keys: [{{name: a, hash: '{KEY_HASH}'}}]}}");
    for (text, variables, expected) in [
        ("", vec![], "127.0.0.1:8080"),
        (keys.as_str(), vec![], "127.0.0.1:8080"),
        ("server: {port: 8080}", vec![], "0.0.0.0:8080"),
        ("server: {host: 10.0.0.1}", vec![], "10.0.0.1:8080"),
        ("server: {host: '::1', port: 1}", vec![], "[::1]:1"),
        ("server: {listen: ':9'}", vec![], "0.0.0.0:9"),
        ("server: {listen: 'localhost:0'}", vec![], "localhost:0"),
        ("", vec![("HAPAX_PORT", "9000")], "0.0.0.0:9000"),
        ("server: {listen: '127.0.0.1:1'}", vec![("HAPAX_PORT", "9000")], "127.0.0.1:9000"),
        ("server: {port: 1}", vec![("HAPAX_LISTEN", "[::1]:2"), ("HAPAX_PORT", "3")], "[::1]:3"),
        ("", vec![("HAPAX_HOST", "10.1.1.1"), ("HAPAX_PORT", "3")], "10.1.1.1:3"),
        ("", vec![("HAPAX_HOST", "")], "127.0.0.1:8080"),
    ] {
        assert_eq!(good_in(text, &variables).server.listen, expected, "{text} {variables:?}");
    }
    assert!(
        bad_in("", &[("HAPAX_LISTEN", "8080")])[0]
            .starts_with("environment: HAPAX_LISTEN: must be an address")
    );
    assert!(bad_in("", &[("HAPAX_PORT", "x")])[0].starts_with("environment: HAPAX_PORT: "));
}

#[test]
fn an_open_door_without_keys_is_named() {
    let open = good("server: {port: 8080}");
    assert!(
        open.warnings.iter().any(|w| w.starts_with("config.yaml:1:10: server.listen: ")),
        "{:?}",
        open.warnings
    );
    let keys = format!("server: {{port: 8080}}\nauth: {{keys: [{{name: a, hash: '{KEY_HASH}'}}]}}");
    assert!(good(&keys).warnings.is_empty());
}

#[test]
fn any_website_may_call_only_where_a_key_is_asked_for() {
    assert!(good("").cors_origins.is_empty());
    let keys = format!("auth: {{keys: [{{name: a, hash: '{KEY_HASH}'}}]}}");
    assert_eq!(good(&keys).cors_origins, ["*"]);
    assert_eq!(good("server: {cors_origins: 'https://a.example'}").cors_origins, ["https://a.example"]);
}

#[test]
fn the_environment_overrides_how_much_is_logged() {
    let settings = good_in("logging: {level: debug}", &[("LOG_LEVEL", "WARNING"), ("LOG_FORMAT", "text")]);
    assert_eq!(settings.logging, Logging { level: Level::Warn, format: LogFormat::Text, prompts: false });
}

#[test]
fn a_provider_has_its_keys_from_the_file_else_by_its_name() {
    let env = [("OPENAI_API_KEY", "ambient"), ("SITE_API_KEY", "site-key")];
    let text = "providers:\n  openai: {api_key: written, api_keys: [second]}\n  site: {type: vllm, model: m}\n  gpt: {type: openai}";
    let settings = good_in(text, &env);
    assert_eq!(secrets(&settings, "openai"), ["written", "second"]);
    assert_eq!(secrets(&settings, "site"), ["site-key"]);
    assert!(secrets(&settings, "gpt").is_empty(), "another provider's key goes nowhere else");
}

#[test]
fn bug_9_secrets_arrive_as_they_are() {
    let env = [("A", "ab$HOMEx"), ("SELF", "${SELF}"), ("HOME", "/root")];
    let text = "providers: {openai: {api_keys: ['${A}', '${SELF}', 'x$$y', 'a$b']}}";
    assert_eq!(secrets(&good_in(text, &env), "openai"), ["ab$HOMEx", "${SELF}", "x$y", "a$b"]);
    let problems = bad("providers:\n  openai:\n    api_key: ${OPENAI\n");
    assert!(
        problems[0].starts_with("config.yaml:3:5: providers.openai.api_key: has ${ without"),
        "{problems:?}"
    );
    let problems = bad("providers:\n  openai:\n    api_keys: [a,\n      '${GONE}']\n");
    assert!(
        problems[0].starts_with("config.yaml:4:7: providers.openai.api_keys[1]: the variable GONE"),
        "{problems:?}"
    );
}

#[test]
fn numbers_durations_and_flags_may_come_from_variables() {
    let text =
        "server: {workers: '${N}', port: '${PORT:-8081}', body_timeout: '${T}'}\nlogging: {prompts: '${P}'}";
    let settings = good_in(text, &[("N", "3"), ("T", "5s"), ("P", "true")]);
    assert_eq!((settings.server.workers, settings.server.listen.as_str()), (3, "0.0.0.0:8081"));
    assert!(settings.logging.prompts && settings.server.body_timeout == Duration::from_secs(5));
}

#[test]
fn base_urls_are_made_alike() {
    for (written, expected) in [
        ("https://api.openai.com/v1", "https://api.openai.com"),
        ("https://api.openai.com/v1/", "https://api.openai.com"),
        ("HTTPS://API.openai.com", "https://api.openai.com"),
        ("http://h:8000/llm/v1//", "http://h:8000/llm"),
        ("http://[::1]:8000/v1", "http://[::1]:8000"),
        ("https://api.groq.com/openai/v1", "https://api.groq.com/openai"),
        ("http://h/v1x", "http://h/v1x"),
    ] {
        let text = format!("providers: {{s: {{type: vllm, model: m, base_url: '{written}'}}}}");
        assert_eq!(good(&text).providers[0].base_url, expected);
    }
    for wrong in [
        "api.openai.com",
        "ftp://h",
        "http://",
        "http://u:p@h",
        "http://h:0",
        "http://h:x",
        "http://h?a=b",
        "http://a b",
        "http://::1",
        "http:///v1",
    ] {
        let text = format!("providers: {{s: {{type: vllm, model: m, base_url: '{wrong}'}}}}");
        assert_eq!(bad(&text).len(), 1, "{wrong}");
    }
}

#[test]
fn hapax_does_not_ask_itself() {
    for text in [
        "providers: {x: {type: llamacpp, model: m}}",
        "server: {port: 9}\nproviders: {x: {type: vllm, model: m, base_url: 'http://localhost:9'}}",
        "server: {listen: '10.0.0.1:9'}\nproviders: {x: {type: vllm, model: m, base_url: 'http://10.0.0.1:9'}}",
    ] {
        assert!(bad(text)[0].ends_with("is Hapax's own address"), "{:?}", bad(text));
    }
    good("server: {listen: '127.0.0.1:9'}\nproviders: {x: {type: llamacpp, model: m}}");
}

#[test]
fn presets_are_types_of_their_own() {
    for preset in
        presets::PRESETS.iter().filter(|p| p.kind == Kind::OpenAiCompatible && !p.base_url.is_empty())
    {
        let settings =
            good(&format!("server: {{listen: '127.0.0.1:1'}}\nproviders: {{{}: {{model: m}}}}", preset.word));
        assert_eq!(settings.providers[0].base_url, preset.base_url);
        assert_eq!(settings.providers[0].kind, Kind::OpenAiCompatible);
    }
    assert!(bad("providers: {groq: {}}")[0].contains("providers.groq.model: is needed for type groq"));
    assert!(bad("providers: {x: {type: openai_compatible, model: m}}")[0].contains("base_url: is needed"));
    assert!(bad("providers: {azure: {model: m}}")[0].contains("base_url: is needed"));
    assert_eq!(good("providers: {gemini: {}}").providers[0].kind, Kind::Gemini);
}

#[test]
fn what_a_type_accepts_is_known_and_can_be_overridden() {
    let settings = good(
        "providers: {mistral: {model: m}, x: {type: mistral, model: m, capabilities: {refuses: [n], short_call_ids: false, thinking: none}}}",
    );
    let known = &settings.providers[0].quirks;
    assert!(known.refuses.iter().any(|name| name == "stream_options"));
    assert_eq!((known.short_call_ids, known.output_bound), (Some(true), Some(OutputBound::Tokens)));
    let told = &settings.providers[1].quirks;
    assert_eq!((told.refuses.as_slice(), told.short_call_ids), (&["n".to_owned()][..], Some(false)));
    assert_eq!((told.thinking, told.output_bound), (Some(Thinking::Unable), Some(OutputBound::Tokens)));
    let again = good(&effective(&settings));
    assert_eq!(again.providers[1].quirks, settings.providers[1].quirks);
    assert_eq!(again.providers[0].quirks, settings.providers[0].quirks);
}

#[test]
fn azure_has_a_version_and_deployments() {
    let azure = "providers: {az: {type: azure, base_url: 'https://x.openai.azure.com/', model: gpt-4o, api_version: 2024-10-21, deployments: {gpt-4o: four-o}}}";
    let settings = good(azure);
    let provider = &settings.providers[0];
    assert_eq!(provider.api_version.as_deref(), Some("2024-10-21"));
    assert_eq!(provider.deployments, [("gpt-4o".to_owned(), "four-o".to_owned())]);
    assert_eq!(good(&effective(&settings)).providers[0].deployments, provider.deployments);
}

#[test]
fn azures_customary_variable_is_read_for_the_provider_called_azure() {
    let env = [("AZURE_OPENAI_API_KEY", "k")];
    let text = "providers: {azure: {base_url: 'https://a', model: m}, az: {type: azure, base_url: 'https://b', model: m}}";
    let settings = good_in(text, &env);
    assert_eq!((secrets(&settings, "azure"), secrets(&settings, "az").len()), (vec!["k".to_owned()], 0));
}

#[test]
fn a_callers_key_is_known_by_its_hash_until_it_expires() {
    let text = format!(
        "auth: {{keys: [{{name: bot, hash: '{KEY_HASH}', models: [fast, 'gpt-*'], expires: 2027-01-01, pin: true,\n\
         limits: {{requests_per_minute: 60, tokens_per_minute: 9}}, budget: {{usd: 50, per: month}}}}]}}"
    );
    let settings = good(&text);
    let key = &settings.keys[0];
    assert_eq!(key.hashes, [crate::domain::digest::sha256(b"abc")]);
    assert_eq!(key.expires, Some(SystemTime::UNIX_EPOCH + Duration::from_secs(1_798_761_600)));
    assert!(key.may_pin && !key.admin && key.models == ["fast", "gpt-*"]);
    let limits = Limits { requests_per_minute: Some(60), tokens_per_minute: Some(9), concurrent: None };
    assert_eq!(key.limits, limits);
    assert_eq!(key.budget, Some(Allowance { nano_usd: 50 * NANO_USD, per: Period::Month }));
    assert!(settings.warnings.is_empty(), "{:?}", settings.warnings);
    let twice = format!("auth: {{keys: [{{name: a, hash: '{KEY_HASH}'}}, {{name: a, hash: '{KEY_HASH}'}}]}}");
    assert_eq!(bad(&twice).len(), 2, "the same name, the same hash");
}

#[test]
fn rules_have_names_and_patterns_and_what_is_wrong_with_one_is_said_where_it_stands() {
    use crate::domain::redact::{Mode, RULES_MAX};
    assert_eq!(good("redaction: {rules: [{name: email}]}").redaction, None, "off");
    let text = "redaction: {mode: enforce, rules: [{name: email, on: answers}, {name: own, pattern: 'a+', replace: 'b'}]}";
    let told = good(text).redaction.expect("it is on");
    assert_eq!((told.mode, told.rules.len()), (Mode::Enforce, 2));
    let [email, own] = &told.rules[..] else { panic!("two rules") };
    assert_eq!((email.replace.as_str(), email.on_requests, email.on_answers), ("[email]", false, true));
    assert_eq!((own.pattern.text(), own.replace.as_str(), own.on_requests), ("a+", "b", true));
    let again = good(&super::effective(&good(text))).redaction.expect("it is on");
    assert_eq!(again, told);
    for (wrong, words) in [
        ("{name: own}", "redaction.rules[0].pattern: is needed, except for a rule called email, iban"),
        ("{name: own, pattern: 'a*'}", "redaction.rules[0].pattern: must not match the empty text"),
        ("{name: own, pattern: '('}", "redaction.rules[0].pattern: is no pattern: "),
        ("{pattern: a}", "redaction.rules[0].name: is needed"),
        ("{name: a, pattern: a, on: [both]}", "redaction.rules[0].on[0]: must be requests or answers"),
        ("{name: email}, {name: email}", "redaction.rules[1].name: email is the name of another rule"),
    ] {
        let lines = bad(&format!("redaction: {{mode: 'off', rules: [{wrong}]}}"));
        assert!(lines.len() == 1 && lines[0].contains(words), "{wrong}: {lines:?}");
    }
    let many = |count: usize| {
        let rules: Vec<String> = (0..count).map(|n| format!("{{name: r{n}, pattern: x{n}}}")).collect();
        format!("redaction: {{mode: monitor, rules: [{}]}}", rules.join(", "))
    };
    assert_eq!(good(&many(RULES_MAX)).redaction.map(|told| told.rules.len()), Some(RULES_MAX));
    let lines = bad(&many(RULES_MAX + 1));
    assert!(lines.len() == 1 && lines[0].ends_with("has 65 rules; 64 are the most"), "{lines:?}");
    assert_eq!(good("redaction: {mode: enforce}").warnings.len(), 1);
}

#[test]
fn answers_are_kept_in_a_part_of_the_memory() {
    assert_eq!(good("").cache, None);
    assert_eq!(good("cache: {ttl: 1s, bytes_max: 1MiB}").cache, None, "not enabled");
    let told = |text: &str| good(text).cache.expect("it is enabled");
    let default = super::Cache { ttl: Duration::from_secs(600), bytes_max: 32 << 20 };
    assert_eq!(told("cache: {enabled: true}"), default);
    let half = "cache: {enabled: true, bytes_max: 64MiB}\nserver: {memory_max: 128MiB}";
    assert_eq!(told(half).bytes_max, 64 << 20);
    let problems = bad(&half.replace("64MiB", "65MiB"));
    assert_eq!(problems, ["config.yaml:1:24: cache.bytes_max: must be at most half of server.memory_max"]);
    assert_eq!(bad("cache: {enabled: true, bytes_max: 1023KiB}").len(), 1);
    assert_eq!(bad("cache: {enabled: true, ttl: 0s}").len(), 1);
}

#[test]
fn a_key_has_endpoints_labels_and_several_hashes_while_it_is_replaced() {
    let other = "sha256:cb8379ac2098aa165029e3938a51da0bcecfc008fd6795f401178647f96c5b34";
    let text = format!(
        "auth: {{keys: [{{name: bot, hashes: ['{KEY_HASH}', '{other}'], endpoints: [/v1/chat/completions, '/v1/models*'],\n\
         labels: {{team: blue, 'cost.center': '42'}}, admin: true, limits: {{concurrent: 3}}, budget: {{usd: 0.5, per: week}}}}]}}"
    );
    let settings = good(&text);
    let key = &settings.keys[0];
    assert_eq!((key.hashes.len(), key.admin), (2, true));
    assert_eq!(key.endpoints, ["/v1/chat/completions", "/v1/models*"]);
    let labels =
        [("team", "blue"), ("cost.center", "42")].map(|(name, text)| (name.to_owned(), text.to_owned()));
    assert_eq!(key.labels, labels);
    assert_eq!(key.limits.concurrent, Some(3));
    assert_eq!(key.budget, Some(Allowance { nano_usd: NANO_USD / 2, per: Period::Week }));
    for (wrong, field) in [
        (format!("{{name: a, hashes: ['{other}', '{other}']}}"), "hashes: is written twice"),
        (format!("{{name: a, hash: '{other}', hashes: ['{other}']}}"), "hash: is written twice"),
        (format!("{{name: a, hash: '{other}', endpoints: [chat]}}"), "endpoints[0]: must be a path such as"),
        (format!("{{name: a, hash: '{other}', budget: {{per: day}}}}"), "budget.usd: is needed"),
        (format!("{{name: a, hash: '{other}', budget: {{usd: 2e9}}}}"), "budget.usd: must be at most"),
        (
            format!("{{name: a, hash: '{other}', labels: {{x: '{}'}}}}", "y".repeat(65)),
            "labels.x: must be at most",
        ),
        ("{name: a}".to_owned(), "hash: is needed"),
    ] {
        let lines = bad(&format!("auth: {{keys: [{wrong}]}}"));
        assert!(lines.len() == 1 && lines[0].contains(field), "{wrong}: {lines:?}");
    }
    let five = ["0", "1", "2", "3", "4"].map(|digit| format!("'sha256:{}'", digit.repeat(64))).join(", ");
    let lines = bad(&format!("auth: {{keys: [{{name: a, hashes: [{five}]}}]}}"));
    assert!(lines.len() == 1 && lines[0].ends_with("at most 4 hashes are one key"), "{lines:?}");
}

#[test]
fn endpoints_addresses_and_providers_have_limits_of_their_own() {
    let settings = good(
        "routes: [{path: /v1/embeddings, limits: {requests_per_minute: 60, concurrent: 8}}, {path: '/v1/*'}]\n\
         rate_limit: {requests_per_minute: 5, tokens_per_minute: 70, concurrent: 2}\n\
         providers: {ollama: {limits: {requests_per_minute: 9, tokens_per_minute: 1000}}}",
    );
    let limits = Limits { requests_per_minute: Some(60), tokens_per_minute: None, concurrent: Some(8) };
    assert_eq!(settings.routes, [Route { path: "/v1/embeddings".to_owned(), limits }]);
    let limits = Limits { requests_per_minute: Some(5), tokens_per_minute: Some(70), concurrent: Some(2) };
    assert_eq!(settings.per_address, limits);
    let limits = Limits { requests_per_minute: Some(9), tokens_per_minute: Some(1_000), concurrent: None };
    assert_eq!(settings.providers[0].limits, limits);
    for wrong in
        ["routes: [{limits: {concurrent: 1}}]", "routes: [{path: /a}, {path: /a}]", "routes: [{path: a}]"]
    {
        assert_eq!(bad(wrong).len(), 1, "{wrong}: {:?}", bad(wrong));
    }
    assert_eq!(bad("providers: {ollama: {limits: {concurrent: 1}}}").len(), 1, "that is max_concurrency");
}

#[test]
fn own_prices_go_before_the_table_and_what_has_none_is_named_beside_a_budget() {
    let settings =
        good("prices: {'gpt-4o*': {input: 1, output: 2.5}, house: {input: 0, cached: 0, output: 0.001}}");
    let prices = settings.prices();
    let price = prices.of("openai", "gpt-4o-mini").expect("known");
    assert_eq!([price.input, price.cached, price.cache_write, price.output], [1_000, 1_000, 1_000, 2_500]);
    assert_eq!(prices.of("anywhere", "house").map(|price| price.output), Some(1));
    assert_eq!(prices.of("openai", "gpt-4.1").map(|price| price.input), Some(2_000));
    for (wrong, field) in [
        ("{x: {input: 1}}", "prices.x.output: is needed"),
        ("{x: {input: 1, output: 0.0001}}", "prices.x.output: must have at most three decimals"),
        ("{x: {input: 2e6, output: 1}}", "prices.x.input: must be at most"),
        ("{x: {input: -1, output: 1}}", "prices.x.input: must be a number"),
        ("{x: 3}", "prices.x: must be a mapping"),
    ] {
        let lines = bad(&format!("prices: {wrong}"));
        assert!(lines.len() == 1 && lines[0].contains(field), "{wrong}: {lines:?}");
    }
    let budget = format!("auth: {{keys: [{{name: a, hash: '{KEY_HASH}', budget: {{usd: 1}}}}]}}\n");
    let provider = "providers: {own: {type: openai_compatible, base_url: 'http://gpu:8000', model: house, models: [house, 'x-*']}}\n";
    let named = |text: &str| {
        let warnings = good(text).warnings;
        warnings.iter().filter(|warning| warning.contains("costs is not known")).count()
    };
    assert_eq!(named(&format!("{budget}{provider}")), 1);
    assert_eq!(named(&format!("{budget}{provider}prices: {{house: {{input: 0, output: 0}}}}")), 0);
    assert_eq!(named(provider), 0, "without a budget nobody needs to know");
    let vendors = "providers: {fast: {type: openai_compatible, base_url: 'https://api.groq.com/openai/v1', api_key: k, model: llama-3.3-70b-versatile}}";
    assert_eq!(good(vendors).prices().of("fast", "llama-3.3-70b-versatile").map(|p| p.input), Some(590));
}

#[test]
fn every_section_can_be_written_without_a_warning() {
    let quiet = "routing: {strategy: preference}\ncache: {enabled: true, ttl: 10m, bytes_max: 32MiB}\nprices: {}\nusage: {path: usage.db, keep: 30d}";
    assert!(good(quiet).warnings.is_empty(), "{:?}", good(quiet).warnings);
    let usage = good(quiet).usage;
    assert_eq!((usage.path, usage.keep.as_secs()), (Some("usage.db".into()), 30 * 86_400));
    assert_eq!((good("").usage.path, good("").usage.keep.as_secs()), (None, 400 * 86_400));
    assert_eq!(bad("routing: {strategy: random}").len(), 1);
    assert_eq!(bad("usage: {keep: 23h}").len(), 1);
}

#[test]
fn more_workers_than_the_providers_take_calls_are_warned_of_once_somebody_asks_for_more() {
    let warned = |text: &str| {
        let warnings = good(text).warnings;
        warnings.iter().filter(|warning| warning.contains("server.workers: ")).count()
    };
    assert_eq!(warned("server: {workers: 512}\nproviders: {ollama: {}}"), 0, "the default is no wish");
    assert_eq!(warned("server: {workers: 513}\nproviders: {ollama: {}}"), 1);
    assert_eq!(warned("server: {workers: 513}\nproviders: {ollama: {max_concurrency: 513}}"), 0);
    let two = "providers: {ollama: {max_concurrency: 500}, b: {type: ollama, base_url: 'http://b:1', model: m, max_concurrency: 12}}";
    assert_eq!(warned(&format!("server: {{workers: 513}}\n{two}")), 1);
}

// ---- the original's files ----

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
    for row in ROWS.iter().filter(|row| !row.path.contains('*') && !row.path.contains("[]")) {
        let words: Vec<String> = row.path.split('.').map(camel).collect();
        let opening: String = words.iter().map(|word| format!("{{{word}: ")).collect();
        let text = format!("{opening}~{}", "}".repeat(words.len()));
        read_in(&text, &[]).unwrap_or_else(|problems| panic!("{text}: {problems}"));
    }
    assert!(ROWS.iter().any(|row| matches!(row.effect, Effect::Gone(_))));
}

// ---- what is shown ----

#[test]
fn the_effective_configuration_shows_no_secret() {
    let text = format!(
        "providers:\n  openai: {{api_keys: [sk-one, sk-two], headers: {{X-Site: hush hush}}, proxy: 'http://me:pass@proxy:3128'}}\n\
         auth: {{keys: [{{name: a, hash: '{KEY_HASH}'}}]}}\n"
    );
    let settings = good(&text);
    let shown = effective(&settings);
    for secret in ["sk-one", "sk-two", "hush", "pass", &KEY_HASH[7..]] {
        assert!(!shown.contains(secret), "{shown}");
    }
    assert!(shown.contains("api_keys: [\"***\", \"***\"]"), "{shown}");
    assert!(shown.contains("http://***@proxy:3128"), "{shown}");
}

#[test]
fn the_effective_configuration_loads_and_means_the_same() {
    let texts = [
        repository("config.yaml"),
        String::new(),
        "system_prompt: \"a \\\"b\\\" $$x ${Y:-z} $${Y} $$$$ \\\\ \\n\\t\\u0007 é: # -\"\nproviders:\n  'no': {type: ollama, keep_alive: -1, num_ctx: 8}\n  \
         x: {type: vllm, base_url: 'http://h:1/v1', model: 'a:b', timeouts: {idle: 1500ms}, headers: {A: b}}\n\
         models: {'my model/1': ['no/x', x/y/z], '7': x/1}\nstreams: {on_failure: end}\ndeduplicate: off\n\
         server: {listen: '[::1]:1', body_bytes_max: 1000000, trusted_proxies: ['10.0.0.0/8', '::1'], shutdown_timeout: 0s}\n\
         rate_limit: {requests_per_minute: 9, concurrent: 2}\nroutes: [{path: '/v1/*', limits: {tokens_per_minute: 7}}]\n\
         prices: {'gpt-4o*': {input: 0.15, output: 2.5}}"
            .replace("'my model/1'", "my-model/1"),
    ];
    for text in texts {
        let first = good(&text);
        let shown = effective(&first);
        let second = good(&shown);
        assert_eq!(shown, effective(&second));
        assert_eq!(first.system_prompt, second.system_prompt);
        assert_eq!(first.models, second.models);
        assert_eq!(first.preference, second.preference);
        assert_eq!((first.per_address, &first.routes), (second.per_address, &second.routes));
        assert_eq!(first.own_prices, second.own_prices);
        assert_eq!(format!("{:?}", first.server), format!("{:?}", second.server));
        assert_eq!(format!("{:?}", first.providers), format!("{:?}", second.providers));
    }
}

#[test]
fn egress_lists_every_host_once() {
    let text = "providers:\n  openai: {}\n  gpt: {type: openai}\n  ollama: {}\n  groq: {model: m, proxy: 'http://u:p@proxy:3128'}";
    assert_eq!(egress(&good(text)), ["api.openai.com:443", "127.0.0.1:11434", "proxy:3128"]);
}

// ---- finding and reading ----

#[test]
fn the_file_is_where_the_command_line_or_the_environment_says() {
    let env = |name: &str| (name == "CONFIG_PATH").then(|| "/etc/hapax.yaml".to_owned());
    assert_eq!(find(Some(std::path::Path::new("x.yaml")), &env), Some(PathBuf::from("x.yaml")));
    assert_eq!(find(None, &env), Some(PathBuf::from("/etc/hapax.yaml")));
    assert_eq!(
        find(None, &|_| None),
        Some(PathBuf::from("config.yaml")),
        "beside the manifest, where tests run"
    );
}

#[test]
fn a_file_that_cannot_be_read_is_a_problem_not_a_default() {
    let path = std::env::temp_dir().join(format!("hapax-config-{}.yaml", std::process::id()));
    let name = path.display().to_string();
    let missing = load(&path, &|_| None).expect_err("missing").to_string();
    assert!(missing.starts_with(&format!("{name}: cannot be read: ")), "{missing}");
    std::fs::write(&path, b"server: {}\nlogging: {level: \xff}\n").expect("written");
    assert_eq!(
        load(&path, &|_| None).expect_err("not text").to_string(),
        format!("{name}:2:1: is not UTF-8")
    );
    std::fs::write(&path, vec![b'#'; (1 << 20) + 1]).expect("written");
    assert!(load(&path, &|_| None).expect_err("long").to_string().contains("longer"));
    std::fs::write(&path, "\u{feff}server: {workers: 7}\n").expect("written");
    assert_eq!(load(&path, &|_| None).expect("a BOM is no problem").server.workers, 7);
    std::fs::remove_file(&path).expect("removed");
}

#[test]
fn durations_and_sizes_are_read_as_written() {
    for (text, micros) in [
        ("500ms", 500_000),
        ("1h30m", 5_400_000_000),
        ("1.5s", 1_500_000),
        ("1d", 86_400_000_000_u64),
        ("100us", 100),
        ("0s", 0),
    ] {
        assert_eq!(value::duration(text), Ok(Duration::from_micros(micros)), "{text}");
    }
    for text in ["", "s", "5", "5.5", "5 s s", "-5s", "5x", "1..5s", "9999999d", "5s3"] {
        assert!(value::duration(text).is_err(), "{text:?}");
    }
    for (text, bytes) in
        [("16KiB", 16384), ("32k", 32768), ("1 MiB", 1 << 20), ("2KB", 2000), ("7", 7), ("1GiB", 1 << 30)]
    {
        assert_eq!(value::size(text), Ok(bytes), "{text}");
    }
    for text in ["", "KiB", "-1", "1.5MiB", "1XB", "99999999999GiB"] {
        assert!(value::size(text).is_err(), "{text:?}");
    }
    for text in ["30s", "1m", "90s", "500ms", "1500us", "2h", "0s"] {
        let read = value::duration(text).expect("valid");
        assert_eq!(value::duration(&value::duration_text(read)), Ok(read));
    }
}

#[test]
fn dates_are_the_calendars() {
    let seconds = |text: &str| {
        value::date(text).map(|at| at.duration_since(SystemTime::UNIX_EPOCH).expect("later").as_secs())
    };
    for (text, expected) in [
        ("1970-01-01", 0),
        ("2000-03-01", 951_868_800),
        ("2024-02-29", 1_709_164_800),
        ("2027-01-01", 1_798_761_600),
        ("2100-12-31T23:59:59Z", 4_133_980_799),
    ] {
        assert_eq!(seconds(text), Ok(expected), "{text}");
        assert_eq!(value::date_text(value::date(text).expect("valid")), text);
    }
    for text in [
        "2023-02-29",
        "2027-13-01",
        "2027-00-10",
        "2027-1-1",
        "27-01-01",
        "1969-12-31",
        "2027-01-01T25:00:00Z",
        "2027-01-01T10:00:00",
        "tomorrow",
    ] {
        assert!(seconds(text).is_err(), "{text}");
    }
}

#[test]
fn no_file_however_mangled_causes_a_panic_or_points_outside_itself() {
    let example = repository("config.yaml").into_bytes();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = |below: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        usize::try_from(state % below as u64).expect("small")
    };
    const BYTES: &[u8] = b"{}[]:,-#&*!|>'\"%@`$ \n\t\r~0x\x00\xc3";
    for _ in 0..400 {
        let mut bytes = example.clone();
        for _ in 0..=random(3) {
            let at = random(bytes.len());
            match random(3) {
                0 => bytes[at] = BYTES[random(BYTES.len())],
                1 => bytes.insert(at, BYTES[random(BYTES.len())]),
                _ => drop(bytes.drain(at..(at + random(40)).min(bytes.len()))),
            }
        }
        let Ok(text) = String::from_utf8(bytes) else { continue };
        let lines = text.split(['\n', '\r']).count();
        if let Err(problems) = read_in(&text, &[]) {
            assert!(!problems.0.is_empty());
            assert!(problems.0.iter().all(|p| p.line <= lines + 1), "{problems}\n{text}");
        }
    }
}

#[test]
fn a_whole_answer_may_take_its_time_unless_the_file_says_otherwise() {
    let answer = |timeouts: &str| {
        let text = format!("providers: {{ollama: {{timeouts: {{{timeouts}}}}}}}");
        good(&text).providers[0].answer_timeout.as_secs()
    };
    assert_eq!(answer(""), 600, "the total's default");
    assert_eq!(answer("total: 90s"), 90);
    assert_eq!(answer("first_token: 5s"), 5);
    assert_eq!(answer("first_token: 5s, answer: 40s"), 40);
}

#[test]
fn weights_are_written_beside_the_provider_or_in_one_place() {
    let text = "providers: {ollama: {weight: 3}, openai: {api_key: k}, groq: {api_key: k, model: m}}\n\
                routing: {strategy: weighted, weights: {openai: 0, ollama: 9}}";
    let settings = good(text);
    let weights: Vec<u32> = settings.providers.iter().map(|provider| provider.weight).collect();
    assert_eq!((settings.strategy, weights), (Strategy::Weighted, vec![3, 0, 1]));
}
