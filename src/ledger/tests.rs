//! The ledger against real files: what is written is read, what cannot be written is kept, what is old is forgotten.

use super::file::File;
use super::*;
use crate::clock::ManualClock;
use crate::domain::chat::Usage;
use rusqlite::Connection;
use std::path::Path;
use std::sync::atomic::AtomicU64;

/// A folder that goes with the test.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("hapax-ledger-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    fn ledger(&self) -> PathBuf {
        self.0.join("usage.db")
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Keeps what it was told, in words.
#[derive(Default)]
struct Witness(Mutex<Vec<String>>);

impl Observer for Witness {
    fn observe(&self, event: &Event<'_>) {
        self.0.lock().push(format!("{event:?}"));
    }
}

struct Bench {
    ledger: Ledger,
    clock: Arc<ManualClock>,
    witness: Arc<Witness>,
}

fn bench(path: Option<&Path>) -> Bench {
    let (clock, witness) = (Arc::new(ManualClock::new()), Arc::new(Witness::default()));
    let opened = open(&settings(path)).expect("it opens");
    let ledger = Ledger::start(opened, Arc::clone(&clock) as _, Arc::clone(&witness) as _);
    Bench { ledger: ledger.expect("a thread is left"), clock, witness }
}

fn settings(path: Option<&Path>) -> Settings {
    Settings { path: path.map(Path::to_owned), keep: Duration::from_secs(400 * 86_400) }
}

const ONE: Usage = Usage { input: 11, cached: 5, cache_write: 1, output: 7, reasoning: 2, estimated: false };

impl Bench {
    fn used(&self, key: &str, usage: Usage) {
        let endpoint = "/v1/chat/completions";
        let event =
            Event::Used { key, provider: "p", model: "m", known: true, endpoint, usage, nano_usd: None };
        self.ledger.observe(&event);
    }

    fn rows(&self) -> Vec<Row> {
        sorted(self.ledger.rows(0, None).expect("it can be read"))
    }
}

fn sorted(mut rows: Vec<Row>) -> Vec<Row> {
    rows.sort_by(|one, other| {
        (one.minute, &one.key, one.calls).cmp(&(other.minute, &other.key, other.calls))
    });
    rows
}

fn row(minute: u64, key: &str, calls: u64, usage: Usage) -> Row {
    let text = |text: &str| text.to_owned();
    let (key, provider, model, endpoint) = (text(key), text("p"), text("m"), text("/e"));
    Row { minute, key, provider, model, endpoint, calls, usage }
}

fn refused(path: &Path) -> String {
    open(&settings(Some(path))).expect_err("it cannot be used")
}

#[test]
fn what_was_used_is_in_the_file_when_the_process_ends_and_is_added_to_by_the_next() {
    let folder = Folder::new();
    for start in 1..=3_u64 {
        let bench = bench(Some(&folder.ledger()));
        for _ in 0..5 {
            bench.used("bot", ONE);
        }
        bench.used("bot", Usage { estimated: true, ..ONE });
        bench.ledger.close();
        let rows = read(&folder.ledger(), 0).expect("it can be read");
        let calls: u64 = rows.iter().map(|row| row.calls).sum();
        let exact = rows.iter().filter(|row| !row.usage.estimated);
        let input: u64 = exact.map(|row| row.usage.input).sum();
        assert_eq!((calls, input), (6 * start, 55 * start));
    }
}

#[test]
fn a_report_sees_every_call_once_whether_it_is_written_or_not() {
    let folder = Folder::new();
    let bench = bench(Some(&folder.ledger()));
    let calls = || bench.rows().iter().map(|row| row.calls).sum::<u64>();
    bench.used("a", ONE);
    assert_eq!(calls(), 1);
    assert!(!bench.ledger.shared.write());
    assert_eq!((calls(), bench.ledger.pending()), (1, 0));
    bench.used("b", ONE);
    assert_eq!(calls(), 2);
    assert_eq!(bench.ledger.rows(0, Some("b")).expect("readable").len(), 1);
    let tomorrow = minute_of(bench.clock.today()) + 1_440;
    assert_eq!(bench.ledger.rows(tomorrow, None), Ok(Vec::new()));
    bench.ledger.close();
    assert_eq!(calls(), 2);
}

