//! The real binary as a child process, with a folder of its own and its log read line by line.

use super::PATIENCE;
use super::caller::{Answer, Conversation};
use hapax::clock::{Clock, SystemClock};
use rustix::process::{Pid, Signal, kill_process};
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

/// The program under test.
pub const HAPAX: &str = env!("CARGO_BIN_EXE_hapax");

/// A folder that goes with the test.
pub struct Folder(PathBuf);

impl Folder {
    pub fn new() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let name = format!("hapax-it-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&path).expect("a folder can be made");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// Writes a file beside its place, and moves it there.
    pub fn put(&self, name: &str, text: &str) -> PathBuf {
        let (next, path) = (self.path(&format!("{name}.next")), self.path(name));
        std::fs::write(&next, text).expect("a file can be written");
        std::fs::rename(next, &path).expect("a file can be renamed");
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// How a child is started.
pub struct Start<'a> {
    pub config: &'a Path,
    /// A listening socket it is handed, as a service manager does.
    pub socket: Option<&'a TcpListener>,
    pub environment: Vec<(&'a str, String)>,
    /// Where its log goes instead of to the test.
    pub log: Option<Stdio>,
}

impl<'a> Start<'a> {
    pub fn new(config: &'a Path) -> Self {
        Self { config, socket: None, environment: Vec::new(), log: None }
    }
}

/// A running gateway.
pub struct Running {
    child: Child,
    address: SocketAddr,
    log: Arc<Log>,
    reader: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Log {
    /// The lines so far, and whether the log has ended.
    lines: Mutex<(Vec<String>, bool)>,
    more: Condvar,
}

impl Running {
    /// Starts one whose log may be silent about where it listens: at a socket of ours.
    pub fn start_quietly(start: Start<'_>) -> Self {
        let socket = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let running = Self::spawn(Start { socket: Some(&socket), ..start });
        // The shell in between knows no signals of ours: wait until the gateway itself answers.
        assert_eq!(running.get("/health/live").status, 200);
        running
    }

    /// Starts the binary, and waits until it says where it listens, if its log comes to us.
    pub fn start(start: Start<'_>) -> Self {
        let (reads_log, handed) = (start.log.is_none(), start.socket.is_some());
        let mut running = Self::spawn(start);
        if reads_log {
            let line = running.wait_for_log(" listens on ");
            let rest = line.split(" listens on ").nth(1).expect("it is there");
            running.address =
                rest.split(',').next().and_then(|address| address.parse().ok()).expect("an address");
        } else {
            assert!(handed && running.get("/health/live").status == 200);
        }
        running
    }

    fn spawn(start: Start<'_>) -> Self {
        let mut command = match start.socket {
            None => Command::new(HAPAX),
            Some(socket) => {
                // The shell moves the socket to descriptor 3 and becomes the gateway, so that `$$` is its process.
                let mut shell = Command::new("/bin/sh");
                let script = "export LISTEN_PID=$$ LISTEN_FDS=1; exec \"$0\" \"$@\" 3<&0 </dev/null";
                let theirs: OwnedFd = socket.try_clone().expect("a descriptor is left").into();
                shell.args(["-c", script, HAPAX]).stdin(Stdio::from(theirs));
                shell
            }
        };
        command.args(["serve", "--config"]).arg(start.config).envs(start.environment);
        let reads_log = start.log.is_none();
        command.stderr(start.log.unwrap_or_else(Stdio::piped));
        let mut child = command.spawn().expect("the binary can be started");
        let log = Arc::new(Log::default());
        let reader = child.stderr.take().filter(|_| reads_log).map(|stderr| {
            let log = Arc::clone(&log);
            let read = move || {
                for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                    log.lines.lock().expect("no reader panics").0.push(line);
                    log.more.notify_all();
                }
                log.lines.lock().expect("no reader panics").1 = true;
                log.more.notify_all();
            };
            std::thread::Builder::new().name("log".to_owned()).spawn(read).expect("a thread is left")
        });
        let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
        let address = start.socket.and_then(|socket| socket.local_addr().ok()).unwrap_or(nowhere);
        Self { child, address, log, reader }
    }

    /// The first line of the log with these words.
    pub fn wait_for_log(&self, words: &str) -> String {
        self.wait_for_logs(words, 1).remove(0)
    }

    /// The first `count` lines of the log with these words.
    pub fn wait_for_logs(&self, words: &str, count: usize) -> Vec<String> {
        let deadline = SystemClock.now() + PATIENCE;
        let mut lines = self.log.lines.lock().expect("no reader panics");
        loop {
            let found: Vec<_> =
                lines.0.iter().filter(|line| line.contains(words)).take(count).cloned().collect();
            if found.len() == count {
                return found;
            }
            let left = deadline.saturating_duration_since(SystemClock.now());
            assert!(!lines.1 && !left.is_zero(), "{words:?} is not in the log: {}", lines.0.join("\n"));
            lines = self.log.more.wait_timeout(lines, left).expect("no reader panics").0;
        }
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).expect("it runs");
    }

    pub fn connect(&self) -> Conversation {
        Conversation::new(self.address)
    }

    pub fn get(&self, path: &str) -> Answer {
        let mut conversation = self.connect();
        conversation.send("GET", path, &[], "");
        conversation.answer()
    }

    /// Waits for the end: how it ended, and everything it logged.
    pub fn ended(mut self) -> (ExitStatus, String) {
        let status = self.child.wait().expect("it is our child");
        if let Some(reader) = self.reader.take() {
            reader.join().expect("no reader panics");
        }
        let lines = self.log.lines.lock().expect("no reader panics").0.join("\n");
        (status, lines)
    }

    /// Whether it has ended.
    pub fn is_over(&mut self) -> bool {
        self.child.try_wait().expect("it is our child").is_some()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
