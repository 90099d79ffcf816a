//! Limits of time and number: what holds at each, and what happens one past it. Those of size are vectors.

use super::echo::Echoing;
use crate::rig::caller::Conversation;
use crate::rig::{Rig, until};
use hapax::clock::{Clock, ManualClock};
use hapax::server::Limits;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

const MOMENT: Duration = Duration::from_millis(100);

fn door(limits: Limits) -> (Echoing, Arc<ManualClock>) {
    let clock = Arc::new(ManualClock::new());
    let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    (Echoing::start(limits, time), clock)
}

/// A caller who sends `first`, and `rest`, if there is any, when `after` has passed.
fn late(first: &str, after: Duration, rest: &str) -> u16 {
    let (echoing, clock) = door(Limits::default());
    let mut caller = Conversation::new(echoing.address());
    caller.raw(first.as_bytes());
    let bytes = first.split("\r\n\r\n").last().map_or(0, str::len);
    until("they have arrived", || echoing.server.gauges().memory_bytes.load(Ordering::Relaxed) >= bytes);
    clock.advance(after);
    caller.raw(rest.as_bytes());
    caller.answer().status
}

#[test]
fn a_head_has_ten_seconds_from_its_first_byte() {
    let ten = Limits::default().header_timeout;
    let (first, rest) = ("GET / HTTP/1.1\r\nHo", "st: x\r\n\r\n");
    assert_eq!(late(first, ten - MOMENT, rest), 200);
    assert_eq!(late(first, ten + MOMENT, ""), 408);
}

#[test]
fn a_body_has_ten_seconds_of_grace_then_a_kibibyte_a_second_and_thirty_seconds_in_all() {
    let limits = Limits::default();
    let head = |length: usize| format!("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    let slow = |sent: usize, after: Duration, rest: &str| {
        late(&format!("{}{}", head(sent + 1), "x".repeat(sent)), after, rest)
    };
    assert_eq!(slow(1, limits.body_grace - MOMENT, "x"), 200);
    assert_eq!(slow(1, limits.body_grace + MOMENT, ""), 408);
    let five = limits.body_grace + Duration::from_secs(5);
    assert_eq!(slow(5 << 10, five - MOMENT, "x"), 200);
    assert_eq!(slow(5 << 10, five + MOMENT, ""), 408);
    assert_eq!(slow(500 << 10, limits.body_timeout - MOMENT, "x"), 200);
    assert_eq!(slow(500 << 10, limits.body_timeout + MOMENT, ""), 408);
}

#[test]
fn a_connection_may_rest_for_seventy_five_seconds() {
    let (echoing, clock) = door(Limits::default());
    let mut caller = Conversation::new(echoing.address());
    for _ in 0..3 {
        caller.send("GET", "/", &[], "");
        assert_eq!(caller.answer().status, 200);
        clock.advance(Limits::default().idle_timeout - MOMENT);
    }
    // The worker may set the last deadline a moment after its answer has come: time goes on until it is kept.
    let closed = std::sync::atomic::AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !closed.load(std::sync::atomic::Ordering::Relaxed) {
                clock.advance(Limits::default().idle_timeout);
                std::thread::yield_now();
            }
        });
        let is_closed = caller.is_closed();
        closed.store(true, std::sync::atomic::Ordering::Relaxed);
        assert!(is_closed);
    });
    assert_eq!(echoing.server.gauges().rejections().map(|(_, count)| count).sum::<u64>(), 0);
}

#[test]
fn the_connection_after_the_last_one_is_told_so() {
    let (echoing, _) = door(Limits { connections_max: 3, ..Limits::default() });
    let mut callers: Vec<_> = (0..3).map(|_| Conversation::new(echoing.address())).collect();
    for caller in &mut callers {
        caller.send("GET", "/", &[], "");
        assert_eq!(caller.answer().status, 200);
    }
    let mut surplus = Conversation::new(echoing.address());
    assert_eq!((surplus.answer().status, surplus.is_closed()), (503, true));
    drop(callers.pop());
    until("its place is free again", || echoing.server.gauges().connections.load(Ordering::Relaxed) < 3);
    let mut next = Conversation::new(echoing.address());
    next.send("GET", "/", &[], "");
    assert_eq!(next.answer().status, 200);
}

