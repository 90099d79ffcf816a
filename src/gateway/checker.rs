//! Health checks: one thread per provider asks, free of charge, whether it is well.

use super::cancel::{Cancel, Reason};
use super::house::House;
use super::ports::Call;
use super::slot::Slot;
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Fault, Verdict};
use crate::domain::health::Settings;
use parking_lot::Mutex;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// No provider is checked more often than this, whatever the settings say.
const PAUSE_MIN: Duration = Duration::from_millis(10);

/// The checking threads.
pub(super) struct Checkers {
    /// Guards the threads to be joined; held only to put them in and take them out.
    running: Mutex<Vec<JoinHandle<()>>>,
    /// Guards the signal that ends checks under way; replaced at each start.
    cancel: Mutex<Arc<Cancel>>,
}

impl Checkers {
    pub(super) fn new() -> Self {
        Self { running: Mutex::default(), cancel: Mutex::default() }
    }

    /// Starts a thread per slot. `haste` bounds the interval while a provider is in trouble, so that it is found
    /// well again as soon as its breaker would let it be tried.
    pub(super) fn start(
        &self,
        slots: &[Arc<Slot>],
        house: &Arc<House>,
        settings: Settings,
        haste: Duration,
    ) -> std::io::Result<()> {
        self.stop(slots);
        let cancel = Cancel::new();
        *self.cancel.lock() = Arc::clone(&cancel);
        for slot in slots {
            slot.unstop();
            let (theirs, house, cancel) = (Arc::clone(slot), Arc::clone(house), Arc::clone(&cancel));
            let thread = Builder::new()
                .name(format!("check-{}", slot.name))
                .spawn(move || keep_checking(&theirs, &house, (settings, haste), &cancel))?;
            self.running.lock().push(thread);
        }
        Ok(())
    }

    /// Ends and joins them.
    pub(super) fn stop(&self, slots: &[Arc<Slot>]) {
        let cancel = Arc::clone(&self.cancel.lock());
        cancel.fire(Reason::Shutdown);
        slots.iter().for_each(|slot| slot.stop());
        let running = std::mem::take(&mut *self.running.lock());
        for thread in running {
            // A checking thread catches its panics; there is nothing left to report.
            let _ = thread.join();
        }
    }
}

fn keep_checking(slot: &Slot, house: &House, (settings, haste): (Settings, Duration), cancel: &Arc<Cancel>) {
    loop {
        check(slot, house, settings.timeout, cancel);
        let pause = if slot.troubled(house.now()) { settings.interval.min(haste) } else { settings.interval };
        if !slot.wait_for_bell(pause.max(PAUSE_MIN)) {
            return;
        }
    }
}

/// One check: asks, records, reports. Whether the provider counts as healthy now; `None`: it was called off.
pub(super) fn check(slot: &Slot, house: &House, timeout: Duration, cancel: &Arc<Cancel>) -> Option<bool> {
    let began = house.now();
    let ask = || {
        let began = house.now();
        let call = Call { began, deadline: began + timeout, cancel: Arc::clone(cancel) };
        catch_unwind(AssertUnwindSafe(|| slot.provider.check(&call)))
            .unwrap_or_else(|_| Err(Failure::new(Fault::Internal, "the check panicked")))
    };
    let mut result = ask();
    if result.as_ref().is_err_and(|failure| failure.verdict() == Verdict::StaleConnection) {
        result = ask();
    }
    if cancel.fired().is_some() {
        return None;
    }
    // Busy is not broken: it answered.
    let failed = result.as_ref().err().filter(|failure| failure.verdict() != Verdict::Busy);
    let healthy = slot.checked(failed, house);
    let took = house.now().saturating_duration_since(began);
    let fault = failed.map(|failure| failure.fault);
    house.tell(&Event::Checked { provider: &slot.name, fault, took, healthy });
    Some(healthy)
}
