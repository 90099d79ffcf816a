//! The effective configuration as text: lines at their depth, sections that stay empty left out.

use super::render::quote;
use super::value::{duration_text, size_text};
use std::time::Duration;

/// Lines at the present depth. A section that stays empty is left out.
#[derive(Default)]
pub(super) struct Page {
    pub(super) text: String,
    /// For each open section: its heading, until something is written below it.
    open: Vec<Option<String>>,
}

impl Page {
    pub(super) fn open(&mut self, key: &str) {
        let heading = format!("{}{key}:\n", "  ".repeat(self.open.len()));
        self.open.push(Some(heading));
    }

    pub(super) fn close(&mut self) {
        self.open.pop();
    }

    fn raw(&mut self, line: &str) {
        for heading in self.open.iter_mut().filter_map(Option::take) {
            self.text.push_str(&heading);
        }
        self.text.push_str(&"  ".repeat(self.open.len()));
        self.text.push_str(line);
        self.text.push('\n');
    }

    pub(super) fn line(&mut self, key: &str, value: impl std::fmt::Display) {
        self.raw(&format!("{key}: {value}"));
    }

    pub(super) fn item(&mut self, value: &str) {
        self.raw(&format!("- {value}"));
    }

    pub(super) fn duration(&mut self, key: &str, value: Duration) {
        self.line(key, duration_text(value));
    }

    pub(super) fn size(&mut self, key: &str, bytes: usize) {
        self.line(key, size_text(bytes as u64));
    }

    pub(super) fn texts(&mut self, key: &str, texts: &[String]) {
        let quoted: Vec<String> = texts.iter().map(|text| quote(text)).collect();
        self.line(key, format!("[{}]", quoted.join(", ")));
    }
}
