//! One connection: reads requests, has each understood and its behaviour chosen, and performs it.

use super::Shared;
use super::anthropic;
use super::behaviour::{Behaviour, Instead};
use super::complaint::Complaint;
use super::diary::{End, Record};
use super::http::{Head, NoRequest, Reader, Request};
use super::line::{Broken, Line};
use super::ollama;
use super::openai;
use super::perform::Turn;
use super::route::{Endpoint, Vendor, admit, route};
use super::talk::{Question, Role};
use super::voice::{rfc3339, unix_seconds};
use serde_json::Value;
use std::sync::Arc;

/// What a request asks for, once it is understood.
pub(super) enum Asked {
    /// An answer in words.
    Completion {
        /// The question.
        question: Box<Question>,
        /// In the form of Ollama's generate.
        generate: bool,
    },
    /// Vectors, already worded.
    Embeddings {
        /// The model, for its behaviour; the rest of its name after `!`.
        question: Box<Question>,
        /// The answer's body.
        body: String,
    },
    /// Something about the provider, already worded.
    Check {
        /// The answer's body.
        body: String,
    },
}

/// Serves a connection until it ends.
pub(super) fn serve(shared: &Shared, line: &Line) {
    let mut reader = Reader::default();
    loop {
        line.set_busy(false);
        if !shared.is_listening() {
            return;
        }
        match reader.request(line) {
            Ok(request) => {
                if !take(shared, line, request) {
                    return;
                }
            }
            Err(NoRequest::Ended) => return,
            Err(NoRequest::Wrong(status)) => {
                let mut out = Vec::new();
                let head = Head {
                    status,
                    content_type: "",
                    length: Some(0),
                    chunks: true,
                    keep_alive: false,
                    extra: &[],
                };
                head.write(&mut out);
                // The connection ends either way.
                let _ = line.write(&out);
                return;
            }
        }
    }
}

/// Takes one request; says whether the connection goes on.
fn take(shared: &Shared, line: &Line, mut request: Request) -> bool {
    let now = shared.clock.now();
    let (vendor, routed) = route(&request);
    let completion = routed.as_ref().is_ok_and(|endpoint| endpoint.is_completion());
    let (key, down) = {
        let plan = shared.plan.lock();
        (plan.key.clone(), plan.default_at(now).instead == Instead::Down)
    };
    let asked = routed.and_then(|endpoint| {
        admit(vendor, &request, key.as_deref())?;
        understand(shared, vendor, endpoint, &request.body)
    });
    let number = shared.log.begin(Record {
        head: std::mem::take(&mut request.head),
        body: std::mem::take(&mut request.body),
        at: now,
        connection: line.number,
        completion,
        end: End::InProgress,
    });
    let performed = if down {
        Err(Broken::Misbehaved)
    } else {
        let (asked, behaviour) = choose(shared, asked);
        let turn = Turn { shared, line, number, vendor, behaviour: &behaviour, request: &request };
        turn.perform(asked)
    };
    match performed {
        Ok(()) => request.keep_alive,
        Err(Broken::PeerClosed) => {
            shared.log.end(number, End::PeerClosed(shared.clock.now()));
            false
        }
        Err(Broken::Misbehaved) => {
            shared.log.end(number, End::Misbehaved);
            false
        }
    }
}

/// Finds the behaviour; a refused request and one with a behaviour that means nothing meet health and a complaint.
fn choose(
    shared: &Shared,
    asked: Result<Asked, Complaint>,
) -> (Result<Asked, (Complaint, String)>, Arc<Behaviour>) {
    let refuse = |complaint| (Err((complaint, String::new())), Arc::new(Behaviour::default()));
    let now = shared.clock.now();
    let asked = match asked {
        Ok(asked) => asked,
        Err(complaint) => return refuse(complaint),
    };
    let (choice, model) = match &asked {
        Asked::Completion { question, .. } | Asked::Embeddings { question, .. } => {
            let mut plan = shared.plan.lock();
            let choice = plan.choose(&question.model, question.embedded.as_deref(), now);
            (choice, question.model.clone())
        }
        Asked::Check { .. } => (shared.plan.lock().choose_for_check(now), String::new()),
    };
    match choice {
        Err(bad) => refuse(Complaint::invalid(bad.to_string(), None, None)),
        Ok(behaviour) if behaviour.no_prefill && ends_with_prefill(&asked) => {
            let words = "This model does not support assistant message prefill. The conversation must end with a \
                         user message.";
            refuse(Complaint::invalid(words, None, None))
        }
        Ok(behaviour) => match Complaint::demanded(behaviour.instead) {
            Some(complaint) => (Err((complaint, model)), behaviour),
            None => (Ok(asked), behaviour),
        },
    }
}

