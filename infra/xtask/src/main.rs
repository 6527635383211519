//! Developer tasks: `cargo xtask test`, `package`, `verify`, `browser`, `api`. Standard library only, so that it builds in a second.

mod api;
mod browser;
mod package;
mod repository;
mod test;
mod verify;

use std::process::ExitCode;

/// Why a task did not come to its end, as a sentence for whoever ran it.
type Failure = String;

const HELP: &str = "\
cargo xtask <task>

  test                        everything that CI runs, in its order; stops at the first failure
  verify                      infra/ against the code, with tools that it installs; needs python3
  browser [--shots]           an operator's journeys in a real browser; needs node, npm and Chromium
                              (--shots: the README's screenshots into docs/ instead)
  api                         Schemathesis against the operator's API of a drill; needs python3
  package [options]           stages a function app into target/package
      --role controller|stamp which functions (default: controller; stamp: stamp_health alone)
      --release               builds the release binary and takes it
      --binary PATH           takes this binary
      --with PATH             copies one more file beside it, such as a policy (may be repeated)
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first().map(|(task, rest)| (task.as_str(), rest)) {
        Some(("test", [])) => test::run_task(),
        Some(("verify", [])) => verify::run_task(),
        Some(("api", [])) => api::run_task(),
        Some(("browser", rest)) => browser::run_task(rest),
        Some(("package", rest)) => package::run_task(rest),
        None | Some(("help" | "--help" | "-h", _)) => {
            print!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Some((task, _)) => Err(format!("{task}: no such task, or not with these arguments\n\n{HELP}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("\nxtask: {failure}");
            ExitCode::FAILURE
        }
    }
}
