//! Connections: kept, replaced, closed, never handed on in a doubtful state.

use super::rig::{Client, Server, answering, settings, so_it_is_by_ureq};
use crate::clock::{Clock, ManualClock, SystemClock};
use crate::dialect::Body;
use crate::domain::failure::{Fault, Insecure};
use crate::domain::key::Secret;
use crate::gateway::cancel::Reason;
use crate::upstream::names::Names;
use crate::upstream::reply::HEAD_BYTES_MAX;
use rustix::net::{AddressFamily, SocketType};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn a_connection_read_to_its_end_serves_the_next_call() {
    let server = Server::new(vec![answering("hello")]);
    let client = Client::to(&server);
    for _ in 0..5 {
        assert_eq!(client.call().unwrap(), "hello");
    }
    assert_eq!(server.accepted(), 1);
    drop(client);
    server.finish();
}

#[test]
fn bodies_of_every_size_arrive_whole() {
    for size in [0, 1, 7 * 1024, 8 * 1024, 16 * 1024, 17 * 1024, 3_000_000] {
        let server = Server::new(vec![Box::new(move |peer| {
            let request = peer.request().unwrap();
            let (_, body) = request.split_once("\r\n\r\n").unwrap();
            peer.answer("200 OK", &format!("{} {}", body.len(), body.bytes().all(|byte| byte == b'x')));
        })]);
        let mut client = Client::to(&server);
        client.body = vec![b'x'; size].into();
        assert_eq!(client.call().unwrap(), format!("{size} true"));
        drop(client);
        server.finish();
    }
}

#[test]
fn a_body_in_many_large_pieces_arrives_whole() {
    let said_by_caller = Arc::new(vec![b'x'; 1_000_000]);
    let edits: Vec<_> = (0..300).map(|at| (at * 3_000..at * 3_000 + 1, b"yyy".to_vec())).collect();
    let body = Body::spliced(&said_by_caller, edits);
    let whole = String::from_utf8(body.joined().into_owned()).unwrap();
    let server = Server::new(vec![Box::new(move |peer| {
        let request = peer.request().unwrap();
        peer.answer(
            "200 OK",
            if request.ends_with(&format!("\r\n\r\n{whole}")) { "whole" } else { "broken" },
        );
    })]);
    let mut client = Client::to(&server);
    client.body = body;
    assert_eq!(client.call().unwrap(), "whole");
    drop(client);
    server.finish();
}

#[test]
fn a_kept_connection_that_died_is_replaced_once_and_silently() {
    let server = Server::new(vec![
        Box::new(|peer| {
            peer.request().unwrap();
            peer.answer("200 OK", "first");
            peer.request().unwrap();
        }),
        answering("second"),
    ]);
    let client = Client::to(&server);
    assert_eq!(client.call().unwrap(), "first");
    assert_eq!(client.call().unwrap(), "second");
    assert_eq!(server.accepted(), 2);
    drop(client);
    server.finish();
}

#[test]
fn a_connection_serves_again_after_a_long_rest_as_long_as_its_server_keeps_it() {
    let server = Server::new(vec![
        Box::new(|peer| {
            for text in ["first", "second"] {
                peer.request().unwrap();
                peer.answer("200 OK", text);
            }
        }),
        answering("third"),
    ]);
    let clock = Arc::new(ManualClock::new());
    let client = Client::with_clock(&server, Arc::clone(&clock) as Arc<dyn Clock>);
    for (text, connections) in [("first", 1), ("second", 1), ("third", 2)] {
        assert_eq!(client.call().unwrap(), text);
        assert_eq!(server.accepted(), connections);
        clock.advance(Duration::from_secs(50));
    }
    drop(client);
    server.finish();
}

#[test]
fn the_replacement_of_a_dead_connection_is_not_replaced() {
    let server = Server::new(vec![
        Box::new(|peer| {
            peer.request().unwrap();
            peer.answer("200 OK", "first");
            peer.request().unwrap();
        }),
        Box::new(|peer| drop(peer.request())),
        answering("never"),
    ]);
    let client = Client::to(&server);
    assert_eq!(client.call().unwrap(), "first");
    assert_eq!(client.call(), Err(Fault::Reset));
    assert_eq!(server.accepted(), 2);
    drop(client);
    server.finish();
}

