//! An HTTP/1.1 answer as a value: bytes in, what they are out; the socket is elsewhere. Strict: what is not HTTP/1.1, and
//! whatever two readers could end in two places, is garbage (RFC 9112, sections 6 and 7).
//!
//! ```text
//!   head ─┬─▶ Length ─────────────────────────────────────────▶ Over
//!         ├─▶ ChunkLine ─▶ Chunk ─▶ ChunkEnd ─┐                  ▲
//!         │       ▲ └──────── 0 ──▶ Trailer ──┼──────────────────┤
//!         │       └───────────────────────────┘                  │
//!         └─▶ UntilClose ─────────────── the connection's end ───┘
//! ```
//!
//! Out of scope: codings other than `chunked`, upgrades, redirects.

use super::wait::Waits;
use crate::domain::failure::Fault;
use std::mem::MaybeUninit;

/// An answer's head. Below what is read at once at most, else a larger one would look like a disconnect.
pub(super) const HEAD_BYTES_MAX: usize = 24 * 1024;
/// Fields of an answer's head.
const FIELDS_MAX: usize = 128;
/// Fields of an ordinary one. Every stream's thread keeps the stack that reading the head took.
const FIELDS_USUAL: usize = 16;
/// The line that says how long a chunk is, its extensions included, and each line behind the last chunk.
const CHUNK_LINE_BYTES_MAX: usize = 4 * 1024;

/// What an answer's head says of interest.
#[derive(Debug, Default)]
pub struct Head {
    /// The status.
    pub status: u16,
    /// Whether the body is one JSON text.
    pub is_json: bool,
    /// How long the body is, where it says so.
    pub length: Option<u64>,
    /// Whether the connection serves another call once this answer is over.
    pub keeps: bool,
    /// How long it asks us to wait.
    pub(super) waits: Waits,
    chunked: bool,
}

/// What the first bytes of the input are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// So many bytes of the body, at least one; [`Framing::took`] says how many of them were used.
    Body(usize),
    /// So many bytes that are none of it, to be passed over.
    Between(usize),
    /// Nothing yet: more must come.
    Wanting,
    /// Nothing of this answer.
    Over,
}

/// Where an answer's body ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// After so many bytes.
    Length(u64),
    /// A chunk's line comes next.
    ChunkLine,
    /// So many bytes of a chunk are left.
    Chunk(u64),
    /// The line break behind a chunk comes next.
    ChunkEnd,
    /// Fields behind the last chunk, of which so many bytes were read.
    Trailer(usize),
    /// With the connection.
    UntilClose,
    /// Here.
    Over,
}

/// Reads a complete head and says how long it is; `None` when more must come. Interim answers are passed over.
///
/// # Errors
/// `Garbage`, and `AnswerTooLarge` past the limits of a head.
// Never inlined: its table of fields would be on the stack of everything a call does before its head comes.
#[inline(never)]
pub fn head(input: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
    match head_of::<FIELDS_USUAL>(input) {
        Err(None) => long_head(input),
        Err(Some(fault)) => Err(fault),
        Ok(head) => Ok(head),
    }
}

#[inline(never)]
fn long_head(input: &[u8]) -> Result<Option<(Head, usize)>, Fault> {
    head_of::<FIELDS_MAX>(input).map_err(|fault| fault.unwrap_or(Fault::AnswerTooLarge))
}

