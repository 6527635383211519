//! The model check within the bounds that CI can afford, and the proof that it would notice: each rule left out is caught.

use tests::model::moves::Sabotage;
use tests::model::{Bounds, Report, check, check_to};

fn told(report: &Report) -> String {
    let stories = report.violations.iter().map(|(property, story)| format!("{property}\n{story}"));
    format!("{} states\n{}", report.states, stories.collect::<Vec<_>>().join("\n"))
}

#[test]
fn three_regions_two_instances_and_two_faults_hold_every_property() {
    let report = check(Bounds { regions: 3, instances: 2, faults: 2, decisions: 2 }, None);
    println!("{report:?}");
    assert!(report.violations.is_empty(), "{}", told(&report));
}

#[test]
fn every_decision_of_a_whole_cordon_and_return_holds_every_property() {
    let report = check(Bounds { regions: 2, instances: 2, faults: 1, decisions: 3 }, None);
    println!("{report:?}");
    assert!(report.violations.is_empty(), "{}", told(&report));
}

/// The smallest bounds within which a write whose answer was lost was forgotten: a gate read from a replica that lags was then
/// believed, and the last region left, after 14 moves where the write was read back and after 16 where it arrived late. All of
/// these bounds are a matter of minutes and gigabytes, and for `model --decisions 4`.
#[test]
fn four_decisions_and_two_faults_leave_a_region_whatever_eighteen_moves_do() {
    let report = check_to(19, Bounds { regions: 3, instances: 1, faults: 2, decisions: 4 }, None);
    println!("{report:?}");
    assert!(report.violations.is_empty(), "{}", told(&report));
}

fn is_caught(sabotage: Sabotage, bounds: Bounds, property: &str) {
    let report = check(bounds, Some(sabotage));
    let properties: Vec<&str> = report.violations.iter().map(|(property, _)| property.as_str()).collect();
    assert!(properties.contains(&property), "{sabotage:?} within {bounds:?}: {properties:?}");
}

const FLOOR: &str = "at least one region stays effective";

#[test]
fn a_missing_fence_is_caught() {
    is_caught(Sabotage::NoFence, Bounds { regions: 2, instances: 2, faults: 0, decisions: 3 }, FLOOR);
}

#[test]
fn a_missing_generation_check_is_caught() {
    let bounds = Bounds { regions: 2, instances: 2, faults: 1, decisions: 3 };
    is_caught(Sabotage::NoGenerationCheck, bounds, "a gate never goes back to an older generation");
}

#[test]
fn a_commit_that_ignores_its_parent_is_caught() {
    is_caught(Sabotage::NoParentCheck, Bounds { regions: 2, instances: 2, faults: 0, decisions: 2 }, FLOOR);
}

#[test]
fn an_origin_that_is_not_read_back_is_caught() {
    let bounds = Bounds { regions: 3, instances: 1, faults: 1, decisions: 2 };
    is_caught(Sabotage::NoReRead, bounds, "the world becomes as the ledger wants it");
}

#[test]
fn a_lost_attempt_that_is_forgotten_is_caught() {
    let bounds = Bounds { regions: 2, instances: 2, faults: 1, decisions: 3 };
    is_caught(Sabotage::NoMemoryOfLostAttempts, bounds, FLOOR);
}
