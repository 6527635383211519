//! What was not done instead, for each stage and ruling, and what the others would carry.

use std::collections::BTreeSet;

use crate::alternatives::{Alternative, Rejected, WhyNot};
use crate::assess::{Condition, Rule};
use crate::decide::{Action, HoldReason, StepBackReason, WaitReason};
use crate::evidence::Discount;
use crate::explain::why;
use crate::explanation::FiredRule;
use crate::lint::{Finding, SafetyRule};
use crate::state::{Cause, Stage};
use crate::testing::{held, waits};
use crate::{Actuator, EnabledState, EvidenceClass, FailureKind, GatePosition, StampId, Verdict};

use super::drawn::{Drawn, LOST, OTHER, THIRD, s};

/// A judgement, and what has to be otherwise in it.
type Change = fn(&mut Drawn);

fn cordon() -> Action {
    let classes = vec![EvidenceClass::Direct, EvidenceClass::Traffic];
    Action::Cordon { cause: Cause::Gray, by: Rule::TwoClasses { classes } }
}

fn overloaded(drawn: &mut Drawn) {
    let since = drawn.now();
    drawn.assessment(LOST).condition = Condition::Overloaded { since };
}

fn why_of(drawn: &Drawn, alternative: Alternative) -> Option<WhyNot> {
    drawn.rejected().into_iter().find(|(found, _)| *found == alternative).map(|(_, why)| why)
}

#[track_caller]
fn is_near(found: f64, expected: f64, what: &str) {
    assert!((found - expected).abs() < 1e-6, "{what}: {found}, not {expected}");
}

#[test]
fn a_stamp_in_rotation_is_not_taken_out_for_the_strongest_reason() {
    let full: Change = overloaded;
    let well: Change = |_| {};
    let forbidden = WhyNot::Forbidden { reason: HoldReason::Quiet };
    for (action, change, expected) in [
        (held(HoldReason::Quiet), well, forbidden),
        (held(HoldReason::Quiet), full, forbidden),
        (Action::Clear, well, WhyNot::Unneeded),
        (Action::Clear, full, WhyNot::Unneeded),
        (waits(WaitReason::OverloadRelief), full, WhyNot::FullNotDead),
        (waits(WaitReason::Confirmation), well, WhyNot::NotConfirmed),
        (Action::Suspect, well, WhyNot::NotConfirmed),
        (Action::Suspect, full, WhyNot::FullNotDead),
    ] {
        for alert in [false, true] {
            let mut drawn = Drawn::ruled(2, Stage::Suspect, action.clone());
            change(&mut drawn);
            if alert {
                drawn.alert(LOST);
            }
            let mut all = vec![(Alternative::Cordon, expected), (Alternative::PartialEvacuation, expected)];
            // Under an alert the others do grow.
            if !alert {
                all.push((Alternative::PreScaleOnly, WhyNot::Unneeded));
            }
            assert_eq!(drawn.rejected(), all, "{action:?}, alert: {alert}");
        }
    }
}

#[test]
fn to_open_it_at_once_is_rejected_where_it_is_out_and_not_coming_back_anyway() {
    let something_serves = Some(WhyNot::SomethingServes);
    let wait = || waits(WaitReason::SliceWatched);
    let slice = GatePosition::Slice(5);
    for (stage, action, gate, decided, expected) in [
        (Stage::Readmitting, wait(), slice, true, something_serves),
        (Stage::Cordoned, Action::ConfirmCordon, GatePosition::Closed, true, something_serves),
        // It is being done.
        (Stage::Readmitting, Action::EmergencyReturn, slice, true, None),
        (Stage::Readmitting, Action::EmergencyReturn, GatePosition::Open, true, None),
        // Nothing of it is out.
        (Stage::Evacuating, waits(WaitReason::SurvivorsReady), GatePosition::Open, true, None),
        (Stage::Suspect, Action::Suspect, GatePosition::Open, false, None),
        (Stage::Suspect, Action::Suspect, GatePosition::Closed, false, None),
        // An operator wants it left as it is.
        (Stage::Held, held(HoldReason::Operator), GatePosition::Closed, true, None),
        (Stage::Held, held(HoldReason::Operator), GatePosition::Open, false, None),
    ] {
        let what = format!("{stage:?} {action:?} {gate:?}, decided: {decided}");
        let mut drawn = Drawn::ruled(2, stage, action);
        let now = drawn.now();
        drawn.after(LOST).gate = gate;
        drawn.after(LOST).decided_at = decided.then_some(now);
        assert_eq!(why_of(&drawn, Alternative::EmergencyReturn), expected, "{what}");
        drawn.says(LOST, EvidenceClass::Direct, Verdict::Degraded, s(10));
        let expected = expected.map(|_| WhyNot::NotHealthy);
        assert_eq!(why_of(&drawn, Alternative::EmergencyReturn), expected, "{what}, not healthy");
    }
}

