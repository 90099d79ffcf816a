//! A provider that misbehaves on request: for tests, demo, drill and benchmarks.
//!
//! A [`Simulator`] speaks OpenAI (chat and Responses), Azure, Anthropic, Gemini and Ollama, whole and streamed, known by the path. Its answer is the same
//! for the same question ([`Simulator::expected_text`]), so a resumed stream can be checked byte by byte; it notes
//! every request with its time and its end ([`Seen`]), so both points of view can be checked.
//!
//! # Behaviours
//!
//! A behaviour is a comma-separated list. A request meets, in this order: the next item of the queue
//! ([`Simulator::script`]), the behaviour after a `!` in the model's name (`gpt-4o!status=503`), the model's own
//! ([`Simulator::behave_model`]), the default ([`Simulator::behave`]). What the vendor would refuse (bad JSON, no key)
//! is refused before, and takes nothing from the queue; only `down` as the default comes first.
//!
//! | item | what happens |
//! |---|---|
//! | `ok`, or nothing | health |
//! | `delay=200ms` | wait before the head |
//! | `first=300ms`, `pace=20ms` | wait between head and first token, between tokens |
//! | `hold`, `hold_after=5` | wait at the [`Gate`] before the head, after 5 content frames |
//! | `comments=50ms` | while a stream waits, something meaningless this often |
//! | `tokens=50`, `reasoning=3`, `endless` | how much is said, whatever bound the caller sets |
//! | `bounded` | not more than the caller's bound, even so |
//! | `status=503`, `header=Name:value`, `body=...` | this status with the vendor's error body, headers, a literal body (last item) |
//! | `context_length`, `unknown_model`, `bad_request`, `content_policy`, `insufficient_quota` | the vendor's own error |
//! | `refuses=top_k` | 400 for requests with this parameter, as for one the model does not take |
//! | `repeats`, `repeats=6`, `strays` | a continuation that says everything again, or the last 6 words; or begins with other words |
//! | `no_prefill` | 400 for a conversation that ends with the assistant's words |
//! | `down`, `close`, `reset`, `stall`, `garbage_http` | no HTTP at all: closed when accepted, closed, reset, silent, not HTTP |
//! | `garbage`, `empty`, `empty=content`, `error_200`, `redirect` | HTTP, but no answer |
//! | `cut_after=5`, `reset_after=5`, `stall_after=5`, `error_after=5` | break off after 5 content frames |
//! | `cut_at_byte=123` | close after 123 bytes of the body |
//! | `malformed_at=3` | a malformed frame more, before the third |
//! | `no_end`, `no_finish` | the sentinel is missing, the finish too; the body ends cleanly |
//! | `flap=10s/5s:status=503` | healthy 10 s, then the rest for 5 s, by the clock (last item) |
//!
//! A whole answer has no frames: it breaks off in the middle of its body, `error_after` puts the error in place of
//! it, `malformed_at` halves it. Ollama's finish and sentinel are one line, so `no_end` is `no_finish` there. An
//! answer shorter than the place where it should break breaks before its finish. Durations: `us`, `ms`, `s`, `m`.

mod anthropic;
mod behaviour;
mod complaint;
mod connection;
mod diary;
mod example;
mod gemini;
mod http;
mod line;
mod listen;
mod ollama;
mod openai;
mod perform;
mod pictures;
mod referee;
mod responses;
mod route;
mod script;
mod talk;
mod vectors;
mod voice;

pub use behaviour::BadBehaviour;
pub use diary::{End, Seen};
pub use line::Gate;
pub use script::{Script, parse_script};

use crate::clock::Clock;
use diary::Log;
use line::Line;
use listen::Listening;
use parking_lot::{Condvar, Mutex};
use script::Plan;
use std::collections::HashMap;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// A provider in this process. Stops when dropped.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    listening: Mutex<Listening>,
}

