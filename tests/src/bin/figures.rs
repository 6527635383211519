//! The README's figures: every built-in scenario played with Cordon and without, from one seed.
//!
//! `cargo run --release -p tests --bin figures` prints two Markdown tables. Prints what it sees, also when it is bad.

use cordon::assemble::StoreKind;
use cordon::drill::{
    DrillOptions, HandlerKind, Quiet, Report, SHIPPED_POLICY, play, play_without, policy_for, report,
};
use simulator::{Scenario, builtin};

/// The scenarios of the 75 % question: two sizings, at the loss and at a gray failure.
const SIZINGS: [&str; 4] = ["hard-loss", "hard-loss-n1", "gray-failure", "gray-failure-n1"];

#[tokio::main]
async fn main() {
    println!("| scenario | decision | gate effective | failed with | failed without | below without | end |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    let mut sizings = Vec::new();
    for (name, text) in builtin() {
        let report = played(text).await;
        println!("{}", line(&report));
        if SIZINGS.contains(name) {
            sizings.push(report);
        }
    }
    println!("\n| scenario | phase | clients | failed with | failed without | p99 with | p99 without |");
    println!("| --- | --- | --- | --- | --- | --- | --- |");
    for report in &sizings {
        phases(report);
    }
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
        kill_at: vec![],
    };
    let with = play(&options, &mut Quiet).await.expect("the drill plays");
    let without = play_without(&options).await.expect("the world plays");
    report(&options, &with, &without)
}

fn line(report: &Report) -> String {
    let times = &report.times;
    let after = |at: Option<u32>| match (at, times.first_symptom_s) {
        (Some(at), Some(symptom)) => format!("{} s", i64::from(at) - i64::from(symptom)),
        (Some(at), None) => format!("at {at} s"),
        (None, _) => "none".to_owned(),
    };
    let whole = &report.clients["whole"];
    let failed =
        |side: &std::collections::BTreeMap<String, cordon::drill::ClientFigures>| side["all clients"].failed;
    let end: Vec<String> = report.end.iter().map(|(stamp, end)| format!("{stamp} {}", end.stage)).collect();
    format!(
        "| {} | {} | {} | {:.0} | {:.0} | {} s | {} |",
        report.scenario,
        after(times.decision_s),
        after(times.gate_effective_s),
        failed(&whole.with_cordon),
        failed(&whole.without_cordon),
        report.capacity_below_without.seconds,
        end.join(", ")
    )
}

fn phases(report: &Report) {
    for name in ["loss", "return"] {
        let Some(phase) = report.clients.get(name) else { continue };
        for who in ["all clients", "native to centralus"] {
            let (with, without) = (&phase.with_cordon[who], &phase.without_cordon[who]);
            let p99 = |value: Option<f64>| value.map_or_else(|| "-".to_owned(), |p99| format!("{p99:.0} ms"));
            println!(
                "| {} | {name} | {who} | {:.0} | {:.0} | {} | {} |",
                report.scenario,
                with.failed,
                without.failed,
                p99(with.p99_ms),
                p99(without.p99_ms)
            );
        }
    }
}