#[test]
fn to_do_nothing_would_let_fail_what_the_gate_lets_in_and_is_named_only_where_more_is_taken_out() {
    let step_back = || Action::StepBack { why: StepBackReason::Unobserved };
    for (action, gate, expected) in [
        (cordon(), GatePosition::Open, Some(140.0)), // 280 requests per second, half of which fail
        (cordon(), GatePosition::Slice(40), Some(56.0)),
        (Action::CloseGate, GatePosition::Slice(5), Some(7.0)),
        (Action::EvacuatePartly { open_percent: 5 }, GatePosition::Slice(40), Some(56.0)),
        (step_back(), GatePosition::Slice(25), Some(35.0)),
        (waits(WaitReason::SurvivorsReady), GatePosition::Open, None),
        (held(HoldReason::Quiet), GatePosition::Open, None),
    ] {
        let mut drawn = Drawn::ruled(2, Stage::Evacuating, action.clone());
        drawn.before(LOST).gate = gate;
        drawn.after(LOST).demand_rps = 280.0;
        drawn.says(LOST, EvidenceClass::Direct, Verdict::Degraded, s(10));
        drawn.assessment(LOST).views.get_mut(&EvidenceClass::Direct).unwrap().error_ratio = Some(0.5);
        match (why_of(&drawn, Alternative::DoNothing), expected) {
            (Some(WhyNot::GoesOnFailing { rps }), Some(expected)) => {
                is_near(rps, expected, &format!("{action:?} {gate:?}"));
            }
            (None, None) => {}
            (found, expected) => panic!("{action:?} {gate:?}: {found:?}, not {expected:?}"),
        }
    }
    let mut drawn = Drawn::ruled(2, Stage::Evacuating, cordon());
    drawn.says(LOST, EvidenceClass::Direct, Verdict::Unhealthy, s(10));
    drawn.assessment(LOST).views.get_mut(&EvidenceClass::Direct).unwrap().failure =
        Some(FailureKind::Unreachable);
    assert_eq!(why_of(&drawn, Alternative::DoNothing), Some(WhyNot::ComesBackHalfAlive));
}

#[test]
fn the_survivors_miss_what_each_lacks_of_its_share_with_the_margin() {
    // Of 300 requests per second each gets the half: 450, with the margin 472.5. An instance carries 150.
    for (one, another, expected) in [(4, 4, 0.0), (2, 4, 172.5), (4, 3, 22.5), (2, 3, 195.0), (0, 9, 472.5)] {
        for (gate, alternatives) in [
            (GatePosition::Open, &[Alternative::Cordon, Alternative::PartialEvacuation][..]),
            (GatePosition::Slice(50), &[Alternative::Cordon][..]),
        ] {
            let mut drawn = Drawn::ruled(3, Stage::Evacuating, waits(WaitReason::SurvivorsReady));
            drawn.after(LOST).gate = gate;
            drawn.load(OTHER).ready_instances = one;
            drawn.load(THIRD).ready_instances = another;
            let short: Vec<(Alternative, f64)> = drawn
                .rejected()
                .into_iter()
                .filter_map(|(alternative, why)| match why {
                    WhyNot::SurvivorsShort { rps } => Some((alternative, rps)),
                    _ => None,
                })
                .collect();
            let found: Vec<Alternative> = short.iter().map(|(alternative, _)| *alternative).collect();
            assert_eq!(found, alternatives, "{gate:?}");
            for (_, rps) in short {
                is_near(rps, expected, &format!("{one} and {another} ready"));
            }
        }
    }
}

#[test]
fn a_latch_is_due_ten_minutes_after_our_own_probes_turned_bad() {
    for (verdict, expected) in [(Verdict::Unhealthy, Some(s(500))), (Verdict::Healthy, None)] {
        let mut drawn = Drawn::ruled(2, Stage::Evacuating, cordon());
        drawn.says(LOST, EvidenceClass::Direct, verdict, s(100));
        // What another class says is not asked.
        drawn.says(LOST, EvidenceClass::Traffic, Verdict::Unhealthy, s(300));
        let until = expected.map(|span| drawn.now() + span);
        let found = why_of(&drawn, Alternative::Latch);
        assert_eq!(found, Some(WhyNot::TooSoon { until }), "{verdict:?}");
    }
}

