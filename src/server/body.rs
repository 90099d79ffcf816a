//! Bodies off the wire, as state machines that own no bytes: by length, and in chunks.
//!
//! ```text
//! Chunked:  Size ─▶ (Extension) ─▶ SizeEnd ─▶ Data ─▶ DataEnd ─▶ Size …
//!             └ size 0 ─▶ Trailer, line by line, until an empty one ─▶ done
//! ```

use super::limits::Limits;
use super::refusal::Refusal;

/// How a body ends, as its head says. RFC 9112, section 6.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After this many bytes; 0 when there is no body.
    Length(u64),
    /// With a last chunk.
    Chunked,
}

/// Takes a body off the wire.
#[derive(Debug)]
pub enum Decoder {
    /// This many bytes are missing.
    Length(u64),
    /// Somewhere within the chunks.
    Chunked(Chunks),
}

/// Where in a chunked body we are.
#[derive(Debug, Default)]
pub struct Chunks {
    place: Place,
    /// Bytes of the present chunk that are missing; while in `Size`, its size so far.
    size: u64,
    /// Digits of the present size.
    digits: u8,
    /// Bytes of extensions so far, in the whole body.
    extension: usize,
    /// Bytes of trailers so far.
    trailer: usize,
    /// Trailer fields so far.
    fields: usize,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
enum Place {
    #[default]
    Size,
    /// After `;`: a name must follow.
    ExtensionName,
    Extension,
    SizeEnd,
    Data,
    DataReturn,
    DataFeed,
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerFeed,
    LastFeed,
}

/// More digits than a size that fits into 64 bits can have without leading zeros.
const SIZE_DIGITS_MAX: u8 = 16;

const BAD_CHUNK: Refusal = Refusal::Malformed("a chunk is not framed as it must be");
const BAD_TRAILER: Refusal = Refusal::Malformed("a trailer is not as it must be");

impl Decoder {
    /// For a body framed like this.
    #[must_use]
    pub fn new(framing: Framing) -> Self {
        match framing {
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(Chunks::default()),
        }
    }

    /// Appends to `body` what `bytes` hold of it. Says how many bytes were used, and whether the body is complete.
    ///
    /// # Errors
    /// When the framing is broken or a limit is exceeded.
    pub fn take(
        &mut self,
        bytes: &[u8],
        body: &mut Vec<u8>,
        limits: &Limits,
    ) -> Result<(usize, bool), Refusal> {
        match self {
            Self::Length(missing) => {
                let used = usize::try_from(*missing).unwrap_or(usize::MAX).min(bytes.len());
                if used > 0 {
                    body.extend_from_slice(&bytes[..used]);
                    *missing -= used as u64;
                }
                Ok((used, *missing == 0))
            }
            Self::Chunked(chunks) => chunks.take(bytes, body, limits),
        }
    }
}

impl Chunks {
    fn take(&mut self, bytes: &[u8], body: &mut Vec<u8>, limits: &Limits) -> Result<(usize, bool), Refusal> {
        let mut at = 0;
        while let Some(&byte) = bytes.get(at) {
            if self.place == Place::Data {
                let used = usize::try_from(self.size).unwrap_or(usize::MAX).min(bytes.len() - at);
                body.extend_from_slice(&bytes[at..at + used]);
                self.size -= used as u64;
                at += used;
                if self.size == 0 {
                    self.place = Place::DataReturn;
                }
                continue;
            }
            at += 1;
            if self.step(byte, body.len(), limits)? {
                return Ok((at, true));
            }
        }
        Ok((at, false))
    }

    /// One byte that is not data; true after the last one.
    fn step(&mut self, byte: u8, have: usize, limits: &Limits) -> Result<bool, Refusal> {
        self.place = match (self.place, byte) {
            (Place::Size, b'\r') if self.digits > 0 => Place::SizeEnd,
            (Place::Size, b';') if self.digits > 0 => self.extend(limits, Place::ExtensionName)?,
            (Place::Size, _) => self.digit(byte)?,
            (Place::ExtensionName, b' ' | b'\t') => self.extend(limits, Place::ExtensionName)?,
            (Place::ExtensionName, _) if is_token(byte) => self.extend(limits, Place::Extension)?,
            (Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, b';') => self.extend(limits, Place::ExtensionName)?,
            (Place::Extension, _) if is_text(byte) => self.extend(limits, Place::Extension)?,
            (Place::SizeEnd, b'\n') if self.size == 0 => Place::TrailerStart,
            (Place::SizeEnd, b'\n') => {
                let room = (limits.body_bytes_max as u64).saturating_sub(have as u64);
                if self.size > room {
                    return Err(Refusal::BodyTooLarge);
                }
                Place::Data
            }
            (Place::DataReturn, b'\r') => Place::DataFeed,
            (Place::DataFeed, b'\n') => {
                self.digits = 0;
                Place::Size
            }
            (Place::LastFeed, b'\n') => return Ok(true),
            (Place::TrailerStart | Place::TrailerName | Place::TrailerValue | Place::TrailerFeed, _) => {
                self.trailer(byte, limits)?
            }
            _ => return Err(BAD_CHUNK),
        };
        Ok(false)
    }

    fn digit(&mut self, byte: u8) -> Result<Place, Refusal> {
        let digit = char::from(byte).to_digit(16).ok_or(BAD_CHUNK)?;
        if self.digits == SIZE_DIGITS_MAX {
            return Err(BAD_CHUNK);
        }
        self.digits += 1;
        self.size = self.size << 4 | u64::from(digit);
        Ok(Place::Size)
    }

