//! A request's body in pieces: the caller's own bytes where nothing changes, ours between them.
//!
//! ```text
//!   caller   {"model":"fast","messages":[ … 100 KB … ]}
//!   pieces   └── shared ──┘└ours┘└────── shared ─────┘
//! ```
//!
//! What a caller said is held once, however large it is and however many providers are asked.

use std::borrow::Cow;
use std::fmt;
use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

/// Bytes to be sent. Clones share the caller's.
#[derive(Clone)]
pub struct Body {
    base: Arc<Vec<u8>>,
    /// What replaces which bytes of `base`: in order, within it, without overlap.
    edits: Vec<(Range<usize>, Vec<u8>)>,
    length: usize,
    /// Bytes that nobody but us holds.
    own: usize,
}

impl Body {
    /// The caller's bytes with each range replaced; ranges lie within them and do not overlap (an empty one inserts).
    #[must_use]
    pub fn spliced(base: &Arc<Vec<u8>>, mut edits: Vec<(Range<usize>, Vec<u8>)>) -> Self {
        edits.sort_by_key(|(range, _)| range.start);
        let own: usize = edits.iter().map(|(_, new)| new.len()).sum();
        let gone: usize = edits.iter().map(|(range, _)| range.len()).sum();
        Self { base: Arc::clone(base), length: base.len() + own - gone, edits, own }
    }

    /// How many bytes it is.
    #[must_use]
    pub fn len(&self) -> usize {
        self.length
    }

    /// Whether it is nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }

    /// How many bytes are held for it besides the caller's own.
    #[must_use]
    pub fn own(&self) -> usize {
        self.own
    }

    /// The pieces in order; some may be empty.
    pub fn pieces(&self) -> impl Iterator<Item = &[u8]> {
        (0..).map_while(|index| self.piece(index))
    }

    /// Shared ones at even places, ours between them.
    fn piece(&self, index: usize) -> Option<&[u8]> {
        let edit = index / 2;
        if index % 2 == 1 {
            return Some(&self.edits.get(edit)?.1);
        }
        let before = edit.checked_sub(1).map(|before| self.edits.get(before));
        let start = before.map_or(Some(0), |before| Some(before?.0.end))?;
        let end = self.edits.get(edit).map_or(self.base.len(), |(range, _)| range.start);
        self.base.get(start..end)
    }

    /// All of it in one place; a copy when it is in pieces.
    #[must_use]
    pub fn joined(&self) -> Cow<'_, [u8]> {
        if self.edits.is_empty() {
            return Cow::Borrowed(&self.base);
        }
        let mut all = Vec::with_capacity(self.length);
        self.pieces().for_each(|piece| all.extend_from_slice(piece));
        Cow::Owned(all)
    }

    /// As [`Body::joined`], for keeping.
    #[must_use]
    pub fn into_vec(self) -> Vec<u8> {
        if self.edits.is_empty() { Arc::unwrap_or_clone(self.base) } else { self.joined().into_owned() }
    }

    /// Reads it from the beginning.
    #[must_use]
    pub fn reader(&self) -> Reading<'_> {
        Reading { body: self, next: 0, left: &[] }
    }
}

/// A reader of a [`Body`]; fills whatever room it is given.
pub struct Reading<'a> {
    body: &'a Body,
    /// The piece after the present one.
    next: usize,
    /// What is left of the present one.
    left: &'a [u8],
}

impl Read for Reading<'_> {
    fn read(&mut self, room: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < room.len() {
            if self.left.is_empty() {
                let Some(piece) = self.body.piece(self.next) else { break };
                (self.left, self.next) = (piece, self.next + 1);
                continue;
            }
            let amount = self.left.len().min(room.len() - filled);
            let (now, later) = self.left.split_at(amount);
            room[filled..filled + amount].copy_from_slice(now);
            self.left = later;
            filled += amount;
        }
        Ok(filled)
    }
}

impl From<Vec<u8>> for Body {
    fn from(own: Vec<u8>) -> Self {
        Self { length: own.len(), own: own.len(), edits: Vec::new(), base: Arc::new(own) }
    }
}

impl PartialEq for Body {
    fn eq(&self, other: &Self) -> bool {
        self.joined() == other.joined()
    }
}

impl fmt::Debug for Body {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Body({})", self.joined().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn base() -> Arc<Vec<u8>> {
        Arc::new(b"0123456789".to_vec())
    }

    #[test]
    fn the_pieces_are_the_callers_bytes_with_ours_between_them() {
        let edits = vec![(7..7, b"x".to_vec()), (0..2, b"abc".to_vec()), (9..10, Vec::new())];
        let body = Body::spliced(&base(), edits);
        assert_eq!(&*body.joined(), b"abc23456x78");
        assert_eq!((body.len(), body.own()), (11, 4));
        for room in 1..=12 {
            let (mut reader, mut read) = (body.reader(), Vec::new());
            let mut buffer = vec![0; room];
            loop {
                let amount = reader.read(&mut buffer).unwrap();
                read.extend_from_slice(&buffer[..amount]);
                if amount < room {
                    break;
                }
            }
            assert_eq!(read, b"abc23456x78", "{room}");
        }
    }

    #[test]
    fn the_callers_bytes_are_shared_not_copied() {
        let base = base();
        let body = Body::spliced(&base, vec![(3..4, b"-".to_vec())]);
        let copied = body.clone();
        let first = copied.pieces().next().map(|piece| (piece.as_ptr(), piece.len()));
        assert_eq!(first, Some((base.as_ptr(), 3)));
        assert_eq!(Body::spliced(&base, Vec::new()).joined().as_ptr(), base.as_ptr());
    }

    #[test]
    fn a_body_of_our_own_is_all_ours() {
        let body = Body::from(b"{}".to_vec());
        assert_eq!((body.len(), body.own(), &*body.joined()), (2, 2, &b"{}"[..]));
        assert!(Body::from(Vec::new()).is_empty());
    }
}
