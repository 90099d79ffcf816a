//! Answering one request: a whole answer in one write, or a stream, flushed whenever its maker has nothing more at hand.

use super::encode::{self, Extent, close_chunk, open_chunk};
use super::fields::Fields;
use super::hub::Hub;
use super::limits::Limits;
use super::line::{Line, OnLeave};
use super::message::{Manner, Response};
use super::reminder::{MakeOpening, Reminder};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendFlags, send, sendmsg};
use std::io::IoSlice;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The caller cannot be reached any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// The answering side of one request. An answer that was begun and not finished closes the connection in such a way
/// that it does not look complete.
pub struct Exchange<'a> {
    hub: &'a Hub,
    line: &'a Line,
    began: Instant,
    /// The worker's buffer: what has not left yet.
    out: &'a mut Vec<u8>,
    /// Where in it the chunk begins that is being written.
    open: Option<usize>,
    /// How much of its beginning does not leave: room for a chunk's size that was not used.
    unused: usize,
    /// Something besides a head waits to leave.
    waiting: bool,
    manner: Manner,
    stage: Stage,
    bytes_out: u64,
    /// How long the caller has kept us waiting by not reading.
    waited: Duration,
    hooked: std::cell::Cell<bool>,
    /// The poller may speak for us.
    reminded: bool,
    /// When it was found to be over.
    ended: Option<Instant>,
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
    /// `began`: when the worker took the request.
    pub(super) fn new(
        hub: &'a Hub,
        (line, began): (&'a Line, Instant),
        out: &'a mut Vec<u8>,
        manner: Manner,
    ) -> Self {
        out.clear();
        Self {
            hub,
            line,
            began,
            out,
            open: None,
            unused: 0,
            waiting: false,
            manner,
            stage: Stage::Fresh,
            bytes_out: 0,
            waited: Duration::ZERO,
            hooked: std::cell::Cell::new(false),
            reminded: false,
            ended: None,
        }
    }

    /// When a worker took the request.
    #[must_use]
    pub fn began(&self) -> Instant {
        self.began
    }

    /// Now that nothing more will be sent: what time it is. It is asked for once.
    #[must_use]
    pub fn ended(&mut self) -> Instant {
        *self.ended.get_or_insert_with(|| self.hub.clock.now())
    }

    /// Sends a whole answer, in one write. After the first answer nothing more is sent.
    pub fn send(&mut self, response: Response) {
        self.recall();
        if self.stage != Stage::Fresh {
            return;
        }
        let Response { status, headers, body } = response;
        let extent = Extent::whole(status, body.len());
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
    pub fn begin(&mut self, status: u16, headers: &Fields) {
        self.recall();
        if self.stage != Stage::Fresh {
            return;
        }
        self.stage = Stage::Begun(self.hub.begin(self.out, (status, headers), &mut self.manner));
    }

    /// Writes one chunk of a begun stream, and flushes. No bytes: flushes the head.
    ///
    /// # Errors
    /// [`Gone`] when the caller cannot be reached, or nothing was begun.
    pub fn write(&mut self, bytes: &[u8]) -> Result<(), Gone> {
        self.room()?.extend_from_slice(bytes);
        self.seal();
        self.leave_now()
    }

    /// Where a begun stream's next bytes are appended; all until [`Exchange::seal`] are one chunk. They leave with
    /// [`Exchange::flush`], or with the end.
    ///
    /// # Errors
    /// [`Gone`] when the caller cannot be reached, or nothing was begun.
    pub fn room(&mut self) -> Result<&mut Vec<u8>, Gone> {
        self.recall();
        let Stage::Begun(extent) = self.stage else { return Err(Gone) };
        if self.open.is_none() {
            self.open = Some(self.out.len());
            if extent == Extent::Chunked {
                open_chunk(self.out);
            }
        }
        Ok(self.out)
    }

    /// What was put into the room leaves; a head without anything behind it does not.
    ///
    /// # Errors
    /// [`Gone`] when the caller cannot be reached.
    pub fn flush(&mut self) -> Result<(), Gone> {
        self.seal();
        if std::mem::take(&mut self.waiting) { self.leave_now() } else { Ok(()) }
    }

    /// Ends the chunk under way.
    pub fn seal(&mut self) {
        let (Some(at), Stage::Begun(extent)) = (self.open.take(), self.stage) else { return };
        match extent {
            Extent::Chunked if !self.manner.head_only => {
                let unused = close_chunk(self.out, at);
                if at == 0 {
                    self.unused = unused;
                } else {
                    self.out.drain(at..at + unused);
                }
            }
            Extent::UntilClose if !self.manner.head_only => {}
            Extent::Nothing | Extent::Length(_) | Extent::Chunked | Extent::UntilClose => {
                self.out.truncate(at)
            }
        }
        self.waiting |= self.out.len() > at;
    }

    /// Ends a begun stream: the caller knows it is complete.
    ///
    /// # Errors
    /// [`Gone`] when the caller cannot be reached, or nothing was begun.
    pub fn finish(&mut self) -> Result<(), Gone> {
        self.recall();
        let Stage::Begun(extent) = self.stage else { return Err(Gone) };
        self.seal();
        if extent == Extent::Chunked && !self.manner.head_only {
            self.out.extend_from_slice(b"0\r\n\r\n");
        }
        self.leave_now()?;
        self.stage = Stage::Done;
        Ok(())
    }

    /// Gives a begun stream up: the connection closes and what was sent does not look complete.
    pub fn abort(&mut self) {
        self.recall();
        self.stage = Stage::Broken;
    }

    /// Until our first word a stream is begun and kept alive, each time `every` has passed, with what `make` makes.
    pub fn remind(&mut self, every: Duration, make: MakeOpening) {
        if self.stage == Stage::Fresh {
            self.reminded = true;
            let at = self.hub.moment(self.hub.clock.now() + every);
            self.line.remind(Reminder::new(every, self.manner, make), at);
        }
    }

    /// From now on we speak for ourselves.
    fn recall(&mut self) {
        if !std::mem::take(&mut self.reminded) {
            return;
        }
        let Some(reminder) = self.line.recall() else { return };
        let Some(extent) = reminder.begun() else { return };
        self.stage = if reminder.broken { Stage::Broken } else { Stage::Begun(extent) };
        self.manner = reminder.manner;
        self.bytes_out += reminder.sent;
        self.out.extend_from_slice(&reminder.unsent);
    }

    /// Tells `hook`, at most once, when the caller hangs up while this request is served; at once if it has. It runs on
    /// the thread that watches all connections, so it must not block. A caller who closes only its sending side has
    /// hung up.
    pub fn on_leave(&self, hook: Arc<dyn OnLeave>) {
        self.hooked.set(true);
        self.line.on_leave(hook);
    }

    /// Whether the caller has hung up.
    #[must_use]
    pub fn left(&self) -> bool {
        self.line.is_gone()
    }

    /// Whether the caller's side takes something at once.
    #[must_use]
    pub fn ready(&self) -> bool {
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        // One that cannot be asked will say so when it is written to.
        poll(&mut [PollFd::new(&self.line.socket, PollFlags::OUT)], Some(&now)) != Ok(0)
    }

    /// Bytes of the answer that have left, head included.
    #[must_use]
    pub fn bytes_out(&self) -> u64 {
        self.bytes_out
    }

    /// Whether an answer was sent or begun. If not, none will be before the next word of ours.
    #[must_use]
    pub fn started(&mut self) -> bool {
        self.recall();
        self.stage != Stage::Fresh
    }

    /// The handler is done. When it left a stream unfinished, or panicked in one, the caller must notice.
    pub(super) fn conclude(mut self) -> End {
        self.recall();
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

    fn head(&mut self, status: u16, headers: &Fields, extent: Extent) {
        self.manner.keep_alive &= !self.hub.is_draining();
        encode::head(self.out, &*self.hub.clock, (status, headers), (extent, self.manner));
    }

    fn leave_now(&mut self) -> Result<(), Gone> {
        let sent = self.leave(&[]);
        if sent.is_err() {
            self.stage = Stage::Broken;
        }
        sent
    }

    /// What is in the buffer leaves, then `body`.
    fn leave(&mut self, body: &[u8]) -> Result<(), Gone> {
        let unused = std::mem::take(&mut self.unused);
        let total = self.out.len() + body.len();
        let mut sent = unused;
        while sent < total {
            match send_from(&self.line.socket, sent, self.out, body) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if self.wait(self.bytes_out + (sent - unused) as u64) => {}
                Err(_) => break,
            }
        }
        self.bytes_out += (sent - unused) as u64;
        self.out.clear();
        if sent == total { Ok(()) } else { Err(Gone) }
    }

    /// Waits until the caller has read something; false when the patience with him has ended.
    fn wait(&mut self, sent: u64) -> bool {
        let patience = patience(&self.hub.limits, self.waited, sent);
        let begun = self.hub.clock.now();
        loop {
            // The clock is read first: what has not come a slice after the end of the patience will not come.
            let waited = self.hub.clock.now().saturating_duration_since(begun);
            let ready = poll(&mut [PollFd::new(&self.line.socket, PollFlags::OUT)], Some(&POLL_SLICE));
            if ready.is_ok_and(|ready| ready > 0) {
                self.waited += self.hub.clock.now().saturating_duration_since(begun);
                return true;
            }
            if waited >= patience {
                return false;
            }
        }
    }
}

/// How long to wait for a caller who was waited for before and to whom `sent` bytes have left: until nothing was read
/// for `write_timeout`, or all waiting together is more than that and what the bytes have earned.
fn patience(limits: &Limits, waited: Duration, sent: u64) -> Duration {
    let earned = Duration::from_secs(sent / limits.write_bytes_per_second_min.max(1));
    limits.write_timeout.min((limits.write_timeout + earned).saturating_sub(waited))
}

/// Sends once what follows the first `sent` bytes of both parts.
fn send_from(socket: &OwnedFd, sent: usize, head: &[u8], body: &[u8]) -> Result<usize, Errno> {
    const FLAGS: SendFlags = SendFlags::NOSIGNAL.union(SendFlags::DONTWAIT);
    match (head.get(sent..), body) {
        (Some(head), []) => send(socket, head, FLAGS),
        (Some(head), body) if !head.is_empty() => {
            let parts = [IoSlice::new(head), IoSlice::new(body)];
            sendmsg(socket, &parts, &mut SendAncillaryBuffer::default(), FLAGS)
        }
        (_, body) => send(socket, &body[sent - head.len()..], FLAGS),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_on_has_time_and_who_only_drips_has_not() {
        let limits = Limits::default();
        let after = |waited: u64, sent: u64| patience(&limits, Duration::from_secs(waited), sent).as_secs();
        assert_eq!(after(0, 0), 30);
        assert_eq!(after(1000, 1000 << 10), 30, "a kibibyte a second is fast enough");
        assert_eq!(after(1010, 1000 << 10), 20);
        assert_eq!(after(1030, 1000 << 10), 0);
    }
}
