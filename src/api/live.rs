//! `/v1/status/live`: the status again whenever it has changed, as server-sent events, to a few watchers.
//!
//! A watcher keeps a worker of the work lane for as long as he looks, so there are never more than
//! [`WATCHERS_MAX`], nor more than one in eight workers; whoever comes past it polls `/v1/status`, which the
//! control lane answers at any load. A path of its own, because the lane is chosen by the path.

use super::errors::Problem;
use super::status::{self, Eyes};
use super::told::Told;
use super::{Api, State};
use crate::domain::words::Dialect;
use crate::server::{Exchange, Fields};
use parking_lot::{Condvar, Mutex};
use std::sync::Arc;
use std::time::Duration;

/// Watchers at once.
pub const WATCHERS_MAX: usize = 8;
/// How often a watcher looks whether something has changed.
const TICK: Duration = Duration::from_millis(500);
/// Unchanged looks after which a comment shows that the line is alive: 15 s.
const QUIET_TICKS_MAX: u32 = 30;
/// Looks after which a watcher has to come again, and show his key again: 10 minutes.
const TICKS_MAX: u32 = 1_200;

/// Who watches at the moment.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    /// Guards how many there are.
    count: Mutex<usize>,
    /// Somebody left, or the house is draining.
    changed: Condvar,
}

/// A watcher's place; given back when dropped.
struct Seat(Arc<Watchers>);

impl Watchers {
    fn sit(self: &Arc<Self>, most: usize) -> Option<Seat> {
        let mut count = self.count.lock();
        (*count < most.min(WATCHERS_MAX)).then(|| {
            *count += 1;
            Seat(Arc::clone(self))
        })
    }

    /// Lets every watcher look up at once.
    pub(super) fn wake(&self) {
        self.changed.notify_all();
    }

    fn wait(&self) {
        // Woken too early, a watcher looks once more than he must.
        let _ = self.changed.wait_for(&mut self.count.lock(), TICK);
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        *self.0.count.lock() -= 1;
    }
}

/// Tells one watcher until he leaves, the house drains, or another configuration is in service.
pub(super) fn serve(
    api: &Api,
    (state, eyes): (&State, Eyes<'_>),
    headers: &Fields,
    exchange: &mut Exchange<'_>,
) -> Told {
    let Some(seat) = api.watchers.sit(state.watchers_max) else {
        let words = "too many watch already: ask /v1/status again and again instead";
        let problem = Problem::new(503, words).code("too_many_watchers");
        return Told::problem(problem.retry_after(Duration::from_secs(1)), Dialect::Hapax);
    };
    let watchers = Arc::clone(&seat.0);
    exchange.on_leave(Arc::new(move || watchers.wake()));
    exchange.begin(200, headers);
    let mut last = Vec::new();
    let mut quiet = 0;
    for _ in 0..TICKS_MAX {
        let in_service = api.state();
        if exchange.left() || api.draining() || !std::ptr::eq(&raw const *in_service, state) {
            break;
        }
        let now = status::body(api, state, eyes);
        quiet += 1;
        let sent = if now != last {
            quiet = 0;
            let sent = exchange.write(&event(&now));
            last = now;
            sent
        } else if quiet >= QUIET_TICKS_MAX {
            quiet = 0;
            exchange.write(b":\n\n")
        } else {
            Ok(())
        };
        if sent.is_err() {
            break;
        }
        seat.0.wait();
    }
    // A watcher who has left has no use for the end.
    let _ = exchange.finish();
    Told { stream: true, ..Told::streamed(None) }
}

/// One server-sent event (HTML standard, section 9.2). JSON of ours has no line breaks.
fn event(json: &[u8]) -> Vec<u8> {
    [b"data: ", json, b"\n\n"].concat()
}
