//! The ledger's file: SQLite in WAL mode, one table of sums and one of what survives a restart. docs/usage.md describes it
//! for whoever opens it with `sqlite3`.

use crate::domain::chat::Usage;
use crate::domain::keepsake::Keepsake;
use crate::domain::usage::Row;
use rusqlite::{
    Connection, ErrorCode, OpenFlags, OptionalExtension, Transaction, TransactionBehavior, params,
};
use std::collections::HashMap;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// `HAPX`: says whose database it is (SQLite's `application_id`).
const APPLICATION: i64 = 0x4841_5058;
/// The schema's version (SQLite's `user_version`).
const VERSION: i64 = 1;
/// How long a writer waits for another one.
pub(super) const BUSY: Duration = Duration::from_millis(500);
/// Younger rows tell the minute, older ones the hour.
const FINE_MINUTES: u64 = 2 * 1_440;

const SCHEMA: &str = "
    CREATE TABLE usage (
        minute      INTEGER NOT NULL,  -- the span's beginning, in minutes since 1970, UTC
        key         TEXT    NOT NULL,  -- the caller's key by its name, or 'none'
        provider    TEXT    NOT NULL,
        model       TEXT    NOT NULL,  -- as the provider was asked for it
        endpoint    TEXT    NOT NULL,
        estimated   INTEGER NOT NULL,  -- 0: the provider counted; 1: an estimate
        calls       INTEGER NOT NULL,
        input       INTEGER NOT NULL,  -- tokens, the cached and written ones among them
        cached      INTEGER NOT NULL,
        cache_write INTEGER NOT NULL,
        output      INTEGER NOT NULL,  -- tokens, the reasoning ones among them
        reasoning   INTEGER NOT NULL,
        PRIMARY KEY (minute, key, provider, model, endpoint, estimated)
    ) WITHOUT ROWID;
    CREATE TABLE state (
        kind  TEXT    NOT NULL,
        name  TEXT    NOT NULL,
        at    INTEGER NOT NULL,        -- milliseconds since 1970, UTC
        value INTEGER NOT NULL,
        PRIMARY KEY (kind, name)
    ) WITHOUT ROWID;";

const ADD: &str = "
    INSERT INTO usage VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)
    ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, input = input + excluded.input,
        cached = cached + excluded.cached, cache_write = cache_write + excluded.cache_write,
        output = output + excluded.output, reasoning = reasoning + excluded.reasoning";

/// Days rather than minutes: no report is divided more finely.
const READ: &str = "
    SELECT max(minute / 1440 * 1440, ?1), key, provider, model, endpoint, estimated, sum(calls), sum(input), sum(cached),
        sum(cache_write), sum(output), sum(reasoning)
    FROM usage WHERE minute >= ?1 AND (?2 IS NULL OR key = ?2) GROUP BY 1, 2, 3, 4, 5, 6";

const FOLD: &str = "
    INSERT INTO usage
    SELECT minute / 60 * 60, key, provider, model, endpoint, estimated, sum(calls), sum(input), sum(cached),
        sum(cache_write), sum(output), sum(reasoning)
    FROM usage WHERE minute < ?1 AND minute % 60 != 0 GROUP BY 1, 2, 3, 4, 5, 6
    ON CONFLICT DO UPDATE SET calls = calls + excluded.calls, input = input + excluded.input,
        cached = cached + excluded.cached, cache_write = cache_write + excluded.cache_write,
        output = output + excluded.output, reasoning = reasoning + excluded.reasoning";

/// What the table `state` holds: kind and name, moment and value.
type State = HashMap<(String, String), (u64, u64)>;

/// SQLite makes files beside the one it writes.
const NOT_WRITABLE: &str = "cannot be written: the file and its folder must be writable for this user";

/// Why the file cannot be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Trouble {
    /// It passes: the disk is full, or somebody holds the file.
    Passing(String),
    /// Somebody has to do something: the words say what is wrong.
    Lasting(String),
}

impl Trouble {
    /// What is wrong.
    #[must_use]
    pub fn words(&self) -> &str {
        match self {
            Self::Passing(words) | Self::Lasting(words) => words,
        }
    }
}

impl From<rusqlite::Error> for Trouble {
    fn from(error: rusqlite::Error) -> Self {
        let words = error.to_string();
        match error.sqlite_error_code() {
            Some(
                ErrorCode::DiskFull
                | ErrorCode::SystemIoFailure
                | ErrorCode::DatabaseBusy
                | ErrorCode::DatabaseLocked
                | ErrorCode::OutOfMemory,
            ) => Self::Passing(words),
            Some(ErrorCode::NotADatabase) => Self::Lasting("is not a database".to_owned()),
            Some(ErrorCode::ReadOnly) => Self::Lasting(NOT_WRITABLE.to_owned()),
            Some(ErrorCode::CannotOpen) => Self::Lasting("cannot be opened by this user".to_owned()),
            _ => Self::Lasting(words),
        }
    }
}

