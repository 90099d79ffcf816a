//! The stage a row is played on: the cast, the gateway before it, and what the caller heard so far.

use super::PATIENCE;
use super::answer::Answer;
use super::caller::Conversation;
use super::cast::{Cast, NAMES};
use crate::clock::{Clock, SystemClock};
use crate::simulate::{Seen, Simulator};
use parking_lot::{Condvar, Mutex};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// The path of OpenAI's chat completions.
pub(super) const OPENAI: &str = "/v1/chat/completions";
/// The path of OpenAI's responses.
pub(super) const RESPONSES: &str = "/v1/responses";
/// The path of Anthropic's messages.
pub(super) const ANTHROPIC: &str = "/v1/messages";
/// The path of Ollama's chat.
pub(super) const OLLAMA: &str = "/api/chat";
/// How often something that is waited for is looked at.
const GLANCE: Duration = Duration::from_millis(20);

/// What is done to the gateway's process rather than asked of it: in this process, or by signals.
pub trait Site: Sync {
    /// Puts the same settings into service once more.
    ///
    /// # Errors
    /// Why they could not be.
    fn reload(&self) -> Result<(), String>;

    /// Takes no new work; what is under way goes on.
    ///
    /// # Errors
    /// Why it could not be told so.
    fn drain(&self) -> Result<(), String>;
}

/// The cast, and the gateway before it.
pub struct Stage<'a> {
    pub(super) cast: &'a Cast,
    gateway: SocketAddr,
    /// `None`: nobody knows the gateway's process.
    site: Option<&'a dyn Site>,
    /// A row needed the process, and there was none.
    missed: AtomicBool,
    /// The gateway was there before the row, and remembers earlier ones.
    remembers: bool,
    heard: Mutex<Vec<String>>,
}

impl<'a> Stage<'a> {
    /// A stage for one row.
    #[must_use]
    pub fn new(cast: &'a Cast, gateway: SocketAddr, site: Option<&'a dyn Site>) -> Self {
        let missed = AtomicBool::new(false);
        Self { cast, gateway, site, missed, remembers: false, heard: Mutex::default() }
    }

    /// The same before a gateway that other rows were played against.
    #[must_use]
    pub fn before_one_that_remembers(self) -> Self {
        Self { remembers: true, ..self }
    }

    /// The gateway's process. A row that asks for it in vain counts as not played.
    pub(super) fn site(&self) -> Result<&'a dyn Site, String> {
        self.missed.store(self.site.is_none(), Ordering::Relaxed);
        self.site.ok_or_else(|| "the gateway's process is not known".to_owned())
    }

    /// Whether a row asked for the gateway's process in vain.
    pub(super) fn missed(&self) -> bool {
        self.missed.load(Ordering::Relaxed)
    }

    /// What the caller heard, request by request.
    pub(super) fn heard(&self) -> Vec<String> {
        self.heard.lock().clone()
    }

    /// Notes something for the caller's column.
    pub(super) fn note(&self, line: String) {
        self.heard.lock().push(line);
    }

    /// A gateway that remembers an earlier row is asked until every provider, and the model that was sick, serves again.
    pub(super) fn wait_ready(&self) -> Result<(), String> {
        if !self.remembers {
            return Ok(());
        }
        let sick = ("a", "sick-at-a");
        for (name, model) in NAMES.iter().map(|name| (*name, "one")).chain([sick]) {
            let body = question(model, false);
            self.until(&format!("{name} serves"), || {
                let answer = self.exchange(("POST", OPENAI), &[("X-Hapax-Provider", name)], &body)?;
                Ok(answer.status == 200)
            })?;
        }
        self.cast.forget();
        Ok(())
    }

    /// One of the providers.
    pub(super) fn provider(&self, name: &str) -> Result<&'a Simulator, String> {
        self.cast.provider(name)
    }

    /// Makes a provider misbehave from now on.
    pub(super) fn behave(&self, name: &str, behaviour: &str) -> Result<(), String> {
        self.provider(name)?.behave(behaviour).map_err(|error| error.to_string())
    }

    /// Makes a provider's next answers misbehave, one after the other.
    pub(super) fn script(&self, name: &str, behaviours: &[&str]) -> Result<(), String> {
        self.provider(name)?.script(behaviours);
        Ok(())
    }

    /// The completions a provider was asked for.
    pub(super) fn asked(&self, name: &str) -> Result<Vec<Seen>, String> {
        Ok(self.provider(name)?.seen().into_iter().filter(|seen| seen.method == "POST").collect())
    }

    /// A whole answer, asked in OpenAI's words for one of the drill's model names.
    pub(super) fn whole(&self, model: &str) -> Result<Answer, String> {
        self.ask(OPENAI, &question(model, false))
    }

    /// A stream, asked in OpenAI's words.
    pub(super) fn stream(&self, model: &str) -> Result<Answer, String> {
        self.ask(OPENAI, &question(model, true))
    }

    /// Any question, on a connection of its own; its answer has its line in the caller's column.
    pub(super) fn ask(&self, path: &str, body: &str) -> Result<Answer, String> {
        self.ask_with(path, &[], body)
    }

    /// The same with header fields.
    pub(super) fn ask_with(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Result<Answer, String> {
        let answer = self.exchange(("POST", path), headers, body)?;
        self.note(answer.brief());
        Ok(answer)
    }

    /// What the gateway says of itself.
    pub(super) fn get(&self, path: &str) -> Result<Answer, String> {
        self.exchange(("GET", path), &[], "")
    }

    /// A connection.
    pub(super) fn connect(&self) -> Result<Conversation, String> {
        Conversation::new(self.gateway)
    }

    fn exchange(&self, target: (&str, &str), headers: &[(&str, &str)], body: &str) -> Result<Answer, String> {
        let mut conversation = self.connect()?;
        conversation.send(target, headers, body)?;
        conversation.answer()
    }

    /// A counter of the gateway's metrics; 0 when it has not counted yet.
    pub(super) fn metric(&self, name: &str) -> Result<u64, String> {
        let text = self.get("/metrics")?.text();
        let value = text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse::<f64>().ok());
        // Counters are whole.
        Ok(value.map_or(0, |value| value as u64))
    }

    /// What `/health` says of a provider.
    pub(super) fn health(&self, name: &str, field: &str) -> Result<serde_json::Value, String> {
        Ok(self.get("/health")?.json()["providers"][name][field].clone())
    }

    /// Waits until something is so.
    pub(super) fn until(&self, what: &str, so: impl Fn() -> Result<bool, String>) -> Result<(), String> {
        let start = now();
        while !so()? {
            if now().saturating_duration_since(start) > PATIENCE {
                return Err(format!("it never came true that {what}"));
            }
            pause(GLANCE);
        }
        Ok(())
    }

    /// Expects a complete answer with the whole text, by this provider.
    pub(super) fn served(&self, answer: &Answer, by: &str) -> Result<(), String> {
        complete(answer)?;
        equal("X-Hapax-Provider", answer.header("x-hapax-provider"), Some(by))
    }

    /// Expects that a provider was asked so often.
    pub(super) fn expect_asked(&self, name: &str, times: usize) -> Result<(), String> {
        equal(&format!("calls that reached {name}"), self.asked(name)?.len(), times)
    }
}

