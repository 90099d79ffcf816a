//! The ledger against a provider that counts: `scripts/ledger-check exact|killed|full` (docs/usage.md).
//!
//! `exact [N]`: N requests (1,000,000), whole, streamed and identical ones at once, of several keys and models: the
//! ledger's sums are the provider's own, to the token. `killed [N]`: kill -9 under load N times (100): the file is whole
//! each time and lacks at most a second. `full`: a full disk, and what is left of it when there is room again (needs root,
//! for a small file system of its own).
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a driver tells what it measured, and measures by the machine's clock"
)]

mod provider;

use provider::{Provider, Sums};
use rusqlite::Connection;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const KEYS: [&str; 4] = ["bot", "laptop", "nightly", "desk"];
const MODELS: [&str; 3] = ["gpt-4o-mini", "gpt-4o", "llama-3.3"];
const CALLERS: u64 = 16;
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    let mode = words.next().unwrap_or_default();
    let count = words.next().and_then(|count| count.parse().ok());
    let done = match mode.as_str() {
        "exact" => exact(count.unwrap_or(1_000_000)),
        "killed" => killed(count.unwrap_or(100)),
        "full" => full(),
        _ => Err("say exact, killed or full".into()),
    };
    match done {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => {
            println!("FAILED");
            ExitCode::FAILURE
        }
        Err(problem) => {
            println!("could not be carried out: {problem}");
            ExitCode::from(2)
        }
    }
}

/// A folder that goes with the run.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Result<Self> {
        let path = std::env::temp_dir().join(format!("hapax-ledger-check-{}", std::process::id()));
        std::fs::create_dir_all(&path)?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The release binary before the counting provider.
struct Gateway {
    child: Child,
    address: SocketAddr,
}

