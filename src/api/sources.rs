//! What endpoints show that is not theirs: functions into other rooms, joined by whoever wires them.

use super::usage::Rows;

/// Where they get it.
pub struct Sources {
    /// Writes the metrics in Prometheus' text format.
    pub exposition: Box<dyn Fn() -> String + Send + Sync>,
    /// Reads the ledger.
    pub usage: Rows,
}
