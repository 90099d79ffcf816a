//! The provider as the gateway sees it: addresses, headers, keys, statuses, checks.

use super::rig::{LONG, Script, Server, answering, question, settings};
use crate::clock::{Clock, SystemClock};
use crate::config::{Kind, Provider as Settings};
use crate::dialect::Outgoing;
use crate::domain::failure::Fault;
use crate::domain::key::Secret;
use crate::domain::words::{Dialect, Marks, Words};
use crate::gateway::cancel::Cancel;
use crate::gateway::ports::{Call, Provider};
use crate::memory::Memory;
use crate::upstream::line::Bound;
use crate::upstream::{Asked, TRANSLATED_OBJECTS_MAX, Upstream, appetite, connect};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

fn upstream(settings: &Settings) -> Upstream {
    connect(settings, None, Arc::new(SystemClock), Memory::new(1 << 30)).unwrap()
}

fn call() -> Call {
    let began = SystemClock.now();
    Call { began, deadline: began + LONG, cancel: Cancel::new() }
}

/// Answers every request with this, and tells what it was asked.
fn telling(answer: &'static str) -> (Script, Receiver<String>) {
    let (tell, told) = channel();
    let script = move |peer: &mut super::rig::Peer| {
        while let Some(request) = peer.request() {
            tell.send(request.to_ascii_lowercase()).unwrap();
            peer.say(answer);
        }
    };
    (Box::new(script), told)
}

const FINE: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}";

fn configured(server: &Server, kind: Kind, prefix: &str) -> Settings {
    let mut settings = settings(&format!("http://{}{prefix}", server.address));
    settings.kind = kind;
    settings.keys = vec![Secret::new("k-1")];
    settings.headers = vec![("X-Site".into(), Secret::new("Berlin"))];
    settings
}

fn post(upstream: &Upstream, path: &'static str) -> Result<u16, crate::domain::failure::Failure> {
    let outgoing =
        Outgoing { path: path.into(), body: b"{}".to_vec().into(), dropped: Vec::new(), unwrap_tool: None };
    let last = Bound::new(SystemClock.now() + LONG, Fault::TotalTimeout);
    let question = question();
    let target = Dialect::OpenAiChat;
    let asked = Asked { target, model: "m-1", question: &question, passed: &[], head_within: LONG };
    upstream.post(&outgoing, &asked, &call(), last).map(|(incoming, _)| incoming.status)
}

#[test]
fn a_question_goes_to_the_kinds_address_with_the_kinds_headers() {
    let cases = [
        (
            Kind::OpenAi,
            "",
            "/chat/completions",
            "post /v1/chat/completions ",
            "authorization: bearer k-1\r\n",
        ),
        (
            Kind::OpenAiCompatible,
            "/api",
            "/chat/completions",
            "post /api/v1/chat/completions ",
            "x-site: berlin",
        ),
        (Kind::Anthropic, "", "/messages", "post /v1/messages ", "x-api-key: k-1\r\n"),
        (Kind::Anthropic, "", "/messages", "post /v1/messages ", "anthropic-version: 2023-06-01\r\n"),
        (Kind::Ollama, "", "/api/chat", "post /api/chat ", "authorization: bearer k-1\r\n"),
        (
            Kind::Gemini,
            "",
            "/models/g:generateContent",
            "post /v1beta/models/g:generatecontent ",
            "x-goog-api-key: k-1\r\n",
        ),
        (
            Kind::Gemini,
            "/v1alpha",
            "/models/g:x?alt=sse",
            "post /v1alpha/models/g:x?alt=sse ",
            "x-goog-api-key: k-1\r\n",
        ),
        (Kind::Azure, "", "/chat/completions", "post /openai/v1/chat/completions ", "api-key: k-1\r\n"),
        (
            Kind::Azure,
            "/openai",
            "/chat/completions",
            "post /openai/v1/chat/completions ",
            "api-key: k-1\r\n",
        ),
    ];
    for (kind, prefix, path, line, header) in cases {
        let (script, told) = telling(FINE);
        let server = Server::new(vec![script]);
        let upstream = upstream(&configured(&server, kind, prefix));
        assert_eq!(post(&upstream, path).unwrap(), 200);
        let request = told.recv().unwrap();
        let common = [
            "content-type: application/json\r\n",
            "x-request-id: req-1\r\n",
            "accept-encoding: identity\r\n",
            concat!("user-agent: hapax/", env!("CARGO_PKG_VERSION"), "\r\n"),
            "content-length: 2\r\n",
        ];
        assert!(request.starts_with(line), "{request}");
        for expected in common.into_iter().chain([header]) {
            assert!(request.contains(expected), "{expected} in {request}");
        }
        drop(upstream);
        server.finish();
    }
}

