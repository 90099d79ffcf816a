//! What every part of the gateway needs: the time, somebody to tell, and a little chance.

use super::ports::Observer;
use crate::clock::Clock;
use crate::domain::event::Event;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The first pause before the same provider is asked again; it doubles each time.
const BACKOFF: Duration = Duration::from_millis(100);
/// No pause is longer.
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Shared by the gateway, its slots and its checkers.
pub(super) struct House {
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    /// State of a xorshift generator. Two threads may draw the same number; chance enough to spread retries.
    chance: AtomicU64,
}

impl House {
    pub(super) fn new(clock: Arc<dyn Clock>, observer: Arc<dyn Observer>) -> Self {
        let since_1970 = clock.today().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        // Below 2^64 until the year 2554; a truncated seed would be a seed all the same. Never zero.
        let seed = u64::try_from(since_1970.as_nanos()).unwrap_or(u64::MAX) | 1;
        Self { clock, observer, chance: AtomicU64::new(seed) }
    }

    pub(super) fn now(&self) -> Instant {
        self.clock.now()
    }

    pub(super) fn today(&self) -> std::time::SystemTime {
        self.clock.today()
    }

    pub(super) fn tell(&self, event: &Event<'_>) {
        self.observer.observe(event);
    }

    /// A number from 0 to 1 (Marsaglia, xorshift64).
    pub(super) fn chance(&self) -> f64 {
        let mut seed = self.chance.load(Ordering::Relaxed);
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        self.chance.store(seed, Ordering::Relaxed);
        // The upper 32 bits are exact in a float.
        f64::from(u32::try_from(seed >> 32).unwrap_or(u32::MAX)) / f64::from(u32::MAX)
    }

    /// The pause before try number `tries` + 1 at the same provider: between a half and the whole of it is chance.
    pub(super) fn backoff(&self, tries: u32) -> Duration {
        let whole = BACKOFF.saturating_mul(1 << tries.min(16)).min(BACKOFF_MAX);
        whole.mul_f64(0.5 + 0.5 * self.chance())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    struct Deaf;

    impl Observer for Deaf {
        fn observe(&self, _event: &Event<'_>) {}
    }

    #[test]
    fn pauses_double_up_to_a_second_and_differ() {
        let house = House::new(Arc::new(ManualClock::new()), Arc::new(Deaf));
        for (tries, most) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (60, 1_000)] {
            let most = Duration::from_millis(most);
            let pauses: Vec<Duration> = (0..50).map(|_| house.backoff(tries)).collect();
            assert!(pauses.iter().all(|pause| *pause >= most / 2 && *pause <= most), "{pauses:?}");
            assert!(pauses.iter().any(|pause| *pause != pauses[0]));
        }
    }
}
