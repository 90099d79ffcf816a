//! Whoever asks properly is answered, whole or in a stream, and what is unfinished looks so.

use super::*;

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
fn a_flush_with_nothing_to_tell_sends_nothing_not_even_the_head() {
    let rig = rig(Limits::default());
    let mut caller = rig.call();
    let answer = caller.get("/flushed").hear("0\r\n\r\n");
    assert!(answer.ends_with("\r\n\r\n4\r\nsome\r\n0\r\n\r\n"), "{answer}");
    assert_eq!([rig.fact(), rig.fact(), rig.fact()], ["stayed", "left", "stayed"]);
}
