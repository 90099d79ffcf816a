//! The endpoints that reach a provider: open the words, ask the gateway, word the answer.

use super::door;
use super::errors::Problem;
use super::listener::{Ear, tell_trail};
use super::ollama;
use super::table::{Endpoint, Row};
use super::told::{Asked, Told};
use super::transcript::Transcript;
use super::{Api, State, wish};
use crate::dialect;
use crate::domain::event::Event;
use crate::domain::failure::Verdict;
use crate::domain::rule::Standing;
use crate::domain::words::{Dialect, Gist, Subject, Words};
use crate::gateway::cancel::{Cancel, Reason};
use crate::gateway::meter::{Ask, Hold};
use crate::gateway::ports::{Observer, Outcome, Question, Trail};
use crate::server::{Exchange, Fields, Headers, OnLeave, Response};
use std::sync::Arc;
use std::time::Instant;

/// Of ordinary English in a request's body, JSON around it included.
const BYTES_PER_TOKEN: u64 = 4;
/// A longer run of base64's letters is a file.
const FILE_BYTES_MIN: usize = 4_096;
/// Of a file, at least.
const FILE_BYTES_PER_TOKEN: usize = 16;
/// What an answer may come to when the caller sets no bound.
const OUTPUT_TOKENS_AT_FIRST: u64 = 1_024;

/// A caller who hangs up has no use for his answer.
impl OnLeave for Cancel {
    fn left(&self) {
        self.fire(Reason::CallerLeft);
    }
}

/// Serves one request to a provider, whole or streamed. Before and behind the gateway's time are functions of their own:
/// a thread keeps the stack of its deepest call while it waits for a provider.
#[inline(never)]
pub(super) fn serve(
    api: &Api,
    state: &State,
    asked: &Asked<'_>,
    body: Vec<u8>,
    exchange: &mut Exchange<'_>,
) -> Told {
    let now = exchange.began();
    let Opened { dialect, question, hold, standing } = match opened(api, state, asked, (body, now)) {
        Ok(opened) => opened,
        Err(told) => return *told,
    };
    let leave = Cancel::new();
    exchange.on_leave(Arc::clone(&leave) as Arc<dyn OnLeave>);
    let mut ear = ear(api, (state, asked), (&question, dialect), exchange, standing);
    let (stream, known) = (question.gist.stream, known(&question));
    let answered = state.gateway.ask((question, now), &leave, &mut ear);
    let mut told = close((state, asked, hold), answered, (&mut ear, dialect), known);
    (told.stream, told.standing) = (stream, standing);
    told
}

/// A request that may be asked.
struct Opened {
    /// In which its errors are worded, too.
    dialect: Dialect,
    question: Box<Question>,
    hold: Hold,
    standing: Standing,
}

/// Reads a request, and reserves what it may take.
#[inline(never)]
fn opened(
    api: &Api,
    state: &State,
    asked: &Asked<'_>,
    (body, now): (Vec<u8>, Instant),
) -> Result<Opened, Box<Told>> {
    let dialect = spoken(asked.row, &body);
    let body = redacted(api, state, body);
    let opened = json(dialect, asked.headers)
        .and_then(|()| open(state, asked.row.subject, dialect, body))
        .and_then(|(gist, words)| {
            allowed(asked, &gist)?;
            Ok((gist, words))
        });
    // A request that makes no sense is one of so many per minute as well.
    let tokens = opened.as_ref().map_or(0, |(gist, words)| tokens_at_first(gist, words));
    let caller = asked.caller();
    let ask = Ask { caller: &caller, path: asked.path, tokens };
    let (hold, standing) =
        state.meter.admit(ask, now).map_err(|limited| Box::new(Told::limited(&limited, dialect)))?;
    let senseless = |problem| Box::new(Told { standing, ..Told::problem(problem, dialect) });
    let (gist, words) = opened.map_err(senseless)?;
    let purse = hold.purse(|| tokens_at_most(&words.body));
    let question = Box::new(Question {
        caller,
        endpoint: asked.row.label,
        gist,
        words,
        pinned: asked.headers.get("x-hapax-provider").map(str::to_owned),
        tokens,
        purse,
        deduplicate: asked.headers.get("x-hapax-deduplicate") != Some("off"),
        wish: wish::of(state, asked.headers),
        request_id: Arc::clone(asked.request_id),
        passed: passed(dialect, asked.headers),
        traceparent: door::trace(asked.headers).map(|(parent, _)| parent.to_owned()),
    });
    Ok(Opened { dialect, question, hold, standing })
}

