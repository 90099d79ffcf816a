//! A bounded queue with its workers: threads start when needed, one is woken at a time, idle ones end.
//!
//! Whoever queues a job wakes one worker; a worker that takes a job and leaves others behind wakes the next. So there
//! is at most one call under way: jobs that are quickly done are done by few threads, without switching between them,
//! and jobs that block get as many as they need. The most recently used worker is called first: its stack is warm.

use super::gauges::Gauges;
use super::refusal::Refusal;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::{Mutex, MutexGuard};
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle, Thread, current, park_timeout};
use std::time::Duration;

/// Of threads that have ended, so many stacks may lie about: 20 KiB each.
const UNSWEPT_MAX: usize = 16;
/// More than all the stacks together that the C library keeps, which is 40 MiB. Addresses: nothing is written there.
const SWEEP_STACK_BYTES: usize = 48 << 20;

/// What a worker does with each job.
pub(super) type Work<J> = Box<dyn FnMut(J)>;

/// How large a pool may become.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Threads.
    pub(super) workers: usize,
    /// Jobs waiting for one.
    pub(super) queue: usize,
    /// Bytes of stack of each.
    pub(super) stack_bytes: usize,
    /// A worker without work for this long ends.
    pub(super) idle: Duration,
}

/// A lane: its queue and its workers, who share an office of type `O`.
pub(super) struct Pool<J, O> {
    core: Arc<Core<J, O>>,
}

struct Core<J, O> {
    name: &'static str,
    size: Size,
    gauges: Arc<Gauges>,
    /// What a new worker does with its jobs.
    hire: fn(Arc<O>) -> Work<J>,
    /// Whether a queued job is still wanted.
    wanted: fn(&J) -> bool,
    /// Guards who is idle and who exists, and makes "queue it" and "nothing queued, so rest" exclude each other.
    state: Mutex<State>,
    /// Jobs nobody has taken yet.
    backlog: (Sender<J>, Receiver<J>),
    /// Disconnected when the last worker has ended: every worker holds a sender.
    ended: Receiver<Infallible>,
}

struct State {
    /// Resting workers, the most recently used last.
    idle: Vec<Arc<Seat>>,
    handles: Vec<JoinHandle<()>>,
    /// Threads that exist.
    started: usize,
    /// Threads that have a job.
    busy: usize,
    /// Threads that have ended since the last sweep.
    unswept: usize,
    /// A worker was called or started and has not come yet.
    calling: bool,
    /// Some queued jobs are not wanted any more.
    stale: bool,
    /// `None` when the lane is closed.
    alive: Option<Sender<Infallible>>,
}

/// Where a worker rests.
struct Seat {
    called: AtomicBool,
    thread: Thread,
}

impl<J: Send + 'static, O: Send + Sync + 'static> Pool<J, O> {
    /// A lane without a thread.
    pub(super) fn new(
        (name, size): (&'static str, Size),
        gauges: Arc<Gauges>,
        hire: fn(Arc<O>) -> Work<J>,
        wanted: fn(&J) -> bool,
    ) -> Self {
        let (alive, ended) = bounded(0);
        let state = State {
            idle: Vec::new(),
            handles: Vec::new(),
            started: 0,
            busy: 0,
            unswept: 0,
            calling: false,
            stale: false,
            alive: Some(alive),
        };
        let backlog = bounded(size.queue.saturating_add(size.workers).max(1));
        Self {
            core: Arc::new(Core {
                name,
                size,
                gauges,
                hire,
                wanted,
                state: Mutex::new(state),
                backlog,
                ended,
            }),
        }
    }

    /// Queues a job and sees to it that somebody comes for it. `office` is for threads that start.
    ///
    /// # Errors
    /// When the queue is full, the lane is closed, or there is no thread at all and none can be started.
    pub(super) fn offer(&self, job: J, office: &Arc<O>) -> Result<(), Refusal> {
        let mut state = self.core.state.lock();
        if state.alive.is_none() {
            return Err(Refusal::Draining);
        }
        if self.core.is_full(&state) && std::mem::take(&mut state.stale) {
            self.core.sift();
        }
        if self.core.is_full(&state) || self.core.backlog.0.try_send(job).is_err() {
            return Err(Refusal::QueueFull);
        }
        if state.calling || self.core.call(state, office) {
            return Ok(());
        }
        // Nobody exists who would come later.
        let _ = self.core.backlog.1.try_recv();
        Err(Refusal::NoWorker)
    }

    /// A queued job is not wanted any more.
    pub(super) fn abandon(&self) {
        self.core.state.lock().stale = true;
    }

    /// Ends the workers once the queue is empty. No job is taken any more.
    pub(super) fn close(&self) {
        let mut state = self.core.state.lock();
        state.alive = None;
        for seat in state.idle.drain(..) {
            seat.call();
        }
    }

    /// Waits, at most this long, until every worker has ended; says whether they have.
    pub(super) fn join(&self, patience: Duration) -> bool {
        if self.core.ended.recv_timeout(patience) == Err(RecvTimeoutError::Timeout) {
            return false;
        }
        let handles = std::mem::take(&mut self.core.state.lock().handles);
        handles.into_iter().all(|handle| handle.join().is_ok())
    }
}

impl<J: Send + 'static, O: Send + Sync + 'static> Core<J, O> {
    fn is_full(&self, state: &State) -> bool {
        self.backlog.1.len() + state.busy >= self.size.queue + self.size.workers
    }

