//! The gateway's memory, threads and descriptors, read from `/proc/PID` every second (proc(5)).

use crate::time::{self, Stop};
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};
use std::time::{Duration, Instant};

const INTERVAL: Duration = Duration::from_secs(1);
/// Samples kept: a day of them.
const SAMPLES_MAX: usize = 86_400;

/// One look at the process.
#[derive(Debug, Clone, Copy)]
pub struct Sample {
    /// Seconds since sampling began.
    pub at: f64,
    /// Resident memory.
    pub rss_kib: f64,
    /// Threads.
    pub threads: f64,
    /// Open descriptors.
    pub fds: f64,
    /// Processor time used so far, in seconds.
    pub cpu: f64,
}

/// Looks at a process now.
pub fn look(pid: u32, start: Instant) -> Result<Sample, String> {
    let told = |error: std::io::Error| format!("/proc/{pid}: {error}");
    let status = fs::read_to_string(format!("/proc/{pid}/status")).map_err(told)?;
    let field = |name: &str| -> Result<f64, String> {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        let word = line.and_then(|rest| rest.split_whitespace().next());
        word.and_then(|word| word.parse().ok()).ok_or_else(|| format!("/proc/{pid}/status has no {name}"))
    };
    let fds = fs::read_dir(format!("/proc/{pid}/fd")).map_err(told)?.count();
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).map_err(told)?;
    let rest: Vec<&str> = stat.rsplit(')').next().unwrap_or("").split_whitespace().collect();
    // User and system time, in ticks of which the ABI has 100 a second.
    let ticks = |index: usize| rest.get(index).and_then(|word| word.parse::<f64>().ok()).unwrap_or(0.0);
    Ok(Sample {
        at: time::since(start).as_secs_f64(),
        rss_kib: field("VmRSS:")?,
        threads: field("Threads:")?,
        fds: fds as f64,
        cpu: (ticks(11) + ticks(12)) / 100.0,
    })
}

/// Looks every second until it is stopped.
pub struct Sampler {
    stop: Arc<Stop>,
    thread: JoinHandle<Vec<Sample>>,
}

impl Sampler {
    /// Begins; each look is also a line of `file`, if one is given.
    pub fn start(pid: u32, file: Option<&Path>) -> Result<Self, String> {
        let stop = Arc::new(Stop::default());
        let stopped = Arc::clone(&stop);
        let mut file = match file {
            Some(path) => Some(File::create(path).map_err(|error| format!("{}: {error}", path.display()))?),
            None => None,
        };
        let start = time::now();
        let watch = move || {
            let mut samples = Vec::new();
            while samples.len() < SAMPLES_MAX {
                let Ok(sample) = look(pid, start) else { break };
                if let Some(file) = &mut file {
                    let Sample { at, rss_kib, threads, fds, cpu } = sample;
                    // A full disk costs the file, not the run.
                    let _ = writeln!(file, "{at:.1},{rss_kib},{threads},{fds},{cpu:.2}");
                }
                samples.push(sample);
                if stopped.wait(INTERVAL) {
                    break;
                }
            }
            samples
        };
        let thread =
            Builder::new().name("sampler".to_owned()).spawn(watch).map_err(|error| error.to_string())?;
        Ok(Self { stop, thread })
    }

    /// Ends; everything that was seen.
    pub fn stop(self) -> Vec<Sample> {
        self.stop.stop();
        self.thread.join().unwrap_or_default()
    }
}

/// The middle one of some values; 0 of none.
pub fn median(values: impl Iterator<Item = f64>) -> f64 {
    quantile(values.collect(), 0.5)
}

/// The value below which this share lies; 0 of none.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    let place = (share * (values.len().saturating_sub(1)) as f64).round() as usize;
    values.get(place).copied().unwrap_or(0.0)
}

/// How much `value` grows in an hour: the slope of the straight line of least squares.
pub fn slope_per_hour(samples: &[Sample], value: impl Fn(&Sample) -> f64) -> f64 {
    let count = samples.len().max(1) as f64;
    let mean_at = samples.iter().map(|sample| sample.at).sum::<f64>() / count;
    let mean = samples.iter().map(&value).sum::<f64>() / count;
    let (mut over, mut under) = (0.0, 0.0);
    for sample in samples {
        over += (sample.at - mean_at) * (value(sample) - mean);
        under += (sample.at - mean_at) * (sample.at - mean_at);
    }
    if under > 0.0 { over / under * 3600.0 } else { 0.0 }
}
