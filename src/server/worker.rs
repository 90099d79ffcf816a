//! A worker's turn: takes a request out of its lane, lets the handler answer it, and goes on with the line.

use super::connection::{Ready, Step};
use super::exchange::{End, Exchange};
use super::hub::{After, Hub};
use super::line::{Line, Work};
use super::refusal::Refusal;
use super::turned::Turned;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// A worker's own buffers.
#[derive(Default)]
struct Bench {
    out: Vec<u8>,
    /// Made when it is first needed: most who stream never read.
    scratch: Vec<u8>,
}

impl Hub {
    /// What a worker does.
    pub(super) fn hire(self: Arc<Self>) -> super::lane::Work<Arc<Line>> {
        let mut bench = Bench::default();
        Box::new(move |line| self.serve(&line, &mut bench))
    }

    /// A worker's turn: the handler answers, then the line goes on.
    fn serve(self: &Arc<Self>, line: &Arc<Line>, bench: &mut Bench) {
        let Some(mut work) = self.take_queued(line) else { return };
        line.deadline.store(0, Ordering::Release);
        let now = self.clock.now();
        let step = if now > self.queue_end(&work) {
            self.waited_too_long(line, &mut work)
        } else {
            self.handle(line, &mut work, &mut bench.out, now)
        };
        let mut after = match step {
            Ok(step) => self.go_on(line, work, step, &mut bench.scratch),
            Err(after) => after,
        };
        while let After::Again(work) = after {
            after = self.go_on(line, work, Step::Wait, &mut bench.scratch);
        }
        if let After::Remove = after {
            self.leaving.lock().push(line.id);
            self.ring();
        }
    }

    fn queue_end(&self, work: &Work) -> Instant {
        let received = work.ready.as_ref().map_or(self.epoch, |ready| ready.request.received);
        received + self.limits.queue_wait_max
    }

    fn handle(&self, line: &Line, work: &mut Work, out: &mut Vec<u8>, now: Instant) -> Result<Step, After> {
        let Some(mut ready) = work.ready.take() else { return Err(After::Remove) };
        let Ready { request, manner } = &mut *ready;
        let manner = *manner;
        self.gauges.workers_busy.fetch_add(1, Ordering::Relaxed);
        let mut exchange = Exchange::new(self, (line, now), out, manner);
        let handled = catch_unwind(AssertUnwindSafe(|| self.handler.handle(request, &mut exchange)));
        let ended = exchange.ended();
        let end = exchange.conclude();
        self.gauges.workers_busy.fetch_sub(1, Ordering::Relaxed);
        // Told and counted also where it is too late to say so to the caller.
        let apology = (handled.is_err() || end == End::Unanswered)
            .then(|| self.word(Refusal::Panicked, Some(Turned::request(&ready))));
        match end {
            End::Keep => {
                work.connection.reuse(ready);
                Ok(work.connection.answered(ended))
            }
            End::Close => {
                self.linger(line, work);
                Ok(Step::Wait)
            }
            End::Cut => {
                cut(line);
                Err(After::Remove)
            }
            End::Unanswered => self.reply(line, work, &apology.unwrap_or_default(), manner),
        }
    }
}

/// Closing resets the connection: also a stream that ends with its connection then does not look complete.
fn cut(line: &Line) {
    let _ = rustix::net::sockopt::set_socket_linger(&line.socket, Some(Duration::ZERO));
}
