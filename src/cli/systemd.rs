//! The service manager: sockets it hands over (sd_listen_fds(3)), and what it is told (sd_notify(3)).

use super::Failed;
use crate::clock::SystemClock;
use listenfd::ListenFd;
use std::net::TcpListener;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

/// The first TCP socket that was handed over, if any was. Call it before any thread is started: it takes the
/// variables out of the environment.
///
/// # Errors
/// Sockets were handed over, and none of them is a listening TCP socket.
pub(super) fn inherited() -> Result<Option<TcpListener>, Failed> {
    let mut handed = ListenFd::from_env();
    let tcp = (0..handed.len()).find_map(|index| handed.take_tcp_listener(index).ok().flatten());
    match tcp {
        None if handed.len() == 0 => Ok(None),
        Some(socket) if rustix::net::sockopt::socket_acceptconn(&socket).unwrap_or(false) => Ok(Some(socket)),
        _ => Err(Failed::Running("LISTEN_FDS names no listening TCP socket".to_owned())),
    }
}

/// Tells the service manager where we stand; tells nobody when there is none.
pub(super) struct Notify {
    manager: Option<(UnixDatagram, SocketAddr)>,
    watchdog: Option<Duration>,
}

impl Notify {
    /// As `NOTIFY_SOCKET`, `WATCHDOG_USEC` and `WATCHDOG_PID` say.
    pub(super) fn from_environment() -> Self {
        let read = |name: &str| std::env::var(name).ok();
        let manager = read("NOTIFY_SOCKET").and_then(|name| connected(&name));
        let mine = read("WATCHDOG_PID").is_none_or(|pid| pid == std::process::id().to_string());
        let watchdog = read("WATCHDOG_USEC").filter(|_| mine).and_then(|micros| micros.parse().ok());
        Self { manager, watchdog: watchdog.filter(|micros| *micros > 0).map(Duration::from_micros) }
    }

    /// How often to say that all is well, if that is asked for: twice as often as it must be.
    pub(super) fn watchdog(&self) -> Option<Duration> {
        self.watchdog.map(|patience| patience / 2)
    }

    /// Requests are served.
    pub(super) fn ready(&self) {
        self.say("READY=1");
    }

    /// The configuration is being read again; [`Notify::ready`] ends it.
    pub(super) fn reloading(&self) {
        self.say(&format!("RELOADING=1\nMONOTONIC_USEC={}", SystemClock.monotonic().as_micros()));
    }

    /// What is under way is finished, nothing else.
    pub(super) fn stopping(&self) {
        self.say("STOPPING=1");
    }

    /// All is well.
    pub(super) fn alive(&self) {
        self.say("WATCHDOG=1");
    }

    fn say(&self, what: &str) {
        if let Some((socket, manager)) = &self.manager {
            // A manager that does not listen cannot be told so.
            let _ = socket.send_to_addr(what.as_bytes(), manager);
        }
    }
}

/// A socket to a path, or to an abstract name that is written with `@`. It never blocks.
fn connected(name: &str) -> Option<(UnixDatagram, SocketAddr)> {
    let address = match name.strip_prefix('@') {
        Some(name) => SocketAddr::from_abstract_name(name),
        None => SocketAddr::from_pathname(name),
    };
    let socket = UnixDatagram::unbound().ok()?;
    socket.set_nonblocking(true).ok()?;
    Some((socket, address.ok()?))
}
