//! What is refused, bounded, given up and drained.

use super::*;

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
