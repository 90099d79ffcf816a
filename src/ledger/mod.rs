//! Usage that survives: sums in memory, written to one SQLite file off every request's path.
//!
//! ```text
//!   request ──Used──▶ sums ──every half second, one transaction──▶ file
//!                      ▲                                  │
//!                      └──────── could not be written ────┘
//! ```
//!
//! A request adds to a sum under a short lock and goes on. One thread writes what has come together. While the file
//! cannot be written, the sums stay where they are, bounded, and the next attempt writes them. With no file configured
//! they stay there for good, and the thread is never started.

mod file;
mod reader;
mod sums;
#[cfg(test)]
mod tests;

pub use file::Trouble;
pub use reader::read;
pub use sums::{CALL_TOKENS_MAX, MODELS_MAX, SUMS_MAX};

use crate::clock::Clock;
use crate::domain::event::Event;
use crate::domain::keepsake::Keepsake;
use crate::domain::usage::Row;
use crate::gateway::ports::Observer;
use file::File;
use parking_lot::{Condvar, Mutex};
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use sums::{Entry, Sums};

/// How long sums come together before they are written. A process that is killed loses no more than this and the
/// writing itself.
const GATHER: Duration = Duration::from_millis(500);
/// How often old rows are looked for.
const TIDY: Duration = Duration::from_secs(3_600);
/// A calendar that moved so much more or less than the clock was set by somebody: nothing is forgotten on its word.
const CALENDAR_SLIP_MAX: Duration = Duration::from_secs(600);
const STACK_BYTES: usize = 512 << 10; // SQLite's parser and sorter; measured below 100 KiB

/// Where the ledger is, and how long it remembers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// The file; `None`: usage stays in memory.
    pub path: Option<PathBuf>,
    /// Older usage is forgotten.
    pub keep: Duration,
}

/// Makes the list of what is to survive a restart.
pub type Remember = dyn Fn() -> Vec<Keepsake> + Send + Sync;
/// Takes up such a list.
pub type Recall = dyn Fn(&[Keepsake]) + Send + Sync;

/// What is to survive a restart.
pub struct Lasting {
    /// What is to be written.
    pub remember: Box<Remember>,
    /// For what the file says that could not be read at the start.
    pub recall: Box<Recall>,
}

/// A file that is ready to be put in service.
#[derive(Debug)]
pub struct Opened {
    settings: Settings,
    file: Option<File>,
    /// What was saved in it.
    pub kept: Vec<Keepsake>,
}

/// Opens the file of these settings, if they name one. A full disk is met later.
///
/// # Errors
/// What cannot be used, in words that name the file.
pub fn open(settings: &Settings) -> Result<Opened, String> {
    let opened = settings.path.as_deref().map(File::open).transpose()?;
    let (file, kept) = opened.map_or_else(Default::default, |(file, kept)| (Some(file), kept));
    Ok(Opened { settings: settings.clone(), file, kept })
}

/// The ledger in service: an observer on the way to the next one.
pub struct Ledger {
    shared: Arc<Shared>,
    /// Guards the thread that writes; started with the first file.
    writer: Mutex<Option<JoinHandle<()>>>,
}

struct Shared {
    next: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    /// Guards the sums: held to add to one, or to take all of them out.
    sums: Mutex<Sums>,
    /// Guards the file. The writer holds it while it writes, a report while it reads; no request to a provider ever
    /// waits for it. Taken before `sums`, so that a report sees every call once: in the file, or in the sums.
    desk: Mutex<Desk>,
    /// Something has happened since the last writing. Set without the lock, so that only the first one pays for it.
    news: AtomicBool,
    has_file: AtomicBool,
    /// Sums that were taken out and are not written yet: they count as waiting.
    writing: AtomicUsize,
    /// Guards what the writer waits for.
    bell: Mutex<Bell>,
    rung: Condvar,
    lasting: OnceLock<Lasting>,
}

#[derive(Default)]
struct Bell {
    rung: bool,
    closed: bool,
}

/// What belongs to the file.
struct Desk {
    settings: Settings,
    file: Option<File>,
    failing: bool,
    tidied: (Instant, SystemTime),
}

/// What an attempt at writing is worth telling.
enum Told {
    Nothing,
    Failed { why: String, first: bool },
    Recovered,
}

