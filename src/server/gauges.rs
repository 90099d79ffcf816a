//! What the front door counts: numbers anyone may read at any time.

use super::refusal::{REASONS, Refusal};
use crate::memory::Memory;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

/// The front door's numbers. Writers and readers need not agree on a moment.
#[derive(Debug, Default)]
pub struct Gauges {
    /// Open connections.
    pub connections: AtomicUsize,
    /// Complete requests waiting for a worker, both lanes.
    pub queue_depth: AtomicUsize,
    /// Requests being served, both lanes.
    pub workers_busy: AtomicUsize,
    /// Threads of both lanes.
    pub threads: AtomicUsize,
    /// How often the thread that watches all connections has heard that it was called.
    pub(super) heartbeat: AtomicU64,
    /// Bytes held by buffers and bodies.
    pub memory_bytes: AtomicUsize,
    /// Connections accepted since the start.
    pub accepted: AtomicU64,
    /// Failed attempts to accept: no descriptor, no memory.
    pub accept_failures: AtomicU64,
    /// Where the bytes count towards the bound.
    pub(super) memory: Option<Arc<Memory>>,
    /// Refused requests and connections, in the order of [`REASONS`].
    pub rejected: [AtomicU64; REASONS.len()],
}

impl Gauges {
    /// How often each reason turned somebody away.
    pub fn rejections(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        REASONS.iter().zip(&self.rejected).map(|(reason, count)| (*reason, count.load(Ordering::Relaxed)))
    }

    /// Bytes that other rooms hold under the same bound.
    #[must_use]
    pub fn memory_of_others(&self) -> usize {
        let all = self.memory.as_ref().map_or(0, |memory| memory.held());
        all.saturating_sub(self.memory_bytes.load(Ordering::Relaxed))
    }

    pub(super) fn count(&self, refusal: Refusal) {
        self.rejected[refusal.index()].fetch_add(1, Ordering::Relaxed);
    }

    /// Adds and takes away; the difference of two unsigned numbers wraps and comes out right.
    pub(super) fn memory(&self, before: usize, after: usize) {
        if before != after {
            self.memory_bytes.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
            if let Some(memory) = &self.memory {
                memory.shift(before, after);
            }
        }
    }
}
