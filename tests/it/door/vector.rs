//! Vectors: raw requests with what must become of them, read from `tests/vectors/*.txt`.
//!
//! ```text
//! # a comment
//! [a name]
//! rfc 9112 6.1                the section that says so
//! > POST / HTTP/1.1           a line, with CRLF after it
//! | hel                       bytes as they are, nothing after them
//! saw POST / hello            a request as the handler sees it: method, target in its normal form, body
//! = 200 400 close             the statuses in order (`400/501`: either), and what becomes of the connection:
//!                             keep (ready for the next request), wait (for more of this one), close
//! ```
//!
//! Escapes: `\r \n \t \0 \\ \xHH`, `\s` for a blank at the end of a line, `\{3*ab}` for `ababab`.

use std::fs;
use std::path::Path;

/// What becomes of the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Keep,
    Wait,
    Close,
}

/// One raw request, or several, and what must become of them.
#[derive(Debug, Clone)]
pub struct Vector {
    pub name: String,
    pub rfc: String,
    pub bytes: Vec<u8>,
    pub saw: Vec<String>,
    /// Each with the statuses that will do.
    pub statuses: Vec<Vec<u16>>,
    pub end: End,
}

impl Vector {
    /// Says what is wrong with what happened, if anything.
    pub fn judge(&self, saw: &[String], statuses: &[u16], end: End) -> Result<(), String> {
        let right = statuses.len() == self.statuses.len()
            && statuses.iter().zip(&self.statuses).all(|(status, will_do)| will_do.contains(status));
        if right && saw == self.saw && end == self.end {
            return Ok(());
        }
        Err(format!(
            "expected {:?} {:?} {:?}, got {saw:?} {statuses:?} {end:?}",
            self.saw, self.statuses, self.end
        ))
    }
}

/// Every vector there is.
pub fn all() -> Vec<Vector> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/vectors");
    let mut paths: Vec<_> = fs::read_dir(folder)
        .expect("the vectors are there")
        .map(|entry| entry.expect("the folder is readable").path())
        .collect();
    paths.sort();
    let read = |path: &std::path::PathBuf| fs::read_to_string(path).expect("vectors are UTF-8");
    paths.iter().flat_map(|path| parse(&read(path))).collect()
}

/// The vectors of one file.
pub fn parse(text: &str) -> Vec<Vector> {
    let mut vectors: Vec<Vector> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
        if let Some(name) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            let name = name.to_owned();
            let (bytes, saw, statuses) = (Vec::new(), Vec::new(), Vec::new());
            vectors.push(Vector { name, rfc: String::new(), bytes, saw, statuses, end: End::Wait });
            continue;
        }
        let vector = vectors.last_mut().unwrap_or_else(|| panic!("no name before {line:?}"));
        let (kind, rest) = line.split_once(' ').unwrap_or((line, ""));
        match kind {
            "rfc" => vector.rfc = rest.to_owned(),
            ">" => vector.bytes.extend([unescaped(rest), b"\r\n".to_vec()].concat()),
            "|" => vector.bytes.extend(unescaped(rest)),
            "saw" => vector.saw.push(rest.to_owned()),
            "=" => expect(vector, rest),
            _ => panic!("not a line of a vector: {line:?}"),
        }
    }
    vectors
}

fn expect(vector: &mut Vector, words: &str) {
    let mut words: Vec<&str> = words.split(' ').collect();
    vector.end = match words.pop() {
        Some("keep") => End::Keep,
        Some("wait") => End::Wait,
        Some("close") => End::Close,
        other => panic!("{}: not an end: {other:?}", vector.name),
    };
    let status = |text: &str| text.parse().unwrap_or_else(|_| panic!("not a status: {text:?}"));
    vector.statuses = words.iter().map(|word| word.split('/').map(status).collect()).collect();
}

fn unescaped(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let (kind, after) = after.split_at(1);
        rest = after;
        match kind {
            "r" => bytes.push(b'\r'),
            "n" => bytes.push(b'\n'),
            "t" => bytes.push(b'\t'),
            "s" => bytes.push(b' '),
            "0" => bytes.push(0),
            "\\" => bytes.push(b'\\'),
            "x" => {
                let (digits, after) = after.split_at(2);
                bytes.push(u8::from_str_radix(digits, 16).expect("two digits"));
                rest = after;
            }
            "{" => {
                let (inside, after) = after.split_once('}').expect("a closing brace");
                let (count, what) = inside.split_once('*').expect("a count and a text");
                let count: usize = count.parse().expect("a count");
                bytes.extend(unescaped(what).repeat(count));
                rest = after;
            }
            other => panic!("not an escape: \\{other}"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    bytes
}

#[test]
fn escapes_mean_what_they_say() {
    assert_eq!(unescaped(r"a\r\n\t\0\\\x7f\s\{3*ab}c"), b"a\r\n\t\0\\\x7f abababc");
    assert_eq!(unescaped(r"\{2*A: b\r\n}"), b"A: b\r\nA: b\r\n");
}
