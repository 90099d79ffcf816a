//! Answering one request: a whole answer in one write, or a stream flushed chunk by chunk.

use super::encode::{Extent, chunk};
use super::hub::Hub;
use super::line::{Hook, Line};
use super::message::{Manner, Response};
use crate::clock::Clock;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::io::IoSlice;
use std::time::Duration;

/// The caller cannot be reached any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The answering side of one request. An answer that was begun and not finished closes the connection in such a way
/// that it does not look complete.
pub struct Exchange<'a> {
    hub: &'a Hub,
    line: &'a Line,
    /// The worker's buffer: what has not left yet.
    out: &'a mut Vec<u8>,
    manner: Manner,
    stage: Stage,
    bytes_out: u64,
    hooked: std::cell::Cell<bool>,
}

/// How far the answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Fresh,
    /// The head is in the buffer or has left.
    Begun(Extent),
    Done,
    Broken,
}

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing was sent: somebody must.
    Unanswered,
    /// The next request may come.
    Keep,
    /// Close it, in peace.
    Close,
    /// Cut it, so that the answer does not look complete.
    Cut,
}

/// Bodies up to this are copied behind their head; larger ones are sent from where they are.
const COPY_BYTES_MAX: usize = 8 << 10;
/// A worker's buffer above this is not kept.
const KEEP_BYTES_MAX: usize = 64 << 10;
/// How often a waiting writer looks at the clock.
const POLL_SLICE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

impl<'a> Exchange<'a> {
    pub(super) fn new(hub: &'a Hub, line: &'a Line, out: &'a mut Vec<u8>, manner: Manner) -> Self {
        out.clear();
        Self {
            hub,
            line,
            out,
            manner,
            stage: Stage::Fresh,
            bytes_out: 0,
            hooked: std::cell::Cell::new(false),
        }
    }

    /// Sends a whole answer, in one write. After the first answer nothing more is sent.
    pub fn send(&mut self, response: Response) {
        if self.stage != Stage::Fresh {
            return;
        }
        let Response { status, headers, body } = response;
        let extent = match status {
            204 | 304 => Extent::Nothing,
            _ => Extent::Length(body.len()),
        };
        self.head(status, &headers, extent);
        let body = if self.manner.head_only || extent == Extent::Nothing { &[][..] } else { &body };
        let sent = if body.len() <= COPY_BYTES_MAX {
            self.out.extend_from_slice(body);
            self.leave(&[])
        } else {
            // A caller who reads slowly keeps it in memory.
            self.hub.gauges.memory(0, body.len());
            let sent = self.leave(body);
            self.hub.gauges.memory(body.len(), 0);
            sent
        };
        self.stage = if sent.is_ok() { Stage::Done } else { Stage::Broken };
    }

    /// Begins a stream. Its head leaves with the first bytes, or with the end.
    pub fn begin(&mut self, status: u16, headers: Vec<(&'static str, String)>) {
        if self.stage != Stage::Fresh {
            return;
        }
        let extent = match (status, self.manner.old) {
            (204 | 304, _) => Extent::Nothing,
            (_, true) => Extent::UntilClose,
            (_, false) => Extent::Chunked,
        };
        if extent == Extent::UntilClose && !self.manner.head_only {
            self.manner.keep_alive = false;
        }
        self.head(status, &headers, extent);
        self.stage = Stage::Begun(extent);
    }

    /// Writes one chunk of a begun stream, and flushes. No bytes: flushes the head.
    ///
    /// # Errors
    /// [`Gone`] when the caller cannot be reached, or nothing was begun.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        let Stage::Begun(extent) = self.stage else { return Err(Gone) };
        if !bytes.is_empty() && !self.manner.head_only {
            match extent {
                Extent::Chunked => chunk(self.out, bytes),
                Extent::UntilClose => self.out.extend_from_slice(bytes),
                Extent::Nothing | Extent::Length(_) => {}
            }
        }
        self.flush()
    }

