//! What an operator relies on: metrics with closed labels, names that agree everywhere, files that load, commands
//! that answer.

use crate::rig::process::Folder;
use crate::rig::{CHAT, HELLO, HELLO_STREAM, PATIENCE, Rig};
use hapax::config;
use hapax::telemetry::{Kind, METRICS};
use serde::Deserialize;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

const OPENAI: &str = "openai_compatible";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn files_below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("the folder is readable").flatten();
    entries
        .flat_map(|entry| if entry.path().is_dir() { files_below(&entry.path()) } else { vec![entry.path()] })
        .collect()
}

/// Words in a text that look like metrics of ours.
fn metric_names(text: &str) -> BTreeSet<String> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    text.split(|c| !word(c))
        .filter(|name| {
            ["hapax_", "circuit_breaker_", "process_"].iter().any(|prefix| name.starts_with(prefix))
        })
        .map(str::to_owned)
        .collect()
}

fn is_metric(name: &str) -> bool {
    METRICS.iter().any(|metric| {
        let of_histogram = metric.kind == Kind::Histogram
            && ["_bucket", "_sum", "_count"].iter().any(|part| name.strip_suffix(part) == Some(metric.name));
        name == metric.name || of_histogram
    })
}

#[test]
fn dashboards_alerts_and_documentation_name_only_metrics_that_exist() {
    for path in [
        "deploy/prometheus/alerts.yml",
        "deploy/prometheus/alerts.test.yml",
        "deploy/grafana/hapax.json",
        "docs/monitoring.md",
        "docs/operations.md",
    ] {
        let text = read(path);
        // Groups of rules and sections of configuration are called by such names, too.
        let others = ["hapax_recording", "hapax_alerts", "circuit_breaker_"];
        for name in metric_names(&text) {
            assert!(is_metric(&name) || others.contains(&name.as_str()), "{path} names {name}");
        }
    }
}

#[test]
fn every_metric_is_documented_with_its_labels_and_on_the_dashboard() {
    let page = read("docs/monitoring.md");
    let dashboard = metric_names(&read("deploy/grafana/hapax.json"));
    for metric in METRICS {
        let labels =
            if metric.labels.is_empty() { String::new() } else { format!("{{{}}}", metric.labels.join(",")) };
        let written = format!("`{}{labels}`", metric.name);
        assert!(page.contains(&written), "docs/monitoring.md lacks {written}");
        let shown = dashboard.iter().any(|name| name.starts_with(metric.name));
        assert!(shown || metric.name.starts_with("process_"), "the dashboard lacks {}", metric.name);
    }
}

#[test]
fn every_alert_has_its_place_in_the_runbook() {
    let runbook = read("docs/operations.md").to_lowercase();
    let alerts = read("deploy/prometheus/alerts.yml");
    let mut count = 0;
    for line in alerts.lines().filter_map(|line| line.trim().strip_prefix("action: \"docs/operations.md: ")) {
        let heading = format!("## {}\n", line.trim_end_matches('"'));
        assert!(runbook.contains(&heading), "the runbook lacks {heading}");
        count += 1;
    }
    assert_eq!(count, alerts.matches("- alert: ").count());
    for name in alerts.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")) {
        assert!(read("docs/monitoring.md").contains(name), "docs/monitoring.md lacks {name}");
        assert!(read("deploy/prometheus/alerts.test.yml").contains(name), "{name} has no test");
    }
}

/// Every document of a YAML file.
fn documents(path: &Path) -> Vec<serde_yaml::Value> {
    let text = fs::read_to_string(path).expect("it is readable");
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| {
            serde_yaml::Value::deserialize(document)
                .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
        })
        .collect()
}

