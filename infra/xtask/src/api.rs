//! `cargo xtask api`: Schemathesis against the OpenAPI document of a running drill, orders included. It looks for answers with
//! 5xx and for answers that the document does not know. Installed below `target`; where it cannot be had: "not run".

use std::env;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, ChildStderr, Command, Stdio};

use crate::Failure;
use crate::python::Environment;
use crate::repository::{cargo, run, shown, target};
use crate::stages::{Outcome, Stage, run_stages};

/// Pinned, so that a new release changes no result by itself. MIT.
const SCHEMATHESIS: &str = "schemathesis==4.32.5";

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
    let tools = target().join("api/environment");
    let Some(tools) = Environment::installed(&tools, SCHEMATHESIS)? else { return Ok(Outcome::NotRun) };
    let program = tools.program("schemathesis");
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