    /// Drops the jobs that are not wanted any more. Call it with the state locked: then the order stays.
    fn sift(&self) {
        for _ in 0..self.backlog.1.len() {
            if let Some(job) = self.backlog.1.try_recv().ok().filter(self.wanted) {
                let _ = self.backlog.0.try_send(job);
            }
        }
    }

    /// Calls the most recently used resting worker, or starts one. False when there is none and none can be started.
    fn call(self: &Arc<Self>, mut state: MutexGuard<'_, State>, office: &Arc<O>) -> bool {
        if let Some(seat) = state.idle.pop() {
            state.calling = true;
            drop(state);
            seat.call();
            return true;
        }
        if state.started < self.size.workers
            && let Some(alive) = state.alive.clone()
            && let Ok(handle) = self.start(alive, Arc::clone(office))
        {
            state.calling = true;
            state.handles.push(handle);
            state.started += 1;
            // In a burst nobody has ended, and nothing is looked through.
            if state.handles.len() > state.started {
                state.handles.retain(|handle| !handle.is_finished());
            }
        }
        state.started > 0
    }

    fn start(self: &Arc<Self>, alive: Sender<Infallible>, office: Arc<O>) -> std::io::Result<JoinHandle<()>> {
        let core = Arc::clone(self);
        let body = move || {
            let _alive = alive;
            core.gauges.threads.fetch_add(1, Ordering::Relaxed);
            let mut work = (core.hire)(Arc::clone(&office));
            let seat = Arc::new(Seat { called: AtomicBool::new(false), thread: current() });
            let mut job = core.next(&office, &seat, Came::Called);
            while let Some(present) = job {
                // What a job breaks is its own; the worker lives on.
                let _ = catch_unwind(AssertUnwindSafe(|| work(present)));
                job = core.next(&office, &seat, Came::Done);
            }
            core.gauges.threads.fetch_sub(1, Ordering::Relaxed);
        };
        Builder::new().name(self.name.to_owned()).stack_size(self.size.stack_bytes).spawn(body)
    }

