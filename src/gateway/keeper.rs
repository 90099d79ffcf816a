//! Keeps a caller's connection alive while his stream has nothing to say: a thread beside the one that waits.

use super::ports::{Left, Listener, Trail};
use crate::domain::chat::SharedFrame;
use parking_lot::{Condvar, Mutex};
use std::thread::{self, Builder};
use std::time::Duration;

/// A listener that two threads share until his stream begins.
struct Kept<'a> {
    /// Guards the caller's end of the line: whoever tells something holds it.
    listener: Mutex<&'a mut dyn Listener>,
    /// Guards whether there is nothing to keep alive any more.
    over: Mutex<bool>,
    ended: Condvar,
}

/// Does the work, and as long as it has not begun to tell the listener anything, lets him know every so often that
/// he is not forgotten. A machine without a thread to spare goes without.
pub(super) fn keeping<T>(
    listener: &mut dyn Listener,
    every: Duration,
    work: impl FnOnce(&mut dyn Listener) -> T,
) -> T {
    let kept = Kept { listener: Mutex::new(listener), over: Mutex::new(false), ended: Condvar::new() };
    thread::scope(|scope| {
        // Dropped before the scope waits for the thread, also when the work panics.
        let _ending = Ending(&kept);
        let keeper = Builder::new().name("keep-alive".to_owned());
        drop(keeper.spawn_scoped(scope, || kept.keep(every)));
        work(&mut &kept)
    })
}

impl Kept<'_> {
    fn keep(&self, every: Duration) {
        loop {
            {
                let mut over = self.over.lock();
                if !*over {
                    let _ = self.ended.wait_while_for(&mut over, |over| !*over, every);
                }
            }
            let mut listener = self.listener.lock();
            let over = *self.over.lock();
            if over || listener.waiting().is_err() {
                return;
            }
        }
    }

    fn end(&self) {
        *self.over.lock() = true;
        self.ended.notify_all();
    }
}

impl Listener for &Kept<'_> {
    fn begin(&mut self, trail: &Trail) -> Result<(), Left> {
        self.end();
        self.listener.lock().begin(trail)
    }

    fn frame(&mut self, frame: &SharedFrame) -> Result<(), Left> {
        self.listener.lock().frame(frame)
    }

    fn ready(&self) -> bool {
        self.listener.lock().ready()
    }
}

struct Ending<'a>(&'a Kept<'a>);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.end();
    }
}