#[test]
fn every_file_to_deploy_parses_and_every_configuration_in_it_loads() {
    let mut configurations = 0;
    let mut load = |name: &str, text: &str| {
        config::parse(name, text, &|_| None).unwrap_or_else(|problems| panic!("{problems}"));
        configurations += 1;
    };
    for path in files_below(&root().join("deploy")) {
        let name = path.strip_prefix(root()).expect("it lies below").display().to_string();
        if name.ends_with(".json") {
            serde_json::from_str::<serde_json::Value>(&read(&name))
                .unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        if !(name.ends_with(".yaml") || name.ends_with(".yml")) {
            continue;
        }
        for document in documents(&path) {
            if let Some(text) = document.get("data").and_then(|data| data.get("config.yaml")) {
                load(&name, text.as_str().expect("a configuration is text"));
            } else if document.get("server").is_some() {
                load(&name, &read(&name));
            }
        }
    }
    assert_eq!(configurations, 3, "the image's, compose's and Kubernetes'");
}

#[test]
fn the_image_is_probed_and_told_its_configuration_by_what_exists() {
    let dockerfile = read("Dockerfile");
    assert!(dockerfile.contains("FROM scratch") && dockerfile.contains("USER 65532"));
    assert!(
        dockerfile.contains(r#"CMD ["/hapax", "health"]"#)
            && dockerfile.contains("ENV CONFIG_PATH=/etc/hapax/config.yaml")
    );
    let settings = config::parse("image", &read("deploy/image.yaml"), &|_| None).expect("it loads");
    assert_eq!(settings.server.listen, "0.0.0.0:8080");
    // Every worker is a thread, and there are others.
    let compose = &documents(&root().join("deploy/compose.yaml"))[0]["services"]["hapax"];
    let threads = compose["pids_limit"].as_u64();
    assert!(threads.is_some_and(|threads| threads > settings.server.workers as u64 + 64), "{threads:?}");
    let kubernetes = read("deploy/kubernetes/hapax.yaml");
    for path in ["/health/live", "/health/ready"] {
        assert!(kubernetes.contains(&format!("path: {path}")), "{path}");
    }
}

#[test]
fn a_thousand_models_and_paths_make_no_new_series() {
    let rig = Rig::built(&[OPENAI], ", retries: 0", "circuit_breaker: {failure_threshold: 2}\n");
    // Checks have series of their own: they are there before the first look, and none of them fails.
    rig.provider(0).checks("ok");
    rig.wait_for_metric("hapax_health_check_duration_seconds_count{provider=\"a\"} 1");
    let series = |text: &str| {
        // The one who looks leaves a trace of his own.
        let named =
            |line: &&str| !line.starts_with('#') && !line.contains("_bucket") && !line.contains("/metrics");
        text.lines()
            .filter(named)
            .filter_map(|line| line.rsplit_once(' '))
            .map(|(name, _)| name.to_owned())
            .collect::<BTreeSet<_>>()
    };
    let mut conversation = rig.connect();
    let mut ask = |index: usize| {
        let body = format!(r#"{{"model":"a-{index:x}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
        rig.behave(0, if index.is_multiple_of(2) { "ok" } else { "status=500" });
        conversation.send("POST", CHAT, &[], &body);
        let answer = conversation.answer().status;
        conversation.send("GET", &format!("/random/{index:x}"), &[], "");
        assert_eq!(conversation.answer().status, 404);
        answer
    };
    assert_eq!((ask(0), ask(1)), (200, 502));
    ask(3);
    let before = series(&rig.get("/metrics").text());
    for index in 4..1_000 {
        ask(index);
    }
    let after = series(&rig.get("/metrics").text());
    let new: Vec<_> = after.difference(&before).collect();
    assert!(new.is_empty(), "{new:?}");
    assert!(after.len() < 250, "{} series", after.len());
}

#[test]
fn tokens_are_counted_by_key_model_and_direction() {
    let hash = hapax::domain::key::Hash::of("hpx_secret");
    let rig = Rig::with(&[OPENAI], &format!("auth: {{keys: [{{name: bot, hash: \"{hash}\"}}]}}\n"));
    let key = ("X-API-Key", "hpx_secret");
    let mut used = (0, 0);
    for body in [HELLO, HELLO_STREAM] {
        assert_eq!(rig.ask("POST", CHAT, &[key], body).status, 200);
        let usage = rig.ask("POST", CHAT, &[key], HELLO).json()["usage"].clone();
        let tokens = |name: &str| usage[name].as_u64().expect("a number");
        used = (used.0 + 2 * tokens("prompt_tokens"), used.1 + 2 * tokens("completion_tokens"));
    }
    rig.wait_for_metric(&format!(
        "hapax_tokens_total{{direction=\"input\",key=\"bot\",model=\"model-a\"}} {}",
        used.0
    ));
    rig.wait_for_metric(&format!(
        "hapax_tokens_total{{direction=\"output\",key=\"bot\",model=\"model-a\"}} {}",
        used.1
    ));
}

#[test]
fn a_caller_who_leaves_is_a_499_in_log_and_metrics() {
    let rig = Rig::new(&[OPENAI]);
    for (body, behaviour) in [(HELLO, "hold"), (HELLO_STREAM, "hold"), (HELLO_STREAM, "stall_after=3")] {
        rig.behave(0, behaviour);
        let seen = rig.asked(0).len();
        let mut caller = rig.connect();
        caller.send("POST", CHAT, &[("X-Hapax-Deduplicate", "off")], body);
        rig.provider(0).wait_for(seen + 1, PATIENCE);
        if behaviour != "hold" {
            assert_eq!(caller.head().0, 200, "the stream has begun");
        }
    }
    rig.wait_for_metric("hapax_http_requests_total{endpoint=\"/v1/chat/completions\",status=\"499\"} 3");
    rig.provider(0).gate().open();
    let log = rig.logged();
    let left: Vec<serde_json::Value> = log
        .lines()
        .filter(|line| line.contains("\"status\":499"))
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect();
    assert_eq!(left.len(), 3, "{log}");
    assert!(left.iter().all(|line| line["error"] == "caller_left" && line["level"] == "info"), "{left:?}");
}

#[test]
fn a_trace_goes_upstream_and_into_the_log() {
    let rig = Rig::new(&[OPENAI]);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    assert_eq!(rig.ask("POST", CHAT, &[("traceparent", parent)], HELLO).status, 200);
    assert_eq!(rig.ask("POST", CHAT, &[("traceparent", "00-nonsense")], HELLO).status, 200);
    let asked = rig.asked(0);
    assert_eq!((asked[0].header("traceparent"), asked[1].header("traceparent")), (Some(parent), None));
    let log = rig.logged();
    assert_eq!(log.matches("\"trace_id\":\"4bf92f3577b34da6a3ce929d0e0e4736\"").count(), 1, "{log}");
    assert_eq!(log.matches("trace_id").count(), 1);
}

#[test]
fn probes_and_scrapes_leave_no_line_in_an_ordinary_log() {
    let paths = ["/health", "/health/live", "/health/ready", "/metrics", "/", "/v1/status"];
    let lines = |level: &str| {
        let rig = Rig::with(&[OPENAI], &format!("logging: {{level: {level}}}\n"));
        for path in paths {
            assert_eq!(rig.get(path).status, 200);
        }
        assert_eq!(rig.get("/v1/models").status, 200);
        let log = rig.logged();
        log.lines().filter(|line| line.contains("\"msg\":\"request\"")).count()
    };
    assert_eq!((lines("info"), lines("debug")), (1, 1 + paths.len()));
}

/// The command line as a user types it.
fn hapax(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let folder = std::env::temp_dir();
    Command::new(env!("CARGO_BIN_EXE_hapax"))
        .args(arguments)
        .env_clear()
        .envs(environment.iter().copied())
        .current_dir(folder)
        .output()
        .expect("the command starts")
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is UTF-8")
}

#[test]
fn explain_asks_a_running_gateway_or_decides_from_the_file() {
    let rig = Rig::built(
        &[OPENAI, OPENAI],
        ", retries: 0",
        "circuit_breaker: {failure_threshold: 1}\nmodels: {fast: [b/b-1]}\n",
    );
    rig.provider(0).behave("down").expect("known");
    assert_eq!(rig.chat().status, 200);
    let url = format!("http://{}", rig.address());
    let output = hapax(&["explain", "--model", "a-1", "--url", &url], &[]);
    assert!(output.status.success(), "{output:?}");
    let words = said(&output);
    let lines: Vec<&str> = words.lines().map(str::trim).collect();
    assert!(lines.contains(&"1. b  model-b  first"), "{words}");
    assert!(
        lines.iter().any(|line| line.starts_with("-  a  a-1") && line.contains("circuit is open")),
        "{words}"
    );
    let output = hapax(&["explain", "--model", "fast", "--url", &url, "--json"], &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!(json["providers"][0]["provider"], "b");
    assert_eq!(json["providers"][1]["left_out"].as_str().map(str::is_empty), Some(false));
    let unknown = hapax(&["explain", "--key", "nobody", "--url", &url], &[]);
    assert_eq!(unknown.status.code(), Some(1));
    let file = root().join("config.yaml").display().to_string();
    let output = hapax(&["explain", "--model", "fast", "--config", &file], &[]);
    assert!(said(&output).contains("1. ollama     llama3.2     first"), "{output:?}");
    assert_eq!(hapax(&["explain", "--url", &url, "--config", &file], &[]).status.code(), Some(64));
}

#[test]
fn check_tells_machines_what_it_tells_people() {
    let file = root().join("config.yaml").display().to_string();
    let output = hapax(&["check", "--json", "--config", &file], &[("OPENAI_API_KEY", "sk-CANARY")]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&json["valid"], output.status.code()), (&true.into(), Some(0)));
    assert!(json["egress"].as_array().is_some_and(|hosts| hosts.contains(&"api.openai.com:443".into())));
    assert!(!said(&output).contains("CANARY"));
    let wrong = root().join("Cargo.toml").display().to_string();
    let output = hapax(&["check", "--json", "--config", &wrong], &[]);
    let json: serde_json::Value = serde_json::from_slice(&output.stdout).expect("it is JSON");
    assert_eq!((&json["valid"], output.status.code()), (&false.into(), Some(78)));
    assert!(json["problems"][0]["line"].is_u64(), "{json}");
}

#[test]
fn health_asks_where_the_named_file_listens_also_after_an_edit_that_went_wrong() {
    let rig = Rig::new(&[OPENAI]);
    let folder = Folder::new();
    let listens = format!("server: {{listen: '{}'}}\n", rig.address());
    let wrong = [&listens, "retry: {wait_max: 2}\n"].concat();
    for text in [&listens, &wrong] {
        let file = folder.put("here.yaml", text).display().to_string();
        let output = hapax(&["health", "--config", &file], &[]);
        assert!(output.status.success(), "{text}: {output:?}");
    }
    // The last of them is YAML, but a list: nothing in it has a name.
    for text in ["server: {listen: 7}\n", "server: [\n", "- server\n"] {
        let file = folder.put("here.yaml", text).display().to_string();
        assert_eq!(hapax(&["health", "--config", &file], &[]).status.code(), Some(78), "{text}");
    }
    let gone = folder.path("gone.yaml").display().to_string();
    assert_eq!(hapax(&["health", "-c", &gone], &[]).status.code(), Some(78));
}

#[test]
fn an_address_without_a_port_is_told_what_an_address_is() {
    for command in ["demo", "simulate"] {
        for address in ["9000", "localhost", "127.0.0.1:99999"] {
            let output = hapax(&[command, "--listen", address], &[]);
            let said = String::from_utf8_lossy(&output.stderr).into_owned();
            assert!(output.status.code() == Some(1) && said.contains("say HOST:PORT"), "{address}: {said}");
        }
    }
}

#[test]
fn completions_are_scripts_their_shell_accepts() {
    for shell in ["bash", "zsh", "fish"] {
        let output = hapax(&["completions", shell], &[]);
        assert!(output.status.success() && said(&output).contains("explain"), "{shell}");
    }
    let script = said(&hapax(&["completions", "bash"], &[]));
    let asked =
        format!("{script}\nCOMP_WORDS=(hapax explain --m); COMP_CWORD=2; _hapax; echo \"${{COMPREPLY[*]}}\"");
    let output = Command::new("bash").args(["--norc", "-c", &asked]).output().expect("there is a bash");
    assert_eq!(said(&output).trim(), "--model", "{output:?}");
    for words in ["check -c", "check --config", "import litellm", "simulate --script"] {
        let asked = format!(
            "{script}\nCOMP_WORDS=(hapax {words} Cargo.to); COMP_CWORD=3; _hapax; echo \"$COMPREPLY\""
        );
        let output = Command::new("bash").args(["--norc", "-c", &asked]).current_dir(root()).output();
        assert_eq!(said(&output.expect("there is a bash")).trim(), "Cargo.toml", "{words}");
    }
    assert_eq!(hapax(&["completions", "tcsh"], &[]).status.code(), Some(64));
}

/// The code blocks of a page that are marked with this language.
fn blocks(page: &str, language: &str) -> Vec<String> {
    let text = read(page);
    let fence = format!("```{language}\n");
    text.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap_or_default().to_owned()).collect()
}

#[test]
fn every_command_in_the_pages_works() {
    let output = Command::new(root().join("scripts/docs-check"))
        .env("HAPAX", env!("CARGO_BIN_EXE_hapax"))
        .output()
        .expect("there is a Python");
    let words =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    // 69: this machine has no networks of one's own. The script says so loudly, and the gate shows it.
    assert!(matches!(output.status.code(), Some(0 | 69)), "{words}");
    if output.status.success() {
        let commands = words
            .lines()
            .filter_map(|line| line.strip_suffix(" commands")?.rsplit(' ').next()?.parse::<usize>().ok());
        assert!(commands.sum::<usize>() > 30, "{words}");
    }
}

#[test]
fn the_hosts_an_air_gapped_site_lets_out_are_those_the_page_names() {
    let yaml = blocks("docs/air-gapped.md", "yaml").concat();
    assert!(yaml.starts_with("# air-gapped.yaml"), "the page's commands name it");
    let settings = config::parse("air-gapped", &yaml, &|_| None).expect("it loads");
    assert_eq!(config::egress(&settings), ["10.0.0.11:11434", "10.0.0.12:11434"]);
}

#[test]
fn the_page_on_migrating_names_every_key_without_effect() {
    let page = read("docs/migrating.md");
    let table = read("src/config/keys/original.rs");
    let gone = table.lines().filter_map(|line| line.trim().strip_prefix("gone(\"")?.split('"').next());
    assert!(gone.clone().count() > 15, "the keys are elsewhere");
    for key in gone {
        let last = key.trim_end_matches(".*").rsplit('.').next().unwrap_or(key);
        assert!(page.contains(last), "docs/migrating.md lacks {key}");
    }
}
