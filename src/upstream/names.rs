//! Names to addresses: looked up at most once per lifetime, and remembered when the name service fails.
//!
//! ureq asks its resolver on every call, pooled or not, so the answer must be at hand. One thread renews an
//! answer that is past its lifetime; the others meanwhile use the old one, which also serves when the renewal
//! fails. A name nobody has ever resolved is looked up by everyone who needs it.

use crate::clock::Clock;
use parking_lot::Mutex;
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// How long an answer is used without asking again.
const LIFETIME: Duration = Duration::from_secs(30);
/// How long an old answer serves while the name service fails.
const STALE_MAX: Duration = Duration::from_secs(600);
/// Between attempts to renew an old answer.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// Names remembered; a provider has its own and perhaps its proxy's.
const NAMES_MAX: usize = 4;
/// Addresses kept per name; what ureq carries.
const ADDRESSES_MAX: usize = 16;

/// How a name is looked up: the machine's resolver, or a test's.
pub(super) type Lookup = Box<dyn Fn(&str, u16) -> io::Result<Vec<SocketAddr>> + Send + Sync>;

/// The names one provider needs. Clones share what is remembered.
#[derive(Clone)]
pub(super) struct Names(Arc<Inner>);

struct Inner {
    clock: Arc<dyn Clock>,
    lookup: Lookup,
    /// What is remembered, at most [`NAMES_MAX`]; not held while looking up.
    known: Mutex<Vec<Known>>,
}

struct Known {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    renew_at: Instant,
    useless_at: Instant,
}

impl Names {
    /// Asks the machine's resolver.
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_lookup(clock, Box::new(|host, port| Ok((host, port).to_socket_addrs()?.collect())))
    }

    /// Asks whoever is given.
    pub(super) fn with_lookup(clock: Arc<dyn Clock>, lookup: Lookup) -> Self {
        Self(Arc::new(Inner { clock, lookup, known: Mutex::new(Vec::new()) }))
    }

    /// The addresses of the URI's host; `None` when it has none.
    pub(super) fn addresses(&self, uri: &Uri) -> Option<Vec<SocketAddr>> {
        let (host, port) = host_and_port(uri)?;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Some(vec![SocketAddr::new(address, port)]);
        }
        let old = match self.recall(host, port) {
            Recalled::Fresh(addresses) => return Some(addresses),
            Recalled::Old(addresses) => Some(addresses),
            Recalled::Nothing => None,
        };
        match (self.0.lookup)(host, port) {
            Ok(addresses) if !addresses.is_empty() => {
                self.remember(host, port, addresses.clone());
                Some(addresses)
            }
            _ => old,
        }
    }

    /// Nobody answers at the remembered addresses: ask again before they are used next.
    pub(super) fn doubt(&self, uri: &Uri) {
        if let Some((host, port)) = host_and_port(uri) {
            let now = self.0.clock.now();
            if let Some(known) = find(&mut self.0.known.lock(), host, port) {
                known.renew_at = known.renew_at.min(now);
            }
        }
    }

    fn recall(&self, host: &str, port: u16) -> Recalled {
        let now = self.0.clock.now();
        let mut all = self.0.known.lock();
        match find(&mut all, host, port) {
            Some(known) if now < known.renew_at => Recalled::Fresh(known.addresses.clone()),
            Some(known) if now < known.useless_at => {
                // The others go on with the old answer while this thread asks.
                known.renew_at = now + RENEW_EVERY;
                Recalled::Old(known.addresses.clone())
            }
            _ => Recalled::Nothing,
        }
    }

    fn remember(&self, host: &str, port: u16, addresses: Vec<SocketAddr>) {
        let now = self.0.clock.now();
        let (renew_at, useless_at) = (now + LIFETIME, now + LIFETIME + STALE_MAX);
        let mut all = self.0.known.lock();
        if let Some(known) = find(&mut all, host, port) {
            known.addresses = addresses;
            (known.renew_at, known.useless_at) = (renew_at, useless_at);
            return;
        }
        if all.len() == NAMES_MAX {
            all.remove(0);
        }
        all.push(Known { host: host.to_owned(), port, addresses, renew_at, useless_at });
    }
}

enum Recalled {
    Fresh(Vec<SocketAddr>),
    Old(Vec<SocketAddr>),
    Nothing,
}