/// `Err(None)`: there are more fields.
fn head_of<const FIELDS: usize>(input: &[u8]) -> Result<Option<(Head, usize)>, Option<Fault>> {
    let mut begin = 0;
    loop {
        let rest = &input[begin..];
        let mut table = [const { MaybeUninit::uninit() }; FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let config = httparse::ParserConfig::default();
        let used = match config.parse_response_with_uninit_headers(&mut response, rest, &mut table) {
            Ok(httparse::Status::Complete(used)) if used <= HEAD_BYTES_MAX => used,
            Ok(httparse::Status::Partial) if rest.len() < HEAD_BYTES_MAX => return Ok(None),
            Ok(_) => return Err(Some(Fault::AnswerTooLarge)),
            Err(httparse::Error::TooManyHeaders) => return Err(None),
            Err(_) => return Err(Some(Fault::Garbage)),
        };
        begin += used;
        match response.code.ok_or(Fault::Garbage)? {
            100 | 102..200 => {}
            // Nobody asked to switch protocols, and below there is nothing.
            ..100 | 101 => return Err(Some(Fault::Garbage)),
            status => return Ok(Some((read(status, &response)?, begin))),
        }
    }
}

/// Reads the fields that matter.
fn read(status: u16, response: &httparse::Response<'_, '_>) -> Result<Head, Fault> {
    let mut head = Head { status, keeps: response.version == Some(1), ..Head::default() };
    let mut coded = false;
    for field in response.headers.iter() {
        let name = field.name;
        let text = || std::str::from_utf8(field.value).unwrap_or_default().trim();
        let lists = |word: &str| text().split(',').any(|item| item.trim().eq_ignore_ascii_case(word));
        match name.len() {
            10 if name.eq_ignore_ascii_case("connection") => {
                head.keeps = !lists("close") && (head.keeps || lists("keep-alive"));
            }
            11 if name.eq_ignore_ascii_case("retry-after") => head.waits.seconds = Some(text().to_owned()),
            12 if name.eq_ignore_ascii_case("content-type") => {
                head.is_json = field.value == b"application/json" || is_json(text());
            }
            14 if name.eq_ignore_ascii_case("content-length") => head.measure(field.value)?,
            14 if name.eq_ignore_ascii_case("retry-after-ms") => {
                head.waits.milliseconds = Some(text().to_owned())
            }
            17 if name.eq_ignore_ascii_case("transfer-encoding") => {
                // Two fields are a list of two, and nothing is chunked twice.
                head.chunked = !coded && text().eq_ignore_ascii_case("chunked");
                coded = true;
            }
            _ => {}
        }
    }
    if coded {
        // We take no other coding, and HTTP/1.0 has none.
        if !head.chunked || response.version != Some(1) {
            return Err(Fault::Garbage);
        }
        // The length then means nothing, and who says both is not trusted with another call.
        head.keeps &= head.length.take().is_none();
    }
    Ok(head)
}

impl Head {
    /// Takes note of a length. A list of the same number is that number (RFC 9110, section 8.6), in one field or in
    /// several.
    fn measure(&mut self, value: &[u8]) -> Result<(), Fault> {
        if self.length.is_none() {
            self.length = digits(value);
            if self.length.is_some() {
                return Ok(());
            }
        }
        for item in value.split(|byte| *byte == b',') {
            let length = digits(item.trim_ascii()).ok_or(Fault::Garbage)?;
            if self.length.replace(length).is_some_and(|known| known != length) {
                return Err(Fault::Garbage);
            }
        }
        Ok(())
    }
}

/// Whether a media type is `application/json`, whatever its parameters.
fn is_json(media: &str) -> bool {
    media.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("application/json")
}

/// Digits and nothing else.
fn digits(value: &[u8]) -> Option<u64> {
    let number = value.iter().try_fold(0_u64, |number, byte| {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'))?;
        number.checked_mul(10)?.checked_add(digit)
    });
    number.filter(|_| !value.is_empty())
}

impl Framing {
    /// Where the body behind this head ends.
    #[must_use]
    pub fn of(head: &Head) -> Self {
        match (head.status, head.length) {
            (204 | 304, _) | (_, Some(0)) => Self::Over,
            _ if head.chunked => Self::ChunkLine,
            (_, Some(length)) => Self::Length(length),
            (_, None) => Self::UntilClose,
        }
    }

    /// What the first bytes of the input are.
    ///
    /// # Errors
    /// `Garbage` when they cannot be what must come next.
    pub fn next(&mut self, input: &[u8]) -> Result<Part, Fault> {
        let left = match *self {
            Self::Over => return Ok(Part::Over),
            Self::Length(left) | Self::Chunk(left) => left,
            Self::UntilClose => u64::MAX,
            Self::ChunkLine | Self::ChunkEnd | Self::Trailer(_) => return self.between(input),
        };
        match usize::try_from(left).map_or(input.len(), |left| left.min(input.len())) {
            0 => Ok(Part::Wanting),
            amount => Ok(Part::Body(amount)),
        }
    }

    /// So many bytes of the body were used.
    pub fn took(&mut self, amount: usize) {
        let amount = amount as u64;
        *self = match *self {
            Self::Length(left) if left <= amount => Self::Over,
            Self::Length(left) => Self::Length(left - amount),
            Self::Chunk(left) if left <= amount => Self::ChunkEnd,
            Self::Chunk(left) => Self::Chunk(left - amount),
            other => other,
        };
    }

    /// Passes over the line break behind a chunk, if the input begins with it: how long it is.
    pub fn skip_break(&mut self, input: &[u8]) -> usize {
        if *self != Self::ChunkEnd || !input.starts_with(b"\r\n") {
            return 0;
        }
        *self = Self::ChunkLine;
        2
    }

    /// The connection has ended: nothing more will come.
    ///
    /// # Errors
    /// `Truncated` when the answer was not over.
    pub fn close(&mut self) -> Result<(), Fault> {
        match self {
            Self::UntilClose | Self::Over => {
                *self = Self::Over;
                Ok(())
            }
            _ => Err(Fault::Truncated),
        }
    }

    /// What stands between two chunks, or behind the last one.
    fn between(&mut self, input: &[u8]) -> Result<Part, Fault> {
        if input.is_empty() {
            return Ok(Part::Wanting);
        }
        // What nearly always stands there, at once.
        match (self.skip_break(input), &self) {
            (0, Self::ChunkLine) => {
                if let Some((size, length)) = short_line(input) {
                    *self = Self::Chunk(size);
                    return Ok(Part::Between(length));
                }
            }
            (0, _) => {}
            (line_break, _) => return Ok(Part::Between(line_break)),
        }
        let Some(length) = line_length(input)? else { return Ok(Part::Wanting) };
        let text = &input[..length];
        // To some readers a line ends there.
        if text.contains(&b'\r') {
            return Err(Fault::Garbage);
        }
        *self = match *self {
            Self::ChunkEnd if text.is_empty() => Self::ChunkLine,
            Self::ChunkLine => match chunk_size(text).ok_or(Fault::Garbage)? {
                0 => Self::Trailer(0),
                size => Self::Chunk(size),
            },
            Self::Trailer(_) if text.is_empty() => Self::Over,
            Self::Trailer(before) if before + length <= HEAD_BYTES_MAX => Self::Trailer(before + length),
            _ => return Err(Fault::Garbage),
        };
        Ok(Part::Between(length + 2))
    }
}

/// The line before a chunk that is not the last one, if it is whole and says a size of a few digits and nothing else; and
/// how long it is.
fn short_line(input: &[u8]) -> Option<(u64, usize)> {
    const DIGITS_MAX: usize = 6;
    let mut size = 0;
    for (at, byte) in input.iter().take(DIGITS_MAX + 1).enumerate() {
        match char::from(*byte).to_digit(16) {
            Some(digit) => size = size << 4 | u64::from(digit),
            None if *byte == b'\r' && input.get(at + 1) == Some(&b'\n') && size > 0 => {
                return Some((size, at + 2));
            }
            None => return None,
        }
    }
    None
}

/// How long the first line is, without its end, once the whole of it is there.
fn line_length(input: &[u8]) -> Result<Option<usize>, Fault> {
    match input.iter().take(CHUNK_LINE_BYTES_MAX + 2).position(|byte| *byte == b'\n') {
        Some(at) => at.checked_sub(1).filter(|at| input[*at] == b'\r').map(Some).ok_or(Fault::Garbage),
        None if input.len() >= CHUNK_LINE_BYTES_MAX + 2 => Err(Fault::Garbage),
        None => Ok(None),
    }
}

/// A chunk's size: hexadecimal digits, then at most an extension.
fn chunk_size(line: &[u8]) -> Option<u64> {
    let size = line.split(|byte| *byte == b';').next()?;
    let size = std::str::from_utf8(size).ok()?.trim_end_matches([' ', '\t']);
    let is_hex = size.bytes().all(|digit| digit.is_ascii_hexdigit());
    if is_hex { u64::from_str_radix(size, 16).ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chunks_size_is_hexadecimal_and_nothing_else() {
        for (line, size) in [("0", Some(0)), ("1F", Some(31)), ("a;b=c", Some(10)), ("a ", Some(10))] {
            assert_eq!(chunk_size(line.as_bytes()), size, "{line}");
        }
        for wrong in ["", "+1", "-1", " 1", "0x1", "1 1", "g", ";a", "1\x0c", "10000000000000000"] {
            assert_eq!(chunk_size(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_length_is_digits_and_nothing_else() {
        assert_eq!(digits(b"18446744073709551615"), Some(u64::MAX));
        for wrong in ["", "+1", "-1", "1,1", "1 ", "0x1", "18446744073709551616"] {
            assert_eq!(digits(wrong.as_bytes()), None, "{wrong}");
        }
    }

    #[test]
    fn a_short_line_says_what_any_line_says() {
        for line in [
            "1", "e6", "0E6", "fffff", "abcdef", "abcdef0", "1000000", "0", "00", "", "g", "1 ", "1;a", "+1",
            "\u{ff11}",
        ] {
            let text = format!("{line}\r\nrest");
            let size = chunk_size(line.as_bytes()).filter(|size| *size > 0 && line.len() <= 6);
            let expected = size.filter(|_| !line.contains([' ', ';'])).map(|size| (size, line.len() + 2));
            assert_eq!(short_line(text.as_bytes()), expected, "{line}");
            let whole = short_line(text.as_bytes()).map(|(_, length)| length).unwrap_or(0);
            assert!((0..whole).all(|length| short_line(&text.as_bytes()[..length]).is_none()), "{line}");
        }
    }

    fn told(fields: &str) -> Result<Head, Fault> {
        let text = format!("{fields}\r\n\r\n");
        let (head, used) = head(text.as_bytes())?.expect("it is complete");
        assert_eq!(used, text.len());
        Ok(head)
    }

    #[test]
    fn a_connection_is_kept_when_both_sides_know_where_the_answer_ends() {
        for (fields, keeps) in [
            ("HTTP/1.1 200 OK\r\ncontent-length: 3", true),
            ("HTTP/1.1 200 OK\r\ncontent-length: 3\r\nContent-Length: 3, 3", true),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked", true),
            ("HTTP/1.1 200 OK\r\nconnection: x, Close\r\ncontent-length: 3", false),
            ("HTTP/1.0 200 OK\r\ncontent-length: 3", false),
            ("HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 3", true),
            ("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 3", false),
        ] {
            assert_eq!(told(fields).map(|head| head.keeps), Ok(keeps), "{fields}");
        }
    }

    #[test]
    fn where_a_body_ends_is_said_once() {
        for (fields, framing) in [
            ("200 OK\r\ncontent-length: 3", Framing::Length(3)),
            ("200 OK\r\ncontent-length: 0", Framing::Over),
            ("200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 0", Framing::ChunkLine),
            ("204 No Content\r\ntransfer-encoding: chunked", Framing::Over),
            ("304 Not Modified\r\ncontent-length: 9", Framing::Over),
            ("200 OK\r\nx: y", Framing::UntilClose),
        ] {
            assert_eq!(
                told(&format!("HTTP/1.1 {fields}")).map(|head| Framing::of(&head)),
                Ok(framing),
                "{fields}"
            );
        }
    }

    #[test]
    fn a_line_break_is_passed_over_behind_a_chunk_and_nowhere_else() {
        let skip = |mut framing: Framing, input: &str| (framing.skip_break(input.as_bytes()), framing);
        assert_eq!(skip(Framing::ChunkEnd, "\r\n5\r\n"), (2, Framing::ChunkLine));
        for input in ["", "\r", "\n", "x\r\n"] {
            assert_eq!(skip(Framing::ChunkEnd, input), (0, Framing::ChunkEnd), "{}", input.escape_default());
        }
        for framing in [Framing::Length(9), Framing::Chunk(9), Framing::UntilClose, Framing::Trailer(0)] {
            assert_eq!(skip(framing, "\r\n"), (0, framing));
        }
    }

    #[test]
    fn heads_that_are_none_are_garbage() {
        for wrong in
            ["HTTP/1.1 099 x", "HTTP/1.1 101 Switching", "HTTP/2.0 200 OK", "HTTP/1.1 20 OK", "ICY 200 OK"]
        {
            assert_eq!(told(wrong).map(|head| head.status), Err(Fault::Garbage), "{wrong}");
        }
        assert!(head(b"HTTP/1.1 200 OK\r\na: b\r\n").is_ok_and(|head| head.is_none()));
        let interim = b"HTTP/1.1 103 Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\nrest";
        assert_eq!(
            head(interim).map(|told| told.map(|(head, used)| (head.status, used))),
            Ok(Some((200, 41)))
        );
    }

    #[test]
    fn a_head_and_what_stands_between_chunks_have_limits() {
        let fields = |count: usize| format!("HTTP/1.1 200 OK{}", "\r\na: b".repeat(count));
        assert!(told(&fields(FIELDS_MAX)).is_ok());
        assert_eq!(told(&fields(FIELDS_MAX + 1)).map(|head| head.status), Err(Fault::AnswerTooLarge));
        let of_size = |size: usize| {
            format!("HTTP/1.1 200 OK\r\na: {}", "b".repeat(size - "HTTP/1.1 200 OK\r\na: \r\n\r\n".len()))
        };
        assert!(told(&of_size(HEAD_BYTES_MAX)).is_ok());
        assert_eq!(told(&of_size(HEAD_BYTES_MAX + 1)).map(|head| head.status), Err(Fault::AnswerTooLarge));
        assert_eq!(head("a".repeat(HEAD_BYTES_MAX).as_bytes()).map(drop), Err(Fault::Garbage));

        let line = |length: usize| format!("1;{}", "x".repeat(length - 2));
        let next = |text: &str| Framing::ChunkLine.next(text.as_bytes());
        let most = line(CHUNK_LINE_BYTES_MAX);
        assert_eq!(next(&most), Ok(Part::Wanting));
        assert_eq!(next(&format!("{most}\r\n")), Ok(Part::Between(CHUNK_LINE_BYTES_MAX + 2)));
        assert_eq!(next(&format!("{most}x")), Ok(Part::Wanting));
        assert_eq!(next(&format!("{most}x\r")), Err(Fault::Garbage));
        assert_eq!(next(&format!("{most}x\r\n")), Err(Fault::Garbage));

        for cr in ["0\r\r\n", "5;a\rb\r\n"] {
            assert_eq!(next(cr), Err(Fault::Garbage), "{}", cr.escape_default());
        }
        assert_eq!(Framing::Trailer(0).next(b"a: b\rc\r\n"), Err(Fault::Garbage));
        let mut trailer = Framing::Trailer(HEAD_BYTES_MAX - 3);
        assert_eq!(trailer.next(b"a:b\r\n"), Ok(Part::Between(5)));
        assert_eq!(trailer.next(b"\r\n"), Ok(Part::Between(2)));
        assert_eq!(trailer, Framing::Over);
        assert_eq!(Framing::Trailer(HEAD_BYTES_MAX - 3).next(b"a:bc\r\n"), Err(Fault::Garbage));
    }
}
