//! A policy file: read and validated, or refused with the line of every error.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
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

/// The policies of a process: one file, or a directory with one `.toml` for each workload. One file each, and not one for
/// all, so that every threshold of a workload stands in one place and a mistake in one has one file and line.
///
/// # Errors
/// When one cannot be read or is not valid, none is there, or two are of one workload or origin group.
pub(super) fn read_all(path: &Path) -> anyhow::Result<Vec<Policy>> {
    if !path.is_dir() {
        return Ok(vec![read(path)?]);
    }
    let entries =
        std::fs::read_dir(path).with_context(|| format!("read the policies in {}", path.display()))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|entry| entry.path()))
        .filter(|file| file.extension().is_some_and(|extension| extension == "toml"))
        .collect();
    files.sort();
    let policies = files.iter().map(|file| read(file)).collect::<anyhow::Result<Vec<_>>>()?;
    ensure!(
        !policies.is_empty(),
        "there is no .toml in {}: put one policy there for each workload",
        path.display()
    );
    for (number, policy) in policies.iter().enumerate() {
        let same = |other: &Policy| {
            let (ours, theirs) = (&policy.workload, &other.workload);
            ours.name == theirs.name || ours.origin_group.eq_ignore_ascii_case(&theirs.origin_group)
        };
        if let Some(twin) = policies[..number].iter().position(same) {
            bail!(
                "{} and {} are of one workload or origin group: two policies must not govern the same stamps",
                files[twin].display(),
                files[number].display()
            );
        }
    }
    Ok(policies)
}

/// Reads and validates.
pub(super) fn read(path: &Path) -> anyhow::Result<Policy> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("read the policy {}; name the file that you mean", path.display()))?;
    parse(&text).map_err(|errors| PolicyRefused { path: path.to_owned(), errors }.into())
}
