//! The simulator as a rig: what it has seen, whom it serves how, its port, its clock, its end.

use super::super::{End, Simulator, parse_script};
use super::client::*;
use crate::clock::ManualClock;
use serde_json::json;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

#[test]
fn every_request_is_seen_as_it_was_sent() {
    let simulator = simulator();
    let mut client = Client::to(&simulator);
    client.ask("POST", "/v1/chat/completions?a=b", "X-One: 1\r\n", &question("m", "x", false).to_string());
    assert_eq!(client.answer().status, 200);
    client.ask("GET", "/v1/models", "", "");
    assert_eq!(client.answer().status, 200);
    assert_eq!(hello(&simulator, CHATS[2], true).status, 200);
    let seen = simulator.seen();
    assert_eq!(seen.len(), 3);
    assert_eq!((seen[0].method.as_str(), seen[0].path.as_str()), ("POST", "/v1/chat/completions?a=b"));
    assert_eq!(seen[0].header("x-one"), Some("1"));
    assert_eq!(seen[0].json(), question("m", "x", false));
    assert_eq!([seen[0].connection, seen[1].connection, seen[2].connection], [1, 1, 2]);
    assert!(seen.iter().all(|seen| seen.end == End::Answered));
    assert!(seen[0].at <= seen[2].at);
    assert_eq!((simulator.wait_for(2, PATIENCE).len(), simulator.completions()), (2, 2));
    simulator.forget();
    assert!(simulator.seen().is_empty() && simulator.completions() == 0);
}

#[test]
fn queue_then_name_then_model_then_default() {
    let simulator = behaving("status=500");
    simulator.behave_model("m", "status=501");
    simulator.script(&["status=503", "ok"]);
    let mut client = Client::to(&simulator);
    let mut status = |model: &str| {
        client.post(CHATS[0], &question(model, "x", false));
        client.answer().status
    };
    assert_eq!(
        [status("m!status=502"), status("m"), status("m"), status("m!status=502"), status("n")],
        [503, 200, 501, 502, 500]
    );
}

#[test]
fn a_model_with_a_behaviour_answers_under_its_own_name_and_a_bad_one_is_told() {
    let simulator = simulator();
    let answer = ask(&simulator, CHATS[0], &question("gpt!tokens=4", "x", false)).json();
    assert_eq!((&answer["model"], &answer["usage"]["completion_tokens"]), (&json!("gpt"), &json!(4)));
    let told = ask(&simulator, CHATS[1], &question("gpt!nonsense", "x", false));
    assert_eq!(told.status, 400);
    assert!(told.text().contains("nonsense"));
    assert!(simulator.behave("nonsense").is_err());
}

#[test]
fn what_a_vendor_refuses_takes_nothing_from_the_queue() {
    let simulator = simulator();
    simulator.script(&["status=503"]);
    assert_eq!(ask(&simulator, CHATS[0], &json!({"model": "m"})).status, 400);
    assert_eq!(hello(&simulator, CHATS[0], false).status, 503);
}

#[test]
fn checks_follow_statuses_of_the_default_but_not_its_tokens_until_told() {
    let simulator = simulator();
    let status = |behaviour: &str| {
        simulator.behave(behaviour).expect("a behaviour");
        let mut client = Client::to(&simulator);
        client.ask("GET", "/v1/models", "", "");
        client.answer().status
    };
    assert_eq!(
        [status("status=503"), status("stall"), status("cut_after=1"), status("down")],
        [503, 200, 200, 0]
    );
    simulator.checks("status=401");
    assert_eq!(status("ok"), 401);
}

#[test]
fn flapping_follows_the_simulators_clock() {
    let clock = Arc::new(ManualClock::new());
    let simulator = Simulator::start("127.0.0.1:0", clock.clone()).expect("a port");
    simulator.behave("flap=10s/5s:status=503").expect("a behaviour");
    let mut statuses = Vec::new();
    for _ in 0..4 {
        statuses.push(hello(&simulator, CHATS[0], false).status);
        clock.advance(Duration::from_secs(5));
    }
    assert_eq!(statuses, [200, 200, 503, 200]);
    assert_eq!(simulator.seen()[3].at - simulator.seen()[0].at, Duration::from_secs(15));
}

#[test]
fn connections_are_refused_while_it_does_not_listen_and_the_port_stays_the_same() {
    let simulator = simulator();
    let mut idle = Client::to(&simulator);
    idle.post(CHATS[0], &question("m", "x", false));
    assert_eq!(idle.answer().status, 200);
    for _ in 0..3 {
        simulator.stop_listening();
        let refused = TcpStream::connect(simulator.address()).expect_err("nobody listens");
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        assert!(simulator.resume());
        assert_eq!(hello(&simulator, CHATS[0], false).status, 200);
    }
    assert_eq!(idle.answer().how, How::Closed);
}

#[test]
fn an_answer_under_way_is_finished_when_listening_stops() {
    let simulator = behaving("hold_after=2");
    let mut client = Client::to(&simulator);
    client.post(CHATS[0], &question("m", "hello there", true));
    assert_eq!(client.until_tokens(2).tokens().len(), 2);
    simulator.stop_listening();
    simulator.gate().open();
    assert_eq!(simulator.wait_ended(0, PATIENCE).expect("it ends").end, End::Answered);
    assert_eq!(simulator.wait_connections(0, PATIENCE), 0);
}

