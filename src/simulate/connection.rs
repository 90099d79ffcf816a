//! One connection: reads requests, has each understood and its behaviour chosen, and performs it.

use super::Shared;
use super::anthropic;
use super::behaviour::{Behaviour, Instead};
use super::complaint::Complaint;
use super::diary::{End, Record};
use super::gemini;
use super::http::{Head, NoRequest, Reader, Request};
use super::line::{Broken, Line};
use super::ollama;
use super::openai;
use super::perform::Turn;
use super::pictures::pictures;
use super::referee;
use super::responses;
use super::route::{Endpoint, Named, Vendor, admit, named, route};
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
        understand(shared, vendor, endpoint, &request)
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
        let (asked, behaviour) = choose(shared, vendor, asked);
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
    vendor: Vendor,
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
        Ok(behaviour) if refused(&asked, &behaviour).is_some() => {
            refuse(referee::not_taken(vendor, refused(&asked, &behaviour).unwrap_or_default()))
        }
        Ok(behaviour) => match Complaint::demanded(behaviour.instead) {
            Some(complaint) => (Err((complaint, model)), behaviour),
            None => (Ok(asked), behaviour),
        },
    }
}

/// The parameter of a request that the behaviour refuses.
fn refused<'b>(asked: &Asked, behaviour: &'b Behaviour) -> Option<&'b str> {
    let Asked::Completion { question, .. } = asked else { return None };
    let refused = |name: &&String| question.parameters.contains(name);
    behaviour.refuses.iter().find(refused).map(String::as_str)
}

fn ends_with_prefill(asked: &Asked) -> bool {
    let Asked::Completion { question, .. } = asked else { return false };
    question.messages.last().is_some_and(|last| last.role == Role::Assistant)
}

/// Understands a request as its vendor does.
fn understand(
    shared: &Shared,
    vendor: Vendor,
    endpoint: Endpoint,
    request: &Request,
) -> Result<Asked, Complaint> {
    if matches!(endpoint, Endpoint::Models | Endpoint::Version | Endpoint::Loaded | Endpoint::Root) {
        return Ok(Asked::Check { body: tell(shared, vendor, endpoint) });
    }
    let mut body: Value = serde_json::from_slice(&request.body).map_err(|_| unreadable(vendor))?;
    let Named { model, stream } = named(&request.path);
    // Azure takes the model from the path; the one in the body is not looked at.
    if let (Vendor::Azure, Some(deployment), Value::Object(members)) = (vendor, &model, &mut body) {
        members.insert("model".to_owned(), deployment.as_str().into());
    }
    let completion = |question: Question, generate| {
        let question = Box::new(Question { pictures: pictures(&body), ..question });
        Asked::Completion { question, generate }
    };
    let chat = |question: Question| {
        referee::judge(vendor, &body, &question.model)?;
        let parameters = referee::parameters(&body);
        Ok::<Asked, Complaint>(completion(Question { parameters, ..question }, false))
    };
    let embeddings = |question, body| Asked::Embeddings { question: Box::new(question), body };
    if endpoint == Endpoint::Embeddings {
        referee::judge_vectors(vendor, &body)?;
    }
    Ok(match (vendor, endpoint) {
        (Vendor::OpenAi | Vendor::Azure, Endpoint::Embeddings) => {
            let question = Question::to(openai::model(&body)?);
            let vectors = openai::embeddings(&body, &question.model);
            embeddings(question, vectors)
        }
        (Vendor::Gemini, Endpoint::Embeddings) => {
            let question = Question::to(&model.unwrap_or_default());
            embeddings(question, gemini::embed(&body))
        }
        (_, Endpoint::Embeddings) => {
            let question = Question::to(ollama::model(&body)?);
            let vectors = ollama::embed(&body, &question.model);
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
        (_, Endpoint::Generate) => {
            referee::judge_prompt(&body)?;
            completion(ollama::read_generate(&body)?, true)
        }
        (Vendor::OpenAi | Vendor::Azure, _) => chat(openai::read_chat(&body)?)?,
        (Vendor::Responses, _) => chat(responses::read(&body)?)?,
        (Vendor::Anthropic, _) => chat(anthropic::read_messages(&body, false)?)?,
        (Vendor::Ollama, _) => chat(ollama::read_chat(&body)?)?,
        (Vendor::Gemini, _) => chat(gemini::read_content(&body, &model.unwrap_or_default(), stream))?,
    })
}

/// The vendor's words for a body that is not JSON.
fn unreadable(vendor: Vendor) -> Complaint {
    let message = match vendor {
        Vendor::Gemini => "Invalid JSON payload received. Unexpected end of string.",
        Vendor::OpenAi | Vendor::Azure | Vendor::Responses => {
            "We could not parse the JSON body of your request."
        }
        Vendor::Anthropic => "The request body is not valid JSON",
        Vendor::Ollama => "invalid character in the request body: it is not valid JSON",
    };
    Complaint::invalid(message, None, None)
}

/// What a provider tells about itself.
fn tell(shared: &Shared, vendor: Vendor, endpoint: Endpoint) -> String {
    let own: &[&str] = match vendor {
        Vendor::Gemini => &["gemini-2.5-flash", "gemini-3-pro-preview"],
        Vendor::OpenAi | Vendor::Azure | Vendor::Responses => {
            &["gpt-4o", "gpt-4o-mini", "text-embedding-3-small"]
        }
        Vendor::Anthropic => &["claude-sonnet-4-5", "claude-haiku-4-5"],
        Vendor::Ollama => &["llama3.2:latest", "qwen3:4b", "nomic-embed-text:latest"],
    };
    let mut names: Vec<String> = own.iter().map(|name| (*name).to_owned()).collect();
    names.extend(shared.plan.lock().model_names());
    let seconds = unix_seconds(shared.clock.today());
    match (vendor, endpoint) {
        (_, Endpoint::Version) => ollama::VERSION.to_owned(),
        (_, Endpoint::Root) => ollama::ROOT.to_owned(),
        (Vendor::OpenAi | Vendor::Azure | Vendor::Responses, _) => openai::models(&names, seconds),
        (Vendor::Gemini, _) => gemini::models(&names),
        (Vendor::Anthropic, _) => anthropic::models(&names, &rfc3339(seconds)),
        (Vendor::Ollama, _) => ollama::models(&names, &rfc3339(seconds)),
    }
}