/// What the simulator's threads share.
struct Shared {
    clock: Arc<dyn Clock>,
    address: SocketAddr,
    /// Guards what we were told.
    plan: Mutex<Plan>,
    log: Log,
    gate: Gate,
    listening: AtomicBool,
    accepted: AtomicU64,
    /// Guards the open connections.
    lines: Mutex<HashMap<u64, Arc<Line>>>,
    line_closed: Condvar,
    /// Guards the threads of connections, to be joined.
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Shared {
    fn is_listening(&self) -> bool {
        self.listening.load(Ordering::SeqCst)
    }

    /// Now, in RFC 3339.
    fn calendar(&self) -> String {
        voice::rfc3339(voice::unix_seconds(self.clock.today()))
    }

    /// The open connections, so that nothing is done to them under the lock.
    fn open_lines(&self) -> Vec<Arc<Line>> {
        self.lines.lock().values().cloned().collect()
    }
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Simulator {
    /// Listens at an address such as `127.0.0.1:0`. Flapping and the stamps of requests follow the clock; waiting
    /// follows the machine's, as sockets do.
    ///
    /// # Errors
    /// The address cannot be bound, or the machine has no descriptor or thread left.
    pub fn start(address: &str, clock: Arc<dyn Clock>) -> io::Result<Self> {
        let port = listen::Port::reserve(address)?;
        let shared = Arc::new(Shared {
            plan: Mutex::new(Plan::new(clock.now())),
            clock,
            address: port.address(),
            log: Log::default(),
            gate: Gate::new()?,
            listening: AtomicBool::new(false),
            accepted: AtomicU64::new(0),
            lines: Mutex::default(),
            line_closed: Condvar::new(),
            threads: Mutex::default(),
        });
        let mut listening = Listening::new(port);
        listening.start(&shared)?;
        Ok(Self { shared, listening: Mutex::new(listening) })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.shared.address
    }

    /// Where it listens: `http://127.0.0.1:40123`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.shared.address)
    }

    /// The default behaviour from now on.
    ///
    /// # Errors
    /// The behaviour means nothing; nothing is changed.
    pub fn behave(&self, behaviour: &str) -> Result<(), BadBehaviour> {
        self.shared.plan.lock().behave(behaviour, self.shared.clock.now())
    }

    /// This model's own behaviour from now on. One that means nothing is told to whoever asks the model (400).
    pub fn behave_model(&self, model: &str, behaviour: &str) {
        self.shared.plan.lock().behave_model(model, behaviour, self.shared.clock.now());
    }

    /// Appends behaviours to the queue: the next completion requests meet one each. One that means nothing is told to
    /// the request that meets it (400).
    pub fn script(&self, behaviours: &[&str]) {
        self.shared.plan.lock().script(behaviours);
    }

    /// What questions about the provider (models, version, tags, counts) meet from now on. Until this is called they
    /// follow the default behaviour as far as it is `down`, `close`, `reset` or a status.
    pub fn checks(&self, behaviour: &str) {
        self.shared.plan.lock().checks(behaviour, self.shared.clock.now());
    }

    /// Refuses callers without this key, as the vendor does; `None` lets everyone in.
    pub fn require_key(&self, key: Option<&str>) {
        self.shared.plan.lock().key = key.map(str::to_owned);
    }

    /// Does everything a script says.
    pub fn apply(&self, script: Script) {
        self.shared.plan.lock().apply(script, self.shared.clock.now());
    }

    /// All requests, in order of arrival; the last 10,000 of them.
    #[must_use]
    pub fn seen(&self) -> Vec<Seen> {
        self.shared.log.seen()
    }

    /// How many completion requests (chat, generate, embeddings) have arrived since the last [`Simulator::forget`].
    #[must_use]
    pub fn completions(&self) -> u64 {
        self.shared.log.completions()
    }

    /// Waits until this many completion requests have arrived, or patience ends; gives those that have.
    pub fn wait_for(&self, count: usize, patience: Duration) -> Vec<Seen> {
        self.shared.log.wait_for(count, patience)
    }

    /// Waits until a completion request (the first is 0) has ended; `None` when patience ends before.
    pub fn wait_ended(&self, index: usize, patience: Duration) -> Option<Seen> {
        self.shared.log.wait_ended(index, patience)
    }

    /// Forgets all requests, so that counting starts at 0.
    pub fn forget(&self) {
        self.shared.log.forget();
    }

    /// The gate where `hold` waits; closed at first.
    #[must_use]
    pub fn gate(&self) -> Gate {
        self.shared.gate.clone()
    }

    /// Connections that are open.
    #[must_use]
    pub fn open_connections(&self) -> usize {
        self.shared.lines.lock().len()
    }

    /// Waits until at most this many connections are open, or patience ends; gives how many are.
    pub fn wait_connections(&self, at_most: usize, patience: Duration) -> usize {
        let mut lines = self.shared.lines.lock();
        let too_many = |lines: &mut HashMap<u64, Arc<Line>>| lines.len() > at_most;
        let _ = self.shared.line_closed.wait_while_for(&mut lines, too_many, patience);
        lines.len()
    }

    /// Connections are refused from now on, at a port that stays ours. Idle connections are closed; requests being
    /// answered are answered, then theirs are closed.
    pub fn stop_listening(&self) {
        self.listening.lock().stop(&self.shared);
        for line in self.shared.open_lines() {
            line.hang_up_if_idle();
        }
    }

    /// Listens again, at the same address. False when the machine has no descriptor or thread left.
    pub fn resume(&self) -> bool {
        self.listening.lock().start(&self.shared).is_ok()
    }

    /// Closes all connections at once, those in the middle of an answer too.
    pub fn hang_up(&self) {
        for line in self.shared.open_lines() {
            line.hang_up();
        }
    }

    /// The whole text that a model answers to a message, when no behaviour says otherwise. All but its last two
    /// words are the same for every model.
    #[must_use]
    pub fn expected_text(model: &str, last_user: &str) -> String {
        let model = model.split('!').next().unwrap_or_default();
        talk::sentence(model, last_user, None).concat()
    }

    /// The whole text under a behaviour `tokens=count`.
    #[must_use]
    pub fn expected_tokens(model: &str, last_user: &str, count: usize) -> Vec<String> {
        let model = model.split('!').next().unwrap_or_default();
        talk::sentence(model, last_user, Some(count))
    }

    /// Stops: refuses, closes and ends every thread. Dropping does the same.
    pub fn stop(&self) {
        self.listening.lock().stop(&self.shared);
        self.hang_up();
        let threads = std::mem::take(&mut *self.shared.threads.lock());
        for thread in threads {
            // A panic in one connection is not the others' concern.
            let _ = thread.join();
        }
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        self.stop();
    }
}

#[cfg(test)]
mod tests;
