//! What an endpoint is asked and what it tells back: the answer, and what the record needs to know of it.

use super::errors::Problem;
use super::table::Row;
use super::transcript::Transcript;
use crate::domain::key::Key;
use crate::domain::rule::{Refusal, Standing};
use crate::domain::words::Dialect;
use crate::gateway::meter::Limited;
use crate::gateway::ports::{Caller, Trail};
use crate::server::{Fields, Headers, Response};
use std::net::IpAddr;
use std::sync::Arc;

/// A request that passed the door.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// The endpoint's row.
    pub row: &'static Row,
    /// The path as it was asked for.
    pub path: &'a str,
    /// What followed the endpoint's path.
    pub argument: &'a str,
    /// What followed the first `?`.
    pub query: Option<&'a str>,
    /// The request's header fields.
    pub headers: &'a Headers,
    /// The request's id.
    pub request_id: &'a Arc<str>,
    /// The caller's key; `None` when none is configured.
    pub key: Option<&'a Key>,
    /// His address.
    pub client: IpAddr,
}

impl Asked<'_> {
    /// Who asks.
    pub fn caller(&self) -> Caller {
        self.key.map_or(Caller::Address(self.client), |key| Caller::Key(Arc::clone(&key.name)))
    }
}

/// What became of it.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// The answer still to be sent; `None` when it was streamed already.
    pub response: Option<Response>,
    /// The error the caller reads, whole or in-band.
    pub problem: Option<Problem>,
    /// The dialect errors are worded in.
    pub dialect: Option<Dialect>,
    /// Whether it was a stream.
    pub stream: bool,
    /// The story of the attempts.
    pub trail: Trail,
    /// What was said, where the log is to tell it.
    pub transcript: Option<Transcript>,
    /// Where the caller stands with his limits.
    pub standing: Standing,
}

impl Told {
    /// A whole answer.
    pub fn response(response: Response) -> Self {
        Self { response: Some(response), ..Self::default() }
    }

    /// JSON with status 200.
    pub fn json(body: Vec<u8>) -> Self {
        Self::text(200, "application/json", body)
    }

    /// A whole answer of any type.
    pub fn text(status: u16, media: &'static str, body: Vec<u8>) -> Self {
        Self::response(Response { status, headers: Fields::of("Content-Type", media), body })
    }

    /// An answer that was streamed, perhaps to an error at its end.
    pub fn streamed(problem: Option<Problem>) -> Self {
        Self { problem, ..Self::default() }
    }

    /// An error in the caller's dialect.
    pub fn problem(problem: Problem, dialect: Dialect) -> Self {
        Self { problem: Some(problem), dialect: Some(dialect), ..Self::default() }
    }

    /// A refusal by a limit.
    pub fn limited(limited: &Limited, dialect: Dialect) -> Self {
        Self { standing: limited.standing, ..Self::problem(Problem::of_limit(limited), dialect) }
    }
}

impl Problem {
    /// What is said of a limit that is reached.
    pub fn of_limit(limited: &Limited) -> Self {
        let words = match limited.refusal {
            Refusal::Requests(most) => format!("the limit of {most} requests per minute is reached"),
            Refusal::Tokens(most) => format!("the limit of {most} tokens per minute is reached"),
            Refusal::Concurrent(most) => format!("the limit of {most} requests at once is reached"),
        };
        Self::new(429, words).code("rate_limit_exceeded").retry_after(limited.after)
    }
}
