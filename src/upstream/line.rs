//! What one call and its socket know of each other: until when to wait, who may end it, how it went.
//!
//! A [`Line`] lives as long as one call. The caller's thread tells it how long the present wait may last; the
//! socket is attached to it while it serves the call, so that a cancellation from another thread can shut it
//! down; and the socket tells it what a bare I/O error cannot: that it was reused, that nothing was heard, that
//! the wait was over.

use crate::clock::Clock;
use crate::domain::failure::Fault;
use crate::gateway::cancel::{Heed, Reason};
use parking_lot::Mutex;
use std::cell::RefCell;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use ureq::unversioned::transport::NextTimeout;
use ureq::unversioned::transport::time::Duration as UreqDuration;
use ureq::{Error, Timeout};

/// The shortest wait: what has arrived is read even when the time is up.
pub(super) const WAIT_MIN: Duration = Duration::from_millis(1);

/// Until when a wait may last, and what it means when it lasted longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bound {
    /// The last moment.
    pub(super) until: Instant,
    /// What it means when it passes.
    pub(super) fault: Fault,
    /// Besides: each single wait lasts at most this, else it is [`Fault::IdleTimeout`].
    pub(super) idle: Option<Duration>,
}

impl Bound {
    /// A bound without an idle clock.
    pub(super) fn new(until: Instant, fault: Fault) -> Self {
        Self { until, fault, idle: None }
    }

    /// The earlier of two.
    pub(super) fn or_earlier(self, other: Self) -> Self {
        if other.until < self.until { other } else { self }
    }

    /// How long a wait that begins now may last, and what it means when it does.
    fn left(self, now: Instant) -> (Duration, Fault) {
        let left = self.until.saturating_duration_since(now);
        match self.idle {
            Some(idle) if idle < left => (idle, Fault::IdleTimeout),
            _ => (left, self.fault),
        }
    }
}

/// How a call went, as its socket saw it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Story {
    /// It was cancelled.
    pub(super) cut: bool,
    /// Its wait was over, and this is what that means.
    pub(super) expired: Option<Fault>,
    /// It ran on a connection that had served another call.
    pub(super) reused: bool,
    /// Something of an answer came.
    pub(super) heard: bool,
}

/// One call's end of the wire. Shared by the call, its socket and the cancellation's hook.
pub(super) struct Line {
    clock: Arc<dyn Clock>,
    begun: Instant,
    /// As in its [`Story`]; set under the lock, so that no socket is attached beside it.
    cut: AtomicBool,
    /// As in its [`Story`]; told and asked by the call's own thread.
    reused: AtomicBool,
    heard: AtomicBool,
    /// Pooled connections are not to be used: one has just proved stale.
    fresh_only: AtomicBool,
    /// Guards everything below; held for a few assignments or one `shutdown`, which does not block.
    state: Mutex<State>,
}

struct State {
    bound: Bound,
    expired: Option<Fault>,
    /// The socket serving the call at present.
    socket: Option<Arc<TcpStream>>,
    /// How long the next wait may last, where that is known, and what it means when it does.
    left: Option<(Duration, Fault)>,
}

thread_local! {
    /// The call this thread is connecting for. ureq asks its resolver and its connectors on the calling thread.
    static CALLING: RefCell<Option<Arc<Line>>> = const { RefCell::new(None) };
}

impl Line {
    /// A line for a call that begins now.
    pub(super) fn new(clock: Arc<dyn Clock>, bound: Bound, now: Instant) -> Arc<Self> {
        Arc::new(Self {
            clock,
            begun: now,
            cut: AtomicBool::new(false),
            reused: AtomicBool::new(false),
            heard: AtomicBool::new(false),
            fresh_only: AtomicBool::new(false),
            state: Mutex::new(State { bound, expired: None, socket: None, left: Some(bound.left(now)) }),
        })
    }

    /// When the call began.
    pub(super) fn begun(&self) -> Instant {
        self.begun
    }

    /// Makes this the line of whatever connection the present thread takes, until the guard is dropped.
    pub(super) fn dial(self: &Arc<Self>) -> Dialling {
        CALLING.with(|calling| calling.replace(Some(Arc::clone(self))));
        Dialling
    }

    /// The line of the call this thread is connecting for.
    pub(super) fn calling() -> Option<Arc<Self>> {
        CALLING.with(|calling| calling.borrow().clone())
    }

