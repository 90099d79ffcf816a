//! The front door over real sockets.

use super::*;
use crate::clock::{ManualClock, SystemClock};
use crossbeam_channel::{Sender, unbounded};
use std::io::{Read, Write};
use std::net::{IpAddr, Shutdown, TcpStream};

/// Answers by path; says on `facts` what happens inside.
struct Scripted {
    facts: Sender<String>,
    /// `/hold` lasts until a word comes from here.
    release: Receiver<()>,
}

fn text(status: u16, body: &str) -> Response {
    Response { status, headers: Fields::of("Content-Type", "text/plain"), body: body.as_bytes().to_vec() }
}

fn filled(length: usize) -> Response {
    Response { status: 200, headers: Fields::default(), body: vec![b'x'; length] }
}

impl Scripted {
    fn say(&self, fact: &str) {
        let _ = self.facts.send(fact.to_owned());
    }
}

impl Handler for Scripted {
    fn lane(&self, _: &str, path: &str) -> Lane {
        if path.starts_with("/health") { Lane::Control } else { Lane::Work }
    }

    fn screen(&self, head: &Head) -> Result<Pass, Response> {
        match head.headers.get("X-Key") {
            Some("wrong") => Err(text(401, "no")),
            Some("nothing") => Err(text(204, "not sent")),
            Some(key) => Ok(Pass(key.len() as u64)),
            None => Ok(Pass::default()),
        }
    }

    fn handle(&self, request: &mut Request, exchange: &mut Exchange<'_>) {
        match &*request.path {
            "/hold" => {
                self.say("held");
                let _ = self.release.recv();
                exchange.send(text(200, "released"));
            }
            "/pass" => exchange.send(text(200, &request.pass.0.to_string())),
            "/watch" => {
                let (left, leaving) = unbounded();
                exchange.on_leave(Arc::new(move || {
                    let _ = left.send(());
                }));
                self.say("watching");
                let _ = leaving.recv();
                self.say(if exchange.left() { "left" } else { "stayed" });
            }
            "/stream" => {
                exchange.begin(200, &Fields::of("Content-Type", "text/event-stream"));
                for word in ["one ", "two ", "three"] {
                    self.say(if exchange.write(word.as_bytes()).is_ok() { "written" } else { "gone" });
                    let _ = self.release.recv();
                }
                let _ = exchange.finish();
            }
            "/cut" => {
                exchange.begin(200, &Fields::default());
                let _ = exchange.write(b"half of");
            }
            "/flood" => {
                exchange.begin(200, &Fields::default());
                let bytes = vec![b'x'; 1 << 20];
                self.say("flooding");
                while exchange.write(&bytes).is_ok() {}
                self.say("gave up");
            }
            "/panic" => std::panic::resume_unwind(Box::new("on purpose")),
            "/panic-late" => {
                exchange.begin(200, &Fields::default());
                let _ = exchange.write(b"half of");
                std::panic::resume_unwind(Box::new("on purpose"))
            }
            "/silent" => {}
            "/large" => exchange.send(filled(8 << 20)),
            "/huge" => exchange.send(filled(32 << 20)),
            path => {
                let body = format!("{} {path} {}", request.method, request.body.escape_ascii());
                exchange.send(text(200, &body));
            }
        }
    }

    fn refuse(&self, refusal: Refusal, turned: Option<&Turned<'_>>) -> Response {
        let path = turned.and_then(|turned| turned.path);
        let id = turned.and_then(|turned| turned.headers.get("X-Id")).unwrap_or_default();
        let known = format!("{} {id}", turned.map_or("nobody", |turned| turned.method));
        let mut response = text(refusal.status(), &format!("{} {}", refusal.reason(), path.unwrap_or("-")));
        response.headers.add("X-Known", &known);
        response
    }
}

/// A server, what happens inside it, and the way to let `/hold` go.
struct Rig {
    server: Server,
    facts: Receiver<String>,
    release: Sender<()>,
    clock: Arc<ManualClock>,
}

fn rig(limits: Limits) -> Rig {
    let clock = Arc::new(ManualClock::new());
    let (facts, heard) = unbounded();
    let (release, wait) = unbounded();
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let handler = Arc::new(Scripted { facts, release: wait });
    let time: Arc<dyn Clock> = Arc::<ManualClock>::clone(&clock);
    let server = Server::start(listener, limits, handler, time).expect("a server");
    Rig { server, facts: heard, release, clock }
}

