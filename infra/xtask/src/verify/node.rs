//! The JavaScript components: installed once below `target/verify`, exactly as `tests/peers/package-lock.json` pins them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::repository::{root, run, target};

/// What npm says when it gets no answer from the registry. Anything else that goes wrong is a failure.
const NO_REGISTRY: [&str; 5] = ["ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "network"];

/// The components, installed.
pub(super) struct Peers {
    folder: PathBuf,
}

impl Peers {
    /// Installs them, unless it is done already; none if node or the registry cannot be had.
    ///
    /// # Errors
    /// When npm fails for another reason, or the folder cannot be written.
    pub(super) fn installed() -> Result<Option<Self>, Failure> {
        let folder = target().join("verify/peers");
        let lock = read(&source("package-lock.json"))?;
        // Written last, so an installation that was broken off is done again.
        let mark = folder.join("installed.json");
        if fs::read_to_string(&mark).is_ok_and(|installed| installed == lock) {
            return Ok(Some(Self { folder }));
        }
        println!("installing the components of tests/peers into target/verify/peers, once");
        fs::create_dir_all(&folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
        for name in ["package.json", "package-lock.json"] {
            write(&folder.join(name), &read(&source(name))?)?;
        }
        let mut install = Command::new("npm");
        install.args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]).current_dir(&folder);
        match install.output() {
            Ok(output) if output.status.success() => {
                write(&mark, &lock)?;
                Ok(Some(Self { folder }))
            }
            Ok(output) => {
                let text = String::from_utf8_lossy(&output.stderr);
                if is_unreachable(&text) {
                    println!("the package registry cannot be reached");
                    return Ok(None);
                }
                Err(format!("npm ci failed: {}\n{text}", output.status))
            }
            Err(error) => {
                println!("npm cannot be started ({error})");
                Ok(None)
            }
        }
    }

    /// A file of an installed package.
    pub(super) fn file(&self, below: &str) -> PathBuf {
        self.folder.join("node_modules").join(below)
    }

    /// Runs a command whose scripts find the components.
    ///
    /// # Errors
    /// When it cannot be started, or says that something is wrong.
    pub(super) fn run(&self, command: &mut Command) -> Result<(), Failure> {
        run(command.env("CORDON_PEERS", &self.folder).current_dir(root()))
    }
}

/// One of our scripts.
pub(super) fn source(name: &str) -> PathBuf {
    root().join("tests/peers").join(name)
}

fn is_unreachable(npm: &str) -> bool {
    NO_REGISTRY.iter().any(|sign| npm.contains(sign))
}

fn read(path: &Path) -> Result<String, Failure> {
    fs::read_to_string(path).map_err(|error| format!("read {}: {error}", path.display()))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    fs::write(path, text).map_err(|error| format!("write {}: {error}", path.display()))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn a_lock_that_does_not_fit_is_a_failure_and_no_registry_is_not() {
        assert!(is_unreachable("npm error code ENOTFOUND"));
        assert!(!is_unreachable(
            "npm error `npm ci` can only install packages when your package.json and lock are in sync"
        ));
    }
}
