//! What is deployed is what is drilled: the stamps come from the parameter file, and one more entry is one more stamp.

use cordon::cli::parameters;
use cordon::drill::with_stamps_of;
use tests::drills;

const PROD: &str = include_str!("../../infra/parameters/prod.bicepparam");

/// The production file with so many entries more.
fn with_more(entries: usize) -> String {
    let more: String = ["westus2", "northcentralus"]
        .iter()
        .take(entries)
        .enumerate()
        .map(|(at, region)| {
            format!(
                "  {{\n    name: '{region}'\n    region: '{region}'\n    displayName: '{region}'\n    state: 'serving'\n    \
                 instancesMin: 7\n    instancesMax: 30\n    addressSpace: '10.{}.0.0/24'\n  }}\n",
                30 + at * 10
            )
        })
        .collect();
    PROD.replacen("]\nparam witnessRegion", &format!("{more}]\nparam witnessRegion"), 1)
}

#[tokio::test]
async fn one_more_entry_in_the_file_is_one_more_stamp_in_the_drill() {
    for entries in 0..=2 {
        let file = parameters::parse(&with_more(entries)).unwrap();
        let mut scenario = drills::scenario("hard-loss");
        scenario.duration_s = 1_500;
        scenario.faults[0].until_s = None;
        let scenario = with_stamps_of(scenario, &file).unwrap();
        let run = drills::run(&drills::options(scenario)).await;
        assert_eq!(run.report.end.len(), 2 + entries);
        assert_eq!(run.times_of("cordon", "eastus2").len(), 1, "with {entries} more");
        assert_eq!(run.count("cordon"), 1, "and nobody else: with {entries} more");
        assert!(run.report.times.gate_effective_s.is_some_and(|t| t < 900), "with {entries} more");
        let raised = run.effects("raise_floor");
        for stamp in file.stamps.iter().filter(|stamp| stamp.name.as_str() != "eastus2") {
            let grown = raised.iter().any(|(_, about)| about == stamp.name.as_str());
            assert!(grown, "{} is a survivor and grows: with {entries} more: {raised:?}", stamp.name);
        }
        let (with, without) = run.failed(None);
        assert!(with <= without, "with {entries} more: {with:.0} failed with Cordon, {without:.0} without");
    }
}

#[test]
fn the_production_file_is_the_reference_workload() {
    let file = parameters::parse(PROD).unwrap();
    let deployed = with_stamps_of(drills::scenario("contoso-shoes"), &file).unwrap();
    let drilled = drills::scenario("contoso-shoes");
    assert_eq!(deployed.demand.total_rps, drilled.demand.total_rps);
    for (ours, theirs) in deployed.stamps.iter().zip(&drilled.stamps) {
        assert_eq!((&ours.id, &ours.region), (&theirs.id, &theirs.region));
        assert_eq!((ours.instances_min, ours.instances_max), (theirs.instances_min, theirs.instances_max));
        assert!((ours.native_share - theirs.native_share).abs() < 0.02, "{ours:?}");
    }
}

#[test]
fn a_scenario_about_somebody_else_is_refused() {
    let file = parameters::parse(&PROD.replace("'eastus2'", "'eastus'")).unwrap();
    let told = with_stamps_of(drills::scenario("hard-loss"), &file).unwrap_err().to_string();
    assert!(told.contains("eastus2"), "{told}");
}
