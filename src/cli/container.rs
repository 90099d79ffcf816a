//! The container's bound on memory: what requests may hold of it, before the kernel ends the process for it.

use std::fs;
use std::path::Path;

/// Of a control group's memory one quarter is for what requests and answers hold; the rest is for the process, its
/// threads and connections, what the allocator keeps, and what the kernel charges for sockets and files. Half was too
/// much: with every worker busy the rest came to more than the other half.
const SHARE: u64 = 4;

/// What requests may hold here, when the configuration allows so much.
pub(super) fn fitting(memory_max: usize) -> usize {
    share(memory_max, limit(Path::new("/proc/self/cgroup"), Path::new("/sys/fs/cgroup")))
}

fn share(memory_max: usize, limit: Option<u64>) -> usize {
    let share = limit.and_then(|limit| usize::try_from(limit / SHARE).ok());
    share.map_or(memory_max, |share| memory_max.min(share))
}

/// The least of the limits of the process's own group and of all above it, in bytes; `None` without any. Version 2 of
/// the kernel's interface, and version 1. Where the groups are mounted without their names, as in a container, the
/// uppermost is ours.
fn limit(groups: &Path, root: &Path) -> Option<u64> {
    let of_group = |line: &str| {
        let mut parts = line.splitn(3, ':').skip(1);
        let (kinds, name) = (parts.next()?, parts.next()?);
        let (root, file) = match kinds {
            "" => (root.to_owned(), "memory.max"),
            kinds if kinds.split(',').any(|kind| kind == "memory") => {
                (root.join("memory"), "memory.limit_in_bytes")
            }
            _ => return None,
        };
        let at = |group: &Path| {
            let text = fs::read_to_string(root.join(group.strip_prefix("/").unwrap_or(group)).join(file));
            // "max" is no number.
            text.ok()?.trim().parse().ok()
        };
        Path::new(name).ancestors().filter_map(at).min()
    };
    fs::read_to_string(groups).ok()?.lines().filter_map(of_group).min()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The limit where these are the process's groups and these the files.
    fn found(name: &str, groups: &str, files: &[(&str, &str)]) -> Option<u64> {
        let root = std::env::temp_dir().join(format!("hapax-container-{}-{name}", std::process::id()));
        for (file, text) in files {
            let file = root.join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        fs::create_dir_all(&root).unwrap();
        fs::write(root.join("groups"), groups).unwrap();
        let found = limit(&root.join("groups"), &root);
        fs::remove_dir_all(root).unwrap();
        found
    }

    #[test]
    fn the_tightest_of_all_groups_counts_in_either_version() {
        let nested = [("a/memory.max", "1000\n"), ("a/b/memory.max", "max\n")];
        assert_eq!(found("two", "0::/a/b\n", &nested), Some(1000));
        let old = [("memory/a/memory.limit_in_bytes", "900\n"), ("memory/memory.limit_in_bytes", "5000\n")];
        assert_eq!(found("one", "3:cpu:/x\n4:memory:/a\n0::/\n", &old), Some(900));
        assert_eq!(found("joint", "4:cpu,memory:/a\n", &old), Some(900));
        assert_eq!(found("bare", "4:memory:/docker/7f\n", &old), Some(5000), "a container's own is on top");
        assert_eq!(found("none", "0::/\n", &[("memory.max", "max\n")]), None);
        assert_eq!(found("absent", "", &[]), None);
    }

    #[test]
    fn requests_hold_at_most_a_quarter_of_it() {
        assert_eq!(share(256, Some(1024)), 256);
        assert_eq!(share(256, Some(1023)), 255);
        assert_eq!(share(256, None), 256);
        assert_eq!(share(256, Some(u64::MAX)), 256);
    }
}