/// An open ledger, or one that will be opened again as soon as it can be.
#[derive(Debug)]
pub(super) struct File {
    path: PathBuf,
    /// `None` after trouble: the next writing opens it anew.
    connection: Option<Connection>,
    /// Device and number of the file that is open.
    identity: Option<(u64, u64)>,
    /// What the table `state` holds.
    saved: State,
    /// Why it could not be opened at the start: nobody knows yet what it says.
    unheard: Option<String>,
}

impl File {
    /// Opens the ledger, making it if there is none. Trouble that passes is met later.
    ///
    /// # Errors
    /// Lasting trouble, in words that name the file.
    pub(super) fn open(path: &Path) -> Result<(Self, Vec<Keepsake>), String> {
        let mut file = Self {
            path: path.to_owned(),
            connection: None,
            identity: None,
            saved: HashMap::new(),
            unheard: None,
        };
        match file.connect() {
            Ok(()) => {}
            Err(Trouble::Passing(words)) => file.unheard = Some(words),
            Err(Trouble::Lasting(words)) => {
                let homeless =
                    path.parent().is_some_and(|folder| !folder.as_os_str().is_empty() && !folder.is_dir());
                let words = match (homeless, path.is_dir()) {
                    (true, _) => "there is no such folder",
                    (_, true) => "is a folder: name a file",
                    _ => &words,
                };
                return Err(format!("usage.path: {}: {words}", path.display()));
            }
        }
        let kept = file.kept();
        Ok((file, kept))
    }

    fn kept(&self) -> Vec<Keepsake> {
        let keepsake = |((kind, name), (at_ms, value)): (&(String, String), &(u64, u64))| Keepsake {
            kind: kind.clone(),
            name: name.clone(),
            at_ms: *at_ms,
            value: *value,
        };
        self.saved.iter().map(keepsake).collect()
    }

    /// Why nobody has heard yet what it says.
    pub(super) fn unheard(&self) -> Option<&str> {
        self.unheard.as_deref()
    }

    /// The same, and what it says is nobody's business.
    pub(super) fn heard(self) -> Self {
        Self { unheard: None, ..self }
    }

    /// What it says, where nobody could hear it at the start. Only the first time.
    ///
    /// # Errors
    /// Trouble; it is still unheard then, and must not be written.
    pub(super) fn late(&mut self) -> Result<Vec<Keepsake>, Trouble> {
        if self.unheard.is_none() {
            return Ok(Vec::new());
        }
        self.connect()?;
        self.unheard = None;
        Ok(self.kept())
    }

    fn connect(&mut self) -> Result<(), Trouble> {
        // A file that was moved away takes no more; a new one begins in its place.
        if self.connection.is_some() && identity(&self.path) == self.identity {
            return Ok(());
        }
        self.connection = None;
        let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let mut connection = Connection::open_with_flags(&self.path, flags)?;
        connection.busy_timeout(BUSY)?;
        prepare(&mut connection)?;
        self.saved = state(&connection)?;
        self.identity = identity(&self.path);
        self.connection = Some(connection);
        Ok(())
    }

    /// Writes sums and state in one transaction: all of it, or nothing.
    ///
    /// # Errors
    /// Trouble; nothing was written then.
    pub(super) fn write(&mut self, rows: &[Row], kept: &[Keepsake]) -> Result<(), Trouble> {
        let written = self.connect().and_then(|()| match &mut self.connection {
            None => Ok(()),
            Some(connection) => write(connection, rows, kept, &mut self.saved),
        });
        if written.is_err() {
            // Whatever is wrong with it: a new one begins from what is in the file.
            self.connection = None;
        }
        written
    }

    /// Makes the file full when it has so many pages, until it is opened again.
    #[cfg(test)]
    pub(super) fn limit_pages(&mut self, pages: i64) {
        let connection = self.connection.as_ref().expect("it is open");
        connection.query_row(&format!("PRAGMA max_page_count = {pages}"), [], |_| Ok(())).expect("a limit");
    }

    /// Forgets what is older than so many minutes, and tells hours of what is older than two days.
    ///
    /// # Errors
    /// Trouble; nothing was changed then.
    pub(super) fn tidy(&mut self, now: u64, keep: u64) -> Result<(), Trouble> {
        self.connect()?;
        let Some(connection) = &mut self.connection else { return Ok(()) };
        let change = connection.transaction()?;
        change.execute("DELETE FROM usage WHERE minute < ?1", [signed(now.saturating_sub(keep))])?;
        let fine = now.saturating_sub(FINE_MINUTES) / 60 * 60;
        change.execute(FOLD, [signed(fine)])?;
        change.execute("DELETE FROM usage WHERE minute < ?1 AND minute % 60 != 0", [signed(fine)])?;
        Ok(change.commit()?)
    }

    /// The rows since a minute, of one key or of all, a day's in one.
    ///
    /// # Errors
    /// Trouble.
    pub(super) fn rows(&mut self, since: u64, key: Option<&str>) -> Result<Vec<Row>, Trouble> {
        self.connect()?;
        self.connection.as_ref().map_or_else(|| Ok(Vec::new()), |connection| rows(connection, since, key))
    }
}

/// Which file a path leads to.
fn identity(path: &Path) -> Option<(u64, u64)> {
    std::fs::metadata(path).ok().map(|found| (found.dev(), found.ino()))
}