#[test]
fn without_a_file_usage_stays_in_memory_and_no_thread_is_started() {
    let bench = bench(None);
    bench.used("a", ONE);
    assert_eq!((bench.rows().len(), bench.ledger.pending()), (1, 0));
    assert!(bench.ledger.writer.lock().is_none());
    assert!(!bench.ledger.shared.write());
    assert_eq!(bench.rows()[0].usage, ONE);
}

#[test]
fn another_file_takes_over_and_inherits_what_only_memory_held() {
    let folder = Folder::new();
    let bench = bench(None);
    bench.used("a", ONE);
    let next = folder.0.join("next.db");
    bench.ledger.change(open(&settings(Some(&folder.ledger()))).expect("it opens")).expect("a thread");
    bench.used("b", ONE);
    bench.ledger.change(open(&settings(Some(&next))).expect("it opens")).expect("a thread");
    bench.used("c", ONE);
    bench.ledger.close();
    let keys = |path: &Path| -> Vec<String> {
        sorted(read(path, 0).expect("it can be read")).into_iter().map(|row| row.key).collect()
    };
    assert_eq!(
        (keys(&folder.ledger()), keys(&next)),
        (vec!["a".to_owned(), "b".to_owned()], vec!["c".to_owned()])
    );
}

#[test]
fn a_file_that_cannot_be_written_leaves_everything_in_memory_and_recovers_by_itself() {
    let folder = Folder::new();
    let bench = bench(Some(&folder.ledger()));
    bench.used("before", ONE);
    assert!(!bench.ledger.shared.write());
    let other = Connection::open(folder.ledger()).expect("it opens");
    other.execute_batch("BEGIN IMMEDIATE").expect("nobody else writes");
    for _ in 0..3 {
        bench.used("during", ONE);
    }
    assert!(bench.ledger.shared.write() && bench.ledger.shared.write(), "it is locked");
    assert_eq!(bench.ledger.pending(), 1);
    let calls: Vec<(String, u64)> = bench.rows().into_iter().map(|row| (row.key, row.calls)).collect();
    assert_eq!(calls, [("before".to_owned(), 1), ("during".to_owned(), 3)]);
    other.execute_batch("ROLLBACK").expect("it was begun");
    assert!(!bench.ledger.shared.write());
    assert_eq!(bench.ledger.pending(), 0);
    let told: Vec<String> =
        bench.witness.0.lock().iter().filter(|line| line.contains("Ledger")).cloned().collect();
    assert!(told[0].contains("first: true") && told[1].contains("first: false"), "{told:?}");
    assert_eq!(told.last().map(String::as_str), Some("LedgerRecovered"));
    bench.ledger.close();
    assert_eq!(read(&folder.ledger(), 0).expect("readable").iter().map(|row| row.calls).sum::<u64>(), 4);
}

#[test]
fn a_full_disk_is_trouble_that_passes() {
    let folder = Folder::new();
    let (mut file, _) = File::open(&folder.ledger()).expect("it opens");
    file.limit_pages(6);
    let many: Vec<Row> = (0..1_000).map(|minute| row(minute, "k", 1, ONE)).collect();
    assert!(matches!(file.write(&many, &[]), Err(Trouble::Passing(_))));
    file.write(&many, &[]).expect("a new connection has no such limit");
    assert_eq!(read(&folder.ledger(), 0).expect("readable").iter().map(|row| row.calls).sum::<u64>(), 1_000);
}

