//! A mutation run over the decision core: `cargo run --release -p mutation`. The mutants are those of `cargo-mutants`, which
//! builds the crate anew for each; here all stand in one build, each behind a switch, so that a run takes minutes.

mod embed;
mod mutant;
mod run;
mod tree;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::{Command, ExitCode};

use anyhow::{Context, Result, bail};

use mutant::Mutant;
use run::Verdict;

const HELP: &str = "\
cargo run --release -p mutation -- [options]

  --list FILE      the list of mutants (default: what `cargo mutants --list --json -p domain` says; needs cargo-mutants)
  --skip TEXT      tests with this in their name are not run; for a first, quick look
  --only TEXT      mutants with this in their name alone; may be repeated, then any of them
  --only-of FILE   mutants that are named in this file, one a line
  --workers N      processes side by side (default: 2)
  --write FILE     the names of mutants that no test caught, one a line
";

/// Where the mutated crate is.
const PACKAGE: &str = "domain";
const CRATE_ROOT: &str = "shared/domain/src/lib.rs";

struct Options {
    list: Option<PathBuf>,
    skip: Option<String>,
    only: Vec<String>,
    only_of: Option<PathBuf>,
    workers: usize,
    write: Option<PathBuf>,
}

fn main() -> ExitCode {
    match options().and_then(|options| options.map_or(Ok(()), |options| mutate(&options))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("mutation: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn options() -> Result<Option<Options>> {
    let mut options =
        Options { list: None, skip: None, only: Vec::new(), only_of: None, workers: 2, write: None };
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        if argument == "--help" {
            print!("{HELP}");
            return Ok(None);
        }
        let Some(value) = arguments.next() else {
            bail!("read the arguments: {argument} needs a value\n\n{HELP}")
        };
        match argument.as_str() {
            "--list" => options.list = Some(value.into()),
            "--skip" => options.skip = Some(value),
            "--only" => options.only.push(value),
            "--only-of" => options.only_of = Some(value.into()),
            "--workers" => options.workers = value.parse().context("read --workers")?,
            "--write" => options.write = Some(value.into()),
            _ => bail!("read the arguments: {argument} is not known\n\n{HELP}"),
        }
    }
    Ok(Some(options))
}

fn list(options: &Options) -> Result<String> {
    if let Some(file) = &options.list {
        return std::fs::read_to_string(file).with_context(|| format!("read the list {}", file.display()));
    }
    let run = Command::new("cargo")
        .args(["mutants", "--list", "--json", "-p", PACKAGE])
        .output()
        .context("run cargo mutants")?;
    if !run.status.success() {
        bail!(
            "list the mutants: {} (cargo install cargo-mutants --locked)",
            String::from_utf8_lossy(&run.stderr).trim()
        );
    }
    String::from_utf8(run.stdout).context("read the list of cargo mutants")
}

fn mutate(options: &Options) -> Result<()> {
    let files = mutant::by_file(&list(options)?).context("read the list of mutants")?;
    let root = std::env::current_dir().context("find the repository")?;
    let place = root.join("target/mutation");
    let tree = tree::Tree::copy(&root, &place)?;
    let built = tree.embed(&files, PACKAGE, CRATE_ROOT)?;
    let suite = tree.suite(PACKAGE)?;
    let tests = run::reach(&suite, options.skip.as_deref(), &place, options.workers)?;
    let by_number: BTreeMap<u32, &Mutant> =
        files.values().flatten().map(|(number, mutant)| (*number, mutant)).collect();
    let named = match &options.only_of {
        Some(file) => {
            Some(std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?)
        }
        None => None,
    };
    let wanted = |mutant: &Mutant| {
        (options.only.is_empty() || options.only.iter().any(|text| mutant.name.contains(text.as_str())))
            && named.as_ref().is_none_or(|names| names.lines().any(|name| name == mutant.name))
    };
    let mutants: Vec<u32> = built.viable.iter().filter(|number| wanted(by_number[number])).copied().collect();
    eprintln!("{} tests, {} mutants", tests.len(), mutants.len());
    let verdicts = run::verdicts(&suite, &tests, &mutants, options.workers, |ended, number, verdict| {
        if matches!(verdict, Verdict::Missed | Verdict::Unreached | Verdict::TimedOut)
            || ended.is_multiple_of(200)
        {
            eprintln!("{ended}/{}: {verdict:?} {}", mutants.len(), by_number[&number].name);
        }
    })?;
    report(options, &by_number, &built, &verdicts)
}

fn report(
    options: &Options,
    by_number: &BTreeMap<u32, &Mutant>,
    built: &tree::Built,
    verdicts: &BTreeMap<u32, Verdict>,
) -> Result<()> {
    let count = |wanted: Verdict| verdicts.values().filter(|verdict| **verdict == wanted).count();
    let caught = count(Verdict::Caught) + count(Verdict::TimedOut);
    let lost: Vec<&str> = verdicts
        .iter()
        .filter(|(_, verdict)| matches!(verdict, Verdict::Missed | Verdict::Unreached))
        .map(|(number, _)| by_number[number].name.as_str())
        .collect();
    for name in &lost {
        println!("{name}");
    }
    println!(
        "{} mutants listed, {} do not compile, {} in constants were not tried",
        by_number.len(),
        built.unviable.len(),
        built.constant.len()
    );
    println!(
        "of {} viable ones {caught} were caught ({} of them by a time-out), {} missed, {} reached by no test: {:.1} %",
        verdicts.len(),
        count(Verdict::TimedOut),
        count(Verdict::Missed),
        count(Verdict::Unreached),
        100.0 * caught as f64 / verdicts.len().max(1) as f64,
    );
    for number in &built.constant {
        println!("not tried: {}", by_number[number].name);
    }
    if let Some(file) = &options.write {
        std::fs::write(file, lost.join("\n") + "\n").with_context(|| format!("write {}", file.display()))?;
    }
    Ok(())
}
