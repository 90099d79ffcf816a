//! A connection fed byte by byte, by a clock moved by hand.

use super::super::message::Headers;
use super::*;
use crate::clock::{Clock, ManualClock};

/// What a connection made of some bytes: requests as `METHOD path body`, then a status or nothing.
#[derive(Debug, PartialEq, Eq)]
struct Story(Vec<String>, Option<u16>);

fn connection(limits: &Limits) -> (Connection, ManualClock) {
    let clock = ManualClock::new();
    let peer = IpAddr::from([127, 0, 0, 1]);
    (Connection::new(Arc::new(limits.clone()), peer, clock.now()), clock)
}

fn told(pieces: &[&[u8]], limits: &Limits) -> Story {
    let (mut connection, clock) = connection(limits);
    let now = clock.now();
    let mut requests = Vec::new();
    for piece in pieces {
        let mut step = connection.feed(piece, now);
        loop {
            step = match step {
                Step::Wait => break,
                Step::Head => connection.screened(),
                Step::Request(ready) => {
                    let Request { method, path, body, .. } = ready.request;
                    requests.push(format!("{method} {path} {}", body.escape_ascii()));
                    connection.answered(now)
                }
                Step::Refuse(refusal) => return Story(requests, Some(refusal.status())),
                Step::Close => return Story(requests, Some(0)),
            };
        }
    }
    Story(requests, None)
}

/// Whole and byte by byte must come to the same.
fn story_within(wire: &str, limits: &Limits) -> Story {
    let whole = told(&[wire.as_bytes()], limits);
    let pieces: Vec<&[u8]> = wire.as_bytes().chunks(1).collect();
    assert_eq!(whole, told(&pieces, limits), "{}", wire.escape_default());
    whole
}

fn story(wire: &str) -> Story {
    story_within(wire, &Limits::default())
}

fn refused(wire: &str) -> Option<u16> {
    let Story(requests, status) = story(wire);
    assert!(requests.is_empty(), "{}", wire.escape_default());
    status
}

#[test]
fn pipelined_requests_come_out_one_by_one_in_order() {
    let wire = "GET /a HTTP/1.1\r\nHost: x\r\n\r\nPOST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello\
                POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n\
                \r\nHEAD /d?e HTTP/1.0\r\n\r\n";
    let requests = ["GET /a ", "POST /b hello", "POST /c hi", "HEAD /d "].map(str::to_owned).to_vec();
    assert_eq!(story(wire), Story(requests, None));
}