#[test]
fn a_stamp_that_is_out_does_not_come_back_and_is_not_latched_each_for_its_own_reason() {
    let too_soon = |until| WhyNot::TooSoon { until };
    let next = Some(Drawn::calm(2).now() + s(77));
    let latch_due = Some(Drawn::calm(2).now() + s(500));
    let forbidden = WhyNot::Forbidden { reason: HoldReason::ModeObserve };
    let hold = || held(HoldReason::ModeObserve);
    for (stage, action, healthy, back, latch) in [
        (Stage::Proving, hold(), true, forbidden, WhyNot::Unneeded),
        (Stage::Proving, hold(), false, forbidden, too_soon(latch_due)),
        (Stage::Cordoned, hold(), true, too_soon(None), forbidden),
        (Stage::Cordoned, hold(), false, WhyNot::NotHealthy, forbidden),
        (Stage::Proving, waits(WaitReason::Window), true, too_soon(next), WhyNot::Unneeded),
        (Stage::Proving, waits(WaitReason::Window), false, WhyNot::NotHealthy, too_soon(latch_due)),
        (Stage::Proving, waits(WaitReason::GatedView), true, too_soon(None), WhyNot::Unneeded),
        (Stage::Cordoned, waits(WaitReason::Recovery), false, WhyNot::NotHealthy, too_soon(latch_due)),
    ] {
        let what = format!("{stage:?} {action:?}, healthy: {healthy}");
        let mut drawn = Drawn::ruled(2, stage, Action::Stay);
        drawn.rule(LOST, action, next);
        if !healthy {
            drawn.says(LOST, EvidenceClass::Direct, Verdict::Unhealthy, s(100));
        }
        let expected = [(Alternative::ReturnNow, back), (Alternative::Latch, latch)];
        assert_eq!(drawn.rejected(), expected, "{what}");
        // Where it is latched already, or its origin is to be disabled, a latch is no alternative.
        let now = drawn.now();
        drawn.after(LOST).latched_at = Some(now);
        assert_eq!(drawn.rejected(), expected[..1], "{what}, latched");
        drawn.after(LOST).latched_at = None;
        drawn.after(LOST).origin = EnabledState::Disabled;
        assert_eq!(drawn.rejected(), expected[..1], "{what}, to be disabled");
    }
}

#[test]
fn who_would_carry_it_are_those_that_are_neither_out_nor_lost_themselves() {
    let well: Change = |_| {};
    let out: Change = |drawn| {
        let now = drawn.now();
        drawn.after(OTHER).decided_at = Some(now);
    };
    let lost: Change = |drawn| {
        let since = drawn.now();
        let by = Rule::OneClassAlone { class: EvidenceClass::Direct };
        drawn.assessment(OTHER).condition = Condition::Failing { cause: Cause::HardLoss, since, by };
    };
    for (name, change, decided, expected) in [
        ("all well", well, false, &[(OTHER, 450.0), (THIRD, 450.0)][..]),
        ("it is decided on", well, true, &[(OTHER, 450.0), (THIRD, 450.0)]),
        ("another is out", out, false, &[(THIRD, 900.0)]),
        ("both are out", out, true, &[(THIRD, 900.0)]),
        ("another is lost", lost, false, &[(THIRD, 900.0)]),
    ] {
        let mut drawn = Drawn::ruled(3, Stage::Suspect, held(HoldReason::Quiet));
        let now = drawn.now();
        drawn.after(LOST).decided_at = decided.then_some(now);
        change(&mut drawn);
        let shares = drawn.survivors().unwrap().shares;
        let carriers: Vec<&str> = shares.keys().map(StampId::as_str).collect();
        assert_eq!(carriers, expected.iter().map(|(stamp, _)| *stamp).collect::<Vec<_>>(), "{name}");
        for (share, (_, rps)) in shares.values().zip(expected) {
            is_near(share.demand_rps, *rps, name);
        }
    }
}

#[test]
fn what_the_others_would_carry_is_told_of_a_hold_unless_it_is_of_a_return() {
    let hold = || held(HoldReason::Quiet);
    for (stage, action, told) in [
        (Stage::Suspect, hold(), true),
        (Stage::Evacuating, hold(), true),
        (Stage::Cordoned, hold(), true),
        (Stage::Proving, hold(), false),
        (Stage::Suspect, cordon(), true),
        (Stage::Cordoned, Action::StepBack { why: StepBackReason::BadSample }, true),
        (Stage::Evacuating, waits(WaitReason::SurvivorsReady), true),
        (Stage::Suspect, waits(WaitReason::Confirmation), false),
        (Stage::Serving, Action::Serve, false),
    ] {
        let drawn = Drawn::ruled(3, stage, action.clone());
        assert_eq!(drawn.survivors().is_some(), told, "{stage:?} {action:?}");
    }
}

