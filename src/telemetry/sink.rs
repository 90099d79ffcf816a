//! Where log lines go: a bounded buffer emptied by one thread, so that a blocked or full log never delays a request.

use parking_lot::{Condvar, Mutex};
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Bytes of lines waiting to be written; past it lines are dropped and counted.
pub const WAITING_BYTES_MAX: usize = 1 << 20;
/// How long the writer gathers lines before it writes them in one call.
const GATHER: Duration = Duration::from_millis(5);
/// How much room a buffer keeps, times what it held last.
const ROOM_TIMES: usize = 4;
/// How long the end of the process waits for a blocked log.
const FAREWELL: Duration = Duration::from_secs(1);
/// The writer's stack. Of address space: it touches 8 KiB, and the allocator, built without optimisation, 48 KiB at once.
const STACK_BYTES: usize = 256 << 10;

/// The bounded buffer; clones share it.
#[derive(Clone)]
pub struct Sink {
    shared: Arc<Shared>,
}

struct Shared {
    /// Guards the waiting lines and the writer's state; held only to append or to swap.
    state: Mutex<State>,
    changed: Condvar,
    dropped: AtomicU64,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    idle: bool,
    closed: bool,
    ended: bool,
}

impl Sink {
    /// Starts the writer thread over `out`.
    ///
    /// # Errors
    /// When the thread cannot be started.
    pub fn start(out: impl Write + Send + 'static) -> std::io::Result<(Self, Writer)> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            dropped: AtomicU64::new(0),
        });
        let theirs = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("log".to_owned())
            .stack_size(STACK_BYTES)
            .spawn(move || write_all(&theirs, out))?;
        Ok((Self { shared: Arc::clone(&shared) }, Writer { shared, thread: Some(thread) }))
    }

    /// Adds one line (with its newline), or drops and counts it when the buffer is full.
    pub fn push(&self, line: &[u8]) {
        let mut state = self.shared.state.lock();
        if state.closed || state.waiting.len() + line.len() > WAITING_BYTES_MAX {
            drop(state);
            self.shared.dropped.fetch_add(1, Ordering::Relaxed);
            return;
        }
        state.waiting.extend_from_slice(line);
        let wake = std::mem::take(&mut state.idle);
        drop(state);
        if wake {
            self.shared.changed.notify_all();
        }
    }

    /// Lines dropped since the start.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

/// The writer thread's owner: closing it writes what waits.
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Writes what waits and joins the thread; a log that stays blocked is given up after a second.
    pub fn close(mut self) {
        let mut state = self.shared.state.lock();
        state.closed = true;
        self.shared.changed.notify_all();
        let _ = self.shared.changed.wait_while_for(&mut state, |state| !state.ended, FAREWELL);
        let ended = state.ended;
        drop(state);
        if let (true, Some(thread)) = (ended, self.thread.take()) {
            let _ = thread.join();
        }
    }
}

fn write_all(shared: &Shared, mut out: impl Write) {
    let mut batch = Vec::new();
    loop {
        {
            let mut state = shared.state.lock();
            while state.waiting.is_empty() && !state.closed {
                state.idle = true;
                shared.changed.wait(&mut state);
            }
            if !state.closed {
                let _ = shared.changed.wait_while_for(&mut state, |state| !state.closed, GATHER);
            }
            std::mem::swap(&mut state.waiting, &mut batch);
            if batch.is_empty() && state.closed {
                state.ended = true;
                shared.changed.notify_all();
                return;
            }
        }
        // Nobody is left to tell when the log itself fails; the line is lost, the service is not.
        if out.write_all(&batch).and_then(|()| out.flush()).is_err() {
            let lines = batch.iter().filter(|byte| **byte == b'\n').count() as u64;
            shared.dropped.fetch_add(lines, Ordering::Relaxed);
        }
        // Room for the next ones, of which there will be about as many.
        let room = batch.len().saturating_mul(ROOM_TIMES);
        batch.clear();
        batch.shrink_to(room);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    /// A log that takes nothing until told to.
    struct Blocked {
        gate: mpsc::Receiver<()>,
        written: mpsc::Sender<usize>,
    }

    impl Write for Blocked {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let _ = self.gate.recv();
            let _ = self.written.send(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_blocked_log_drops_and_counts_lines_past_its_limit_and_delays_nobody() {
        let (open, gate) = mpsc::channel();
        let (written, lengths) = mpsc::channel();
        let (sink, writer) = Sink::start(Blocked { gate, written }).expect("a thread can be started");
        let line = [b'x'; 1024];
        for _ in 0..4 * WAITING_BYTES_MAX / line.len() {
            sink.push(&line);
        }
        let waiting = sink.shared.state.lock().waiting.len();
        assert!(waiting <= WAITING_BYTES_MAX);
        let dropped = sink.dropped();
        assert!(dropped >= 2 * (WAITING_BYTES_MAX / line.len()) as u64, "only {dropped} dropped");
        drop(open);
        writer.close();
        let kept: usize = lengths.iter().sum();
        assert_eq!(kept + usize::try_from(dropped).expect("small") * line.len(), 4 * WAITING_BYTES_MAX);
    }

    #[test]
    fn closing_writes_what_waits() {
        let (written, lengths) = mpsc::channel();
        let (open, gate) = mpsc::channel();
        drop(open);
        let (sink, writer) = Sink::start(Blocked { gate, written }).expect("a thread can be started");
        sink.push(b"last words\n");
        writer.close();
        assert_eq!(lengths.iter().sum::<usize>(), 11);
    }
}
