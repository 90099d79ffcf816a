//! The rig: simulated providers, a whole gateway before them on port 0, and a caller on a raw socket.

pub mod caller;
mod document;
pub mod process;

use caller::{Answer, Conversation};
use hapax::cli::assemble::House;
use hapax::clock::{Clock, ManualClock, SystemClock};
use hapax::config;
use hapax::simulate::{Seen, Simulator};
use std::io::Write;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// No wait in a test is longer; none of them is expected to be long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A gateway with its providers, named `a`, `b`, `c` in the order of preference.
pub struct Rig {
    house: Option<House>,
    providers: Vec<Simulator>,
    address: SocketAddr,
    clock: Arc<ManualClock>,
    log: Log,
}

/// Everything the gateway logs.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no test panics while it writes").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Rig {
    /// Providers of these types, and nothing else written down.
    pub fn new(types: &[&str]) -> Self {
        Self::with(types, "")
    }

    /// Providers of these types, and more of the configuration file.
    pub fn with(types: &[&str], yaml: &str) -> Self {
        Self::built(types, "", yaml)
    }

    /// The same, with more said of every provider: `, retries: 0`.
    pub fn built(types: &[&str], each: &str, yaml: &str) -> Self {
        let providers: Vec<Simulator> = types
            .iter()
            .map(|_| Simulator::start("127.0.0.1:0", Arc::new(SystemClock)).expect("a port is free"))
            .collect();
        let text = Self::file(&providers, types, each, yaml);
        let settings =
            config::parse("test.yaml", &text, &|_| None).expect("the test's configuration is right");
        let clock = Arc::new(ManualClock::new());
        let log = Log::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let house = House::open(&settings, listener, Arc::clone(&clock) as Arc<dyn Clock>, log.clone())
            .expect("the house opens");
        let address = house.address();
        Self { house: Some(house), providers, address, clock, log }
    }

    fn file(providers: &[Simulator], types: &[&str], each: &str, yaml: &str) -> String {
        let mut text = "providers:\n".to_owned();
        for ((kind, name), simulator) in types.iter().zip(["a", "b", "c"]).zip(providers) {
            let url = simulator.url();
            text.push_str(&format!(
                "  {name}: {{type: {kind}, base_url: '{url}', api_key: sk-{name}, model: model-{name}, models: ['{name}-*']{each}}}\n"
            ));
        }
        text + yaml
    }

    /// One provider.
    pub fn provider(&self, index: usize) -> &Simulator {
        &self.providers[index]
    }

    /// Makes a provider misbehave from now on.
    pub fn behave(&self, index: usize, behaviour: &str) {
        self.providers[index].behave(behaviour).expect("the behaviour is known");
    }

    /// Completion requests a provider has seen so far.
    pub fn asked(&self, index: usize) -> Vec<Seen> {
        self.providers[index].seen().into_iter().filter(|seen| seen.method == "POST").collect()
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn house(&self) -> &House {
        self.house.as_ref().expect("it is open until the test ends")
    }

    /// Sets the gateway's calendar by so much, as a time server may; the time that passes is another thing.
    pub fn jump(&self, ahead: bool, by: Duration) {
        let today = self.clock.today();
        self.clock.set_calendar(if ahead { today + by } else { today - by });
    }

    /// Moves the gateway's clock.
    pub fn advance(&self, by: Duration) {
        self.clock.advance(by);
    }

    /// Puts another configuration into service.
    pub fn reload(&self, types: &[&str], yaml: &str) {
        let text = Self::file(&self.providers, types, "", yaml);
        let settings =
            config::parse("test.yaml", &text, &|_| None).expect("the test's configuration is right");
        self.house().reload(&settings).expect("it can be used");
    }

    /// A new connection.
    pub fn connect(&self) -> Conversation {
        Conversation::new(self.address)
    }

    /// One request on a connection of its own. The answer is one that the document lists.
    pub fn ask(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut conversation = self.connect();
        conversation.send(method, path, headers, body);
        let answer = conversation.answer_to(method);
        document::expect_listed(method, path, &answer);
        answer
    }

    pub fn get(&self, path: &str) -> Answer {
        self.ask("GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> Answer {
        self.ask("POST", path, &[], body)
    }

    /// A chat completion without model, whole.
    pub fn chat(&self) -> Answer {
        self.post(CHAT, HELLO)
    }

    /// Waits until `/metrics` has this line; asking is quick, and bounded by the patience.
    pub fn wait_for_metric(&self, line: &str) {
        let mut conversation = self.connect();
        let start = SystemClock.now();
        loop {
            conversation.send("GET", "/metrics", &[], "");
            let text = conversation.answer().text();
            if text.lines().any(|other| other == line) {
                return;
            }
            assert!(SystemClock.now() - start < PATIENCE, "{line} never came in {text}");
            std::thread::yield_now();
        }
    }

    /// Ends the house, and says what it logged.
    pub fn logged(mut self) -> String {
        self.house.take().expect("it is open").close(PATIENCE);
        let bytes = self.log.0.lock().expect("no test panics while it writes").clone();
        String::from_utf8(bytes).expect("logs are UTF-8")
    }
}

impl Drop for Rig {
    fn drop(&mut self) {
        for provider in &self.providers {
            provider.stop();
        }
        if let Some(house) = self.house.take() {
            house.close(PATIENCE);
        }
    }
}

pub const CHAT: &str = "/v1/chat/completions";
pub const HELLO: &str = r#"{"messages":[{"role":"user","content":"Hello"}]}"#;
pub const HELLO_STREAM: &str = r#"{"stream":true,"messages":[{"role":"user","content":"Hello"}]}"#;

/// Waits until something is so. It comes at once; a test in which it never does ends, and says what was waited for.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let start = SystemClock.now();
    while !so() {
        assert!(SystemClock.now() - start < PATIENCE, "it never came true that {what}");
        std::thread::yield_now();
    }
}

/// Runs `count` callers at once, and gives their results.
pub fn at_once<T: Send>(count: usize, caller: impl Fn(usize) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let caller = &caller;
        let threads: Vec<_> = (0..count).map(|index| scope.spawn(move || caller(index))).collect();
        threads.into_iter().map(|thread| thread.join().expect("no caller panics")).collect()
    })
}
