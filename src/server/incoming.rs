//! A request on its way in: its head is there, its body is coming.

use super::body::Decoder;
use super::head::Parsed;
use super::limits::Limits;
use super::refusal::Refusal;

/// What has come of a request.
#[derive(Debug)]
pub(super) struct Incoming {
    pub(super) parsed: Parsed,
    pub(super) decoder: Decoder,
    pub(super) body: Vec<u8>,
    pub(super) complete: bool,
    /// A refusal found in bytes that came with the head; told after the screening.
    pub(super) broken: Option<Refusal>,
}

/// A body's room grows from this, doubling, until it is believed: what is only announced costs nothing.
const BODY_ROOM_MIN: usize = 16 << 10;
/// A body is believed to be as long as it says when this much of it has come, and one part in [`BODY_BELIEVED_PARTS`]. It
/// is given all of its room then: pages that nothing was written to cost nothing, and a body that grows on is copied.
const BODY_BELIEVED_MIN: usize = 12 << 10;
const BODY_BELIEVED_PARTS: usize = 16;

/// How much more room a body is given of which so much has come and so much is missing.
fn more(come: usize, missing: usize) -> usize {
    let believed = come >= BODY_BELIEVED_MIN.max(missing / BODY_BELIEVED_PARTS);
    if believed { missing } else { missing.min(come.max(BODY_ROOM_MIN)) }
}

impl Incoming {
    /// Of a body of known length only what has come is in use of its room.
    pub(super) fn held(&self) -> usize {
        match self.decoder {
            Decoder::Length(_) => self.body.len(),
            Decoder::Chunked(_) => self.body.capacity(),
        }
    }

    /// Where the next bytes of a body of known length may be put.
    pub(super) fn room(&mut self) -> Option<&mut Vec<u8>> {
        let Decoder::Length(missing) = self.decoder else { return None };
        let missing = usize::try_from(missing).ok()?;
        let body = &mut self.body;
        if body.capacity() == body.len() {
            body.reserve_exact(more(body.len(), missing));
        }
        Some(body)
    }

    /// Makes room for what came with the head, and for more where more is to come: it will not be moved.
    pub(super) fn room_for(&mut self, come: usize) {
        let Decoder::Length(length) = self.decoder else { return };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let come = come.min(length);
        if come > 0 {
            self.body.reserve_exact(come + more(come, length - come));
        }
    }

    /// Takes the body's part of `bytes`; what follows the body is left.
    pub(super) fn take<'a>(&mut self, bytes: &'a [u8], limits: &Limits) -> &'a [u8] {
        match self.decoder.take(bytes, &mut self.body, limits) {
            Ok((used, complete)) => {
                self.complete = complete;
                &bytes[used..]
            }
            Err(refusal) => {
                self.broken = Some(refusal);
                &[]
            }
        }
    }
}
