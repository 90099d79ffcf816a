//! Reads a ledger from outside, also while a gateway writes it.

use super::file::{BUSY, Trouble, recognise, rows};
use crate::domain::usage::Row;
use rusqlite::{Connection, OpenFlags};
use std::path::Path;

/// Reads a ledger that a gateway may be writing at the same time, and changes nothing.
///
/// # Errors
/// Trouble, in words that name the file.
pub fn read(path: &Path, since: u64) -> Result<Vec<Row>, String> {
    let named = |words: &str| format!("{}: {words}", path.display());
    match path.try_exists() {
        Ok(true) => {}
        Ok(false) => return Err(named("there is no such file yet: the gateway makes it when it starts")),
        // Its folder is not this user's.
        Err(error) => return Err(named(&format!("cannot be looked at: {error}"))),
    }
    let open = |uri: String| -> Result<Vec<Row>, Trouble> {
        let flags =
            OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_URI;
        let connection = Connection::open_with_flags(uri, flags)?;
        connection.busy_timeout(BUSY)?;
        if !recognise(&connection)? {
            return Ok(Vec::new());
        }
        rows(&connection, since, None)
    };
    let uri = uri(path);
    // A reader who may not write beside the file cannot share it; when nobody has it open, he need not.
    let alone = || !path.with_file_name(wal_name(path)).exists();
    match open(format!("{uri}?mode=ro")) {
        Err(_) if alone() => open(format!("{uri}?immutable=1")),
        other => other,
    }
    .map_err(|trouble| named(trouble.words()))
}

fn wal_name(path: &Path) -> std::ffi::OsString {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push("-wal");
    name
}

/// The path as a `file:` URI (RFC 3986): whatever could mean something there is written in hexadecimal.
fn uri(path: &Path) -> String {
    let mut uri = String::from("file:");
    for byte in path.as_os_str().as_encoded_bytes() {
        match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'_' | b'-' => {
                uri.push(char::from(*byte))
            }
            other => uri.push_str(&format!("%{other:02X}")),
        }
    }
    uri
}
