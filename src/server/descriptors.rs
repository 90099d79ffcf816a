//! How many descriptors there may be, who gets them, and that the kernel has its table of them ready.
//!
//! A table that grows waits until no other thread looks at the one before (Linux, `expand_fdtable`: 4 to 8 ms), and
//! whoever needs a new descriptor waits with it. At 256 of them, at 512, at 1,024 and so on: of a burst of callers that was
//! a third. So it is made as large as it may become before they come. It never shrinks.

use rustix::fd::AsFd;
use rustix::process::{Resource, getrlimit};

/// Descriptors that neither a caller nor a call made for him takes: sockets, log, ledger, checks, watched files.
const HOUSE_DESCRIPTORS: usize = 32;
/// Connections being turned away at once.
pub(super) const SHED_MAX: usize = 64;

/// How many descriptors the process may have.
pub(super) fn most() -> usize {
    let most = getrlimit(Resource::Nofile).current;
    most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
}

/// Descriptors that calls for so many callers take: a worker makes one at a time, and one of its connections may rest.
fn calls(connections: usize, workers: usize) -> usize {
    connections.min(workers.saturating_mul(2))
}

/// Of so many: how many connections there may be at once, and how many being turned away. Each of the first takes a
/// descriptor, and so does each call that is made for them.
pub(super) fn shares(most: usize, wanted: usize, workers: usize) -> (usize, usize) {
    let shed = (most / 16).clamp(1, SHED_MAX);
    let left = most.saturating_sub(HOUSE_DESCRIPTORS + shed);
    let fit = (left / 2).max(left.saturating_sub(calls(left, workers)));
    (wanted.min(fit).max(1), shed)
}

/// How many descriptors these shares take, and the house.
pub(super) fn wanted(connections: usize, shed: usize, workers: usize) -> usize {
    connections.saturating_add(calls(connections, workers)).saturating_add(HOUSE_DESCRIPTORS + shed)
}

/// Has the kernel make room for so many descriptors: of eight bytes each. Waits as long as that takes.
pub(super) fn widen(any: impl AsFd, wanted: usize) {
    let last = wanted.min(most()).saturating_sub(1);
    if let Ok(last) = i32::try_from(last) {
        let _ = rustix::io::fcntl_dupfd_cloexec(any, last);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::event::{EventfdFlags, eventfd};

    #[test]
    fn the_table_has_its_room_beforehand() {
        let size = || {
            let status = std::fs::read_to_string("/proc/self/status").expect("it is readable");
            let line =
                status.lines().find_map(|line| line.strip_prefix("FDSize:")).expect("proc_pid_status(5)");
            line.trim().parse::<usize>().expect("a number")
        };
        // More than any other test's server asks for, if the process may have as many.
        let wanted = most().min(200_000);
        widen(eventfd(0, EventfdFlags::CLOEXEC).expect("a descriptor"), wanted);
        assert!(size() >= wanted, "{} of {wanted}", size());
    }

    #[test]
    fn a_caller_counts_for_two_descriptors_as_long_as_a_worker_may_call_for_each_and_some_are_the_house_s() {
        assert_eq!(shares(1000, 4096, 512), ((1000 - HOUSE_DESCRIPTORS - 62) / 2, 62));
        assert_eq!(shares(1000, 4096, 64), (1000 - HOUSE_DESCRIPTORS - 62 - 2 * 64, 62));
        assert_eq!(shares(1_000_000, 4096, 512), (4096, SHED_MAX));
        for most in [64, 1000, 2048, 20_000, 1_000_000] {
            for workers in [1, 64, 512, 8192, usize::MAX] {
                let (connections, shed) = shares(most, 16_384, workers);
                assert!(wanted(connections, shed, workers) <= most, "{most}, {workers}");
            }
        }
    }
}