fn ends_with_prefill(asked: &Asked) -> bool {
    let Asked::Completion { question, .. } = asked else { return false };
    question.messages.last().is_some_and(|last| last.role == Role::Assistant)
}

/// Understands a request as its vendor does.
fn understand(shared: &Shared, vendor: Vendor, endpoint: Endpoint, body: &[u8]) -> Result<Asked, Complaint> {
    if matches!(endpoint, Endpoint::Models | Endpoint::Version | Endpoint::Loaded | Endpoint::Root) {
        return Ok(Asked::Check { body: tell(shared, vendor, endpoint) });
    }
    let body: Value = serde_json::from_slice(body).map_err(|_| unreadable(vendor))?;
    let completion = |question, generate| Asked::Completion { question: Box::new(question), generate };
    let embeddings = |question, body| Asked::Embeddings { question: Box::new(question), body };
    Ok(match (vendor, endpoint) {
        (Vendor::OpenAi, Endpoint::Embeddings) => {
            let question = Question::to(openai::model(&body)?);
            let vectors = openai::embeddings(&body, &question.model)?;
            embeddings(question, vectors)
        }
        (_, Endpoint::Embeddings) => {
            let question = Question::to(ollama::model(&body)?);
            let vectors = ollama::embed(&body, &question.model)?;
            embeddings(question, vectors)
        }
        (_, Endpoint::CountTokens) => {
            let question = anthropic::read_messages(&body, true)?;
            Asked::Check { body: format!(r#"{{"input_tokens":{}}}"#, question.input_words()) }
        }
        (_, Endpoint::Show) => {
            ollama::model(&body)?;
            Asked::Check { body: ollama::show(&shared.calendar()) }
        }
        (_, Endpoint::Generate) => completion(ollama::read_generate(&body)?, true),
        (Vendor::OpenAi, _) => completion(openai::read_chat(&body)?, false),
        (Vendor::Anthropic, _) => completion(anthropic::read_messages(&body, false)?, false),
        (Vendor::Ollama, _) => completion(ollama::read_chat(&body)?, false),
    })
}

/// The vendor's words for a body that is not JSON.
fn unreadable(vendor: Vendor) -> Complaint {
    let message = match vendor {
        Vendor::OpenAi => "We could not parse the JSON body of your request.",
        Vendor::Anthropic => "The request body is not valid JSON",
        Vendor::Ollama => "invalid character in the request body: it is not valid JSON",
    };
    Complaint::invalid(message, None, None)
}

/// What a provider tells about itself.
fn tell(shared: &Shared, vendor: Vendor, endpoint: Endpoint) -> String {
    let own: &[&str] = match vendor {
        Vendor::OpenAi => &["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"],
        Vendor::Anthropic => &["claude-sonnet-4-5", "claude-haiku-4-5"],
        Vendor::Ollama => &["llama3.2:latest", "qwen3:4b", "nomic-embed-text:latest"],
    };
    let mut names: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
    names.extend(shared.plan.lock().model_names());
    let seconds = unix_seconds(shared.clock.today());
    match (vendor, endpoint) {
        (_, Endpoint::Version) => ollama::VERSION.to_owned(),
        (_, Endpoint::Root) => ollama::ROOT.to_owned(),
        (Vendor::OpenAi, _) => openai::models(&names, seconds),
        (Vendor::Anthropic, _) => anthropic::models(&names, &rfc3339(seconds)),
        (Vendor::Ollama, _) => ollama::models(&names, &rfc3339(seconds)),
    }
}
