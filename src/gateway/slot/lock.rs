//! The lock of a slot: parking_lot's. In the tests it is also where one thread's turn may end and another's begin.

#[cfg(not(test))]
pub(super) use parking_lot::Mutex as Lock;

#[cfg(test)]
pub(super) use turns::{Lock, in_every_order};

#[cfg(test)]
mod turns {
    use parking_lot::{Mutex, MutexGuard};
    use std::cell::Cell;

    thread_local! {
        /// Whether the threads of this one are shuttle's, which run by turns.
        static BY_TURNS: Cell<bool> = const { Cell::new(false) };
    }

    /// The same lock; before it is taken somebody else may have his turn.
    pub(in crate::gateway::slot) struct Lock<T>(Mutex<T>);

    impl<T> Lock<T> {
        pub(in crate::gateway::slot) fn new(value: T) -> Self {
            Self(Mutex::new(value))
        }

        pub(in crate::gateway::slot) fn lock(&self) -> MutexGuard<'_, T> {
            // Whoever unwinds keeps his turn: all of shuttle's threads are one to `std::thread::panicking`.
            if BY_TURNS.get() && !std::thread::panicking() {
                shuttle::thread::yield_now();
            }
            self.0.lock()
        }
    }

    /// Runs something whose threads are shuttle's, each time in another order; the same orders every time.
    pub(in crate::gateway::slot) fn in_every_order(times: usize, run: impl Fn() + Send + Sync + 'static) {
        BY_TURNS.set(true);
        let scheduler = shuttle::scheduler::RandomScheduler::new_from_seed(7, times);
        shuttle::Runner::new(scheduler, shuttle::Config::new()).run(run);
        BY_TURNS.set(false);
    }
}
