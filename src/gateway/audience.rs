//! Who hears a stream: the caller whose thread this is, and everyone who follows his flight.

use super::cancel::{Cancel, Reason};
use super::flight::Flight;
use super::ports::{Left, Listener, Trail};
use crate::domain::chat::Frame;
use std::sync::Arc;

pub(super) struct Audience<'a> {
    listener: &'a mut dyn Listener,
    flight: Option<&'a Flight>,
    /// Fires when nobody is left.
    pub(super) cancel: &'a Cancel,
    /// Whether the caller himself still listens.
    pub(super) here: bool,
}

impl<'a> Audience<'a> {
    /// One caller alone.
    pub(super) fn alone(listener: &'a mut dyn Listener, leave: &'a Cancel) -> Self {
        Self { listener, flight: None, cancel: leave, here: true }
    }

    /// A caller who leads a flight.
    pub(super) fn leading(listener: &'a mut dyn Listener, flight: &'a Flight) -> Self {
        Self { listener, flight: Some(flight), cancel: &flight.cancel, here: true }
    }

    /// The stream is committed. Fails when nobody is left.
    pub(super) fn begin(&mut self, trail: &Trail) -> Result<(), Left> {
        if let Some(flight) = self.flight {
            flight.begin(trail);
        }
        let heard = !self.here || self.listener.begin(trail).is_ok();
        self.after(heard)
    }

    /// One more frame. Followers get theirs first: the caller's socket may be slow.
    pub(super) fn frame(&mut self, frame: Frame) -> Result<(), Left> {
        let frame = Arc::new(frame);
        if let Some(flight) = self.flight {
            flight.publish(&frame);
        }
        let heard = !self.here || self.listener.frame(&frame).is_ok();
        self.after(heard)
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
                    flight.leader_left(Reason::CallerLeft);
                }
                if self.cancel.fired().is_some() { Err(Left) } else { Ok(()) }
            }
        }
    }
}