/// The caller's end of the answer.
fn ear<'a, 'b>(
    api: &'a Api,
    (state, asked): (&State, &Asked<'a>),
    (question, dialect): (&Question, Dialect),
    exchange: &'a mut Exchange<'b>,
    standing: Standing,
) -> Ear<'a, 'b> {
    let mut ear = Ear::new((exchange, api), (question, dialect), asked.request_id, standing);
    ear.transcript = state.prompts.then(|| Transcript::new(&question.words.body));
    ear
}

/// Of a question that may have to be answered here, what that takes.
fn known(question: &Question) -> Option<Box<(Gist, Words)>> {
    let ours = !question.gist.subject.allows_stand_ins();
    ours.then(|| Box::new((question.gist.clone(), question.words.clone())))
}

/// Words the answer, and what the record needs to know of it.
#[inline(never)]
fn close(
    (state, asked, hold): (&State, &Asked<'_>, Hold),
    (outcome, trail): (Outcome, Trail),
    (ear, dialect): (&mut Ear<'_, '_>, Dialect),
    known: Option<Box<(Gist, Words)>>,
) -> Told {
    hold.settle(trail.usage);
    let own = || known.and_then(|known| answer_of_our_own(state, asked, &known.0, &known.1));
    let told = match &outcome {
        // What a caller did wrong is wrong here too, and who has left wants nothing.
        Outcome::Failed(failure) if !matches!(failure.verdict(), Verdict::Caller | Verdict::CallerLeft) => {
            own().unwrap_or_else(|| conclude(outcome, &trail, ear, dialect))
        }
        _ => conclude(outcome, &trail, ear, dialect),
    };
    let mut transcript = ear.transcript.take();
    if let (Some(transcript), Some(response)) = (&mut transcript, &told.response) {
        transcript.hear(&response.body);
    }
    Told { trail, transcript, ..told }
}

/// The body without what the rules take out: whatever follows sees nothing else, flights and kept answers included.
fn redacted(api: &Api, state: &State, body: Vec<u8>) -> Vec<u8> {
    let Some(lookout) = &state.lookout else { return body };
    let mut counts = lookout.counts();
    let new = dialect::redact::request(lookout, &body, &mut counts);
    for (rule, times) in lookout.names().iter().zip(counts).filter(|(_, times)| *times > 0) {
        api.pulse.observe(&Event::Redacted { rule, on: "requests", times });
    }
    new.unwrap_or(body)
}

/// How many tokens a request may come to, before anybody has counted: about four bytes are one, and of the answer's
/// as many as the caller allows. What turns out to be too much is given back.
fn tokens_at_first(gist: &Gist, words: &Words) -> u64 {
    let input = words.body.len() as u64 / BYTES_PER_TOKEN;
    let output = match gist.subject {
        Subject::Chat => gist.output_at_most(OUTPUT_TOKENS_AT_FIRST),
        Subject::Embedding | Subject::Tokens | Subject::Description => 0,
    };
    input.saturating_add(output)
}

/// More tokens than a body can have: none is shorter than a byte, but for images and files in base64, which are
/// counted by what they show; of them a sixteenth is plenty.
fn tokens_at_most(body: &[u8]) -> u64 {
    let in_base64 =
        |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'-' | b'_' | b'=');
    let mut tokens = body.len();
    // A file covers one of every so many bytes: only around those that could be in one is anything read.
    let mut at = FILE_BYTES_MIN;
    while at < body.len() {
        let before = body[..at].iter().rev().take_while(|byte| in_base64(byte)).count();
        let behind = body[at..].iter().take_while(|byte| in_base64(byte)).count();
        let run = before + behind;
        if behind > 0 && run > FILE_BYTES_MIN {
            tokens -= run - run / FILE_BYTES_PER_TOKEN;
        }
        // The next place that was not looked at.
        at += (behind / FILE_BYTES_MIN + 1) * FILE_BYTES_MIN;
    }
    tokens as u64
}

/// What is answered here when no provider could be asked: an estimate, and what is known of a model.
fn answer_of_our_own(state: &State, asked: &Asked<'_>, gist: &Gist, words: &Words) -> Option<Told> {
    match gist.subject {
        Subject::Chat | Subject::Embedding => None,
        Subject::Tokens => Some(match dialect::estimate(words) {
            Ok(body) => Told::json(body),
            Err(failure) => Told::problem(Problem::of_failure(&failure), words.dialect),
        }),
        Subject::Description => Some(ollama::show(state, asked, gist.model.as_deref().unwrap_or_default())),
    }
}

/// Headers that mean something to a provider of the caller's own dialect. A list given in several fields is one
/// (RFC 9110, section 5.3).
fn passed(dialect: Dialect, headers: &Headers) -> Vec<(&'static str, String)> {
    if dialect != Dialect::Anthropic {
        return Vec::new();
    }
    let all = |wanted: &'static str| {
        let fields = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted));
        let values: Vec<&str> = fields.map(|(_, value)| value).collect();
        (!values.is_empty()).then(|| (wanted, values.join(",")))
    };
    ["anthropic-beta", "anthropic-version"].into_iter().filter_map(all).collect()
}

