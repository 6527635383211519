//! Fusion at its bounds: who contradicts a loss, what tells full from dead, and when it is the observer that broke.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::assess::{Assessment, Condition, Rule, assess, freeze_cause};
use crate::evidence::{WITNESS, fold_signal};
use crate::state::{Cause, FreezeCause, WorkloadState};
use crate::testing::{Story, shipped, signal};
use crate::{EvidenceClass, FailureKind, Measure, Signal, StampId, Timestamp, Verdict};

const STAMP: &str = "eastus2";
const OTHER: &str = "centralus";
const THIRD: &str = "westus";

const START_MS: i64 = 1_800_000_000_000;

fn at(ms: i64) -> Timestamp {
    Timestamp::from_millis(START_MS + ms)
}

fn said(class: EvidenceClass, verdict: Verdict, ms: i64) -> Signal {
    let source = if class == EvidenceClass::Direct { WITNESS } else { "metrics" };
    signal(STAMP, class, source, verdict, at(ms))
}

/// The edge reaches nobody there, from 0 s on.
fn edge_lost(until_ms: i64) -> [Signal; 2] {
    [0, until_ms].map(|ms| Signal {
        failure: Some(FailureKind::Unreachable),
        ..said(EvidenceClass::Edge, Verdict::Unhealthy, ms)
    })
}

/// Three stamps at rest, and nobody has said anything at all.
fn silence(as_of: Timestamp) -> WorkloadState {
    let mut state = Story::calm(3).state;
    state.evidence = Arc::default();
    state.as_of = as_of;
    state
}

/// What is true of `STAMP` once these have spoken.
fn condition_of(state: &WorkloadState, signals: &[Signal]) -> Condition {
    let mut state = state.clone();
    let evidence = Arc::make_mut(&mut state.evidence).entry(STAMP.into()).or_default();
    for signal in signals {
        fold_signal(evidence, signal, &shipped());
    }
    assess(&state, &shipped()).remove(&StampId::from(STAMP)).unwrap().condition
}

/// `confirm.alone_after` is two minutes, and a contradiction is at least 15 s newer than what it contradicts.
#[test]
fn a_class_alone_is_contradicted_by_who_saw_the_stamp_well_a_while_after_the_loss() {
    let failing = || Condition::Failing {
        cause: Cause::HardLoss,
        since: at(0),
        by: Rule::OneClassAlone { class: EvidenceClass::Edge },
    };
    let suspicious = |confirmed_at: Option<i64>, contradicted_by| Condition::Suspicious {
        since: at(0),
        confirmed_at: confirmed_at.map(at),
        contradicted_by,
    };
    let well = |class, ms| vec![said(class, Verdict::Healthy, ms)];
    let (traffic, direct) = (EvidenceClass::Traffic, EvidenceClass::Direct);
    for (others, as_of_ms, expected) in [
        (vec![], 119_999, suspicious(Some(120_000), None)),
        (vec![], 120_000, failing()),
        // What it said of the time before is no contradiction, whenever it arrived.
        (well(traffic, 0), 120_000, failing()),
        (well(traffic, 15_000), 120_000, failing()),
        (well(traffic, 15_001), 120_000, suspicious(None, Some(traffic))),
        (well(traffic, 120_000), 120_000, suspicious(None, Some(traffic))),
        (well(direct, 120_000), 120_000, suspicious(None, Some(direct))),
        // The database sees no request.
        (well(EvidenceClass::Data, 120_000), 120_000, failing()),
    ] {
        let mut signals = edge_lost(as_of_ms).to_vec();
        signals.extend(others);
        let condition = condition_of(&silence(at(as_of_ms)), &signals);
        assert_eq!(condition, expected, "{signals:?}");
    }
}

#[test]
fn who_speaks_of_what_we_caused_contradicts_nobody() {
    let mut state = silence(at(120_000));
    let mut signals = edge_lost(120_000).to_vec();
    signals.push(said(EvidenceClass::Traffic, Verdict::Healthy, 100_000));
    assert!(matches!(condition_of(&state, &signals), Condition::Suspicious { .. }));
    // Its gate moved after that: what the requests said of it is masked.
    state.cases.get_mut(&StampId::from(STAMP)).unwrap().traffic_from = Some(at(110_000));
    assert!(matches!(condition_of(&state, &signals), Condition::Failing { .. }));
}

/// Inflow has risen from 115 % of the demand before the fault on, and a stamp is full from 98 %.
#[test]
fn a_stamp_is_full_and_not_dead_when_it_answers_and_its_inflow_rose() {
    let says = |class, failure| Signal {
        failure: Some(failure),
        measure: Some(Measure { failed: 14, total: 20 }),
        ..said(class, Verdict::Healthy, 0)
    };
    let full = || vec![says(EvidenceClass::Direct, FailureKind::Saturated)];
    for (demand_rps, rps, saturation, signals, overloaded) in [
        (300.0, 346.0, 1.0, full(), true),
        (300.0, 346.0, 0.98, full(), true),
        (300.0, 346.0, 0.97, full(), false),
        // More by a little is what always happens.
        (300.0, 344.0, 1.0, full(), false),
        (300.0, 300.0, 1.0, full(), false),
        (300.0, 0.0, 1.0, full(), false),
        // Nobody knows what it carried before.
        (0.0, 346.0, 1.0, full(), false),
        (0.0, 0.0, 1.0, full(), false),
        // Who does not answer is not full; that the edge does not get through to it is another matter.
        (300.0, 346.0, 1.0, vec![says(EvidenceClass::Direct, FailureKind::Unreachable)], false),
        (300.0, 346.0, 1.0, vec![says(EvidenceClass::Direct, FailureKind::ServerError)], true),
        (300.0, 346.0, 1.0, vec![says(EvidenceClass::Edge, FailureKind::Unreachable)], true),
        (300.0, 346.0, 1.0, vec![], false),
    ] {
        let mut state = silence(at(0));
        state.cases.get_mut(&StampId::from(STAMP)).unwrap().demand_rps = demand_rps;
        let load = state.load.get_mut(&StampId::from(STAMP)).unwrap();
        (load.observed_at, load.requests_per_second, load.saturation) = (at(0), rps, saturation);
        let condition = condition_of(&state, &signals);
        let is = matches!(condition, Condition::Overloaded { .. });
        assert_eq!(is, overloaded, "{rps} of {demand_rps}, {saturation}: {signals:?}: {condition:?}");
    }
}

