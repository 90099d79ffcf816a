//! The way in: find the file, read it within bounds, hand on settings or every problem.

use super::Settings;
use super::env::Env;
use super::file::{self, At};
use super::problem::{Problem, Problems};
use super::reading::Reading;
use super::settings;
use crate::domain::digest;
use std::io::Read;
use std::path::{Path, PathBuf};

/// A configuration file; real ones are below 100 KiB.
const FILE_BYTES_MAX: usize = 1 << 20;

/// Bytes of the file's SHA-256 that name a configuration in logs and metrics.
const HASH_BYTES: usize = 8;

/// Where the configuration is: as told, else `$CONFIG_PATH`, else `./config.yaml` or `./hapax.yaml` if there is one.
/// A file that is named need not exist; [`load`] says so.
#[must_use]
pub fn find(explicit: Option<&Path>, env: Env<'_>) -> Option<PathBuf> {
    let named =
        explicit.map(Path::to_path_buf).or_else(|| super::env::set(env, "CONFIG_PATH").map(PathBuf::from));
    let usual = || ["config.yaml", "hapax.yaml"].map(PathBuf::from).into_iter().find(|path| path.is_file());
    named.or_else(usual)
}

/// Reads the file at `path`.
///
/// # Errors
/// Every problem, in the order of the file; also that it cannot be read.
pub fn load(path: &Path, env: Env<'_>) -> Result<Settings, Problems> {
    let name = path.display().to_string();
    parse(&name, &text_of(path, &name)?, env)
}

/// Where a gateway of the file at `path` listens, whatever else is wrong with it: an edit that went wrong changes
/// nothing in a running one, which still listens there.
///
/// # Errors
/// The file cannot be read, or does not say.
pub fn listener(path: &Path, env: Env<'_>) -> Result<String, Problems> {
    let name = path.display().to_string();
    let (settings, mut problems) = read(&name, &text_of(path, &name)?, env)?;
    problems.retain(|problem| problem.path.is_empty() || problem.path.starts_with("server"));
    if problems.is_empty() { Ok(settings.server.listen) } else { Err(Problems(problems)) }
}

fn text_of(path: &Path, name: &str) -> Result<String, Problems> {
    let mut bytes = Vec::new();
    std::fs::File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes))
        .map_err(|error| whole(name, At::default(), format!("cannot be read: {error}")))?;
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
        whole(name, At { line, column: 1 }, "is not UTF-8".to_owned())
    })
}

/// Reads the text of a file called `name`.
///
/// # Errors
/// Every problem, in the order of the file.
pub fn parse(name: &str, text: &str, env: Env<'_>) -> Result<Settings, Problems> {
    let (settings, problems) = read(name, text, env)?;
    if problems.is_empty() { Ok(settings) } else { Err(Problems(problems)) }
}

/// What can be made of a text, and everything that is wrong with it.
fn read(name: &str, text: &str, env: Env<'_>) -> Result<(Settings, Vec<Problem>), Problems> {
    if text.len() > FILE_BYTES_MAX {
        return Err(whole(name, At::default(), format!("is longer than {FILE_BYTES_MAX} bytes")));
    }
    let mut tree = file::read(text).map_err(|(at, message)| whole(name, at, message))?;
    let mut reading = Reading::new(name, env);
    reading.check(&mut tree);
    let hash = digest::hex(&digest::sha256(text.as_bytes())[..HASH_BYTES]);
    let settings = settings::settings(&mut reading, &tree, hash);
    reading.problems.sort_by_key(|problem| (problem.line == 0, problem.line, problem.column));
    Ok((settings, reading.problems))
}

/// The settings without a file: every provider whose key is in the environment, and Ollama. A variable that makes no
/// sense is named in the warnings and passed over.
#[must_use]
pub fn defaults(env: Env<'_>) -> Settings {
    let mut first = Reading::new("built-in defaults", env);
    let settings = settings::settings(&mut first, &settings::nothing(), "defaults".to_owned());
    if first.problems.is_empty() {
        return settings;
    }
    let without = |name: &str| if first.problems.iter().any(|p| p.path == name) { None } else { env(name) };
    let mut second = Reading::new("built-in defaults", &without);
    let mut settings = settings::settings(&mut second, &settings::nothing(), "defaults".to_owned());
    settings.warnings.extend(first.problems.iter().map(|problem| format!("{problem}; it is passed over")));
    settings
}

fn whole(name: &str, at: At, message: String) -> Problems {
    let (file, path) = (name.to_owned(), String::new());
    Problems(vec![Problem { file, line: at.line, column: at.column, path, message }])
}
