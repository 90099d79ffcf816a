//! The house's own rules: who may import whom, which crate lives in which room, and how long a file may be.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A room, the rooms it may import, and the crates it may name. A room without a row fails.
const ROOMS: &[(&str, &[&str], &[&str])] = &[
    ("domain", &[], &["sha2", "regex_automata", "regex_syntax"]),
    ("clock", &[], &["parking_lot", "rustix"]),
    ("memory", &[], &[]),
    ("dialect", &["domain"], &["serde", "serde_json"]),
    ("config", &["domain"], &["serde", "serde_yaml"]),
    ("gateway", &["domain", "clock", "memory"], &["parking_lot"]),
    ("server", &["clock", "memory"], &["crossbeam_channel", "parking_lot", "httparse", "httpdate", "rustix"]),
    (
        "upstream",
        &["domain", "dialect", "gateway", "clock", "config", "memory"],
        &["ureq", "rustls", "webpki_roots", "httparse", "httpdate", "parking_lot", "rustix"],
    ),
    (
        "telemetry",
        &["domain", "gateway", "clock", "config"],
        &["prometheus", "log", "simplelog", "serde", "serde_json", "parking_lot"],
    ),
    ("ledger", &["domain", "gateway", "clock"], &["rusqlite", "parking_lot"]),
    ("api", &["domain", "dialect", "gateway", "server", "clock"], &["serde", "serde_json", "parking_lot"]),
    ("simulate", &["clock"], &["serde", "serde_json", "httparse", "rustix", "parking_lot"]),
    ("drill", &["clock", "simulate"], &["serde", "serde_json", "parking_lot"]),
    (
        "cli",
        &[
            "domain",
            "dialect",
            "gateway",
            "server",
            "clock",
            "memory",
            "config",
            "upstream",
            "telemetry",
            "ledger",
            "api",
            "simulate",
            "drill",
        ],
        &["lexopt", "signal_hook", "listenfd", "rustix", "log", "serde", "serde_json"],
    ),
    ("main", &["cli"], &["tikv_jemallocator"]),
    ("lib", &[], &[]),
];

/// Rooms that may see only part of another one: (room, other, allowed paths into it).
const PARTS: &[(&str, &str, &[&str])] = &[
    ("upstream", "gateway", &["gateway::ports", "gateway::cancel"]),
    ("telemetry", "gateway", &["gateway::ports"]),
    ("ledger", "gateway", &["gateway::ports"]),
];

const CRATES: &[&str] = &[
    "ureq",
    "rustls",
    "webpki_roots",
    "serde",
    "serde_json",
    "serde_yaml",
    "crossbeam_channel",
    "parking_lot",
    "prometheus",
    "log",
    "simplelog",
    "httparse",
    "rustix",
    "httpdate",
    "sha2",
    "lexopt",
    "signal_hook",
    "listenfd",
    "regex_automata",
    "regex_syntax",
    "tikv_jemallocator",
    "rusqlite",
];

/// Lines of a source file, its tests not counted.
const FILE_LINES_MAX: usize = 400;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn files_below(folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the folder is readable").flatten() {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy().into_owned();
        if path.is_dir() {
            if name != "target" && !name.starts_with('.') {
                files_below(&path, ending, found);
            }
        } else if name.ends_with(ending) && name != ".git" {
            found.push(path);
        }
    }
}

/// Every source file with its room and its text without comments.
fn sources() -> Vec<(String, PathBuf, String)> {
    let mut found = Vec::new();
    files_below(&root().join("src"), ".rs", &mut found);
    assert!(found.len() > 20, "the sources were not found");
    found
        .into_iter()
        .map(|path| {
            let inside = path.strip_prefix(root().join("src")).expect("it lies below src").to_owned();
            let first =
                inside.components().next().expect("it has a name").as_os_str().to_string_lossy().into_owned();
            let room = first.trim_end_matches(".rs").to_owned();
            let text = fs::read_to_string(&path).expect("sources are UTF-8");
            let code =
                text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n");
            (room, path, code)
        })
        .collect()
}

/// The part of a file that is not its tests.
fn without_tests(code: &str) -> &str {
    code.find("#[cfg(test)]").map_or(code, |start| &code[..start])
}

/// Paths named after `prefix`, as in `crate::gateway::ports`: up to two names.
fn paths_after<'a>(code: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let name = |text: &'a str| text.find(|c: char| !(c.is_alphanumeric() || c == '_')).unwrap_or(text.len());
    code.match_indices(prefix)
        .map(|(at, _)| {
            let rest = &code[at + prefix.len()..];
            let first = name(rest);
            match rest[first..].strip_prefix("::") {
                Some(more) if more.starts_with(char::is_lowercase) => &rest[..first + 2 + name(more)],
                _ => &rest[..first],
            }
        })
        .collect()
}

/// Whether `code` names the crate: as the start of a path, not as a part of a longer name.
fn names_crate(code: &str, name: &str) -> bool {
    let path = format!("{name}::");
    code.match_indices(&path).any(|(at, _)| {
        let before = code[..at].chars().next_back().unwrap_or(' ');
        !(before.is_alphanumeric() || before == '_' || before == ':')
    })
}