    /// The next job; `None` when this worker should end.
    fn next(self: &Arc<Self>, office: &Arc<O>, seat: &Arc<Seat>, mut came: Came) -> Option<J> {
        loop {
            let mut state = self.state.lock();
            match came {
                Came::Called => state.calling = false,
                Came::Done => state.busy -= 1,
                Came::Tired => {
                    let resting = state.idle.iter().position(|other| Arc::ptr_eq(other, seat));
                    // Nowhere among the resting: the call is on its way.
                    if let Some(at) = resting {
                        state.idle.remove(at);
                        state.started -= 1;
                        // A handle keeps its thread's stack, also when the thread has ended.
                        state.handles.retain(|handle| !handle.is_finished());
                        state.unswept += 1;
                        if state.unswept == UNSWEPT_MAX || state.started == 0 {
                            state.unswept = 0;
                            drop(state);
                            sweep();
                        }
                        return None;
                    }
                    state.calling = false;
                    seat.called.store(false, Ordering::Release);
                }
            }
            if let Ok(job) = self.backlog.1.try_recv() {
                state.busy += 1;
                if !state.calling && !self.backlog.1.is_empty() {
                    self.call(state, office);
                }
                return Some(job);
            }
            if state.alive.is_none() {
                state.started -= 1;
                return None;
            }
            state.idle.push(Arc::clone(seat));
            drop(state);
            came = seat.rest(self.size.idle);
        }
    }
}

/// Gives back the stacks of threads that have ended. The C library keeps them for the next ones, the pages that were in
/// use included, until they exceed its bound; then it lets go of the oldest first. One that is larger than the bound
/// pushes out every other, and is not kept itself.
fn sweep() {
    let broom = Builder::new().name("sweep".to_owned()).stack_size(SWEEP_STACK_BYTES).spawn(|| {});
    // Where none can be started, the stacks stay for the next threads.
    let _ = broom.map(JoinHandle::join);
}

/// Why a worker asks for a job.
enum Came {
    /// It was called or has just started.
    Called,
    /// It has finished one.
    Done,
    /// It has rested long enough, or was disturbed.
    Tired,
}

impl Seat {
    fn call(&self) {
        self.called.store(true, Ordering::Release);
        self.thread.unpark();
    }

