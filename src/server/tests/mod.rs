//! The front door over real sockets.

mod answers;
mod bounds;

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
            "/flushed" => {
                exchange.begin(200, &Fields::default());
                for words in ["", "some", ""] {
                    let before = exchange.bytes_out();
                    let room = exchange.room().expect("it is begun");
                    room.extend_from_slice(words.as_bytes());
                    exchange.flush().expect("the caller is there");
                    self.say(if exchange.bytes_out() > before { "left" } else { "stayed" });
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
