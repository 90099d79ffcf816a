//! How a provider's checks add up: some failed ones in a row take it out of service, one good one brings it back.

use std::time::Duration;

/// The numbers of the checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    /// Between two checks of a provider that is well.
    pub interval: Duration,
    /// One check's patience.
    pub timeout: Duration,
    /// Failed checks in a row that take a provider out of service; 0 counts as 1.
    pub failure_threshold: u32,
}

/// What the checks of one provider add up to. A provider never checked counts as healthy.
#[derive(Debug, Clone)]
pub struct Health {
    threshold: u32,
    fails: u32,
}

impl Health {
    /// Healthy until proven otherwise.
    #[must_use]
    pub fn new(failure_threshold: u32) -> Self {
        Self { threshold: failure_threshold.max(1), fails: 0 }
    }

    /// A check went well: eligible again at once.
    pub fn good(&mut self) {
        self.fails = 0;
    }

    /// A check failed.
    pub fn bad(&mut self) {
        self.fails = self.fails.saturating_add(1);
    }

    /// Whether the provider may be asked.
    #[must_use]
    pub fn healthy(&self) -> bool {
        self.fails < self.threshold
    }

    /// Failed checks since the last good one.
    #[must_use]
    pub fn consecutive_fails(&self) -> u32 {
        self.fails
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_third_failed_check_in_a_row_takes_it_out_and_one_good_one_brings_it_back() {
        let mut health = Health::new(3);
        health.bad();
        health.bad();
        health.good();
        health.bad();
        health.bad();
        assert!(health.healthy());
        health.bad();
        assert!(!health.healthy());
        assert_eq!(health.consecutive_fails(), 3);
        health.good();
        assert!(health.healthy());
        assert_eq!(health.consecutive_fails(), 0);
    }

    #[test]
    fn a_threshold_of_nothing_is_a_threshold_of_one() {
        let mut health = Health::new(0);
        assert!(health.healthy());
        health.bad();
        assert!(!health.healthy());
    }
}