    /// Ends a begun stream: the caller knows it is complete.
    ///
    /// # Errors
    /// [`Gone`] when the caller cannot be reached, or nothing was begun.
    pub fn finish(&mut self) -> Result<(), Gone> {
        let Stage::Begun(extent) = self.stage else { return Err(Gone) };
        if extent == Extent::Chunked && !self.manner.head_only {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        self.flush()?;
        self.stage = Stage::Done;
        Ok(())
    }

    /// Gives a begun stream up: the connection closes and what was sent does not look complete.
    pub fn abort(&mut self) {
        self.stage = Stage::Broken;
    }

    /// Runs `hook`, at most once, when the caller hangs up while this request is served; at once if it has. It runs on
    /// the thread that watches all connections, so it must not block. A caller who closes only its sending side has
    /// hung up.
    pub fn on_leave(&self, hook: Hook) {
        self.hooked.set(true);
        self.line.on_leave(hook);
    }

    /// Whether the caller has hung up.
    #[must_use]
    pub fn left(&self) -> bool {
        self.line.is_gone()
    }

    /// Bytes of the answer that have left, head included.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Whether an answer was sent or begun.
    #[must_use]
    pub fn started(&self) -> bool {
        self.stage != Stage::Fresh
    }

    /// The handler is done. When it left a stream unfinished, or panicked in one, the caller must notice.
    pub(super) fn conclude(self) -> End {
        if self.hooked.get() {
            self.line.forget_hooks();
        }
        if self.out.capacity() > KEEP_BYTES_MAX {
            *self.out = Vec::new();
        }
        match self.stage {
            Stage::Fresh => End::Unanswered,
            // Only the head was made, and it has not left: there is still time for a proper answer.
            Stage::Begun(_) if self.bytes_out == 0 => End::Unanswered,
            Stage::Done if self.manner.keep_alive => End::Keep,
            Stage::Done => End::Close,
            Stage::Begun(_) | Stage::Broken => End::Cut,
        }
    }

    fn head(&mut self, status: u16, headers: &[(&'static str, String)], extent: Extent) {
        self.manner.keep_alive &= !self.hub.is_draining();
        self.hub.dates.head(self.out, &*self.hub.clock, (status, headers), (extent, self.manner));
    }

    fn flush(&mut self) -> Result<(), Gone> {
        let sent = self.leave(&[]);
        if sent.is_err() {
            self.stage = Stage::Broken;
        }
        sent
    }

    /// What is in the buffer leaves, then `body`.
    fn leave(&mut self, body: &[u8]) -> Result<(), Gone> {
        let timeout = self.hub.limits.write_timeout;
        let sent = send_all(&self.line.socket, self.out, body, &*self.hub.clock, timeout);
        self.bytes_out += sent as u64;
        let whole = sent == self.out.len() + body.len();
        self.out.clear();
        if whole { Ok(()) } else { Err(Gone) }
    }
}

/// Sends both parts, waiting for the caller to read for at most `timeout` in all; says how many bytes left.
fn send_all(socket: &OwnedFd, head: &[u8], body: &[u8], clock: &dyn Clock, timeout: Duration) -> usize {
    const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
    let total = head.len() + body.len();
    let mut sent = 0;
    let mut deadline = None;
    while sent < total {
        let result = match (head.get(sent..), body) {
            (Some(head), []) => send(socket, head, FLAGS),
            (Some(head), body) if !head.is_empty() => {
                let parts = [IoSlice::new(head), IoSlice::new(body)];
                sendmsg(socket, &parts, &mut SendAncillaryBuffer::default(), FLAGS)
            }
            (_, body) => send(socket, &body[sent - head.len()..], FLAGS),
        };
        match result {
            Ok(count) => sent += count,
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let now = clock.now();
                if now >= *deadline.get_or_insert(now + timeout) {
                    break;
                }
                let _ = poll(&mut [PollFd::new(socket, PollFlags::OUT)], Some(&POLL_SLICE));
            }
            Err(_) => break,
        }
    }
    sent
}