impl Ledger {
    /// Puts a file in service. Every event goes on to `next`.
    ///
    /// # Errors
    /// When the machine has no thread to spare.
    pub fn start(opened: Opened, clock: Arc<dyn Clock>, next: Arc<dyn Observer>) -> std::io::Result<Self> {
        let tidied = (clock.now(), clock.today());
        let unheard = opened.file.as_ref().and_then(|file| file.unheard().map(str::to_owned));
        let desk = Desk { settings: opened.settings, file: opened.file, failing: unheard.is_some(), tidied };
        let has_file = desk.file.is_some();
        let shared = Arc::new(Shared {
            next,
            clock,
            sums: Mutex::default(),
            desk: Mutex::new(desk),
            // With no file there is never news.
            news: AtomicBool::new(!has_file),
            has_file: AtomicBool::new(has_file),
            writing: AtomicUsize::new(0),
            bell: Mutex::default(),
            rung: Condvar::new(),
            lasting: OnceLock::new(),
        });
        if let Some(why) = &unheard {
            shared.next.observe(&Event::LedgerFailed { why, first: true });
        }
        let ledger = Self { shared, writer: Mutex::default() };
        if has_file {
            ledger.start_writer()?;
        }
        Ok(ledger)
    }

    /// Says how the list of what survives a restart is made. Only the first time counts. A file that could not be opened
    /// at the start is tried again from now on.
    pub fn remember(&self, lasting: Lasting) {
        let _ = self.shared.lasting.set(lasting);
        if self.shared.desk.lock().file.as_ref().is_some_and(|file| file.unheard().is_some()) {
            self.shared.ring();
        }
    }

    /// Puts another file in service, after everything was written to the old one; what only memory held goes to the
    /// new one.
    ///
    /// # Errors
    /// When the machine has no thread to spare; the old file is in service then.
    pub fn change(&self, opened: Opened) -> std::io::Result<()> {
        if opened.file.is_some() {
            self.start_writer()?;
        }
        self.shared.write();
        let mut desk = self.shared.desk.lock();
        // The same file is opened twice for a moment; the older connection goes first. What was used since the start is
        // known here better than in a file that takes over.
        desk.file = opened.file.map(File::heard);
        desk.settings = opened.settings;
        desk.failing = false;
        let has_file = desk.file.is_some();
        drop(desk);
        self.shared.has_file.store(has_file, Ordering::SeqCst);
        self.shared.news.store(!has_file, Ordering::SeqCst);
        if has_file {
            self.shared.ring();
        }
        Ok(())
    }

    /// What it was told.
    #[must_use]
    pub fn settings(&self) -> Settings {
        self.shared.desk.lock().settings.clone()
    }

    /// What was used since a minute, by one key or by all, to the last call.
    ///
    /// # Errors
    /// That the file cannot be read, in words.
    pub fn rows(&self, since: u64, key: Option<&str>) -> Result<Vec<Row>, String> {
        let mut desk = self.shared.desk.lock();
        let mut rows = match &mut desk.file {
            None => Vec::new(),
            Some(file) => file.rows(since, key).map_err(|trouble| trouble.words().to_owned())?,
        };
        let sums = self.shared.sums.lock();
        let wanted = |row: &&Row| row.minute >= since && key.is_none_or(|key| row.key == key);
        rows.extend(sums.rows().filter(wanted).cloned());
        Ok(rows)
    }

    /// Sums that wait to be written; 0 where there is no file to write them to.
    #[must_use]
    pub fn pending(&self) -> usize {
        let has_file = self.shared.has_file.load(Ordering::Relaxed);
        if has_file { self.shared.sums.lock().len() + self.shared.writing.load(Ordering::SeqCst) } else { 0 }
    }

    /// Writes what is left and ends the thread. What is used afterwards stays in memory.
    pub fn close(&self) {
        self.shared.bell.lock().closed = true;
        self.shared.rung.notify_all();
        if let Some(writer) = self.writer.lock().take() {
            // Its last writing may have failed; nobody is left to try again.
            let _ = writer.join();
        }
    }

    fn start_writer(&self) -> std::io::Result<()> {
        let mut writer = self.writer.lock();
        if writer.is_none() {
            let shared = Arc::clone(&self.shared);
            let thread = Builder::new()
                .name("ledger".to_owned())
                .stack_size(STACK_BYTES)
                .spawn(move || shared.keep())?;
            *writer = Some(thread);
        }
        Ok(())
    }
}

