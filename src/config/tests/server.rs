//! Who listens where, for whom, and with how much memory.

use super::*;

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
fn what_becomes_of_odd_characters_is_said_in_a_word() {
    use crate::domain::words::OddCharacters::{Pass, Refuse, Replace};
    assert_eq!(good("").odd_characters, Refuse);
    for (word, meant) in [("refuse", Refuse), ("replace", Replace), ("pass", Pass)] {
        let told = good(&format!("validation: {{control_characters: {word}}}"));
        assert_eq!(told.odd_characters, meant);
        assert_eq!(good(&effective(&told)).odd_characters, meant);
    }
    let lines = bad("validation: {control_characters: strip}");
    assert!(lines.len() == 1 && lines[0].contains("validation.control_characters: must be"), "{lines:?}");
}

#[test]
fn answers_are_kept_in_a_part_of_the_memory() {
    assert_eq!(good("").cache, None);
    assert_eq!(good("cache: {ttl: 1s, bytes_max: 1MiB}").cache, None, "not enabled");
    let told = |text: &str| good(text).cache.expect("it is enabled");
    let default = Cache { ttl: Duration::from_secs(600), bytes_max: 32 << 20 };
    assert_eq!(told("cache: {enabled: true}"), default);
    let half = "cache: {enabled: true, bytes_max: 64MiB}\nserver: {memory_max: 128MiB}";
    assert_eq!(told(half).bytes_max, 64 << 20);
    let problems = bad(&half.replace("64MiB", "65MiB"));
    assert_eq!(problems, ["config.yaml:1:24: cache.bytes_max: must be at most half of server.memory_max"]);
    assert_eq!(bad("cache: {enabled: true, bytes_max: 1023KiB}").len(), 1);
    assert_eq!(bad("cache: {enabled: true, ttl: 0s}").len(), 1);
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
