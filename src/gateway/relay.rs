//! Passing a provider's stream on: held until its first content, then told frame by frame, continued if need be.

use super::attempt::Stint;
use super::ports::{Came, Frames, Left, Wait};
use super::run::{Run, left};
use super::slot::Entry;
use super::told::Told;
use crate::domain::chat::{Delta, Finish, Frame};
use crate::domain::event::Event;
use crate::domain::failure::{Failure, Fault};
use crate::domain::splice::Splice;
use crate::gateway::cancel::Reason;
use std::sync::Arc;

/// Frames before the first content: a role chunk and a few pings; a provider that sends more talks nonsense.
const HELD_FRAMES_MAX: usize = 4_096;

impl<'a> Run<'a> {
    /// Passes one stream on. Until `stint.heard` a failure is a plain one that the caller never sees. What comes before the
    /// long wait is functions of their own: their stack need not stay.
    pub(super) fn relay(
        &mut self,
        stint: &mut Stint<'a>,
        entry: &mut Entry<'a>,
        frames: &mut dyn Frames,
        dropped: Vec<String>,
    ) -> Result<(), Failure> {
        let (held, more) = self.hold(stint, frames)?;
        let mut splice = self.told.as_ref().map(|told| Splice::new(told.so_far().unwrap_or_default()));
        self.commit(stint, entry, dropped).map_err(gone)?;
        let mut frame = Frame::default();
        for next in held {
            frame = next;
            self.pass(&mut frame, &mut splice).map_err(gone)?;
        }
        let told = if more { self.rest(stint, frames, (&mut frame, &mut splice)) } else { Ok(()) };
        // Also what came before a failure: who is asked next may take his time.
        self.audience.flush().map_err(gone)?;
        told?;
        if self.all_said() {
            Ok(())
        } else {
            Err(Failure::new(Fault::Truncated, "the stream ended before the answer did"))
        }
    }

    /// Passes on what follows the first content, in the room of `frame`.
    fn rest(
        &mut self,
        stint: &mut Stint<'a>,
        frames: &mut dyn Frames,
        (frame, splice): (&mut Frame, &mut Option<Splice>),
    ) -> Result<(), Failure> {
        loop {
            if !self.all_said() {
                self.look_ahead(stint)?;
            }
            let out = frames.are_out();
            let mut came = if out { Ok(Came::Nothing) } else { frames.next(frame, Wait::NotAtAll) };
            if came == Ok(Came::Nothing) {
                self.audience.flush().map_err(gone)?;
                came = frames.next(frame, Wait::Patiently);
            }
            match came {
                Ok(Came::Frame) => {
                    stint.tokens.note(frame);
                    self.afford(stint, frame)?;
                    self.pass(frame, splice).map_err(gone)?;
                }
                Ok(Came::End | Came::Nothing) => return Ok(()),
                // Everything was said; only the end mark is missing.
                Err(_) if self.all_said() && self.audience.cancel.fired().is_none() => return Ok(()),
                Err(failure) => return Err(failure),
            }
        }
    }

    fn all_said(&self) -> bool {
        self.told.as_ref().is_some_and(Told::finished)
    }

    /// Holds frames until the first content, or until an end cut short without any. Also says whether more may come.
    #[inline(never)]
    fn hold(&self, stint: &mut Stint<'a>, frames: &mut dyn Frames) -> Result<(Vec<Frame>, bool), Failure> {
        let mut held = Vec::new();
        while held.len() < HELD_FRAMES_MAX {
            // A role and a first word; of a vector that grows there would be room for four as long as the stream lasts.
            let mut frame = Frame { deltas: Vec::with_capacity(2), verbatim: None };
            if frames.next(&mut frame, Wait::Patiently)? != Came::Frame {
                // A bound or a filter may leave nothing to say, and so may one who told it all before the cut;
                // "done" without a word is no answer.
                let proper = |delta: &Delta| match delta {
                    Delta::Finish { finish: Finish::Length | Finish::ContentFilter, .. } => true,
                    Delta::Finish { .. } => self.told.is_some(),
                    _ => false,
                };
                return if held.iter().any(|frame: &Frame| frame.deltas.iter().any(proper)) {
                    Ok((held, false))
                } else {
                    Err(Failure::new(Fault::Empty, "the stream ended without an answer"))
                };
            }
            stint.tokens.note(&frame);
            self.afford(stint, &frame)?;
            let content = frame.deltas.iter().any(Delta::is_content);
            held.push(frame);
            if content {
                return Ok((held, true));
            }
            if self.gateway.house.now() >= self.deadline {
                return Err(Failure::new(Fault::FirstTokenTimeout, "no first token in time"));
            }
        }
        Err(Failure::new(Fault::Garbage, "a stream of frames without content"))
    }

    /// The first content is here: from now on the caller hears this provider.
    #[inline(never)]
    fn commit(
        &mut self,
        stint: &mut Stint<'a>,
        entry: &mut Entry<'a>,
        dropped: Vec<String>,
    ) -> Result<(), Left> {
        let house = &self.gateway.house;
        let now = house.now();
        let after = now.saturating_duration_since(stint.began);
        house.tell(&Event::FirstToken { provider: &stint.slot.name, after });
        entry.proven();
        (stint.heard, stint.first_token) = (true, Some(after));
        self.record(stint, "200".into(), after);
        self.trail.served = Some((Arc::clone(&stint.slot.name), Arc::clone(&stint.name)));
        self.trail.dropped = dropped;
        if self.told.is_some() {
            if let Some(from) = self.broken_at() {
                house.tell(&Event::StreamResumed { from: &from.name, to: &stint.slot.name });
            }
            return Ok(());
        }
        self.trail.upstream = now.saturating_duration_since(self.start);
        self.told = Some(Told::new(self.resumable));
        self.audience.begin(&self.trail)
    }

    /// Tells one frame: as it is, or fitted to what was told before.
    fn pass(&mut self, frame: &mut Frame, splice: &mut Option<Splice>) -> Result<(), Left> {
        let Some(told) = &mut self.told else { return Ok(()) };
        if let Some(splice) = splice {
            match told.fit(std::mem::take(frame), splice) {
                None => return Ok(()),
                Some(fitted) => *frame = fitted,
            }
        }
        told.note(frame);
        self.audience.frame(frame)
    }
}

fn gone(Left: Left) -> Failure {
    left(Reason::CallerLeft)
}
