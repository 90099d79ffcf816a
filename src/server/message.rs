//! Requests and responses as values.

use super::fields::Fields;
use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::ops::Deref;
use std::time::Instant;

/// A request's method, case as sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Method(Cow<'static, str>);

impl Method {
    /// The method's name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<&str> for Method {
    fn from(name: &str) -> Self {
        const KNOWN: [&str; 7] = ["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"];
        match KNOWN.iter().find(|known| **known == name) {
            Some(known) => Self(Cow::Borrowed(known)),
            None => Self(Cow::Owned(name.to_owned())),
        }
    }
}

impl Deref for Method {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl PartialEq<str> for Method {
    fn eq(&self, other: &str) -> bool {
        *self.0 == *other
    }
}

impl PartialEq<&str> for Method {
    fn eq(&self, other: &&str) -> bool {
        *self.0 == **other
    }
}

/// A request's header fields, in order, as sent: one copy of the bytes and where each field lies in them.
#[derive(Debug, Clone, Default)]
pub struct Headers {
    pub(super) bytes: Vec<u8>,
    spans: Vec<Span>,
    /// A bit for each name there is; see [`bit`].
    names: u64,
}

/// Names that are the same in any case of letters have the same bit: most of those nobody sent are known by theirs.
pub(super) fn bit(name: &[u8]) -> u64 {
    let first = name.first().map_or(0, |first| usize::from(first | 0x20));
    1 << ((first ^ (name.len() * 5)) % 64)
}

/// Where one field lies: start and end of its name and of its value.
#[derive(Debug, Clone, Copy)]
pub(super) struct Span {
    pub(super) name: (u32, u32),
    pub(super) value: (u32, u32),
}

impl Headers {
    /// Becomes these, in the room there is.
    pub(super) fn refill(&mut self, bytes: &[u8], spans: impl Iterator<Item = Span>) {
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes);
        self.spans.clear();
        self.spans.extend(spans);
        self.names = self.spans.iter().fold(0, |names, span| names | bit(self.cut(span.name)));
    }

    /// Where the value of the first field of this name lies in the bytes.
    fn place(&self, name: &str) -> Option<(u32, u32)> {
        if self.names & bit(name.as_bytes()) == 0 {
            return None;
        }
        let is_wanted = |span: &&Span| {
            let ((from, to), wanted) = (span.name, name.as_bytes());
            // Most are told apart by their length, and sent as we write them.
            (to - from) as usize == wanted.len() && {
                let sent = self.cut(span.name);
                sent == wanted || sent.eq_ignore_ascii_case(wanted)
            }
        };
        self.spans.iter().find(is_wanted).map(|span| span.value)
    }

    /// The value of the first field of this name, in any case of letters; `None` also when it is not UTF-8.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        std::str::from_utf8(self.cut(self.place(name)?)).ok()
    }

    /// Whether there is any of these fields, and the first of each is that of another head: in a time that does not depend
    /// on where a value differs, for one connection may carry the requests of several callers.
    pub(super) fn show_the_same(&self, names: &[&str], other: &[httparse::Header<'_>]) -> bool {
        let mut shown = false;
        let same = names.iter().all(|name| {
            let theirs = other.iter().find(|field| field.name.eq_ignore_ascii_case(name));
            match (self.place(name).map(|place| self.cut(place)), theirs.map(|field| field.value)) {
                (None, None) => true,
                (Some(mine), Some(theirs)) => {
                    shown = true;
                    let differing = mine.iter().zip(theirs).fold(0, |all, (one, other)| all | (one ^ other));
                    mine.len() == theirs.len() && std::hint::black_box(differing) == 0
                }
                _ => false,
            }
        });
        shown && same
    }

    /// Every field whose value is UTF-8: name as sent, and value without surrounding blanks.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.spans.iter().filter_map(|span| {
            let name = std::str::from_utf8(self.cut(span.name)).ok()?;
            let value = std::str::from_utf8(self.cut(span.value)).ok()?;
            Some((name, value))
        })
    }

    /// How many fields there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.spans.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Bytes of memory held for them.
    pub(super) fn held(&self) -> usize {
        self.bytes.capacity() + self.spans.capacity() * size_of::<Span>()
    }

    fn cut(&self, (from, to): (u32, u32)) -> &[u8] {
        self.bytes.get(from as usize..to as usize).unwrap_or_default()
    }
}