#[test]
fn a_dead_connection_is_not_replaced_by_another_kept_one() {
    // Two kept connections; both end at their second request.
    let once_more = || -> super::rig::Script {
        Box::new(|peer| {
            peer.request().unwrap();
            peer.answer("200 OK", "kept");
            peer.request();
        })
    };
    let server = Server::new(vec![once_more(), once_more(), answering("fresh")]);
    let client = Client::to(&server);
    let (mut one, mut two) = (client.send().unwrap(), client.send().unwrap());
    for incoming in [&mut one, &mut two] {
        incoming.read_all(&mut Vec::new(), 64, client.bound(super::rig::LONG, Fault::TotalTimeout)).unwrap();
    }
    assert_eq!(client.call().unwrap(), "fresh");
    assert_eq!(server.accepted(), 3);
    drop((one, two, client));
    server.finish();
}

#[test]
fn a_connection_that_died_after_a_first_byte_or_was_fresh_is_not_replaced() {
    let server = Server::new(vec![
        Box::new(|peer| {
            peer.request().unwrap();
            peer.answer("200 OK", "first");
            peer.request().unwrap();
            peer.say("HTTP/1.1 2");
        }),
        Box::new(|peer| drop(peer.request())),
    ]);
    let client = Client::to(&server);
    assert_eq!(client.call().unwrap(), "first");
    assert_eq!(client.call(), Err(Fault::Reset), "a byte had come");
    assert_eq!(client.call(), Err(Fault::Reset), "it was fresh");
    assert_eq!(server.accepted(), 2);
    drop(client);
    server.finish();
}

#[test]
fn an_answer_dropped_before_its_end_closes_the_connection() {
    let server = Server::new(vec![
        Box::new(|peer| {
            peer.request().unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nbegin");
            peer.expect_close();
        }),
        answering("other"),
    ]);
    let client = Client::to(&server);
    let mut incoming = client.send().unwrap();
    let bound = client.bound(super::rig::LONG, Fault::TotalTimeout);
    assert_eq!(incoming.hand(&mut |bytes| assert_eq!(bytes, b"begin"), (bound, None)), Ok(5));
    drop(incoming);
    assert_eq!(client.call().unwrap(), "other");
    drop(client);
    server.finish();
}

#[test]
fn a_cancellation_after_the_end_does_not_touch_the_kept_connection() {
    let server = Server::new(vec![answering("hello")]);
    let mut client = Client::to(&server);
    let mut incoming = client.send().unwrap();
    let bound = client.bound(super::rig::LONG, Fault::TotalTimeout);
    incoming.read_all(&mut Vec::new(), 64, bound).unwrap();
    client.cancel.fire(Reason::CallerLeft);
    drop(incoming);
    client.cancel = crate::gateway::cancel::Cancel::new();
    assert_eq!(client.call().unwrap(), "hello");
    assert_eq!(server.accepted(), 1);
    drop(client);
    server.finish();
}

#[test]
fn an_answer_given_before_the_question_was_heard_out_is_heard() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.head().unwrap();
        peer.answer("413 Payload Too Large", "too much");
    })]);
    let mut client = Client::to(&server);
    client.body = vec![b'x'; 8 * 1024 * 1024].into();
    let incoming = client.send().unwrap();
    assert_eq!(incoming.status, 413);
    drop((incoming, client));
    server.finish();
}

#[test]
fn a_redirect_is_an_answer_and_is_not_followed() {
    let elsewhere = Server::new(vec![answering("secrets, please")]);
    let location = format!("http://{}/", elsewhere.address);
    let server = Server::new(vec![Box::new(move |peer| {
        peer.request().unwrap();
        peer.say(&format!("HTTP/1.1 307 Look\r\nlocation: {location}\r\ncontent-length: 0\r\n\r\n"));
    })]);
    let client = Client::to(&server);
    assert_eq!(client.send().unwrap().status, 307);
    assert_eq!(elsewhere.accepted(), 0);
    drop(client);
    server.finish();
    elsewhere.finish();
}

