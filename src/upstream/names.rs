//! Names to addresses: looked up at most once per lifetime, and remembered when the name service fails.
//!
//! Every new connection asks, so the answer must be at hand. The machine's resolver cannot be
//! told to hurry and may hang for half a minute: each look-up has a thread of its own, and who needs the answer waits for
//! it no longer than for a connection, and no longer than he stays. There is one look-up of a name at a time. One caller
//! waits a moment for the renewal of an answer that is past its lifetime; the others meanwhile use the old one, which
//! also serves when the renewal fails.

use super::line::{Line, Patience, aborted};
use crate::clock::Clock;
use parking_lot::{Condvar, Mutex};
use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::thread::Builder;
use std::time::{Duration, Instant};
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;
use ureq::{Error, Timeout};

/// How long an answer is used without asking again.
const LIFETIME: Duration = Duration::from_secs(30);
/// How long an old answer serves while the name service fails.
const STALE_MAX: Duration = Duration::from_secs(600);
/// Between attempts to renew an old answer.
const RENEW_EVERY: Duration = Duration::from_secs(5);
/// How long the renewal of an answer that still serves is waited for.
const HESITATION: Duration = Duration::from_millis(250);
/// How often somebody who waits looks whether he is still wanted.
const SLICE: Duration = Duration::from_millis(50);
/// The stack of a look-up; the C library's own needs are below 128 KiB.
const STACK_BYTES: usize = 512 << 10;
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
    /// How long an address may take: as long as a connection.
    within: Duration,
    /// How long a new one may take while there is an old one.
    hesitation: Duration,
    /// Not held while looking up.
    state: Mutex<State>,
    /// A look-up has ended.
    over: Condvar,
}

#[derive(Default)]
struct State {
    /// What is remembered, at most [`NAMES_MAX`].
    known: Vec<Known>,
    /// What is being looked up, at most [`NAMES_MAX`].
    asking: Vec<(String, u16)>,
}

struct Known {
    host: String,
    port: u16,
    addresses: Vec<SocketAddr>,
    renew_at: Instant,
    useless_at: Instant,
}

/// A look-up under way. However it ends, those who wait are told.
struct Asking {
    names: Arc<Inner>,
    host: String,
    port: u16,
}

impl Names {
    /// Asks the machine's resolver. An answer is waited for as long as for a connection.
    pub(super) fn new(clock: Arc<dyn Clock>, within: Duration) -> Self {
        let lookup: Lookup = Box::new(|host, port| Ok((host, port).to_socket_addrs()?.collect()));
        Self::with_lookup(clock, (within, HESITATION), lookup)
    }

    /// Asks whoever is given.
    pub(super) fn with_lookup(
        clock: Arc<dyn Clock>,
        (within, hesitation): (Duration, Duration),
        lookup: Lookup,
    ) -> Self {
        let (state, over) = (Mutex::default(), Condvar::new());
        Self(Arc::new(Inner { clock, lookup, within, hesitation, state, over }))
    }