impl Rig {
    fn call(&self) -> Caller {
        let stream = TcpStream::connect(self.server.address()).expect("a connection");
        stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a timeout");
        Caller { stream, seen: Vec::new() }
    }

    fn fact(&self) -> String {
        self.facts.recv_timeout(Duration::from_secs(20)).expect("something happens")
    }

    fn until(&self, condition: impl Fn(&Gauges) -> bool) {
        let gauges = self.server.gauges();
        let began = SystemClock.now();
        while !condition(&gauges) {
            assert!(SystemClock.now() - began < Duration::from_secs(20), "{gauges:?}");
            std::thread::yield_now();
        }
    }

    fn rejected(&self, refusal: Refusal) -> u64 {
        self.server.gauges().rejected[refusal.index()].load(Ordering::Relaxed)
    }
}

struct Caller {
    stream: TcpStream,
    seen: Vec<u8>,
}

impl Caller {
    fn say(&mut self, words: &str) -> &mut Self {
        self.stream.write_all(words.as_bytes()).expect("the server reads");
        self
    }

    fn get(&mut self, path: &str) -> &mut Self {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n"))
    }

    fn more(&mut self) -> bool {
        let mut bytes = [0; 4096];
        let count = self.stream.read(&mut bytes).unwrap_or(0);
        self.seen.extend_from_slice(&bytes[..count]);
        count > 0
    }

    /// Everything up to and including `end`.
    fn hear(&mut self, end: &str) -> String {
        loop {
            let found = self.seen.windows(end.len()).position(|window| window == end.as_bytes());
            if let Some(at) = found {
                let rest = self.seen.split_off(at + end.len());
                return String::from_utf8(std::mem::replace(&mut self.seen, rest)).expect("text");
            }
            assert!(self.more(), "{end:?} never came: {}", self.seen.escape_ascii());
        }
    }

    /// Head and body, by its length.
    fn answer(&mut self) -> (String, String) {
        let head = self.hear("\r\n\r\n");
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).expect("a length");
        let length: usize = length.parse().expect("a number");
        while self.seen.len() < length {
            assert!(self.more(), "the body is short");
        }
        let rest = self.seen.split_off(length);
        (head, String::from_utf8(std::mem::replace(&mut self.seen, rest)).expect("text"))
    }

    fn status(&mut self) -> String {
        self.answer().0[9..12].to_owned()
    }

    /// What comes until the connection closes.
    fn rest(&mut self) -> String {
        while self.more() {}
        String::from_utf8(std::mem::take(&mut self.seen)).expect("text")
    }
}

fn patient() -> Duration {
    Duration::from_secs(20)
}

#[test]
fn a_connection_serves_many_requests_in_order_however_they_arrive() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    for round in 0..50 {
        assert_eq!(caller.get(&format!("/{round}")).answer().1, format!("GET /{round} "));
    }
    let many: String = (0..50).map(|n| format!("GET /p{n} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
    caller.say(&many);
    for n in 0..50 {
        assert_eq!(caller.answer().1, format!("GET /p{n} "));
    }
    for byte in "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\nhi".chars() {
        caller.say(&byte.to_string());
    }
    assert_eq!(caller.answer().1, "POST /slow hi");
    caller.say("POST /c HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    caller.say("1\r\n!\r\n0\r\n\r\n");
    assert_eq!(caller.answer().1, "POST /c hi!");
    assert_eq!(rig.server.gauges().connections.load(Ordering::Relaxed), 1);
    assert!(rig.server.join(patient()));
}

#[test]
fn many_connections_at_once_are_all_served_and_small_pools_suffice() {
    let rig = rig(Limits { workers: 2, queue: 400, queue_wait_max: patient(), ..Limits::default() });
    let mut callers: Vec<Caller> = (0..200).map(|_| rig.call()).collect();
    for round in 0..5 {
        for caller in &mut callers {
            caller.get(&format!("/{round}"));
        }
        for caller in &mut callers {
            assert_eq!(caller.answer().1, format!("GET /{round} "));
        }
    }
    drop(callers);
    rig.until(|gauges| gauges.connections.load(Ordering::Relaxed) == 0);
    assert_eq!(rig.server.gauges().memory_bytes.load(Ordering::Relaxed), 0);
    assert!(rig.server.join(patient()));
}

#[test]
fn a_large_body_and_a_large_answer_arrive_whole() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    let body = "y".repeat(3_000_000);
    caller.say(&format!("POST /b HTTP/1.1\r\nHost: x\r\nContent-Length: 3000000\r\n\r\n{body}GET /after HTTP/1.1\r\nHost: x\r\n\r\n"));
    assert_eq!(caller.answer().1, format!("POST /b {body}"));
    assert_eq!(caller.answer().1, "GET /after ");
    assert_eq!(caller.get("/large").answer().1.len(), 8 << 20);
    let many: String = (0..3000).map(|n| format!("GET /{n:05} HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
    let mut writer = caller.stream.try_clone().expect("a clone");
    let sender =
        std::thread::Builder::new().spawn(move || writer.write_all(many.as_bytes())).expect("a thread");
    for n in 0..3000 {
        assert_eq!(caller.answer().1, format!("GET /{n:05} "));
    }
    sender.join().expect("no panic").expect("all is read");
    assert!(rig.server.join(patient()));
}

#[test]
fn head_tells_the_length_and_sends_no_body() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    caller.say("HEAD /x HTTP/1.1\r\nHost: x\r\n\r\nGET /y HTTP/1.1\r\nHost: x\r\n\r\n");
    let head = caller.hear("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200 OK\r\nDate: "), "{head}");
    assert!(head.contains("Content-Length: 8\r\n"), "{head}");
    assert_eq!(caller.answer().1, "GET /y ");
}

#[test]
fn what_the_screening_said_comes_with_its_request_and_no_other() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    for (key, said) in [("X-Key: four\r\n", "4"), ("", "0"), ("X-Key: seventeen-letters\r\n", "17")] {
        caller.say(&format!("GET /pass HTTP/1.1\r\nHost: x\r\n{key}\r\n"));
        assert_eq!(caller.answer().1, said, "{key}");
    }
}

