//! Many callers at once: threads that take numbers until there are none left.

use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::Builder;

/// Stack of one caller's thread.
const STACK_BYTES: usize = 512 << 10;

/// Runs `work` for every number below `count`, on this many threads; each has a `state` of its own, such as a
/// connection. Returns the states.
pub fn crowd<S: Send>(
    threads: usize,
    count: u64,
    state: impl Fn(usize) -> S + Sync,
    work: impl Fn(&mut S, u64) + Sync,
) -> Result<Vec<S>, String> {
    let next = AtomicU64::new(0);
    std::thread::scope(|scope| {
        let (next, state, work) = (&next, &state, &work);
        let caller = |index: usize| {
            move || {
                let mut state = state(index);
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= count {
                        return state;
                    }
                    work(&mut state, number);
                }
            }
        };
        let mut running = Vec::new();
        for index in 0..threads {
            let builder = Builder::new().name(format!("caller-{index}")).stack_size(STACK_BYTES);
            running.push(builder.spawn_scoped(scope, caller(index)).map_err(|error| error.to_string())?);
        }
        let ended =
            running.into_iter().map(|thread| thread.join().map_err(|_| "a caller panicked".to_owned()));
        ended.collect()
    })
}