/// The machine's time: the drill watches real sockets.
pub(super) fn now() -> Instant {
    SystemClock.now()
}

/// Waits.
pub(super) fn pause(how_long: Duration) {
    let nothing = Mutex::new(());
    let _ = Condvar::new().wait_for(&mut nothing.lock(), how_long);
}

/// The question of the drill, in words that OpenAI, Anthropic and Ollama all understand.
pub(super) fn question(model: &str, stream: bool) -> String {
    format!(
        r#"{{"model":"{model}","max_tokens":500,"stream":{stream},"messages":[{{"role":"user","content":"Hello"}}]}}"#
    )
}

/// The same question in the words of the endpoint at `path`.
pub(super) fn question_at(path: &str, model: &str, stream: bool) -> String {
    if path != RESPONSES {
        return question(model, stream);
    }
    format!(r#"{{"model":"{model}","max_output_tokens":500,"stream":{stream},"input":"Hello"}}"#)
}

/// The whole answer to it.
pub(super) fn expected() -> String {
    Simulator::expected_text("one", "Hello")
}

/// Expects a complete answer with the whole text, whoever gave it.
pub(super) fn complete(answer: &Answer) -> Result<(), String> {
    if answer.status != 200 {
        return Err(format!("the caller got {}: {}", answer.status, answer.text()));
    }
    equal("the text the caller read", answer.said(), expected())?;
    expect(answer.looks_complete(), || "the answer does not look complete".to_owned())?;
    expect(!answer.tells_an_error(), || "the answer tells of an error".to_owned())
}

/// Expects that an answer which could not be saved says so and does not look complete.
pub(super) fn honest(answer: &Answer) -> Result<(), String> {
    expect(!answer.looks_complete() || !answer.is_stream(), || {
        format!("a truncated answer looks complete: {}", answer.text())
    })?;
    expect(answer.tells_an_error(), || format!("no error is told: {}", answer.text()))
}

/// Expects something.
pub(super) fn expect(so: bool, otherwise: impl FnOnce() -> String) -> Result<(), String> {
    if so { Ok(()) } else { Err(otherwise()) }
}

/// Expects two things to be the same.
pub(super) fn equal<T: PartialEq + std::fmt::Debug>(what: &str, is: T, should: T) -> Result<(), String> {
    expect(is == should, || format!("{what}: {is:?}, not {should:?}"))
}