    /// The addresses of the URI's host, for this call.
    ///
    /// # Errors
    /// `HostNotFound` when it has none, a timeout when nobody could say in time, an abortion when the call was cut.
    pub(super) fn addresses(&self, uri: &Uri, line: &Line) -> Result<Vec<SocketAddr>, Error> {
        let (host, port) = host_and_port(uri).ok_or(Error::HostNotFound)?;
        if let Ok(address) = host.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(address, port)]);
        }
        let old = match self.recall(host, port) {
            Recalled::Fresh(addresses) => return Ok(addresses),
            Recalled::Old(addresses) => Some(addresses),
            Recalled::Nothing => None,
        };
        self.ask(host, port);
        match old {
            Some(old) => Ok(self.wait((host, port), line, self.0.hesitation).unwrap_or(old)),
            None => self.wait((host, port), line, self.0.within),
        }
    }

    /// Has the name looked up, unless somebody is at it.
    fn ask(&self, host: &str, port: u16) {
        {
            let mut state = self.0.state.lock();
            if state.asks(host, port) || state.asking.len() == NAMES_MAX {
                return;
            }
            state.asking.push((host.to_owned(), port));
        }
        let asking = Asking { names: Arc::clone(&self.0), host: host.to_owned(), port };
        let asking = Arc::new(Mutex::new(Some(asking)));
        let theirs = Arc::clone(&asking);
        let look_up = move || {
            if let Some(asking) = theirs.lock().take() {
                asking.look_up();
            }
        };
        // Nobody joins it: it may hang as long as the resolver does, and holds nothing but what is remembered.
        let started = Builder::new().name("names".to_owned()).stack_size(STACK_BYTES).spawn(look_up);
        if started.is_err()
            && let Some(asking) = asking.lock().take()
        {
            asking.look_up();
        }
    }

    /// Waits for the end of a look-up, and says what is known then.
    fn wait(
        &self,
        (host, port): (&str, u16),
        line: &Line,
        within: Duration,
    ) -> Result<Vec<SocketAddr>, Error> {
        let timeout =
            NextTimeout { after: within.into(), reason: Timeout::Connect, per_read: None, per_write: None };
        let mut patience = Patience::new(line, timeout);
        let mut state = self.0.state.lock();
        loop {
            if !state.asks(host, port) {
                let now = self.0.clock.now();
                let known = find(&mut state.known, host, port).filter(|known| now < known.renew_at);
                return known.map(|known| known.addresses.clone()).ok_or(Error::HostNotFound);
            }
            if line.was_cut() {
                return Err(aborted());
            }
            let slice = patience.left().min(SLICE);
            if self.0.over.wait_for(&mut state, slice).timed_out() {
                patience.spend(slice)?;
            }
        }
    }

    /// Nobody answers at the remembered addresses: ask again before they are used next.
    pub(super) fn doubt(&self, uri: &Uri) {
        if let Some((host, port)) = host_and_port(uri) {
            let now = self.0.clock.now();
            if let Some(known) = find(&mut self.0.state.lock().known, host, port) {
                known.renew_at = known.renew_at.min(now);
            }
        }
    }

    fn recall(&self, host: &str, port: u16) -> Recalled {
        let now = self.0.clock.now();
        let mut state = self.0.state.lock();
        match find(&mut state.known, host, port) {
            Some(known) if now < known.renew_at => Recalled::Fresh(known.addresses.clone()),
            Some(known) if now < known.useless_at => {
                // The others go on with the old answer while this one is asked for.
                known.renew_at = now + RENEW_EVERY;
                Recalled::Old(known.addresses.clone())
            }
            _ => Recalled::Nothing,
        }
    }
}

impl Asking {
    fn look_up(self) {
        match (self.names.lookup)(&self.host, self.port) {
            Ok(addresses) if !addresses.is_empty() => self.remember(addresses),
            _ => {}
        }
    }

    fn remember(&self, addresses: Vec<SocketAddr>) {
        let (host, port) = (&*self.host, self.port);
        let now = self.names.clock.now();
        let (renew_at, useless_at) = (now + LIFETIME, now + LIFETIME + STALE_MAX);
        let known = &mut self.names.state.lock().known;
        if let Some(known) = find(known, host, port) {
            known.addresses = addresses;
            (known.renew_at, known.useless_at) = (renew_at, useless_at);
            return;
        }
        if known.len() == NAMES_MAX {
            known.remove(0);
        }
        known.push(Known { host: host.to_owned(), port, addresses, renew_at, useless_at });
    }
}

impl Drop for Asking {
    fn drop(&mut self) {
        let mut state = self.names.state.lock();
        state.asking.retain(|(host, port)| (host.as_str(), *port) != (self.host.as_str(), self.port));
        self.names.over.notify_all();
    }
}

