//! A server that tells what it was asked, in its answers and in a log.

use hapax::clock::Clock;
use hapax::server::{
    Exchange, Fields, Handler, Head, Lane, Limits, Pass, Refusal, Request, Response, Server, Turned,
};
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};

/// What was asked, as `METHOD target body`.
#[derive(Default)]
pub struct Seen(Mutex<Vec<String>>);

impl Seen {
    /// Everything since the last time.
    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.0.lock().expect("no test panics while it writes"))
    }
}

/// A request in one line, as the vectors say it.
pub fn line(request: &Request) -> String {
    let query = request.query.as_ref().map(|query| format!("?{query}")).unwrap_or_default();
    let body = request.body.escape_ascii().to_string();
    // Long bodies are told by their length.
    let body = if body.len() > 80 { format!("<{} bytes>", request.body.len()) } else { body };
    format!("{} {}{query} {body}", request.method, request.path).trim_end().to_owned()
}

/// What the door says to a head before its body is waited for: the stand-in for a missing key.
pub fn screen(head: &Head) -> Option<u16> {
    (head.headers.get("X-Key") == Some("wrong")).then_some(401)
}

struct Echo(Arc<Seen>);

fn text(status: u16, body: String) -> Response {
    Response { status, headers: Fields::default(), body: body.into_bytes() }
}

impl Handler for Echo {
    fn lane(&self, _: &str, _: &str) -> Lane {
        Lane::Work
    }

    fn screen(&self, head: &Head) -> Result<Pass, Response> {
        screen(head).map_or(Ok(Pass::default()), |status| Err(text(status, "no".to_owned())))
    }

    fn handle(&self, request: &mut Request, exchange: &mut Exchange<'_>) {
        let line = line(request);
        self.0.0.lock().expect("no test panics while it writes").push(line.clone());
        exchange.send(text(200, line));
    }

    fn refuse(&self, refusal: Refusal, _: Option<&Turned<'_>>) -> Response {
        text(refusal.status(), refusal.reason().to_owned())
    }
}

/// An echo in service on a port of its own.
pub struct Echoing {
    pub server: Server,
    pub seen: Arc<Seen>,
}

impl Echoing {
    pub fn start(limits: Limits, clock: Arc<dyn Clock>) -> Self {
        let seen = Arc::<Seen>::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let server =
            Server::start(listener, limits, Arc::new(Echo(Arc::clone(&seen))), clock).expect("it starts");
        Self { server, seen }
    }

    pub fn address(&self) -> SocketAddr {
        self.server.address()
    }
}