fn find<'a>(all: &'a mut [Known], host: &str, port: u16) -> Option<&'a mut Known> {
    all.iter_mut().find(|known| known.port == port && known.host == host)
}

fn host_and_port(uri: &Uri) -> Option<(&str, u16)> {
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']');
    let port = uri.port_u16().or(match uri.scheme_str() {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    })?;
    Some((host, port))
}

impl Resolver for Names {
    fn resolve(
        &self,
        uri: &Uri,
        _config: &Config,
        _timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let addresses = self.addresses(uri).ok_or(ureq::Error::HostNotFound)?;
        let mut resolved = self.empty();
        for address in addresses.into_iter().take(ADDRESSES_MAX) {
            resolved.push(address);
        }
        Ok(resolved)
    }
}

impl fmt::Debug for Names {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Names")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

    struct Rig {
        clock: Arc<ManualClock>,
        names: Names,
        asked: Arc<AtomicU32>,
        working: Arc<AtomicBool>,
    }

    fn rig() -> Rig {
        let clock = Arc::new(ManualClock::new());
        let asked = Arc::new(AtomicU32::new(0));
        let working = Arc::new(AtomicBool::new(true));
        let (count, up) = (Arc::clone(&asked), Arc::clone(&working));
        let lookup: Lookup = Box::new(move |_, port| {
            let nth = count.fetch_add(1, Ordering::SeqCst) + 1;
            if up.load(Ordering::SeqCst) {
                Ok(vec![SocketAddr::from(([10, 0, 0, u8::try_from(nth).unwrap()], port))])
            } else {
                Err(io::Error::other("the name service is down"))
            }
        });
        let names = Names::with_lookup(Arc::clone(&clock) as Arc<dyn Clock>, lookup);
        Rig { clock, names, asked, working }
    }

    fn first(names: &Names, uri: &'static str) -> Option<String> {
        names.addresses(&Uri::from_static(uri)).map(|all| all[0].to_string())
    }

    #[test]
    fn an_address_needs_no_lookup() {
        let rig = rig();
        assert_eq!(first(&rig.names, "http://127.0.0.1:8080").as_deref(), Some("127.0.0.1:8080"));
        assert_eq!(first(&rig.names, "https://[::1]/v1").as_deref(), Some("[::1]:443"));
        assert_eq!(rig.asked.load(Ordering::SeqCst), 0);
    }

    #[test]
    fn a_name_is_looked_up_once_per_lifetime() {
        let rig = rig();
        for _ in 0..3 {
            assert_eq!(first(&rig.names, "http://models.example").as_deref(), Some("10.0.0.1:80"));
        }
        rig.clock.advance(LIFETIME);
        assert_eq!(first(&rig.names, "http://models.example").as_deref(), Some("10.0.0.2:80"));
        assert_eq!(rig.asked.load(Ordering::SeqCst), 2);
    }

    #[test]
    fn the_last_answer_serves_while_the_name_service_is_down() {
        let rig = rig();
        assert!(first(&rig.names, "http://models.example").is_some());
        rig.working.store(false, Ordering::SeqCst);
        rig.clock.advance(LIFETIME);
        for _ in 0..3 {
            assert_eq!(first(&rig.names, "http://models.example").as_deref(), Some("10.0.0.1:80"));
        }
        assert_eq!(rig.asked.load(Ordering::SeqCst), 2, "one renewal, then a pause");
        rig.clock.advance(STALE_MAX);
        assert_eq!(first(&rig.names, "http://models.example"), None);
    }

    #[test]
    fn doubted_addresses_are_looked_up_again() {
        let rig = rig();
        assert!(first(&rig.names, "http://models.example").is_some());
        rig.names.doubt(&Uri::from_static("http://models.example"));
        assert_eq!(first(&rig.names, "http://models.example").as_deref(), Some("10.0.0.2:80"));
    }

    #[test]
    fn memory_for_names_is_bounded() {
        let rig = rig();
        for port in 1..=20 {
            let uri: Uri = format!("http://models.example:{port}").parse().unwrap();
            assert!(rig.names.addresses(&uri).is_some());
        }
        assert_eq!(rig.names.0.known.lock().len(), NAMES_MAX);
    }
}
