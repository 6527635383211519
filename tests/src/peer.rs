//! The start of a program that puts our side up and then runs a component of somebody else against it.

use std::error::Error;
use std::process::ExitCode;

/// Takes the component's program and its arguments from the command line, and turns what `run` says into an exit code: whether
/// the component was content, or why it could not be asked. `does` completes "name the program that ..".
pub async fn run_named<F>(does: &str, run: F) -> ExitCode
where
    F: AsyncFnOnce(&str, Vec<String>) -> Result<bool, Box<dyn Error>>,
{
    let mut arguments = std::env::args().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("name the program that {does}");
        return ExitCode::from(2);
    };
    match run(&program, arguments.collect()).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("{error}");
            ExitCode::FAILURE
        }
    }
}
