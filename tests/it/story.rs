//! What an operator reads afterwards: one log line per request, the metrics, the status; and no secret in any.

use crate::rig::process::{Folder, Running, Start};
use crate::rig::{CHAT, HELLO_STREAM, Rig};
use hapax::clock::SystemClock;
use hapax::simulate::Simulator;
use rustix::process::Signal;
use std::sync::Arc;

const OPENAI: &str = "openai_compatible";

#[test]
fn a_failover_is_told_in_one_line_with_its_attempts() {
    let rig = Rig::built(&[OPENAI, "anthropic"], ", retries: 0", "");
    rig.behave(0, "status=503");
    assert_eq!(rig.ask("POST", CHAT, &[("X-Request-ID", "story-1")], HELLO_STREAM).status, 200);
    for line in [
        "hapax_failovers_total{from=\"a\",reason=\"server_error\",to=\"b\"} 1",
        "hapax_http_requests_total{endpoint=\"/v1/chat/completions\",status=\"200\"} 1",
        "hapax_provider_requests_total{outcome=\"success\",provider=\"b\"} 1",
        "hapax_http_active_requests{endpoint=\"/v1/chat/completions\"} 0",
        "hapax_tokens_total{direction=\"input\",key=\"none\",model=\"model-b\"} 1",
    ] {
        rig.wait_for_metric(line);
    }
    let status = rig.get("/v1/status").json();
    assert_eq!(status["recent"][0]["request_id"], "story-1");
    assert_eq!(status["recent"][0]["attempts"].as_array().map(Vec::len), Some(2));
    let log = rig.logged();
    let lines: Vec<serde_json::Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let line = lines.iter().find(|line| line["request_id"] == "story-1").expect("it has its line");
    assert_eq!(
        (&line["provider"], &line["model"], &line["status"]),
        (&"b".into(), &"model-b".into(), &200.into())
    );
    assert_eq!(line["attempts"][0]["outcome"], "503");
    assert_eq!(line["usage"]["input"], 1);
    assert_eq!(
        (&line["stream"], &line["method"], &line["level"]),
        (&true.into(), &"POST".into(), &"info".into())
    );
    assert!(line["ts"].as_str().is_some_and(|ts| ts.ends_with('Z')));
}

#[test]
fn nothing_said_or_secret_is_in_log_metrics_status_or_errors() {
    let rig = Rig::built(&[OPENAI, "anthropic"], ", retries: 0", "logging: {level: trace}\n");
    let mut heard = String::new();
    for fault in ["ok", "status=500", "status=401", "garbage", "bad_request", "error_after=3", "down"] {
        rig.behave(0, fault);
        rig.behave(1, fault);
        for stream in ["true", "false"] {
            let body =
                format!(r#"{{"stream":{stream},"messages":[{{"role":"user","content":"CANARY-PROMPT"}}]}}"#);
            let answer = rig.ask("POST", CHAT, &[("Authorization", "Bearer CANARY-CALLER")], &body);
            if answer.status != 200 {
                heard.push_str(&answer.text());
            }
        }
    }
    for path in ["/metrics", "/v1/status", "/health"] {
        heard.push_str(&rig.get(path).text());
    }
    heard.push_str(&rig.logged());
    for secret in ["CANARY-PROMPT", "CANARY-CALLER", "sk-a", "sk-b"] {
        assert!(!heard.contains(secret), "{secret} is in {heard}");
    }
}

#[test]
fn what_was_said_is_told_where_the_operator_wants_it_and_without_what_the_rules_take_out() {
    let extra = "logging: {prompts: true}\nredaction:\n  mode: enforce\n  rules: [{name: number, pattern: 'sesame', replace: '***', on: [requests]}]\n";
    let rig = Rig::built(&[OPENAI, "anthropic"], ", retries: 0", extra);
    for stream in ["true", "false"] {
        let body = format!(r#"{{"stream":{stream},"messages":[{{"role":"user","content":"open sesame"}}]}}"#);
        assert_eq!(rig.ask("POST", CHAT, &[("X-Request-ID", stream)], &body).status, 200);
    }
    let log = rig.logged();
    assert!(!log.contains("sesame"), "{log}");
    let lines: Vec<serde_json::Value> =
        log.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    for stream in ["true", "false"] {
        let line = lines.iter().find(|line| line["request_id"] == stream).expect("it has its line");
        assert!(line["prompt"].as_str().is_some_and(|prompt| prompt.contains("open ***")), "{line}");
        assert!(line["answer"].as_str().is_some_and(|answer| answer.contains("You said open ***")), "{line}");
    }
}

#[test]
fn a_callers_words_are_no_line_of_the_log_and_no_command_to_a_terminal() {
    let provider = Simulator::start("127.0.0.1:0", Arc::new(SystemClock)).expect("a port is free");
    let folder = Folder::new();
    let config = folder.put(
        "config.yaml",
        &format!(
            "server: {{listen: '127.0.0.1:0'}}\nlogging: {{format: text}}\ncircuit_breaker: {{failure_threshold: 1}}\n\
             providers: {{a: {{type: {OPENAI}, base_url: '{}', model: m, models: ['*'], retries: 0}}}}\n",
            provider.url()
        ),
    );
    let gateway = Running::start(Start::new(&config));
    for fault in ["ok", "status=500"] {
        provider.behave(fault).expect("it is known");
        let forged = r"x\n2026-01-01 00:00:00 ERROR forged\r\u001b[31m\u009b";
        let body = format!(r#"{{"model":"{forged}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
        let mut caller = gateway.connect();
        caller.send("POST", CHAT, &[], &body);
        assert_eq!(caller.answer().status == 200, fault == "ok");
    }
    gateway.signal(Signal::TERM);
    let (_, log) = gateway.ended();
    let circuit = "circuit a/x?2026-01-01 00:00:00 ERROR forged??[31m? is open";
    assert!(log.contains(circuit) && log.matches("forged").count() >= 2, "{log}");
    assert!(!log.contains(|c: char| c.is_control() && c != '\n'), "{log:?}");
    assert!(log.lines().all(|line| !line.starts_with("2026-01-01")), "{log}");
    provider.stop();
}