    fn rest(&self, at_most: Duration) -> Came {
        park_timeout(at_most);
        if self.called.swap(false, Ordering::AcqRel) { Came::Called } else { Came::Tired }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::TryRecvError;

    /// A job says when it begins, lasts until its sender is dropped, and then panics.
    struct Job {
        hold: Receiver<()>,
        begun: Sender<()>,
    }

    /// New workers wait at the gate, their office, until its other end is dropped.
    fn pool(workers: usize, queue: usize) -> Pool<Job, Receiver<()>> {
        pool_with(Size { workers, queue, stack_bytes: 256 << 10, idle: Duration::from_secs(60) })
    }

    fn pool_with(size: Size) -> Pool<Job, Receiver<()>> {
        let hire = |gate: Arc<Receiver<()>>| -> Work<Job> {
            let _ = gate.recv();
            Box::new(|job| {
                let _ = job.begun.send(());
                let _ = job.hold.recv();
                std::panic::resume_unwind(Box::new("on purpose"));
            })
        };
        Pool::new(("test", size), Arc::default(), hire, |job| {
            job.hold.try_recv() != Err(TryRecvError::Disconnected)
        })
    }

    fn offer(pool: &Pool<Job, Receiver<()>>, begun: &Sender<()>) -> Result<Sender<()>, Refusal> {
        offer_at(pool, begun, &Arc::new(bounded(0).1))
    }

    fn offer_at(
        pool: &Pool<Job, Receiver<()>>,
        begun: &Sender<()>,
        gate: &Arc<Receiver<()>>,
    ) -> Result<Sender<()>, Refusal> {
        let (release, hold) = bounded(0);
        pool.offer(Job { hold, begun: begun.clone() }, gate)?;
        Ok(release)
    }

    #[test]
    fn a_worker_that_leaves_jobs_behind_calls_the_next() {
        let pool = pool(3, 0);
        let (begun, beginnings) = bounded(8);
        let (open, gate) = bounded(0);
        let gate = Arc::new(gate);
        let holds: Vec<_> = (0..3).map(|_| offer_at(&pool, &begun, &gate).expect("room")).collect();
        assert_eq!(pool.core.state.lock().started, 1, "one call at a time");
        drop(open);
        for _ in 0..3 {
            beginnings.recv_timeout(Duration::from_secs(20)).expect("each job begins while the others last");
        }
        drop(holds);
        pool.close();
        assert!(pool.join(Duration::from_secs(60)));
    }

    #[test]
    fn workers_start_when_needed_then_jobs_queue_then_they_are_refused() {
        let pool = pool(2, 1);
        let (begun, beginnings) = bounded(8);
        let first = offer(&pool, &begun).expect("a worker");
        beginnings.recv().expect("the first begins");
        let second = offer(&pool, &begun).expect("a second worker");
        beginnings.recv().expect("the second begins");
        let third = offer(&pool, &begun).expect("room in the queue");
        assert_eq!(offer(&pool, &begun).err(), Some(Refusal::QueueFull));
        drop(first);
        beginnings.recv().expect("the third begins");
        assert_eq!(pool.core.gauges.threads.load(Ordering::Relaxed), 2);
        drop((second, third));
        pool.close();
        assert!(pool.join(Duration::from_secs(60)));
        assert_eq!(offer(&pool, &begun).err(), Some(Refusal::Draining));
    }

    #[test]
    fn of_workers_that_have_ended_nothing_is_kept() {
        let idle = Duration::from_millis(1);
        let pool = pool_with(Size { workers: 2, queue: 0, stack_bytes: 256 << 10, idle });
        let (begun, beginnings) = bounded(8);
        let [first, second] = [(); 2].map(|()| {
            let hold = offer(&pool, &begun).expect("a worker");
            beginnings.recv().expect("it begins");
            hold
        });
        let ended = || pool.core.state.lock().handles.iter().filter(|handle| handle.is_finished()).count();
        drop(first);
        while ended() == 0 {
            std::thread::yield_now();
        }
        drop(second);
        while pool.core.state.lock().started > 0 {
            std::thread::yield_now();
        }
        assert_eq!(pool.core.state.lock().handles.len(), 1, "the last one's own");
        pool.close();
        assert!(pool.join(Duration::from_secs(60)));
    }

    #[test]
    fn the_stacks_of_workers_that_have_ended_go_back_to_the_kernel() {
        const WORKERS: usize = 38;
        // Of a size nobody else has, to be told apart; together they are less than the C library keeps.
        const STACK_BYTES: usize = (1 << 20) + (12 << 10);
        let stacks = || {
            let maps = std::fs::read_to_string("/proc/self/maps").expect("it is readable");
            let ranges = maps.lines().filter_map(|line| line.split(' ').next()?.split_once('-'));
            let address = |text| usize::from_str_radix(text, 16).expect("an address");
            ranges.filter(|(from, to)| address(to) - address(from) == STACK_BYTES).count()
        };
        let idle = Duration::from_millis(1);
        let pool = pool_with(Size { workers: WORKERS, queue: 0, stack_bytes: STACK_BYTES, idle });
        let (begun, beginnings) = bounded(WORKERS);
        let hire = || {
            let hold = offer(&pool, &begun).expect("a worker");
            beginnings.recv().expect("it begins");
            hold
        };
        let holds: Vec<_> = (0..WORKERS).map(|_| hire()).collect();
        // Some may have found a stack of another test's.
        assert!(stacks() > WORKERS - 8, "{} of {WORKERS}", stacks());
        drop(holds);
        while pool.core.state.lock().started > 0 {
            std::thread::yield_now();
        }
        pool.close();
        assert!(pool.join(Duration::from_secs(60)));
        // The last one's own, and what other tests' threads have taken over.
        assert!(stacks() < UNSWEPT_MAX, "{} of {WORKERS}", stacks());
    }

    #[test]
    fn a_job_that_is_not_wanted_any_more_makes_room() {
        let pool = pool(1, 2);
        let (begun, beginnings) = bounded(8);
        let first = offer(&pool, &begun).expect("a worker");
        beginnings.recv().expect("the first begins");
        let second = offer(&pool, &begun).expect("room in the queue");
        let third = offer(&pool, &begun).expect("room in the queue");
        drop(second);
        pool.abandon();
        let fourth = offer(&pool, &begun).expect("room again");
        assert_eq!(offer(&pool, &begun).err(), Some(Refusal::QueueFull));
        drop((first, third, fourth));
        pool.close();
        assert!(pool.join(Duration::from_secs(60)));
    }

    #[test]
    fn a_resting_worker_is_used_again_and_a_panicking_job_does_not_end_it() {
        let pool = pool(8, 8);
        let (begun, beginnings) = bounded(8);
        for _ in 0..20 {
            drop(offer(&pool, &begun).expect("taken"));
            beginnings.recv().expect("every job is done");
            while pool.core.state.lock().idle.is_empty() {
                std::thread::yield_now();
            }
        }
        assert_eq!(pool.core.state.lock().started, 1);
        pool.close();
        assert!(pool.join(Duration::from_secs(60)));
    }
}
