//! Heads and chunks of answers as bytes.

use super::fields::Fields;
use super::message::Manner;
use crate::clock::Clock;
use std::cell::Cell;
use std::io::Write;
use std::time::UNIX_EPOCH;

/// How the caller learns where the body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    /// There can be none: 204 and 304.
    Nothing,
    /// After this many bytes.
    Length(usize),
    /// With a last chunk.
    Chunked,
    /// With the connection: HTTP/1.0.
    UntilClose,
}

impl Extent {
    /// Of an answer that is known as a whole.
    pub(super) fn whole(status: u16, length: usize) -> Self {
        if matches!(status, 204 | 304) { Self::Nothing } else { Self::Length(length) }
    }
}

/// Bytes of a `Date` field's value: `Sun, 06 Nov 1994 08:49:37 GMT`.
const DATE_BYTES: usize = 29;

thread_local! {
    /// The second of this thread's last answer, since 1970, and how it is written: most answers are of the same.
    static DATE: Cell<(u64, [u8; DATE_BYTES])> = const { Cell::new((u64::MAX, [0; DATE_BYTES])) };
}

/// Appends what a `Date` field says now.
fn date(out: &mut Vec<u8>, clock: &dyn Clock) {
    let today = clock.today();
    let second = today.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let known = DATE.try_with(Cell::get).ok().filter(|(known, _)| *known == second);
    if let Some((_, text)) = known {
        return out.extend_from_slice(&text);
    }
    let text = httpdate::fmt_http_date(today);
    out.extend_from_slice(text.as_bytes());
    if let Some(text) = text.as_bytes().first_chunk() {
        // A thread that is ending keeps nothing.
        let _ = DATE.try_with(|kept| kept.set((second, *text)));
    }
}

/// Appends a whole head.
pub(super) fn head(
    out: &mut Vec<u8>,
    clock: &dyn Clock,
    (status, headers): (u16, &Fields),
    (extent, manner): (Extent, Manner),
) {
    if status == 200 {
        out.extend_from_slice(b"HTTP/1.1 200 OK\r\nDate: ");
    } else {
        let _ = write!(out, "HTTP/1.1 {status} {}\r\nDate: ", phrase(status));
    }
    date(out, clock);
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(headers.as_bytes());
    match extent {
        Extent::Length(length) => {
            out.extend_from_slice(b"Content-Length: ");
            decimal(out, length as u64);
            out.extend_from_slice(b"\r\n");
        }
        Extent::Chunked => out.extend_from_slice(b"Transfer-Encoding: chunked\r\n"),
        Extent::Nothing | Extent::UntilClose => {}
    }
    match manner {
        Manner { keep_alive: false, .. } => out.extend_from_slice(b"Connection: close\r\n\r\n"),
        Manner { old: true, .. } => out.extend_from_slice(b"Connection: keep-alive\r\n\r\n"),
        _ => out.extend_from_slice(b"\r\n"),
    }
}

/// Appends a number in decimal: formatting would take as long as all the rest of a head.
pub(super) fn decimal(out: &mut Vec<u8>, mut number: u64) {
    let mut room = [0; u64::MAX.ilog10() as usize + 1];
    let mut at = room.len();
    for place in room.iter_mut().rev() {
        at -= 1;
        *place = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            break;
        }
    }
    out.extend_from_slice(&room[at..]);
}

/// Appends one chunk.
pub(super) fn chunk(out: &mut Vec<u8>, bytes: &[u8]) {
    let at = out.len();
    open_chunk(out);
    out.extend_from_slice(bytes);
    let unused = close_chunk(out, at);
    out.drain(at..at + unused);
}

/// Room for a chunk's size, whatever it will be, and the end of its line.
const SIZE_BYTES: usize = 2 * size_of::<usize>() + 2;

/// Begins a chunk whose bytes are yet to be appended.
pub(super) fn open_chunk(out: &mut Vec<u8>) {
    out.extend_from_slice(&[0; SIZE_BYTES]);
}

/// Ends the chunk that begins here: of what stands before its bytes, so many are not used. An empty one vanishes.
pub(super) fn close_chunk(out: &mut Vec<u8>, at: usize) -> usize {
    let mut left = out.len() - at - SIZE_BYTES;
    if left == 0 {
        out.truncate(at);
        return 0;
    }
    let room = &mut out[at..at + SIZE_BYTES];
    room[SIZE_BYTES - 2..].copy_from_slice(b"\r\n");
    let mut unused = SIZE_BYTES - 2;
    while left > 0 {
        unused -= 1;
        room[unused] = b"0123456789abcdef"[left & 15];
        left >>= 4;
    }
    out.extend_from_slice(b"\r\n");
    unused
}

/// RFC 9110, section 15.
fn phrase(status: u16) -> &'static str {
    match status {
        200 => "OK",
        201 => "Created",
        202 => "Accepted",
        204 => "No Content",
        301 => "Moved Permanently",
        302 => "Found",
        304 => "Not Modified",
        400 => "Bad Request",
        401 => "Unauthorized",
        402 => "Payment Required",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        413 => "Content Too Large",
        414 => "URI Too Long",
        415 => "Unsupported Media Type",
        417 => "Expectation Failed",
        422 => "Unprocessable Content",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        500 => "Internal Server Error",
        501 => "Not Implemented",
        502 => "Bad Gateway",
        503 => "Service Unavailable",
        504 => "Gateway Timeout",
        505 => "HTTP Version Not Supported",
        _ => "Status",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::ManualClock;
    use std::time::Duration;

    #[test]
    fn a_date_is_that_of_its_second() {
        let clock = ManualClock::new();
        for milliseconds in [0, 1, 999, 1_000, 3_600_000] {
            clock.advance(Duration::from_millis(milliseconds));
            let mut out = b"Date: ".to_vec();
            date(&mut out, &clock);
            assert_eq!(out, format!("Date: {}", httpdate::fmt_http_date(clock.today())).as_bytes());
        }
    }

    #[test]
    fn a_length_is_written_as_formatting_would() {
        for length in [0, 7, 10, 99, 100, 4_096, u64::MAX] {
            let mut out = b": ".to_vec();
            decimal(&mut out, length);
            assert_eq!(out, format!(": {length}").as_bytes());
        }
    }

    #[test]
    fn a_chunk_says_how_long_it_is_wherever_it_stands() {
        for length in [1, 9, 10, 15, 16, 255, 256, 4_095, 4_096, 65_536] {
            let bytes = vec![b'x'; length];
            let mut out = b"head".to_vec();
            chunk(&mut out, &bytes);
            let expected = [format!("head{length:x}\r\n").as_bytes(), &bytes, b"\r\n"].concat();
            assert_eq!(out, expected, "{length}");
        }
        let mut out = b"head".to_vec();
        chunk(&mut out, b"");
        assert_eq!(out, b"head", "an empty one would be the last");
    }
}
