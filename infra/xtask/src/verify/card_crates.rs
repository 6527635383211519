//! The crates of an older generation that the product does without: `tests/card-crates` is a workspace of its own, with its own
//! lock file.

use crate::Failure;
use crate::repository::{cargo, root, run, shown, target};
use crate::stages::Outcome;

use super::peers::{exchanges, ours, record_exchanges};

/// What cargo says when it gets no answer from the registry. Anything else that goes wrong is a failure.
const NO_REGISTRY: [&str; 3] = ["Could not resolve host", "failed to download", "spurious network error"];

/// Microsoft's typed models read every Front Door body of the drills, and an event of its crate is taken by our endpoint.
pub(super) fn card_crates() -> Result<Outcome, Failure> {
    let build = target().join("verify/card-crates");
    let mut fetch = cargo(&["fetch", "--locked"]);
    fetch.current_dir(root().join("tests/card-crates"));
    let fetched = fetch.output().map_err(|error| format!("start {}: {error}", shown(&fetch)))?;
    let said = String::from_utf8_lossy(&fetched.stderr);
    if !fetched.status.success() && NO_REGISTRY.iter().any(|sign| said.contains(sign)) {
        println!("the crates' registry cannot be reached");
        return Ok(Outcome::NotRun);
    }
    if !fetched.status.success() {
        return Err(format!("{} failed: {}\n{said}", shown(&fetch), fetched.status));
    }
    let mut compile = cargo(&["build", "--locked", "--quiet"]);
    run(compile.current_dir(root().join("tests/card-crates")).env("CARGO_TARGET_DIR", &build))?;
    let program = build.join("debug").join(format!("card-crates{}", std::env::consts::EXE_SUFFIX));
    let program = program.to_string_lossy();
    if !exchanges().exists() {
        record_exchanges()?;
    }
    let mut read = std::process::Command::new(&*program);
    run(read.arg("read").arg(exchanges()))?;
    run(&mut ours("event_peer", &[&program, "publish"])).map(|()| Outcome::Passed)
}
