//! The port: kept even while nobody listens at it, so that "refused" is true and "again" is the same address.

use super::connection::serve;
use super::line::Line;
use super::{Shared, behaviour::Instead};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, getsockname, listen, socket_with, sockopt};
use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};

/// Connections open at once; one more is closed at once.
const CONNECTIONS_MAX: usize = 20_000;
/// Connections the kernel holds until they are accepted.
const BACKLOG: i32 = 4096;
/// Stack of one connection's thread; JSON nested as deeply as its parser allows needs about half.
const STACK_BYTES: usize = 256 << 10;
/// Patience while the machine has no descriptor left.
const ACCEPT_PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// An address that is ours. A bound socket that never listens keeps others, and the machine's own choice of ports
/// for outgoing connections, away from it.
#[derive(Debug)]
pub(super) struct Port {
    address: SocketAddr,
    _kept: OwnedFd,
}

impl Port {
    /// Makes an address ours; port 0 is any free one.
    pub(super) fn reserve(address: &str) -> io::Result<Self> {
        let address = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::AddrNotAvailable)?;
        let kept = socket(address)?;
        // A port of the machine's choice must be free of everyone; one that was asked for may have old connections
        // of an earlier process waiting for their end.
        let chosen = address.port() != 0;
        sockopt::set_socket_reuseaddr(&kept, chosen)?;
        bind(&kept, &address)?;
        sockopt::set_socket_reuseaddr(&kept, true)?;
        let address = SocketAddr::try_from(getsockname(&kept)?)?;
        Ok(Self { address, _kept: kept })
    }

    /// The address, with its port.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    fn listen(&self) -> io::Result<TcpListener> {
        let socket = socket(self.address)?;
        sockopt::set_socket_reuseaddr(&socket, true)?;
        bind(&socket, &self.address)?;
        listen(&socket, BACKLOG)?;
        let listener = TcpListener::from(socket);
        listener.set_nonblocking(true)?;
        Ok(listener)
    }
}

fn socket(address: SocketAddr) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    Ok(socket_with(family, SocketType::STREAM, SocketFlags::CLOEXEC, None)?)
}

/// Listens, or does not.
#[derive(Debug)]
pub(super) struct Listening {
    port: Port,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: Arc<OwnedFd>,
    thread: JoinHandle<()>,
}

impl Listening {
    /// Not yet.
    pub(super) fn new(port: Port) -> Self {
        Self { port, running: None }
    }

    /// Listens from now on.
    pub(super) fn start(&mut self, shared: &Arc<Shared>) -> io::Result<()> {
        if self.running.is_some() {
            return Ok(());
        }
        let listener = self.port.listen()?;
        let stop = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
        shared.listening.store(true, Ordering::SeqCst);
        let (for_thread, stopped) = (Arc::clone(shared), Arc::clone(&stop));
        let thread = Builder::new()
            .name("simulate-accept".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || accept(&for_thread, &listener, &stopped))?;
        self.running = Some(Running { stop, thread });
        Ok(())
    }

    /// Refuses from now on: returns when the listening socket is closed.
    pub(super) fn stop(&mut self, shared: &Shared) {
        shared.listening.store(false, Ordering::SeqCst);
        if let Some(running) = self.running.take() {
            // Fails only when it has been written 2^64 - 2 times.
            let _ = rustix::io::write(&running.stop, &1_u64.to_ne_bytes());
            // A panic there ends listening as well.
            let _ = running.thread.join();
        }
    }
}

fn accept(shared: &Arc<Shared>, listener: &TcpListener, stop: &OwnedFd) {
    loop {
        let mut both = [PollFd::new(listener, PollFlags::IN), PollFd::new(stop, PollFlags::IN)];
        let polled = poll(&mut both, None);
        if both[1].revents().contains(PollFlags::IN) {
            return;
        }
        if polled.is_err() {
            continue;
        }
        loop {
            match listener.accept() {
                Ok((stream, _)) => welcome(shared, stream),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error)
                    if matches!(
                        error.kind(),
                        io::ErrorKind::Interrupted | io::ErrorKind::ConnectionAborted
                    ) => {}
                Err(_) => {
                    // No descriptor left: leave the machine a moment, but be ready to stop.
                    let _ = poll(&mut [PollFd::new(stop, PollFlags::IN)], Some(&ACCEPT_PAUSE));
                    break;
                }
            }
        }
    }
}

/// Gives a connection its thread.
fn welcome(shared: &Arc<Shared>, stream: TcpStream) {
    let number = shared.accepted.fetch_add(1, Ordering::SeqCst) + 1;
    let down = shared.plan.lock().default_at(shared.clock.now()).instead == Instead::Down;
    if down || shared.lines.lock().len() >= CONNECTIONS_MAX {
        return;
    }
    let line = Arc::new(Line::new(stream, number));
    shared.lines.lock().insert(number, Arc::clone(&line));
    let open = Open { shared: Arc::clone(shared), line };
    let spawned = Builder::new()
        .name("simulate-line".to_owned())
        .stack_size(STACK_BYTES)
        .spawn(move || serve(&open.shared, &open.line));
    // Without a thread, the closure and with it the connection have been dropped.
    if let Ok(thread) = spawned {
        let mut threads = shared.threads.lock();
        if threads.len() == threads.capacity() {
            threads.retain(|thread| !thread.is_finished());
        }
        threads.push(thread);
    }
}

/// An open connection; closed and taken off the list when its thread ends, however it ends.
struct Open {
    shared: Arc<Shared>,
    line: Arc<Line>,
}

impl Drop for Open {
    fn drop(&mut self) {
        self.shared.lines.lock().remove(&self.line.number);
        self.shared.line_closed.notify_all();
    }
}
