//! One way to say "stop" to a blocked call from another thread, with the reason why.

use parking_lot::{Condvar, Mutex};
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// Why a call was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody waits for the answer any more.
    CallerLeft,
    /// The process is ending and its patience is used up.
    Shutdown,
}

/// Who is told when a signal fires. It must not block.
pub trait Heed: Send + Sync {
    /// The signal has fired.
    fn heed(&self, reason: Reason);
}

impl<F: Fn(Reason) + Send + Sync> Heed for F {
    fn heed(&self, reason: Reason) {
        self(reason);
    }
}

/// A stop signal, to be shared. It fires at most once; hooks added after it fired run at once.
#[derive(Default)]
pub struct Cancel {
    /// Guards the reason and the hooks; never held while a hook runs.
    state: Mutex<State>,
    /// Whether there is a reason: set under the lock, looked at without it.
    has_fired: AtomicBool,
    fired: Condvar,
}

#[derive(Default)]
struct State {
    reason: Option<Reason>,
    next: u64,
    /// The only hook most signals ever have,
    first: Option<(u64, Arc<dyn Heed>)>,
    /// and the others.
    more: Vec<(u64, Arc<dyn Heed>)>,
}

impl Cancel {
    /// A signal that has not fired.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Fires, once: wakes everyone in [`Cancel::wait`] and runs the hooks. Later calls change nothing.
    pub fn fire(&self, reason: Reason) {
        let (first, more) = {
            let mut state = self.state.lock();
            if state.reason.is_some() {
                return;
            }
            state.reason = Some(reason);
            self.has_fired.store(true, Ordering::Release);
            (state.first.take(), std::mem::take(&mut state.more))
        };
        self.fired.notify_all();
        for (_, hook) in first.into_iter().chain(more) {
            hook.heed(reason);
        }
    }

    /// Why it fired, if it did.
    #[must_use]
    pub fn fired(&self) -> Option<Reason> {
        if self.has_fired.load(Ordering::Acquire) { self.state.lock().reason } else { None }
    }

    /// Waits until it fires, at most this long; says why it fired.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Option<Reason> {
        let mut state = self.state.lock();
        if state.reason.is_none() {
            let _ = self.fired.wait_while_for(&mut state, |state| state.reason.is_none(), at_most);
        }
        state.reason
    }

    /// Tells `hook` when it fires (at once if it has), until the returned guard is dropped.
    pub fn on_fire(self: &Arc<Self>, hook: Arc<dyn Heed>) -> Hook {
        Hook { id: self.add(hook), cancel: Arc::clone(self) }
    }

    /// The same for a guard that does not leave the signal's scope.
    pub fn on_fire_here(&self, hook: Arc<dyn Heed>) -> Hook<&Self> {
        Hook { id: self.add(hook), cancel: self }
    }

    fn add(&self, hook: Arc<dyn Heed>) -> Option<u64> {
        let mut state = self.state.lock();
        if let Some(reason) = state.reason {
            drop(state);
            hook.heed(reason);
            return None;
        }
        state.next += 1;
        let id = state.next;
        if state.first.is_none() {
            state.first = Some((id, hook));
        } else {
            state.more.push((id, hook));
        }
        Some(id)
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("fired", &self.fired()).finish()
    }
}

/// Keeps a hook in place; dropping it takes the hook away.
#[must_use = "dropping it takes the hook away"]
pub struct Hook<C: Deref<Target = Cancel> = Arc<Cancel>> {
    cancel: C,
    id: Option<u64>,
}

impl<C: Deref<Target = Cancel>> Drop for Hook<C> {
    fn drop(&mut self) {
        let Some(id) = self.id else { return };
        let mut state = self.cancel.state.lock();
        if state.first.as_ref().is_some_and(|(first, _)| *first == id) {
            state.first = None;
        } else {
            state.more.retain(|(other, _)| *other != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::AtomicU32;

    fn counting() -> (Arc<AtomicU32>, Arc<dyn Heed>) {
        let count = Arc::new(AtomicU32::new(0));
        let inner = Arc::clone(&count);
        let hook = move |_| {
            inner.fetch_add(1, Ordering::SeqCst);
        };
        (count, Arc::new(hook))
    }

    #[test]
    fn fires_once_and_keeps_the_first_reason() {
        let cancel = Cancel::new();
        let (count, hook) = counting();
        let _hook = cancel.on_fire(hook);
        cancel.fire(Reason::CallerLeft);
        cancel.fire(Reason::Shutdown);
        assert_eq!(cancel.fired(), Some(Reason::CallerLeft));
        assert_eq!(count.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_dropped_hook_does_not_run_and_a_late_one_runs_at_once() {
        let cancel = Cancel::new();
        let (early, hook) = counting();
        drop(cancel.on_fire(hook));
        cancel.fire(Reason::CallerLeft);
        let (late, hook) = counting();
        let _hook = cancel.on_fire(hook);
        assert_eq!((early.load(Ordering::SeqCst), late.load(Ordering::SeqCst)), (0, 1));
    }

    #[test]
    fn each_of_several_hooks_runs_or_is_taken_away_by_itself() {
        let cancel = Cancel::new();
        let mut all: Vec<_> = (0..4)
            .map(|_| {
                let (count, hook) = counting();
                (count, Some(cancel.on_fire(hook)))
            })
            .collect();
        all[0].1 = None;
        all[2].1 = None;
        cancel.fire(Reason::CallerLeft);
        let counts: Vec<u32> = all.iter().map(|(count, _)| count.load(Ordering::SeqCst)).collect();
        assert_eq!(counts, [0, 1, 0, 1]);
    }

    #[test]
    fn waiting_ends_with_the_signal() {
        let cancel = Cancel::new();
        let other = Arc::clone(&cancel);
        let waiter = std::thread::Builder::new()
            .spawn(move || other.wait(Duration::from_secs(60)))
            .expect("the machine has a thread to spare");
        cancel.fire(Reason::Shutdown);
        assert_eq!(waiter.join().expect("the waiter does not panic"), Some(Reason::Shutdown));
    }
}
