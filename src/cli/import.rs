//! `hapax import litellm FILE`: another gateway's configuration, printed as one of ours.

use super::{Failed, print};
use crate::config;
use std::io::Read;
use std::path::Path;

/// Larger than any configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;

pub(super) fn litellm(path: &Path, json: bool) -> Result<(), Failed> {
    let name = path.display().to_string();
    let mut text = String::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX).read_to_string(&mut text))
        .map_err(|error| Failed::Running(format!("cannot read {name}: {error}")))?;
    let imported = config::import_litellm(&name, &text, &config::process_environment)
        .map_err(|problems| Failed::Config(problems.to_string()))?;
    if json {
        return print(&serde_json::json!({"yaml": imported.yaml, "notes": imported.notes}).to_string());
    }
    print(&imported.yaml)
}