#[test]
fn a_body_that_ends_too_early_is_truncated() {
    for body in ["content-length: 100\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let server = Server::new(vec![Box::new(move |peer| {
            peer.request().unwrap();
            peer.say(&format!("HTTP/1.1 200 OK\r\n{body}"));
        })]);
        let client = Client::to(&server);
        assert_eq!(client.call(), Err(Fault::Truncated));
        drop(client);
        server.finish();
    }
}

#[test]
fn a_head_or_body_over_its_limit_is_refused() {
    let large_head = format!("HTTP/1.1 200 OK\r\nx-large: {}\r\n\r\n", "x".repeat(HEAD_BYTES_MAX));
    let large_body = "content-length: 2000000\r\n\r\n".to_owned();
    let endless = format!("transfer-encoding: chunked\r\n\r\n200000\r\n{}", "x".repeat(0x0020_0000));
    for answer in
        [large_head, format!("HTTP/1.1 200 OK\r\n{large_body}"), format!("HTTP/1.1 200 OK\r\n{endless}")]
    {
        let server = Server::new(vec![Box::new(move |peer| {
            peer.request().unwrap();
            peer.say(&answer);
            peer.expect_close();
        })]);
        let client = Client::to(&server);
        assert_eq!(client.call(), Err(Fault::AnswerTooLarge));
        drop(client);
        server.finish();
    }
}

#[test]
fn what_is_not_http_is_garbage() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.request().unwrap();
        peer.say("220 mail.example ESMTP\r\n\r\n");
    })]);
    let client = Client::to(&server);
    assert_eq!(client.call(), Err(Fault::Garbage));
    drop(client);
    server.finish();
}

#[test]
fn an_interim_answer_is_none() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.request().unwrap();
        peer.say("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n");
        peer.answer("200 OK", "hello");
        peer.request().unwrap();
        peer.say("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n");
        peer.expect_close();
    })]);
    let client = Client::to(&server);
    assert_eq!(client.call().unwrap(), "hello");
    assert_eq!(client.call(), Err(Fault::Garbage));
    drop(client);
    server.finish();
}

#[test]
fn chunks_with_extensions_and_trailers_are_read_and_the_connection_is_kept() {
    const CHUNKS: &str = "HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n\r\n";
    let server = Server::new(vec![Box::new(|peer| {
        for size in ["3", "003", "3;a=b", "3 "] {
            peer.request().unwrap();
            // In pieces, so that every kind of line is once incomplete.
            for piece in [CHUNKS, size, "\r\nhel", "\r", "\n2\r\nlo\r\n0\r", "\nx-a: b\r\n\r", "\n"] {
                peer.say(piece);
                let _ = peer.rests_briefly();
            }
        }
    })]);
    let client = Client::to(&server);
    for _ in 0..4 {
        assert_eq!(client.call().unwrap(), "hello");
    }
    assert_eq!(server.accepted(), 1);
    drop(client);
    server.finish();
}

