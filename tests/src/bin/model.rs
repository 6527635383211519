//! The model check: `cargo run --release -p tests --bin model -- [--regions N] [--instances N] [--faults N] [--decisions N] [--depth N]`.

use tests::model::{Bounds, check_to};

fn main() -> std::process::ExitCode {
    let mut bounds = Bounds { regions: 3, instances: 2, faults: 2, decisions: 4 };
    let mut depth = usize::MAX;
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    for pair in arguments.chunks(2) {
        let number = pair.get(1).and_then(|text| text.parse::<u8>().ok());
        match (pair[0].as_str(), number) {
            ("--regions", Some(number @ 2..=3)) => bounds.regions = number,
            ("--instances", Some(number @ 1..=4)) => bounds.instances = number,
            ("--faults", Some(number)) => bounds.faults = number,
            ("--decisions", Some(number)) => bounds.decisions = number,
            ("--depth", Some(number)) => depth = usize::from(number),
            _ => {
                eprintln!(
                    "give --regions 2..3, --instances 1..4, --faults N, --decisions N or --depth N; not {}",
                    pair.join(" ")
                );
                return std::process::ExitCode::from(2);
            }
        }
    }
    let report = check_to(depth, bounds, None);
    println!(
        "{bounds:?}: {} states ({} generated), depth {}, {:.1} s",
        report.states,
        report.generated,
        report.depth,
        report.took.as_secs_f64()
    );
    for (property, story) in &report.violations {
        println!("violated: {property}\n{story}");
    }
    if report.violations.is_empty() {
        std::process::ExitCode::SUCCESS
    } else {
        std::process::ExitCode::FAILURE
    }
}
