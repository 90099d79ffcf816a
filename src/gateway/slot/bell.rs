//! What a slot's checking thread waits for: its interval, unless somebody rings before.

use super::Slot;
use std::time::Duration;

#[derive(Default)]
pub(super) struct Bell {
    pub(super) ring: bool,
    pub(super) stop: bool,
}

impl Slot {
    /// Wakes the checking thread.
    pub(in crate::gateway) fn ring(&self) {
        self.bell.lock().ring = true;
        self.rung.notify_all();
    }

    /// Ends the checking thread's waiting for good.
    pub(in crate::gateway) fn stop(&self) {
        self.bell.lock().stop = true;
        self.rung.notify_all();
    }

    /// Waits for the bell, at most this long. Returns whether to go on.
    pub(in crate::gateway) fn wait_for_bell(&self, at_most: Duration) -> bool {
        let mut bell = self.bell.lock();
        if !bell.ring && !bell.stop {
            let _ = self.rung.wait_while_for(&mut bell, |bell| !bell.ring && !bell.stop, at_most);
        }
        bell.ring = false;
        !bell.stop
    }

    /// Lets the checking thread go on again after [`Slot::stop`].
    pub(in crate::gateway) fn unstop(&self) {
        self.bell.lock().stop = false;
    }
}