#[test]
fn a_body_is_asked_for_only_when_its_head_passes() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    caller.say("POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n");
    assert_eq!(caller.hear("\r\n\r\n"), "HTTP/1.1 100 Continue\r\n\r\n");
    assert_eq!(caller.say("hi").answer().1, "POST /x hi");
    for (field, status) in [("X-Key: wrong\r\nContent-Length: 2", "401"), ("Content-Length: 99999999", "413")]
    {
        let mut caller = rig.call();
        caller.say(&format!("POST /x HTTP/1.1\r\nHost: x\r\n{field}\r\nExpect: 100-continue\r\n\r\n"));
        let (head, _) = caller.answer();
        assert_eq!((&head[9..12], head.contains("Connection: close\r\n")), (status, true), "{head}");
        assert_eq!(caller.rest(), "");
    }
    let mut caller = rig.call();
    caller.say("GET /x HTTP/1.1\r\nHost: x\r\nX-Key: wrong\r\n\r\n");
    assert_eq!(caller.status(), "401");
    assert_eq!(caller.get("/y").status(), "200", "without a body the connection goes on");
}

#[test]
fn after_a_refusal_nothing_more_is_parsed() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    caller
        .say("GET /x HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabcGET /y HTTP/1.1\r\nHost: x\r\n\r\n");
    let rest = caller.rest();
    assert!(rest.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{rest}");
    assert!(rest.ends_with("\r\nConnection: close\r\n\r\nmalformed /x"), "{rest}");
    assert_eq!(rig.rejected(Refusal::Malformed("")), 1);
    rig.until(|gauges| gauges.threads.load(Ordering::Relaxed) == 0);
}

#[test]
fn a_stream_is_flushed_chunk_by_chunk_and_ends_with_its_last_chunk() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    caller.get("/stream");
    let head = caller.hear("\r\n\r\n");
    assert!(head.contains("Transfer-Encoding: chunked\r\n") && !head.contains("Connection"), "{head}");
    for chunk in ["4\r\none \r\n", "4\r\ntwo \r\n", "5\r\nthree\r\n"] {
        assert_eq!(caller.hear(chunk), chunk);
        rig.release.send(()).expect("the handler waits");
    }
    assert_eq!(caller.hear("0\r\n\r\n"), "0\r\n\r\n");
    assert_eq!(caller.get("/next").answer().1, "GET /next ");
}

#[test]
fn callers_of_http_1_0_get_no_chunks_and_keep_their_connection_only_on_request() {
    let rig = rig(Limits::default());
    for _ in 0..3 {
        rig.release.send(()).expect("the handler waits");
    }
    let mut caller = rig.call();
    let (head, body) = caller.say("GET /x HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").answer();
    assert!(head.contains("Connection: keep-alive\r\n") && body == "GET /x ", "{head}");
    let stream = caller.say("GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n").rest();
    assert!(stream.contains("Connection: close\r\n") && !stream.contains("Transfer-Encoding"), "{stream}");
    assert!(stream.ends_with("\r\n\r\none two three"), "{stream}");
    let rest = rig.call().say("GET /x HTTP/1.0\r\n\r\n").rest();
    assert!(rest.ends_with("Connection: close\r\n\r\nGET /x "), "{rest}");
}

