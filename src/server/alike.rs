//! A head that is the one before it on its connection, but for the digits of the body's length, means the same: it is
//! compared and not parsed. Most callers say the same of all their requests.
//!
//! Whatever is not quite the same is parsed; so a refusal is always worded by the parser.

use super::body::Framing;
use super::connection::Ready;
use super::head::{Parsed, length};
use super::limits::Limits;
use super::message::Head;
use std::ops::Range;

/// What is remembered of a request beside what it leaves for the next one.
#[derive(Debug, Clone)]
pub(super) struct Before {
    /// Where the digits of its `Content-Length` lie in the head.
    digits: Range<usize>,
}

impl Before {
    /// Of a request; `None` when its head could not be known again.
    pub(super) fn of(parsed: &Parsed) -> Option<Self> {
        let digits = parsed.digits.clone().filter(|_| !parsed.expects_continue)?;
        Some(Self { digits })
    }

    /// The head `bytes` begin with, and its length, if it is the one of the request that is `over`.
    pub(super) fn again(&self, bytes: &[u8], over: &mut Ready, limits: &Limits) -> Option<(usize, Parsed)> {
        let request = &mut over.request;
        let known = &mut request.headers.bytes;
        let Range { start, end } = self.digits;
        let head = bytes.get(..known.len())?;
        let same = head.get(..start)? == known.get(..start)? && head.get(end..)? == known.get(end..)?;
        let digits = head.get(start..end)?;
        let length = length(digits).ok().filter(|length| same && *length <= limits.body_bytes_max as u64)?;
        known.get_mut(start..end)?.copy_from_slice(digits);
        let head_length = known.len();
        let head = Head {
            method: request.method.clone(),
            path: std::mem::take(&mut request.path),
            query: request.query.take(),
            headers: std::mem::take(&mut request.headers),
            peer: request.peer,
            content_length: Some(length),
            known: request.pass,
        };
        let framing = Framing::Length(length);
        let digits = Some(self.digits.clone());
        Some((head_length, Parsed { head, framing, manner: over.manner, expects_continue: false, digits }))
    }
}
