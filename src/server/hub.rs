//! Where a line goes next: what poller and workers both do with the connection they own.

use super::connection::{Ready, Step};
use super::encode::{self, Extent};
use super::fields::Fields;
use super::gauges::Gauges;
use super::lane::Pool;
use super::limits::Limits;
use super::line::{Line, Linger, Work};
use super::message::{Manner, Response};
use super::refusal::Refusal;
use super::turned::Turned;
use super::{Handler, Lane};
use crate::clock::Clock;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, Shutdown, recv, send, shutdown};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What all threads of a server share.
pub(super) struct Hub {
    pub(super) limits: Arc<Limits>,
    pub(super) handler: Arc<dyn Handler>,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) gauges: Arc<Gauges>,
    pub(super) work: Pool<Arc<Line>, Self>,
    pub(super) control: Pool<Arc<Line>, Self>,
    /// The start of the hub's time.
    pub(super) epoch: Instant,
    /// An eventfd: wakes the poller.
    pub(super) bell: OwnedFd,
    /// Lines that workers are done with; at most one entry per connection. Guards nothing else.
    pub(super) leaving: Mutex<Vec<u64>>,
    pub(super) draining: AtomicBool,
    pub(super) ending: AtomicBool,
}

/// What became of a line.
pub(super) enum After {
    /// It waits for bytes, or somebody else has it.
    Elsewhere,
    /// It is to be closed.
    Remove,
    /// It has more to read, but others should have their turn.
    Again(Box<Work>),
}

/// While draining, a caller who has connected and said nothing yet has this long to begin.
const FIRST_WORD_MAX: Duration = Duration::from_secs(1);
/// What is read at once by who has no room yet.
const SCRATCH_BYTES: usize = 4 << 10;
/// What one line may read before others have their turn.
const TURN_BYTES_MAX: usize = 256 << 10;

