//! One way to say "stop" to a blocked call from another thread, with the reason why.

use parking_lot::{Condvar, Mutex};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Why a call was stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reason {
    /// Nobody waits for the answer any more.
    CallerLeft,
    /// The process is ending and its patience is used up.
    Shutdown,
}

/// A shared stop signal. It fires at most once; hooks added after it fired run at once.
#[derive(Clone, Default)]
pub struct Cancel {
    inner: Arc<Inner>,
}

#[derive(Default)]
struct Inner {
    /// Guards the reason and the hooks; never held while a hook runs.
    state: Mutex<State>,
    fired: Condvar,
}

#[derive(Default)]
struct State {
    reason: Option<Reason>,
    next: u64,
    hooks: Vec<(u64, Arc<dyn Fn() + Send + Sync>)>,
}

impl Cancel {
    /// A signal that has not fired.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Fires, once: wakes everyone in [`Cancel::wait`] and runs the hooks. Later calls change nothing.
    pub fn fire(&self, reason: Reason) {
        let hooks = {
            let mut state = self.inner.state.lock();
            if state.reason.is_some() {
                return;
            }
            state.reason = Some(reason);
            std::mem::take(&mut state.hooks)
        };
        self.inner.fired.notify_all();
        for (_, hook) in hooks {
            hook();
        }
    }

    /// Why it fired, if it did.
    #[must_use]
    pub fn fired(&self) -> Option<Reason> {
        self.inner.state.lock().reason
    }

    /// Waits until it fires, at most this long; says why it fired.
    #[must_use]
    pub fn wait(&self, at_most: Duration) -> Option<Reason> {
        let mut state = self.inner.state.lock();
        if state.reason.is_none() {
            let _ = self.inner.fired.wait_while_for(&mut state, |state| state.reason.is_none(), at_most);
        }
        state.reason
    }

    /// Runs `hook` when it fires (at once if it has), until the returned guard is dropped. A hook must not block.
    pub fn on_fire(&self, hook: impl Fn() + Send + Sync + 'static) -> Hook {
        let hook: Arc<dyn Fn() + Send + Sync> = Arc::new(hook);
        let id = {
            let mut state = self.inner.state.lock();
            if state.reason.is_none() {
                state.next += 1;
                let id = state.next;
                state.hooks.push((id, Arc::clone(&hook)));
                Some(id)
            } else {
                None
            }
        };
        if id.is_none() {
            hook();
        }
        Hook { inner: Arc::clone(&self.inner), id }
    }
}

impl fmt::Debug for Cancel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Cancel").field("fired", &self.fired()).finish()
    }
}

/// Keeps a hook in place; dropping it takes the hook away.
#[must_use = "dropping it takes the hook away"]
pub struct Hook {
    inner: Arc<Inner>,
    id: Option<u64>,
}

impl Drop for Hook {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            self.inner.state.lock().hooks.retain(|(other, _)| *other != id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU32, Ordering};

    fn counting() -> (Arc<AtomicU32>, impl Fn() + Send + Sync + 'static) {
        let count = Arc::new(AtomicU32::new(0));
        let inner = Arc::clone(&count);
        (count, move || {
            inner.fetch_add(1, Ordering::SeqCst);
        })
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
    fn waiting_ends_with_the_signal() {
        let cancel = Cancel::new();
        let other = cancel.clone();
        let waiter = std::thread::Builder::new()
            .spawn(move || other.wait(Duration::from_secs(60)))
            .expect("the machine has a thread to spare");
        cancel.fire(Reason::Shutdown);
        assert_eq!(waiter.join().expect("the waiter does not panic"), Some(Reason::Shutdown));
    }
}