#[test]
fn what_is_no_ledger_is_refused_before_anything_in_it_is_changed() {
    let folder = Folder::new();
    let text = folder.0.join("text");
    std::fs::write(&text, "dear diary, today I was not a database at all; I hope that this is long enough")
        .expect("written");
    assert!(refused(&text).ends_with("text: is not a database"), "{}", refused(&text));
    let foreign = folder.0.join("foreign.db");
    Connection::open(&foreign).and_then(|db| db.execute_batch("CREATE TABLE t (x)")).expect("made");
    let before = std::fs::read(&foreign).expect("readable");
    assert!(refused(&foreign).contains("no ledger of Hapax's"), "{}", refused(&foreign));
    assert_eq!(std::fs::read(&foreign).expect("readable"), before);
    let newer = folder.ledger();
    drop(File::open(&newer).expect("it opens"));
    Connection::open(&newer).and_then(|db| db.pragma_update(None, "user_version", 2)).expect("changed");
    assert!(refused(&newer).contains("newer Hapax (schema 2; this one knows 1)"), "{}", refused(&newer));
    let nowhere = refused(&folder.0.join("nowhere/usage.db"));
    assert!(nowhere.starts_with("usage.path: ") && nowhere.ends_with("there is no such folder"), "{nowhere}");
    assert!(read(&folder.0.join("none.db"), 0).expect_err("none").contains("no such file yet"));
    assert!(read(&foreign, 0).expect_err("foreign").contains("no ledger"));
    // A way that leads through a file: like a folder of somebody else's it cannot be gone, and says nothing of the end.
    let hidden = read(&text.join("usage.db"), 0).expect_err("hidden");
    assert!(hidden.contains("cannot be looked at: Not a directory"), "{hidden}");
}

#[test]
fn old_rows_are_told_by_the_hour_and_older_ones_forgotten_and_no_token_is_lost_on_the_way() {
    let folder = Folder::new();
    let (mut file, _) = File::open(&folder.ledger()).expect("it opens");
    let now = 30_000_000;
    let minutes =
        [now - 100 * 1_440, now - 3 * 1_440 - 1, now - 3 * 1_440 - 2, now - 3 * 1_440, now - 1, now];
    let rows: Vec<Row> = minutes.iter().map(|minute| row(*minute, "k", 2, ONE)).collect();
    file.write(&rows, &[]).expect("written");
    for _ in 0..2 {
        file.tidy(now, 99 * 1_440).expect("tidied");
        let stored: i64 = Connection::open(folder.ledger())
            .and_then(|db| db.query_row("SELECT count(*) FROM usage", [], |row| row.get(0)))
            .expect("readable");
        // Two of three days ago are of one hour, the third begins the next one.
        assert_eq!(stored, 4);
        let read = read(&folder.ledger(), 0).expect("readable");
        assert_eq!(read.iter().map(|row| row.calls).sum::<u64>(), 10);
        assert_eq!(read.iter().map(|row| row.usage.input).sum::<u64>(), 5 * 11);
    }
}

#[test]
fn nothing_is_forgotten_on_the_word_of_a_calendar_that_jumped() {
    let folder = Folder::new();
    let bench = bench(Some(&folder.ledger()));
    bench.used("a", ONE);
    assert!(!bench.ledger.shared.write());
    bench.clock.set_calendar(bench.clock.today() + Duration::from_secs(2_000 * 86_400));
    bench.clock.advance(TIDY);
    bench.ledger.shared.tidy();
    assert_eq!(bench.rows().len(), 1);
    // An hour later, by both, it is believed.
    bench.clock.advance(TIDY);
    bench.ledger.shared.tidy();
    assert_eq!(bench.rows().len(), 0);
    bench.ledger.close();
}

