//! What Cordon's own Cosmos DB account is asked for when nothing happens, what that is charged, and what it costs a month.
//!
//! `cargo run --release -p tests --bin ledger_cost`. Plays an hour without a fault over Microsoft's in-memory emulator
//! with everything that a deployment does: observers, evaluation, heartbeat, change feed. Prints; judges nothing.

use adapters::Ledger;
use adapters::cosmos::emulator::CosmosEmulator;
use adapters::cosmos::{Charge, CosmosAccount, CosmosLedger, Kind};
use cordon::assemble::StoreKind;
use cordon::drill::{self, DrillOptions, HandlerKind, Quiet, SHIPPED_POLICY};
use domain::CONSUMED_MAX;
use simulator::{Scenario, builtin};

/// Simulated seconds: an hour, with its heartbeat record.
const DURATION_S: u32 = 3_600;

/// US dollars per 100 request units a second and hour, per region: autoscale, single write region; list price.
const DOLLARS_PER_100_UNITS: f64 = 0.012;

/// Hours of a month, as Azure's price pages count them.
const HOURS: f64 = 730.0;

/// The least that an autoscale maximum of 1000 is billed at, request units a second.
const SMALLEST: f64 = 100.0;

#[tokio::main]
async fn main() {
    let (_, text) = builtin().iter().find(|(name, _)| *name == "contoso-shoes").expect("it is built in");
    let mut scenario = Scenario::from_toml(text).expect("it is valid");
    scenario.faults.clear();
    scenario.alerts.clear();
    scenario.duration_s = DURATION_S;
    let stamps = scenario.stamps.len();
    let account = CosmosEmulator::new(Default::default()).expect("the emulator starts").account();
    let options = DrillOptions {
        policy: drill::policy_for(&scenario, SHIPPED_POLICY).expect("the policy is valid"),
        scenario,
        seed: 1,
        store: StoreKind::Account(account.clone()),
        handler: HandlerKind::InProcess,
        speed: None,
        record: None,
        deaf_to: None,
        kill_at: Vec::new(),
        stamp_programs: None,
        operator_token: None,
    };
    let played = drill::play(&options, &mut Quiet).await.expect("the drill is played to its end");
    println!("an idle hour with {stamps} stamps; {} audit records", played.audit.len());
    println!("the stamps' own reads of their gates are included\n");
    table(account.charges());
    idle_look(&account, &options).await;
    let per_second = account.charges().total().units / f64::from(DURATION_S);
    let regions = stamps + 1;
    let region_count = f64::from(u32::try_from(regions).expect("few regions"));
    let month = SMALLEST / 100.0 * DOLLARS_PER_100_UNITS * HOURS * region_count;
    println!(
        "idle: {per_second:.1} request units a second by the emulator's charges, {:.0} % of the smallest provisioning ({SMALLEST})",
        per_second / SMALLEST * 100.0
    );
    println!(
        "a month: {SMALLEST} units a second x {regions} regions x {HOURS} h x ${DOLLARS_PER_100_UNITS} per 100 = ${month:.2}, storage not counted"
    );
}

fn table(charges: &adapters::cosmos::Charges) {
    println!("| request | per hour | request units per hour | units each |\n| --- | --- | --- | --- |");
    let kinds = [
        (Kind::Read, "point read"),
        (Kind::Query, "query page"),
        (Kind::Write, "write"),
        (Kind::Batch, "batch"),
    ];
    for (kind, name) in kinds {
        line(name, charges.of(kind));
    }
    line("all", charges.total());
    println!();
}

fn line(name: &str, charge: Charge) {
    let requests = f64::from(u32::try_from(charge.requests).unwrap_or(u32::MAX));
    println!("| {name} | {requests} | {:.0} | {:.2} |", charge.units, charge.units / requests.max(1.0));
}

/// One look as each evaluation has it, and what it reads.
async fn idle_look(account: &CosmosAccount, options: &DrillOptions) {
    let before = account.charges().total();
    let ledger = CosmosLedger::new(account.clone());
    let view = ledger.load(&options.policy.workload.name, CONSUMED_MAX).await.expect("the emulator answers");
    let after = account.charges().total();
    let bytes = serde_json::to_vec(&view.state).map_or(0, |text| text.len());
    println!(
        "one look (a point read of the state, {bytes} bytes, and a query of steps and inbox): {} requests, {:.2} request units\n",
        after.requests - before.requests,
        after.units - before.units
    );
}
