//! A stream that has nothing to say yet: its caller is told every so often that he is not forgotten.
//!
//! ```text
//!   Exchange::remind ─▶ the line's seat ─▶ poller, when due: head and a few bytes, then a few bytes again
//!                            └─ Exchange::recall, at the answer's first word: what was said so far
//! ```
//!
//! The worker waits for a provider meanwhile. Whoever holds the seat's lock writes to the socket.

use super::encode::{Extent, chunk};
use super::fields::Fields;
use super::hub::Hub;
use super::line::Line;
use super::message::Manner;
use rustix::fd::OwnedFd;
use rustix::io::Errno;
use rustix::net::{SendFlags, send};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

/// How such a stream begins: the head's fields, and bytes that mean nothing to the caller.
pub type Opening = (Fields, Vec<u8>);
/// Makes it, should it come to that.
pub type MakeOpening = Box<dyn FnOnce() -> Opening + Send>;

/// What is said in a worker's place.
pub(super) struct Reminder {
    pub(super) every: Duration,
    pub(super) manner: Manner,
    words: Words,
    /// Bytes that have left.
    pub(super) sent: u64,
    /// What the socket did not take yet.
    pub(super) unsent: Vec<u8>,
    /// The caller cannot be reached any more.
    pub(super) broken: bool,
}

enum Words {
    Unmade(MakeOpening),
    /// The head was made; this is said each time.
    Made(Extent, Vec<u8>),
    /// Making them failed: nothing is said.
    None,
}

impl Hub {
    /// A busy line's deadline has passed: its worker waits, and its caller is told something.
    pub(super) fn speak(&self, line: &Line, now: Instant) {
        // What the words are made by may panic, and then nothing is said.
        let spoken = catch_unwind(AssertUnwindSafe(|| line.speak(self, |every| self.moment(now + every))));
        if spoken.is_err() {
            line.deadline.store(0, Ordering::Release);
        }
    }
}

impl Reminder {
    pub(super) fn new(every: Duration, manner: Manner, make: MakeOpening) -> Self {
        Self { every, manner, words: Words::Unmade(make), sent: 0, unsent: Vec::new(), broken: false }
    }

    /// How the answer was begun, if it was.
    pub(super) fn begun(&self) -> Option<Extent> {
        match self.words {
            Words::Made(extent, _) => Some(extent),
            Words::Unmade(_) | Words::None => None,
        }
    }

    /// Says that the caller is not forgotten; nothing more as long as he has not taken what was said before.
    pub(super) fn say(&mut self, hub: &Hub, socket: &OwnedFd) {
        if self.broken {
            return;
        }
        if self.unsent.is_empty() {
            self.words = match std::mem::replace(&mut self.words, Words::None) {
                Words::Unmade(make) => {
                    let (fields, bytes) = make();
                    let extent = hub.begin(&mut self.unsent, (200, &fields), &mut self.manner);
                    Words::Made(extent, bytes)
                }
                other => other,
            };
            match &self.words {
                Words::Made(Extent::Chunked, bytes) => chunk(&mut self.unsent, bytes),
                Words::Made(_, bytes) => self.unsent.extend_from_slice(bytes),
                Words::Unmade(_) | Words::None => {}
            }
        }
        match send(socket, &self.unsent, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
            Ok(count) => {
                self.sent += count as u64;
                self.unsent.drain(..count);
            }
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => self.broken = true,
        }
    }
}