/// Ends the answer the way the question ended.
fn conclude(outcome: Outcome, trail: &Trail, ear: &mut Ear<'_, '_>, dialect: Dialect) -> Told {
    match outcome {
        Outcome::Whole(answer) => {
            let mut headers = Fields::of("Content-Type", "application/json");
            tell_trail(&mut headers, trail);
            let body = dialect::hand_over(dialect, answer, || ear.wording_for(trail));
            let problem = ear.left().then(Problem::caller_left);
            Told { problem, ..Told::response(Response { status: 200, headers, body }) }
        }
        Outcome::Streamed => Told::streamed((!ear.end(trail)).then(Problem::caller_left)),
        Outcome::Failed(failure) if !ear.started() => Told::problem(Problem::of_failure(&failure), dialect),
        Outcome::Broken(failure) | Outcome::Failed(failure) => {
            let problem = Problem::of_failure(&failure);
            ear.broken(&problem, trail);
            Told::streamed(Some(problem))
        }
    }
}

/// The dialect of a request: `/v1/completions` carries two.
fn spoken(row: &Row, body: &[u8]) -> Dialect {
    if row.endpoint == Endpoint::Completions && dialect::hapax::names_prompt(body) {
        return Dialect::OpenAiCompletion;
    }
    row.dialect
}

/// A body must say that it is JSON, or say nothing (RFC 9110, section 8.3). Parameters do not matter. Ollama's manual
/// posts with a bare `curl -d`, which calls everything a form; a browser's page cannot pass for that, it has an origin.
fn json(dialect: Dialect, headers: &Headers) -> Result<(), Problem> {
    let Some(media) = headers.get("content-type") else { return Ok(()) };
    // As nearly everybody says it.
    if media == "application/json" {
        return Ok(());
    }
    let essence = media.split(';').next().unwrap_or(media).trim();
    if essence.eq_ignore_ascii_case("application/json") || essence.is_empty() {
        return Ok(());
    }
    let of_curl = essence.eq_ignore_ascii_case("application/x-www-form-urlencoded");
    let of_ollama = matches!(dialect, Dialect::Ollama | Dialect::OllamaGenerate);
    if of_ollama && of_curl && headers.get("origin").is_none() {
        return Ok(());
    }
    Err(Problem::new(415, "send Content-Type: application/json").code("unsupported_media_type"))
}

fn open(state: &State, subject: Subject, dialect: Dialect, body: Vec<u8>) -> Result<(Gist, Words), Problem> {
    dialect::open_about(subject, dialect, body, state.odd_characters).map_err(|invalid| {
        let problem = Problem::new(400, invalid.sentence()).code("invalid_request");
        Problem { param: invalid.param, ..problem }
    })
}

/// What this caller's key allows.
fn allowed(asked: &Asked<'_>, gist: &Gist) -> Result<(), Problem> {
    let Some(key) = asked.key else { return Ok(()) };
    if gist.model.as_deref().is_some_and(|model| !key.may_use(model)) {
        return Err(Problem::new(403, "this API key may not use this model").code("model_not_allowed"));
    }
    if asked.headers.get("x-hapax-provider").is_some() && !key.may_pin {
        return Err(Problem::new(403, "this API key may not choose a provider").code("provider_not_allowed"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_has_more_tokens_than_bytes_and_a_file_has_far_fewer() {
        let text = r#"{"messages":[{"role":"user","content":"Grüße, 世界! a+b=c/d"}]}"#;
        assert_eq!(tokens_at_most(text.as_bytes()), text.len() as u64);
        let file = "QUJD".repeat(FILE_BYTES_MIN / 4);
        let with =
            |file: &str| tokens_at_most(format!("{{\"url\":\"data:image/png;base64,{file}\"}}").as_bytes());
        let around = with("");
        assert_eq!(with(&file), around + file.len() as u64, "at the limit every byte counts");
        assert_eq!(with(&format!("{file}Q")), around + (file.len() as u64 + 1) / 16);
    }

    #[test]
    fn files_are_found_wherever_they_lie() {
        let text = |length: usize| "a word. ".chars().cycle().take(length).collect::<String>();
        for before in
            [0, 1, 100, FILE_BYTES_MIN - 1, FILE_BYTES_MIN, FILE_BYTES_MIN + 1, 3 * FILE_BYTES_MIN - 7]
        {
            for file in [FILE_BYTES_MIN, FILE_BYTES_MIN + 1, 2 * FILE_BYTES_MIN, 5 * FILE_BYTES_MIN + 3] {
                for behind in [0, 1, FILE_BYTES_MIN, FILE_BYTES_MIN + 1] {
                    let one = format!("{}\"{}\"", text(before), "Q".repeat(file));
                    let body = format!("{one}{one}{}", text(behind));
                    let weighed = if file > FILE_BYTES_MIN { file / FILE_BYTES_PER_TOKEN } else { file };
                    let tokens = body.len() - 2 * file + 2 * weighed;
                    assert_eq!(tokens_at_most(body.as_bytes()), tokens as u64, "{before} {file} {behind}");
                }
            }
        }
    }
}
