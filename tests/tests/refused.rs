//! What stays when a part of Azure refuses everything: the gate without ARM, and what is in force without the ledger.

#![expect(clippy::unwrap_used, reason = "a test: to panic is to fail")]

use domain::StampId;
use simulator::{Scenario, builtin};
use tests::drills::{self, Run};

/// A built-in scenario with some of its lines changed; each must be there.
async fn changed(name: &str, changes: &[(&str, &str)]) -> Run {
    let (_, text) = builtin().iter().find(|(known, _)| *known == name).unwrap();
    let mut text = (*text).to_owned();
    for (old, new) in changes {
        assert!(text.contains(old), "{name} has no {old:?}");
        text = text.replace(old, new);
    }
    let run = drills::run(&drills::options(Scenario::from_toml(&text).unwrap())).await;
    assert!(run.report.audit.chain_holds);
    run
}

fn most_routed(run: &Run, stamp: &str, seconds: std::ops::Range<u32>) -> f64 {
    let stamp = StampId::new(stamp);
    seconds.map(|t| run.played.measurements.share_routed_to(&stamp, t)).fold(0.0, f64::max)
}

#[tokio::test]
async fn with_arm_refusing_everything_the_gate_cordons_and_is_renewed() {
    // The control plane is down from the minute of the loss to the end, past half of the gate's life of 4 h. The region
    // heals after an hour, but the gate stays: nobody may grow, and so nothing comes of the return by ARM's doing.
    let changes = [
        ("duration_s = 9000", "duration_s = 9600"),
        ("until_s = 3600", "until_s = 9600"),
        ("until_s = 2400", "until_s = 9600"),
    ];
    let run = changed("arm-down-during-loss", &changes).await;
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1);
    let gates: Vec<u32> =
        run.effects("set_gate").into_iter().filter(|(_, stamp)| stamp == "eastus2").map(|(t, _)| t).collect();
    let [closed, renewed] = gates[..] else { panic!("closed once and renewed once: {gates:?}") };
    assert!(closed < 900, "{closed}");
    assert!((closed + 7_190..closed + 7_260).contains(&renewed), "at half of its life: {closed}, {renewed}");
    assert_eq!(run.effects("set_origin"), []);
}

#[tokio::test]
async fn with_the_ledger_refusing_everything_nothing_new_acts_and_what_is_in_force_stays() {
    // East US 2 is cordoned before the ledger goes, and heals while it is away.
    let changes = [
        ("from_s = 590", "from_s = 1200"),
        ("until_s = 1200", "until_s = 4200"),
        ("until_s = 3600", "until_s = 1500"),
    ];
    let run = changed("ledger-down-during-loss", &changes).await;
    assert_eq!(run.times_of("cordon", "eastus2").len(), 1);
    let recorded: Vec<u32> = run.decided_cases().into_iter().map(|(t, _)| t).collect();
    assert!(recorded.iter().any(|t| *t < 1200) && recorded.iter().any(|t| *t > 4200), "{recorded:?}");
    assert!(!recorded.iter().any(|t| (1210..4200).contains(t)), "nothing is decided: {recorded:?}");
    let planned =
        ["set_gate", "set_origin", "raise_floor", "restore_floor"].map(|tag| run.effects(tag)).concat();
    assert!(!planned.iter().any(|(t, _)| (1210..4200).contains(t)), "nothing is planned: {planned:?}");
    let routed = most_routed(&run, "eastus2", 1210..4200);
    assert!(
        routed < 0.01,
        "the closed gate stays closed although the region is well: {routed} of the demand"
    );
    assert!(run.report.times.fully_serving_s.is_some(), "and it comes back when the ledger does");
}
