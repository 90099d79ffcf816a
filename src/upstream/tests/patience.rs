//! Waits: bounded in every phase, ended from another thread in every phase.

use super::rig::{AT_ONCE, Client, LONG, SHORT, Server, answering, cancelled_when, so_it_is_by_ureq};
use crate::clock::{ManualClock, SystemClock};
use crate::domain::failure::Fault;
use crate::gateway::cancel::Reason;
use crate::upstream::line::Bound;
use rustix::net::{AddressFamily, SocketType};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

/// A port that accepts nothing further: its queue is full, and the kernel drops what else knocks.
struct Deaf {
    address: SocketAddr,
    _held: Vec<TcpStream>,
    _listener: rustix::fd::OwnedFd,
}

fn deaf() -> Deaf {
    let listener = rustix::net::socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::bind(&listener, &SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
    rustix::net::listen(&listener, 0).unwrap();
    let address = SocketAddr::try_from(rustix::net::getsockname(&listener).unwrap()).unwrap();
    let mut held = Vec::new();
    while let Ok(stream) = TcpStream::connect_timeout(&address, Duration::from_millis(300)) {
        held.push(stream);
    }
    Deaf { address, _held: held, _listener: listener }
}

#[test]
fn no_connection_in_time_is_a_connect_timeout() {
    let deaf = deaf();
    let client = Client::new(&format!("http://{}", deaf.address), SHORT, Arc::new(SystemClock));
    assert_eq!(client.call(), Err(Fault::ConnectTimeout));
}

#[test]
fn the_calls_bound_also_bounds_connecting() {
    let deaf = deaf();
    let client = Client::new(&format!("http://{}", deaf.address), LONG, Arc::new(SystemClock));
    assert_eq!(client.send_within(SHORT).err(), Some(Fault::FirstTokenTimeout));
}

#[test]
fn a_server_that_never_speaks_tls_ends_as_a_connect_timeout() {
    let server = Server::new(vec![Box::new(|peer| peer.ignore())]);
    let client = Client::new(&format!("https://{}", server.address), SHORT, Arc::new(SystemClock));
    assert_eq!(client.call(), Err(Fault::ConnectTimeout));
    drop(client);
    server.finish();
}

#[test]
fn no_head_in_time_is_what_the_bound_says() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.request().unwrap();
        peer.expect_close();
    })]);
    let client = Client::to(&server);
    assert_eq!(client.send_within(SHORT).err(), Some(Fault::FirstTokenTimeout));
    drop(client);
    server.finish();
}

#[test]
fn no_room_for_the_question_in_time_is_silence_too() {
    let (done, wait) = channel::<()>();
    let stuck = Server::new(vec![Box::new(move |_| assert!(wait.recv().is_err()))]);
    let mut client = Client::to(&stuck);
    client.body = vec![b'x'; 64 * 1024 * 1024].into();
    assert_eq!(client.send_within(Duration::from_millis(500)).err(), Some(Fault::FirstTokenTimeout));
    drop(done);
    drop(client);
    stuck.finish();
}

#[test]
fn silence_inside_a_body_is_an_idle_timeout_and_a_slow_whole_is_a_total_one() {
    let server = Server::new(vec![
        Box::new(|peer| {
            peer.request().unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
            peer.expect_close();
        }),
        Box::new(|peer| {
            peer.request().unwrap();
            peer.say("HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf");
            peer.expect_close();
        }),
    ]);
    let client = Client::to(&server);
    let mut incoming = client.send().unwrap();
    let idle = Bound { idle: Some(SHORT), ..client.bound(LONG, Fault::TotalTimeout) };
    assert_eq!(incoming.read_all(&mut Vec::new(), 1000, idle), Err(Fault::IdleTimeout));
    drop(incoming);
    let mut incoming = client.send().unwrap();
    let total = Bound { idle: Some(LONG), ..client.bound(SHORT, Fault::TotalTimeout) };
    assert_eq!(incoming.read_all(&mut Vec::new(), 1000, total), Err(Fault::TotalTimeout));
    drop((incoming, client));
    server.finish();
}

#[test]
fn waits_end_also_when_the_clock_stands_still() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.request().unwrap();
        peer.expect_close();
    })]);
    let client = Client::with_clock(&server, Arc::new(ManualClock::new()));
    assert_eq!(client.send_within(SHORT).err(), Some(Fault::FirstTokenTimeout));
    drop(client);
    server.finish();
}

