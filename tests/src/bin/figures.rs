//! The README's figures: every built-in scenario played with Cordon and without, from one seed.
//!
//! `cargo run --release -p tests --bin figures` prints the block between the README's `figures` marks;
//! `-- --write README.md` puts it there. Prints what it sees, also when it is bad.

use std::fmt::Write as _;
use std::process::ExitCode;

use cordon::assemble::StoreKind;
use cordon::drill::{
    DrillOptions, HandlerKind, Quiet, Report, SHIPPED_POLICY, play, play_without, policy_for, report,
};
use simulator::{Scenario, builtin};

/// The scenarios of the 75 % question: two sizings, at the loss and at a gray failure.
const SIZINGS: [&str; 4] = ["hard-loss", "hard-loss-n1", "gray-failure", "gray-failure-n1"];
const BEGIN: &str = "<!-- figures:begin -->";
const END: &str = "<!-- figures:end -->";

#[tokio::main]
async fn main() -> ExitCode {
    let block = block().await;
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => {
            print!("{block}");
            ExitCode::SUCCESS
        }
        ["--write", file] => match write_into(file, &block) {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("write the figures into {file}: {error}");
                ExitCode::FAILURE
            }
        },
        _ => {
            eprintln!("usage: figures [--write FILE]");
            ExitCode::from(2)
        }
    }
}

fn write_into(file: &str, block: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| error.to_string())?;
    let marks = || format!("it has no `{BEGIN}` before `{END}`");
    let (before, rest) = text.split_once(BEGIN).ok_or_else(marks)?;
    let (_, after) = rest.split_once(END).ok_or_else(marks)?;
    std::fs::write(file, format!("{before}{BEGIN}\n\n{block}\n{END}{after}"))
        .map_err(|error| error.to_string())
}

async fn block() -> String {
    let mut text = String::from(
        "| scenario | what happens | decision | gate effective | failed with | failed without | capacity below |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut sizings = Vec::new();
    for (name, scenario) in builtin() {
        eprintln!("{name}");
        let report = played(scenario).await;
        line(&mut text, &report);
        if SIZINGS.contains(name) {
            sizings.push(report);
        }
    }
    text.push_str(
        "\nFailed requests of all clients over the whole run, in thousands. `decision` and `gate effective` count from \
         the first\nfailed request; `capacity below` are the seconds in which useful capacity was lower than without \
         Cordon. Seed 1.\n\n\
         | scenario | phase | clients | failed with | failed without | p99 with | p99 without |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for report in &sizings {
        phases(&mut text, report);
    }
    text
}

async fn played(text: &str) -> Report {
    let scenario = Scenario::from_toml(text).expect("a built-in scenario is valid");
    let options = DrillOptions {
        policy: policy_for(&scenario, SHIPPED_POLICY).expect("the shipped policy is valid"),
        scenario,
        seed: 1,
        store: StoreKind::Memory,
        handler: HandlerKind::InProcess,
        speed: None,
        record: None,
        deaf_to: None,
        operator_token: None,
        kill_at: vec![],
        stamp_programs: None,
    };
    let with = play(&options, &mut Quiet).await.expect("the drill plays");
    let without = play_without(&options).await.expect("the world plays");
    report(&options, &with, &without)
}

fn line(text: &mut String, report: &Report) {
    let times = &report.times;
    let after = |at: Option<u32>, never: &str| match (at, times.first_symptom_s) {
        (Some(at), Some(symptom)) => format!("{} s", i64::from(at) - i64::from(symptom)),
        (Some(at), None) => format!("at {at} s"),
        (None, _) => never.to_owned(),
    };
    let whole = &report.clients["whole"];
    let failed = |side: &std::collections::BTreeMap<String, cordon::drill::ClientFigures>| {
        side["all clients"].failed / 1000.0
    };
    let _ = writeln!(
        text,
        "| {} | {} | {} | {} | {:.0} | {:.0} | {} s |",
        report.scenario,
        report.title,
        after(times.decision_s, "no cordon"),
        after(times.gate_effective_s, ""),
        failed(&whole.with_cordon),
        failed(&whole.without_cordon),
        report.capacity_below_without.seconds,
    );
}

fn phases(text: &mut String, report: &Report) {
    for name in ["loss", "return"] {
        let Some(phase) = report.clients.get(name) else { continue };
        for who in ["all clients", "native to centralus"] {
            let (with, without) = (&phase.with_cordon[who], &phase.without_cordon[who]);
            let p99 = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |p99| format!("{p99:.0} ms"));
            let _ = writeln!(
                text,
                "| {} | {name} | {who} | {:.1} | {:.1} | {} | {} |",
                report.scenario,
                with.failed / 1000.0,
                without.failed / 1000.0,
                p99(with.p99_ms),
                p99(without.p99_ms)
            );
        }
    }
}
