//! Heads and chunks of answers as bytes.

use super::fields::Fields;
use super::message::Manner;
use crate::clock::Clock;
use parking_lot::Mutex;
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

/// The `Date` field's value, made once a second.
#[derive(Debug, Default)]
pub(super) struct DateCache {
    /// Guards the second and its text.
    text: Mutex<(u64, String)>,
}

impl DateCache {
    fn append(&self, out: &mut Vec<u8>, clock: &dyn Clock) {
        let today = clock.today();
        let second = today.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
        let mut text = self.text.lock();
        if text.0 != second || text.1.is_empty() {
            *text = (second, httpdate::fmt_http_date(today));
        }
        out.extend_from_slice(text.1.as_bytes());
    }

    /// Appends a whole head.
    pub(super) fn head(
        &self,
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
        self.append(out, clock);
        out.extend_from_slice(b"\r\n");
        out.extend_from_slice(headers.as_bytes());
        match extent {
            Extent::Length(length) => {
                let _ = write!(out, "Content-Length: {length}\r\n");
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
