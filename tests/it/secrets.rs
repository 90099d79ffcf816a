//! Secrets stay where they belong: one header to the one provider; and nobody but the configuration names a host.

use crate::rig::process::{Folder, Running, Start};
use crate::rig::{CHAT, HELLO, PATIENCE, Rig, at_once, until};
use hapax::clock::SystemClock;
use hapax::simulate::Simulator;
use rustix::process::Signal;
use std::net::TcpListener;
use std::sync::Arc;

const KEY_A: &str = "canary-key-of-a";
const KEY_B: &str = "canary-key-of-b";
const HEADER: &str = "canary-header";
const PROXY: &str = "canary-proxy";
const CALLER: &str = "canary-caller";
const PROMPT: &str = "canary-prompt";

/// Everything a simulated provider can do wrong.
const BEHAVIOURS: &[&str] = &[
    "ok",
    "status=400",
    "status=401",
    "status=402",
    "status=403",
    "status=404",
    "status=408",
    "status=413",
    "status=422",
    "status=429",
    "status=500",
    "status=503",
    "status=529",
    "context_length",
    "unknown_model",
    "bad_request",
    "content_policy",
    "no_prefill",
    "down",
    "close",
    "reset",
    "stall",
    "garbage_http",
    "garbage",
    "empty",
    "empty=content",
    "error_200",
    "redirect",
    "cut_after=2",
    "reset_after=2",
    "stall_after=2",
    "error_after=2",
    "cut_at_byte=20",
    "malformed_at=2",
    "no_end",
    "no_finish",
    "insufficient_quota",
    // Providers that repeat what they were sent.
    "status=500,body={\"error\":{\"message\":\"canary-key-of-a canary-header canary-prompt\"}}",
    "status=401,body={\"error\":{\"message\":\"canary-key-of-a canary-header canary-prompt\"}}",
    "status=429,body={\"error\":{\"message\":\"canary-key-of-a canary-header canary-prompt\"}}",
    "status=400,body={\"error\":{\"message\":\"canary-key-of-a canary-header\"}}",
    "status=400,body={\"error\":{\"message\":\"canary-key-of-a canary-prompt\",\"code\":\"context_length_exceeded\"}}",
];

/// What anyone may read.
const PROBES: &[&str] =
    &["/metrics", "/v1/status", "/health", "/health/provider/a", "/health/provider/b", "/v1/models"];

/// What makes a gateway set its key aside, and what comes after it.
const KEY_REFUSED: &[&str] =
    &["status=401", "status=402", "status=403", "status=404", "status=500,body", "status=429,body"];

