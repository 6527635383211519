//! Deterministic simulation of the controller from the command line.
//!
//! `cargo run --release -p tests --bin simulate -- --seeds 100` runs a hundred worlds of a year each and exits with 1 if
//! any property did not hold; `--seed S` replays one and tells its story; `--help` lists the rest. Ctrl-C ends a run
//! with what it has.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tests::simulation::adversary;
use tests::simulation::draw::Seed;
use tests::simulation::report::{Batch, batch, report};
use tests::simulation::{Options, Sabotage, Store, Story, run, shipped_policy};

/// Half of a world's time goes into small allocations, and the system's allocator takes a quarter more of it.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const HELP: &str = "simulate: worlds in which the production controller crashes, pauses and is lied to

  --seeds N           worlds to run (100)
  --first S           the first seed (1)
  --seed S            replays one seed and tells its story
  --years Y           simulated years of each world (1)
  --incidents N       incidents per region and year (100)
  --troubled P        share of incidents during which something of ours breaks (0.3)
  --threads N         worker threads (the cores of this machine)
  --seconds S         no world begins after this time
  --stores KIND       trusting: documents are taken as they are; proving: each is written and read back (trusting)
  --sample N          one record of N is judged again (64)
  --sabotage NAME     breaks the controller on purpose; the checker of that name must catch it
  --adversary N       searches with N attempts for signals that cordon too often, sink the survivors or break the floor";

struct Arguments {
    batch: Batch,
    seed: Option<u64>,
    attempts: Option<u64>,
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = match read(std::env::args().skip(1)) {
        Ok(Some(arguments)) => arguments,
        Ok(None) => {
            println!("{HELP}");
            return ExitCode::SUCCESS;
        }
        Err(why) => {
            eprintln!("{why}\n\n{HELP}");
            return ExitCode::from(2);
        }
    };
    let stop = Arc::new(AtomicBool::new(false));
    let heard = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            eprintln!("ending with what there is; the worlds under way are finished first");
            heard.store(true, Ordering::SeqCst);
        }
    });
    if let Some(attempts) = arguments.attempts {
        return attack(arguments.batch, attempts, stop).await;
    }
    if let Some(seed) = arguments.seed {
        return replay(seed, arguments.options).await;
    }
    let (of, options) = (arguments.batch, arguments.options);
    let command = command(&options);
    let work = tokio::task::spawn_blocking(move || {
        let sum = batch(of, &options, &stop, |line| eprintln!("{line}"));
        (report(&sum, of, &command), sum.violations.is_empty())
    });
    match work.await {
        Ok((text, true)) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Ok((text, false)) => {
            print!("{text}");
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("a worker failed: {error}");
            ExitCode::from(3)
        }
    }
}

/// The adversary on every thread, each with a stream of its own.
async fn attack(of: Batch, attempts: u64, stop: Arc<AtomicBool>) -> ExitCode {
    let work = tokio::task::spawn_blocking(move || {
        let found =
            adversary::attack(Seed(of.first), attempts, of.threads, &shipped_policy(), &stop, |line| {
                eprintln!("{line}");
            });
        (found.report(), found.is_broken())
    });
    match work.await {
        Ok((text, broken)) => {
            print!("{text}");
            if broken { ExitCode::FAILURE } else { ExitCode::SUCCESS }
        }
        Err(error) => {
            eprintln!("a worker failed: {error}");
            ExitCode::from(3)
        }
    }
}

/// One seed, told.
async fn replay(seed: u64, options: Options) -> ExitCode {
    let options = Options { story: Story::Told, ..options };
    let Ok(outcome) = tokio::task::spawn_blocking(move || run(seed, &options)).await else {
        return ExitCode::from(3);
    };
    for line in &outcome.story {
        println!("{line}");
    }
    println!(
        "seed {seed}: {} regions, digest {:016x}, {:?}",
        outcome.regions, outcome.digest, outcome.counters
    );
    for violation in &outcome.violations {
        println!("{} at {} s: {}", violation.checker, violation.at_s, violation.text);
    }
    if outcome.violations.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// What repeats a run of these options, but for its seed.
fn command(options: &Options) -> String {
    let mut text = format!(
        "cargo run --release -p tests --bin simulate -- --years {} --incidents {} --troubled {}",
        options.years, options.incidents, options.troubled
    );
    if let Some((_, name, _)) =
        Sabotage::ALL.iter().find(|(sabotage, ..)| Some(*sabotage) == options.sabotage)
    {
        text.push_str(" --sabotage ");
        text.push_str(name);
    }
    text
}

fn read(mut arguments: impl Iterator<Item = String>) -> Result<Option<Arguments>, String> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let mut batch = Batch { first: 1, seeds: 100, threads, seconds: None };
    let (mut seed, mut attempts) = (None, None);
    let mut options = Options {
        policy: shipped_policy(),
        years: 1.0,
        incidents: 100.0,
        troubled: 0.3,
        store: Store::Trusting,
        sample: 64,
        sabotage: None,
        story: Story::Untold,
    };
    while let Some(name) = arguments.next() {
        if name == "--help" {
            return Ok(None);
        }
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        match name.as_str() {
            "--seeds" => batch.seeds = number(&name, &value)?,
            "--first" => batch.first = number(&name, &value)?,
            "--adversary" => attempts = Some(number(&name, &value)?),
            "--seed" => seed = Some(number(&name, &value)?),
            "--threads" => batch.threads = number(&name, &value)?,
            "--seconds" => batch.seconds = Some(number(&name, &value)?),
            "--years" => options.years = number(&name, &value)?,
            "--incidents" => options.incidents = number(&name, &value)?,
            "--troubled" => options.troubled = number(&name, &value)?,
            "--sample" => options.sample = number(&name, &value)?,
            "--stores" => {
                options.store = match value.as_str() {
                    "trusting" => Store::Trusting,
                    "proving" => Store::Proving,
                    _ => return Err(format!("--stores {value}: it is trusting or proving")),
                }
            }
            "--sabotage" => {
                let names = Sabotage::ALL.map(|(_, name, _)| name).join(", ");
                let named =
                    Sabotage::named(&value).ok_or(format!("--sabotage {value}: it is one of {names}"))?;
                options.sabotage = Some(named);
            }
            _ => return Err(format!("{name} is not an option")),
        }
    }
    Ok(Some(Arguments { batch, seed, attempts, options }))
}

fn number<T: std::str::FromStr>(name: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{name} {value}: not a number that fits"))
}
