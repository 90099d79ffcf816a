//! `hapax import litellm FILE`: another gateway's configuration, printed as one of ours.

use super::{Failed, print};
use crate::config;
use std::io::Read;
use std::path::Path;

/// Larger than any configuration.
const FILE_BYTES_MAX: u64 = 4 << 20;

pub(super) fn litellm(path: &Path, json: bool) -> Result<(), Failed> {
    let name = path.display().to_string();
    let text = text_of(path).map_err(|error| Failed::Running(format!("cannot read {name}: {error}")))?;
    let imported = config::import_litellm(&name, &text, &config::process_environment)
        .map_err(|problems| Failed::Config(problems.to_string()))?;
    if json {
        return print(&serde_json::json!({"yaml": imported.yaml, "notes": imported.notes}).to_string());
    }
    print(&imported.yaml)
}

/// All of it, or nothing: half a file is another configuration.
fn text_of(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    std::fs::File::open(path)?.take(FILE_BYTES_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(std::io::Error::other(format!("it is longer than {FILE_BYTES_MAX} bytes")));
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_as_long_as_the_limit_is_read_whole_and_a_longer_one_not_at_all() {
        let path = std::env::temp_dir().join(format!("hapax-import-{}", std::process::id()));
        let read = |bytes: u64| {
            std::fs::write(&path, " ".repeat(usize::try_from(bytes).expect("small"))).expect("written");
            text_of(&path).map(|text| text.len() as u64).map_err(|error| error.to_string())
        };
        let (most, more) = (read(FILE_BYTES_MAX), read(FILE_BYTES_MAX + 1));
        std::fs::remove_file(&path).expect("removed");
        assert_eq!(most, Ok(FILE_BYTES_MAX));
        assert_eq!(more, Err("it is longer than 4194304 bytes".to_owned()));
    }
}
