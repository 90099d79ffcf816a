//! A request that is turned away: what is known of it, and the answer it gets.

use super::connection::Ready;
use super::encode::{self, Extent};
use super::hub::Hub;
use super::message::{Head, Headers, Manner, Response};
use super::refusal::Refusal;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Instant;

/// What is known of a request that is turned away.
#[derive(Debug, Clone, Copy)]
pub struct Turned<'a> {
    /// The method; empty when it was not understood.
    pub method: &'a str,
    /// The target's path in its normal form, or as it came when it has none; `None` when it was not understood.
    pub path: Option<&'a str>,
    /// The header fields; none when they were not understood.
    pub headers: &'a Headers,
    /// Who is connected.
    pub peer: IpAddr,
    /// When it began to come in, or was there.
    pub received: Instant,
}

impl<'a> Turned<'a> {
    /// A complete request.
    pub(super) fn request(ready: &'a Ready) -> Self {
        let request = &ready.request;
        Self {
            method: &request.method,
            path: Some(&request.path),
            headers: &request.headers,
            peer: request.peer,
            received: request.received,
        }
    }

    /// A request of which the head has come.
    #[must_use]
    pub fn head(head: &'a Head, received: Instant) -> Self {
        Self {
            method: &head.method,
            path: Some(&head.path),
            headers: &head.headers,
            peer: head.peer,
            received,
        }
    }
}

impl Hub {
    /// The handler's words for a refusal, which is counted. `None`: nobody has asked anything yet.
    pub(super) fn word(&self, refusal: Refusal, turned: Option<Turned<'_>>) -> Response {
        self.gauges.count(refusal);
        catch_unwind(AssertUnwindSafe(|| self.handler.refuse(refusal, turned.as_ref())))
            .unwrap_or_else(|_| Response { status: refusal.status(), ..Response::default() })
    }

    /// An answer as bytes, in one piece.
    pub(super) fn encode(&self, response: &Response, manner: Manner) -> Vec<u8> {
        let mut out = Vec::with_capacity(512 + response.body.len());
        let extent = Extent::whole(response.status, response.body.len());
        encode::head(&mut out, &*self.clock, (response.status, &response.headers), (extent, manner));
        if !manner.head_only && extent != Extent::Nothing {
            out.extend_from_slice(&response.body);
        }
        out
    }
}