#[test]
fn broken_chunks_are_garbage() {
    for chunks in ["x\r\nhello\r\n", "+5\r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "2\r\nhello\r\n"] {
        let server = Server::new(vec![Box::new(move |peer| {
            peer.request().unwrap();
            peer.say(&format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{chunks}"));
            peer.expect_close();
        })]);
        let client = Client::to(&server);
        assert_eq!(client.call(), Err(Fault::Garbage), "{}", chunks.escape_default());
        drop(client);
        server.finish();
    }
}

#[test]
fn an_answer_whose_end_could_be_read_in_two_ways_is_garbage() {
    for head in [
        "1.1 200 OK\r\ncontent-length: 5\r\ncontent-length: 7",
        "1.1 200 OK\r\ncontent-length: 5, 7",
        "1.1 200 OK\r\ncontent-length: +5",
        "1.1 200 OK\r\ncontent-length: 5,",
        "1.1 200 OK\r\ncontent-length: 0x5",
        "1.1 200 OK\r\ncontent-length: ",
        "1.1 200 OK\r\ncontent-length: 18446744073709551617",
        "1.1 200 OK\r\ncontent-length: 5x\r\ntransfer-encoding: chunked",
        "1.1 200 OK\r\ntransfer-encoding: gzip",
        "1.1 200 OK\r\ntransfer-encoding: gzip, chunked",
        "1.1 200 OK\r\ntransfer-encoding: chunked, gzip",
        "1.1 200 OK\r\ntransfer-encoding: gzip\r\ntransfer-encoding: chunked",
        "1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: gzip",
        "1.1 200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked",
        "1.1 200 OK\r\ntransfer-encoding: chunked, chunked",
        "1.1 200 OK\r\ntransfer-encoding: identity\r\ncontent-length: 5",
        "1.1 200 OK\r\ntransfer-encoding: \r\ncontent-length: 5",
        "1.0 200 OK\r\ntransfer-encoding: chunked",
        "1.1 200 OK\r\ntransfer-encoding : chunked",
        "1.1 200 OK\r\n content-length: 5",
    ] {
        let server = Server::new(vec![Box::new(move |peer| {
            peer.request().unwrap();
            peer.say(&format!("HTTP/{head}\r\n\r\n5\r\nhello\r\n0\r\n\r\n"));
            peer.expect_close();
        })]);
        let client = Client::to(&server);
        assert_eq!(client.call(), Err(Fault::Garbage), "{}", head.escape_default());
        drop(client);
        server.finish();
    }
}

#[test]
fn a_length_said_twice_alike_is_said_once_and_beside_chunks_it_means_nothing() {
    for (head, body) in [
        ("content-length: 5\r\nContent-Length: 5", "hello"),
        ("content-length: 5, 5", "hello"),
        ("content-length: 3\r\ntransfer-encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ("transfer-encoding: chunked\r\ncontent-length: 0", "5\r\nhello\r\n0\r\n\r\n"),
    ] {
        let server = Server::new(vec![Box::new(move |peer| {
            peer.request().unwrap();
            peer.say(&format!("HTTP/1.1 200 OK\r\n{head}\r\n\r\n{body}"));
        })]);
        let client = Client::to(&server);
        assert_eq!(client.call().as_deref(), Ok("hello"), "{}", head.escape_default());
        drop(client);
        server.finish();
    }
}

#[test]
fn what_follows_an_answer_unasked_is_no_answer_to_the_next_call() {
    let server = Server::new(vec![
        Box::new(|peer| {
            peer.request().unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhelloHTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil");
            peer.expect_close();
        }),
        answering("good"),
    ]);
    let client = Client::to(&server);
    assert_eq!(client.call().unwrap(), "hello");
    assert_eq!(client.call().unwrap(), "good");
    drop(client);
    server.finish();
}

#[test]
fn what_is_said_is_the_requests_own_before_what_is_configured() {
    let said_by_caller = Arc::new(b"a question".to_vec());
    let edited = Body::spliced(&said_by_caller, vec![(0..1, b"the".to_vec()), (10..10, b"!".to_vec())]);
    let (tell, told) = std::sync::mpsc::channel();
    let server = Server::new(vec![Box::new(move |peer| {
        tell.send(peer.request().unwrap()).unwrap();
        peer.answer("200 OK", "");
    })]);
    let mut settings = settings(&format!("http://{}", server.address));
    settings.headers =
        ["authorization", "x-request-id", "x-site"].map(|name| (name.into(), Secret::new("conf"))).into();
    let mut client = Client::of(&settings, Arc::new(SystemClock));
    client.question.traceparent = Some("00-1-2-3".to_owned());
    client.question.passed =
        vec![("anthropic-beta", "one, two".to_owned()), ("anthropic-version", "b\u{e9}".to_owned())];
    client.body = edited;
    client.call().unwrap();
    drop(client);
    let said = told.recv().unwrap();
    let mut lines: Vec<_> = said.trim_end().lines().collect();
    lines[1..].sort_unstable();
    let host = format!("host: {}", server.address);
    let version = concat!("user-agent: hapax/", env!("CARGO_PKG_VERSION"));
    let expected = [
        "POST /v1/chat/completions HTTP/1.1",
        "",
        "accept-encoding: identity",
        "accept: */*",
        "anthropic-beta: one, two",
        "authorization: Bearer k-1",
        "content-length: 13",
        "content-type: application/json",
        &host,
        "the question!",
        "traceparent: 00-1-2-3",
        version,
        "x-request-id: req-1",
        "x-site: conf",
    ];
    assert_eq!(lines, expected);
    server.finish();
}

#[test]
fn nobody_listening_is_refused() {
    // Kept, but not listened at: a port given back is soon another test's, and we would be its first caller.
    let port = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&port, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&port).unwrap()).unwrap();
    let client = Client::new(&format!("http://{address}"), super::rig::LONG, Arc::new(SystemClock));
    assert_eq!(client.call(), Err(Fault::Refused));
}

