//! The vectors are run on the connection as a value, whole and byte by byte, and over a real socket.

use super::echo::{self, Echoing};
use super::vector::{End, Vector, all, parse};
use crate::rig::PATIENCE;
use hapax::clock::{Clock, SystemClock};
use hapax::server::{Connection, Limits, Step};
use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::sync::Arc;

/// What happened: requests seen, statuses, end.
type Story = (Vec<String>, Vec<u16>, End);

const NEXT: &[u8] = b"GET /next HTTP/1.1\r\nHost: x\r\n\r\n";

/// Bytes in pieces, through a connection as a value.
fn told<'a>(pieces: impl Iterator<Item = &'a [u8]>) -> Story {
    let now = SystemClock.now();
    let mut connection = Connection::new(Arc::default(), IpAddr::from([127, 0, 0, 1]), now);
    let (mut saw, mut statuses) = (Vec::new(), Vec::new());
    for piece in pieces {
        let mut step = connection.feed(piece, now);
        loop {
            step = match step {
                Step::Wait => break,
                Step::Head => {
                    let (head, manner) = connection.head().expect("the head is complete");
                    match echo::screen(head) {
                        Some(status) => {
                            statuses.push(status);
                            if head.content_length != Some(0) || !manner.keep_alive {
                                return (saw, statuses, End::Close);
                            }
                            connection.answered(now)
                        }
                        None => {
                            if connection.wants_continue() {
                                statuses.push(100);
                            }
                            connection.screened()
                        }
                    }
                }
                Step::Request(ready) => {
                    saw.push(echo::line(&ready.request));
                    statuses.push(200);
                    if !ready.manner.keep_alive {
                        return (saw, statuses, End::Close);
                    }
                    connection.answered(now)
                }
                Step::Refuse(refusal) => {
                    statuses.push(refusal.status());
                    assert!(matches!(connection.feed(NEXT, now), Step::Close), "nothing is parsed after it");
                    return (saw, statuses, End::Close);
                }
                Step::Close => return (saw, statuses, End::Close),
            };
        }
    }
    (saw, statuses, if connection.is_idle() { End::Keep } else { End::Wait })
}

/// The vector through a connection as a value; byte by byte must come to the same as whole.
fn by_value(vector: &Vector) -> Result<(), String> {
    let (saw, statuses, end) = told(std::iter::once(&vector.bytes[..]));
    vector.judge(&saw, &statuses, end)?;
    let slowly = told(vector.bytes.chunks(1));
    // Who sends byte by byte always has something left to send when `100 Continue` is due.
    let without = |statuses: &[u16]| statuses.iter().copied().filter(|status| *status != 100).collect();
    let whole: (_, Vec<u16>, _) = (saw, without(&statuses), end);
    let slowly: (_, Vec<u16>, _) = (slowly.0, without(&slowly.1), slowly.2);
    if whole == slowly { Ok(()) } else { Err(format!("byte by byte it is {slowly:?}")) }
}

/// Everything that comes until the connection closes, when `bytes` are sent; `hang_up` closes our side after them.
fn call(address: SocketAddr, bytes: &[u8], hang_up: bool) -> Result<Vec<u8>, String> {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(PATIENCE)).expect("a socket option");
    // The door may have answered and closed before it has read everything.
    let _ = stream.write_all(bytes);
    if hang_up {
        let _ = stream.shutdown(std::net::Shutdown::Write);
    }
    let mut heard = Vec::new();
    let mut piece = [0; 16 << 10];
    loop {
        match stream.read(&mut piece) {
            Ok(count) if count > 0 => heard.extend_from_slice(&piece[..count]),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {
                return Err("it never closed".to_owned());
            }
            _ => return Ok(heard),
        }
    }
}