impl Gateway {
    fn start(folder: &Path, ledger: &Path, provider: &Provider) -> Result<Self> {
        let hash = |key: &str| hapax::domain::key::Hash::of(&format!("hpx_{key}"));
        let keys: String =
            KEYS.iter().map(|key| format!("    - {{name: {key}, hash: \"{}\"}}\n", hash(key))).collect();
        let url = provider.url();
        let yaml = format!(
            "server: {{listen: '127.0.0.1:0', workers: 64}}\nlogging: {{level: warn}}\nhealth_check: {{interval: 10m}}\n\
             usage: {{path: '{}'}}\nproviders:\n\
             \x20 one: {{type: openai_compatible, base_url: '{url}', api_key: k, model: gpt-4o-mini, models: ['gpt-*'], max_concurrency: 64}}\n\
             \x20 two: {{type: openai_compatible, base_url: '{url}', api_key: k, model: llama-3.3, models: ['llama-*'], max_concurrency: 64}}\n\
             auth:\n  keys:\n{keys}    - {{name: admin, admin: true, hash: \"{}\"}}\n",
            ledger.display(),
            hash("admin"),
        );
        let config = folder.join("hapax.yaml");
        std::fs::write(&config, yaml)?;
        let binary = std::env::var("HAPAX").unwrap_or_else(|_| "target/release/hapax".to_owned());
        let socket = std::net::TcpListener::bind("127.0.0.1:0")?;
        let address = socket.local_addr()?;
        drop(socket);
        let mut child = Command::new(binary)
            .args(["serve", "--config"])
            .arg(config)
            .env("HAPAX_LISTEN", address.to_string())
            .stderr(Stdio::inherit())
            .spawn()?;
        let began = Instant::now();
        while TcpStream::connect(address).is_err() {
            if began.elapsed() > Duration::from_secs(10) || child.try_wait()?.is_some() {
                return Err("the gateway does not listen".into());
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        Ok(Self { child, address })
    }

    fn end(mut self, signal: &str) -> Result<Duration> {
        let began = Instant::now();
        Command::new("kill").args([signal, &self.child.id().to_string()]).status()?;
        self.child.wait()?;
        Ok(began.elapsed())
    }

    fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.child.id())).unwrap_or_default();
        let fields: Vec<f64> = stat
            .rsplit(')')
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .map(|f| f.parse().unwrap_or(0.0))
            .collect();
        fields.get(11).zip(fields.get(12)).map_or(0.0, |(user, system)| (user + system) / 100.0)
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One connection to the gateway.
struct Caller(BufReader<TcpStream>);

/// What came back.
struct Answer {
    status: u16,
    shared: bool,
    body: String,
}

impl Caller {
    fn new(address: SocketAddr) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(60)))?;
        Ok(Self(BufReader::with_capacity(16 << 10, stream)))
    }

    fn get(&mut self, path: &str, key: &str) -> Result<Answer> {
        write!(
            self.0.get_mut(),
            "GET {path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer hpx_{key}\r\n\r\n"
        )?;
        self.answer()
    }

    /// Request number so and so: of 160 in a row the last sixteen are identical, and asked by all callers at once.
    fn ask(&mut self, number: u64) -> Result<Answer> {
        let same = number % 160 >= 144;
        let seed = if same { number / 160 * 160 + 144 } else { number };
        let (key, model) = (KEYS[(seed % 4) as usize], MODELS[(seed % 3) as usize]);
        let streamed = (5..8).contains(&(seed % 10)) || same && number / 160 % 2 == 1;
        let stream = if streamed { ",\"stream\":true" } else { "" };
        let body = format!(
            "{{\"model\":\"{model}\",\"user\":\"{key}\",\"seed\":{seed}{stream},\"messages\":[{{\"role\":\"user\",\"content\":\"Hello\"}}]}}"
        );
        write!(
            self.0.get_mut(),
            "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer hpx_{key}\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
            body.len()
        )?;
        self.answer()
    }

    fn answer(&mut self) -> Result<Answer> {
        let (mut line, mut length, mut status, mut shared) = (String::new(), None, 0, false);
        loop {
            line.clear();
            if self.0.read_line(&mut line)? == 0 {
                return Err("the connection ended".into());
            }
            let lower = line.trim_end().to_ascii_lowercase();
            if let Some(rest) = lower.strip_prefix("http/1.1 ") {
                status = rest.get(..3).and_then(|status| status.parse().ok()).unwrap_or(0);
            }
            if let Some(value) = lower.strip_prefix("content-length: ") {
                length = Some(value.parse()?);
            }
            shared |= lower.starts_with("x-hapax-deduplicated");
            if lower.is_empty() {
                break;
            }
        }
        let mut body = Vec::new();
        match length {
            Some(length) => {
                body.resize(length, 0);
                self.0.read_exact(&mut body)?;
            }
            None => loop {
                line.clear();
                self.0.read_line(&mut line)?;
                let size = usize::from_str_radix(line.trim_end(), 16)?;
                let from = body.len();
                body.resize(from + size + 2, 0);
                self.0.read_exact(&mut body[from..])?;
                body.truncate(from + size);
                if size == 0 {
                    break;
                }
            },
        }
        Ok(Answer { status, shared, body: String::from_utf8_lossy(&body).into_owned() })
    }
}

/// Sixteen callers ask until there is no next number. How many were answered, and how many of those from another's flight.
fn load(address: SocketAddr, next: &(dyn Fn() -> Option<u64> + Sync)) -> (u64, u64) {
    let (answered, shared) = (AtomicU64::new(0), AtomicU64::new(0));
    std::thread::scope(|scope| {
        for _ in 0..CALLERS {
            scope.spawn(|| {
                let Ok(mut caller) = Caller::new(address) else { return };
                while let Some(number) = next() {
                    match caller.ask(number) {
                        Ok(answer) if answer.status == 200 => {
                            answered.fetch_add(1, Ordering::Relaxed);
                            shared.fetch_add(u64::from(answer.shared), Ordering::Relaxed);
                        }
                        Ok(answer) => return println!("{}: {}", answer.status, answer.body),
                        Err(_) => return,
                    }
                }
            });
        }
    });
    (answered.into_inner(), shared.into_inner())
}

/// Numbers from 0.
fn numbers(count: u64) -> impl Fn() -> Option<u64> + Sync {
    let next = AtomicU64::new(0);
    move || Some(next.fetch_add(1, Ordering::Relaxed)).filter(|number| *number < count)
}

