//! Who hears a stream: the caller whose thread this is, and everyone who follows his flight.

use super::cache::Keeping;
use super::cancel::{Cancel, Reason};
use super::flight::{Flight, REPLAY_BYTES_MAX};
use super::ports::{Left, Listener, Trail};
use crate::domain::chat::Frame;
use crate::domain::reel::size_of_frame;
use std::collections::VecDeque;
use std::sync::Arc;

pub(super) struct Audience<'a> {
    listener: &'a mut dyn Listener,
    flight: Option<&'a Flight>,
    /// Fires when nobody is left.
    pub(super) cancel: &'a Arc<Cancel>,
    /// Whether the caller himself still listens.
    here: bool,
    /// What the caller has yet to hear: his socket is slow, and others wait for what comes next.
    owed: VecDeque<Frame>,
    owed_bytes: usize,
    /// What is told, for those who ask the same later.
    keeping: Option<Keeping>,
}

/// What is still to be done for the caller himself when the stream is over.
pub(super) struct Rest<'a> {
    listener: &'a mut dyn Listener,
    here: bool,
    owed: VecDeque<Frame>,
    keeping: Option<Keeping>,
}

impl Rest<'_> {
    /// What was told, if it is to be kept.
    pub(super) fn kept(&mut self) -> Option<Keeping> {
        self.keeping.take()
    }

    /// Tells the caller what he has yet to hear; whether he heard everything.
    pub(super) fn pay(self) -> bool {
        self.here && self.owed.iter().all(|frame| self.listener.frame(frame).is_ok())
    }
}

impl<'a> Audience<'a> {
    /// One caller alone.
    pub(super) fn alone(listener: &'a mut dyn Listener, leave: &'a Arc<Cancel>) -> Self {
        Self {
            listener,
            flight: None,
            cancel: leave,
            here: true,
            owed: VecDeque::new(),
            owed_bytes: 0,
            keeping: None,
        }
    }

    /// A caller who leads a flight.
    pub(super) fn leading(listener: &'a mut dyn Listener, flight: &'a Flight) -> Self {
        Self { flight: Some(flight), ..Self::alone(listener, &flight.cancel) }
    }

    /// The same, keeping what is told.
    pub(super) fn keeping(self, keeping: Option<Keeping>) -> Self {
        Self { keeping, ..self }
    }

    /// What remains to be done for the caller.
    pub(super) fn rest(self) -> Rest<'a> {
        Rest { listener: self.listener, here: self.here, owed: self.owed, keeping: self.keeping }
    }

    /// The stream is committed. Fails when nobody is left.
    pub(super) fn begin(&mut self, trail: &Trail) -> Result<(), Left> {
        if let Some(flight) = self.flight {
            flight.begin(trail);
        }
        let heard = !self.here || self.listener.begin(trail).is_ok();
        self.after(heard)
    }

    /// One more frame. Followers get theirs first, and are not kept waiting for the next one by a caller whose
    /// socket is slow: he hears the rest when he can, or when the stream is over.
    pub(super) fn frame(&mut self, frame: &Frame) -> Result<(), Left> {
        if let Some(keeping) = &mut self.keeping {
            keeping.note(frame);
        }
        let followed = self.flight.is_some_and(|flight| flight.publish(frame));
        let heard = !self.here || self.tell(frame, followed);
        self.after(heard)
    }

    /// Nothing more is at hand: what was told leaves.
    pub(super) fn flush(&mut self) -> Result<(), Left> {
        let heard = !self.here || self.listener.flush().is_ok();
        self.after(heard)
    }

    /// Whether the caller could be told, now or later.
    fn tell(&mut self, frame: &Frame, followed: bool) -> bool {
        if self.owed.is_empty() && !followed {
            return self.listener.frame(frame).is_ok();
        }
        if self.owed.is_empty() && self.listener.ready() {
            return self.listener.frame(frame).and_then(|()| self.listener.flush()).is_ok();
        }
        self.owed_bytes += size_of_frame(frame);
        self.owed.push_back(frame.clone());
        while let Some(next) = self.owed.front() {
            if followed && !self.listener.ready() {
                // As far as any follower may lag behind.
                return self.owed_bytes <= REPLAY_BYTES_MAX;
            }
            if self.listener.frame(next).and_then(|()| self.listener.flush()).is_err() {
                return false;
            }
            self.owed_bytes -= size_of_frame(next);
            self.owed.pop_front();
        }
        true
    }

    fn after(&mut self, heard: bool) -> Result<(), Left> {
        if self.here && heard {
            return Ok(());
        }
        match self.flight {
            None => {
                self.here = false;
                Err(Left)
            }
            Some(flight) => {
                if self.here {
                    self.here = false;
                    self.owed = VecDeque::new();
                    flight.leader_left(Reason::CallerLeft);
                }
                if self.cancel.fired().is_some() { Err(Left) } else { Ok(()) }
            }
        }
    }
}
