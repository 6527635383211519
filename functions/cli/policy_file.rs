//! A policy file: read and validated, or refused with the line of every error.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use domain::Policy;
use domain::policy::{PolicyError, parse};

/// A policy that cannot be used.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PolicyRefused {
    /// The file.
    pub path: PathBuf,
    /// All that is wrong with it.
    pub errors: Vec<PolicyError>,
}

impl fmt::Display for PolicyRefused {
    /// One line each, as editors understand it: `policy.toml:12: reason`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for error in &self.errors {
            writeln!(f, "{}:{}: {}", self.path.display(), error.line, error.reason.trim_end())?;
        }
        Ok(())
    }
}

impl std::error::Error for PolicyRefused {}

/// Reads and validates.
pub(super) fn read(path: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the policy {}; name the file that you mean", path.display()))?;
    parse(&text).map_err(|errors| PolicyRefused { path: path.to_owned(), errors }.into())
}
