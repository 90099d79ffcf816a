//! What the pure functions on a request's way cost: nanoseconds, and allocations held against a budget.
//!
//! A small harness of our own: what Criterion would add is statistics of times, and times here are only looked at.
//! Allocations are exact, the same on every machine, and a step above its budget ends with status 1.

mod steps;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

struct Counting;

static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: every call goes to the system's allocator as it came; counting touches no memory of its own.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }

    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Relaxed);
        unsafe { System.realloc(memory, layout, size) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// One thing that is measured.
pub struct Step {
    pub name: &'static str,
    /// Allocations it may make, growing ones included.
    pub allocations_max: u64,
    pub run: Box<dyn FnMut()>,
}

/// A step whose result is looked at and dropped.
pub fn step<T>(name: &'static str, allocations_max: u64, mut run: impl FnMut() -> T + 'static) -> Step {
    Step { name, allocations_max, run: Box::new(move || drop(black_box(run()))) }
}

const WARM: u32 = 2_000;
const ROUNDS: u32 = 15;
const ROUND: Duration = Duration::from_millis(10);

/// Allocations of one run, and the median of its time in nanoseconds.
fn measure(run: &mut dyn FnMut()) -> (u64, f64) {
    (0..WARM).for_each(|_| run());
    let before = ALLOCATIONS.load(Relaxed);
    run();
    let allocations = ALLOCATIONS.load(Relaxed) - before;
    let mut times: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let (begun, mut times) = (Instant::now(), 0_u32);
            while begun.elapsed() < ROUND {
                (0..64).for_each(|_| run());
                times += 64;
            }
            begun.elapsed().as_nanos() as f64 / f64::from(times)
        })
        .collect();
    times.sort_by(f64::total_cmp);
    (allocations, times[times.len() / 2])
}

fn main() {
    let mut over = false;
    println!("| operation | ns | allocations | budget |\n|---|---|---|---|");
    for mut step in steps::all() {
        let (allocations, nanoseconds) = measure(&mut step.run);
        let mark = if allocations > step.allocations_max { " **over**" } else { "" };
        over |= !mark.is_empty();
        println!("| {} | {nanoseconds:.0} | {allocations} | {}{mark} |", step.name, step.allocations_max);
    }
    if over {
        eprintln!("more allocations than the budget allows: find out why, or change the budget and say why");
        std::process::exit(1);
    }
}
