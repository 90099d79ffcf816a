//! HTTP/1.1 of our own, over sockets of our own or what ureq built upon them: one request, its answer's head and body.
//!
//! ureq's part of a call is half of everything a request costs; what is needed of it here is small. What the bytes of an
//! answer mean is [`super::reply`]'s business; here they come from a connection, which is kept when both sides know where
//! the answer ended. Out of scope: redirects, retries (that is [`super::http::send`]'s).

use super::dial::Dial;
use super::faults;
use super::line::Line;
use super::link::Link;
use super::reply::{self, Framing, Head, Part};
use super::requests::Sending;
use super::shelf::Shelf;
use crate::clock::Clock;
use crate::domain::failure::Fault;
use std::io::ErrorKind;
use std::sync::Arc;
use ureq::Error;

/// The connections to one provider.
pub(super) struct Client {
    dial: Dial,
    shelf: Shelf<Link>,
    clock: Arc<dyn Clock>,
}

/// A body under way.
pub(super) struct Body {
    /// `None` once it was given back or closed.
    link: Option<Link>,
    framing: Framing,
    /// Nothing of it is at hand, as was found since something came.
    dry: bool,
    keeps: bool,
    line: Arc<Line>,
    client: Arc<Client>,
}

impl Client {
    /// Nothing is connected yet. At most `most` connections rest.
    pub(super) fn new(dial: Dial, clock: Arc<dyn Clock>, most: usize) -> Self {
        Self { dial, shelf: Shelf::new(most), clock }
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
        let mut link = self.link(request, line).map_err(failed)?;
        link.post(request).map_err(failed)?;
        let head = loop {
            if !link.hear().map_err(failed)? {
                return Err(failed(Error::Io(ErrorKind::UnexpectedEof.into())));
            }
            line.hear();
            if let Some((head, used)) = reply::head(link.input())? {
                link.consume(used);
                break head;
            }
        };
        let body = self.body(link, &head, line);
        Ok((head, body))
    }

    /// Boxed, and a function of its own: what is copied on its way up is not on the stack of who waits for a head.
    #[inline(never)]
    fn body(self: &Arc<Self>, link: Link, head: &Head, line: &Arc<Line>) -> Box<Body> {
        let mut body = Box::new(Body {
            link: Some(link),
            framing: Framing::of(head),
            dry: false,
            keeps: head.keeps,
            line: Arc::clone(line),
            client: Arc::clone(self),
        });
        body.rest_when_over();
        body
    }

    /// A connection that rested, or a new one.
    #[inline(never)]
    fn link(&self, request: &Sending<'_>, line: &Arc<Line>) -> Result<Link, Error> {
        let now = line.begun();
        while let Some(mut link) = self.shelf.take(now) {
            if link.serve(line, now) {
                return Ok(link);
            }
        }
        self.dial.connect(request.uri(), line)
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

    /// Whether it is known that nothing of it is at hand.
    pub(super) fn is_dry(&self) -> bool {
        self.dry
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

    /// Appends up to this much of it to `whole`; less only at its end. `whole` keeps what came even when it fails.
    ///
    /// # Errors
    /// As [`Body::hand`].
    pub(super) fn append(&mut self, whole: &mut Vec<u8>, at_most: usize) -> Result<usize, Fault> {
        let mut appended = 0;
        while appended < at_most {
            let piece = self.piece()?;
            let amount = piece.len().min(at_most - appended);
            if amount == 0 {
                break;
            }
            whole.extend_from_slice(&piece[..amount]);
            self.took(amount);
            appended += amount;
        }
        Ok(appended)
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
    fn first(&mut self, amount: usize) -> &[u8] {
        self.link.as_mut().and_then(|link| link.input().get(..amount)).unwrap_or_default()
    }

    /// How much was received of the body and is not used yet: 0 at its end, `None` where there is nothing.
    fn received(&mut self) -> Result<Option<usize>, Fault> {
        while !self.dry {
            let input = self.link.as_mut().map_or(&[][..], Link::input);
            match self.framing.next(input)? {
                Part::Body(amount) => return Ok(Some(amount)),
                Part::Between(amount) => self.consume(amount),
                Part::Wanting => self.dry = true,
                Part::Over => return Ok(Some(0)),
            }
        }
        Ok(None)
    }

    /// So many bytes of the piece were used; with them goes what ends a chunk, if it is there.
    fn took(&mut self, amount: usize) {
        self.framing.took(amount);
        let input = self.link.as_mut().map_or(&[][..], Link::input);
        let behind = input.get(amount..).unwrap_or_default();
        let line_break = self.framing.skip_break(behind);
        self.dry = behind.len() == line_break && self.framing != Framing::Over;
        self.consume(amount + line_break);
    }

    fn consume(&mut self, amount: usize) {
        if let Some(link) = &mut self.link {
            link.consume(amount);
        }
        self.rest_when_over();
    }

    /// Waits for more bytes; false at the connection's end.
    fn more(&mut self) -> Result<bool, Fault> {
        self.dry = false;
        let Some(link) = &mut self.link else { return Ok(false) };
        match link.hear() {
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
        let Some(mut link) = self.link.take() else { return };
        let now = self.client.clock.now();
        if self.keeps && link.input().is_empty() && link.rest(now) {
            self.client.shelf.put(link, now);
        }
    }
}