#[test]
fn what_survives_a_restart_is_saved_as_it_changes() {
    let folder = Folder::new();
    let at = |seconds: u64| UNIX_EPOCH + Duration::from_secs(seconds);
    let (open, busy) =
        (Keepsake::new("circuit", "a/m", at(1_000), 10_000), Keepsake::new("busy", "b", at(2_000), 0));
    let saved = || {
        let mut kept = File::open(&folder.ledger()).expect("it opens").1;
        kept.sort_by(|one, other| one.kind.cmp(&other.kind));
        kept
    };
    let (mut file, kept) = File::open(&folder.ledger()).expect("it opens");
    assert!(kept.is_empty());
    file.write(&[], &[open.clone(), busy.clone()]).expect("written");
    assert_eq!(saved(), [busy.clone(), open.clone()]);
    let later = Keepsake { at_ms: open.at_ms + 5, ..open };
    file.write(&[], std::slice::from_ref(&later)).expect("written");
    assert_eq!(saved(), [later]);
    file.write(&[], &[]).expect("written");
    assert!(saved().is_empty());
}

#[test]
fn whoever_holds_the_file_at_the_start_makes_nobody_forget_anything() {
    let folder = Folder::new();
    let spent = Keepsake::new("key_spent", "bot", UNIX_EPOCH + Duration::from_secs(1_000), 7);
    let (mut file, _) = File::open(&folder.ledger()).expect("it opens");
    file.write(&[row(1, "a", 1, ONE)], std::slice::from_ref(&spent)).expect("written");
    let somebody = Connection::open(folder.ledger()).expect("it opens");
    somebody.execute_batch("BEGIN IMMEDIATE").expect("it is held");
    let (mut later, kept) = File::open(&folder.ledger()).expect("it opens all the same");
    assert_eq!(kept, std::slice::from_ref(&spent));
    let refused = later.write(&[row(1, "a", 1, ONE)], std::slice::from_ref(&spent));
    assert!(matches!(refused, Err(file::Trouble::Passing(_))), "{refused:?}");
    somebody.execute_batch("COMMIT").expect("it is let go");
    later.write(&[row(1, "a", 1, ONE)], &[spent]).expect("written");
    assert_eq!(read(&folder.ledger(), 0).expect("readable")[0].calls, 2);
}

fn spent(value: u64) -> Keepsake {
    Keepsake::new("key_spent", "bot", UNIX_EPOCH + Duration::from_secs(1_000), value)
}

/// Somebody who holds a file in which seven are spent.
fn held(path: &Path) -> Connection {
    let (mut file, _) = File::open(path).expect("it opens");
    file.write(&[row(1, "a", 1, ONE)], &[spent(7)]).expect("written");
    drop(file);
    let somebody = Connection::open(path).expect("it opens");
    somebody.execute_batch("PRAGMA locking_mode = EXCLUSIVE; BEGIN EXCLUSIVE").expect("it is held");
    somebody
}

/// Two are spent, and whatever is recalled.
fn spending() -> Lasting {
    let sum = Arc::new(AtomicU64::new(2));
    let mine = Arc::clone(&sum);
    Lasting {
        remember: Box::new(move || vec![spent(mine.load(Ordering::SeqCst))]),
        recall: Box::new(move |kept| {
            sum.fetch_add(kept[0].value, Ordering::SeqCst);
        }),
    }
}

#[test]
fn what_a_file_says_that_takes_over_is_not_taken_up() {
    let (folder, other) = (Folder::new(), Folder::new());
    let bench = bench(Some(&folder.ledger()));
    bench.ledger.remember(spending());
    let somebody = held(&other.ledger());
    let opened = open(&settings(Some(&other.ledger()))).expect("it opens, later");
    bench.ledger.change(opened).expect("a thread is left");
    drop(somebody);
    assert!(!bench.ledger.shared.write());
    bench.ledger.close();
    assert_eq!(File::open(&other.ledger()).expect("it opens").1, [spent(2)]);
}