impl Observer for Ledger {
    fn observe(&self, event: &Event<'_>) {
        let shared = &self.shared;
        if let Event::Used { key, provider, model, known, endpoint, usage, .. } = event {
            let minute = minute_of(shared.clock.today());
            shared.sums.lock().add(Entry { minute, key, provider, model, endpoint }, *known, *usage);
        }
        let moves = matches!(
            event,
            Event::Used { .. } | Event::Answered(_) | Event::BreakerMoved { .. } | Event::Limited { .. }
        );
        if moves && !shared.news.load(Ordering::Relaxed) && !shared.news.swap(true, Ordering::SeqCst) {
            shared.ring();
        }
        shared.next.observe(event);
    }
}

/// Minutes since 1970; times before are 1970.
#[must_use]
pub fn minute_of(at: SystemTime) -> u64 {
    at.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs() / 60
}

impl Shared {
    fn ring(&self) {
        self.bell.lock().rung = true;
        self.rung.notify_all();
    }

    /// The thread: waits for news, lets more come together, writes; and looks after what is old.
    fn keep(&self) {
        loop {
            let mut bell = self.bell.lock();
            if !bell.rung && !bell.closed {
                let _ = self.rung.wait_while_for(&mut bell, |bell| !bell.rung && !bell.closed, TIDY);
            }
            if !bell.closed {
                let _ = self.rung.wait_while_for(&mut bell, |bell| !bell.closed, GATHER);
            }
            bell.rung = false;
            let closed = bell.closed;
            drop(bell);
            let failed = self.write();
            if closed {
                return;
            }
            if failed {
                // Tried again after the next half second, news or not.
                self.ring();
            }
            self.tidy();
        }
    }

    /// Writes everything there is. Whether that failed.
    fn write(&self) -> bool {
        // Before the sums are taken: what comes from now on is news again.
        let has_file = self.has_file.load(Ordering::SeqCst);
        self.news.store(!has_file, Ordering::SeqCst);
        if !has_file {
            return false;
        }
        let told = match self.late() {
            Ok(kept) => {
                let lasting = self.lasting.get();
                if let (Some(lasting), false) = (lasting, kept.is_empty()) {
                    (lasting.recall)(&kept);
                }
                self.write_down(&lasting.map(|lasting| (lasting.remember)()).unwrap_or_default())
            }
            Err(why) => Told::Failed { why, first: false },
        };
        match &told {
            Told::Nothing => {}
            Told::Failed { why, first } => self.next.observe(&Event::LedgerFailed { why, first: *first }),
            Told::Recovered => self.next.observe(&Event::LedgerRecovered),
        }
        matches!(told, Told::Failed { .. })
    }

    /// What the file says that could not be opened at the start: it is taken up before anything is written over it.
    fn late(&self) -> Result<Vec<Keepsake>, String> {
        let mut desk = self.desk.lock();
        let late = desk.file.as_mut().map_or_else(|| Ok(Vec::new()), File::late);
        late.map_err(|trouble| trouble.words().to_owned())
    }

    fn write_down(&self, kept: &[Keepsake]) -> Told {
        let mut desk = self.desk.lock();
        let Desk { file: Some(file), failing, .. } = &mut *desk else { return Told::Nothing };
        let rows = {
            let mut sums = self.sums.lock();
            self.writing.store(sums.len(), Ordering::SeqCst);
            sums.take()
        };
        let written = file.write(&rows, kept);
        let told = match written {
            Ok(()) if std::mem::take(failing) => Told::Recovered,
            Ok(()) => Told::Nothing,
            Err(trouble) => {
                self.sums.lock().add_all(rows);
                let first = !std::mem::replace(failing, true);
                Told::Failed { why: trouble.words().to_owned(), first }
            }
        };
        self.writing.store(0, Ordering::SeqCst);
        told
    }

    /// Forgets what is old, once an hour.
    fn tidy(&self) {
        let (now, today) = (self.clock.now(), self.clock.today());
        let mut desk = self.desk.lock();
        let (then, that_day) = desk.tidied;
        let passed = now.saturating_duration_since(then);
        if passed < TIDY || desk.failing {
            return;
        }
        desk.tidied = (now, today);
        let by_calendar = today.duration_since(that_day).unwrap_or_default();
        if by_calendar.abs_diff(passed) > CALENDAR_SLIP_MAX {
            return;
        }
        let keep = desk.settings.keep.as_secs() / 60;
        if let Some(file) = &mut desk.file {
            // Whatever was in the way is met again by the next writing, which tells of it.
            let _ = file.tidy(minute_of(today), keep);
        }
    }
}