#[test]
fn an_unfinished_stream_never_looks_complete() {
    let rig = rig(Limits::default());
    for path in ["/cut", "/panic-late"] {
        let stream = rig.call().get(path).rest();
        assert!(stream.ends_with("7\r\nhalf of\r\n"), "{stream}");
        let mut old = rig.call();
        old.say(&format!("GET {path} HTTP/1.0\r\n\r\n"));
        let mut bytes = Vec::new();
        let end = old.stream.read_to_end(&mut bytes).expect_err("a reset, not an end");
        assert_eq!(end.kind(), io::ErrorKind::ConnectionReset);
    }
    assert_eq!(rig.rejected(Refusal::Panicked), 2, "the panics, too late as they were to be told");
}

#[test]
fn who_is_turned_away_is_known_by_all_that_was_understood_of_him() {
    let limits = Limits { body_bytes_max: 10, header_bytes_max: 200, ..Limits::default() };
    let rig = rig(limits);
    for (wire, known) in [
        ("PUT /a HTTP/1.1\r\nHost: x\r\nX-Id: 7\r\nContent-Length: 11\r\n\r\n", "PUT 7"),
        ("PUT /a HTTP/1.1\r\nHost: x\r\nX-Id: 7\r\nTransfer-Encoding: chunked\r\n\r\nb\r\n", "PUT 7"),
        ("PUT /a HTTP/1.1\r\nX-Id: 7\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n", "PUT 7"),
        ("GET /../a HTTP/1.1\r\nX-Id: 7\r\n\r\n", "GET "),
        ("GET /panic HTTP/1.1\r\nHost: x\r\nX-Id: 7\r\n\r\n", "GET 7"),
        ("junk\r\n\r\n", " "),
    ] {
        let mut caller = rig.call();
        caller.say(wire);
        let (head, _) = caller.answer();
        assert!(head.contains(&format!("\r\nX-Known: {known}\r\n")), "{wire}: {head}");
    }
}

#[test]
fn a_panic_costs_one_answer_and_no_worker() {
    let rig = rig(Limits { workers: 1, ..Limits::default() });
    let mut caller = rig.call();
    for path in ["/panic", "/silent"] {
        let (head, body) = caller.get(path).answer();
        assert_eq!((&head[9..12], body), ("500", format!("panicked {path}")));
        assert_eq!(caller.get("/fine").status(), "200");
    }
    assert_eq!(rig.rejected(Refusal::Panicked), 2);
}

#[test]
fn a_departure_is_noticed_while_the_handler_waits() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    caller.get("/watch");
    assert_eq!(rig.fact(), "watching");
    drop(caller);
    assert_eq!(rig.fact(), "left");
    let mut caller = rig.call();
    caller.get("/watch").stream.shutdown(Shutdown::Write).expect("half closed");
    assert_eq!((rig.fact(), rig.fact()), ("watching".to_owned(), "left".to_owned()));
    rig.until(|gauges| gauges.connections.load(Ordering::Relaxed) == 0);
}

#[test]
fn a_caller_who_does_not_read_is_given_up() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    caller.get("/flood");
    assert_eq!(rig.fact(), "flooding");
    while rig.facts.is_empty() {
        rig.clock.advance(Duration::from_secs(1));
        std::thread::yield_now();
    }
    assert_eq!(rig.fact(), "gave up");
    assert!(!caller.rest().ends_with("0\r\n\r\n"));
}

#[test]
fn a_slow_reader_who_reads_on_gets_everything_however_long_it_takes() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    // The kernel must not take all of it for the caller.
    rustix::net::sockopt::set_socket_recv_buffer_size(&caller.stream, 64 << 10).expect("a socket option");
    caller.get("/huge");
    let mut piece = vec![0; 2 << 20];
    for _ in 0..16 {
        caller.stream.read_exact(&mut piece).expect("the answer goes on");
        // Eight seconds a piece, in steps: most of them find the worker waiting for room.
        for _ in 0..800 {
            rig.clock.advance(Duration::from_millis(10));
            std::thread::yield_now();
        }
    }
    caller.seen = piece;
    assert!(caller.more(), "the head made it longer than its pieces");
    assert_eq!(caller.get("/next").hear("GET /next ").matches("200 OK").count(), 1);
}

