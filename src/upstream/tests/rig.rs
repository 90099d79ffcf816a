//! A server scripted connection by connection, and a client with the shortest patience a test needs.

use crate::clock::{Clock, SystemClock};
use crate::config::{Kind, Provider};
use crate::dialect::Body;
use crate::domain::failure::Fault;
use crate::domain::words::{Dialect, Gist, Marks, Words};
use crate::gateway::cancel::Cancel;
use crate::gateway::ports::{Caller, Question};
use crate::upstream::client::Client as Asking;
use crate::upstream::dial::Dial;
use crate::upstream::http::{self, Incoming};
use crate::upstream::line::Bound;
use crate::upstream::names::Names;
use crate::upstream::requests::{Address, Requests};
use std::cell::Cell;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};
use ureq::http::HeaderValue;

/// Far longer than any test takes.
pub(super) const LONG: Duration = Duration::from_secs(60);
/// Long enough to be noticed, short enough to be waited for.
pub(super) const SHORT: Duration = Duration::from_millis(80);
/// What "at once" may take on a busy machine; far below [`LONG`].
pub(super) const AT_ONCE: Duration = Duration::from_secs(20);

/// What the server does with one connection.
pub(super) type Script = Box<dyn FnOnce(&mut Peer) + Send>;

/// The server's end of a connection.
pub(super) struct Peer {
    reader: BufReader<TcpStream>,
}

impl Peer {
    /// Reads one request; `None` when the client closed the connection.
    pub(super) fn request(&mut self) -> Option<String> {
        let head = self.head()?;
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let mut body = vec![0; length.unwrap_or(0)];
        self.reader.read_exact(&mut body).ok()?;
        Some(head + &String::from_utf8(body).unwrap())
    }

    /// Reads a request's head only.
    pub(super) fn head(&mut self) -> Option<String> {
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.reader.read_line(&mut head).ok()? == 0 {
                return None;
            }
        }
        Some(head)
    }

    /// Writes; a client that is gone is no failure of the test.
    pub(super) fn say(&mut self, bytes: &str) {
        let _ = self.reader.get_mut().write_all(bytes.as_bytes());
    }

    /// A complete answer with a length.
    pub(super) fn answer(&mut self, status: &str, body: &str) {
        let length = body.len();
        self.say(&format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\n\r\n{body}"));
    }

    /// Waits until the client closes the connection; anything it says instead fails the test.
    pub(super) fn expect_close(&mut self) {
        self.reader.get_ref().set_read_timeout(Some(AT_ONCE)).unwrap();
        match self.reader.read(&mut [0; 64]) {
            Ok(0) => {}
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => {}
            other => panic!("the connection was not closed: {other:?}"),
        }
    }

    /// Reads whatever comes, and answers none of it, until the client closes the connection.
    pub(super) fn ignore(&mut self) {
        self.reader.get_ref().set_read_timeout(Some(AT_ONCE)).unwrap();
        while self.reader.read(&mut [0; 1024]).is_ok_and(|size| size > 0) {}
    }

    /// Whether nothing arrives and the connection stays open for a moment.
    pub(super) fn rests(&mut self) -> bool {
        self.rests_for(SHORT)
    }

    /// The same for a shorter moment.
    pub(super) fn rests_briefly(&mut self) -> bool {
        self.rests_for(SHORT / 16)
    }

    fn rests_for(&mut self, moment: Duration) -> bool {
        self.reader.get_ref().set_read_timeout(Some(moment)).unwrap();
        let read = self.reader.read(&mut [0; 1]);
        // Whoever comes later may take his time.
        self.reader.get_ref().set_read_timeout(None).unwrap();
        matches!(read, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
    }
}

/// Answers as many requests as come.
pub(super) fn answering(body: &'static str) -> Script {
    Box::new(move |peer| {
        while peer.request().is_some() {
            peer.answer("200 OK", body);
        }
    })
}

/// A server whose nth connection follows the nth script; further ones are closed at once.
pub(super) struct Server {
    pub(super) address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    finishing: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    pub(super) fn new(scripts: Vec<Script>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepted = Arc::new(AtomicUsize::new(0));
        let finishing = Arc::new(AtomicBool::new(false));
        let (count, over) = (Arc::clone(&accepted), Arc::clone(&finishing));
        let accept = move || {
            let mut scripts = scripts.into_iter();
            let mut peers = Vec::new();
            loop {
                let (socket, _) = listener.accept().unwrap();
                if over.load(Ordering::SeqCst) {
                    break;
                }
                count.fetch_add(1, Ordering::SeqCst);
                let Some(script) = scripts.next() else { continue };
                let run = move || script(&mut Peer { reader: BufReader::new(socket) });
                peers.push(std::thread::Builder::new().name("peer".into()).spawn(run).unwrap());
            }
            for peer in peers {
                peer.join().expect("a script's expectation failed");
            }
        };
        let thread = Some(std::thread::Builder::new().name("server".into()).spawn(accept).unwrap());
        Self { address, accepted, finishing, thread }
    }

    /// How many connections were accepted so far.
    pub(super) fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Waits for the scripts to end; the clients must have gone before.
    pub(super) fn finish(mut self) {
        self.finishing.store(true, Ordering::SeqCst);
        drop(TcpStream::connect(self.address).unwrap());
        self.thread.take().unwrap().join().expect("a script's expectation failed");
    }
}

/// Settings without any patience worth waiting for: each test shortens what it is about.
pub(super) fn settings(base_url: &str) -> Provider {
    Provider {
        name: "models".into(),
        kind: Kind::OpenAiCompatible,
        base_url: base_url.into(),
        keys: Vec::new(),
        model: "m".into(),
        models: vec!["m".into()],
        max_concurrency: 4,
        limits: crate::domain::limit::Limits::default(),
        type_word: "openai_compatible",
        vendor: crate::domain::price::Vendor::Other,
        connect_timeout: LONG,
        first_token_timeout: LONG,
        answer_timeout: LONG,
        weight: 1,
        idle_timeout: LONG,
        total_timeout: LONG,
        retries: 0,
        ca_file: None,
        proxy: None,
        headers: Vec::new(),
        max_tokens: 4096,
        version: "2023-06-01".into(),
        num_ctx: None,
        keep_alive: None,
        api_version: None,
        deployments: Vec::new(),
        quirks: crate::domain::quirks::Quirks::default(),
    }
}

thread_local! {
    /// Whether this thread's clients are connected by ureq where a socket would do.
    static BY_UREQ: Cell<bool> = const { Cell::new(false) };
}

/// Runs a test with clients that ureq connects.
pub(super) fn by_ureq(test: fn()) {
    BY_UREQ.set(true);
    test();
    // The thread may run other tests.
    BY_UREQ.set(false);
}

/// What holds upon a socket holds upon what ureq builds.
macro_rules! so_it_is_by_ureq {
    ($($test:ident),* $(,)?) => {
        mod by_ureq {
            $(
                #[test]
                fn $test() {
                    super::super::rig::by_ureq(super::$test);
                }
            )*
        }
    };
}
pub(super) use so_it_is_by_ureq;

/// The lower layer by itself.
pub(super) struct Client {
    pub(super) asking: Arc<Asking>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) cancel: Arc<Cancel>,
    pub(super) question: Question,
    requests: Requests,
    address: Address,
    pub(super) body: Body,
}

