//! What comes from variables, with and without a file.

use super::*;

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
fn the_environment_overrides_how_much_is_logged() {
    let settings = good_in("logging: {level: debug}", &[("LOG_LEVEL", "WARNING"), ("LOG_FORMAT", "text")]);
    assert_eq!(settings.logging, Logging { level: Level::Warn, format: LogFormat::Text, prompts: false });
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
