//! `hapax keys new NAME`: a new caller's key, shown once.

use super::{Failed, print};
use crate::domain::key::Hash;
use std::io::Read;

/// Random bytes in a key: 192 bits.
const KEY_BYTES: usize = 24;

pub(super) fn new(name: &str, json: bool) -> Result<(), Failed> {
    let proper = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    if !(1..=64).contains(&name.len()) || !name.bytes().all(proper) {
        let rule = "a key's name is 1 to 64 letters, digits, dots, dashes or underscores";
        return Err(Failed::Usage(rule.to_owned()));
    }
    let mut random = [0; KEY_BYTES];
    std::fs::File::open("/dev/urandom")
        .and_then(|mut source| source.read_exact(&mut random))
        .map_err(|error| Failed::Running(format!("no random numbers to be had: {error}")))?;
    let key: String = random.iter().fold("hpx_".to_owned(), |key, byte| format!("{key}{byte:02x}"));
    let hash = Hash::of(&key);
    if json {
        return print(&serde_json::json!({"name": name, "key": key, "hash": hash.to_string()}).to_string());
    }
    print(&format!(
        "Key, shown only now:\n  {key}\n\nUnder auth.keys in the configuration:\n  - {{name: {name}, hash: \"{hash}\"}}"
    ))
}