#[test]
fn imports_point_down_and_crates_stay_in_their_rooms() {
    let mut wrong = Vec::new();
    for (room, path, code) in sources() {
        let Some((_, rooms, crates)) = ROOMS.iter().find(|(name, ..)| *name == room) else {
            wrong.push(format!("{}: the room {room} has no row", path.display()));
            continue;
        };
        if room == "lib" {
            continue;
        }
        let code = without_tests(&code);
        for import in paths_after(code, "crate::") {
            let other = import.split("::").next().unwrap_or(import);
            if other != room && !rooms.contains(&other) && ROOMS.iter().any(|(name, ..)| *name == other) {
                wrong.push(format!("{}: {room} must not import {other}", path.display()));
            }
            if let Some((.., parts)) = PARTS.iter().find(|(from, to, _)| *from == room && *to == other)
                && !parts.contains(&import)
            {
                wrong.push(format!("{}: {room} may see only {parts:?}, not {import}", path.display()));
            }
        }
        for name in CRATES {
            if names_crate(code, name) && !crates.contains(name) {
                wrong.push(format!("{}: {room} must not name the crate {name}", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_domain_knows_no_clock_thread_lock_file_or_socket() {
    let banned = [
        "std::thread",
        "std::sync::Mutex",
        "std::fs",
        "std::net::Tcp",
        "std::io",
        "Instant::now",
        "SystemTime::now",
        "std::env",
    ];
    for (room, path, code) in sources() {
        if room == "domain" {
            for word in banned {
                assert!(!without_tests(&code).contains(word), "{} names {word}", path.display());
            }
        }
    }
}

#[test]
fn yaml_is_read_in_one_file_only() {
    for (_, path, code) in sources() {
        if names_crate(&code, "serde_yaml") {
            assert!(path.ends_with("config/file.rs"), "{} names serde_yaml", path.display());
        }
    }
}

#[test]
fn a_file_can_be_read_in_a_sitting_and_says_first_what_it_is() {
    let mut wrong = Vec::new();
    for (_, path, _) in sources() {
        let text = fs::read_to_string(&path).expect("sources are UTF-8");
        let lines = without_tests(&text).lines().count();
        let tests_only = ["tests.rs", "fakes.rs", "tests"]
            .iter()
            .any(|name| path.components().any(|part| part.as_os_str() == *name));
        if lines > FILE_LINES_MAX && !tests_only {
            wrong.push(format!("{}: {lines} lines", path.display()));
        }
        if !text.starts_with("//! ") {
            wrong.push(format!("{}: does not begin with its sentence", path.display()));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_crates_named_here_are_those_of_the_manifest() {
    let manifest = fs::read_to_string(root().join("Cargo.toml")).expect("it is there");
    let section = manifest.split("[dependencies]").nth(1).expect("it has dependencies");
    let section = section.split("\n[").next().unwrap_or(section);
    let mut commented = false;
    for line in section.lines() {
        if let Some((name, _)) = line.split_once('=').filter(|_| !line.starts_with('#')) {
            let name = name.trim().replace('-', "_");
            assert!(CRATES.contains(&name.as_str()), "{name} has no room");
            assert!(commented, "{name} has no reason beside it");
        }
        commented = line.starts_with('#');
    }
}

#[test]
fn the_project_speaks_of_itself_alone() {
    let mut found = Vec::new();
    files_below(root(), "", &mut found);
    assert!(found.len() > 400, "the files were not found");
    for path in found {
        let text = fs::read_to_string(&path).unwrap_or_default();
        let home = concat!("/wo", "rk/");
        assert!(!text.contains(home), "{} names a path of one machine", path.display());
    }
}

#[test]
fn every_configuration_in_the_docs_loads() {
    let mut pages = vec![root().join("README.md")];
    files_below(&root().join("docs"), ".md", &mut pages);
    let mut loaded = 0;
    for page in pages {
        let text = fs::read_to_string(&page).expect("pages are UTF-8");
        for block in text.split("```yaml\n").skip(1) {
            let yaml = block.split("\n```").next().unwrap_or(block);
            // Other programs' files say so in their first line: `# compose.yaml`, `# prometheus.yml`.
            let ours = ["config.yaml", "air-gapped.yaml"];
            let first = yaml.lines().next().unwrap_or_default();
            if first.starts_with("# ")
                && first.ends_with(".yaml")
                && !ours.iter().any(|name| first.contains(name))
            {
                continue;
            }
            let environment = |name: &str| name.contains("KEY").then(|| format!("value-of-{name}"));
            if let Err(problems) = hapax::config::parse("page", yaml, &environment) {
                panic!("{}: {problems}\n{yaml}", page.display());
            }
            loaded += 1;
        }
    }
    let file = fs::read_to_string(root().join("config.yaml")).expect("it is there");
    assert!(hapax::config::parse("config.yaml", &file, &|_| None).is_ok());
    assert!(loaded > 1, "the configurations were not found");
}
