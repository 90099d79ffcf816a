//! HTTP out: asks one configured provider, over sockets of our own, and says what went wrong in our terms.
//!
//! ```text
//!   Upstream::ask ─▶ dialect::ask ─▶ keys ─▶ http::send ─▶ client ─▶ shelf, dial ─▶ Link ─┬▶ Wire
//!                        ▲                       │                                         └▶ TLS, tunnel ─▶ Wire
//!                        │                       │ status, headers, body within bounds
//!                        └── dialect::read_* ◀───┘
//! ```
//!
//! No thread but for looking up a name, no lock across a call, no redirect, no proxy of the environment. A call that is
//! cancelled ends wherever it waits.

mod client;
mod dial;
mod faults;
mod http;
mod hush;
mod keys;
mod line;
mod link;
mod names;
mod pages;
mod redacted;
mod refused;
pub mod reply;
mod requests;
mod shelf;
mod sockets;
mod stream;
mod tls;
mod wait;
mod wire;

#[cfg(test)]
mod tests;

pub use redacted::Redacted;

use crate::clock::Clock;
use crate::config::{Kind, Provider as Settings};
use crate::dialect::{self, Defaults, Outgoing, Reader};
use crate::domain::chat::{Answer, Usage};
use crate::domain::failure::{Failure, Fault};
use crate::domain::quirks::Responses;
use crate::domain::words::{Dialect, Gist, Subject, Words};
use crate::gateway::ports::{Attempt, Call, Frames, Provider, Question, Reply};
use crate::memory::{Held, Memory};
use client::Client;
use dial::Dial;
use http::Incoming;
use hush::Hush;
use keys::{Keys, Refused};
use line::Bound;
use names::Names;
use refused::Refusals;
use requests::{Address, Requests};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;
use stream::{Manners, Stream, Told};
use ureq::http::HeaderValue;

/// A complete answer; a long one with images in base64 is a few MiB.
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Objects of a request that is put in another dialect's words; braces in texts count. Anthropic takes 100,000 messages.
const TRANSLATED_OBJECTS_MAX: usize = 128 * 1024;
/// What is read of an error's or a check's body.
const ERROR_BYTES_MAX: usize = 64 * 1024;

/// A configured provider, reachable over HTTP.
pub struct Upstream {
    name: Arc<str>,
    kind: Kind,
    target: Dialect,
    defaults: Defaults,
    /// The provider's own word for each model that it calls otherwise.
    deployments: Vec<(String, String)>,
    patience: Patience,
    requests: Requests,
    keys: Keys,
    hush: Hush,
    refusals: Refusals,
    client: Arc<Client>,
    clock: Arc<dyn Clock>,
    memory: Arc<Memory>,
}

/// What of a question is not in its body.
struct Asked<'a> {
    /// What the provider is spoken to in.
    target: Dialect,
    /// The model in the provider's own words.
    model: &'a str,
    question: &'a Question,
    /// Headers of the caller's own that this provider may see.
    passed: &'a [(&'static str, String)],
    /// How long the answer's head may take.
    head_within: Duration,
}

/// A question in a provider's words.
struct Worded {
    outgoing: Outgoing,
    /// What wording it took of the memory.
    held: Held,
}

/// The configured timeouts but for connecting.
#[derive(Debug, Clone, Copy)]
struct Patience {
    first_token: Duration,
    answer: Duration,
    idle: Duration,
    total: Duration,
}

/// Makes a provider ready; nothing is connected yet. `system_prompt` is put first on Hapax's own endpoint when
/// the caller gives no instructions; what is asked and answered counts in `memory`.
///
/// # Errors
/// What in the provider's settings cannot be used: an address, a header, a CA file, a proxy. Names no secret.
pub fn connect(
    settings: &Settings,
    system_prompt: Option<&str>,
    clock: Arc<dyn Clock>,
    memory: Arc<Memory>,
) -> Result<Upstream, String> {
    Upstream::new(settings, system_prompt, clock, memory)
        .map_err(|problem| format!("providers.{}: {problem}", settings.name))
}

