//! What is wrong with a configuration: every problem, with the place to look at.

use std::fmt;

/// Problems shown at once; a file this wrong is best mended from the top.
const PROBLEMS_SHOWN_MAX: usize = 100;

/// One thing that is wrong, worded for whoever edits the file. Never contains a value that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The file as it was named to us, or `environment`.
    pub file: String,
    /// Counted from 1; 0 when there is no line to point at.
    pub line: usize,
    /// Counted from 1, in characters; 0 when there is no line.
    pub column: usize,
    /// The key, as `circuit_breaker.failure_threshold`; empty when the file as a whole is meant.
    pub path: String,
    /// What is wrong and, where it helps, what to write instead.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.file)?;
        if self.line > 0 {
            write!(f, ":{}:{}", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, ": {}", self.path)?;
        }
        write!(f, ": {}", self.message)
    }
}

/// All problems of a configuration, in the order of the file; never empty. Displays as one line each.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().take(PROBLEMS_SHOWN_MAX).enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            write!(f, "{problem}")?;
        }
        match self.0.len().saturating_sub(PROBLEMS_SHOWN_MAX) {
            0 => Ok(()),
            more => write!(f, "\nand {more} more"),
        }
    }
}

impl std::error::Error for Problems {}
