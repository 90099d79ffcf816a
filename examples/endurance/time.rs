//! Time as the phases use it: the machine's clock, and waits that can be ended.

use hapax::clock::{Clock, SystemClock};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The machine's time; the simulators stamp what they see with the same clock.
pub fn now() -> Instant {
    SystemClock.now()
}

/// How long ago that was.
pub fn since(start: Instant) -> Duration {
    now().saturating_duration_since(start)
}

/// Waits.
pub fn pause(how_long: Duration) {
    Stop::default().wait(how_long);
}

/// Asks every few milliseconds until the answer is yes or patience ends; whether it was yes.
pub fn until(patience: Duration, mut yes: impl FnMut() -> bool) -> bool {
    let start = now();
    loop {
        if yes() {
            return true;
        }
        if since(start) >= patience {
            return false;
        }
        pause(Duration::from_millis(5));
    }
}

/// Ends the waits of all threads that share it.
#[derive(Debug, Default)]
pub struct Stop {
    /// Guards whether it is over.
    over: Mutex<bool>,
    news: Condvar,
}

impl Stop {
    /// It is over.
    pub fn stop(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.news.notify_all();
    }

    /// Waits for as long as this, or until it is over; whether it is over.
    pub fn wait(&self, how_long: Duration) -> bool {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.news.wait_timeout_while(over, how_long, |over| !*over);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}