#[test]
fn slow_heads_and_slow_bodies_of_many_callers_cost_no_worker() {
    let limits = Limits { workers: 1, connections_per_address_max: 1000, ..Limits::default() };
    let (echoing, _) = door(limits);
    let begun = ["GET / HTTP/1.1\r\nHost: x\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nx"];
    let callers: Vec<_> = (0..200)
        .map(|n| {
            let mut caller = Conversation::new(echoing.address());
            caller.raw(begun[n % 2].as_bytes());
            caller
        })
        .collect();
    let mut quick = Conversation::new(echoing.address());
    for _ in 0..10 {
        quick.send("GET", "/quick", &[], "");
        assert_eq!(quick.answer().text(), "GET /quick");
    }
    assert_eq!(echoing.server.gauges().connections.load(Ordering::Relaxed), callers.len() + 1);
}

#[test]
fn where_no_thread_can_be_started_callers_are_told_and_the_door_stays_open() {
    // No machine has the address space for such a stack.
    let (echoing, _) = door(Limits { stack_bytes: 1 << 46, ..Limits::default() });
    for _ in 0..3 {
        let mut caller = Conversation::new(echoing.address());
        caller.send("GET", "/", &[], "");
        assert_eq!(caller.answer().status, 503);
    }
    let told = echoing.server.gauges().rejections().find(|(reason, _)| *reason == "no_worker");
    assert_eq!(told.map(|(_, count)| count), Some(3));
}

/// What the whole gateway says to these bytes.
fn said(rig: &Rig, bytes: &str) -> (u16, bool, bool) {
    let mut caller = rig.connect();
    caller.raw(bytes.as_bytes());
    let answer = caller.answer();
    let json = answer.header("content-type").is_some_and(|kind| kind.starts_with("application/json"));
    let worded = answer.json()["error"].is_object() || answer.json()["error"].is_string();
    (answer.status, json && worded, caller.is_closed())
}

#[test]
fn every_refusal_of_the_gateway_is_json_closes_and_is_counted() {
    let rig = Rig::new(&["openai"]);
    let post = "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n";
    let long = "x".repeat(9000);
    for (bytes, status, reason) in [
        (format!("{post}Content-Length: +3\r\n\r\n"), 400, "malformed"),
        (format!("{post}A: {long}\r\nB: {long}\r\n\r\n"), 431, "header_too_large"),
        (format!("{post}{}\r\n", "A: b\r\n".repeat(64)), 431, "too_many_headers"),
        (format!("POST /{long} HTTP/1.1\r\n"), 414, "target_too_long"),
        (format!("{post}Content-Length: 16777217\r\n\r\n"), 413, "body_too_large"),
        ("POST / HTTP/2.0\r\n".to_owned(), 505, "unsupported_version"),
        ("CONNECT x:1 HTTP/1.1\r\n".to_owned(), 405, "method_not_allowed"),
        (format!("{post}Transfer-Encoding: gzip\r\n\r\n"), 501, "not_implemented"),
        (format!("{post}Expect: a-pony\r\n\r\n"), 417, "expectation"),
        (format!("{post}Content-Encoding: gzip\r\n\r\n"), 415, "unsupported_encoding"),
    ] {
        assert_eq!(said(&rig, &bytes), (status, true, true), "{reason}");
        let metrics = rig.get("/metrics").text();
        let line = format!("hapax_rejected_total{{reason=\"{reason}\"}} 1");
        assert!(metrics.lines().any(|other| other == line), "{line} is not in {metrics}");
    }
    assert!(rig.asked(0).is_empty());
}

#[test]
fn a_body_of_sixteen_mebibytes_reaches_its_endpoint_and_one_byte_more_does_not() {
    let rig = Rig::new(&["openai"]);
    let mut body = r#"{"messages":[{"role":"user","content":"#.to_owned();
    let end = r#""}]}"#;
    body.push('"');
    body.push_str(&"x".repeat((16 << 20) - body.len() - end.len()));
    body.push_str(end);
    assert_eq!(body.len(), 16 << 20);
    assert_eq!(rig.post("/v1/chat/completions", &body).status, 200);
    // Refused for what its head says, before any of it is sent.
    let mut more = rig.connect();
    let head = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len() + 1
    );
    more.raw(head.as_bytes());
    assert_eq!((more.answer().status, rig.asked(0).len()), (413, 1));
}
