//! A bounded queue with its workers: threads start when needed, the most recently used works first, idle ones end.

use super::gauges::Gauges;
use super::refusal::Refusal;
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};
use parking_lot::Mutex;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// What a worker does with each job; made anew for every thread.
pub(super) type Work<J> = Box<dyn FnMut(J) + Send>;

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

/// A lane: its queue and its workers.
pub(super) struct Pool<J> {
    core: Arc<Core<J>>,
}

struct Core<J> {
    name: &'static str,
    size: Size,
    gauges: Arc<Gauges>,
    /// Whether a queued job is still wanted.
    wanted: fn(&J) -> bool,
    /// Guards who is idle and who exists, and makes "queue it" and "nothing queued, so rest" exclude each other.
    state: Mutex<State<J>>,
    /// Jobs for whom there was no worker.
    backlog: (Sender<J>, Receiver<J>),
    /// Disconnected when the last worker has ended: every worker holds a sender.
    ended: Receiver<Infallible>,
}

struct State<J> {
    /// Mailboxes of resting workers, the most recently used last.
    idle: Vec<Sender<Letter<J>>>,
    handles: Vec<JoinHandle<()>>,
    started: usize,
    /// Threads that have not taken their first job yet.
    starting: usize,
    /// Some queued jobs are not wanted any more.
    stale: bool,
    /// `None` when the lane is closed.
    alive: Option<Sender<Infallible>>,
}

enum Letter<J> {
    Job(J),
    End,
}

