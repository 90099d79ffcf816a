//! One caller's line: the socket, and who may touch the connection behind it.
//!
//! A line has one owner at a time, by the `BUSY` bit: the poller, a worker, or nobody while it waits for bytes. Only
//! the poller takes it from nobody. Bytes that come while it is owned leave the `PENDING` bit, which the owner finds
//! when it lets go; so a connection goes back to waiting without a system call and without waking anyone.

use super::connection::{Connection, Ready};
use super::gauges::Gauges;
use super::hub::Hub;
use super::reminder::Reminder;
use parking_lot::Mutex;
use rustix::fd::OwnedFd;
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const BUSY: u32 = 1;
const PENDING: u32 = 2;
const GONE: u32 = 4;

/// Who is told when a caller hangs up. It must not block.
pub trait OnLeave: Send + Sync {
    /// The caller has hung up.
    fn left(&self);
}

impl<F: Fn() + Send + Sync> OnLeave for F {
    fn left(&self) {
        self();
    }
}

/// What poller and workers share of a connection.
pub(super) struct Line {
    pub(super) socket: OwnedFd,
    pub(super) peer: IpAddr,
    /// Slot and generation in the poller's table.
    pub(super) id: u64,
    state: AtomicU32,
    /// Milliseconds of the hub's time; 0 is never.
    pub(super) deadline: AtomicU64,
    /// Guards what nobody works at: the connection while it waits for bytes or for a worker.
    seat: Mutex<Option<Box<Work>>>,
    /// Guards whom to tell when the caller hangs up; never held while they are told.
    hooks: Mutex<Vec<Arc<dyn OnLeave>>>,
    /// Guards what is said in a waiting worker's place, and who writes to the socket meanwhile.
    reminder: Mutex<Option<Box<Reminder>>>,
}

/// The owner's part of a line.
pub(super) struct Work {
    pub(super) connection: Connection,
    /// A request that waits for a worker.
    pub(super) ready: Option<Box<Ready>>,
    /// The last answer was given: bytes are read and dropped.
    pub(super) lingering: Option<Linger>,
    /// The kernel may hold more bytes than were read.
    pub(super) more: bool,
    /// Not a byte has come yet.
    pub(super) silent: bool,
    /// Bytes accounted for in the gauges.
    held: usize,
    gauges: Arc<Gauges>,
}

/// What is left of the patience with a line that is being closed.
pub(super) struct Linger {
    pub(super) bytes: usize,
    pub(super) until: Instant,
}

/// Whose turn it is after an event.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The poller's: it owns the line now.
    Ours,
    /// Somebody works at it and will see.
    Theirs,
    /// Somebody works at it, and the caller has just hung up.
    TheirsAndGone,
}

impl Line {
    pub(super) fn new(socket: OwnedFd, peer: IpAddr, id: u64, work: Box<Work>) -> Self {
        Self {
            socket,
            peer,
            id,
            state: AtomicU32::new(0),
            deadline: AtomicU64::new(0),
            seat: Mutex::new(Some(work)),
            hooks: Mutex::new(Vec::new()),
            reminder: Mutex::new(None),
        }
    }

    /// Something happened at the socket. Only for the poller.
    pub(super) fn event(&self, gone: bool) -> Turn {
        let news = BUSY | PENDING | if gone { GONE } else { 0 };
        let before = self.state.fetch_or(news, Ordering::AcqRel);
        if before & BUSY == 0 {
            self.state.fetch_and(!PENDING, Ordering::AcqRel);
            Turn::Ours
        } else if gone && before & GONE == 0 {
            Turn::TheirsAndGone
        } else {
            Turn::Theirs
        }
    }

    /// Takes the line when nobody has it. Only for the poller.
    pub(super) fn claim(&self) -> bool {
        self.state.fetch_or(BUSY, Ordering::AcqRel) & BUSY == 0
    }

    /// Lets go, with the work on its seat; if bytes have come meanwhile, the work is handed out again.
    pub(super) fn release(&self, work: Box<Work>) -> Option<Box<Work>> {
        *self.seat.lock() = Some(work);
        let released = self.state.fetch_update(Ordering::AcqRel, Ordering::Acquire, |state| {
            (state & PENDING == 0).then_some(state & !BUSY)
        });
        if released.is_ok() {
            return None;
        }
        self.state.fetch_and(!PENDING, Ordering::AcqRel);
        self.take()
    }

    /// The work on its seat. Only for the owner.
    pub(super) fn take(&self) -> Option<Box<Work>> {
        self.seat.lock().take()
    }

    /// Puts work on its seat and keeps the line.
    pub(super) fn keep(&self, work: Box<Work>) {
        *self.seat.lock() = Some(work);
    }

    /// The work on its seat, if it waits for a worker: whoever gets it owns the line.
    pub(super) fn take_queued(&self) -> Option<Box<Work>> {
        let mut seat = self.seat.lock();
        if seat.as_ref().is_some_and(|work| work.ready.is_some()) { seat.take() } else { None }
    }

