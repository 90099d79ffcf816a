//! The gateway under test: the release binary as a child process, with its configuration, its log and its end.

use crate::time;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

/// Until it listens.
const START_PATIENCE: Duration = Duration::from_secs(10);
/// Until it has ended; longer than it gives its own requests.
const END_PATIENCE: Duration = Duration::from_secs(45);
/// Lines of trouble kept.
const TROUBLE_MAX: usize = 20;
/// Variables that would change what the configuration says.
const ENVIRONMENT: [&str; 6] =
    ["CONFIG_PATH", "HAPAX_LISTEN", "HAPAX_HOST", "HAPAX_PORT", "LOG_LEVEL", "LOG_FORMAT"];

/// A running gateway.
pub struct Gateway {
    child: Child,
    address: SocketAddr,
    log: Option<JoinHandle<Log>>,
    config: PathBuf,
}

/// What it logged.
#[derive(Debug, Default)]
pub struct Log {
    /// All lines.
    pub lines: u64,
    /// Lines of level error.
    pub errors: u64,
    /// Lines that tell of a panic.
    pub panics: u64,
    /// Some lines of trouble in full.
    pub trouble: Vec<String>,
}

impl Gateway {
    /// Starts it with this configuration, `server.listen` left out, and waits until it listens.
    pub fn start(binary: &Path, yaml: &str) -> Result<Self, String> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let name = format!("hapax-endurance-{}-{number}.yaml", std::process::id());
        let config = std::env::temp_dir().join(name);
        std::fs::write(&config, yaml).map_err(|error| format!("{}: {error}", config.display()))?;
        let mut command = Command::new(binary);
        command.arg("serve").arg("--config").arg(&config).env("HAPAX_LISTEN", "127.0.0.1:0");
        for variable in ENVIRONMENT.into_iter().filter(|variable| *variable != "HAPAX_LISTEN") {
            command.env_remove(variable);
        }
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| format!("{}: {error}", binary.display()))?;
        let (found, address) = mpsc::channel();
        let stderr = child.stderr.take();
        let log = Builder::new()
            .name("child-log".to_owned())
            .spawn(move || stderr.map(|stderr| read(stderr, &found)).unwrap_or_default());
        let mut gateway =
            Self { child, address: SocketAddr::from(([127, 0, 0, 1], 0)), log: log.ok(), config };
        match address.recv_timeout(START_PATIENCE) {
            Ok(address) => gateway.address = address,
            Err(_) => {
                let log = gateway.stop()?;
                return Err(format!("the gateway did not start: {}", log.trouble.join("; ")));
            }
        }
        Ok(gateway)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Has it read another configuration in place of its own.
    pub fn reload(&self, yaml: &str) -> Result<(), String> {
        std::fs::write(&self.config, yaml).map_err(|error| format!("{}: {error}", self.config.display()))?;
        self.signal("-HUP")
    }

    /// Ends it in peace; an end that is not one is an error.
    pub fn stop(&mut self) -> Result<Log, String> {
        let _ = std::fs::remove_file(&self.config);
        // One that never ran right may be gone already.
        let _ = self.signal("-TERM");
        let mut status = None;
        let ended = time::until(END_PATIENCE, || {
            status = self.child.try_wait().ok().flatten();
            status.is_some()
        });
        if !ended {
            let _ = self.child.kill();
            let _ = self.child.wait();
            return Err("the gateway did not end after SIGTERM".to_owned());
        }
        let log = self.log.take().and_then(|log| log.join().ok()).unwrap_or_default();
        match status {
            Some(status) if status.success() => Ok(log),
            _ => Err(format!("the gateway ended with {status:?}: {}", log.trouble.join("; "))),
        }
    }

    fn signal(&self, signal: &str) -> Result<(), String> {
        let status = Command::new("kill").args([signal, &self.pid().to_string()]).status();
        match status {
            Ok(status) if status.success() => Ok(()),
            other => Err(format!("kill {signal}: {other:?}")),
        }
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        if self.log.is_some() {
            // It has not been stopped: nobody waits for its last words.
            let _ = self.child.kill();
            let _ = self.child.wait();
            let _ = std::fs::remove_file(&self.config);
        }
    }
}

/// Reads everything it logs, so that its pipe never fills.
fn read(stderr: ChildStderr, found: &mpsc::Sender<SocketAddr>) -> Log {
    let mut log = Log::default();
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        log.lines += 1;
        if let Some((_, rest)) = line.split_once("listens on ")
            && let Some(address) = rest.split(',').next().and_then(|word| word.parse().ok())
        {
            // The one who waits may have given up.
            let _ = found.send(address);
        }
        let error = line.contains("\"level\":\"error\"");
        let panic = line.contains("panicked");
        log.errors += u64::from(error);
        log.panics += u64::from(panic);
        // What is not JSON is a last word: a panic, or why it cannot start.
        if (error || panic || !line.starts_with('{')) && log.trouble.len() < TROUBLE_MAX {
            log.trouble.push(line);
        }
    }
    log
}