    /// Ends the call from any thread: what is blocked on the socket returns, and nothing further begins.
    pub(super) fn cut(&self) {
        let state = self.state.lock();
        self.cut.store(true, Ordering::Release);
        if let Some(socket) = &state.socket {
            // An error means that it is closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    /// A socket begins to serve this call; `false`: the call has been cut, do not begin.
    pub(super) fn attach(&self, socket: &Arc<TcpStream>, reused: bool) -> bool {
        self.reused.store(reused, Ordering::Relaxed);
        let mut state = self.state.lock();
        if self.was_cut() {
            return false;
        }
        state.socket = Some(Arc::clone(socket));
        true
    }

    /// The socket has served this call; `false`: it was cut meanwhile and is of no further use.
    pub(super) fn release(&self) -> bool {
        self.state.lock().socket = None;
        !self.was_cut()
    }

    /// Sets how long the waits from now on may last.
    pub(super) fn bind(&self, bound: Bound) {
        self.bind_from(bound, None);
    }

    /// The same, where it is known how long the first of them may last.
    pub(super) fn bind_from(&self, bound: Bound, left: Option<Duration>) {
        let mut state = self.state.lock();
        (state.bound, state.left) = (bound, left.map(|left| (left, bound.fault)));
    }

    /// How long a wait that begins now may last, and what it means when it does.
    fn left(&self) -> (Duration, Fault) {
        let (bound, left) = {
            let mut state = self.state.lock();
            (state.bound, state.left.take())
        };
        // Whoever asks waits; only the first wait begins when it was bound.
        left.unwrap_or_else(|| bound.left(self.clock.now()))
    }

    /// Something else took time meanwhile.
    pub(super) fn look_at_the_clock(&self) {
        self.state.lock().left = None;
    }

    /// The wait was over.
    fn expire(&self, fault: Fault) {
        self.state.lock().expired = Some(fault);
    }

    /// Something of an answer came.
    pub(super) fn hear(&self) {
        self.heard.store(true, Ordering::Relaxed);
    }

    /// How it went so far.
    pub(super) fn story(&self) -> Story {
        Story {
            cut: self.was_cut(),
            expired: self.state.lock().expired,
            reused: self.reused.load(Ordering::Relaxed),
            heard: self.heard.load(Ordering::Relaxed),
        }
    }

    /// Whether it was cancelled.
    pub(super) fn was_cut(&self) -> bool {
        self.cut.load(Ordering::Acquire)
    }

    /// Whether pooled connections may be used.
    pub(super) fn takes_reused(&self) -> bool {
        !self.fresh_only.load(Ordering::Relaxed)
    }

    /// Once more, on a fresh connection.
    pub(super) fn start_over(&self) {
        self.fresh_only.store(true, Ordering::Relaxed);
        self.reused.store(false, Ordering::Relaxed);
        self.heard.store(false, Ordering::Relaxed);
        self.state.lock().expired = None;
    }
}

impl Heed for Line {
    fn heed(&self, _: Reason) {
        self.cut();
    }
}

/// One wait: how much of it is left, and whose limit it is.
pub(super) struct Patience<'a> {
    line: &'a Line,
    left: Duration,
    limit: Limit,
}

#[derive(Clone, Copy)]
enum Limit {
    /// That of connecting.
    Connecting(Timeout),
    /// The call's.
    Call(Fault),
}

impl<'a> Patience<'a> {
    /// For a wait that begins now.
    pub(super) fn new(line: &'a Line, timeout: NextTimeout) -> Self {
        let (left, fault) = line.left();
        let (left, limit) = match timeout.after {
            UreqDuration::Exact(after) if after < left => (after, Limit::Connecting(timeout.reason)),
            _ => (left, Limit::Call(fault)),
        };
        Self { line, left: left.max(WAIT_MIN), limit }
    }

    /// What is left of it; never zero.
    pub(super) fn left(&self) -> Duration {
        self.left
    }

    /// This much was waited in vain. Counted here besides asking the clock: a clock that stands still in a test
    /// must not make a wait endless.
    ///
    /// # Errors
    /// The wait is over; the line knows why.
    pub(super) fn spend(&mut self, waited: Duration) -> Result<(), Error> {
        let left = self.left.saturating_sub(waited);
        if left.is_zero() {
            return Err(self.over());
        }
        self.left = left;
        self.look();
        Ok(())
    }

    /// The wait was interrupted and goes on.
    pub(super) fn look(&mut self) {
        if let Limit::Call(_) = self.limit {
            self.left = self.left.min(self.line.left().0).max(WAIT_MIN);
        }
    }

    /// The wait is over.
    pub(super) fn over(&self) -> Error {
        match self.limit {
            Limit::Connecting(reason) => Error::Timeout(reason),
            Limit::Call(fault) => {
                self.line.expire(fault);
                Error::Io(io::ErrorKind::TimedOut.into())
            }
        }
    }
}

/// The error of a call that was ended by us.
pub(super) fn aborted() -> Error {
    Error::Io(io::ErrorKind::ConnectionAborted.into())
}

/// While it lives, the thread connects for its line.
#[must_use = "the line is dialled until this is dropped"]
pub(super) struct Dialling;

impl Drop for Dialling {
    fn drop(&mut self) {
        CALLING.with(|calling| calling.replace(None));
    }
}