#[test]
fn a_refused_head_request_gets_no_body_and_neither_does_204() {
    let rig = rig(Limits { body_bytes_max: 9, ..Limits::default() });
    for field in ["Content-Length: 10", "Content-Length: x", "A : b", "Transfer-Encoding: chunked\r\n\r\n-1"]
    {
        let rest = rig.call().say(&format!("HEAD /x HTTP/1.1\r\nHost: x\r\n{field}\r\n\r\n")).rest();
        assert_eq!(rest.ends_with("\r\n\r\n"), field != "A : b", "{field}: {rest}");
    }
    let mut caller = rig.call();
    caller.say("GET /x HTTP/1.1\r\nHost: x\r\nX-Key: nothing\r\n\r\n");
    let head = caller.hear("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 204 ") && !head.contains("Content-Length"), "{head}");
    assert_eq!(caller.get("/y").status(), "200");
}

#[test]
fn a_full_queue_says_so_at_once_while_the_control_lane_answers() {
    let rig = rig(Limits { workers: 1, queue: 1, ..Limits::default() });
    let (mut first, mut second, mut third) = (rig.call(), rig.call(), rig.call());
    first.get("/hold");
    assert_eq!(rig.fact(), "held");
    second.get("/second");
    rig.until(|gauges| gauges.queue_depth.load(Ordering::Relaxed) == 1);
    assert_eq!(third.get("/third").answer().1, "queue_full /third");
    assert_eq!(third.get("/health").answer().1, "GET /health ");
    rig.clock.advance(Duration::from_millis(1100));
    assert_eq!(second.answer().1, "queue_wait /second");
    rig.release.send(()).expect("the handler waits");
    assert_eq!(first.answer().1, "released");
    assert_eq!(third.get("/third").status(), "200", "a refused request does not cost the connection");
    assert_eq!(second.get("/second").status(), "200");
    assert_eq!((rig.rejected(Refusal::QueueFull), rig.rejected(Refusal::QueueWait)), (1, 1));
    assert_eq!(rig.server.gauges().queue_depth.load(Ordering::Relaxed), 0);
}

#[test]
fn slow_heads_and_bodies_are_answered_408_and_idle_connections_close_in_silence() {
    let rig = rig(Limits::default());
    let (mut head, mut body, mut idle) = (rig.call(), rig.call(), rig.call());
    head.say("GET / HT");
    body.say("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    idle.get("/x").status();
    // Both beginnings have been read: 8 bytes of the one, 3 bytes of the other.
    rig.until(|gauges| gauges.memory_bytes.load(Ordering::Relaxed) >= 11);
    rig.clock.advance(Duration::from_secs(11));
    assert_eq!((head.status(), body.status()), ("408".to_owned(), "408".to_owned()));
    assert_eq!(idle.get("/y").status(), "200");
    // The worker may let go of the connection a moment after its answer was heard.
    rig.until(|gauges| {
        rig.clock.advance(Duration::from_secs(76));
        gauges.connections.load(Ordering::Relaxed) == 0
    });
    assert_eq!(idle.rest(), "");
}

#[test]
fn connections_and_memory_are_bounded() {
    let limits = Limits {
        connections_per_address_max: 2,
        memory: crate::memory::Memory::new(100_000),
        ..Limits::default()
    };
    let rig = rig(limits);
    let mut kept = (rig.call(), rig.call());
    assert_eq!((kept.0.get("/a").status(), kept.1.get("/b").status()), ("200".to_owned(), "200".to_owned()));
    assert!(rig.call().rest().ends_with("too_many_connections -"));
    kept.0.say("POST /c HTTP/1.1\r\nHost: x\r\nContent-Length: 200000\r\n\r\n");
    let _ = kept.0.stream.write_all(&vec![b'x'; 200_000]);
    assert_eq!(kept.0.answer().1, "memory_full /c");
    drop(kept.0);
    rig.until(|gauges| gauges.connections.load(Ordering::Relaxed) == 1);
    assert_eq!(rig.call().get("/d").status(), "200");
}

#[test]
fn while_draining_whoever_was_let_in_and_has_not_spoken_yet_is_served() {
    let rig = rig(Limits::default());
    let mut late = rig.call();
    rig.until(|gauges| gauges.connections.load(Ordering::Relaxed) == 1);
    rig.server.drain();
    while TcpStream::connect(rig.server.address()).is_ok() {
        std::thread::yield_now();
    }
    assert_eq!(late.get("/late").status(), "200");
    // The server reads on until he closes, or until its clock, which stands still here, says that it is enough.
    drop(late);
    assert!(rig.server.join(patient()));
}

#[test]
fn draining_closes_what_is_idle_and_finishes_what_is_not() {
    let rig = rig(Limits::default());
    let (mut idle, mut busy, mut coming) = (rig.call(), rig.call(), rig.call());
    assert_eq!(idle.get("/x").status(), "200");
    busy.get("/hold");
    assert_eq!(rig.fact(), "held");
    coming.say("GET /y HTTP/1.1\r\n");
    rig.until(|gauges| gauges.memory_bytes.load(Ordering::Relaxed) > 0);
    rig.server.drain();
    assert_eq!(idle.rest(), "");
    assert!(TcpStream::connect(rig.server.address()).is_err());
    rig.release.send(()).expect("the handler waits");
    let (head, body) = busy.answer();
    assert!(head.contains("Connection: close\r\n") && body == "released", "{head}");
    coming.say("Host: x\r\n\r\n");
    assert_eq!(coming.status(), "200");
    drop((busy, coming));
    assert!(rig.server.join(patient()));
}

#[test]
fn when_patience_ends_hooks_run_and_every_thread_is_joined() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    caller.get("/watch");
    assert_eq!(rig.fact(), "watching");
    let gauges = rig.server.gauges();
    assert!(!rig.server.join(Duration::ZERO));
    assert_eq!(gauges.threads.load(Ordering::Relaxed), 0);
    assert_eq!(caller.rest(), "");
}