/// Every endpoint that takes words, with a body that says them.
fn questions(stream: bool) -> [(&'static str, String); 4] {
    let messages = format!(r#""messages":[{{"role":"user","content":"{PROMPT}"}}]"#);
    [
        (CHAT, format!(r#"{{"stream":{stream},{messages}}}"#)),
        ("/v1/messages", format!(r#"{{"stream":{stream},"model":"model-a","max_tokens":9,{messages}}}"#)),
        ("/api/chat", format!(r#"{{"stream":{stream},"model":"model-a",{messages}}}"#)),
        ("/v1/completions", format!(r#"{{"input":"{PROMPT}"}}"#)),
    ]
}

fn provider() -> Simulator {
    Simulator::start("127.0.0.1:0", Arc::new(SystemClock)).expect("a port is free")
}

/// Asks everything of a gateway with this log, and gives what callers, probes and the log's reader have heard.
fn everything_heard(level: &str, format: &str) -> [String; 3] {
    let (folder, a, b) = (Folder::new(), provider(), provider());
    let each = "retries: 0, timeouts: {connect: 200ms, first_token: 60ms, idle: 60ms}";
    let config = |tokens: usize| {
        format!(
            "server: {{listen: '127.0.0.1:0'}}\nproviders:\n  \
         a: {{type: openai_compatible, base_url: '{}', api_key: {KEY_A}, model: model-a, max_tokens: {tokens}, headers: {{X-Site: {HEADER}}}, {each}}}\n  \
         b: {{type: anthropic, base_url: '{}', api_keys: [{KEY_B}], model: model-b, max_tokens: {tokens}, {each}}}\n  \
         c: {{type: openai_compatible, base_url: 'http://127.0.0.1:9', model: model-c, proxy: 'http://me:{PROXY}@127.0.0.1:9', {each}}}\n\
         circuit_breaker: {{failure_threshold: 1000000}}\nhealth_check: {{failure_threshold: 1000000}}\n\
         retry: {{wait_max: 0s}}\nlogging: {{level: {level}, format: {format}}}\n",
            a.url(),
            b.url()
        )
    };
    let gateway = Running::start_quietly(Start::new(&folder.put("config.yaml", &config(1))));
    let (mut answers, mut probes) = (String::new(), String::new());
    let mut reloads = 0;
    for (index, behaviour) in BEHAVIOURS.iter().enumerate() {
        a.behave(behaviour).expect("known");
        b.behave(&behaviour.replace(KEY_A, KEY_B).replace(HEADER, "")).expect("known");
        if KEY_REFUSED.iter().any(|word| behaviour.starts_with(word)) {
            // A key refused before would not be shown again: other providers of the same kind begin anew.
            reloads += 1;
            folder.put("config.yaml", &config(1 + reloads));
            gateway.signal(Signal::HUP);
            let line = format!("hapax_config_reloads_total{{result=\"success\"}} {reloads}\n");
            until("it is read again", || gateway.get("/metrics").text().contains(&line));
        }
        for (path, body) in questions(index % 2 == 0) {
            let mut caller = gateway.connect();
            let headers =
                [("Authorization", format!("Bearer {CALLER}")), ("X-Hapax-Deduplicate", "off".into())];
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            caller.send("POST", path, &headers, &body);
            let answer = caller.answer();
            // What a provider says in an answer is the caller's; so is what it repeats of his own words.
            answers.push_str(&format!(
                "{index} {path} {} {:?}\n{}\n",
                answer.status,
                answer.headers,
                answer.text()
            ));
        }
        for path in PROBES {
            probes.push_str(&gateway.get(path).text());
        }
    }
    only_its_own_was_sent(&a, KEY_A);
    only_its_own_was_sent(&b, KEY_B);
    gateway.signal(Signal::HUP);
    gateway.signal(Signal::TERM);
    let (status, log) = gateway.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    for simulator in [a, b] {
        simulator.stop();
    }
    [answers, probes, log]
}

/// Every header a provider received holds its own secrets in their places, and no others.
fn only_its_own_was_sent(simulator: &Simulator, own: &str) {
    let seen = simulator.seen();
    assert!(seen.len() > BEHAVIOURS.len());
    for (name, value) in seen.iter().flat_map(|seen| &seen.headers) {
        let belongs = match name.to_ascii_lowercase().as_str() {
            "authorization" => *value == format!("Bearer {own}"),
            "x-api-key" => value == own,
            "x-site" => value == HEADER && own == KEY_A,
            _ => !value.contains("canary"),
        };
        assert!(belongs, "{name}: {value} was sent to the provider with {own}");
    }
}

#[test]
fn no_key_header_password_or_prompt_is_found_anywhere_but_where_it_belongs() {
    let levels = ["error", "warn", "info", "debug", "trace"];
    at_once(10, |index| {
        let (level, format) = (levels[index / 2], ["json", "text"][index % 2]);
        let [answers, probes, log] = everything_heard(level, format);
        for secret in [KEY_A, KEY_B, HEADER, PROXY, CALLER] {
            let found = answers.lines().find(|line| line.contains(secret));
            assert_eq!(found, None, "{secret} is in an answer");
        }
        for secret in [KEY_A, KEY_B, HEADER, PROXY, CALLER, PROMPT] {
            for (place, text) in [("a probe", &probes), ("the log", &log)] {
                let found = text.lines().find(|line| line.contains(secret));
                assert_eq!(found, None, "{secret} is in {place} ({level}, {format})");
            }
        }
        for address in ["127.0.0.1:9", "rustls", "ureq"] {
            let found = log.lines().find(|line| line.contains(address));
            assert_eq!(found, None, "another crate speaks in the log ({level}, {format})");
        }
    });
}

#[test]
fn the_effective_configuration_of_a_proxy_with_a_password_prints_none() {
    let text = format!("providers: {{openai: {{proxy: 'http://me:{PROXY}@proxy:3128', api_key: {KEY_A}}}}}");
    let settings = hapax::config::parse("test.yaml", &text, &|_| None).expect("it is right");
    for shown in [
        hapax::config::effective(&settings),
        format!("{settings:?}"),
        hapax::config::egress(&settings).join(" "),
    ] {
        assert!(!shown.contains("canary"), "{shown}");
    }
}

#[test]
fn no_caller_chooses_a_host_an_address_or_our_key() {
    let rig = Rig::new(&["openai_compatible"]);
    let trap = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let evil = trap.local_addr().expect("it is bound");
    let body = format!(
        r#"{{"base_url":"http://{evil}","api_base":"http://{evil}","api_key":"mine","endpoint":"http://{evil}","provider":{{"url":"http://{evil}"}},"messages":[{{"role":"user","content":"Hello"}}]}}"#
    );
    let absolute = format!("http://{evil}{CHAT}");
    let host = evil.to_string();
    let headers = [
        ("X-Forwarded-Host", host.as_str()),
        ("X-Original-URL", &absolute),
        ("X-Base-Url", &absolute),
        ("Forwarded", "host=evil"),
        ("X-Goog-Api-Key", "mine"),
        ("api-key", "mine"),
        ("OpenAI-Organization", "mine"),
    ];
    for (path, body) in [(CHAT, body.as_str()), (&absolute, HELLO), (&absolute, &body)] {
        let answer = rig.ask("POST", path, &headers, body);
        assert_eq!(answer.status, 200, "{}", answer.text());
    }
    let mut caller = rig.connect();
    let length = HELLO.len();
    caller.raw(format!("POST {CHAT} HTTP/1.1\r\nHost: {evil}\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{HELLO}").as_bytes());
    assert_eq!(caller.answer().status, 200);
    let seen = rig.provider(0).wait_for(4, PATIENCE);
    assert_eq!(seen.len(), 4);
    for seen in seen {
        assert_eq!(seen.header("host"), Some(rig.provider(0).address().to_string().as_str()));
        assert_eq!(seen.header("authorization"), Some("Bearer sk-a"));
        assert!(
            seen.headers.iter().all(|(_, value)| value != "mine" && !value.contains(&host)),
            "{:?}",
            seen.headers
        );
        assert_eq!(seen.path, CHAT);
    }
    trap.set_nonblocking(true).expect("a socket option");
    assert!(trap.accept().is_err(), "somebody was sent to a caller's address");
}

#[test]
fn a_proxy_in_the_environment_is_asked_for_nothing() {
    let (trap, provider) = (TcpListener::bind("127.0.0.1:0"), TcpListener::bind("127.0.0.1:0"));
    let (trap, provider) = (trap.expect("a port is free"), provider.expect("a port is free"));
    let at = |listener: &TcpListener| listener.local_addr().expect("it is bound");
    let folder = Folder::new();
    // Over TLS, where the client's own ways would take it from there.
    let yaml = format!(
        "server: {{listen: '127.0.0.1:0'}}\nproviders: {{p: {{type: openai_compatible, base_url: 'https://{}', api_key: k, model: m, retries: 0, timeouts: {{connect: 1s}}}}}}\n",
        at(&provider)
    );
    let config = folder.put("config.yaml", &yaml);
    let names = ["http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"];
    let environment = names.map(|name| (name, format!("http://{}", at(&trap)))).to_vec();
    let gateway = Running::start(Start { environment, ..Start::new(&config) });
    let mut caller = gateway.connect();
    caller.send("POST", CHAT, &[], HELLO);
    assert_eq!(caller.answer().status, 504, "nobody shakes hands");
    drop(gateway);
    for listener in [&trap, &provider] {
        listener.set_nonblocking(true).expect("a socket option");
    }
    assert!(provider.accept().is_ok(), "the provider itself was asked");
    assert!(trap.accept().is_err(), "the environment's proxy was asked");
}
