//! Plain HTTP/1.1 of our own, over the same sockets as ureq: one request, its answer's head and body.
//!
//! For providers that are asked without TLS and without a proxy: models in the same house. ureq's part of such a call
//! is a third of everything a request costs; what is needed of it here is small. What the bytes of an answer mean is
//! [`super::reply`]'s business; here they come from a socket, which is kept when both sides know where the answer ended.
//! Out of scope: redirects, retries (that is [`super::http::send`]'s).

use super::faults;
use super::line::Line;
use super::names::Names;
use super::reply::{self, Framing, Head, Part};
use super::requests::Sending;
use super::shelf::Shelf;
use super::sockets::Sockets;
use super::wire::Wire;
use crate::clock::Clock;
use crate::domain::failure::Fault;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;
use ureq::Error;

/// The connections to one provider.
pub(super) struct Plain {
    sockets: Sockets,
    shelf: Shelf<Wire>,
    connect_timeout: Duration,
    clock: Arc<dyn Clock>,
}

/// A body under way.
pub(super) struct Body {
    /// `None` once it was given back or closed.
    wire: Option<Wire>,
    framing: Framing,
    keeps: bool,
    line: Arc<Line>,
    plain: Arc<Plain>,
}

impl Plain {
    /// Nothing is connected yet. At most `most` connections rest.
    pub(super) fn new(names: Names, clock: Arc<dyn Clock>, most: usize, connect_timeout: Duration) -> Self {
        let sockets = Sockets { clock: Arc::clone(&clock), names };
        Self { sockets, shelf: Shelf::new(most), connect_timeout, clock }
    }

    /// Sends one request and waits for its answer's head.
    ///
    /// # Errors
    /// The fault of an exchange that came to nothing. Every status is an answer.
    pub(super) fn send(
        self: &Arc<Self>,
        request: &Sending<'_>,
        line: &Arc<Line>,
    ) -> Result<(Head, Box<Body>), Fault> {
        let failed = |error: Error| faults::before_the_head(&error, line);
        let mut wire = self.wire(request, line).map_err(failed)?;
        request.write_head(wire.letter());
        wire.post(request.body()).map_err(failed)?;
        let head = loop {
            if let Some((head, used)) = reply::head(wire.input())? {
                wire.consume(used);
                break head;
            }
            if !wire.hear().map_err(failed)? {
                return Err(failed(Error::Io(ErrorKind::UnexpectedEof.into())));
            }
            line.hear();
        };
        let body = self.body(wire, &head, line);
        Ok((head, body))
    }

    /// Boxed, and a function of its own: what is copied on its way up is not on the stack of who waits for a head.
    #[inline(never)]
    fn body(self: &Arc<Self>, wire: Wire, head: &Head, line: &Arc<Line>) -> Box<Body> {
        let mut body = Box::new(Body {
            wire: Some(wire),
            framing: Framing::of(head),
            keeps: head.keeps,
            line: Arc::clone(line),
            plain: Arc::clone(self),
        });
        body.rest_when_over();
        body
    }

    /// A connection that rested, or a new one.
    #[inline(never)]
    fn wire(&self, request: &Sending<'_>, line: &Arc<Line>) -> Result<Wire, Error> {
        let now = line.begun();
        while let Some(mut wire) = self.shelf.take(now) {
            if wire.serve(Arc::clone(line), now) {
                return Ok(wire);
            }
        }
        self.sockets.dial(request.uri(), self.connect_timeout, line)
    }
}

impl Body {
    /// Hands some of it to `take`; how much, 0 at its end.
    ///
    /// # Errors
    /// The fault that ended it; `Truncated` when it ended before its end.
    pub(super) fn hand(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<usize, Fault> {
        let piece = self.piece()?;
        take(piece);
        let amount = piece.len();
        self.took(amount);
        Ok(amount)
    }

    /// Hands on what was received of it already; `None`: nothing.
    ///
    /// # Errors
    /// As [`Body::hand`].
    pub(super) fn at_hand(&mut self, take: &mut dyn FnMut(&[u8])) -> Result<Option<usize>, Fault> {
        let Some(amount) = self.received()? else { return Ok(None) };
        take(self.first(amount));
        self.took(amount);
        Ok(Some(amount))
    }

    /// Reads some of it, at most this much, to the end of `whole`; 0 is the body's end.
    ///
    /// # Errors
    /// As [`Body::hand`].
    pub(super) fn append(&mut self, whole: &mut Vec<u8>, at_most: usize) -> Result<usize, Fault> {
        let piece = self.piece()?;
        let amount = piece.len().min(at_most);
        whole.extend_from_slice(&piece[..amount]);
        self.took(amount);
        Ok(amount)
    }

    /// What is there of the body, once something is; nothing at its end.
    fn piece(&mut self) -> Result<&[u8], Fault> {
        loop {
            if let Some(amount) = self.received()? {
                return Ok(self.first(amount));
            }
            if !self.more()? {
                self.framing.close()?;
                self.keeps = false;
                self.rest_when_over();
            }
        }
    }

    /// The first bytes of what was received.
    fn first(&self, amount: usize) -> &[u8] {
        self.wire.as_ref().and_then(|wire| wire.input().get(..amount)).unwrap_or_default()
    }

    /// How much was received of the body and is not used yet: 0 at its end, `None` where there is nothing.
    fn received(&mut self) -> Result<Option<usize>, Fault> {
        loop {
            let input = self.wire.as_ref().map_or(&[][..], Wire::input);
            match self.framing.next(input)? {
                Part::Body(amount) => return Ok(Some(amount)),
                Part::Between(amount) => self.consume(amount),
                Part::Wanting => return Ok(None),
                Part::Over => return Ok(Some(0)),
            }
        }
    }

    /// So many bytes of the piece were used.
    fn took(&mut self, amount: usize) {
        self.framing.took(amount);
        self.consume(amount);
    }

    fn consume(&mut self, amount: usize) {
        if let Some(wire) = &mut self.wire {
            wire.consume(amount);
        }
        self.rest_when_over();
    }

    /// Waits for more bytes; false at the connection's end.
    fn more(&mut self) -> Result<bool, Fault> {
        let Some(wire) = &mut self.wire else { return Ok(false) };
        match wire.hear() {
            Ok(false) if self.line.was_cut() => Err(Fault::CallerLeft),
            Ok(more) => Ok(more),
            Err(error) => Err(faults::in_the_body(&error, &self.line)),
        }
    }

    /// Once the body is over, the connection rests, or closes.
    fn rest_when_over(&mut self) {
        if matches!(self.framing, Framing::Over) {
            self.rest();
        }
    }

    fn rest(&mut self) {
        let Some(mut wire) = self.wire.take() else { return };
        let now = self.plain.clock.now();
        if self.keeps && wire.input().is_empty() && wire.rest(now) {
            self.plain.shelf.put(wire, now);
        }
    }
}
