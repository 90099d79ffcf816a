//! A connection to a provider, whatever it is made of: a socket, or what ureq built upon one.

use super::line::Line;
use super::requests::Sending;
use super::wire::{NEVER, Wire};
use std::sync::Arc;
use std::time::Instant;
use ureq::Error;
use ureq::unversioned::transport::Transport;

/// A head is rarely longer.
const HEAD_BYTES_USUAL: usize = 1024;

/// Serving a call, or at rest between two.
pub(super) enum Link {
    /// A socket: what is sent goes from where it is.
    Wire(Wire),
    /// TLS, a proxy's tunnel, or TLS in one. At the bottom of it is a [`Wire`], which learns from this thread's
    /// [`Line`] whom it serves.
    Built(Box<dyn Transport>),
}

impl Link {
    /// Sends a request, its head and its body together as far as that goes.
    pub(super) fn post(&mut self, request: &Sending<'_>) -> Result<(), Error> {
        match self {
            Self::Wire(wire) => {
                request.write_head(wire.letter());
                wire.post(request.body())
            }
            Self::Built(transport) => {
                let mut head = Vec::with_capacity(HEAD_BYTES_USUAL);
                request.write_head(&mut head);
                let body = request.body().into_iter().flat_map(crate::dialect::Body::pieces);
                write(&mut **transport, std::iter::once(&head[..]).chain(body))
            }
        }
    }

    /// Waits for more to read, and reads it; false at the connection's end.
    pub(super) fn hear(&mut self) -> Result<bool, Error> {
        match self {
            Self::Wire(wire) => wire.hear(),
            Self::Built(transport) => transport.await_input(NEVER),
        }
    }

    /// What was read and is not used yet.
    pub(super) fn input(&mut self) -> &[u8] {
        match self {
            Self::Wire(wire) => wire.input(),
            Self::Built(transport) => transport.buffers().input(),
        }
    }

    /// So much of it is used.
    pub(super) fn consume(&mut self, amount: usize) {
        match self {
            Self::Wire(wire) => wire.consume(amount),
            Self::Built(transport) => transport.buffers().input_consume(amount),
        }
    }

    /// From serving to rest: whether it is fit for another call.
    pub(super) fn rest(&mut self, now: Instant) -> bool {
        match self {
            Self::Wire(wire) => wire.rest(now),
            Self::Built(transport) => transport.is_open(),
        }
    }

    /// From rest to serving a call: whether it can.
    pub(super) fn serve(&mut self, line: &Arc<Line>, now: Instant) -> bool {
        match self {
            Self::Wire(wire) => wire.serve(Arc::clone(line), now),
            Self::Built(transport) => {
                let _dialling = line.dial();
                transport.is_open()
            }
        }
    }
}

/// Writes the pieces one behind the other; they leave with the next read, or once they are many.
fn write<'a>(transport: &mut dyn Transport, pieces: impl Iterator<Item = &'a [u8]>) -> Result<(), Error> {
    let mut filled = 0;
    for mut piece in pieces {
        while !piece.is_empty() {
            let room = &mut transport.buffers().output()[filled..];
            let amount = room.len().min(piece.len());
            let (now, later) = piece.split_at(amount);
            room[..amount].copy_from_slice(now);
            (filled, piece) = (filled + amount, later);
            if !piece.is_empty() {
                transport.transmit_output(std::mem::take(&mut filled), NEVER)?;
            }
        }
    }
    if filled > 0 { transport.transmit_output(filled, NEVER) } else { Ok(()) }
}
