//! What stands in `infra/`, without a subscription: our own checks and a policy scanner, in Python environments of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::python::Environment;
use crate::repository::{root, run, target};
use crate::stages::Outcome;

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
    let mut command = Command::new(checks.program("python"));
    command.arg(root().join("infra/checks/check.py")).args(arguments).env("PYTHONDONTWRITEBYTECODE", "1");
    if let Some(checkov) = checkov {
        command.arg("--checkov").arg(checkov);
    }
    run(command.current_dir(root())).map(|()| Outcome::Passed)
}

fn checkov() -> Result<Option<PathBuf>, Failure> {
    let environment = environment("policy", "requirements-policy.txt")?;
    Ok(environment.map(|environment| environment.program("checkov")))
}

/// An environment below `target/verify` with the requirements that a file of `infra/checks` pins; none if it cannot be had.
fn environment(name: &str, requirements: &str) -> Result<Option<Environment>, Failure> {
    let pinned = root().join("infra/checks").join(requirements);
    let wanted =
        fs::read_to_string(&pinned).map_err(|error| format!("read {}: {error}", pinned.display()))?;
    Environment::installed(&target().join("verify").join(name), &wanted)
}
