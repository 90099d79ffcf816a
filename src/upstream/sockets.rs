//! Opening connections: the first link of ureq's chain, before TLS.

use super::line::{Line, Patience, aborted};
use super::names::Names;
use super::wire::{Wire, wait_writable};
use crate::clock::Clock;
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use std::fmt;
use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;
use ureq::http::Uri;
use ureq::unversioned::transport::{ConnectionDetails, Connector, Either, NextTimeout, Transport};
use ureq::{Error, Timeout};

/// Opens sockets: the first link of the chain, before TLS.
pub(super) struct Sockets {
    /// The clock resting connections are measured with.
    pub(super) clock: Arc<dyn Clock>,
    /// Told when nobody answers at an address.
    pub(super) names: Names,
}

impl<In: Transport> Connector<In> for Sockets {
    type Out = Either<In, Wire>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(tunnel) = chained {
            return Ok(Some(Either::A(tunnel)));
        }
        let line = Line::calling().ok_or(Error::ConnectionFailed)?;
        let socket = self.open((details.uri, &details.addrs), details.timeout, &line)?;
        Ok(Some(Either::B(Wire::new(socket, line, Arc::clone(&self.clock)))))
    }
}

impl Sockets {
    /// Connects to the address's host, within this time.
    pub(super) fn dial(&self, uri: &Uri, within: Duration, line: &Arc<Line>) -> Result<Wire, Error> {
        let addresses = self.names.addresses(uri, line)?;
        let timeout =
            NextTimeout { after: within.into(), reason: Timeout::Connect, per_read: None, per_write: None };
        let socket = self.open((uri, &addresses), timeout, line)?;
        Ok(Wire::new(socket, Arc::clone(line), Arc::clone(&self.clock)))
    }

    /// Tries the addresses in order; each but the last may use half of the time that is left.
    fn open(
        &self,
        (uri, addresses): (&Uri, &[SocketAddr]),
        timeout: NextTimeout,
        line: &Line,
    ) -> Result<Arc<TcpStream>, Error> {
        // The resolver may have taken its time.
        line.look_at_the_clock();
        let mut patience = Patience::new(line, timeout);
        let mut last = Error::HostNotFound;
        for (index, address) in addresses.iter().enumerate() {
            let is_last = index + 1 == addresses.len();
            let share = if is_last { patience.left() } else { patience.left() / 2 };
            match open_one(*address, share, line) {
                Ok(socket) => return Ok(socket),
                Err(error) => last = error,
            }
            if line.was_cut() {
                return Err(last);
            }
            if matches!(last, Error::Timeout(_))
                && let Err(over) = patience.spend(share)
            {
                last = over;
                break;
            }
        }
        self.names.doubt(uri);
        Err(last)
    }
}

/// One connection attempt. The socket is attached before it connects: cutting the line ends this wait too. The wait is
/// `connect`'s own, bounded by the time that sending may take (`socket(7)`); nothing is ever sent that blocks.
fn open_one(address: SocketAddr, patience: Duration, line: &Line) -> Result<Arc<TcpStream>, Error> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC;
    let socket =
        rustix::net::socket_with(family, SocketType::STREAM, flags, None).map_err(io::Error::from)?;
    let socket = Arc::new(TcpStream::from(socket));
    if !line.attach(&socket, false) {
        return Err(aborted());
    }
    socket.set_write_timeout(Some(patience))?;
    match rustix::net::connect(&*socket, &address) {
        Ok(()) => {}
        Err(Errno::INPROGRESS) => return Err(Error::Timeout(Timeout::Connect)),
        // It goes on by itself.
        Err(Errno::INTR) => {
            if !wait_writable(&socket, patience)? {
                return Err(Error::Timeout(Timeout::Connect));
            }
            if let Some(error) = socket.take_error()? {
                return Err(Error::Io(error));
            }
        }
        Err(error) => return Err(Error::Io(error.into())),
    }
    socket.set_nodelay(true)?;
    Ok(socket)
}

impl fmt::Debug for Sockets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Sockets")
    }
}