impl<J: Send + 'static> Pool<J> {
    /// A lane without a thread.
    pub(super) fn new(name: &'static str, size: Size, gauges: Arc<Gauges>, wanted: fn(&J) -> bool) -> Self {
        let (alive, ended) = bounded(0);
        let state = State {
            idle: Vec::new(),
            handles: Vec::new(),
            started: 0,
            starting: 0,
            stale: false,
            alive: Some(alive),
        };
        let backlog = bounded(size.queue.saturating_add(size.workers).max(1));
        Self { core: Arc::new(Core { name, size, gauges, wanted, state: Mutex::new(state), backlog, ended }) }
    }

    /// Gives the job to a resting worker, a new one or the queue. `work` is asked for when a thread starts.
    ///
    /// # Errors
    /// When the queue is full, the lane is closed, or there is no thread at all and none can be started.
    pub(super) fn offer(&self, job: J, work: impl FnOnce() -> Work<J>) -> Result<(), Refusal> {
        let mut state = self.core.state.lock();
        let Some(alive) = state.alive.clone() else { return Err(Refusal::Draining) };
        if let Some(mailbox) = state.idle.pop() {
            drop(state);
            // A resting worker waits at its mailbox, which has room for one letter.
            return mailbox.send(Letter::Job(job)).map_err(|_| Refusal::NoWorker);
        }
        if state.started < self.core.size.workers {
            if let Some(handle) = self.core.start(alive, work()) {
                state.handles.retain(|handle| !handle.is_finished());
                state.handles.push(handle);
                state.started += 1;
                state.starting += 1;
                return self.core.backlog.0.try_send(job).map_err(|_| Refusal::QueueFull);
            }
            if state.started == 0 {
                return Err(Refusal::NoWorker);
            }
        }
        if self.core.is_full(&state) {
            if std::mem::take(&mut state.stale) {
                self.core.sift();
            }
            if self.core.is_full(&state) {
                return Err(Refusal::QueueFull);
            }
        }
        self.core.backlog.0.try_send(job).map_err(|_| Refusal::QueueFull)
    }

    /// A queued job is not wanted any more.
    pub(super) fn abandon(&self) {
        self.core.state.lock().stale = true;
    }

    /// Ends the workers once the queue is empty. No job is taken any more.
    pub(super) fn close(&self) {
        let mut state = self.core.state.lock();
        state.alive = None;
        for mailbox in state.idle.drain(..) {
            let _ = mailbox.send(Letter::End);
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

impl<J: Send + 'static> Core<J> {
    /// Those for whom a thread is starting do not count as waiting.
    fn is_full(&self, state: &State<J>) -> bool {
        self.backlog.1.len().saturating_sub(state.starting) >= self.size.queue
    }

    /// Drops the jobs that are not wanted any more. Call it with the state locked: then the order stays.
    fn sift(&self) {
        for _ in 0..self.backlog.1.len() {
            if let Some(job) = self.backlog.1.try_recv().ok().filter(self.wanted) {
                let _ = self.backlog.0.try_send(job);
            }
        }
    }

    fn start(self: &Arc<Self>, alive: Sender<Infallible>, mut work: Work<J>) -> Option<JoinHandle<()>> {
        let core = Arc::clone(self);
        let body = move || {
            let _alive = alive;
            core.gauges.threads.fetch_add(1, Ordering::Relaxed);
            let (mailbox, letters) = bounded(1);
            core.state.lock().starting -= 1;
            while let Some(job) = core.next(&mailbox, &letters) {
                // What a job breaks is its own; the worker lives on.
                let _ = catch_unwind(AssertUnwindSafe(|| work(job)));
            }
            core.gauges.threads.fetch_sub(1, Ordering::Relaxed);
        };
        Builder::new().name(self.name.to_owned()).stack_size(self.size.stack_bytes).spawn(body).ok()
    }

    /// The next job; `None` when this worker should end.
    fn next(&self, mailbox: &Sender<Letter<J>>, letters: &Receiver<Letter<J>>) -> Option<J> {
        {
            let mut state = self.state.lock();
            if let Ok(job) = self.backlog.1.try_recv() {
                return Some(job);
            }
            if state.alive.is_none() {
                state.started -= 1;
                return None;
            }
            state.idle.push(mailbox.clone());
        }
        let letter = match letters.recv_timeout(self.size.idle) {
            Ok(letter) => letter,
            Err(_) => {
                let mut state = self.state.lock();
                if let Some(at) = state.idle.iter().position(|other| other.same_channel(mailbox)) {
                    state.idle.remove(at);
                    state.started -= 1;
                    return None;
                }
                drop(state);
                // Somebody took our mailbox out in order to write: the letter is on its way.
                letters.recv().ok()?
            }
        };
        match letter {
            Letter::Job(job) => Some(job),
            Letter::End => {
                self.state.lock().started -= 1;
                None
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::TryRecvError;

    fn pool(workers: usize, queue: usize) -> Pool<Receiver<()>> {
        let size = Size { workers, queue, stack_bytes: 256 << 10, idle: Duration::from_secs(60) };
        Pool::new("test", size, Arc::default(), |job| {
            !job.is_empty() || job.try_recv() != Err(TryRecvError::Disconnected)
        })
    }

    /// A job that lasts until its sender is dropped.
    fn offer(pool: &Pool<Receiver<()>>, begun: &Sender<()>) -> Result<Sender<()>, Refusal> {
        let (hold, job) = bounded(0);
        let begun = begun.clone();
        pool.offer(job, move || {
            Box::new(move |job: Receiver<()>| {
                let _ = begun.send(());
                let _ = job.recv();
            })
        })?;
        Ok(hold)
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
        let (done, ends) = bounded(8);
        for _ in 0..20 {
            let (_, job) = bounded(0);
            let done = done.clone();
            let work = move || -> Work<Receiver<()>> {
                Box::new(move |_| {
                    let _ = done.send(());
                    std::panic::resume_unwind(Box::new("on purpose"));
                })
            };
            pool.offer(job, work).expect("taken");
            ends.recv().expect("every job is done");
            while pool.core.state.lock().idle.is_empty() {
                std::thread::yield_now();
            }
        }
        assert_eq!(pool.core.state.lock().started, 1);
        pool.close();
        assert!(pool.join(Duration::from_secs(60)));
    }
}