#[test]
fn what_is_not_http_is_refused_as_soon_as_it_shows() {
    for (wire, status) in [
        ("GET /\r\n", 400),
        ("GET / HTTP/1.2\r\n", 505),
        ("GET / HTTP/2.0\r\n", 505),
        ("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        ("\u{16}\u{3}\u{1}\u{2}\0\u{1}", 400),
        ("CONNECT x:443 HTTP/1.1\r\n", 405),
        ("GET / HTTP/1.1 x\r\n", 400),
        ("GET / HTTP/1.10\r\n", 400),
        ("GET / http/1.1\r\n", 400),
        ("GET  / HTTP/1.1\r\n", 400),
        ("GET\t/ HTTP/1.1\r\n", 400),
        (" GET / HTTP/1.1\r\n", 400),
        ("\r\n\r\n", 400),
        ("G(T / HTTP/1.1\r\n", 400),
        ("\nGET / HTTP/1.1\r\n", 400),
        ("GET / HTTP/1.1\n", 400),
        ("GET / HTTP/1.1\r\r\n", 400),
    ] {
        assert_eq!(refused(wire), Some(status), "{}", wire.escape_default());
    }
    assert_eq!(refused(&format!("{} / HTTP/1.1\r\n", "X".repeat(33))), Some(501));
}

#[test]
fn broken_fields_are_refused() {
    for field in [
        "Host: x\nA: b",
        "Host: x\rA: b",
        "A: \0",
        "A: \u{1}",
        "A: \u{7f}",
        "A: b\r\n c",
        "A : b",
        " A: b",
        ": b",
        "A b",
        "Host: y",
        "A\u{e4}: b",
        "Transfer-Encoding: chunked\r\nContent-Length: 3",
        "Content-Length: +3",
        "Content-Length: -1",
        "Content-Length: 3, 3",
        "Content-Length: abc",
        "Content-Length: ",
        "Content-Length: 9223372036854775808",
        "Content-Length: 99999999999999999999",
        "Content-Length: 0\r\nContent-Length: 0",
        "Content-Length: 0x3",
        "Content-Length: 1 2",
        "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked",
    ] {
        let wire = format!("POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
        assert_eq!(refused(&wire), Some(400), "{}", wire.escape_default());
    }
    for (field, status) in [
        ("Transfer-Encoding: gzip, chunked", 501),
        ("Transfer-Encoding: chunked, chunked", 501),
        ("Transfer-Encoding: identity", 501),
        ("Transfer-Encoding: xchunked", 501),
        ("Content-Encoding: gzip", 415),
        ("Expect: a-pony", 417),
        ("Content-Length: 16777217", 413),
    ] {
        let wire = format!("POST / HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n");
        assert_eq!(refused(&wire), Some(status), "{field}");
    }
    for host in ["", "Host:\r\n", "Host: a/b\r\n", "Host: a@b\r\n", "Host: a b\r\n"] {
        assert_eq!(refused(&format!("GET / HTTP/1.1\r\n{host}\r\n")), Some(400), "{host}");
    }
    assert_eq!(refused("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n"), Some(400));
}

#[test]
fn each_limit_holds_one_past_it() {
    let limits = Limits { header_bytes_max: 100, headers_max: 3, target_bytes_max: 20, ..Limits::default() };
    let head = |length: usize| {
        let frame = "GET / HTTP/1.1\r\nHost: x\r\nA: \r\n\r\n".len();
        format!("GET / HTTP/1.1\r\nHost: x\r\nA: {}\r\n\r\n", "x".repeat(length - frame))
    };
    assert_eq!(story_within(&head(100), &limits), Story(vec!["GET / ".to_owned()], None));
    assert_eq!(story_within(&head(101), &limits).1, Some(431));
    let fields = |count: usize| format!("GET / HTTP/1.1\r\nHost: x\r\n{}\r\n", "A: b\r\n".repeat(count - 1));
    assert_eq!(story_within(&fields(3), &limits).1, None);
    assert_eq!(story_within(&fields(4), &limits).1, Some(431));
    let target = |length: usize| format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "x".repeat(length - 1));
    assert_eq!(story_within(&target(20), &limits).1, None);
    assert_eq!(story_within(&target(21), &limits).1, Some(414));
    let limits = Limits { target_bytes_max: 20, ..Limits::default() };
    assert_eq!(story_within(&"x".repeat(70), &limits).1, Some(414));
    let limits = Limits { body_bytes_max: 3, ..Limits::default() };
    let chunked = "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    assert_eq!(story_within(&format!("{chunked}3\r\nabc\r\n0\r\n\r\n"), &limits).1, None);
    assert_eq!(story_within(&format!("{chunked}4\r\n"), &limits).1, Some(413));
}

#[test]
fn every_phase_has_a_deadline_of_its_own() {
    let limits = Limits::default();
    let (mut connection, clock) = connection(&limits);
    let begun = clock.now();
    assert_eq!(connection.deadline(), Some(begun + limits.idle_timeout));
    clock.advance(Duration::from_secs(5));
    let _ = connection.feed(b"POST / HTTP/1.1\r\nHost: x\r\n", clock.now());
    let first_byte = clock.now();
    clock.advance(Duration::from_secs(5));
    let _ = connection.feed(b"Content-Length: 100000\r\n", clock.now());
    assert_eq!(connection.deadline(), Some(first_byte + limits.header_timeout));
    assert!(matches!(connection.feed(b"\r\n", clock.now()), Step::Head));
    assert!(matches!(connection.screened(), Step::Wait));
    let head_complete = clock.now();
    assert_eq!(connection.deadline(), Some(head_complete + limits.body_grace));
    let _ = connection.feed(&[b'x'; 2048], clock.now());
    assert_eq!(connection.deadline(), Some(head_complete + limits.body_grace + Duration::from_secs(2)));
    let _ = connection.feed(&[b'x'; 60_000], clock.now());
    assert_eq!(connection.deadline(), Some(head_complete + limits.body_timeout));
    assert!(matches!(connection.expired(), Step::Refuse(Refusal::TooSlow)));
    assert!(matches!(connection.feed(b"x", clock.now()), Step::Close));
}

#[test]
fn a_large_body_goes_straight_into_its_place_and_costs_only_what_has_come() {
    let (mut connection, clock) = connection(&Limits::default());
    let now = clock.now();
    let head = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 16000000\r\n\r\n";
    assert!(matches!(connection.feed(head, now), Step::Head));
    assert!(matches!(connection.screened(), Step::Wait));
    assert!(connection.held() < 1024);
    let (mut sent, mut rooms) = (0, Vec::new());
    let step = loop {
        let room = connection.room().expect("a body is under way");
        let believed = sent >= 16_000_000 / 16;
        assert!(room.capacity() <= if believed { 16_000_000 } else { (2 * sent).max(32 << 10) });
        rooms.push(room.capacity());
        let count = (room.capacity() - room.len()).min(100_000);
        room.extend(std::iter::repeat_n(b'x', count));
        sent += count;
        match connection.filled(count, now) {
            Step::Wait => assert_eq!(connection.held(), sent),
            step => break step,
        }
    };
    rooms.dedup();
    assert_eq!(rooms.last(), Some(&16_000_000), "and is moved no more: {rooms:?}");
    assert!(rooms.len() < 9, "{rooms:?}");
    let Step::Request(ready) = step else { panic!("complete, so a request") };
    assert_eq!(ready.request.body.len(), 16_000_000);
    assert!(matches!(connection.answered(now), Step::Wait));
    assert_eq!(connection.held(), 0);
}

/// What is made of bytes that may follow an answered request: everything its handler and its answer get to know.
fn made_of(pieces: &[&[u8]], before: Option<&[u8]>, limits: &Limits) -> (String, Pass) {
    let (mut connection, clock) = connection(limits);
    let now = clock.now();
    if let Some(before) = before {
        assert!(matches!(connection.feed(before, now), Step::Head));
        connection.passes(Pass(7));
        let Step::Request(mut ready) = connection.screened() else { panic!("it is complete") };
        ready.request.body = Vec::new();
        connection.reuse(ready);
        assert!(matches!(connection.answered(now), Step::Wait));
    }
    let (mut told, mut known) = (String::new(), Pass::default());
    for piece in pieces {
        let mut step = connection.feed(piece, now);
        loop {
            step = match step {
                Step::Wait => break,
                Step::Head => {
                    let (head, manner) = connection.head().expect("it is complete");
                    known = head.known;
                    let Head { method, path, query, headers, peer, content_length, .. } = head;
                    let fields: Vec<_> = headers.iter().collect();
                    let length = headers.get("content-length");
                    told += &format!(
                        "{method} {path} {query:?} {fields:?} {length:?} {peer} {content_length:?} {manner:?}\n"
                    );
                    told += &format!("{} {}\n", connection.wants_continue(), connection.held());
                    connection.screened()
                }
                Step::Request(ready) => {
                    let Ready { request, manner } = *ready;
                    let Request { method, path, query, headers, body, .. } = request;
                    let fields: Vec<_> = headers.iter().collect();
                    told += &format!("{method} {path} {query:?} {fields:?} {body:?} {manner:?}\n");
                    connection.answered(now)
                }
                Step::Refuse(refusal) => {
                    let (turned, manner) = connection.understood();
                    told += &format!("{} {} {:?} {manner:?}\n", refusal.status(), turned.method, turned.path);
                    return (told, known);
                }
                Step::Close => return (told + "closed", known),
            };
        }
    }
    (told, known)
}

const FIRST: &str = "POST /v1/chat?a HTTP/1.1\r\nHost: x\r\nContent-Length: 12\r\nAuthorization: Bearer k\r\n\r\nhello, world";

#[test]
fn a_head_that_comes_again_is_read_as_if_it_had_come_for_the_first_time() {
    let limits = Limits { body_bytes_max: 50, header_bytes_max: 110, ..Limits::default() };
    let mut known = 0;
    let mut check = |second: &[u8]| {
        let fresh = made_of(&[second], None, &limits).0;
        let (again, pass) = made_of(&[second], Some(FIRST.as_bytes()), &limits);
        assert_eq!(fresh, again, "{}", second.escape_ascii());
        known += usize::from(pass == Pass(7));
        let cut = second.len() / 2;
        let again = made_of(&[&second[..cut], &second[cut..]], Some(FIRST.as_bytes()), &limits).0;
        let fresh = made_of(&[&second[..cut], &second[cut..]], None, &limits).0;
        assert_eq!(fresh, again, "{} in two", second.escape_ascii());
    };
    check(FIRST.as_bytes());
    check((FIRST.to_owned() + FIRST).as_bytes());
    for at in 0..FIRST.len() {
        check(&FIRST.as_bytes()[..at]);
        let mut shorter = FIRST.as_bytes().to_vec();
        shorter.remove(at);
        check(&shorter);
        for byte in b"\r\n\t :,0123456789aZ\0\x7f\xff/.%?" {
            let mut other = FIRST.as_bytes().to_vec();
            other[at] = *byte;
            check(&other);
            let mut longer = FIRST.as_bytes().to_vec();
            longer.insert(at, *byte);
            check(&longer);
        }
    }
    assert!(known > 20, "{known}");
}

#[test]
fn what_the_screening_said_holds_for_whoever_shows_the_same_credentials_and_for_nobody_else() {
    let limits = Limits { body_bytes_max: 50, ..Limits::default() };
    let pass = |first: &str, second: &str| made_of(&[second.as_bytes()], Some(first.as_bytes()), &limits).1;
    assert_eq!(pass(FIRST, FIRST), Pass(7));
    let second_key = FIRST.replace("Host: x", "Host: x\r\nX-API-Key: k");
    assert_eq!(pass(&second_key, &second_key), Pass(7));
    for (from, to) in [
        ("12", "05"),
        ("12", "50"),
        ("12", "1"),
        ("12", "012"),
        ("chat", "chap"),
        ("POST", "PUT"),
        ("Host: x", "Host: x\r\nX-Request-ID: 7"),
        ("Authorization", "AUTHORIZATION"),
        ("r k", "r k\r\nAuthorization: Bearer j"),
        ("Host: x", "Host: x\r\nExpect: 100-continue"),
    ] {
        assert_eq!(pass(FIRST, &FIRST.replacen(from, to, 1)), Pass(7), "{from} -> {to}");
    }
    for (from, to) in [
        ("12", "51"),
        ("r k", "r j"),
        ("r k", "r kk"),
        ("r k", "r"),
        ("Bearer k", ""),
        ("Authorization", "Authorisation"),
        ("Authorization", "X-API-Key"),
        ("Authorization", "Authorization: Bearer j\r\nAuthorization"),
        ("Host: x", "Host: x\r\nX-API-Key: k"),
    ] {
        let other = FIRST.replacen(from, to, 1);
        assert_eq!(pass(FIRST, &other), Pass::default(), "{from} -> {to}");
        if from != "12" {
            assert_eq!(pass(&other, FIRST), Pass::default(), "{to} -> {from}");
        }
    }
    let nobody = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
    assert_eq!(pass(nobody, nobody), Pass::default());
}

#[test]
fn a_handler_that_keeps_the_head_costs_the_next_one_its_ease_only() {
    let (mut connection, clock) = connection(&Limits::default());
    for _ in 0..3 {
        assert!(matches!(connection.feed(FIRST.as_bytes(), clock.now()), Step::Head));
        assert_eq!(connection.head().map(|(head, _)| (&*head.path, head.known)), Some(("/v1/chat", Pass(0))));
        connection.passes(Pass(7));
        let Step::Request(mut ready) = connection.screened() else { panic!("it is complete") };
        ready.request.headers = Headers::default();
        connection.reuse(ready);
        assert!(matches!(connection.answered(clock.now()), Step::Wait));
    }
}