impl Upstream {
    fn new(
        settings: &Settings,
        system_prompt: Option<&str>,
        clock: Arc<dyn Clock>,
        memory: Arc<Memory>,
    ) -> Result<Self, String> {
        let requests = Requests::new(settings)?;
        let keys = Keys::new(requests.keys(&settings.keys)?);
        let names = Names::new(Arc::clone(&clock), settings.connect_timeout);
        let dial = Dial::new(settings, names, Arc::clone(&clock))?;
        let client = Arc::new(Client::new(dial, Arc::clone(&clock), settings.max_concurrency));
        let defaults = Defaults {
            max_tokens: settings.max_tokens,
            num_ctx: settings.num_ctx,
            keep_alive: settings.keep_alive.clone(),
            quirks: settings.quirks.clone(),
            system_prompt: system_prompt.map(str::to_owned),
        };
        let patience = Patience {
            first_token: settings.first_token_timeout,
            answer: settings.answer_timeout,
            idle: settings.idle_timeout,
            total: settings.total_timeout,
        };
        let (name, kind) = (Arc::from(settings.name.as_str()), settings.kind);
        let target = requests::dialect(kind);
        let deployments = settings.deployments.clone();
        let hush = Hush::new(settings);
        Ok(Self {
            name,
            kind,
            target,
            defaults,
            deployments,
            patience,
            requests,
            keys,
            hush,
            refusals: Refusals::default(),
            client,
            clock,
            memory,
        })
    }

    /// Sends with one key after the other until one is not refused; returns when a success's head has come, with
    /// the bound its first content is under.
    fn post(
        &self,
        outgoing: &Outgoing,
        asked: &Asked<'_>,
        call: &Call,
        last: Bound,
    ) -> Result<(Box<Incoming>, Bound), Failure> {
        let address = self.requests.address(&outgoing.path, asked.model);
        let address = address.ok_or_else(|| self.failure(Fault::UnknownModel))?;
        let said = (asked.question, asked.passed);
        let now = call.began;
        let mut asked_before = false;
        let attempt = |key: Option<&HeaderValue>| {
            // Anew for every key: a refused one took its time.
            let begun = if std::mem::replace(&mut asked_before, true) { self.clock.now() } else { now };
            let until = begun + asked.head_within;
            let head = Bound::new(until, Fault::FirstTokenTimeout).or_earlier(last);
            let request = self.requests.post(&address, key, said, &outgoing.body);
            let mut incoming = http::send(&self.client, (&self.clock, begun), &call.cancel, head, &request)
                .map_err(|fault| self.failure(fault))?;
            if is_success(incoming.status) {
                Ok((incoming, head))
            } else {
                Err(self.refusal(&mut incoming, asked.target, last))
            }
        };
        self.keys.try_each(now, attempt).map_err(|refused| match refused {
            Refused::Before(fault) => self.failure(fault),
            Refused::Now(failure) => failure,
        })
    }

    /// The provider's own word for a model.
    fn own_word<'a>(&'a self, model: &'a str) -> &'a str {
        self.deployments.iter().find(|(name, _)| name == model).map_or(model, |(_, own)| own)
    }

    /// The failure that a status means which is not a success.
    #[cold]
    #[inline(never)]
    fn refusal(&self, incoming: &mut Incoming, target: Dialect, last: Bound) -> Failure {
        let status = incoming.status;
        let mut failure = if (300..400).contains(&status) {
            self.failure(Fault::Redirect)
        } else {
            let mut body = Vec::new();
            let soon = Bound::new(self.clock.now() + self.patience.idle, Fault::IdleTimeout);
            // Otherwise whatever came of it must do: the status is known.
            if let Err(Fault::CallerLeft) =
                incoming.read_all(&mut body, ERROR_BYTES_MAX, soon.or_earlier(last))
            {
                return self.failure(Fault::CallerLeft);
            }
            body.truncate(ERROR_BYTES_MAX);
            dialect::read_error(target, status, &body)
        };
        failure.status = Some(status);
        failure.retry_after = incoming.waits.asked_for(self.clock.today()).or(failure.retry_after);
        failure
    }

    /// Within a body every wait is bounded by the idle timeout, all together by `last`.
    fn body_bound(&self, last: Bound) -> Bound {
        Bound { idle: Some(self.patience.idle), ..last }
    }

    fn read_body(&self, incoming: &mut Incoming, held: &mut Held, last: Bound) -> Result<Vec<u8>, Failure> {
        let mut body = Vec::new();
        incoming
            .read_held(&mut body, (ANSWER_BYTES_MAX, held), self.body_bound(last))
            .map_err(|fault| self.failure(fault))?;
        Ok(body)
    }

