//! Requests per minute, per key or per address: who may ask now, and who must wait.

use super::ports::{Caller, Observer};
use crate::domain::event::Event;
use crate::domain::limit::{Left, Limit, Retry};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Addresses remembered at once; past it the idle ones are forgotten first.
pub const ADDRESSES_MAX: usize = 65_536;
/// A full list is not searched for idle addresses more often than this.
const SWEEP: Duration = Duration::from_secs(1);

/// The caller's own limit is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limited(pub Retry);

/// Counts requests.
pub struct Meter {
    /// Per key that has a limit; each lock guards one key's allowance.
    keys: HashMap<String, Mutex<Limit>>,
    per_address: Option<u32>,
    /// Guards every address's allowance.
    addresses: Mutex<Addresses>,
    observer: Arc<dyn Observer>,
}

#[derive(Clone, Default)]
struct Addresses {
    known: HashMap<IpAddr, Limit>,
    swept: Option<Instant>,
}

impl Meter {
    /// Limits by key name, and the one for callers without a key; nobody else is limited.
    #[must_use]
    pub fn new(
        keys: impl IntoIterator<Item = (String, u32)>,
        per_address: Option<u32>,
        observer: Arc<dyn Observer>,
    ) -> Self {
        let keys = keys.into_iter().map(|(name, limit)| (name, Mutex::new(Limit::new(limit)))).collect();
        Self { keys, per_address, addresses: Mutex::default(), observer }
    }

    /// Takes over what was already used of every allowance that is as large here as it was there.
    #[must_use]
    pub fn inheriting(mut self, old: &Self) -> Self {
        for (name, limit) in &mut self.keys {
            if let Some(used) = old.keys.get(name).map(|used| used.lock().clone()) {
                limit.get_mut().take_over(used);
            }
        }
        if self.per_address.is_some() && self.per_address == old.per_address {
            *self.addresses.get_mut() = old.addresses.lock().clone();
        }
        self
    }

    /// Takes one request from the caller's allowance; `None`: he has no limit.
    ///
    /// # Errors
    /// [`Limited`] says when to come back.
    pub fn admit(&self, caller: &Caller, now: Instant) -> Result<Option<Left>, Limited> {
        let taken = match caller {
            Caller::Key(name) => match self.keys.get(name) {
                None => return Ok(None),
                Some(limit) => limit.lock().take(now),
            },
            Caller::Address(address) => match self.per_address {
                None => return Ok(None),
                Some(limit) => self.addresses.lock().of(address.to_canonical(), limit, now).take(now),
            },
        };
        taken.map(Some).map_err(|retry| {
            self.observer.observe(&Event::Limited { client: caller.key_name().unwrap_or("address") });
            Limited(retry)
        })
    }
}

impl Addresses {
    fn of(&mut self, address: IpAddr, limit: u32, now: Instant) -> &mut Limit {
        if self.known.len() >= ADDRESSES_MAX && !self.known.contains_key(&address) {
            self.make_room(now);
        }
        self.known.entry(address).or_insert_with(|| Limit::new(limit))
    }

    fn make_room(&mut self, now: Instant) {
        if self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP) {
            self.swept = Some(now);
            self.known.retain(|_, limit| !limit.untouched(now));
        }
        // Nobody idle, or nobody looked for: whoever comes first gives way, and begins anew when he returns.
        if self.known.len() >= ADDRESSES_MAX
            && let Some(first) = self.known.keys().next().copied()
        {
            self.known.remove(&first);
        }
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    struct Counting(Mutex<Vec<String>>);

    impl Observer for Counting {
        fn observe(&self, event: &Event<'_>) {
            if let Event::Limited { client } = event {
                self.0.lock().push((*client).to_owned());
            }
        }
    }

    fn meter() -> (Arc<Counting>, Meter) {
        let counting = Arc::new(Counting(Mutex::default()));
        let observer = Arc::clone(&counting) as Arc<dyn Observer>;
        (counting, Meter::new([("bot".to_owned(), 2)], Some(3), observer))
    }

    fn address(number: u32) -> Caller {
        Caller::Address(IpAddr::V4(Ipv4Addr::from(number)))
    }

    #[test]
    fn each_key_and_each_address_has_its_own_allowance() {
        let (counting, meter) = meter();
        let now = Instant::now();
        let bot = Caller::Key("bot".to_owned());
        assert_eq!(meter.admit(&bot, now).map(|left| left.map(|left| left.remaining)), Ok(Some(1)));
        assert!(meter.admit(&bot, now).is_ok());
        assert_eq!(meter.admit(&bot, now).unwrap_err().0.after, Duration::from_secs(30));
        assert_eq!(meter.admit(&Caller::Key("free".to_owned()), now), Ok(None));
        for _ in 0..3 {
            assert!(meter.admit(&address(1), now).is_ok());
        }
        assert!(meter.admit(&address(1), now).is_err());
        assert!(meter.admit(&address(2), now).is_ok());
        assert_eq!(*counting.0.lock(), ["bot", "address"]);
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written() {
        let (_, meter) = meter();
        let now = Instant::now();
        for _ in 0..3 {
            assert!(meter.admit(&address(0x7f00_0001), now).is_ok());
        }
        let mapped = Caller::Address(IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped()));
        assert!(meter.admit(&mapped, now).is_err());
    }

    #[test]
    fn addresses_are_bounded_and_the_idle_ones_go_first() {
        let (_, meter) = meter();
        let now = Instant::now();
        let many = u32::try_from(ADDRESSES_MAX).expect("fits");
        for number in 0..many {
            assert!(meter.admit(&address(number), now).is_ok());
        }
        for number in many..many + 100 {
            assert!(meter.admit(&address(number), now).is_ok());
        }
        assert_eq!(meter.addresses.lock().known.len(), ADDRESSES_MAX);
        let later = now + Duration::from_secs(61);
        assert!(meter.admit(&address(many + 1_000), later).is_ok());
        assert_eq!(meter.addresses.lock().known.len(), 1);
    }
}
