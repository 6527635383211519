//! `cargo xtask test`: what CI runs, and what to run before a pull request.

use std::path::PathBuf;
use std::process::Command;

use crate::Failure;
use crate::repository::{cargo, has_subcommand, run, shown, target};
use crate::stages::{Outcome, Stage, run_stages};

/// The version that is installed when there is none. Pinned, so that a new release changes no result by itself.
const CARGO_DENY_VERSION: &str = "0.20.2";

/// What cargo-deny says when it cannot get the advisory database: the network's fault, not ours.
const NO_DATABASE: [&str; 2] = ["failed to fetch advisory database", "failed to load advisory database"];

/// In order of cost: what fails most often and fastest comes first.
const STAGES: [Stage; 8] = [
    ("format", format),
    ("lint", lint),
    ("dependencies", dependencies),
    ("advisories", advisories),
    ("binary", binary),
    ("tests", tests),
    ("doc tests", doc_tests),
    ("documentation", documentation),
];

/// The task.
pub(crate) fn run_task() -> Result<(), Failure> {
    run_stages(&STAGES)
}

/// A stage that is one command.
fn pass(command: &mut Command) -> Result<Outcome, Failure> {
    run(command).map(|()| Outcome::Passed)
}

fn format() -> Result<Outcome, Failure> {
    pass(&mut cargo(&["fmt", "--all", "--check"])).map_err(|failure| format!("{failure}; run cargo fmt"))
}

fn lint() -> Result<Outcome, Failure> {
    pass(&mut cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"]))
}

fn dependencies() -> Result<Outcome, Failure> {
    let deny = cargo_deny()?;
    pass(deny.command().args(["check", "bans", "licenses", "sources"]))
}

/// Apart from the rest, since it needs the network: without it the stage says so and goes on.
fn advisories() -> Result<Outcome, Failure> {
    let deny = cargo_deny()?;
    let mut command = deny.command();
    command.args(["check", "advisories"]);
    let output = command.output().map_err(|error| format!("start {}: {error}", shown(&command)))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        return Ok(Outcome::Passed);
    }
    if NO_DATABASE.iter().any(|sign| text.contains(sign)) {
        println!(
            "the advisory database cannot be fetched; cargo deny check advisories does this stage alone"
        );
        return Ok(Outcome::NotRun);
    }
    eprint!("{text}");
    Err(format!("{} failed: {}", shown(&command), output.status))
}

/// Some tests start `cordon`, the application or these tasks; cargo builds binaries only for the tests of their own crate.
fn binary() -> Result<Outcome, Failure> {
    pass(&mut cargo(&["build", "-p", "cordon", "-p", "application", "-p", "xtask"]))
}

fn tests() -> Result<Outcome, Failure> {
    if has_subcommand("nextest") {
        return pass(&mut cargo(&["nextest", "run", "--workspace"]));
    }
    println!("cargo-nextest is not installed; cargo test does the same, with less to read");
    pass(&mut cargo(&["test", "--workspace", "--all-targets"]))
}

fn doc_tests() -> Result<Outcome, Failure> {
    pass(&mut cargo(&["test", "--workspace", "--doc", "--quiet"]))
}

fn documentation() -> Result<Outcome, Failure> {
    pass(cargo(&["doc", "--workspace", "--no-deps"]).env("RUSTDOCFLAGS", "-D warnings"))
}

/// How cargo-deny is called here.
enum CargoDeny {
    /// As a subcommand that the developer has.
    Subcommand,
    /// As a program that we installed.
    Program(PathBuf),
}

impl CargoDeny {
    fn command(&self) -> Command {
        match self {
            Self::Subcommand => cargo(&["deny"]),
            Self::Program(path) => {
                let mut command = Command::new(path);
                command.current_dir(crate::repository::root());
                command
            }
        }
    }
}

fn cargo_deny() -> Result<CargoDeny, Failure> {
    if has_subcommand("deny") {
        return Ok(CargoDeny::Subcommand);
    }
    let tools = target().join("tools");
    let program = tools.join("bin").join(format!("cargo-deny{}", std::env::consts::EXE_SUFFIX));
    if !program.exists() {
        println!("cargo-deny is not installed; building {CARGO_DENY_VERSION} into target/tools, once");
        let arguments = ["install", "cargo-deny", "--locked", "--version", CARGO_DENY_VERSION];
        let mut install = cargo(&arguments);
        run(install.arg("--root").arg(&tools))?;
    }
    Ok(CargoDeny::Program(program))
}