impl State {
    fn asks(&self, host: &str, port: u16) -> bool {
        self.asking.iter().any(|(other, at)| *at == port && other == host)
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
    ) -> Result<ResolvedSocketAddrs, Error> {
        let line = Line::calling().ok_or(Error::ConnectionFailed)?;
        let addresses = self.addresses(uri, &line)?;
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
    use crate::domain::failure::Fault;
    use crate::upstream::line::Bound;
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
        let names = Names::with_lookup(Arc::clone(&clock) as Arc<dyn Clock>, (LONG, LONG), lookup);
        Rig { clock, names, asked, working }
    }

    /// Longer than any test takes.
    const LONG: Duration = Duration::from_secs(60);

    fn line(names: &Names) -> Arc<Line> {
        let clock = Arc::clone(&names.0.clock);
        let now = clock.now();
        Line::new(clock, Bound::new(now + 2 * LONG, Fault::TotalTimeout), now)
    }

    fn first(names: &Names, uri: &'static str) -> Option<String> {
        names.addresses(&Uri::from_static(uri), &line(names)).ok().map(|all| all[0].to_string())
    }

    /// A name service that says nothing until the sender is dropped; then that the address is 10.0.0.9.
    fn hanging(
        clock: &Arc<ManualClock>,
        patience: (Duration, Duration),
    ) -> (Names, std::sync::mpsc::Sender<()>) {
        let (release, held) = std::sync::mpsc::channel::<()>();
        let held = Mutex::new(held);
        let lookup: Lookup = Box::new(move |_, port| {
            let _ = held.lock().recv();
            Ok(vec![SocketAddr::from(([10, 0, 0, 9], port))])
        });
        (Names::with_lookup(Arc::clone(clock) as Arc<dyn Clock>, patience, lookup), release)
    }

    #[test]
    fn a_name_service_that_hangs_is_waited_for_no_longer_than_a_connection() {
        let short = Duration::from_millis(20);
        let (names, release) = hanging(&Arc::new(ManualClock::new()), (short, LONG));
        let uri = Uri::from_static("http://models.example");
        for _ in 0..3 {
            let outcome = names.addresses(&uri, &line(&names));
            assert!(matches!(outcome, Err(Error::Timeout(Timeout::Connect))), "{outcome:?}");
        }
        assert_eq!(names.0.state.lock().asking.len(), 1, "one look-up for all of them");
        let line = line(&names);
        line.cut();
        assert!(matches!(names.addresses(&uri, &line), Err(Error::Io(_))), "who leaves does not wait");
        drop(release);
        while !names.0.state.lock().asking.is_empty() {
            std::thread::yield_now();
        }
        assert_eq!(first(&names, "http://models.example").as_deref(), Some("10.0.0.9:80"));
    }

    #[test]
    fn an_old_answer_serves_while_the_name_service_hangs() {
        let clock = Arc::new(ManualClock::new());
        let (names, release) = hanging(&clock, (LONG, Duration::from_millis(1)));
        let old = Asking { names: Arc::clone(&names.0), host: "models.example".to_owned(), port: 80 };
        old.remember(vec![SocketAddr::from(([10, 0, 0, 1], 80))]);
        clock.advance(LIFETIME);
        for _ in 0..3 {
            assert_eq!(first(&names, "http://models.example").as_deref(), Some("10.0.0.1:80"));
        }
        drop(release);
    }

    #[test]
    fn those_who_need_a_name_at_once_share_its_look_up() {
        let (names, release) = hanging(&Arc::new(ManualClock::new()), (LONG, LONG));
        std::thread::scope(|scope| {
            let callers: Vec<_> =
                (0..8).map(|_| scope.spawn(|| first(&names, "http://models.example"))).collect();
            drop(release);
            for caller in callers {
                assert_eq!(caller.join().unwrap().as_deref(), Some("10.0.0.9:80"));
            }
        });
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
            assert!(rig.names.addresses(&uri, &line(&rig.names)).is_ok());
        }
        assert_eq!(rig.names.0.state.lock().known.len(), NAMES_MAX);
    }
}
