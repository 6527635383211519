//! Developer tasks: `cargo xtask test`, `verify`, `browser`, `api`, `package`, `deploy`. Standard library only, so that it builds
//! in a second.

mod api;
mod browser;
mod deploy;
mod elf;
mod musl;
mod package;
mod python;
mod repository;
mod stages;
mod test;
mod verify;

use std::process::ExitCode;

/// Why a task did not come to its end, as a sentence for whoever ran it.
type Failure = String;

const HELP: &str = "\
cargo xtask <task>

  test                        everything that CI runs, in its order; stops at the first failure
  verify [STAGE..]            infra/ and our own parts against tools and components of others, which it installs; needs
                              python3, node and npm (names of stages: these alone)
  browser [--shots]           an operator's journeys in a real browser; needs node, npm and Chromium
                              (--shots: the README's screenshots into docs/ instead)
  api                         Schemathesis against the operator's API of a drill; needs python3
  package [options]           stages a function app into target/package, with a static, stripped program for x86-64 Linux
      --role controller|stamp which functions (default: controller; stamp: stamp_health alone)
      --debug | --release     takes a program built for this machine instead: for tests
      --binary PATH           takes this program instead
      --out DIR               stages there instead
      --with PATH             copies one more file beside it, such as a policy (may be repeated)
  deploy [options]            asks Cordon, previews, deploys infra/ with the Azure CLI
      --parameters FILE       what (default: infra/parameters/dev.bicepparam)
      --url URL | --first     Cordon's page, which is asked first; or there is none yet
      --policy FILE           the policy it runs under (default: policy.toml)
      --print                 only says what would be run
      --yes                   does not wait for a person after the preview
      --cordon PROGRAM        asks with this program instead of building it
      --despite-cordon TEXT   deploys although Cordon says no; TEXT is who and why
";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let done = match arguments.split_first().map(|(task, rest)| (task.as_str(), rest)) {
        Some(("test", [])) => test::run_task(),
        Some(("verify", only)) => verify::run_task(only),
        Some(("api", [])) => api::run_task(),
        Some(("browser", rest)) => browser::run_task(rest),
        Some(("package", rest)) => package::run_task(rest),
        Some(("deploy", rest)) => deploy::run_task(rest),
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