#[test]
fn a_short_wait_does_not_shorten_the_next_calls_waits() {
    let server = Server::new(vec![Box::new(|peer| {
        peer.request().unwrap();
        peer.answer("200 OK", "first");
        peer.request().unwrap();
        assert!(peer.rests(), "longer than the first call's patience");
        peer.answer("200 OK", "second");
        peer.expect_close();
    })]);
    let client = Client::to(&server);
    let mut incoming = client.send().unwrap();
    let brief = client.bound(SHORT / 2, Fault::TotalTimeout);
    incoming.read_all(&mut Vec::new(), 64, brief).unwrap();
    assert_eq!(client.call().unwrap(), "second");
    drop((incoming, client));
    server.finish();
}

#[test]
fn a_call_cancelled_before_it_began_connects_to_nobody() {
    let server = Server::new(vec![answering("hello")]);
    let client = Client::to(&server);
    client.cancel.fire(Reason::CallerLeft);
    assert_eq!(client.call(), Err(Fault::CallerLeft));
    assert_eq!(server.accepted(), 0);
    server.finish();
}

#[test]
fn a_cancellation_ends_a_call_that_is_connecting() {
    let deaf = deaf();
    let client = Client::new(&format!("http://{}", deaf.address), LONG, Arc::new(SystemClock));
    let (begun, begins) = channel();
    let when = move || {
        begins.recv().unwrap();
        // Nothing else comes: a moment in which it most likely begins to connect. If not, it must not begin.
        assert!(begins.recv_timeout(SHORT).is_err());
    };
    let (outcome, took) = cancelled_when(&client.cancel, when, || {
        begun.send(()).unwrap();
        client.call()
    });
    assert_eq!(outcome, Err(Fault::CallerLeft));
    assert!(took < AT_ONCE, "{took:?}");
}

#[test]
fn a_cancellation_ends_a_call_that_waits_for_its_head() {
    let (asked, is_asked) = channel();
    let server = Server::new(vec![Box::new(move |peer| {
        peer.request().unwrap();
        asked.send(()).unwrap();
        peer.expect_close();
    })]);
    let client = Client::to(&server);
    let (outcome, took) = cancelled_when(&client.cancel, move || is_asked.recv().unwrap(), || client.call());
    assert_eq!(outcome, Err(Fault::CallerLeft));
    assert!(took < AT_ONCE, "{took:?}");
    drop(client);
    server.finish();
}

#[test]
fn a_cancellation_ends_a_call_inside_a_body_with_or_without_a_length() {
    for head in
        ["content-length: 100\r\n\r\n", "transfer-encoding: chunked\r\n\r\n", "connection: close\r\n\r\n"]
    {
        let (asked, is_asked) = channel();
        let server = Server::new(vec![Box::new(move |peer| {
            peer.request().unwrap();
            peer.say(&format!("HTTP/1.1 200 OK\r\n{head}"));
            asked.send(()).unwrap();
            peer.expect_close();
        })]);
        let client = Client::to(&server);
        let mut incoming = client.send().unwrap();
        let bound = client.bound(LONG, Fault::TotalTimeout);
        let (outcome, took) = cancelled_when(
            &client.cancel,
            move || is_asked.recv().unwrap(),
            || incoming.read_all(&mut Vec::new(), 1000, bound),
        );
        assert_eq!(outcome, Err(Fault::CallerLeft));
        assert!(took < AT_ONCE, "{took:?}");
        drop((incoming, client));
        server.finish();
    }
}

#[test]
fn a_cancellation_ends_a_call_that_cannot_send_its_question() {
    let (done, wait) = channel::<()>();
    let (asked, is_asked) = channel();
    let server = Server::new(vec![Box::new(move |peer| {
        peer.head().unwrap();
        asked.send(()).unwrap();
        assert!(wait.recv().is_err());
    })]);
    let mut client = Client::to(&server);
    client.body = vec![b'x'; 64 * 1024 * 1024].into();
    let (outcome, took) = cancelled_when(&client.cancel, move || is_asked.recv().unwrap(), || client.call());
    assert_eq!(outcome, Err(Fault::CallerLeft));
    assert!(took < AT_ONCE, "{took:?}");
    drop((done, client));
    server.finish();
}

so_it_is_by_ureq! {
    no_connection_in_time_is_a_connect_timeout,
    the_calls_bound_also_bounds_connecting,
    no_head_in_time_is_what_the_bound_says,
    no_room_for_the_question_in_time_is_silence_too,
    silence_inside_a_body_is_an_idle_timeout_and_a_slow_whole_is_a_total_one,
    waits_end_also_when_the_clock_stands_still,
    a_short_wait_does_not_shorten_the_next_calls_waits,
    a_call_cancelled_before_it_began_connects_to_nobody,
    a_cancellation_ends_a_call_that_is_connecting,
    a_cancellation_ends_a_call_that_waits_for_its_head,
    a_cancellation_ends_a_call_inside_a_body_with_or_without_a_length,
    a_cancellation_ends_a_call_that_cannot_send_its_question,
}