    fn stream(
        &self,
        mut incoming: Box<Incoming>,
        (target, caller, held): (Dialect, Dialect, &mut Held),
        outgoing: &Outgoing,
        (head, last): (Bound, Bound),
    ) -> Result<Box<dyn Frames>, Failure> {
        // Ollama's streams are sometimes labelled so, and its reader copes.
        if incoming.is_json && target != Dialect::Ollama {
            // An error in a body, or a provider that does not stream; then it is told in one frame, for which
            // the answer must not be verbatim.
            let last =
                Bound::new(self.clock.now() + self.patience.total, Fault::TotalTimeout).or_earlier(last);
            let body = self.read_body(&mut incoming, held, last)?;
            let answer = dialect::read_answer(target, Dialect::Ollama, body, outgoing.unwrap_tool)?;
            return Ok(Box::new(Told::new(answer)));
        }
        let manners = Manners {
            provider: Arc::clone(&self.name),
            clock: Arc::clone(&self.clock),
            first_token: head,
            idle: self.patience.idle,
        };
        let parser = Reader::new(target, caller, outgoing.unwrap_tool);
        Ok(Box::new(Stream::new(*incoming, parser, manners)))
    }

    /// One free question with one key.
    fn check_with(&self, address: &Address, key: Option<&HeaderValue>, call: &Call) -> Result<(), Failure> {
        let last = Bound::new(call.deadline, Fault::TotalTimeout);
        let request = self.requests.get(address, key);
        let mut incoming = http::send(&self.client, (&self.clock, call.began), &call.cancel, last, &request)
            .map_err(|fault| self.failure(fault))?;
        // A compatible server without a list of models is there all the same.
        if incoming.status == 404 && self.kind == Kind::OpenAiCompatible {
            return Ok(());
        }
        if is_success(incoming.status) {
            // Read so that the connection can be kept; the answer itself says nothing more.
            let _ = incoming.read_all(&mut Vec::new(), ERROR_BYTES_MAX, last);
            return Ok(());
        }
        Err(self.refusal(&mut incoming, self.target, last))
    }

    #[cold]
    fn failure(&self, fault: Fault) -> Failure {
        faults::failure(&self.name, fault)
    }
}

impl Provider for Upstream {
    fn ask(&self, attempt: Attempt<'_>, call: &Call) -> Result<Reply, Failure> {
        let target = self.spoken(&attempt.question.gist, attempt.question.words.dialect);
        match self.reply(attempt, target, call) {
            Ok(reply) => Ok(self.hush.reply(reply)),
            Err(failure) => self.otherwise(attempt, target, call, failure),
        }
    }

    fn check(&self, call: &Call) -> Result<(), Failure> {
        let address = self.requests.check_address(self.kind).ok_or_else(|| self.failure(Fault::Internal))?;
        let checked = self.keys.try_all(self.clock.now(), |key| self.check_with(&address, key, call));
        checked.map_err(|failure| self.hush.over(failure))
    }

    fn weigh_question(&self, question: &Question) -> u64 {
        dialect::weigh_question(question.gist.subject, &question.words)
    }

    fn weigh_answer(&self, answer: &Answer) -> Usage {
        dialect::weigh_answer(answer)
    }

    fn keys_left(&self) -> usize {
        self.keys.left(self.clock.now())
    }
}

impl Upstream {
    /// What the provider is spoken to in about a question of this caller's.
    fn spoken(&self, gist: &Gist, caller: Dialect) -> Dialect {
        let as_responses = match self.defaults.quirks.responses {
            Responses::Off => false,
            Responses::Own => caller == Dialect::OpenAiResponses,
            Responses::All => gist.subject == Subject::Chat,
        };
        if as_responses { Dialect::OpenAiResponses } else { self.target }
    }

    /// The other of OpenAI's two ways to ask, where a provider says that this one is not his or not the model's.
    fn instead(&self, target: Dialect, failure: &Failure) -> Option<Dialect> {
        let has = self.defaults.quirks.responses != Responses::Off;
        if has && target == Dialect::OpenAiResponses && has_no_responses(failure) {
            return Some(self.target);
        }
        let only = failure.message.contains("only supported in v1/responses");
        (has && target == Dialect::OpenAiChat && only).then_some(Dialect::OpenAiResponses)
    }

    /// Asks in the other of the two ways, if there is one; else says why the first came to nothing.
    #[cold]
    #[inline(never)]
    fn otherwise(
        &self,
        attempt: Attempt<'_>,
        target: Dialect,
        call: &Call,
        failure: Failure,
    ) -> Result<Reply, Failure> {
        let reply = match self.instead(target, &failure) {
            Some(other) => self.reply(attempt, other, call),
            None => Err(failure),
        };
        Ok(self.hush.reply(reply.map_err(|failure| self.hush.over(failure))?))
    }

