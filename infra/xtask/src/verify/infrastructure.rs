//! What stands in `infra/`, without a subscription: our own checks and a policy scanner, in Python environments of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::repository::{root, run, shown, target};
use crate::test::Outcome;

/// What pip says when it gets no answer from the package index: it then knows of no version at all. A pinned version
/// that the index does not have is another matter, and a failure.
const NO_INDEX: &str = "(from versions: none)";

pub(super) fn infrastructure() -> Result<Outcome, Failure> {
    check(&[], None)
}

pub(super) fn policy() -> Result<Outcome, Failure> {
    match checkov()? {
        Some(checkov) => check(&[], Some(&checkov)),
        None => Ok(Outcome::NotRun),
    }
}

/// The checks must find what is wrong: each seeded fault, the policy's among them where its tool is there.
pub(super) fn seeded_faults() -> Result<Outcome, Failure> {
    check(&["--self-test"], checkov()?.as_deref())
}

/// Runs `infra/checks/check.py`. It and checkov have environments of their own: they need different versions of the
/// same parser.
fn check(arguments: &[&str], checkov: Option<&Path>) -> Result<Outcome, Failure> {
    let Some(checks) = environment("checks", "requirements.txt")? else { return Ok(Outcome::NotRun) };
    let mut command = Command::new(program(&checks, "python"));
    command.arg(root().join("infra/checks/check.py")).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(checkov) = checkov {
        command.arg("--checkov").arg(checkov);
    }
    run(command.current_dir(root())).map(|()| Outcome::Passed)
}

fn checkov() -> Result<Option<PathBuf>, Failure> {
    let environment = environment("policy", "requirements-policy.txt")?;
    Ok(environment.map(|environment| program(&environment, "checkov")))
}

/// A Python environment below `target` with exactly the pinned requirements; none if it cannot be had.
fn environment(name: &str, requirements: &str) -> Result<Option<PathBuf>, Failure> {
    let folder = target().join("verify").join(name);
    let pinned = root().join("infra/checks").join(requirements);
    let wanted =
        fs::read_to_string(&pinned).map_err(|error| format!("read {}: {error}", pinned.display()))?;
    // Written last, so an installation that was broken off is done again.
    let mark = folder.join("installed.txt");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(Some(folder));
    }
    println!("installing {requirements} into target/verify/{name}, once");
    let mut make = Command::new("python3");
    make.args(["-m", "venv", "--clear"]).arg(&folder);
    match make.status() {
        Ok(status) if status.success() => {}
        Ok(status) => return Err(format!("{} failed: {status}; is python3-venv installed?", shown(&make))),
        Err(error) => {
            println!("python3 cannot be started ({error})");
            return Ok(None);
        }
    }
    let mut install = Command::new(program(&folder, "python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r"]).arg(&pinned);
    let output = install.output().map_err(|error| format!("start {}: {error}", shown(&install)))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        fs::write(&mark, wanted).map_err(|error| format!("write {}: {error}", mark.display()))?;
        return Ok(Some(folder));
    }
    if is_unreachable(&text) {
        println!("the package index cannot be reached");
        return Ok(None);
    }
    Err(format!("{} failed: {}\n{text}", shown(&install), output.status))
}

fn is_unreachable(pip: &str) -> bool {
    pip.contains(NO_INDEX)
}

/// A program of an environment.
fn program(environment: &Path, name: &str) -> PathBuf {
    let folder = if cfg!(windows) { "Scripts" } else { "bin" };
    environment.join(folder).join(format!("{name}{}", std::env::consts::EXE_SUFFIX))
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
