//! `cargo xtask api`: Schemathesis against the OpenAPI document of a running drill, orders included. It looks for answers with
//! 5xx and for answers that the document does not know. Installed below `target`; where it cannot be had: "not run".

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::Failure;
use crate::repository::{cargo, run, shown, target};
use crate::test::{Outcome, Stage, run_stages};

/// Pinned, so that a new release changes no result by itself. MIT.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

/// What pip says when it gets no answer from the package index: it then knows of no version at all.
const NO_INDEX: &str = "(from versions: none)";

/// Every answer must be one that the document describes, in status, headers, content type and schema. That a valid order
/// is accepted is not among them: most orders are refused at most moments (409), as they should be.
const CHECKS: &str = "not_a_server_error,status_code_conformance,content_type_conformance,\
    response_headers_conformance,response_schema_conformance,unsupported_method";

/// Generated requests per operation and phase.
const EXAMPLES: &str = "100";

/// The same requests in every run.
const SEED: &str = "1";

/// A drill with three stamps, slow enough to last for as long as the requests do: 3 h at 6 times real time are 30 min.
const DRILL: [&str; 5] = ["drill", "second-region-within-velocity-limit", "--speed", "6", "--json"];

const STAGES: [Stage; 1] = [("operator API", operator_api)];

/// The task.
pub(crate) fn run_task() -> Result<(), Failure> {
    run_stages(&STAGES)
}

fn operator_api() -> Result<Outcome, Failure> {
    let Some(program) = schemathesis()? else { return Ok(Outcome::NotRun) };
    run(&mut cargo(&["build", "-p", "cordon"]))?;
    let data = target().join("api/data");
    let _ = fs::remove_dir_all(&data);
    let mut drill = start(&data)?;
    let ended = fuzz(&program, &mut drill);
    let _ = drill.kill();
    let _ = drill.wait();
    ended.map(|()| Outcome::Passed)
}

fn start(data: &Path) -> Result<Child, Failure> {
    let binary = target().join("debug").join(format!("cordon{}", env::consts::EXE_SUFFIX));
    let mut drill = Command::new(binary);
    drill.args(DRILL).arg("--data").arg(data).stdout(Stdio::null()).stderr(Stdio::piped());
    drill.spawn().map_err(|error| format!("start {}: {error}", shown(&drill)))
}

fn fuzz(program: &Path, drill: &mut Child) -> Result<(), Failure> {
    let Some(told) = drill.stderr.take() else { return Err("the drill says nothing".to_owned()) };
    let mut told = BufReader::new(told);
    let (base, token) = page(&mut told)?;
    // Somebody must read what it goes on to say, or it stops at a full pipe.
    let reader = std::thread::spawn(move || told.lines().for_each(drop));
    let mut fuzz = Command::new(program);
    fuzz.args(["run", &format!("{base}/v1/openapi.json"), "--url", &format!("{base}/v1")])
        .args(["--header", &format!("Authorization: Bearer {token}"), "--checks", CHECKS])
        .args(["--max-examples", EXAMPLES, "--seed", SEED, "--no-color"])
        // Where it keeps what it found before; never in the work tree.
        .current_dir(target().join("api"));
    let ended = run(&mut fuzz).map_err(|failure| failure.replace(&token, "TOKEN"));
    let still_there = drill.try_wait().map_err(|error| format!("look after the drill: {error}"))?.is_none();
    let _ = drill.kill();
    let _ = reader.join();
    ended?;
    if still_there { Ok(()) } else { Err("the drill ended before the requests did".to_owned()) }
}

/// The address of the page and the token, from the line that the drill prints at its start.
fn page(told: &mut BufReader<ChildStderr>) -> Result<(String, String), Failure> {
    for line in told.lines() {
        let line = line.map_err(|error| format!("read what the drill says: {error}"))?;
        if let Some(found) = sign_in(&line) {
            return Ok(found);
        }
    }
    Err("the drill ended without an address of its page".to_owned())
}

fn sign_in(line: &str) -> Option<(String, String)> {
    let address = line.split_whitespace().find(|word| word.contains("/sign-in?token="))?;
    let (base, token) = address.split_once("/sign-in?token=")?;
    Some((base.to_owned(), token.to_owned()))
}

/// The program, in an environment of its own below `target`; none if it cannot be had.
fn schemathesis() -> Result<Option<PathBuf>, Failure> {
    let folder = target().join("api/environment");
    let bin = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let of = |name: &str| bin.join(format!("{name}{}", env::consts::EXE_SUFFIX));
    // Written last, so an installation that was broken off is done again.
    let mark = folder.join("installed.txt");
    if fs::read_to_string(&mark).is_ok_and(|installed| installed == SCHEMATHESIS) {
        return Ok(Some(of("schemathesis")));
    }
    println!("installing {SCHEMATHESIS} into target/api, once");
    fs::create_dir_all(target().join("api")).map_err(|error| format!("make target/api: {error}"))?;
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
    let mut install = Command::new(of("python"));
    install.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", SCHEMATHESIS]);
    let output = install.output().map_err(|error| format!("start {}: {error}", shown(&install)))?;
    let text = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        fs::write(&mark, SCHEMATHESIS).map_err(|error| format!("write {}: {error}", mark.display()))?;
        return Ok(Some(of("schemathesis")));
    }
    if text.contains(NO_INDEX) {
        println!("the package index cannot be reached");
        return Ok(None);
    }
    Err(format!("{} failed: {}\n{text}", shown(&install), output.status))
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    #[test]
    fn the_page_and_its_token_are_found_in_the_line_that_names_them() {
        let line = "page: http://127.0.0.1:4711/api/operator/sign-in?token=abc (reading only without it)";
        let found = Some(("http://127.0.0.1:4711/api/operator".to_owned(), "abc".to_owned()));
        assert_eq!(sign_in(line), found);
        assert_eq!(sign_in("nothing here"), None);
    }
}
