//! What a restart of the process does not make anybody forget: each limit, each budget, each circuit, each request for
//! patience.

use crate::rig::process::{Folder, Running, Start};
use crate::rig::{CHAT, caller::Answer};
use hapax::clock::SystemClock;
use hapax::domain::key::Hash;
use hapax::simulate::Simulator;
use rustix::process::Signal;
use std::sync::Arc;

/// One thing to remember. Its refilling takes most of a minute: longer than any restart.
struct Case<'a> {
    /// More of the configuration, of provider `a`, and of the key `bot`.
    all: &'a str,
    first: &'a str,
    key: Option<&'a str>,
    /// How provider `a` behaves before the restart; afterwards it is well.
    behaves: &'a str,
    /// Who is asked after the first answer; `None`: nobody.
    then: Option<&'a str>,
}

const PLAIN: Case<'_> = Case { all: "", first: "", key: None, behaves: "ok", then: None };

/// An answer of more tokens than anybody would have reserved.
const DEAR: &str = r#"body={"id":"c","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],"usage":{"prompt_tokens":9000,"completion_tokens":9000,"total_tokens":18000}}"#;

fn simulator() -> Simulator {
    Simulator::start("127.0.0.1:0", Arc::new(SystemClock)).expect("a port is free")
}

fn ask(running: &Running) -> Answer {
    let mut caller = running.connect();
    let body = r#"{"max_tokens":1,"messages":[{"role":"user","content":"Hello"}]}"#;
    caller.send("POST", CHAT, &[("X-API-Key", "hpx_bot")], body);
    caller.answer()
}

/// Asks until what is to be remembered has happened, restarts, and asks once more.
fn is_remembered(case: &Case<'_>, what: &str) {
    let (folder, a, b) = (Folder::new(), simulator(), simulator());
    let key = case
        .key
        .map(|more| format!("auth: {{keys: [{{name: bot, hash: \"{}\", {more}}}]}}\n", Hash::of("hpx_bot")));
    let yaml = format!(
        "server: {{listen: '127.0.0.1:0'}}\nusage: {{path: '{}'}}\nretry: {{wait_max: 0s}}\nproviders:\n\
         \x20 a: {{type: openai_compatible, base_url: '{}', model: m, retries: 0{}}}\n\
         \x20 b: {{type: openai_compatible, base_url: '{}', model: m, retries: 0}}\n{}{}",
        folder.path("usage.db").display(),
        a.url(),
        case.first,
        b.url(),
        key.unwrap_or_default(),
        case.all,
    );
    let config = folder.put("config.yaml", &yaml);
    let holds = |answer: &Answer, when: &str| match case.then {
        None => assert_eq!(answer.status, 429, "{what}, {when}: {}", answer.text()),
        Some(who) => {
            assert_eq!(answer.header("x-hapax-provider"), Some(who), "{what}, {when}: {}", answer.text())
        }
    };
    let running = Running::start(Start::new(&config));
    a.behave(case.behaves).expect("the behaviour is known");
    assert_eq!(ask(&running).status, 200, "{what}: the first one");
    holds(&ask(&running), "before the restart");
    running.signal(Signal::TERM);
    let (status, log) = running.ended();
    assert_eq!(status.code(), Some(0), "{log}");
    a.behave("ok").expect("it is known");
    let asked = a.seen().len();
    let running = Running::start(Start::new(&config));
    holds(&ask(&running), "after it");
    assert!(a.seen()[asked..].iter().all(|seen| seen.method != "POST"), "{what}: `a` was asked too early");
    drop(running);
    a.stop();
    b.stop();
}

#[test]
fn a_key_that_has_asked_enough_has_still_asked_enough_after_a_restart() {
    is_remembered(&Case { key: Some("limits: {requests_per_minute: 1}"), ..PLAIN }, "its requests");
    let tokens = Case { key: Some("limits: {tokens_per_minute: 12000}"), behaves: DEAR, ..PLAIN };
    is_remembered(&tokens, "its tokens, a debt of half a minute");
    let prices = "prices: {m: {input: 0, output: 1000}}\n";
    let budget = Case { key: Some("budget: {usd: 0.001, per: month}"), all: prices, ..PLAIN };
    is_remembered(&budget, "its budget");
}

#[test]
fn an_address_and_an_endpoint_at_their_limit_are_still_there_after_a_restart() {
    is_remembered(&Case { all: "rate_limit: {requests_per_minute: 1}\n", ..PLAIN }, "an address");
    let route = "routes: [{path: \"/v1/*\", limits: {requests_per_minute: 1}}]\n";
    is_remembered(&Case { all: route, ..PLAIN }, "an endpoint");
}

#[test]
fn a_provider_at_its_limit_busy_or_broken_is_still_passed_over_after_a_restart() {
    let then = Some("b");
    is_remembered(&Case { first: ", limits: {requests_per_minute: 1}", then, ..PLAIN }, "its requests");
    let tokens = Case { first: ", limits: {tokens_per_minute: 12000}", behaves: DEAR, then, ..PLAIN };
    is_remembered(&tokens, "its tokens");
    let busy = Case { behaves: "status=429,header=Retry-After:60", then, ..PLAIN };
    is_remembered(&busy, "a Retry-After");
    let breaker = "circuit_breaker: {failure_threshold: 1, timeout: 50s}\n";
    is_remembered(&Case { all: breaker, behaves: "status=500", then, ..PLAIN }, "a circuit");
}
