//! A task as a list of named stages, each reported with its time.

use std::time::Instant;

use crate::Failure;

/// What became of a stage that did not fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It ran, and nothing was wrong.
    Passed,
    /// Something outside our control was missing. Said aloud, never counted as passed.
    NotRun,
}

/// A stage: its name, and what it does.
pub(crate) type Stage = (&'static str, fn() -> Result<Outcome, Failure>);

/// Runs stages until one fails: a later one says nothing new about a tree in which an earlier one is broken.
///
/// # Errors
/// The first failure, with its stage's name.
pub(crate) fn run_stages(stages: &[Stage]) -> Result<(), Failure> {
    run(stages, |failed| !failed.is_empty())
}

/// Runs every stage, whatever becomes of the others: each asks something of its own.
///
/// # Errors
/// When stages failed: their names, and why.
pub(crate) fn run_every_stage(stages: &[Stage]) -> Result<(), Failure> {
    run(stages, |_| false)
}

fn run(stages: &[Stage], is_enough: impl Fn(&[Failure]) -> bool) -> Result<(), Failure> {
    let begun = Instant::now();
    let (mut failed, mut lines) = (Vec::new(), Vec::new());
    let mut passed = 0;
    for (number, (name, stage)) in stages.iter().enumerate() {
        println!("\n== {}/{} {name}", number + 1, stages.len());
        let stage_begun = Instant::now();
        let word = match stage() {
            Ok(Outcome::Passed) => {
                passed += 1;
                "ok"
            }
            Ok(Outcome::NotRun) => "not run",
            Err(failure) => {
                eprintln!("{failure}");
                failed.push(format!("stage \"{name}\": {failure}"));
                "FAILED"
            }
        };
        let line = format!("{name}: {word}, {:.1} s", stage_begun.elapsed().as_secs_f64());
        println!("== {line}");
        lines.push(line);
        if is_enough(&failed) {
            break;
        }
    }
    println!("\n{}", lines.join("\n"));
    println!("{passed} of {} stages passed in {:.1} s", stages.len(), begun.elapsed().as_secs_f64());
    if failed.is_empty() { Ok(()) } else { Err(failed.join("\n")) }
}

#[cfg(test)]
mod unit_tests {
    use super::*;

    const BROKEN: [Stage; 4] = [
        ("one", || Ok(Outcome::Passed)),
        ("two", || Err("it broke".to_owned())),
        ("three", || Ok(Outcome::NotRun)),
        ("four", || Err("it broke too".to_owned())),
    ];

    #[test]
    fn the_first_failure_ends_the_run_and_names_its_stage() {
        let stages: [Stage; 3] = [BROKEN[0], BROKEN[1], ("three", || panic!("reached after a failure"))];
        assert_eq!(run_stages(&stages), Err("stage \"two\": it broke".to_owned()));
    }

    #[test]
    fn where_every_stage_is_run_every_failure_is_named() {
        let failures = "stage \"two\": it broke\nstage \"four\": it broke too";
        assert_eq!(run_every_stage(&BROKEN), Err(failures.to_owned()));
        assert_eq!(run_every_stage(&[BROKEN[0], BROKEN[2]]), Ok(()), "what is not run is no failure");
    }
}