/// The statuses of these answers, whose bodies are skipped; `saw` tells which answers have none.
fn statuses(mut heard: &[u8], saw: &[String], head_first: bool) -> Result<Vec<u16>, String> {
    let mut statuses = Vec::new();
    let mut methods = saw.iter();
    while !heard.is_empty() {
        let text = String::from_utf8_lossy(heard).into_owned();
        let (head, _) = text.split_once("\r\n\r\n").ok_or(format!("half an answer: {text}"))?;
        let status: u16 =
            head.get(9..12).and_then(|digits| digits.parse().ok()).ok_or(format!("no status: {text}"))?;
        let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
        let length: usize = length.map_or(0, |length| length.parse().unwrap_or(0));
        heard = &heard[head.len() + 4..];
        let bodiless = match status {
            100 => true,
            200 => methods.next().is_some_and(|line| line.starts_with("HEAD ")),
            _ => head_first && heard.is_empty(),
        };
        heard = heard.get(if bodiless { 0 } else { length }..).ok_or("a short body")?;
        statuses.push(status);
        if head.contains("\r\nConnection: close") && !heard.is_empty() {
            return Err(format!("words after the last one: {}", heard.escape_ascii()));
        }
    }
    Ok(statuses)
}

/// The vector over a socket, then the same with another request behind it.
fn by_socket(vector: &Vector, echoing: &Echoing) -> Result<(), String> {
    let head_first = vector.bytes.starts_with(b"HEAD ");
    let heard = call(echoing.address(), &vector.bytes, vector.end == End::Wait)?;
    let saw = echoing.seen.take();
    vector.judge(&saw, &statuses(&heard, &saw, head_first)?, vector.end)
}

/// A vector that keeps its connection serves the next request on it; one that closes it serves nothing more.
fn and_after_it(vector: &Vector, echoing: &Echoing) -> Result<(), String> {
    let mut longer = vector.clone();
    longer.bytes.extend_from_slice(NEXT);
    longer.bytes.extend_from_slice(b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    if vector.end == End::Keep {
        longer.saw.extend(["GET /next".to_owned(), "GET /last".to_owned()]);
        longer.statuses.extend([vec![200], vec![200]]);
        longer.end = End::Close;
    }
    by_socket(&longer, echoing).map_err(|wrong| format!("with a request behind it: {wrong}"))
}

fn over_a_socket(vector: &Vector, echoing: &Echoing) -> Result<(), String> {
    match vector.end {
        End::Keep => and_after_it(vector, echoing),
        End::Wait => by_socket(vector, echoing),
        End::Close => and_after_it(vector, echoing).and_then(|()| by_socket(vector, echoing)),
    }
}

#[test]
fn every_vector_is_told_right_by_the_connection_and_over_a_socket() {
    let vectors = all();
    let echoing = Echoing::start(Limits::default(), Arc::new(SystemClock));
    let mut wrong = Vec::new();
    for vector in &vectors {
        let verdict = by_value(vector).and_then(|()| over_a_socket(vector, &echoing));
        if let Err(why) = verdict {
            wrong.push(format!("[{}] {why}", vector.name));
        }
    }
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), vectors.len(), wrong.join("\n"));
}

#[test]
fn there_are_two_hundred_vectors_each_with_its_own_name_and_its_source() {
    let vectors = all();
    let names: std::collections::BTreeSet<_> = vectors.iter().map(|vector| &vector.name).collect();
    assert!(vectors.len() >= 200 && names.len() == vectors.len(), "{} of {}", names.len(), vectors.len());
    for vector in vectors {
        assert!(vector.rfc.starts_with(['3', '6', '9']), "[{}] has no source", vector.name);
    }
}

#[test]
fn a_vector_that_expects_something_else_fails() {
    let echoing = Echoing::start(Limits::default(), Arc::new(SystemClock));
    let request = "> GET / HTTP/1.1\n> Host: x\n>\n";
    for (expected, right) in [
        ("saw GET /\n= 200 keep", true),
        ("saw GET /\n= 200 close", false),
        ("saw GET /\n= 400 close", false),
        ("saw GET /\nsaw GET /\n= 200 200 keep", false),
        ("saw GET /x\n= 200 keep", false),
        ("= 200 keep", false),
        ("= wait", false),
    ] {
        let vector = &parse(&format!("[v]\n{request}{expected}\n"))[0];
        assert_eq!(by_value(vector).is_ok(), right, "{expected}");
        assert_eq!(over_a_socket(vector, &echoing).is_ok(), right, "{expected}");
    }
}