#[test]
fn without_a_key_there_is_no_authorization() {
    let (script, told) = telling(FINE);
    let server = Server::new(vec![script]);
    let mut settings = configured(&server, Kind::OpenAi, "");
    settings.keys = Vec::new();
    let upstream = upstream(&settings);
    assert_eq!(post(&upstream, "/chat/completions").unwrap(), 200);
    assert!(!told.recv().unwrap().contains("authorization"));
    drop(upstream);
    server.finish();
}

#[test]
fn a_failure_carries_the_status_and_the_wait_that_was_asked_for() {
    let busy = "HTTP/1.1 429 Busy\r\nretry-after: 7\r\ncontent-length: 2\r\n\r\n{}";
    let (script, _told) = telling(busy);
    let server = Server::new(vec![script]);
    let upstream = upstream(&configured(&server, Kind::OpenAi, ""));
    let failure = post(&upstream, "/chat/completions").unwrap_err();
    assert_eq!((failure.status, failure.retry_after), (Some(429), Some(Duration::from_secs(7))));
    drop(upstream);
    server.finish();
}

#[test]
fn a_redirect_is_the_providers_fault() {
    let (script, _told) =
        telling("HTTP/1.1 302 Found\r\nlocation: http://elsewhere.example/\r\ncontent-length: 0\r\n\r\n");
    let server = Server::new(vec![script]);
    let upstream = upstream(&configured(&server, Kind::OpenAi, ""));
    let failure = post(&upstream, "/chat/completions").unwrap_err();
    assert_eq!((failure.fault, failure.status), (Fault::Redirect, Some(302)));
    assert!(!failure.message.contains("elsewhere"), "{}", failure.message);
    drop(upstream);
    server.finish();
}

#[test]
fn a_check_asks_the_free_question_of_the_kind() {
    let cases = [
        (Kind::OpenAi, "get /v1/models "),
        (Kind::OpenAiCompatible, "get /v1/models "),
        (Kind::Anthropic, "get /v1/models "),
        (Kind::Ollama, "get /api/version "),
        (Kind::Gemini, "get /v1beta/models "),
        (Kind::Azure, "get /openai/v1/models "),
    ];
    for (kind, line) in cases {
        let (script, told) = telling(FINE);
        let server = Server::new(vec![script]);
        let upstream = upstream(&configured(&server, kind, ""));
        upstream.check(&call()).unwrap();
        let request = told.recv().unwrap();
        assert!(request.starts_with(line) && request.contains("k-1"), "{request}");
        drop(upstream);
        server.finish();
    }
}

#[test]
fn a_compatible_server_without_a_list_of_models_is_healthy_and_a_failing_one_is_not() {
    for (status, healthy) in [("404 Not Found", true), ("500 Oops", false)] {
        let server = Server::new(vec![Box::new(move |peer| {
            peer.request().unwrap();
            peer.answer(status, "");
        })]);
        let upstream = upstream(&configured(&server, Kind::OpenAiCompatible, ""));
        assert_eq!(upstream.check(&call()).is_ok(), healthy);
        drop(upstream);
        server.finish();
    }
}

#[test]
fn settings_that_cannot_be_sent_are_refused_without_showing_a_secret() {
    let server = Server::new(vec![answering("never")]);
    let good = configured(&server, Kind::OpenAi, "");
    let all = [
        Settings { keys: vec![Secret::new("hush\n")], ..good.clone() },
        Settings { headers: vec![("X-A".into(), Secret::new("hush\r\nX-B: 1"))], ..good.clone() },
        Settings { headers: vec![("Content-Length".into(), Secret::new("hush"))], ..good.clone() },
        Settings { base_url: "ftp://models.example".into(), ..good.clone() },
        Settings { proxy: Some(Secret::new("socks5://hush@proxy.example")), ..good.clone() },
        Settings { ca_file: Some("/nowhere/ca.pem".into()), ..good },
    ];
    for settings in all {
        let problem = connect(&settings, None, Arc::new(SystemClock), Memory::new(1 << 30)).unwrap_err();
        assert!(problem.starts_with("providers.models: ") && !problem.contains("hush"), "{problem}");
    }
    server.finish();
}

#[test]
fn what_has_too_many_parts_is_not_translated_but_may_go_where_it_is_understood() {
    let words = |objects: usize, dialect: Dialect| Words {
        dialect,
        body: Arc::new("{".repeat(objects).into_bytes()),
        marks: Marks::default(),
    };
    let counted = |objects: usize, dialect: Dialect| {
        appetite(&words(objects, dialect), Dialect::OpenAiChat).map_err(|failure| failure.fault)
    };
    let most = TRANSLATED_OBJECTS_MAX;
    assert!(counted(most, Dialect::Hapax).is_ok_and(|bytes| bytes >= 512 * most));
    assert_eq!(counted(most + 1, Dialect::Hapax), Err(Fault::Untranslatable));
    assert_eq!(counted(most + 1, Dialect::OpenAiChat), Ok(0), "it is sent as it is");
}
