//! Where one provider's connections rest between calls: the last one put down is the first one taken up.
//!
//! ureq has a pool, which walks over every resting connection twice per call, under one lock. An agent of ours has
//! one host, so a stack will do: ureq is told to keep nothing, and a connection that it lets go of while at rest
//! comes here.

use crate::clock::Clock;
use parking_lot::Mutex;
use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Weak};
use std::time::{Duration, Instant};
use ureq::Error;
use ureq::unversioned::transport::{Buffers, ConnectionDetails, Connector, NextTimeout, Transport};

/// A connection that rested longer is not used again: common servers close at 5 s.
const REST_MAX: Duration = Duration::from_secs(4);

/// The whole chain of connectors, with a shelf before it.
pub(super) struct Shelved<C: Connector> {
    chain: C,
    shelf: Arc<Shelf<C::Out>>,
    clock: Arc<dyn Clock>,
    /// Whether calls go through a proxy: the connection to the proxy itself is a part of another and rests with it.
    proxied: bool,
}

/// Connections at rest.
pub(super) struct Shelf<T> {
    /// The connections at rest and since when, the oldest first. Held to push or pop, never while one closes.
    resting: Mutex<VecDeque<(Instant, T)>>,
    /// No more rest at once.
    most: usize,
}

/// A connection in ureq's hands.
pub(super) struct Lent<T: Transport> {
    /// `None` once it is let go of.
    inner: Option<T>,
    /// It was found fit for another call.
    at_rest: bool,
    shelf: Weak<Shelf<T>>,
    clock: Arc<dyn Clock>,
}

impl<C: Connector> Shelved<C> {
    /// Lets at most `most` connections rest.
    pub(super) fn new(chain: C, most: usize, proxied: bool, clock: Arc<dyn Clock>) -> Self {
        let shelf = Arc::new(Shelf::new(most));
        Self { chain, shelf, clock, proxied }
    }
}

impl<C: Connector> Connector for Shelved<C> {
    type Out = Lent<C::Out>;

    fn connect(&self, details: &ConnectionDetails, _: Option<()>) -> Result<Option<Self::Out>, Error> {
        // While it talks to the proxy itself, ureq takes the proxy out of the configuration.
        let is_outermost = details.config.proxy().is_some() == self.proxied;
        if !is_outermost {
            let lend = |inner| self.lend(inner, Weak::new());
            return Ok(self.chain.connect(details, None)?.map(lend));
        }
        let shelf = Arc::downgrade(&self.shelf);
        while let Some(mut inner) = self.shelf.take(self.clock.now()) {
            if inner.is_open() {
                return Ok(Some(self.lend(inner, shelf)));
            }
        }
        Ok(self.chain.connect(details, None)?.map(|inner| self.lend(inner, shelf)))
    }
}

impl<C: Connector> Shelved<C> {
    fn lend(&self, inner: C::Out, shelf: Weak<Shelf<C::Out>>) -> Lent<C::Out> {
        Lent { inner: Some(inner), at_rest: false, shelf, clock: Arc::clone(&self.clock) }
    }
}

impl<T> Shelf<T> {
    /// Lets at most `most` connections rest.
    pub(super) fn new(most: usize) -> Self {
        Self { resting: Mutex::default(), most }
    }

    /// The one that was put down last, unless it is too old.
    pub(super) fn take(&self, now: Instant) -> Option<T> {
        let mut resting = self.resting.lock();
        let (since, inner) = resting.pop_back()?;
        if now.saturating_duration_since(since) <= REST_MAX {
            return Some(inner);
        }
        // The others have rested longer still.
        let stale = std::mem::take(&mut *resting);
        drop(resting);
        drop((inner, stale));
        None
    }

    /// Puts one down.
    pub(super) fn put(&self, inner: T, now: Instant) {
        let mut resting = self.resting.lock();
        let full = resting.len() >= self.most;
        let oldest = resting.front().map(|(since, _)| now.saturating_duration_since(*since));
        let let_go = if full || oldest > Some(REST_MAX) { resting.pop_front() } else { None };
        if self.most > 0 {
            resting.push_back((now, inner));
        }
        drop(resting);
        drop(let_go);
    }
}

impl<T: Transport> Lent<T> {
    fn inner(&mut self) -> Result<&mut T, Error> {
        self.inner.as_mut().ok_or(Error::ConnectionFailed)
    }
}

impl<T: Transport> Transport for Lent<T> {
    fn buffers(&mut self) -> &mut dyn Buffers {
        // `inner` is taken in `drop` alone.
        self.inner.as_mut().expect("present until it is dropped").buffers()
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        self.inner()?.transmit_output(amount, timeout)
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        self.inner()?.await_input(timeout)
    }

    fn is_open(&mut self) -> bool {
        self.at_rest = self.inner.as_mut().is_some_and(Transport::is_open);
        self.at_rest
    }

    fn is_tls(&self) -> bool {
        self.inner.as_ref().is_some_and(Transport::is_tls)
    }
}

impl<T: Transport> Drop for Lent<T> {
    fn drop(&mut self) {
        if self.at_rest
            && let (Some(inner), Some(shelf)) = (self.inner.take(), self.shelf.upgrade())
        {
            shelf.put(inner, self.clock.now());
        }
    }
}

impl<C: Connector> fmt::Debug for Shelved<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Shelved")
    }
}

impl<T: Transport> fmt::Debug for Lent<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Lent")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;

    #[test]
    fn the_last_one_put_down_is_taken_first_and_old_ones_not_at_all() {
        let clock = ManualClock::new();
        let shelf = Shelf::new(3);
        for name in ["a", "b", "c", "d"] {
            shelf.put(name, clock.now());
        }
        assert_eq!(shelf.take(clock.now()), Some("d"));
        clock.advance(REST_MAX);
        shelf.put("e", clock.now());
        assert_eq!(shelf.take(clock.now()), Some("e"));
        assert_eq!(shelf.take(clock.now()), Some("c"), "just young enough");
        clock.advance(Duration::from_millis(1));
        shelf.put("f", clock.now());
        assert_eq!(shelf.resting.lock().len(), 1, "the old one is let go of when another is put down");
        clock.advance(REST_MAX * 2);
        assert_eq!(shelf.take(clock.now()), None);
        assert!(shelf.resting.lock().is_empty());
    }
}
