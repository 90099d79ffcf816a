//! A socket's buffers: small until more is needed, lent by the thread that makes the call, given back at rest.
//!
//! A thread makes one call at a time, so as many buffers exist as calls are under way, however many connections rest.

use std::cell::Cell;
use ureq::unversioned::transport::Buffers;

/// What is read at once to begin with; an answer that fills it gets more, and what a thread has once got it keeps.
const INPUT_BYTES_MIN: usize = 1024;
/// What is read at once at most; also bounds a response's head.
pub(super) const INPUT_BYTES_MAX: usize = 32 * 1024;
/// Room for what is written, to begin with: a head and a short body.
const OUTPUT_BYTES_MIN: usize = 4 * 1024;
/// The room for more than that. When it is used up, what is gathered is sent.
const OUTPUT_BYTES_MAX: usize = 32 * 1024;
/// Never offer less room to write than this: a line of a head must fit.
const ROOM_BYTES_MIN: usize = 2 * 1024;

/// The buffers of one call. Writes are gathered behind one another until they are [`Pages::sent`].
#[derive(Default)]
pub(super) struct Pages {
    input: Vec<u8>,
    filled: usize,
    consumed: usize,
    /// The last read filled all the room there was.
    short: bool,
    /// The last look at the input used some of it.
    progress: bool,
    output: Vec<u8>,
    gathered: usize,
}

thread_local! {
    /// This thread's buffers while it makes no call: under TLS there are two, of records and of plain text.
    static SPARE: [Cell<Option<Pages>>; 2] = const { [Cell::new(None), Cell::new(None)] };
}

impl Pages {
    /// This thread's buffers, or new ones.
    pub(super) fn lend() -> Self {
        SPARE.try_with(|[one, other]| one.take().or_else(|| other.take())).ok().flatten().unwrap_or_default()
    }

    /// Takes this thread's buffers where there are none.
    pub(super) fn take_up(&mut self) {
        if self.input.is_empty() && self.output.is_empty() {
            *self = Self::lend();
        }
    }

    /// Leaves them to this thread's next call, unless something in them is still wanted.
    pub(super) fn give_back(&mut self) {
        if !self.input().is_empty() || self.gathered > 0 || self.input.is_empty() {
            return;
        }
        let mut pages = std::mem::take(self);
        (pages.filled, pages.consumed, pages.short, pages.progress) = (0, 0, false, false);
        // A thread that is ending keeps nothing.
        let _ = SPARE.try_with(|[one, other]| {
            let before = one.replace(Some(pages));
            if before.is_some() {
                other.set(before);
            }
        });
    }

    /// A page to write a head on, in place of gathering; [`Pages::seal`] makes it what is to be sent.
    pub(super) fn letter(&mut self) -> &mut Vec<u8> {
        &mut self.output
    }

    /// All of the letter is to be sent.
    pub(super) fn seal(&mut self) {
        self.gathered = self.output.len();
    }

    /// An empty page for a letter: the one answers are read onto, if nothing is on that. They take turns.
    pub(super) fn clear(&mut self) {
        self.take_turns();
        self.gathered = 0;
        self.output.clear();
        self.output.reserve(INPUT_BYTES_MIN);
    }

    fn take_turns(&mut self) {
        if self.output.capacity() == 0 && self.input().is_empty() {
            std::mem::swap(&mut self.output, &mut self.input);
            (self.filled, self.consumed) = (0, 0);
        }
    }

    /// The letter has left; its page makes room for the answer.
    pub(super) fn posted(&mut self) {
        self.gathered = 0;
        if self.input.is_empty() {
            std::mem::swap(&mut self.output, &mut self.input);
        }
        self.output.clear();
    }

    /// Adds the first bytes of [`Buffers::output`] to what is gathered; whether it is time to send.
    pub(super) fn gather(&mut self, amount: usize) -> bool {
        self.gathered += amount;
        self.gathered + ROOM_BYTES_MIN > OUTPUT_BYTES_MAX
    }

    /// What waits to be sent.
    pub(super) fn gathered(&self) -> &[u8] {
        &self.output[..self.gathered]
    }

    /// Nothing of it waits any more.
    pub(super) fn sent(&mut self) {
        self.gathered = 0;
    }
}

impl Buffers for Pages {
    fn output(&mut self) -> &mut [u8] {
        self.take_turns();
        if self.output.len() - self.gathered < ROOM_BYTES_MIN {
            let is_short = self.output.len() < OUTPUT_BYTES_MIN && self.gathered == 0;
            let bytes = if is_short { OUTPUT_BYTES_MIN } else { OUTPUT_BYTES_MAX };
            self.output.resize(bytes, 0);
        }
        &mut self.output[self.gathered..]
    }