/// Checks whose database it is before anything in it is changed, and makes the tables of a new one.
pub(super) fn prepare(connection: &mut Connection) -> Result<(), Trouble> {
    let known = recognise(connection)?;
    if connection.is_readonly("main")? {
        return Err(Trouble::Lasting(NOT_WRITABLE.to_owned()));
    }
    connection.pragma_update(None, "journal_mode", "WAL")?;
    // A killed process loses nothing it has committed; a machine without power loses what was not checkpointed.
    connection.pragma_update(None, "synchronous", "NORMAL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "cache_size", -512)?; // KiB
    connection.pragma_update(None, "journal_size_limit", 1 << 20)?; // bytes of WAL kept after a checkpoint
    if !known {
        make(connection)?;
    }
    Ok(())
}

/// Makes the tables, unless another gateway that starts has made them meanwhile.
pub(super) fn make(connection: &mut Connection) -> Result<(), Trouble> {
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    if !recognise(&change)? {
        change.execute_batch(SCHEMA)?;
        change.pragma_update(None, "application_id", APPLICATION)?;
        change.pragma_update(None, "user_version", VERSION)?;
    }
    Ok(change.commit()?)
}

/// Whether it is a ledger of ours; `false`: an empty file.
pub(super) fn recognise(connection: &Connection) -> Result<bool, Trouble> {
    let pragma = |name: &str| connection.pragma_query_value(None, name, |row| row.get::<_, i64>(0));
    let (application, version) = (pragma("application_id")?, pragma("user_version")?);
    if application == APPLICATION {
        return match version {
            VERSION => Ok(true),
            newer if newer > VERSION => Err(Trouble::Lasting(format!(
                "was written by a newer Hapax (schema {newer}; this one knows {VERSION})"
            ))),
            other => Err(Trouble::Lasting(format!("has a schema of no known version ({other})"))),
        };
    }
    let empty =
        connection.query_row("SELECT 1 FROM sqlite_master LIMIT 1", [], |_| Ok(())).optional()?.is_none();
    if empty && application == 0 && version == 0 {
        Ok(false)
    } else {
        Err(Trouble::Lasting("is a database, but no ledger of Hapax's".to_owned()))
    }
}

fn state(connection: &Connection) -> Result<State, Trouble> {
    let mut statement = connection.prepare("SELECT kind, name, at, value FROM state")?;
    let read = statement.query_map([], |row| {
        Ok(((row.get(0)?, row.get(1)?), (unsigned(row.get(2)?), unsigned(row.get(3)?))))
    })?;
    Ok(read.collect::<Result<_, _>>()?)
}

fn write(
    connection: &mut Connection,
    rows: &[Row],
    kept: &[Keepsake],
    saved: &mut State,
) -> Result<(), Trouble> {
    let wanted: State = kept.iter().map(|k| ((k.kind.clone(), k.name.clone()), (k.at_ms, k.value))).collect();
    if rows.is_empty() && wanted == *saved {
        return Ok(());
    }
    let change = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
    add(&change, rows)?;
    if wanted != *saved {
        // Read once for all of them.
        let mut put = change.prepare("INSERT OR REPLACE INTO state VALUES (?1, ?2, ?3, ?4)")?;
        for ((kind, name), (at, value)) in wanted.iter().filter(|(what, new)| saved.get(what) != Some(new)) {
            put.execute(params![kind, name, signed(*at), signed(*value)])?;
        }
    }
    for (kind, name) in saved.keys().filter(|what| !wanted.contains_key(what)) {
        change.prepare("DELETE FROM state WHERE kind = ?1 AND name = ?2")?.execute([kind, name])?;
    }
    change.commit()?;
    *saved = wanted;
    Ok(())
}

fn add(change: &Transaction<'_>, rows: &[Row]) -> Result<(), Trouble> {
    let mut statement = change.prepare(ADD)?;
    for row in rows {
        statement.execute(params![
            signed(row.minute),
            row.key,
            row.provider,
            row.model,
            row.endpoint,
            row.usage.estimated,
            signed(row.calls),
            signed(row.usage.input),
            signed(row.usage.cached),
            signed(row.usage.cache_write),
            signed(row.usage.output),
            signed(row.usage.reasoning),
        ])?;
    }
    Ok(())
}

pub(super) fn rows(connection: &Connection, since: u64, key: Option<&str>) -> Result<Vec<Row>, Trouble> {
    let mut statement = connection.prepare(READ)?;
    let read = statement.query_map(params![signed(since), key], |row| {
        let number = |column: usize| row.get(column).map(unsigned);
        Ok(Row {
            minute: number(0)?,
            key: row.get(1)?,
            provider: row.get(2)?,
            model: row.get(3)?,
            endpoint: row.get(4)?,
            calls: number(6)?,
            usage: Usage {
                input: number(7)?,
                cached: number(8)?,
                cache_write: number(9)?,
                output: number(10)?,
                reasoning: number(11)?,
                estimated: row.get(5)?,
            },
        })
    })?;
    Ok(read.collect::<Result<_, _>>()?)
}

fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn unsigned(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
