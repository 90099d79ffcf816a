//! The process as Prometheus' client libraries describe it, read from `/proc/self` (proc(5)).

use super::names::append as put;

const TICKS_PER_SECOND: f64 = 100.0; // USER_HZ, fixed by the kernel's ABI on every Linux of today

/// Appends `process_*` in the text format; what cannot be read is left out.
pub(super) fn append(out: &mut String) {
    if let Some(stat) = std::fs::read_to_string("/proc/self/stat").ok().as_deref().and_then(fields) {
        cpu_and_memory(&stat, out);
    }
    if let Some(bytes) = std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        put(out, "process_resident_memory_bytes", bytes);
    }
    if let Ok(entries) = std::fs::read_dir("/proc/self/fd") {
        // The directory being read is open itself.
        put(out, "process_open_fds", entries.count().saturating_sub(1));
    }
    if let Some(max) = std::fs::read_to_string("/proc/self/limits").ok().as_deref().and_then(open_files_max) {
        put(out, "process_max_fds", max);
    }
}

/// The fields of `/proc/self/stat` after the command, which may itself hold blanks and parentheses: state is 0.
fn fields(stat: &str) -> Option<Vec<u64>> {
    let rest = stat.get(stat.rfind(')')? + 2..)?;
    Some(rest.split_whitespace().map(|field| field.parse().unwrap_or(0)).collect())
}

fn cpu_and_memory(stat: &[u64], out: &mut String) {
    let field = |index: usize| stat.get(index).copied().unwrap_or(0);
    let cpu = (field(11) + field(12)) as f64 / TICKS_PER_SECOND;
    put(out, "process_cpu_seconds_total", cpu);
    put(out, "process_threads", field(17));
    put(out, "process_virtual_memory_bytes", field(20));
    if let Some(boot) = std::fs::read_to_string("/proc/stat").ok().as_deref().and_then(boot_time) {
        let start = boot + field(19) as f64 / TICKS_PER_SECOND;
        put(out, "process_start_time_seconds", start);
    }
}

/// In bytes. `stat` counts pages, and how large those are differs from machine to machine.
fn resident(status: &str) -> Option<u64> {
    let kibibytes =
        status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?.trim().strip_suffix(" kB")?;
    Some(kibibytes.parse::<u64>().ok()? << 10)
}

fn boot_time(stat: &str) -> Option<f64> {
    stat.lines().find_map(|line| line.strip_prefix("btime "))?.trim().parse().ok()
}

fn open_files_max(limits: &str) -> Option<f64> {
    let line = limits.lines().find(|line| line.starts_with("Max open files"))?;
    line.split_whitespace().nth(3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_command_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "12 (a (b) c) S 1 2 3";
        assert_eq!(super::fields(stat), Some(vec![0, 1, 2, 3]));
    }

    #[test]
    fn resident_memory_is_told_in_bytes_whatever_a_page_is() {
        let status = "Name:\thapax\nVmHWM:\t    9000 kB\nVmRSS:\t    5312 kB\nRssAnon:\t 1 kB\n";
        assert_eq!(super::resident(status), Some(5312 * 1024));
    }

    #[test]
    fn describes_this_process() {
        let mut out = String::new();
        super::append(&mut out);
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_open_fds",
            "process_max_fds",
        ] {
            assert!(out.contains(&format!("\n{name} ")), "{name} is missing in {out}");
        }
    }
}