/// A stamp that is well, to be changed.
fn well() -> Assessment {
    Story::calm(2).decision().assessments[&StampId::from(STAMP)].clone()
}

/// With this class bad for that share of what it counted.
fn bad(mut assessment: Assessment, class: EvidenceClass, error_ratio: Option<f64>) -> Assessment {
    let view = assessment.views.get_mut(&class).unwrap();
    (view.verdict, view.error_ratio) = (Verdict::Degraded, error_ratio);
    assessment
}

#[test]
fn the_share_that_fails_is_what_requests_say_then_what_our_probes_say_then_all() {
    let (direct, traffic) = (EvidenceClass::Direct, EvidenceClass::Traffic);
    assert_eq!(well().error_ratio(), 1.0, "nobody counts");
    assert_eq!(bad(well(), direct, Some(0.25)).error_ratio(), 0.25);
    assert_eq!(bad(bad(well(), direct, Some(0.25)), traffic, Some(0.5)).error_ratio(), 0.5);
    assert_eq!(bad(bad(well(), direct, Some(0.25)), traffic, None).error_ratio(), 0.25);
    assert_eq!(bad(well(), EvidenceClass::Edge, Some(0.25)).error_ratio(), 1.0, "no share of requests");
    let mut fine = bad(well(), direct, Some(0.25));
    fine.views.get_mut(&traffic).unwrap().error_ratio = Some(0.01);
    assert_eq!(fine.error_ratio(), 0.25, "who says it is well says nothing of how it fails");
}

#[test]
fn a_stamp_drowns_when_it_is_full_and_fails_more_than_its_budget() {
    let overloaded = || Condition::Overloaded { since: at(0) };
    let failing = || Condition::Failing { cause: Cause::Gray, since: at(0), by: Rule::Ordered };
    for (condition, ratio, drowns) in [
        (overloaded(), Some(0.25), true),
        (overloaded(), Some(0.24), false),
        (overloaded(), None, false),
        (failing(), Some(0.25), false),
        (Condition::Healthy, Some(0.25), false),
        (Condition::Healthy, None, false),
    ] {
        let assessment = Assessment { condition, ..bad(well(), EvidenceClass::Direct, ratio) };
        assert_eq!(assessment.is_drowning(0.25), drowns, "{:?}, {ratio:?}", assessment.condition);
    }
}

/// What the observer is found to be when our own probes of every stamp say this.
fn observer(verdict: Verdict, failure: Option<FailureKind>) -> Option<FreezeCause> {
    let story = Story::calm(3);
    let mut assessments = story.decision().assessments.clone();
    for assessment in assessments.values_mut() {
        let view = assessment.views.get_mut(&EvidenceClass::Direct).unwrap();
        (view.verdict, view.failure) = (verdict, failure);
    }
    freeze_cause(&story.state, &assessments, &story.policy)
}

#[test]
fn refused_credentials_are_the_observers_fault_only_where_they_make_every_stamp_bad() {
    use FailureKind::{Auth, Dns, Unreachable};
    let ours = Some(FreezeCause::AuthOrDnsEverywhere);
    for (verdict, failure, expected) in [
        (Verdict::Unhealthy, Some(Auth), ours),
        (Verdict::Degraded, Some(Dns), ours),
        (Verdict::Unhealthy, Some(Unreachable), None),
        (Verdict::Unhealthy, None, None),
        // One refusal among many good answers, and one that another vantage contradicts.
        (Verdict::Healthy, Some(Auth), None),
        (Verdict::Unobserved, Some(Auth), None),
    ] {
        assert_eq!(observer(verdict, failure), expected, "{verdict:?}, {failure:?}");
    }
}

/// `freeze.detection_window` is two minutes.
#[test]
fn most_regions_point_at_the_observer_only_when_they_turned_bad_within_one_window() {
    let story = Story::calm(3);
    let most = Some(FreezeCause::MostRegionsAtOnce);
    for (starts_s, expected) in [
        (vec![0], None),
        (vec![0, 0], most),
        (vec![0, 120], most),
        (vec![120, 0], most),
        (vec![0, 121], None),
        (vec![121, 0], None),
        (vec![0, 121, 242], None),
        (vec![0, 121, 241], most),
        (vec![300, 121, 0], None),
    ] {
        let mut assessments: BTreeMap<StampId, Assessment> = story.decision().assessments.clone();
        for (stamp, start_s) in [STAMP, OTHER, THIRD].into_iter().zip(&starts_s) {
            let assessment = assessments.get_mut(&StampId::from(stamp)).unwrap();
            let view = assessment.views.get_mut(&EvidenceClass::Traffic).unwrap();
            let since = story.now.before(Duration::from_secs(600)) + Duration::from_secs(*start_s);
            (view.verdict, view.bad_since) = (Verdict::Degraded, Some(since));
        }
        let cause = freeze_cause(&story.state, &assessments, &story.policy);
        assert_eq!(cause, expected, "bad from {starts_s:?} s on");
    }
}
