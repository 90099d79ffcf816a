//! The walk through a JSON text: strict (RFC 8259), of bounded depth, eight bytes at a time inside strings.

use super::super::Invalid;
use super::odd;
use super::run::{SHORT_BYTES, plain, special_in};
use crate::domain::failure::Failure;
use std::borrow::Cow;

/// Arrays and objects inside each other; real requests with tool schemas stay below 20.
pub const DEPTH_MAX: usize = 64;

/// Why a text is not JSON we accept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bad {
    /// It is not JSON, from this byte on.
    Syntax(usize),
    /// It is nested deeper than [`DEPTH_MAX`].
    Deep,
}

impl From<Bad> for Failure {
    fn from(bad: Bad) -> Self {
        Invalid::from(bad).into()
    }
}

impl From<Bad> for Invalid {
    fn from(bad: Bad) -> Self {
        let message = match bad {
            Bad::Syntax(at) => format!("the body is not valid JSON (at byte {at})"),
            Bad::Deep => format!("the body is nested deeper than {DEPTH_MAX} levels"),
        };
        Self { param: None, message }
    }
}

/// A walk through one JSON text, from value to value.
#[derive(Debug)]
pub struct Scan<'a> {
    text: &'a str,
    at: usize,
    depth: usize,
    odd: Option<usize>,
}

impl<'a> Scan<'a> {
    /// A walk that begins at the text's first value.
    #[must_use]
    pub fn new(text: &'a str) -> Self {
        Self { text, at: 0, depth: 0, odd: None }
    }

    /// The first byte of the next value, or 0 at the end.
    #[inline]
    pub fn peek(&mut self) -> u8 {
        // Most bodies have no blanks.
        let byte = self.byte();
        if byte > b' ' { byte } else { self.past_blanks() }
    }

    fn past_blanks(&mut self) -> u8 {
        loop {
            match self.byte() {
                b' ' | b'\t' | b'\n' | b'\r' => self.at += 1,
                byte => return byte,
            }
        }
    }

    /// Where the next value begins.
    pub fn position(&mut self) -> usize {
        self.peek();
        self.at
    }

    /// Where the walk stands: just behind the value last stepped over.
    #[must_use]
    pub fn here(&self) -> usize {
        self.at
    }

    /// Where the first escape stands, of those stepped over, that means no character of any text.
    #[must_use]
    pub fn odd(&self) -> Option<usize> {
        self.odd
    }