    fn extend(&mut self, limits: &Limits, next: Place) -> Result<Place, Refusal> {
        self.extension += 1;
        if self.extension > limits.chunk_extension_bytes_max {
            return Err(Refusal::Malformed("the chunk extensions are too long"));
        }
        Ok(next)
    }

    /// One byte of the trailer section; its fields are checked and dropped.
    fn trailer(&mut self, byte: u8, limits: &Limits) -> Result<Place, Refusal> {
        self.trailer += 1;
        if self.trailer > limits.header_bytes_max {
            return Err(Refusal::Malformed("the trailers are too long"));
        }
        match (self.place, byte) {
            (Place::TrailerStart, b'\r') => Ok(Place::LastFeed),
            (Place::TrailerStart, _) if is_token(byte) => {
                self.fields += 1;
                if self.fields > limits.headers_max {
                    return Err(Refusal::Malformed("there are too many trailers"));
                }
                Ok(Place::TrailerName)
            }
            (Place::TrailerName, b':') => Ok(Place::TrailerValue),
            (Place::TrailerName, _) if is_token(byte) => Ok(Place::TrailerName),
            (Place::TrailerValue, b'\r') => Ok(Place::TrailerFeed),
            (Place::TrailerValue, _) if is_text(byte) => Ok(Place::TrailerValue),
            (Place::TrailerFeed, b'\n') => Ok(Place::TrailerStart),
            _ => Err(BAD_TRAILER),
        }
    }
}

/// RFC 9110, `tchar`.
pub(super) fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// Anything but control bytes; TAB is fine.
fn is_text(byte: u8) -> bool {
    byte == b'\t' || !byte.is_ascii_control()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whole and byte by byte must come to the same: the body and what is left over, or the refusal.
    fn chunked(wire: &[u8]) -> Result<Option<(Vec<u8>, usize)>, Refusal> {
        let limits = Limits { body_bytes_max: 100, ..Limits::default() };
        let mut whole = Vec::new();
        let at_once = Decoder::new(Framing::Chunked)
            .take(wire, &mut whole, &limits)
            .map(|(used, done)| done.then(|| (whole, wire.len() - used)));
        let mut decoder = Decoder::new(Framing::Chunked);
        let mut body = Vec::new();
        let mut slowly = Ok(None);
        for at in 0..wire.len() {
            match decoder.take(&wire[at..=at], &mut body, &limits) {
                Ok((_, false)) => {}
                Ok((_, true)) => {
                    slowly = Ok(Some((body, wire.len() - at - 1)));
                    break;
                }
                Err(refusal) => {
                    slowly = Err(refusal);
                    break;
                }
            }
        }
        assert_eq!(at_once, slowly, "{}", wire.escape_ascii());
        at_once
    }

    #[test]
    fn chunks_come_together_and_what_follows_is_left() {
        let whole = |wire: &str| chunked(wire.as_bytes()).expect("well framed").expect("complete");
        assert_eq!(whole("5\r\nhello\r\n0\r\n\r\nGET"), (b"hello".to_vec(), 3));
        assert_eq!(
            whole("00A;name=\"v\" ; x\r\n0123456789\r\n1\r\n!\r\n000\r\nA: b\r\nC:\r\n\r\n").0,
            b"0123456789!"
        );
        assert_eq!(whole("0\r\n\r\n").0, b"");
        assert_eq!(chunked(b"5\r\nhello\r\n0\r\n\r"), Ok(None));
    }

    #[test]
    fn broken_framing_is_refused() {
        for wire in [
            "+5\r\n",
            "-5\r\n",
            "0x5\r\n",
            " 5\r\n",
            "5 \r\n",
            "5\n",
            "\r\n",
            ";x\r\n",
            "5;\r\n",
            "5;=x\r\n",
            "5\r\rhello",
            "5;x\n",
            "5;x\0\r\n",
            "5\r\nhelloX",
            "5\r\nhello\n",
            "5\r\nhello\rX",
            "g\r\n",
            "00000000000000005\r\n",
            "0\r\n x\r\n",
            "0\r\nA b: c\r\n",
            "0\r\nA\r\n",
            "0\r\nA: b\n",
            "0\r\nA: \0\r\n",
            "0\r\n: b\r\n",
            "0\r\n\n",
            "0\r\n\rX",
            "1_0\r\n",
        ] {
            assert!(
                matches!(chunked(wire.as_bytes()), Err(Refusal::Malformed(_))),
                "{}",
                wire.escape_default()
            );
        }
    }

    #[test]
    fn sizes_extensions_and_trailers_are_bounded() {
        assert_eq!(chunked(b"65\r\n"), Err(Refusal::BodyTooLarge));
        assert_eq!(chunked(b"ffffffffffffffff\r\n"), Err(Refusal::BodyTooLarge));
        assert_eq!(chunked(&[b"60\r\n", &[b'x'; 96][..], b"\r\n5\r\n"].concat()), Err(Refusal::BodyTooLarge));
        assert!(chunked(format!("1;{}\r\n", "x".repeat(4095)).as_bytes()).is_ok());
        assert!(chunked(format!("1;{}\r\n", "x".repeat(4096)).as_bytes()).is_err());
        assert!(chunked(format!("0\r\nA:{}", "x".repeat(16 << 10)).as_bytes()).is_err());
        assert!(chunked(format!("0\r\n{}", "A:b\r\n".repeat(64)).as_bytes()).is_ok());
        assert!(chunked(format!("0\r\n{}", "A:b\r\n".repeat(65)).as_bytes()).is_err());
    }
}