#[test]
fn a_peer_is_known_by_its_address() {
    struct Peer;
    impl Handler for Peer {
        fn lane(&self, _: &str, _: &str) -> Lane {
            Lane::Work
        }
        fn handle(&self, request: &mut Request, exchange: &mut Exchange<'_>) {
            assert_eq!(request.peer, IpAddr::from([127, 0, 0, 1]));
            assert_eq!(request.headers.get("HOST"), Some("x"));
            assert_eq!(request.headers.iter().collect::<Vec<_>>(), [("Host", "x")]);
            exchange.send(text(204, ""));
        }
        fn refuse(&self, refusal: Refusal, _: Option<&Turned<'_>>) -> Response {
            text(refusal.status(), "")
        }
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let server =
        Server::start(listener, Limits::default(), Arc::new(Peer), Arc::new(SystemClock)).expect("a server");
    let stream = TcpStream::connect(server.address()).expect("a connection");
    let mut caller = Caller { stream, seen: Vec::new() };
    let head = caller.get("/").hear("\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 204 No Content\r\n") && !head.contains("Content-Length"), "{head}");
}

#[test]
fn callers_who_come_all_at_once_are_queued_while_the_poller_is_busy() {
    struct Busy(Receiver<()>, Sender<()>);
    impl Handler for Busy {
        fn lane(&self, _: &str, _: &str) -> Lane {
            Lane::Control
        }
        fn screen(&self, _: &Head) -> Result<Pass, Response> {
            let _ = (self.1.send(()), self.0.recv());
            Err(text(204, ""))
        }
        fn handle(&self, _: &mut Request, _: &mut Exchange<'_>) {}
        fn refuse(&self, refusal: Refusal, _: Option<&Turned<'_>>) -> Response {
            text(refusal.status(), "")
        }
    }
    let ((release, wait), (begun, begins)) = (unbounded(), unbounded());
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let handler = Arc::new(Busy(wait, begun));
    let server =
        Server::start(listener, Limits::default(), handler, Arc::new(SystemClock)).expect("a server");
    let mut first =
        Caller { stream: TcpStream::connect(server.address()).expect("a connection"), seen: Vec::new() };
    first.get("/");
    begins.recv_timeout(Duration::from_secs(20)).expect("the poller is busy");
    let allowed = std::fs::read_to_string("/proc/sys/net/core/somaxconn").expect("the kernel's limit");
    let many = allowed.trim().parse::<usize>().expect("a number").min(400);
    let patience = Duration::from_secs(5);
    // One that finds no room hears nothing: the first is enough.
    let connect = |_| TcpStream::connect_timeout(&server.address(), patience);
    let waiting: Result<Vec<_>, _> = (0..many).map(connect).collect();
    drop(release);
    assert_eq!(waiting.map(|all| all.len()).expect("room for everyone"), many);
    first.hear("\r\n\r\n");
}