fn sums(ledger: &Path) -> Result<BTreeMap<(String, String), Sums>> {
    let connection = Connection::open(ledger)?;
    let mut statement = connection.prepare(
        "SELECT key, model, sum(calls), sum(input), sum(cached), sum(output), sum(reasoning) FROM usage WHERE estimated = 0 GROUP BY 1, 2",
    )?;
    let rows = statement.query_map([], |row| {
        let number = |column: usize| row.get::<_, i64>(column).map(i64::unsigned_abs);
        Ok(((row.get(0)?, row.get(1)?), [number(2)?, number(3)?, number(4)?, number(5)?, number(6)?]))
    })?;
    Ok(rows.collect::<std::result::Result<_, _>>()?)
}

fn total(sums: &BTreeMap<(String, String), Sums>) -> Sums {
    sums.values().fold([0; 5], |mut all, one| {
        all.iter_mut().zip(one).for_each(|(all, one)| *all += one);
        all
    })
}

fn exact(count: u64) -> Result<bool> {
    let (folder, provider) = (Folder::new()?, Provider::start()?);
    let ledger = folder.0.join("usage.db");
    let gateway = Gateway::start(&folder.0, &ledger, &provider)?;
    let began = Instant::now();
    let (answered, shared) = load(gateway.address, &numbers(count));
    let took = began.elapsed();
    let live: serde_json::Value =
        serde_json::from_str(&Caller::new(gateway.address)?.get("/v1/usage?by=key,model", "admin")?.body)?;
    let cpu = gateway.cpu();
    let ended = gateway.end("-TERM")?;
    let (told, kept) = (provider.told(|told| told.sums.clone()), sums(&ledger)?);
    println!(
        "{:<10} {:<12} {:>9} {:>14} {:>14} {:>12} {:>12}",
        "key", "model", "calls", "input", "cached", "output", "reasoning"
    );
    for ((key, model), [calls, input, cached, output, reasoning]) in &kept {
        println!("{key:<10} {model:<12} {calls:>9} {input:>14} {cached:>14} {output:>12} {reasoning:>12}");
    }
    let [calls, input, _, output, _] = total(&told);
    let live_total = &live["total"];
    println!("provider told {:?}\nledger has   {:?}", total(&told), total(&kept));
    println!(
        "{answered} answered of {count}, {shared} of them shared, {calls} calls, in {:.1} s; {:.1} us CPU each; flushed and ended in {} ms; file {} KiB",
        took.as_secs_f64(),
        cpu * 1e6 / answered.max(1) as f64,
        ended.as_millis(),
        std::fs::metadata(&ledger)?.len() >> 10
    );
    let live_is_right =
        live_total["calls"] == calls && live_total["input"] == input && live_total["output"] == output;
    println!("/v1/usage to the last call: {}", if live_is_right { "the same" } else { "another" });
    Ok(answered == count && shared > 0 && calls + shared == count && kept == told && live_is_right)
}

fn killed(rounds: u64) -> Result<bool> {
    let (folder, provider) = (Folder::new()?, Provider::start()?);
    let ledger = folder.0.join("usage.db");
    let (mut whole, mut worst, mut ages, mut lost) = (0, Duration::ZERO, Vec::new(), 0);
    let mut before = 0;
    let number = AtomicU64::new(0);
    for round in 0..rounds {
        let gateway = Gateway::start(&folder.0, &ledger, &provider)?;
        provider.told(|told| told.at.clear());
        let stop = AtomicBool::new(false);
        let next = || (!stop.load(Ordering::Relaxed)).then(|| number.fetch_add(1, Ordering::Relaxed));
        let address = gateway.address;
        let killed_at = std::thread::scope(|scope| -> Result<Instant> {
            scope.spawn(|| load(address, &next));
            // Every phase of the half second between two writings is met.
            std::thread::sleep(Duration::from_millis(900 + round * 37 % 1_000));
            let at = Instant::now();
            let ended = gateway.end("-KILL");
            stop.store(true, Ordering::Relaxed);
            ended.map(|_| at)
        })?;
        let verdict: String =
            Connection::open(&ledger)?.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
        whole += u64::from(verdict == "ok");
        let kept = total(&sums(&ledger)?)[0];
        let here = usize::try_from(kept - before)?;
        let (told, first_missing) = provider.told(|told| {
            told.at.sort();
            (told.at.len(), told.at.get(here).copied())
        });
        let age = first_missing.map_or(Duration::ZERO, |at| killed_at.saturating_duration_since(at));
        lost += told.saturating_sub(here);
        worst = worst.max(age);
        ages.push(age);
        before = kept;
    }
    ages.sort();
    println!(
        "{rounds} kills under load: {whole} times whole; {before} calls kept, {lost} missing; the oldest missing was {} ms old (median {} ms)",
        worst.as_millis(),
        ages[ages.len() / 2].as_millis()
    );
    Ok(whole == rounds && worst <= Duration::from_secs(1))
}