#[test]
fn hanging_up_and_stopping_end_everything_even_stalls() {
    let simulator = behaving("stall");
    let mut clients: Vec<Client> = (0..3).map(|_| Client::to(&simulator)).collect();
    clients[0].post(CHATS[0], &question("m", "x", true));
    assert_eq!(simulator.wait_for(1, PATIENCE).len(), 1);
    simulator.hang_up();
    assert_eq!(clients[0].answer().how, How::Closed);
    assert_eq!(simulator.wait_ended(0, PATIENCE).expect("it ends").end, End::Misbehaved);
    clients[1] = Client::to(&simulator);
    clients[1].post(CHATS[0], &question("m", "x", true));
    assert_eq!(simulator.wait_for(2, PATIENCE).len(), 2);
    drop(simulator);
    assert_ne!(clients[1].answer().how, How::Silent);
}

#[test]
fn a_connection_serves_many_requests_also_chunked_and_pipelined() {
    let simulator = simulator();
    let mut client = Client::to(&simulator);
    let body = question("m", "x", false).to_string();
    let (one, two) = body.split_at(10);
    let chunked = format!(
        "POST {} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n{:x}\r\n{one}\r\n{:x};a=b\r\n{two}\r\n0\r\nT: r\r\n\r\n",
        CHATS[0],
        one.len(),
        two.len()
    );
    client.send(&format!("{chunked}{chunked}"));
    assert_eq!([client.answer().status, client.answer().status], [200, 200]);
    assert_eq!(simulator.seen()[1].text(), body);
    client.send("GET /api/version HTTP/1.1\r\nConnection: close\r\n\r\n");
    assert!(client.answer().head.contains("Connection: close"));
    assert_eq!(client.answer().how, How::Closed);
    assert_eq!(simulator.wait_connections(0, PATIENCE), 0);
}

#[test]
fn an_old_client_gets_a_stream_that_ends_with_the_connection() {
    let simulator = simulator();
    let mut client = Client::to(&simulator);
    let body = question("m", "hello there", true).to_string();
    client.send(&format!("POST {} HTTP/1.0\r\nContent-Length: {}\r\n\r\n{body}", CHATS[0], body.len()));
    let answer = client.answer();
    assert!(!answer.head.contains("chunked"));
    assert_eq!(answer.tokens().concat(), Simulator::expected_text("m", "hello there"));
}

#[test]
fn hostile_requests_hurt_nobody() {
    let simulator = simulator();
    for hostile in [
        "\u{1}\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "GET / HTTP/1.1\r\nContent-Length: 99999999999\r\n\r\n",
    ] {
        let mut client = Client::to(&simulator);
        client.send(hostile);
        assert!(client.answer().status >= 400);
    }
    let mut client = Client::to(&simulator);
    let nested = "[".repeat(100_000);
    client.ask("POST", CHATS[0], "", &nested);
    assert_eq!(client.answer().status, 400);
    let deep = format!("{}1{}", "{\"a\":".repeat(120), "}".repeat(120));
    client.ask("POST", CHATS[0], "", &deep);
    assert_eq!(client.answer().status, 400);
    let mut schema = json!({"type": "string"});
    for _ in 0..25 {
        schema = json!({"anyOf": [{"type": "object", "properties": {"a": schema}}]});
    }
    let mut asked = question("m", "[[tool]]", false);
    asked["tools"] = json!([{"type": "function", "function": {"name": "t", "parameters": schema}}]);
    client.post(CHATS[0], &asked);
    assert_eq!(client.answer().status, 200);
}

#[test]
fn a_head_and_a_body_may_be_as_long_as_their_limits_and_no_longer() {
    let simulator = simulator();
    let status = |text: &str, rest: &str| {
        let mut client = Client::to(&simulator);
        client.send(text);
        client.send(rest);
        client.until_tokens(0).status
    };
    let begin = "GET /api/version HTTP/1.1\r\nA: ";
    let begun = |bytes: usize| format!("{begin}{}", "x".repeat(bytes - begin.len()));
    assert_eq!(status(&begun(64 << 10), "\r\n\r\n"), 200);
    assert_eq!(status(&begun((64 << 10) + 1), ""), 431);
    let announced = |bytes: usize| {
        format!("POST {} HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: {bytes}\r\n\r\n", CHATS[0])
    };
    assert_eq!(status(&announced(64 << 20), ""), 100);
    assert_eq!(status(&announced((64 << 20) + 1), ""), 413);
}

#[test]
fn a_script_file_sets_everything() {
    let simulator = simulator();
    let script = r#"{"default":"tokens=3","models":{"m":"status=418"},"checks":"status=404","key":"k"}"#;
    simulator.apply(parse_script(script).expect("a script"));
    assert_eq!(hello(&simulator, CHATS[0], false).status, 401);
    simulator.require_key(None);
    assert_eq!(hello(&simulator, CHATS[0], false).status, 418);
    let other = ask(&simulator, CHATS[0], &question("n", "x", false)).json();
    assert_eq!(other["usage"]["completion_tokens"], 3);
}

#[test]
fn many_connections_at_once_are_all_served() {
    let simulator = simulator();
    let mut clients: Vec<Client> = (0..100).map(|_| Client::to(&simulator)).collect();
    for client in &mut clients {
        client.post(CHATS[1], &question("m", "hello there", true));
    }
    for client in &mut clients {
        assert_eq!(client.answer().tokens().concat(), Simulator::expected_text("m", "hello there"));
    }
    assert_eq!(simulator.completions(), 100);
    drop(clients);
    assert_eq!(simulator.wait_connections(0, PATIENCE), 0);
}