impl<'a> FromIterator<(&'a str, &'a str)> for Headers {
    fn from_iter<I: IntoIterator<Item = (&'a str, &'a str)>>(fields: I) -> Self {
        let mut headers = Self::default();
        for (name, value) in fields {
            let mut put = |text: &str| {
                let from = u32::try_from(headers.bytes.len()).unwrap_or(u32::MAX);
                headers.bytes.extend_from_slice(text.as_bytes());
                (from, u32::try_from(headers.bytes.len()).unwrap_or(u32::MAX))
            };
            let span = Span { name: put(name), value: put(value) };
            headers.spans.push(span);
            headers.names |= bit(name.as_bytes());
        }
        headers
    }
}

/// What the screening of a head found out, for the handler of the request: means nothing to the server.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pass(pub u64);

/// A request whose head is complete and whose body is not asked for yet.
#[derive(Debug, Clone)]
pub struct Head {
    /// The method.
    pub method: Method,
    /// The target's path in its one normal form.
    pub path: String,
    /// What follows the first `?` of the target, as sent.
    pub query: Option<String>,
    /// The header fields.
    pub headers: Headers,
    /// Who is connected.
    pub peer: IpAddr,
    /// How long the body says it is; `None` when it is chunked.
    pub content_length: Option<u64>,
    /// What the screening said of the connection's last request, if that showed the same credentials.
    pub known: Pass,
}

/// A complete request.
#[derive(Debug, Clone)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// The target's path in its one normal form.
    pub path: String,
    /// What follows the first `?` of the target, as sent.
    pub query: Option<String>,
    /// The header fields.
    pub headers: Headers,
    /// The body, decoded; empty when there was none.
    pub body: Vec<u8>,
    /// Who is connected.
    pub peer: IpAddr,
    /// When the last byte was there.
    pub received: Instant,
    /// What the screening said.
    pub pass: Pass,
}

/// An answer that is known as a whole. `Content-Length`, `Date` and `Connection` are added by the server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The header fields.
    pub headers: Fields,
    /// The body; not sent in answer to HEAD, but its length is told.
    pub body: Vec<u8>,
}

/// What the answer must heed of the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Manner {
    /// The connection stays open after the answer.
    pub keep_alive: bool,
    /// The caller speaks HTTP/1.0: no chunks.
    pub old: bool,
    /// HEAD: the head alone.
    pub head_only: bool,
}

impl Manner {
    /// For answers to requests that were not understood.
    pub(super) const LAST: Self = Self { keep_alive: false, old: false, head_only: false };
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_in_any_case_of_letters_and_the_first_of_its_name() {
        let names = ["Host", "ACCEPT", "X-Request-ID", "x-request-id", "_a", "9", "Content-Type", "Z"];
        let headers: Headers = names.iter().map(|name| (*name, *name)).collect();
        for name in names {
            let first = names.iter().find(|known| known.eq_ignore_ascii_case(name)).copied();
            let alone: Headers = [(name, "x")].into_iter().collect();
            for name in [name.to_owned(), name.to_ascii_lowercase(), name.to_ascii_uppercase()] {
                assert_eq!((headers.get(&name), alone.get(&name)), (first, Some("x")), "{name}");
            }
        }
        // The last two have the bit of one that is there.
        for absent in ["", "Hos", "Content-Typ", "Cxxxxxxxxxxx", "Hxxx"] {
            assert_eq!(headers.get(absent), None, "{absent}");
        }
    }
}
