//! A small comparison with the rivals, bounded for CI: what must hold of Cordon on every seed, and against those that
//! latch. The whole one is `cargo run --release -p tests --bin compare`.

use std::sync::atomic::AtomicBool;

use simulator::fleet::{Family, PolicyKind, play};
use tests::compare::{Kept, Results, compare, markdown, promises, svg};

/// Seeds of each family: a handful, since this runs unoptimised.
const SEEDS: u64 = 6;
/// Neither those of development nor those that are reported.
const FROM: u64 = 500_000;

fn small(families: &[Family]) -> Results {
    compare(families, FROM..FROM + SEEDS, 2, &AtomicBool::new(false), &|_| {})
}

#[test]
fn cordon_does_no_harm_where_only_the_monitors_or_the_alerts_lie_or_everything_fails() {
    let results = small(&[Family::MonitorLies, Family::AlertLies, Family::Global]);
    let broken: Vec<String> =
        promises(&results).into_iter().filter(|p| p.kept == Kept::No).map(|p| p.to_string()).collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

#[test]
fn cordon_harms_less_than_front_door_alone_and_takes_nothing_below_the_floor() {
    let results = small(&[Family::Hard, Family::Gray]);
    for family in [Family::Hard, Family::Gray] {
        let of = |policy| results.figures(family, policy).unwrap_or_default();
        let (ours, alone) = (of(PolicyKind::Cordon), of(PolicyKind::FrontDoorAlone));
        assert!(ours.failed_k.mean < alone.failed_k.mean, "{ours:?} {alone:?}");
        assert_eq!((ours.missed, ours.wrong_caused, ours.sunk_min.worst), (0, 0, 0.0), "{ours:?}");
    }
}

#[test]
fn timed_ejection_on_a_slow_actuator_causes_wrong_cordons_and_cordon_none_of_them() {
    let results = small(&[Family::Gray, Family::MonitorLies]);
    for family in [Family::Gray, Family::MonitorLies] {
        let wrong = |policy| results.figures(family, policy).unwrap_or_default().wrong_caused;
        assert_eq!(wrong(PolicyKind::Cordon), 0);
        assert!(wrong(PolicyKind::OutlierDetection) >= 5, "{}", wrong(PolicyKind::OutlierDetection));
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    for policy in PolicyKind::ALL {
        assert_eq!(play(Family::Hard, FROM, policy), play(Family::Hard, FROM, policy), "{policy:?}");
    }
}

#[test]
fn the_table_and_the_chart_hold_every_policy_of_every_family_that_was_played() {
    let results = compare(&[Family::Recorded], 0..1, 1, &AtomicBool::new(false), &|_| {});
    let (table, chart) = (markdown(&results, "one seed"), svg(&results));
    for policy in PolicyKind::ALL {
        assert!(table.contains(&format!("| {} |", policy.name())), "{table}");
        assert!(chart.contains(policy.name()), "{chart}");
    }
    assert!(chart.starts_with("<svg") && chart.trim_end().ends_with("</svg>"));
}