#[test]
fn what_a_file_says_that_was_locked_at_the_start_is_taken_up_before_it_is_written_over() {
    let folder = Folder::new();
    let somebody = held(&folder.ledger());
    let bench = bench(Some(&folder.ledger()));
    assert!(bench.witness.0.lock()[0].contains("locked"), "said at once: {:?}", bench.witness.0.lock());
    bench.used("bot", ONE);
    bench.ledger.remember(spending());
    assert!(bench.ledger.shared.write(), "it is still held");
    drop(somebody);
    assert!(!bench.ledger.shared.write());
    bench.ledger.close();
    assert_eq!(File::open(&folder.ledger()).expect("it opens").1, [spent(9)], "once, and on top");
    assert_eq!(read(&folder.ledger(), 0).expect("readable").iter().map(|row| row.calls).sum::<u64>(), 2);
}

#[test]
fn a_file_that_may_not_be_written_is_refused_at_the_start() {
    let folder = Folder::new();
    drop(File::open(&folder.ledger()).expect("it opens"));
    assert!(refused(&folder.0).ends_with("is a folder: name a file"), "{}", refused(&folder.0));
    let connection = Connection::open_with_flags(folder.ledger(), rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY);
    let prepared = file::prepare(&mut connection.expect("it opens"));
    assert!(matches!(prepared, Err(Trouble::Lasting(words)) if words.contains("must be writable")));
}

#[test]
fn two_gateways_on_one_file_lose_no_token_of_each_other() {
    let folder = Folder::new();
    let both = [bench(Some(&folder.ledger())), bench(Some(&folder.ledger()))];
    std::thread::scope(|scope| {
        for bench in &both {
            scope.spawn(move || {
                for _ in 0..50 {
                    bench.used("bot", ONE);
                    bench.ledger.shared.write();
                }
            });
        }
    });
    both.iter().for_each(|bench| bench.ledger.close());
    let rows = read(&folder.ledger(), 0).expect("readable");
    assert_eq!(rows.iter().map(|row| (row.calls, row.usage.input)).collect::<Vec<_>>(), [(100, 1_100)]);
}

#[test]
fn of_two_gateways_that_begin_one_file_the_later_finds_it_begun() {
    let folder = Folder::new();
    let mut later = Connection::open(folder.ledger()).expect("it opens");
    assert_eq!(file::recognise(&later), Ok(false), "it has looked, and seen an empty file");
    let (mut first, _) = File::open(&folder.ledger()).expect("it opens");
    first.write(&[row(1, "a", 1, ONE)], &[]).expect("written");
    file::make(&mut later).expect("it is there already");
    assert_eq!(read(&folder.ledger(), 0).expect("readable").len(), 1);
}

#[test]
fn a_file_that_was_moved_away_is_begun_anew() {
    let folder = Folder::new();
    let (mut file, _) = File::open(&folder.ledger()).expect("it opens");
    file.write(&[row(1, "a", 1, ONE)], &[]).expect("written");
    for ending in ["", "-wal", "-shm"] {
        let name = format!("usage.db{ending}");
        std::fs::rename(folder.0.join(&name), folder.0.join(format!("old-{name}"))).expect("moved");
    }
    file.write(&[row(2, "b", 1, ONE)], &[]).expect("written");
    assert_eq!(read(&folder.ledger(), 0).expect("readable").len(), 1);
}

#[test]
fn many_threads_lose_no_token_while_the_file_is_written_and_read() {
    let folder = Folder::new();
    let bench = bench(Some(&folder.ledger()));
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let bench = &bench;
            scope.spawn(move || (0..2_000).for_each(|_| bench.used(&format!("k{}", thread % 3), ONE)));
        }
        for _ in 0..20 {
            assert!(!bench.ledger.shared.write());
            let _ = bench.rows();
        }
    });
    bench.ledger.close();
    let rows = read(&folder.ledger(), 0).expect("readable");
    assert_eq!(rows.iter().map(|row| row.calls).sum::<u64>(), 16_000);
    assert_eq!(rows.iter().map(|row| row.usage.output).sum::<u64>(), 7 * 16_000);
}