    /// Steps over the next value, whatever it is, and returns its text.
    ///
    /// # Errors
    /// [`Bad`] when it is not JSON.
    pub fn value(&mut self) -> Result<&'a str, Bad> {
        let begin = self.position();
        self.pass()?;
        Ok(&self.text[begin..self.at])
    }

    /// Steps over the next value, whatever it is.
    ///
    /// # Errors
    /// [`Bad`] when it is not JSON.
    #[inline(never)]
    pub fn pass(&mut self) -> Result<(), Bad> {
        match self.peek() {
            b'{' | b'[' => self.skip(),
            open => self.scalar(open),
        }
    }

    /// Steps over the next value, whatever it is: what it says, if it is a string without escapes.
    ///
    /// # Errors
    /// [`Bad`] when it is not JSON.
    pub fn plain(&mut self) -> Result<Option<&'a str>, Bad> {
        if self.peek() != b'"' {
            return self.pass().map(|()| None);
        }
        if let Some(text) = self.short() {
            return Ok(Some(text));
        }
        let begin = self.at;
        let escaped = self.string()?;
        Ok((!escaped).then(|| &self.text[begin + 1..self.at - 1]))
    }

    /// What was stepped over since the walk stood there.
    #[must_use]
    pub fn since(&self, begin: usize) -> &'a str {
        &self.text[begin..self.at]
    }

    /// Walks through an object; `member` is called with each key and must step over its value.
    ///
    /// # Errors
    /// [`Bad`] when the next value is not an object, and whatever `member` returns.
    pub fn object<E: From<Bad>>(
        &mut self,
        mut member: impl FnMut(&mut Self, Cow<'a, str>) -> Result<(), E>,
    ) -> Result<(), E> {
        self.expect(b'{')?;
        self.deeper()?;
        if self.peek() != b'}' {
            loop {
                let key = self.key()?;
                member(self, key)?;
                if self.peek() != b',' {
                    break;
                }
                self.at += 1;
            }
        }
        self.expect(b'}')?;
        self.depth -= 1;
        Ok(())
    }

    /// Walks through an array; `element` is called with each index and must step over the value. Returns the length.
    ///
    /// # Errors
    /// [`Bad`] when the next value is not an array, and whatever `element` returns.
    pub fn array<E: From<Bad>>(
        &mut self,
        mut element: impl FnMut(&mut Self, usize) -> Result<(), E>,
    ) -> Result<usize, E> {
        self.expect(b'[')?;
        self.deeper()?;
        let mut count = 0;
        if self.peek() != b']' {
            loop {
                element(self, count)?;
                count += 1;
                if self.peek() != b',' {
                    break;
                }
                self.at += 1;
            }
        }
        self.expect(b']')?;
        self.depth -= 1;
        Ok(count)
    }

    /// Checks that nothing follows.
    ///
    /// # Errors
    /// [`Bad`] when something does.
    pub fn end(&mut self) -> Result<(), Bad> {
        self.peek();
        if self.at == self.text.len() { Ok(()) } else { Err(Bad::Syntax(self.at)) }
    }

    #[inline]
    fn byte(&self) -> u8 {
        self.text.as_bytes().get(self.at).copied().unwrap_or(0)
    }

    #[inline]
    fn expect(&mut self, byte: u8) -> Result<(), Bad> {
        if self.peek() != byte {
            return Err(Bad::Syntax(self.at));
        }
        self.at += 1;
        Ok(())
    }

    fn deeper(&mut self) -> Result<(), Bad> {
        if self.depth == DEPTH_MAX {
            return Err(Bad::Deep);
        }
        self.depth += 1;
        Ok(())
    }

    /// A key, with its colon. Most are short: those are read where they are asked for, without a call.
    #[inline(always)]
    fn key(&mut self) -> Result<Cow<'a, str>, Bad> {
        if self.peek() != b'"' {
            return Err(Bad::Syntax(self.at));
        }
        let key = match self.short() {
            Some(key) => Cow::Borrowed(key),
            None => self.long_key()?,
        };
        self.expect(b':')?;
        Ok(key)
    }

    /// A key that is long, or has escapes.
    #[cold]
    #[inline(never)]
    fn long_key(&mut self) -> Result<Cow<'a, str>, Bad> {
        let begin = self.at;
        if !self.string()? {
            return Ok(Cow::Borrowed(&self.text[begin + 1..self.at - 1]));
        }
        serde_json::from_str(&self.text[begin..self.at]).map(Cow::Owned).map_err(|_| Bad::Syntax(begin))
    }

    /// Steps over one value without recursion: a bit per open container says whether it is an object.
    #[inline(never)]
    fn skip(&mut self) -> Result<(), Bad> {
        let floor = self.depth;
        let mut objects: u64 = 0;
        loop {
            let open = self.peek();
            match open {
                b'{' | b'[' => {
                    self.at += 1;
                    self.deeper()?;
                    objects = objects << 1 | u64::from(open == b'{');
                    if !matches!((open, self.peek()), (b'{', b'}') | (b'[', b']')) {
                        if open == b'{' {
                            self.skip_key()?;
                        }
                        continue;
                    }
                }
                _ => self.scalar(open)?,
            }
            loop {
                if self.depth == floor {
                    return Ok(());
                }
                let object = objects & 1 == 1;
                match self.peek() {
                    b',' => {
                        self.at += 1;
                        if object {
                            self.skip_key()?;
                        }
                        break;
                    }
                    b'}' if object => {}
                    b']' if !object => {}
                    _ => return Err(Bad::Syntax(self.at)),
                }
                self.at += 1;
                self.depth -= 1;
                objects >>= 1;
            }
        }
    }

    /// Steps over a value that holds no others and begins with this byte.
    #[inline(always)]
    fn scalar(&mut self, open: u8) -> Result<(), Bad> {
        match open {
            b'"' if self.short().is_some() => Ok(()),
            b'"' => self.string().map(drop),
            b'-' | b'0'..=b'9' => self.number(),
            b't' => self.literal("true"),
            b'f' => self.literal("false"),
            b'n' => self.literal("null"),
            _ => Err(Bad::Syntax(self.at)),
        }
    }

    fn skip_key(&mut self) -> Result<(), Bad> {
        if self.peek() != b'"' {
            return Err(Bad::Syntax(self.at));
        }
        if self.short().is_none() {
            self.string()?;
        }
        self.expect(b':')
    }

    fn literal(&mut self, word: &str) -> Result<(), Bad> {
        if !self.text[self.at..].starts_with(word) {
            return Err(Bad::Syntax(self.at));
        }
        self.at += word.len();
        Ok(())
    }

    fn number(&mut self) -> Result<(), Bad> {
        if self.byte() == b'-' {
            self.at += 1;
        }
        if self.byte() == b'0' {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.byte() == b'.' {
            self.at += 1;
            self.digits()?;
        }
        if matches!(self.byte(), b'e' | b'E') {
            self.at += 1;
            if matches!(self.byte(), b'+' | b'-') {
                self.at += 1;
            }
            self.digits()?;
        }
        Ok(())
    }

    fn digits(&mut self) -> Result<(), Bad> {
        let rest = &self.text.as_bytes()[self.at..];
        let count = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += count;
        if count == 0 { Err(Bad::Syntax(self.at)) } else { Ok(()) }
    }

    /// Steps over a string, if it is short and plain, as most are: what it says. Else the walk stands where it stood.
    #[inline(always)]
    fn short(&mut self) -> Option<&'a str> {
        let begin = self.at + 1;
        let words: &[u8; SHORT_BYTES] = self.text.as_bytes().get(begin..)?.first_chunk()?;
        let length = special_in(words.as_chunks().0)?;
        let ends = words.get(length) == Some(&b'"');
        let text = self.text.get(begin..begin + length).filter(|_| ends)?;
        self.at = begin + length + 1;
        Some(text)
    }

    /// Steps over a string, quotes included; whether there are escapes in it.
    fn string(&mut self) -> Result<bool, Bad> {
        let bytes = self.text.as_bytes();
        let mut at = self.at + 1;
        let mut escaped = false;
        loop {
            at += plain(&bytes[at..]);
            match bytes.get(at) {
                Some(b'"') => {
                    self.at = at + 1;
                    return Ok(escaped);
                }
                Some(b'\\') => {
                    escaped = true;
                    let escape = &bytes[at + 1..];
                    let length = match escape.first() {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 1,
                        Some(b'u') => {
                            let (length, is_odd) = odd::unit(&escape[1..]).ok_or(Bad::Syntax(at))?;
                            if is_odd && self.odd.is_none() {
                                self.odd = Some(at);
                            }
                            1 + length
                        }
                        _ => return Err(Bad::Syntax(at)),
                    };
                    at += 1 + length;
                }
                _ => return Err(Bad::Syntax(at)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn accepts(text: &str) -> bool {
        let mut scan = Scan::new(text);
        scan.value().is_ok() && scan.end().is_ok()
    }

    const SAMPLE: &str = r#" {"a\u0062" : [1, -0.5e+10, true ,false,null,{"é😀":"long plain text, \"quoted\" \\ \/ \n"},[],{}], "z":"" } "#;

    #[test]
    fn accepts_exactly_what_serde_json_accepts() {
        let mut tried = 0;
        for at in 0..SAMPLE.len() {
            for byte in b"\"\\{}[],:0-.eE+u \x01tnfx" {
                let mut damaged = SAMPLE.as_bytes().to_vec();
                damaged[at] = *byte;
                let mut shorter = SAMPLE.as_bytes().to_vec();
                shorter.remove(at);
                for text in [damaged, shorter] {
                    let Ok(text) = String::from_utf8(text) else { continue };
                    let theirs = serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok();
                    assert_eq!(accepts(&text), theirs, "{text}");
                    tried += 1;
                }
            }
        }
        assert!(tried > 4000 && accepts(SAMPLE));
    }

    #[test]
    fn finds_what_ends_a_string_at_every_offset() {
        for length in 0..40 {
            let pad = "é".repeat(length / 2) + &"x".repeat(length % 2 + length);
            for (end, good) in
                [("\"", true), ("\\n\"", true), ("\u{1f}\"", false), ("\\x\"", false), ("", false)]
            {
                assert_eq!(accepts(&format!("\"{pad}{end}")), good, "{length} {end:?}");
            }
        }
    }

    #[test]
    fn depth_is_bounded_and_does_not_leak() {
        let nested = |depth: usize| "[".repeat(depth) + &"]".repeat(depth);
        assert!(accepts(&nested(DEPTH_MAX)));
        assert_eq!(Scan::new(&nested(DEPTH_MAX + 1)).value(), Err(Bad::Deep));
        let wide = format!("[{}]", vec![nested(DEPTH_MAX - 1); 3].join(","));
        assert!(accepts(&wide));
        let mut scan = Scan::new(&wide);
        let walked: Result<usize, Bad> = scan.array(|scan, _| scan.value().map(drop));
        assert_eq!(walked, Ok(3));
    }

    #[test]
    fn keys_are_unescaped() {
        let mut keys = Vec::new();
        let walked: Result<(), Bad> = Scan::new(SAMPLE).object(|scan, key| {
            keys.push(key.into_owned());
            scan.value().map(drop)
        });
        assert_eq!((walked, keys), (Ok(()), vec!["ab".to_owned(), "z".to_owned()]));
    }
}