impl Hub {
    pub(super) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    /// Wakes the poller.
    pub(super) fn ring(&self) {
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    /// Goes on with a line that the calling thread owns, until it waits for something.
    pub(super) fn go_on(
        self: &Arc<Self>,
        line: &Arc<Line>,
        mut work: Box<Work>,
        mut step: Step,
        scratch: &mut Vec<u8>,
    ) -> After {
        let mut read = 0;
        loop {
            work = match self.follow(line, work, step) {
                Ok(work) => work,
                Err(after) => return after,
            };
            step = Step::Wait;
            if work.more {
                if read >= TURN_BYTES_MAX {
                    return After::Again(work);
                }
                if scratch.is_empty() {
                    scratch.resize(SCRATCH_BYTES, 0);
                }
                match self.receive(line, &mut work, scratch) {
                    Ok((count, next)) => {
                        read += count;
                        step = next;
                    }
                    Err(Errno::AGAIN) => work.more = false,
                    Err(Errno::INTR) => {}
                    Err(_) => return After::Remove,
                }
            } else {
                let idle = work.lingering.is_none() && work.connection.is_idle();
                let mut due = work.deadline();
                if self.is_draining() && idle {
                    if !work.silent {
                        return After::Remove;
                    }
                    // Its request may be on the way: it was let in before the door was closed.
                    let soon = self.clock.now() + FIRST_WORD_MAX;
                    due = due.map(|at| at.min(soon));
                }
                let deadline = due.map_or(0, |at| self.moment(at));
                line.deadline.store(deadline, Ordering::Release);
                work = match line.release(work) {
                    None => return After::Elsewhere,
                    Some(work) => work,
                };
                work.more = true;
            }
        }
    }

    /// A point of time as the hub's time, at least 1.
    pub(super) fn moment(&self, at: Instant) -> u64 {
        let since = at.saturating_duration_since(self.epoch).as_millis();
        u64::try_from(since).unwrap_or(u64::MAX).saturating_add(1)
    }

    /// Takes steps until more bytes are needed.
    fn follow(
        self: &Arc<Self>,
        line: &Arc<Line>,
        mut work: Box<Work>,
        mut step: Step,
    ) -> Result<Box<Work>, After> {
        loop {
            step = match step {
                Step::Wait => {
                    if !work.account(0) || !self.is_full() {
                        return Ok(work);
                    }
                    Step::Refuse(Refusal::MemoryFull)
                }
                Step::Head => self.screen(line, &mut work)?,
                Step::Request(ready) => match self.dispatch(line, work, ready) {
                    Some((back, manner, refusal)) => {
                        work = back;
                        let ready = work.ready.take();
                        let response = self.word(refusal, ready.as_deref().map(Turned::request));
                        self.reply(line, &mut work, &response, manner)?
                    }
                    None => return Err(After::Elsewhere),
                },
                Step::Refuse(refusal) => {
                    let (turned, manner) = work.connection.understood();
                    let response = self.word(refusal, Some(turned));
                    self.reply(line, &mut work, &response, manner)?
                }
                Step::Close => return Err(After::Remove),
            };
        }
    }

    fn is_full(&self) -> bool {
        self.limits.memory.is_full()
    }

    /// Asks the handler about a complete head.
    fn screen(&self, line: &Line, work: &mut Work) -> Result<Step, After> {
        let Some((head, manner)) = work.connection.head() else { return Err(After::Remove) };
        let screened = catch_unwind(AssertUnwindSafe(|| self.handler.screen(head))).unwrap_or_else(|_| {
            Err(self.word(Refusal::Panicked, Some(Turned::head(head, self.clock.now()))))
        });
        match screened {
            Ok(pass) => work.connection.passes(pass),
            Err(response) => {
                // With a body still to come, or come and not looked at, the connection cannot go on.
                let keep_alive = manner.keep_alive && head.content_length == Some(0);
                return self.reply(line, work, &response, Manner { keep_alive, ..manner });
            }
        }
        if work.connection.wants_continue() {
            self.send_once(line, b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        Ok(work.connection.screened())
    }

    /// Puts the head of a stream into `out`, and says how it will end.
    pub(super) fn begin(
        &self,
        out: &mut Vec<u8>,
        (status, fields): (u16, &Fields),
        manner: &mut Manner,
    ) -> Extent {
        let extent = match (status, manner.old) {
            (204 | 304, _) => Extent::Nothing,
            (_, true) => Extent::UntilClose,
            (_, false) => Extent::Chunked,
        };
        manner.keep_alive &= !self.is_draining() && (extent != Extent::UntilClose || manner.head_only);
        encode::head(out, &*self.clock, (status, fields), (extent, *manner));
        extent
    }

    /// Puts a request into its lane. When that is impossible, its work comes back with the reason.
    fn dispatch(
        self: &Arc<Self>,
        line: &Arc<Line>,
        mut work: Box<Work>,
        ready: Box<Ready>,
    ) -> Option<(Box<Work>, Manner, Refusal)> {
        let Ready { request, manner } = &*ready;
        let (manner, until) = (*manner, request.received + self.limits.queue_wait_max);
        let lane = catch_unwind(AssertUnwindSafe(|| self.handler.lane(&request.method, &request.path)));
        let grown = work.account(request.body.capacity());
        work.ready = Some(ready);
        let lane = match lane {
            Ok(_) if grown && self.is_full() => return Some((work, manner, Refusal::MemoryFull)),
            Err(_) => return Some((work, manner, Refusal::Panicked)),
            Ok(Lane::Work) => &self.work,
            Ok(Lane::Control) => &self.control,
        };
        line.deadline.store(self.moment(until), Ordering::Release);
        self.gauges.queue_depth.fetch_add(1, Ordering::Relaxed);
        line.keep(work);
        let refusal = lane.offer(Arc::clone(line), self).err()?;
        let work = self.take_queued(line)?;
        Some((work, manner, refusal))
    }

    /// Takes a request out of the queue, if it is still there.
    pub(super) fn take_queued(&self, line: &Line) -> Option<Box<Work>> {
        let work = line.take_queued()?;
        self.gauges.queue_depth.fetch_sub(1, Ordering::Relaxed);
        Some(work)
    }

    /// No worker came in time; the lanes may drop it.
    pub(super) fn abandon(&self) {
        self.work.abandon();
        self.control.abandon();
    }

    /// Says that no worker came in time.
    pub(super) fn waited_too_long(&self, line: &Line, work: &mut Work) -> Result<Step, After> {
        let Some(ready) = work.ready.take() else { return Err(After::Remove) };
        let response = self.word(Refusal::QueueWait, Some(Turned::request(&ready)));
        self.reply(line, work, &response, ready.manner)
    }

    /// Answers without a worker: in one send, or not at all.
    pub(super) fn reply(
        &self,
        line: &Line,
        work: &mut Work,
        response: &Response,
        mut manner: Manner,
    ) -> Result<Step, After> {
        manner.keep_alive &= !self.is_draining();
        self.send_once(line, &self.encode(response, manner))?;
        if manner.keep_alive {
            return Ok(work.connection.answered(self.clock.now()));
        }
        self.linger(line, work);
        Ok(Step::Wait)
    }

    fn send_once(&self, line: &Line, bytes: &[u8]) -> Result<(), After> {
        match send(&line.socket, bytes, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) if count == bytes.len() => Ok(()),
            _ => Err(After::Remove),
        }
    }

    /// The last answer is given: says so, and goes on reading for a while, because closing with unread bytes would
    /// take the answer from the caller.
    pub(super) fn linger(&self, line: &Line, work: &mut Work) {
        let _ = shutdown(&line.socket, Shutdown::Write);
        let until = self.clock.now() + self.limits.linger_timeout;
        work.lingering = Some(Linger { bytes: self.limits.linger_bytes_max, until });
        work.more = true;
    }

    /// Reads once. Says how much came and what to do with it.
    fn receive(&self, line: &Line, work: &mut Work, scratch: &mut [u8]) -> Result<(usize, Step), Errno> {
        let now = self.clock.now();
        if let Some(linger) = &mut work.lingering {
            let (_, count) = recv(&line.socket, &mut *scratch, RecvFlags::DONTWAIT)?;
            linger.bytes = linger.bytes.saturating_sub(count);
            let over = count == 0 || linger.bytes == 0;
            return Ok((count, if over { Step::Close } else { Step::Wait }));
        }
        let (count, room, step) = match work.connection.room() {
            Some(body) => {
                let room = body.capacity() - body.len();
                let (_, count) =
                    recv(&line.socket, rustix::buffer::spare_capacity(body), RecvFlags::DONTWAIT)?;
                (count, room, work.connection.filled(count, now))
            }
            None => {
                let (_, count) = recv(&line.socket, &mut *scratch, RecvFlags::DONTWAIT)?;
                (count, scratch.len(), work.connection.feed(&scratch[..count], now))
            }
        };
        work.more = count == room || line.is_gone();
        work.silent &= count == 0;
        Ok((count, if count == 0 { Step::Close } else { step }))
    }
}
