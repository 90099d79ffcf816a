//! One connection's socket: waiting that notices a peer who leaves, writing, and the ways to break off.

use crate::clock::{Clock, SystemClock};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Why a connection does not go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    /// The peer closed it.
    PeerClosed,
    /// We did.
    Misbehaved,
}

/// Where requests that `hold` wait until a test opens it.
#[derive(Debug, Clone)]
pub struct Gate {
    /// Readable while the gate is open, so that a wait for it is a wait for the peer too.
    open: Arc<OwnedFd>,
}

impl Gate {
    /// A closed gate.
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self { open: Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?) })
    }

    /// Lets everyone through who waits, and everyone who comes until it is closed.
    pub fn open(&self) {
        // Fails only when it has been opened 2^64 - 2 times.
        let _ = rustix::io::write(&self.open, &1_u64.to_ne_bytes());
    }

    /// Holds everyone who comes from now on.
    pub fn close(&self) {
        // Fails when it is closed, which is as well.
        let _ = rustix::io::read(&self.open, &mut [0_u8; 8]);
    }
}

/// One connection.
#[derive(Debug)]
pub(super) struct Line {
    /// The socket.
    pub stream: TcpStream,
    /// The connection's number.
    pub number: u64,
    hung_up: AtomicBool,
    busy: AtomicBool,
}

impl Line {
    /// An accepted connection.
    pub(super) fn new(stream: TcpStream, number: u64) -> Self {
        // A socket that refuses is one that is already gone; reading will tell.
        let _ = stream.set_nodelay(true);
        Self { stream, number, hung_up: AtomicBool::new(false), busy: AtomicBool::new(false) }
    }

    /// Reads what is there; interruptions are not ends.
    pub(super) fn read(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match (&self.stream).read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                read => return read,
            }
        }
    }

    /// Writes everything.
    pub(super) fn write(&self, bytes: &[u8]) -> Result<(), Broken> {
        (&self.stream).write_all(bytes).map_err(|_| self.broken())
    }

    /// Notes whether a request is being served.
    pub(super) fn set_busy(&self, busy: bool) {
        self.busy.store(busy, Ordering::SeqCst);
    }

    /// Ends the connection from another thread; whoever reads, writes or waits on it notices at once.
    pub(super) fn hang_up(&self) {
        self.hung_up.store(true, Ordering::SeqCst);
        // It may be closed already.
        let _ = self.stream.shutdown(Shutdown::Both);
    }

    /// Ends the connection from another thread if no request is being served.
    pub(super) fn hang_up_if_idle(&self) {
        if !self.busy.load(Ordering::SeqCst) {
            self.hang_up();
        }
    }

    /// Makes the coming close a reset (RST instead of FIN).
    pub(super) fn reset(&self) {
        // If the peer has left, there is nobody to be reset.
        let _ = rustix::net::sockopt::set_socket_linger(&self.stream, Some(Duration::ZERO));
    }

    /// Waits for as long as this, or until the connection ends.
    pub(super) fn wait(&self, how_long: Duration) -> Result<(), Broken> {
        if how_long.is_zero() { Ok(()) } else { self.wait_until(machine_now() + how_long) }
    }

    /// Waits until this time of the machine's clock, or until the connection ends.
    pub(super) fn wait_until(&self, until: Instant) -> Result<(), Broken> {
        self.poll(Some(until), None)
    }

    /// Waits until the gate is open or the connection ends.
    pub(super) fn wait_at(&self, gate: &Gate) -> Result<(), Broken> {
        self.poll(None, Some(gate))
    }

    /// Waits until the connection ends.
    pub(super) fn stall(&self) -> Broken {
        self.poll(None, None).err().unwrap_or(Broken::Misbehaved)
    }

    /// The one wait: poll(2) on the socket for the peer's end of stream, and on the gate.
    fn poll(&self, until: Option<Instant>, gate: Option<&Gate>) -> Result<(), Broken> {
        loop {
            let left = match until.map(|until| until.saturating_duration_since(machine_now())) {
                Some(Duration::ZERO) => return Ok(()),
                Some(left) => Some(Timespec {
                    tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
                    tv_nsec: left.subsec_nanos().into(),
                }),
                None => None,
            };
            let socket = PollFd::new(&self.stream, PollFlags::RDHUP);
            let ended = PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR;
            let (polled, socket, gate_open) = if let Some(gate) = gate {
                let mut both = [socket, PollFd::new(&*gate.open, PollFlags::IN)];
                let polled = poll(&mut both, left.as_ref());
                (polled, both[0].revents(), both[1].revents().contains(PollFlags::IN))
            } else {
                let mut alone = [socket];
                let polled = poll(&mut alone, left.as_ref());
                (polled, alone[0].revents(), false)
            };
            match polled {
                Err(rustix::io::Errno::INTR) => {}
                Err(_) => return Err(Broken::Misbehaved),
                Ok(_) if socket.intersects(ended) => return Err(self.broken()),
                Ok(_) if gate_open => return Ok(()),
                Ok(_) => {}
            }
        }
    }

    fn broken(&self) -> Broken {
        if self.hung_up.load(Ordering::SeqCst) { Broken::Misbehaved } else { Broken::PeerClosed }
    }
}

/// Sockets live by the machine's clock, whatever clock the simulator was given for its stamps and flapping.
pub(super) fn machine_now() -> Instant {
    SystemClock.now()
}
