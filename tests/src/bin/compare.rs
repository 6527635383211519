//! Cordon beside its rivals on the same streams.
//!
//! `cargo run --release -p tests --bin compare` prints the table. `--seeds N` plays N incidents of each family,
//! `--from N` begins at another seed, `--family NAME` plays one family, `--write FOLDER` writes `rivals.md` and
//! `rivals.svg` there, `--tell SEED` tells one incident under Cordon, or under `--policy NAME`, line by line. Ctrl-C
//! prints what there is.

use std::io::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use simulator::fleet::{Family, PolicyKind, told};
use tests::compare::{
    Progress, compare, definitions, markdown, promises, seeds_to_look_at, svg, text, worse,
};

/// Incidents of each family.
const SEEDS: u64 = 300;
/// Development looked at seeds below this; what is reported begins here, so that nothing is tuned on it. (Earlier reports
/// were on 1 000 000, 2 000 000 and 3 000 000 and the hundred after each; what they showed was mended, so they count as
/// development now.)
const FIRST_REPORTED_SEED: u64 = 4_000_000;

struct Options {
    families: Vec<Family>,
    seeds: u64,
    from: u64,
    write: Option<PathBuf>,
    tell: Option<u64>,
    policy: PolicyKind,
}

fn options() -> Result<Options, String> {
    let mut options = Options {
        families: Family::ALL.to_vec(),
        seeds: SEEDS,
        from: FIRST_REPORTED_SEED,
        write: None,
        tell: None,
        policy: PolicyKind::Cordon,
    };
    let mut arguments = std::env::args().skip(1);
    while let Some(name) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{name} needs a value"))?;
        let number = || value.parse::<u64>().map_err(|error| format!("read {name} {value:?}: {error}"));
        match name.as_str() {
            "--seeds" => options.seeds = number()?,
            "--from" => options.from = number()?,
            "--tell" => options.tell = Some(number()?),
            "--write" => options.write = Some(PathBuf::from(value)),
            "--family" => {
                let found = Family::ALL.into_iter().find(|family| family.name() == value);
                let names = || Family::ALL.map(Family::name).join(", ");
                options.families =
                    vec![found.ok_or_else(|| format!("no family {value:?}; there are {}", names()))?];
            }
            "--policy" => {
                let found = PolicyKind::ALL.into_iter().find(|policy| policy.name() == value);
                let names = || PolicyKind::ALL.map(PolicyKind::name).join(", ");
                options.policy =
                    found.ok_or_else(|| format!("no policy {value:?}; there are {}", names()))?;
            }
            _ => return Err(format!("unknown option {name}; see the head of tests/src/bin/compare.rs")),
        }
    }
    Ok(options)
}

#[tokio::main]
async fn main() -> Result<(), String> {
    let options = options()?;
    if let Some(seed) = options.tell {
        for family in &options.families {
            let played = told(*family, seed, options.policy, |line| println!("{line}"));
            println!("{played:#?}");
        }
        return Ok(());
    }
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            stopped.store(true, Ordering::Relaxed);
        }
    });
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    let results =
        compare(&options.families, options.from..options.from + options.seeds, threads, &stop, &show);
    eprintln!();
    if stop.load(Ordering::Relaxed) {
        println!("Stopped early: this is what was played.");
    }
    let seeds = format!(
        "{} seeds of each family, from {} on. Development looked at seeds below 1000 and at 1000000 to 1000099; nothing \
         was tuned on those from {FIRST_REPORTED_SEED} on.",
        options.seeds, options.from
    );
    println!("{}\n\n{seeds}", definitions());
    for policy in PolicyKind::ALL {
        println!("- {}: {}.", policy.name(), policy.about());
    }
    println!(
        "{}\nCordon's seeds to look at (--family NAME --tell SEED):\n{}",
        text(&results),
        seeds_to_look_at(&results)
    );
    println!("Promises:");
    for promise in promises(&results) {
        println!("- {promise}");
    }
    println!("\nWhere Cordon is worse than a rival:");
    for worse in worse(&results) {
        println!("- {worse}");
    }
    if let Some(folder) = options.write {
        std::fs::create_dir_all(&folder).map_err(|error| {
            format!("make {}: {error}; name a folder that can be written", folder.display())
        })?;
        for (name, content) in [("rivals.md", markdown(&results, &seeds)), ("rivals.svg", svg(&results))] {
            let path = folder.join(name);
            std::fs::write(&path, content).map_err(|error| format!("write {}: {error}", path.display()))?;
        }
    }
    Ok(())
}

fn show(progress: Progress) {
    if progress.done.is_multiple_of(20) || progress.done == progress.all {
        let left = progress.elapsed_s / progress.done as f64 * (progress.all - progress.done) as f64;
        eprint!("\r{} of {} incidents, about {left:.0} s left   ", progress.done, progress.all);
        let _ = std::io::stderr().flush();
    }
}
