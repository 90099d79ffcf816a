//! HTTP in: accepts, reads, bounds, times and parses HTTP/1.1, and writes answers. Knows nothing of language models.
//!
//! ```text
//! poller: accepts; owns every connection that is idle or still sending; reads without blocking; deadlines; departures
//!   └─ a complete request, within limits ─▶ lane ─▶ worker: blocking from here on: handle, write, flush
//!                                            └─ keep-alive: the connection goes back to the poller
//! ```
//!
//! In scope: HTTP/1.0 and 1.1 on TCP, strictly; limits on everything; two lanes; streams; hang-ups; drain.
//! Out of scope: TLS, HTTP/2, upgrades, content codings, routing. Linux only.
//!
//! The server does not wait for a handler that ignores [`Exchange::on_leave`] when it ends.

mod alike;
mod body;
mod connection;
mod descriptors;
mod encode;
mod exchange;
mod fields;
mod gauges;
mod head;
mod hub;
mod incoming;
mod lane;
mod limits;
mod line;
mod message;
mod poller;
mod refusal;
mod reminder;
mod target;
#[cfg(test)]
mod tests;
mod turned;
mod worker;

pub use connection::{Connection, Ready, Step};
pub use exchange::{Exchange, Gone};
pub use fields::Fields;
pub use gauges::Gauges;
pub use limits::{HEADERS_CEILING, Limits};
pub use line::OnLeave;
pub use message::{Head, Headers, Manner, Method, Pass, Request, Response};
pub use refusal::{REASONS, Refusal};
pub use reminder::{MakeOpening, Opening};
pub use target::{Target, normal_form};
pub use turned::Turned;

use crate::clock::Clock;
use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use hub::Hub;
use lane::{Pool, Size};
use line::Line;
use parking_lot::Mutex;
use poller::Poller;
use rustix::event::{EventfdFlags, eventfd};
use std::convert::Infallible;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Which workers serve a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// The many, who may be busy.
    Work,
    /// The few who are kept for probes and the like.
    Control,
}

/// Who answers. Everything but [`Handler::handle`] runs on the thread that watches all connections: it must be quick
/// and must not block. A panic in any of it is caught.
pub trait Handler: Send + Sync + 'static {
    /// Which lane a request belongs to, by its method and the normal form of its path.
    fn lane(&self, method: &str, path: &str) -> Lane;

    /// Asked when a head is complete, before the rest of the body is waited for and before `100 Continue`. What it
    /// passes with comes back with the request.
    ///
    /// # Errors
    /// The answer, given at once; the connection closes unless there is no body.
    fn screen(&self, head: &Head) -> Result<Pass, Response> {
        let _ = head;
        Ok(Pass::default())
    }

    /// Answers a request, on a worker of its lane. Its body may be taken; what is left of it serves the connection's next
    /// request. An end without an answer counts as a panic.
    fn handle(&self, request: &mut Request, exchange: &mut Exchange<'_>);

    /// Words a refusal. `turned` is `None` when nothing was asked yet: there are too many connections.
    fn refuse(&self, refusal: Refusal, turned: Option<&Turned<'_>>) -> Response;
}

/// A front door in service. Dropping it ends everything without waiting; [`Server::join`] waits.
pub struct Server {
    hub: Arc<Hub>,
    address: SocketAddr,
    poller: Option<JoinHandle<()>>,
    /// Ends by itself soon after the start; none where no thread was left for it.
    widening: Option<JoinHandle<()>>,
    /// Disconnected when the poller has ended.
    ended: Receiver<Infallible>,
}

/// Of a thread that makes one system call.
const WIDEN_STACK_BYTES: usize = 64 << 10;
/// After the patience is used up, handlers have this long to notice.
const LAST_GRACE: Duration = Duration::from_secs(5);

impl Server {
    /// Opens the door.
    ///
    /// # Errors
    /// When the listener cannot be used, or no thread or descriptor is left.
    pub fn start(
        listener: TcpListener,
        limits: Limits,
        handler: Arc<dyn Handler>,
        clock: Arc<dyn Clock>,
    ) -> io::Result<Self> {
        let address = listener.local_addr()?;
        let gauges = Arc::new(Gauges { memory: Some(Arc::clone(&limits.memory)), ..Gauges::default() });
        let Limits { workers, queue, control_workers, control_queue, stack_bytes, worker_idle: idle, .. } =
            limits;
        let work = Size { workers: workers.max(1), queue, stack_bytes, idle };
        let control = Size { workers: control_workers.max(1), queue: control_queue, stack_bytes, idle };
        let hub = Arc::new(Hub {
            limits: Arc::new(limits),
            handler,
            epoch: clock.now(),
            clock,
            work: Pool::new(("work", work), Arc::clone(&gauges), Hub::hire, Line::is_queued),
            control: Pool::new(("control", control), Arc::clone(&gauges), Hub::hire, Line::is_queued),
            gauges,
            bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            leaving: Mutex::new(Vec::new()),
            draining: AtomicBool::new(false),
            ending: AtomicBool::new(false),
        });
        let poller = Poller::new(Arc::clone(&hub), listener)?;
        let widen = poller.widen()?;
        let (alive, ended) = bounded::<Infallible>(0);
        let body = move || {
            let _alive = alive;
            poller.run();
        };
        let poller = Some(Builder::new().name("door".to_owned()).spawn(body)?);
        let widening =
            Builder::new().name("widen".to_owned()).stack_size(WIDEN_STACK_BYTES).spawn(widen).ok();
        Ok(Self { hub, address, poller, widening, ended })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its numbers.
    #[must_use]
    pub fn gauges(&self) -> Arc<Gauges> {
        Arc::clone(&self.hub.gauges)
    }

    /// A number that is another one when it is asked for again, if the thread that watches all connections has lived
    /// in between: it is called each time.
    #[must_use]
    pub fn heartbeat(&self) -> u64 {
        let heard = self.hub.gauges.heartbeat.load(Ordering::Relaxed);
        self.hub.ring();
        heard
    }

    /// Stops listening and closes idle connections; requests under way are served, and are the last ones of their
    /// connections.
    pub fn drain(&self) {
        self.hub.draining.store(true, Ordering::Release);
        self.hub.ring();
    }

    /// Drains, waits for requests under way until `patience` is used up, then ends them: their hooks run, their
    /// connections close. True when nothing had to be ended, and every thread is joined.
    #[must_use]
    pub fn join(mut self, patience: Duration) -> bool {
        self.drain();
        let drained = self.ended.recv_timeout(patience) != Err(RecvTimeoutError::Timeout);
        self.end();
        let poller = self.poller.take().is_none_or(|poller| poller.join().is_ok());
        let widening = self.widening.take().is_none_or(|widening| widening.join().is_ok());
        let work = self.hub.work.join(LAST_GRACE);
        let control = self.hub.control.join(LAST_GRACE);
        drained && poller && widening && work && control
    }

    fn end(&self) {
        self.hub.ending.store(true, Ordering::Release);
        self.drain();
        self.hub.work.close();
        self.hub.control.close();
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end();
    }
}
