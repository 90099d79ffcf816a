//! The socket below everything: it can be ended from another thread, never waits past the call's bound, and knows
//! whether it was reused.
//!
//! ```text
//!   client ─▶ Link ─┬───────────────▶ Wire (the socket) ◀─ Line::cut, from any thread
//!                   └▶ TLS, tunnel ─▶─┘
//! ```
//!
//! A [`Wire`] is *at rest* in the pool or *serving* a call whose [`Line`] it holds; `is_open` is where a
//! transport above tells it that it changes from one to the other. Writes are gathered until the next read or until they are large, so
//! that head and body of a call leave together: a kept connection costs one send and one receive per call. At rest
//! it has no buffers.

use super::line::{Line, Patience, WAIT_MIN, aborted};
use super::pages::Pages;
use crate::clock::Clock;
use crate::dialect::Body;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags, recv, send, sendmsg};
use std::fmt;
use std::io::{self, IoSlice};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::unversioned::transport::time::Duration as UreqDuration;
use ureq::unversioned::transport::{Buffers, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// A connection that rested longer is asked once whether it still lives.
const TRUSTED_FOR: Duration = Duration::from_millis(5);
/// A body up to this is copied behind its head; a larger one is sent from where it is.
const COPY_BYTES_MAX: usize = 8 * 1024;
/// Pieces of a body sent at once; the kernel takes no more than 1024.
const PIECES_MAX: usize = 64;
/// A socket's timeout is not raised as long as it is at least this: waking up once a second costs nothing.
const ARMED_ENOUGH: Duration = Duration::from_secs(1);

/// No bound but the line's own.
pub(super) const NEVER: NextTimeout = NextTimeout {
    after: UreqDuration::NotHappening,
    reason: Timeout::RecvResponse,
    per_read: None,
    per_write: None,
};

/// A socket, by itself or under TLS and tunnels.
pub(super) struct Wire {
    /// Shared with the line of the call it serves, which may shut it down.
    socket: Arc<TcpStream>,
    /// What is read, and what was written and is not sent yet.
    pages: Pages,
    /// The socket's present read timeout.
    armed: Option<Duration>,
    /// The other side takes no more bytes; what it has said can still be read.
    deaf: bool,
    /// The line of the call it serves; `None` at rest.
    line: Option<Arc<Line>>,
    rested_since: Instant,
    clock: Arc<dyn Clock>,
}

impl Wire {
    /// A fresh connection, serving its first call.
    pub(super) fn new(socket: Arc<TcpStream>, line: Arc<Line>, clock: Arc<dyn Clock>) -> Self {
        let rested_since = clock.now();
        let line = Some(line);
        Self { socket, pages: Pages::lend(), armed: None, deaf: false, line, rested_since, clock }
    }

    /// Where the head of a request is written; then [`Wire::post`].
    pub(super) fn letter(&mut self) -> &mut Vec<u8> {
        self.pages.clear();
        self.pages.letter()
    }

    /// Sends what was written of a head, and `body` behind it, together.
    pub(super) fn post(&mut self, body: Option<&Body>) -> Result<(), Error> {
        let (small, large) = match body {
            Some(body) if body.len() > COPY_BYTES_MAX => (None, Some(body)),
            small => (small, None),
        };
        for piece in small.into_iter().flat_map(Body::pieces) {
            self.pages.letter().extend_from_slice(piece);
        }
        self.pages.seal();
        let sent = self.send(large, NEVER);
        self.pages.posted();
        sent
    }

    /// Waits for more to read, and reads it; false at the connection's end.
    pub(super) fn hear(&mut self) -> Result<bool, Error> {
        self.await_input(NEVER)
    }

    /// What was read and is not used yet.
    pub(super) fn input(&self) -> &[u8] {
        self.pages.input()
    }

    /// So much of it is used.
    pub(super) fn consume(&mut self, amount: usize) {
        self.pages.input_consume(amount);
    }

    /// Sends what was gathered, and a body behind it.
    fn send(&mut self, body: Option<&Body>, timeout: NextTimeout) -> Result<(), Error> {
        let line = self.line.as_ref().ok_or_else(aborted)?;
        let gathered = self.pages.gathered();
        let (mut done, whole) = (0, gathered.len() + body.map_or(0, Body::len));
        while done < whole && !self.deaf {
            match send_from(&self.socket, done, gathered, body) {
                Ok(sent) => done += sent,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => {
                    let patience = Patience::new(line, timeout);
                    if !wait_writable(&self.socket, patience.left())? {
                        return Err(patience.over());
                    }
                }
                // It may have answered before it stopped listening (413, 401): let the read find out.
                Err(Errno::PIPE | Errno::CONNRESET) => self.deaf = true,
                Err(error) => return Err(Error::Io(error.into())),
            }
        }
        self.pages.sent();
        Ok(())
    }

    /// Whether a resting connection still lives: nothing to read, and no end.
    fn lives(&self) -> bool {
        let mut byte = [0_u8];
        let flags = RecvFlags::PEEK | RecvFlags::DONTWAIT;
        matches!(recv(&*self.socket, &mut byte, flags), Err(Errno::AGAIN))
    }

    /// From serving to rest: whether it is fit for another call.
    pub(super) fn rest(&mut self, now: Instant) -> bool {
        let Some(line) = self.line.take() else { return false };
        self.rested_since = now;
        self.pages.give_back();
        line.release() && !self.deaf && self.pages.gathered().is_empty()
    }

    /// From rest to serving a call: whether it can.
    pub(super) fn serve(&mut self, line: Arc<Line>, now: Instant) -> bool {
        if !line.takes_reused() {
            return false;
        }
        let rested = now.saturating_duration_since(self.rested_since);
        if rested >= TRUSTED_FOR && !self.lives() {
            return false;
        }
        if self.pages.input().is_empty() {
            self.pages = Pages::lend();
        }
        let attached = line.attach(&self.socket, true);
        self.line = Some(line);
        attached
    }
}

/// Sets a socket's read timeout, unless the present one will do.
fn arm(socket: &TcpStream, present: &mut Option<Duration>, left: Duration) -> io::Result<Duration> {
    let slack = || (left / 32).clamp(WAIT_MIN, ARMED_ENOUGH);
    if let Some(armed) = *present
        && armed >= left.min(ARMED_ENOUGH)
        && (armed <= left || armed <= left + slack())
    {
        return Ok(armed);
    }
    socket.set_read_timeout(Some(left))?;
    *present = Some(left);
    Ok(left)
}

/// Sends once what follows the first `done` bytes of both.
fn send_from(socket: &TcpStream, done: usize, head: &[u8], body: Option<&Body>) -> Result<usize, Errno> {
    const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
    let Some(body) = body else { return send(socket, &head[done..], FLAGS) };
    let mut done = done;
    let mut rest = |piece: &'_ [u8]| {
        let skipped = done.min(piece.len());
        done -= skipped;
        skipped
    };
    let pieces = std::iter::once(head).chain(body.pieces());
    let pieces = pieces.map(|piece| &piece[rest(piece)..]).filter(|piece| !piece.is_empty());
    let parts: Vec<IoSlice<'_>> = pieces.take(PIECES_MAX).map(IoSlice::new).collect();
    sendmsg(socket, &parts, &mut SendAncillaryBuffer::default(), FLAGS)
}

