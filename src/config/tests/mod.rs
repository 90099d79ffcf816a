//! Promises of the configuration as a whole; here what its subjects share.

mod callers;
mod environment;
mod original;
mod problems;
mod providers;
mod reading;
mod server;
mod shipped;
mod shown;

use super::keys::{self, Effect};
use super::*;
use crate::domain::budget::Period;
use crate::domain::price::NANO_USD;
use crate::domain::quirks::{OutputBound, Thinking};
use std::collections::HashMap;

/// Reads a file in an environment.
fn read_in(text: &str, variables: &[(&str, &str)]) -> Result<Settings, Problems> {
    let map: HashMap<&str, &str> = variables.iter().copied().collect();
    parse("config.yaml", text, &|name| map.get(name).map(|value| (*value).to_owned()))
}

fn good(text: &str) -> Settings {
    good_in(text, &[])
}

fn good_in(text: &str, variables: &[(&str, &str)]) -> Settings {
    read_in(text, variables).unwrap_or_else(|problems| panic!("{text}\n{problems}"))
}

/// The lines a wrong file is met with.
fn bad(text: &str) -> Vec<String> {
    bad_in(text, &[])
}

fn bad_in(text: &str, variables: &[(&str, &str)]) -> Vec<String> {
    let problems = read_in(text, variables).expect_err(text);
    problems.to_string().lines().map(str::to_owned).collect()
}

fn secrets(settings: &Settings, name: &str) -> Vec<String> {
    let provider = settings.providers.iter().find(|p| p.name == name).expect("the provider");
    provider.keys.iter().map(|key| key.reveal().to_owned()).collect()
}

const KEY_HASH: &str = "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

fn repository(path: &str) -> String {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(path).expect("a file of the repository")
}
