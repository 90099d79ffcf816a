//! Every problem of a file is told, once, with its place, and tells no secret.

use super::*;

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