/// Waits until the socket takes bytes or is broken; `false`: neither happened in time.
pub(super) fn wait_writable(socket: &TcpStream, patience: Duration) -> Result<bool, Error> {
    let timeout = Timespec::try_from(patience).unwrap_or(Timespec { tv_sec: i64::MAX, tv_nsec: 0 });
    let mut waiting = [PollFd::new(socket, PollFlags::OUT)];
    loop {
        match poll(&mut waiting, Some(&timeout)) {
            Ok(ready) => return Ok(ready > 0),
            // Waiting anew is right within a factor: signals are rare.
            Err(Errno::INTR) => {}
            Err(error) => return Err(Error::Io(error.into())),
        }
    }
}

impl Transport for Wire {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.pages
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        if self.pages.gather(amount) { self.send(None, timeout) } else { Ok(()) }
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if !self.pages.gathered().is_empty() {
            self.send(None, timeout)?;
            self.pages.posted();
        }
        let line = self.line.as_ref().ok_or_else(aborted)?;
        let mut patience = Patience::new(line, timeout);
        loop {
            let armed = arm(&self.socket, &mut self.armed, patience.left())?;
            match recv(&*self.socket, self.pages.input_append_buf(), RecvFlags::empty()) {
                Ok((amount, _)) => {
                    self.pages.input_appended(amount);
                    return Ok(amount > 0);
                }
                // The socket's own timeout, which may be shorter than our patience.
                Err(Errno::AGAIN) => patience.spend(armed)?,
                Err(Errno::INTR) => patience.look(),
                Err(error) => return Err(Error::Io(error.into())),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        let now = self.clock.now();
        if self.line.is_some() {
            self.rest(now)
        } else {
            Line::calling().is_some_and(|line| self.serve(line, now))
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.pages.give_back();
        if let Some(line) = self.line.take() {
            line.release();
        }
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}