#[test]
fn a_rule_fired_for_each_thing_that_was_ruled_by() {
    let because = StepBackReason::TooMuchLoad;
    let calm: Change = |_| {};
    let alert: Change = |drawn| drawn.alert(LOST);
    let masked: Change = |drawn| {
        drawn.assessment(LOST).views.get_mut(&EvidenceClass::Edge).unwrap().discounted =
            Some(Discount::Masked);
    };
    let fired_by_masking = FiredRule::Discounted { class: EvidenceClass::Edge, because: Discount::Masked };
    for (action, change, expected) in [
        (Action::Suspect, calm, vec![]),
        (Action::Suspect, overloaded, vec![FiredRule::Full]),
        (Action::Suspect, alert, vec![FiredRule::Alerted]),
        (Action::Suspect, masked, vec![fired_by_masking]),
        (held(HoldReason::Quiet), calm, vec![FiredRule::Held { reason: HoldReason::Quiet }]),
        (waits(WaitReason::Window), calm, vec![FiredRule::Awaited { on: WaitReason::Window }]),
        (Action::StepBack { why: because }, calm, vec![FiredRule::SteppedBack { because }]),
        (
            waits(WaitReason::OverloadRelief),
            overloaded,
            vec![FiredRule::Full, FiredRule::Awaited { on: WaitReason::OverloadRelief }],
        ),
    ] {
        let mut drawn = Drawn::ruled(2, Stage::Suspect, action.clone());
        change(&mut drawn);
        assert_eq!(drawn.fired(), expected, "{action:?}");
    }
    let mut drawn = Drawn::ruled(2, Stage::Suspect, Action::Suspect);
    drawn.judgement.findings.push(Finding {
        rule: SafetyRule::S2,
        stamp: LOST.into(),
        actuator: Actuator::Gate,
        text: String::new(),
    });
    let refused = FiredRule::Refused { safety: SafetyRule::S2, actuator: Actuator::Gate };
    assert_eq!(drawn.fired(), [refused]);
}

#[test]
fn every_alternative_and_every_reason_against_it_has_words_of_its_own() {
    let alternatives = [
        Alternative::DoNothing,
        Alternative::Cordon,
        Alternative::PartialEvacuation,
        Alternative::PreScaleOnly,
        Alternative::EmergencyReturn,
        Alternative::Latch,
        Alternative::ReturnNow,
    ];
    let reasons = [
        WhyNot::Forbidden { reason: HoldReason::Quiet },
        WhyNot::Forbidden { reason: HoldReason::Frozen },
        WhyNot::NotConfirmed,
        WhyNot::FullNotDead,
        WhyNot::GoesOnFailing { rps: 12.0 },
        WhyNot::ComesBackHalfAlive,
        WhyNot::SurvivorsCarryAll,
        WhyNot::SurvivorsShort { rps: 12.0 },
        WhyNot::StillFails,
        WhyNot::SomethingServes,
        WhyNot::NotHealthy,
        WhyNot::TooSoon { until: Some(Drawn::calm(1).now()) },
        WhyNot::TooSoon { until: None },
        WhyNot::WatchedFirst,
        WhyNot::Unneeded,
    ];
    let mut words = BTreeSet::new();
    for alternative in alternatives {
        for why in reasons {
            let text = why::rejected(&Rejected { stamp: LOST.into(), alternative, why });
            assert!(text.starts_with("eastus2: not "), "{text}");
            let parts: Vec<&str> = text.splitn(3, ": ").collect();
            assert!(parts.len() == 3 && parts.iter().all(|part| part.len() > 6), "{text}");
            words.insert(text);
        }
    }
    assert_eq!(words.len(), alternatives.len() * reasons.len(), "{words:?}");
    let of = |why| why::rejected(&Rejected { stamp: LOST.into(), alternative: Alternative::Latch, why });
    // Whole requests, and the hold's own words.
    assert!(of(WhyNot::GoesOnFailing { rps: 55.6 }).contains(": 56 requests per second"));
    assert!(of(WhyNot::SurvivorsShort { rps: 172.4 }).contains(" 172 requests per second"));
    let forbidden = of(WhyNot::Forbidden { reason: HoldReason::Quiet });
    assert!(forbidden.ends_with(crate::explain::hold(HoldReason::Quiet)), "{forbidden}");
}
