//! The only place that asks what time it is; everyone else is told.

use parking_lot::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// Tells the time. Two implementations: the machine's and, for tests, one that is set by hand.
pub trait Clock: Send + Sync + std::fmt::Debug {
    /// Monotonic time: for durations and deadlines.
    fn now(&self) -> Instant;
    /// The calendar: for log lines, `Date` headers and key expiry.
    fn today(&self) -> SystemTime;
}

/// The machine's clocks.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that asks")]
    fn now(&self) -> Instant {
        Instant::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that asks")]
    fn today(&self) -> SystemTime {
        SystemTime::now()
    }
}

impl SystemClock {
    /// The kernel's monotonic time, `CLOCK_MONOTONIC`: for others who read the same clock.
    #[must_use]
    pub fn monotonic(self) -> Duration {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), nanoseconds)
    }
}

/// A clock that moves only when told to. It starts at the machine's time, so that deadlines made from it can
/// still be met by real sockets.
#[derive(Debug)]
pub struct ManualClock {
    at: Mutex<(Instant, SystemTime)>,
}

impl ManualClock {
    /// A clock standing still at the machine's present time.
    #[must_use]
    pub fn new() -> Self {
        let machine = SystemClock;
        Self { at: Mutex::new((machine.now(), machine.today())) }
    }

    /// Moves both the monotonic clock and the calendar forward.
    pub fn advance(&self, by: Duration) {
        let mut at = self.at.lock();
        at.0 += by;
        at.1 += by;
    }
}

impl ManualClock {
    /// Sets the calendar alone, as an operator or a time server may.
    pub fn set_calendar(&self, to: SystemTime) {
        self.at.lock().1 = to;
    }
}

impl Default for ManualClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Instant {
        self.at.lock().0
    }

    fn today(&self) -> SystemTime {
        self.at.lock().1
    }
}