#[test]
fn a_server_without_tls_is_a_fault_of_tls() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.say("HTTP/1.1 400 Bad Request\r\n\r\n");
        peer.ignore();
    })]);
    let address = format!("https://{}", server.address);
    let client = Client::new(&address, super::rig::LONG, Arc::new(SystemClock));
    assert_eq!(client.call(), Err(Fault::Tls(Insecure::NotTls)));
    drop(client);
    server.finish();
}

#[test]
fn an_unknown_name_is_said_to_be_one() {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let names = Names::with_lookup(
        Arc::clone(&clock),
        (super::rig::LONG, super::rig::LONG),
        Box::new(|_, _| Err(io::Error::other("no such name"))),
    );
    let client = Client::with_names(&settings("http://models.example"), names, clock);
    assert_eq!(client.call(), Err(Fault::NameNotFound));
}

#[test]
fn a_configured_proxy_is_asked_for_the_name_and_its_tunnel_is_kept_and_replaced_like_a_connection() {
    fn tunnel(peer: &mut super::rig::Peer) {
        assert!(peer.head().unwrap().starts_with("CONNECT models.example:80 HTTP/1.1\r\n"));
        peer.say("HTTP/1.1 200 OK\r\n\r\n");
    }
    let proxy = Server::new(vec![
        Box::new(|peer| {
            tunnel(peer);
            for body in ["first", "second"] {
                let request = peer.request().unwrap();
                assert!(request.starts_with("POST /v1/chat/completions HTTP/1.1\r\n"), "{request}");
                assert!(request.contains("host: models.example\r\n"), "{request}");
                peer.answer("200 OK", body);
            }
            peer.request();
        }),
        Box::new(|peer| {
            tunnel(peer);
            peer.request().unwrap();
            peer.answer("200 OK", "third");
            peer.expect_close();
        }),
    ]);
    let mut settings = settings("http://models.example");
    settings.proxy = Some(Secret::new(format!("http://{}", proxy.address)));
    let client = Client::of(&settings, Arc::new(SystemClock));
    for expected in ["first", "second", "third"] {
        assert_eq!(client.call().unwrap(), expected);
    }
    assert_eq!(proxy.accepted(), 2);
    drop(client);
    proxy.finish();
}

so_it_is_by_ureq! {
    what_is_said_is_the_requests_own_before_what_is_configured,
    a_connection_read_to_its_end_serves_the_next_call,
    bodies_of_every_size_arrive_whole,
    a_body_in_many_large_pieces_arrives_whole,
    a_kept_connection_that_died_is_replaced_once_and_silently,
    a_connection_serves_again_after_a_long_rest_as_long_as_its_server_keeps_it,
    the_replacement_of_a_dead_connection_is_not_replaced,
    a_dead_connection_is_not_replaced_by_another_kept_one,
    a_connection_that_died_after_a_first_byte_or_was_fresh_is_not_replaced,
    an_answer_dropped_before_its_end_closes_the_connection,
    a_cancellation_after_the_end_does_not_touch_the_kept_connection,
    an_answer_given_before_the_question_was_heard_out_is_heard,
    a_redirect_is_an_answer_and_is_not_followed,
    a_body_that_ends_too_early_is_truncated,
    a_head_or_body_over_its_limit_is_refused,
    what_is_not_http_is_garbage,
    an_interim_answer_is_none,
    an_answer_whose_end_could_be_read_in_two_ways_is_garbage,
    a_length_said_twice_alike_is_said_once_and_beside_chunks_it_means_nothing,
    what_follows_an_answer_unasked_is_no_answer_to_the_next_call,
    chunks_with_extensions_and_trailers_are_read_and_the_connection_is_kept,
    nobody_listening_is_refused,
    an_unknown_name_is_said_to_be_one,
}
