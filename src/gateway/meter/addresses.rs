//! One rule per client address, for a bounded number of addresses.

use crate::domain::limit::Limits;
use crate::domain::rule::Rule;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Addresses remembered at once; past it the idle ones are forgotten first.
pub const ADDRESSES_MAX: usize = 65_536;
/// A full list is not searched for idle addresses more often than this.
const SWEEP: Duration = Duration::from_secs(1);
/// Who has an IPv6 address has a whole network of this prefix (RFC 6177): it counts as one.
const NETWORK: u128 = !0 << 64;

/// The addresses that are not idle, each with its rule.
#[derive(Default)]
pub(super) struct Addresses {
    limits: Limits,
    known: HashMap<IpAddr, Arc<Mutex<Rule>>>,
    swept: Option<Instant>,
}

/// An address as it is counted, however it is written.
pub(super) fn counted(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & NETWORK)),
        v4 @ IpAddr::V4(_) => v4,
    }
}

impl Addresses {
    pub(super) fn new(limits: Limits) -> Self {
        Self { limits, ..Self::default() }
    }

    /// Other limits from now on, for all of them.
    pub(super) fn resize(&mut self, limits: Limits, now: Instant) {
        if limits != self.limits {
            self.limits = limits;
            self.known.values().for_each(|rule| rule.lock().resize(&limits, now));
        }
    }

    /// An address's rule.
    pub(super) fn of(&mut self, address: IpAddr, now: Instant) -> Arc<Mutex<Rule>> {
        let address = counted(address);
        if self.known.len() >= ADDRESSES_MAX && !self.known.contains_key(&address) {
            self.make_room(now);
        }
        let fresh = || Arc::new(Mutex::new(Rule::new(&self.limits)));
        Arc::clone(self.known.entry(address).or_insert_with(fresh))
    }

    fn make_room(&mut self, now: Instant) {
        if self.swept.is_none_or(|at| now.saturating_duration_since(at) >= SWEEP) {
            self.swept = Some(now);
            self.known.retain(|_, rule| !rule.lock().untouched(now));
        }
        // Nobody idle, or nobody looked for: whoever comes first gives way, and begins anew when he returns.
        if self.known.len() >= ADDRESSES_MAX
            && let Some(first) = self.known.keys().next().copied()
        {
            self.known.remove(&first);
        }
    }

    /// Everybody who is not idle.
    pub(super) fn busy(&self, now: Instant) -> Vec<(IpAddr, Arc<Mutex<Rule>>)> {
        let busy = self.known.iter().filter(|(_, rule)| !rule.lock().untouched(now));
        busy.map(|(address, rule)| (*address, Arc::clone(rule))).collect()
    }
}

#[cfg(test)]
#[expect(clippy::disallowed_methods, reason = "a test needs some instant to start from")]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn addresses() -> Addresses {
        Addresses::new(Limits { requests_per_minute: Some(3), ..Limits::default() })
    }

    #[test]
    fn an_address_is_the_same_however_it_is_written_and_so_is_a_network() {
        let at = |text: &str| counted(text.parse().expect("an address"));
        assert_eq!(at("::ffff:127.0.0.1"), at("127.0.0.1"));
        assert_eq!(at("2001:db8:0:1::1"), at("2001:db8:0:1:ffff:ffff:ffff:ffff"));
        assert_ne!(at("2001:db8:0:1::1"), at("2001:db8:0:2::1"));
        assert_ne!(at("192.0.2.1"), at("192.0.2.2"));
    }

    #[test]
    fn addresses_are_bounded_and_the_idle_ones_go_first() {
        let (mut addresses, now) = (addresses(), Instant::now());
        let many = u32::try_from(ADDRESSES_MAX).expect("fits");
        for number in 0..many + 100 {
            let rule = addresses.of(IpAddr::V4(Ipv4Addr::from(number)), now);
            assert_eq!(rule.lock().refuses(0, now), None);
            rule.lock().take(0);
        }
        assert_eq!(addresses.known.len(), ADDRESSES_MAX);
        let later = now + Duration::from_secs(61);
        for rule in addresses.known.values() {
            rule.lock().settle(0, 0);
        }
        addresses.of(IpAddr::V4(Ipv4Addr::from(many + 1_000)), later).lock().take(0);
        assert_eq!(addresses.known.len(), 1);
    }
}