    fn input(&self) -> &[u8] {
        &self.input[self.consumed..self.filled]
    }

    fn input_append_buf(&mut self) -> &mut [u8] {
        if self.consumed == self.filled {
            (self.consumed, self.filled) = (0, 0);
        } else if self.consumed > 0 && self.filled == self.input.len() {
            self.input.copy_within(self.consumed..self.filled, 0);
            self.filled -= self.consumed;
            self.consumed = 0;
        }
        let wanted = if std::mem::take(&mut self.short) || self.filled == self.input.len() {
            (self.input.len() * 2).clamp(INPUT_BYTES_MIN, INPUT_BYTES_MAX)
        } else {
            INPUT_BYTES_MIN
        };
        if self.input.len() < wanted {
            self.input.resize(wanted, 0);
        }
        &mut self.input[self.filled..]
    }

    fn input_appended(&mut self, amount: usize) {
        self.filled += amount;
        self.short = amount > 0 && self.filled == self.input.len();
    }

    fn input_consume(&mut self, amount: usize) {
        self.progress = amount > 0;
        self.consumed += amount;
    }

    fn tmp_and_output(&mut self) -> (&mut [u8], &mut [u8]) {
        self.output();
        self.input_append_buf();
        (&mut self.input[self.filled..], &mut self.output[self.gathered..])
    }

    fn can_use_input(&self) -> bool {
        self.consumed < self.filled && self.progress
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_grows_only_for_answers_that_fill_it_and_no_further_than_its_bound() {
        let mut pages = Pages::default();
        assert_eq!(pages.input_append_buf().len(), INPUT_BYTES_MIN);
        pages.input_appended(100);
        pages.input_consume(100);
        assert_eq!(pages.input_append_buf().len(), INPUT_BYTES_MIN);
        for _ in 0..8 {
            let room = pages.input_append_buf().len();
            pages.input_appended(room);
            pages.input_consume(room);
        }
        assert_eq!(pages.input_append_buf().len(), INPUT_BYTES_MAX);
        pages.input_appended(INPUT_BYTES_MAX);
        assert_eq!(pages.input_append_buf().len(), 0, "nothing was used of it: there is no more room");
        pages.input_consume(1_000);
        assert_eq!(pages.input_append_buf().len(), 1_000);
        assert_eq!(pages.input().len(), INPUT_BYTES_MAX - 1_000);
    }

    #[test]
    fn output_is_gathered_until_it_is_much() {
        let mut pages = Pages::default();
        pages.output()[..3].copy_from_slice(b"abc");
        assert!(!pages.gather(3));
        pages.output()[..2].copy_from_slice(b"de");
        assert!(!pages.gather(2));
        assert_eq!(pages.gathered(), b"abcde");
        let mut gathered = 5;
        loop {
            let room = pages.output().len();
            assert!(room >= ROOM_BYTES_MIN);
            gathered += room;
            if pages.gather(room) {
                break;
            }
        }
        assert!((OUTPUT_BYTES_MAX - ROOM_BYTES_MIN..=OUTPUT_BYTES_MAX).contains(&gathered), "{gathered}");
        pages.sent();
        assert!(pages.gathered().is_empty());
    }

    #[test]
    fn a_threads_buffers_serve_its_next_call_if_nothing_is_in_them() {
        let mut pages = Pages::lend();
        pages.input_append_buf();
        pages.input_appended(1);
        pages.give_back();
        assert_eq!(pages.input().len(), 1, "a byte that is still wanted stays");
        pages.input_consume(1);
        pages.give_back();
        assert!(pages.input.is_empty());
        assert_eq!(Pages::lend().input.len(), INPUT_BYTES_MIN);
        assert!(Pages::lend().input.is_empty());
    }

    #[test]
    fn letters_and_answers_take_turns_on_one_page_unless_something_is_unread() {
        let mut pages = Pages::default();
        pages.clear();
        let page = pages.letter().as_ptr();
        for round in 0..2 {
            pages.letter().extend_from_slice(b"a letter");
            pages.seal();
            assert_eq!(pages.gathered(), b"a letter");
            pages.posted();
            assert!(pages.gathered().is_empty());
            let room = pages.input_append_buf();
            assert_eq!((room.as_ptr(), room.len()), (page, INPUT_BYTES_MIN), "round {round}");
            room[..6].copy_from_slice(b"answer");
            pages.input_appended(6);
            if round == 0 {
                pages.input_consume(6);
            }
            pages.clear();
        }
        pages.letter().extend_from_slice(b"another");
        assert_eq!(pages.input(), b"answer");
    }
}