    /// Whether its request waits for a worker.
    pub(super) fn is_queued(line: &Arc<Self>) -> bool {
        line.seat.lock().as_ref().is_some_and(|work| work.ready.is_some())
    }

    /// Whether the caller has hung up.
    pub(super) fn is_gone(&self) -> bool {
        self.state.load(Ordering::Acquire) & GONE != 0
    }

    /// Marks the caller as gone, without an event.
    pub(super) fn end(&self) {
        self.state.fetch_or(GONE | PENDING, Ordering::AcqRel);
        self.run_hooks();
    }

    /// Tells `hook` when the caller hangs up; at once if he has.
    pub(super) fn on_leave(&self, hook: Arc<dyn OnLeave>) {
        let mut hooks = self.hooks.lock();
        if self.is_gone() {
            drop(hooks);
            hook.left();
        } else {
            hooks.push(hook);
        }
    }

    /// Runs every hook, once. Call it after the line is marked as gone.
    pub(super) fn run_hooks(&self) {
        let hooks = std::mem::take(&mut *self.hooks.lock());
        for hook in hooks {
            hook.left();
        }
    }

    /// From now on the poller speaks for the worker, every so often; the first time at this moment of the hub's time.
    pub(super) fn remind(&self, reminder: Reminder, at: u64) {
        let mut seat = self.reminder.lock();
        *seat = Some(Box::new(reminder));
        self.deadline.store(at, Ordering::Release);
    }

    /// The worker speaks for himself again. Says what was said for him.
    pub(super) fn recall(&self) -> Option<Box<Reminder>> {
        let mut seat = self.reminder.lock();
        self.deadline.store(0, Ordering::Release);
        seat.take()
    }

    /// Speaks for the worker, and once more when `next` says; not if he has just come back.
    pub(super) fn speak(&self, hub: &Hub, next: impl FnOnce(Duration) -> u64) {
        let mut seat = self.reminder.lock();
        let Some(reminder) = &mut *seat else { return };
        reminder.say(hub, &self.socket);
        self.deadline.store(next(reminder.every), Ordering::Release);
    }

    /// The request is over: nobody is told any more.
    pub(super) fn forget_hooks(&self) {
        // Kept for its room; what goes with a hook is memory.
        self.hooks.lock().clear();
    }
}

impl Work {
    pub(super) fn new(connection: Connection, gauges: Arc<Gauges>) -> Box<Self> {
        Box::new(Self {
            connection,
            ready: None,
            lingering: None,
            more: false,
            silent: true,
            held: 0,
            gauges,
        })
    }

    /// Accounts for what the connection holds, and `besides`; true when that became more.
    pub(super) fn account(&mut self, besides: usize) -> bool {
        let held = self.connection.held() + besides;
        let before = std::mem::replace(&mut self.held, held);
        self.gauges.memory(before, held);
        held > before
    }

    /// When something is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.lingering {
            Some(linger) => Some(linger.until),
            None => self.connection.deadline(),
        }
    }
}

impl Drop for Work {
    fn drop(&mut self) {
        self.gauges.memory(self.held, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Clock, ManualClock};
    use std::os::unix::net::UnixStream;
    use std::sync::atomic::AtomicUsize;

    fn line() -> (Line, Arc<AtomicUsize>) {
        let (socket, _) = UnixStream::pair().expect("two sockets");
        let peer = IpAddr::from([127, 0, 0, 1]);
        let connection = Connection::new(Arc::default(), peer, ManualClock::new().now());
        (Line::new(socket.into(), peer, 0, Work::new(connection, Arc::default())), Arc::default())
    }

    fn count(line: &Line, calls: &Arc<AtomicUsize>) {
        let calls = Arc::clone(calls);
        line.on_leave(Arc::new(move || {
            calls.fetch_add(1, Ordering::SeqCst);
        }));
    }

    #[test]
    fn a_hook_runs_once_and_at_once_when_it_comes_late() {
        let (line, calls) = line();
        assert_eq!(line.event(false), Turn::Ours);
        count(&line, &calls);
        assert_eq!(line.event(false), Turn::Theirs);
        assert_eq!(calls.load(Ordering::SeqCst), 0);
        assert_eq!(line.event(true), Turn::TheirsAndGone);
        line.run_hooks();
        assert_eq!(line.event(true), Turn::Theirs);
        line.run_hooks();
        assert_eq!(calls.load(Ordering::SeqCst), 1);
        count(&line, &calls);
        assert_eq!(calls.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn what_comes_while_the_line_is_owned_is_found_when_it_is_let_go() {
        let (line, _) = line();
        assert_eq!(line.event(false), Turn::Ours);
        let work = line.take().expect("the owner's work");
        assert_eq!(line.event(false), Turn::Theirs);
        let work = line.release(work).expect("bytes have come");
        assert!(line.release(work).is_none());
        assert!(line.claim() && !line.claim());
    }
}
