//! Python tools, each in an environment of its own below `target`, with exactly the versions that are pinned here.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::repository::shown;

/// What pip says when it gets no answer from the package index: it then knows of no version at all. A pinned version
/// that the index does not have is another matter, and a failure.
const NO_INDEX: &str = "(from versions: none)";

/// An environment that is installed.
pub(crate) struct Environment {
    folder: PathBuf,
}

impl Environment {
    /// Installs requirements, one a line, into a folder, unless it is done already; none if python or the package index
    /// cannot be had.
    ///
    /// # Errors
    /// When pip fails for another reason, or the folder cannot be written.
    pub(crate) fn installed(folder: &Path, requirements: &str) -> Result<Option<Self>, Failure> {
        let environment = Self { folder: folder.to_owned() };
        // Written last, so an installation that was broken off is done again.
        let mark = folder.join("installed.txt");
        if fs::read_to_string(&mark).is_ok_and(|installed| installed == requirements) {
            return Ok(Some(environment));
        }
        let wanted: Vec<&str> = requirements.lines().filter(|line| !line.is_empty()).collect();
        println!("installing {} into {}, once", wanted.join(", "), folder.display());
        fs::create_dir_all(folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
        let mut make = Command::new("python3");
        make.args(["-m", "venv", "--clear"]).arg(folder);
        match make.status() {
            Ok(status) if status.success() => {}
            Ok(status) => {
                return Err(format!("{} failed: {status}; is python3-venv installed?", shown(&make)));
            }
            Err(error) => {
                println!("python3 cannot be started ({error})");
                return Ok(None);
            }
        }
        let mut install = Command::new(environment.program("python"));
        install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check"]).args(wanted);
        let output = install.output().map_err(|error| format!("start {}: {error}", shown(&install)))?;
        let text = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            fs::write(&mark, requirements).map_err(|error| format!("write {}: {error}", mark.display()))?;
            return Ok(Some(environment));
        }
        if is_unreachable(&text) {
            println!("the package index cannot be reached");
            return Ok(None);
        }
        Err(format!("{} failed: {}\n{text}", shown(&install), output.status))
    }

    /// A program of it.
    pub(crate) fn program(&self, name: &str) -> PathBuf {
        let programs = self.folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
        programs.join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
    }
}

fn is_unreachable(pip: &str) -> bool {
    pip.contains(NO_INDEX)
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_version_that_the_index_does_not_have_is_a_failure_and_no_index_is_not() {
        assert!(is_unreachable("ERROR: Could not find a version (from versions: none)"));
        assert!(!is_unreachable("ERROR: Could not find a version (from versions: 3.3.29, 3.3.30)"));
    }
}