    /// Words the question, sends it and reads the answer. Each is a function of its own, for a thread keeps the stack of
    /// its deepest call while it waits: between them only what the wait needs.
    fn reply(&self, attempt: Attempt<'_>, target: Dialect, call: &Call) -> Result<Reply, Failure> {
        let question = attempt.question;
        let mut worded = self.word(attempt, target)?;
        let model = self.own_word(attempt.model);
        // A caller's own headers mean something only in his own dialect.
        let passed = if question.words.dialect == target { question.passed.as_slice() } else { &[] };
        let deadline = Bound::new(call.deadline, Fault::TotalTimeout);
        let (head_within, last) = if question.gist.stream {
            (self.patience.first_token, deadline)
        } else {
            let total = Bound::new(call.began + self.patience.total, Fault::TotalTimeout);
            (self.patience.answer, total.or_earlier(deadline))
        };
        let asked = Asked { target, model, question, passed, head_within };
        let (incoming, head) = self.post_yielding(&mut worded.outgoing, &asked, call, last)?;
        if question.gist.stream {
            self.frames(incoming, &asked, worded, (head, last))
        } else {
            self.whole(incoming, &asked, worded, last)
        }
    }

    /// The question in the provider's words.
    #[inline(never)]
    fn word(&self, attempt: Attempt<'_>, target: Dialect) -> Result<Worded, Failure> {
        let question = attempt.question;
        let said = (&question.gist, &question.words);
        let no_room = || self.failure(Fault::NoMemory);
        let mut held = self.memory.hold(appetite(&question.words, target)?).ok_or_else(no_room)?;
        let mut outgoing = dialect::ask(target, said, attempt.model, attempt.so_far, &self.defaults)?;
        let model = self.own_word(attempt.model);
        if model != attempt.model {
            outgoing = dialect::for_model(outgoing, model);
        }
        // What the translation took besides has come back; less is always possible.
        let _ = held.resize(outgoing.body.own());
        Ok(Worded { outgoing, held })
    }

    #[inline(never)]
    fn whole(
        &self,
        mut incoming: Box<Incoming>,
        asked: &Asked<'_>,
        mut worded: Worded,
        last: Bound,
    ) -> Result<Reply, Failure> {
        let said = (&asked.question.gist, &asked.question.words);
        let body = self.read_body(&mut incoming, &mut worded.held, last)?;
        let answer = dialect::read_reply(asked.target, said, body, &worded.outgoing)?;
        Ok(Reply::Whole { answer, dropped: worded.outgoing.dropped })
    }

    #[inline(never)]
    fn frames(
        &self,
        incoming: Box<Incoming>,
        asked: &Asked<'_>,
        mut worded: Worded,
        bounds: (Bound, Bound),
    ) -> Result<Reply, Failure> {
        let spoken = (asked.target, asked.question.words.dialect, &mut worded.held);
        let frames = self.stream(incoming, spoken, &worded.outgoing, bounds)?;
        Ok(Reply::Stream { frames, dropped: worded.outgoing.dropped })
    }
}

fn is_success(status: u16) -> bool {
    (200..300).contains(&status)
}

/// Whether a provider that was asked for a response does not know the path: a server that is only compatible, say. A
/// complaint about an item that is not stored names the field.
fn has_no_responses(failure: &Failure) -> bool {
    matches!(failure.status, Some(404 | 405))
        && failure.fault != Fault::UnknownModel
        && failure.param.is_none()
}

/// Bytes of memory it takes at most to say a question in the provider's words. In the same dialect that is nothing worth
/// counting; a translation takes every object of the body for a message or a part of one.
///
/// # Errors
/// `Untranslatable` past [`TRANSLATED_OBJECTS_MAX`]: a provider of the caller's own dialect may still serve it.
fn appetite(words: &Words, target: Dialect) -> Result<usize, Failure> {
    const OBJECT_BYTES: usize = 512; // a message of one short part, measured at 380
    let length = words.body.len();
    if words.dialect == target {
        return Ok(0);
    }
    // In pieces that a byte can count: so many bytes are looked at at once.
    let braces = |piece: &[u8]| piece.iter().fold(0, |sum: u8, byte| sum + u8::from(*byte == b'{'));
    let objects: usize = words.body.chunks(255).map(|piece| usize::from(braces(piece))).sum();
    if objects > TRANSLATED_OBJECTS_MAX {
        let message =
            "the request has more parts than can be put in the words of the provider that was asked";
        return Err(Failure::new(Fault::Untranslatable, message));
    }
    Ok(objects.saturating_mul(OBJECT_BYTES).saturating_add(2 * length))
}

impl fmt::Debug for Upstream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Upstream").field("name", &self.name).finish_non_exhaustive()
    }
}
