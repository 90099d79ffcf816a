//! What is worth knowing again after a restart, in the time of the calendar.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// One fact with a time and a number. What they mean depends on the kind; whoever made it reads it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keepsake {
    /// What sort of fact: `circuit`, `busy`, ...
    pub kind: String,
    /// About what: a provider, a key.
    pub name: String,
    /// Milliseconds since 1970.
    pub at_ms: u64,
    /// The number.
    pub value: u64,
}

impl Keepsake {
    /// A fact of a kind about a name.
    #[must_use]
    pub fn new(kind: &str, name: &str, at: SystemTime, value: u64) -> Self {
        let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
        let at_ms = u64::try_from(since.as_millis()).unwrap_or(u64::MAX);
        Self { kind: kind.to_owned(), name: name.to_owned(), at_ms, value }
    }

    /// Its moment. One beyond any calendar is 1970.
    #[must_use]
    pub fn at(&self) -> SystemTime {
        UNIX_EPOCH.checked_add(Duration::from_millis(self.at_ms)).unwrap_or(UNIX_EPOCH)
    }

    /// How long its moment is still ahead, at most so long: a calendar that was set back in between makes nobody wait
    /// for years.
    #[must_use]
    pub fn ahead(&self, today: SystemTime, at_most: Duration) -> Duration {
        self.at().duration_since(today).unwrap_or_default().min(at_most)
    }
}
