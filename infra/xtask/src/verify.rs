//! `cargo xtask verify`: what is checked with tools from outside: `infra/`, without a subscription, and the ARM client. A tool
//! that cannot be had makes its stage "not run", never "passed".

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::Failure;
use crate::repository::{cargo, root, run, shown, target};
use crate::test::{Outcome, Stage, run_stages};

/// What pip says when it gets no answer from the package index: it then knows of no version at all. A pinned version
/// that the index does not have is another matter, and a failure.
const NO_INDEX: &str = "(from versions: none)";

/// Microsoft's server for the tests of generated clients: long-running operations, paging, retries. MIT.
const TEST_SERVER: &str = "@microsoft.azure/autorest.testserver@3.3.51";

/// How long the test server may take to answer.
const TEST_SERVER_START: Duration = Duration::from_secs(30);

const STAGES: [Stage; 4] = [
    ("infrastructure", infrastructure),
    ("policy", policy),
    ("seeded faults", seeded_faults),
    ("ARM client", arm_client),
];

/// The task.
pub(crate) fn run_task() -> Result<(), Failure> {
    run_stages(&STAGES)
}

fn infrastructure() -> Result<Outcome, Failure> {
    check(&[], None)
}

fn policy() -> Result<Outcome, Failure> {
    match checkov()? {
        Some(checkov) => check(&[], Some(&checkov)),
        None => Ok(Outcome::NotRun),
    }
}

/// The checks must find what is wrong: each seeded fault, the policy's among them where its tool is there.
fn seeded_faults() -> Result<Outcome, Failure> {
    check(&["--self-test"], checkov()?.as_deref())
}

/// Our ARM client against Microsoft's test server, which runs for as long as this takes.
fn arm_client() -> Result<Outcome, Failure> {
    let Some(folder) = node_package("arm", TEST_SERVER)? else { return Ok(Outcome::NotRun) };
    let port = TcpListener::bind("127.0.0.1:0")
        .and_then(|listener| listener.local_addr())
        .map_err(|error| format!("find a free port: {error}"))?
        .port();
    let mut server = Command::new("node");
    server.arg(folder.join("node_modules/@microsoft.azure/autorest.testserver/dist/cli/cli.js"));
    server.args(["run", "--port", &port.to_string()]).stdout(Stdio::null()).stderr(Stdio::null());
    let mut server = server.spawn().map_err(|error| format!("start the test server: {error}"))?;
    let until = Instant::now() + TEST_SERVER_START;
    while TcpStream::connect(("127.0.0.1", port)).is_err() && Instant::now() < until {
        std::thread::park_timeout(Duration::from_millis(100));
    }
    let address = format!("http://localhost:{port}");
    let ended =
        run(cargo(&["run", "--quiet", "-p", "tests", "--bin", "arm_peer", "--", &address])
            .current_dir(root()));
    let _ = server.kill();
    let _ = server.wait();
    ended.map(|()| Outcome::Passed)
}

/// A folder below `target` with one package of the Node registry; none if it cannot be had.
fn node_package(name: &str, package: &str) -> Result<Option<PathBuf>, Failure> {
    let folder = target().join("verify").join(name);
    // Written last, so an installation that was broken off is done again.
    let mark = folder.join("installed.txt");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == package) {
        return Ok(Some(folder));
    }
    println!("installing {package} into target/verify/{name}, once");
    fs::create_dir_all(&folder).map_err(|error| format!("make {}: {error}", folder.display()))?;
    let mut install = Command::new("npm");
    install.args(["install", "--silent", "--no-audit", "--no-fund", "--prefix"]).arg(&folder).arg(package);
    match install.status() {
        Ok(status) if status.success() => {
            fs::write(&mark, package).map_err(|error| format!("write {}: {error}", mark.display()))?;
            Ok(Some(folder))
        }
        Ok(status) => {
            println!("npm could not install it ({status})");
            Ok(None)
        }
        Err(error) => {
            println!("npm cannot be started ({error})");
            Ok(None)
        }
    }
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
