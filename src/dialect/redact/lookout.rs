//! Rules in service for one direction, and what looking needs, kept from text to text: the automata are built while they
//! look, and what one text taught them serves the next.

use crate::domain::redact::{Redaction, Scratch};
use std::sync::{Arc, Mutex};

/// No more are kept between texts; more are in use when more texts are looked through at once.
const SPARE_MAX: usize = 32;
/// A larger one is not kept; with the usual rules it is a tenth of this.
const SPARE_BYTES_MAX: usize = 512 << 10;

/// Rules in service for one direction.
#[derive(Debug)]
pub struct Lookout {
    redaction: Redaction,
    /// What nobody looks with at present. Held to push or pop.
    spare: Mutex<Vec<Scratch>>,
}

impl Lookout {
    /// Puts rules into service.
    #[must_use]
    pub fn new(redaction: Redaction) -> Arc<Self> {
        Arc::new(Self { redaction, spare: Mutex::new(Vec::new()) })
    }

    /// The rules' names, by number.
    #[must_use]
    pub fn names(&self) -> &[String] {
        self.redaction.rules.names()
    }

    /// Nothing found yet, by rule.
    #[must_use]
    pub fn counts(&self) -> Vec<u64> {
        self.redaction.rules.counts()
    }

    /// The means to look through one text or stream.
    pub(super) fn lend(self: &Arc<Self>) -> Lent {
        let spare = self.spare.lock().ok().and_then(|mut spare| spare.pop());
        let scratch = spare.unwrap_or_else(|| self.redaction.rules.scratch());
        Lent { lookout: Arc::clone(self), scratch: Some(scratch) }
    }

    fn take_back(&self, scratch: Scratch) {
        if scratch.bytes() > SPARE_BYTES_MAX {
            return;
        }
        if let Ok(mut spare) = self.spare.lock()
            && spare.len() < SPARE_MAX
        {
            spare.push(scratch);
        }
    }
}

/// Rules and what looking for them needs, given back when it is dropped.
pub(super) struct Lent {
    lookout: Arc<Lookout>,
    /// Taken by the drop alone.
    scratch: Option<Scratch>,
}

impl Lent {
    /// What is done with what is found, and the means to find it.
    pub(super) fn parts(&mut self) -> (&Redaction, &mut Scratch) {
        let redaction = &self.lookout.redaction;
        (redaction, self.scratch.get_or_insert_with(|| redaction.rules.scratch()))
    }

    pub(super) fn redaction(&self) -> &Redaction {
        &self.lookout.redaction
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(scratch) = self.scratch.take() {
            self.lookout.take_back(scratch);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::redaction;
    use super::*;
    use crate::domain::redact::Mode;

    fn spare(lookout: &Lookout) -> usize {
        lookout.spare.lock().expect("nobody panicked").len()
    }

    #[test]
    fn what_was_learnt_serves_the_next_text() {
        let lookout = Lookout::new(redaction(Mode::Enforce));
        let learnt = |text: &str| {
            let mut lent = lookout.lend();
            let (redaction, scratch) = lent.parts();
            let _ = redaction.rules.apply(text, scratch, &mut [0; 2]);
            scratch.bytes()
        };
        let first = learnt("Mail bob@example.com or 4111 1111 1111 1111.");
        assert_eq!(spare(&lookout), 1);
        assert!(learnt("x") >= first, "it was made anew");
    }

    #[test]
    fn no_more_are_kept_than_the_limit_and_no_large_one() {
        let lookout = Lookout::new(redaction(Mode::Enforce));
        let lent: Vec<Lent> = (0..=SPARE_MAX).map(|_| lookout.lend()).collect();
        assert_eq!(spare(&lookout), 0);
        drop(lent);
        assert_eq!(spare(&lookout), SPARE_MAX);
    }
}
