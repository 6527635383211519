//! `cargo xtask browser`: the operator's journeys through a drill in a real browser, and the screenshots of the README. What
//! it needs beside a browser it installs; without node, npm, a registry or Chromium it reports "not run", never "passed".

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::Failure;
use crate::repository::{cargo, root, run, shown, target};
use crate::stages::{Outcome, Stage, run_stages};

/// Where Debian, Ubuntu and others put Chromium. `CORDON_CHROMIUM` names another.
const CHROMIUMS: [&str; 5] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/usr/bin/google-chrome-stable",
    "/snap/bin/chromium",
];

const JOURNEYS: [Stage; 1] = [("journeys", journeys)];
const SHOTS: [Stage; 1] = [("screenshots", screenshots)];

/// The task.
pub(crate) fn run_task(arguments: &[String]) -> Result<(), Failure> {
    match arguments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => run_stages(&JOURNEYS),
        ["--shots"] => run_stages(&SHOTS),
        other => Err(format!("browser {}: give nothing, or --shots", other.join(" "))),
    }
}

fn journeys() -> Result<Outcome, Failure> {
    play("journeys.mjs", &[])
}

fn screenshots() -> Result<Outcome, Failure> {
    let docs = root().join("docs");
    fs::create_dir_all(&docs).map_err(|error| format!("create {}: {error}", docs.display()))?;
    play("shots.mjs", &[&docs.display().to_string()])
}

fn play(script: &str, arguments: &[&str]) -> Result<Outcome, Failure> {
    let Some(chromium) = chromium().or_else(installed) else {
        println!("no Chromium was found: install the package chromium, or name one in CORDON_CHROMIUM");
        return Ok(Outcome::NotRun);
    };
    let Some(modules) = modules()? else { return Ok(Outcome::NotRun) };
    run(&mut cargo(&["build", "-p", "cordon"]))?;
    let binary = target().join("debug").join(format!("cordon{}", env::consts::EXE_SUFFIX));
    let mut command = Command::new("node");
    command.arg(root().join("tests/browser").join(script)).args(arguments);
    command.env("CORDON_BINARY", binary).env("CORDON_CHROMIUM", chromium).env("CORDON_MODULES", modules);
    run(command.current_dir(root())).map(|()| Outcome::Passed)
}

fn chromium() -> Option<PathBuf> {
    let named = env::var_os("CORDON_CHROMIUM").map(PathBuf::from);
    named.into_iter().chain(CHROMIUMS.map(PathBuf::from)).find(|path| path.is_file())
}

/// Chromium from Debian's packages, where this may install them: as root, on a machine with apt-get.
fn installed() -> Option<PathBuf> {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0");
    if !root {
        return None;
    }
    println!("installing the package chromium, once");
    for arguments in [&["update", "-q"][..], &["install", "-q", "-y", "--no-install-recommends", "chromium"]]
    {
        let mut apt = Command::new("apt-get");
        apt.args(arguments).env("DEBIAN_FRONTEND", "noninteractive");
        if let Err(failure) = run(&mut apt) {
            println!("{failure}");
            return None;
        }
    }
    chromium()
}

/// The pinned packages below `target`; none if they cannot be had.
fn modules() -> Result<Option<PathBuf>, Failure> {
    let folder = target().join("browser");
    let pinned = root().join("tests/browser/package.json");
    let wanted =
        fs::read_to_string(&pinned).map_err(|error| format!("read {}: {error}", pinned.display()))?;
    // Written last, so an installation that was broken off is done again.
    let mark = folder.join("installed.json");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == wanted) {
        return Ok(Some(folder));
    }
    println!("installing playwright-core and axe-core into target/browser, once");
    fs::create_dir_all(&folder).map_err(|error| format!("create {}: {error}", folder.display()))?;
    fs::copy(&pinned, folder.join("package.json"))
        .map_err(|error| format!("copy {}: {error}", pinned.display()))?;
    install(&folder, &mark, &wanted)
}

fn install(folder: &Path, mark: &Path, wanted: &str) -> Result<Option<PathBuf>, Failure> {
    let mut npm = Command::new("npm");
    npm.args(["install", "--no-audit", "--no-fund", "--ignore-scripts", "--loglevel=error"])
        .current_dir(folder);
    match npm.status() {
        Ok(status) if status.success() => {
            fs::write(mark, wanted).map_err(|error| format!("write {}: {error}", mark.display()))?;
            Ok(Some(folder.to_path_buf()))
        }
        Ok(status) => {
            println!("{} failed ({status}): is the package registry reachable?", shown(&npm));
            Ok(None)
        }
        Err(error) => {
            println!("npm cannot be started ({error})");
            Ok(None)
        }
    }
}