fn full() -> Result<bool> {
    let (folder, provider) = (Folder::new()?, Provider::start()?);
    let disk = folder.0.join("disk");
    std::fs::create_dir_all(&disk)?;
    let mount = |arguments: &[&str]| Command::new(arguments[0]).args(&arguments[1..]).arg(&disk).status();
    if !mount(&["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs"])?.success() {
        return Err("a file system of one MiB cannot be mounted".into());
    }
    let told = on_a_small_disk(&folder, &disk, &provider);
    mount(&["umount", "-l"])?;
    told
}

fn on_a_small_disk(folder: &Folder, disk: &Path, provider: &Provider) -> Result<bool> {
    let ledger = disk.join("usage.db");
    let gateway = Gateway::start(&folder.0, &ledger, provider)?;
    let metric = |name: &str| -> Result<u64> {
        let text = Caller::new(gateway.address)?.get("/metrics", "admin")?.body;
        let line =
            text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ').map(str::to_owned));
        Ok(line.unwrap_or_default().parse()?)
    };
    let wait = |what: &dyn Fn() -> Result<bool>| -> Result<Duration> {
        let began = Instant::now();
        while !what()? {
            if began.elapsed() > Duration::from_secs(20) {
                return Err("it never came".into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(began.elapsed())
    };
    let answered = AtomicU64::new(0);
    let ask = |count: u64| {
        let (more, _) = load(gateway.address, &numbers(count));
        answered.fetch_add(more, Ordering::Relaxed);
    };
    ask(2_000);
    wait(&|| Ok(metric("hapax_ledger_pending")? == 0))?;
    // Everything that is left of it.
    let filler = disk.join("filler");
    let mut file = std::fs::File::create(&filler)?;
    while file.write_all(&[0; 512]).is_ok() {}
    // While somebody has it open its room is not given back.
    drop(file);
    // Not one page is left for the ledger's log either.
    let noticed = wait(&|| {
        ask(2_000);
        Ok(metric("hapax_ledger_errors_total")? > 0)
    })?;
    ask(10_000);
    let (pending, errors) = (metric("hapax_ledger_pending")?, metric("hapax_ledger_errors_total")?);
    let seen: serde_json::Value =
        serde_json::from_str(&Caller::new(gateway.address)?.get("/v1/usage", "admin")?.body)?;
    let told = provider.told(|told| total(&told.sums));
    let live = seen["total"]["input"] == told[1];
    std::fs::remove_file(&filler)?;
    let recovered = wait(&|| Ok(metric("hapax_ledger_pending")? == 0))?;
    gateway.end("-TERM")?;
    let kept = total(&sums(&ledger)?);
    let verdict: String =
        Connection::open(&ledger)?.query_row("PRAGMA integrity_check", [], |row| row.get(0))?;
    println!(
        "disk full: noticed within {} ms, {errors} errors, {pending} sums in memory, {} requests answered, /v1/usage {}; \
         written {} ms after there was room; integrity {verdict}\nprovider told {told:?}\nledger has    {kept:?}",
        noticed.as_millis(),
        answered.load(Ordering::Relaxed),
        if live { "right" } else { "wrong" },
        recovered.as_millis(),
    );
    Ok(kept == told && live && pending > 0 && verdict == "ok" && recovered <= Duration::from_secs(1))
}