impl Client {
    pub(super) fn to(server: &Server) -> Self {
        Self::with_clock(server, Arc::new(SystemClock))
    }

    pub(super) fn with_clock(server: &Server, clock: Arc<dyn Clock>) -> Self {
        Self::new(&format!("http://{}", server.address), LONG, clock)
    }

    pub(super) fn new(address: &str, connect_timeout: Duration, clock: Arc<dyn Clock>) -> Self {
        let settings = Provider { connect_timeout, ..settings(address) };
        Self::of(&settings, clock)
    }

    pub(super) fn of(settings: &Provider, clock: Arc<dyn Clock>) -> Self {
        Self::with_names(settings, Names::new(Arc::clone(&clock), LONG), clock)
    }

    pub(super) fn with_names(settings: &Provider, names: Names, clock: Arc<dyn Clock>) -> Self {
        let dial = if BY_UREQ.get() { Dial::building } else { Dial::new };
        let dial = dial(settings, names, Arc::clone(&clock)).unwrap();
        let asking = Arc::new(Asking::new(dial, Arc::clone(&clock), settings.max_concurrency));
        let requests = Requests::new(settings).unwrap();
        let address = requests.address("/chat/completions", "m").unwrap().into_owned();
        Self {
            asking,
            clock,
            cancel: Cancel::new(),
            question: question(),
            requests,
            address,
            body: b"question".to_vec().into(),
        }
    }

    pub(super) fn bound(&self, patience: Duration, fault: Fault) -> Bound {
        Bound::new(self.clock.now() + patience, fault)
    }

    /// Sends and waits for the head.
    pub(super) fn send(&self) -> Result<Incoming, Fault> {
        self.send_within(LONG)
    }

    pub(super) fn send_within(&self, patience: Duration) -> Result<Incoming, Fault> {
        let key = HeaderValue::from_static("Bearer k-1");
        let said = (&self.question, &self.question.passed[..]);
        let request = self.requests.post(&self.address, Some(&key), said, &self.body);
        let bound = self.bound(patience, Fault::FirstTokenTimeout);
        http::send(&self.asking, (&self.clock, self.clock.now()), &self.cancel, bound, &request)
            .map(|incoming| *incoming)
    }

    /// Sends and reads the whole answer.
    pub(super) fn call(&self) -> Result<String, Fault> {
        let mut incoming = self.send()?;
        let mut body = Vec::new();
        incoming.read_all(&mut body, 1 << 20, self.bound(LONG, Fault::TotalTimeout))?;
        Ok(String::from_utf8(body).unwrap())
    }
}

/// Some question; its words do not matter here.
pub(super) fn question() -> Question {
    Question {
        caller: Caller::Key("bot".into()),
        endpoint: "chat",
        gist: Gist::default(),
        words: Words { dialect: Dialect::OpenAiChat, body: Arc::default(), marks: Marks::default() },
        pinned: None,
        tokens: 0,
        purse: None,
        deduplicate: true,
        wish: Default::default(),
        request_id: "req-1".into(),
        passed: Vec::new(),
        traceparent: None,
    }
}

/// Runs `what` beside a thread that waits for `when` and then cancels; says how long it took.
pub(super) fn cancelled_when<T>(
    cancel: &Arc<Cancel>,
    when: impl FnOnce() + Send + 'static,
    what: impl FnOnce() -> T,
) -> (T, Duration) {
    let signal = cancel.clone();
    let clock = SystemClock;
    let fire = move || -> Instant {
        when();
        let at = clock.now();
        signal.fire(crate::gateway::cancel::Reason::CallerLeft);
        at
    };
    let thread = std::thread::Builder::new().name("canceller".into()).spawn(fire).unwrap();
    let outcome = what();
    let ended = clock.now();
    (outcome, ended.saturating_duration_since(thread.join().unwrap()))
}
