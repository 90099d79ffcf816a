//! TLS upon any of ureq's transports, with buffers that rest with the thread and not with the connection.
//!
//! ```text
//!   Link ─▶ Secure: pages ◀─ plain text ─ session ◀─ records ─ pages of the transport below ─▶ Wire
//! ```
//!
//! ureq's own keeps 48 KiB of buffers for every connection. Everything that makes TLS what it is, rustls does.

use super::pages::Pages;
use crate::clock::Clock;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, ClientConnection, RootCertStore};
use std::fmt;
use std::io::{self, ErrorKind, Read, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;
use ureq::Error;
use ureq::unversioned::transport::time::Duration as UreqDuration;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, Either, NextTimeout, Transport};

/// Speaks TLS where the address says so: a link of ureq's chain.
pub(super) struct Tls {
    config: Arc<ClientConfig>,
    clock: Arc<dyn Clock>,
}

/// A connection under TLS.
pub(super) struct Secure<T> {
    below: T,
    session: ClientConnection,
    /// Plain text: what was read and is not used yet, what is being written.
    pages: Pages,
}

impl Tls {
    /// Trusts the authorities in this file, or else those that browsers trust.
    ///
    /// # Errors
    /// A file that cannot be read, or holds no certificate.
    pub(super) fn new(ca_file: Option<&Path>, clock: Arc<dyn Clock>) -> Result<Self, String> {
        let roots = match ca_file {
            None => webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
            Some(path) => {
                authorities(path).map_err(|error| format!("ca_file: {}: {error}", path.display()))?
            }
        };
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| error.to_string())?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { config: Arc::new(config), clock })
    }
}

fn authorities(path: &Path) -> Result<RootCertStore, String> {
    let pem = std::fs::read(path).map_err(|error| error.to_string())?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&pem).collect();
    let certificates = certificates.map_err(|_| "is not PEM")?;
    if certificates.is_empty() {
        return Err("holds no certificate".to_owned());
    }
    let mut roots = RootCertStore::empty();
    if roots.add_parsable_certificates(certificates).0 == 0 {
        return Err("holds no certificate that can be read".to_owned());
    }
    Ok(roots)
}

impl<In: Transport> Connector<In> for Tls {
    type Out = Either<In, Secure<In>>;

    fn connect(&self, details: &ConnectionDetails, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        let below = chained.ok_or(Error::ConnectionFailed)?;
        if !details.needs_tls() || below.is_tls() {
            return Ok(Some(Either::A(below)));
        }
        let host = details.uri.host().unwrap_or_default().trim_start_matches('[').trim_end_matches(']');
        let name =
            ServerName::try_from(host).map_err(|_| Error::Tls("the host is no name and no address"))?;
        let session = ClientConnection::new(Arc::clone(&self.config), name.to_owned()).map_err(refused)?;
        let mut secure = Secure { below, session, pages: Pages::default() };
        secure.shake_hands(details.timeout, &*self.clock)?;
        Ok(Some(Either::B(secure)))
    }
}

impl<T: Transport> Secure<T> {
    /// All of it within this time.
    fn shake_hands(&mut self, timeout: NextTimeout, clock: &dyn Clock) -> Result<(), Error> {
        let begun = clock.now();
        while self.session.is_handshaking() {
            self.flush(timeout)?;
            if self.session.is_handshaking() && !self.receive(less(timeout, begun, clock.now()))? {
                return Err(Error::Io(ErrorKind::UnexpectedEof.into()));
            }
        }
        // The last flight leaves with the first request.
        self.flush(timeout)
    }

    /// Hands what the session has to say to the transport below.
    fn flush(&mut self, timeout: NextTimeout) -> Result<(), Error> {
        let mut below = Below { transport: &mut self.below, timeout, failed: None };
        while self.session.wants_write() {
            if let Err(error) = self.session.write_tls(&mut below) {
                return Err(below.failed.unwrap_or(Error::Io(error)));
            }
        }
        Ok(())
    }

    /// Takes in what the transport below has, or waits for more of it; false at its end.
    fn receive(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        if self.below.buffers().input().is_empty() && !self.below.await_input(timeout)? {
            // An end without a farewell; it says so itself.
            self.session.read_tls(&mut io::empty())?;
            return Ok(false);
        }
        let mut records = self.below.buffers().input();
        let taken = self.session.read_tls(&mut records)?;
        self.below.buffers().input_consume(taken);
        if let Err(error) = self.session.process_new_packets() {
            // The other side may learn why; nothing depends on it.
            let _ = self.flush(timeout);
            return Err(refused(error));
        }
        Ok(true)
    }
}

/// What is left of a time.
fn less(timeout: NextTimeout, begun: Instant, now: Instant) -> NextTimeout {
    let after = match timeout.after {
        UreqDuration::Exact(after) => after.saturating_sub(now.saturating_duration_since(begun)).into(),
        never => never,
    };
    NextTimeout { after, ..timeout }
}

fn refused(error: rustls::Error) -> Error {
    Error::Io(io::Error::new(ErrorKind::InvalidData, error))
}

impl<T: Transport> Transport for Secure<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        self.pages.take_up();
        &mut self.pages
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let mut done = 0;
        while done < amount {
            done += self.session.writer().write(&self.pages.output()[done..amount])?;
            self.flush(timeout)?;
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.pages.take_up();
        self.pages.posted();
        loop {
            match self.session.reader().read(self.pages.input_append_buf()) {
                Ok(amount) => {
                    self.pages.input_appended(amount);
                    return Ok(amount > 0);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Err(Error::Io(error)),
            }
            self.receive(timeout)?;
            // A changed key is to be answered.
            self.flush(timeout)?;
        }
    }

    fn is_open(&mut self) -> bool {
        self.pages.give_back();
        // Nothing more came than was asked for, and no farewell.
        let nothing =
            self.session.reader().read(&mut [0]).is_err_and(|error| error.kind() == ErrorKind::WouldBlock);
        self.below.is_open() && nothing
    }

    fn is_tls(&self) -> bool {
        true
    }
}

impl<T> Drop for Secure<T> {
    fn drop(&mut self) {
        self.pages.give_back();
    }
}

/// What the session writes to.
struct Below<'a, T> {
    transport: &'a mut T,
    timeout: NextTimeout,
    /// What an I/O error cannot say.
    failed: Option<Error>,
}

impl<T: Transport> Write for Below<'_, T> {
    fn write(&mut self, records: &[u8]) -> io::Result<usize> {
        let room = self.transport.buffers().output();
        let amount = room.len().min(records.len());
        room[..amount].copy_from_slice(&records[..amount]);
        match self.transport.transmit_output(amount, self.timeout) {
            Ok(()) => Ok(amount),
            Err(error) => {
                self.failed = Some(error);
                Err(ErrorKind::Other.into())
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Tls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Tls")
    }
}

impl<T> fmt::Debug for Secure<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secure")
    }
}
