//! What requests and answers hold in memory, all rooms together, and how much that may be.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// Counts bytes; whoever would hold more than is left is refused. Large things are counted, small ones are not: what
/// a request costs besides is bounded by the number of workers.
#[derive(Debug)]
pub struct Memory {
    held: AtomicUsize,
    max: usize,
}

impl Memory {
    /// As many bytes as this.
    #[must_use]
    pub fn new(max: usize) -> Arc<Self> {
        Arc::new(Self { held: AtomicUsize::new(0), max })
    }

    /// Bytes held now.
    #[must_use]
    pub fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }

    /// Whether more is held than may be.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.held() > self.max
    }

    /// Somebody holds `after` bytes now who held `before`. The difference wraps, and comes out right in the sum.
    pub fn shift(&self, before: usize, after: usize) {
        if before != after {
            self.held.fetch_add(after.wrapping_sub(before), Ordering::Relaxed);
        }
    }

    /// Holds this many bytes, until it is dropped; `None` when so many are not left.
    #[must_use]
    pub fn hold(self: &Arc<Self>, bytes: usize) -> Option<Held> {
        let mut held = Held { memory: Arc::clone(self), bytes: 0 };
        held.resize(bytes).then_some(held)
    }
}

/// Bytes that are counted as long as this lives.
#[derive(Debug)]
#[must_use = "what is dropped is not counted any more"]
pub struct Held {
    memory: Arc<Memory>,
    bytes: usize,
}

impl Held {
    /// Counts this many instead. Less is always possible; false, and nothing is changed, when so many are not left.
    #[must_use]
    pub fn resize(&mut self, bytes: usize) -> bool {
        self.memory.shift(self.bytes, bytes);
        if bytes > self.bytes && self.memory.is_full() {
            self.memory.shift(bytes, self.bytes);
            return false;
        }
        self.bytes = bytes;
        true
    }

    /// Counts this many more, on the same terms.
    #[must_use]
    pub fn grow(&mut self, more: usize) -> bool {
        self.resize(self.bytes.saturating_add(more))
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.memory.shift(self.bytes, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_held_is_bounded_together_and_comes_back() {
        let memory = Memory::new(100);
        memory.shift(0, 40);
        let mut first = memory.hold(50).expect("there is room");
        assert!(memory.hold(11).is_none());
        assert!(!first.grow(11) && first.grow(10) && memory.held() == 100);
        assert!(first.resize(5) && memory.held() == 45);
        drop(first);
        memory.shift(40, 0);
        assert_eq!(memory.held(), 0);
        assert!(!memory.is_full());
    }
}
