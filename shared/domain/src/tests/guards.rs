//! What forbids a removal, and what nothing forbids.

use std::time::Duration;

use crate::decide::{Action, HoldReason, Situation};
use crate::judge::{Judgement, judge};
use crate::lint::{SafetyRule, lint};
use crate::overriding::{Overridable, Override};
use crate::state::{Approval, Cause, Freeze, FreezeCause, Stage};
use crate::testing::{Direct, Executor, NO_GENERATION, Plane, Story, check, held};
use crate::{Actuator, Effect, EvidenceClass, GatePosition, Order, Purpose, StampId, Standing, StepStatus};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";
const THIRD: &str = "westus";

fn lose(story: &mut Story, stamp: &str) {
    story.scene(stamp).direct = Direct::Down;
    story.scene(stamp).edge = Some(100);
}

fn heal(story: &mut Story, stamp: &str) {
    story.scene(stamp).direct = Direct::Healthy;
    story.scene(stamp).edge = Some(0);
}

/// A freeze that its cause keeps up for two minutes more.
fn freeze(story: &mut Story) {
    let cause = FreezeCause::EdgeRedDirectGreen;
    story.state.freeze = Some(Freeze { cause, since: story.now, last_seen: story.now });
}

#[track_caller]
fn is_held(story: &Story, stamp: &str, reason: HoldReason) {
    check(story, stamp, Stage::Suspect, GatePosition::Open, &held(reason));
}

#[test]
fn each_cause_freezes_removals() {
    type Fault = fn(&mut Story);
    let table: [(FreezeCause, Fault); 3] = [
        (FreezeCause::MostRegionsAtOnce, |story| {
            lose(story, LOST);
            lose(story, OTHER);
        }),
        (FreezeCause::EdgeRedDirectGreen, |story| {
            story.scene(LOST).edge = Some(100);
            story.scene(OTHER).edge = Some(100);
            story.scene(THIRD).edge = Some(100);
        }),
        (FreezeCause::AuthOrDnsEverywhere, |story| {
            story.scene(LOST).direct = Direct::AuthRefused;
            story.scene(OTHER).direct = Direct::AuthRefused;
            story.scene(THIRD).direct = Direct::AuthRefused;
        }),
    ];
    for (cause, fault) in table {
        let mut story = Story::calm(3);
        fault(&mut story);
        // What the peers last said stays fresh for 35 s.
        story.run(40);
        for _ in 0..60 {
            story.tick();
            assert_eq!(story.state.freeze.map(|freeze| freeze.cause), Some(cause));
            assert!(story.state.cases.values().all(|case| case.decided_at.is_none()), "{cause:?}");
        }
    }
}

#[test]
fn the_timers_restart_at_the_end_of_a_freeze_in_the_same_evaluation() {
    let mut story = Story::calm(3);
    lose(&mut story, LOST);
    lose(&mut story, OTHER);
    story.run(120);
    is_held(&story, LOST, HoldReason::Frozen);
    heal(&mut story, OTHER);
    story.run_until(400, |story| story.state.freeze.is_none());
    assert_eq!(story.state.freeze_ended_at, Some(story.now));
    assert_eq!(story.case(LOST).stage, Stage::Suspect);
    assert_eq!(story.until(LOST, Stage::Evacuating, 90), 60);
}

#[test]
fn a_freeze_voids_a_removal_that_is_queued() {
    let mut story = Story::calm(3);
    lose(&mut story, LOST);
    story.executor = Executor::Stopped;
    story.until(LOST, Stage::Evacuating, 90);
    freeze(&mut story);
    story.executor = Executor::Works;
    story.tick();
    let removals =
        story.steps.iter().filter(|stored| stored.step.purpose == Purpose::Removal).collect::<Vec<_>>();
    assert!(
        removals.iter().all(|stored| matches!(stored.step.status, StepStatus::Void { .. })),
        "{removals:?}"
    );
    assert_eq!(story.in_force(&StampId::from(LOST)), GatePosition::Open);
    // It must be confirmed anew after the end, not just carried on.
    story.run_until(300, |story| story.state.freeze.is_none());
    assert_eq!(story.until(LOST, Stage::Evacuating, 90), 60);
}

#[test]
fn a_pause_voids_a_removal_that_is_queued() {
    let mut story = Story::calm(3);
    lose(&mut story, LOST);
    story.executor = Executor::Stopped;
    story.until(LOST, Stage::Evacuating, 90);
    story.order(Order::Pause { until: story.now + Duration::from_secs(600) });
    story.executor = Executor::Works;
    story.tick();
    story.tick();
    assert_eq!(story.in_force(&StampId::from(LOST)), GatePosition::Open);
}

#[test]
fn a_hold_voids_whatever_is_queued_for_its_stamp() {
    let mut story = Story::calm(3);
    lose(&mut story, LOST);
    story.executor = Executor::Stopped;
    story.until(LOST, Stage::Evacuating, 90);
    story.order(Order::Hold { stamp: LOST.into() });
    story.executor = Executor::Works;
    story.run(60);
    assert_eq!(story.in_force(&StampId::from(LOST)), GatePosition::Open);
    assert_eq!(story.action(LOST), &held(HoldReason::Operator));
}

#[test]
fn a_second_region_needs_an_approval_of_that_very_hold() {
    let mut story = Story::calm(3);
    lose(&mut story, LOST);
    story.until(LOST, Stage::Cordoned, 120);
    story.run(900);
    lose(&mut story, OTHER);
    story.run(120);
    is_held(&story, OTHER, HoldReason::NeedsApproval);
    let asked = story.case(OTHER).awaiting_approval.unwrap();
    story.order(Order::Approve { stamp: OTHER.into(), generation: NO_GENERATION });
    story.tick();
    is_held(&story, OTHER, HoldReason::NeedsApproval);
    let record = story.records.last().unwrap();
    assert!(record.because.iter().any(|line| line.starts_with("refused an order")), "{:?}", record.because);
    story.order(Order::Approve { stamp: OTHER.into(), generation: asked });
    story.tick();
    assert!(matches!(story.action(OTHER), Action::Cordon { .. }), "{:?}", story.action(OTHER));
    assert_eq!(story.case(OTHER).auto_cordons.len(), 0, "an approved cordon is not an automatic one");
}

#[test]
fn an_approval_dies_with_its_hold() {
    let mut story = Story::calm(3);
    lose(&mut story, LOST);
    story.until(LOST, Stage::Cordoned, 120);
    lose(&mut story, OTHER);
    story.run(120);
    let asked = story.case(OTHER).awaiting_approval.unwrap();
    heal(&mut story, OTHER);
    story.until(OTHER, Stage::Serving, 300);
    story.order(Order::Approve { stamp: OTHER.into(), generation: asked });
    lose(&mut story, OTHER);
    story.run(120);
    is_held(&story, OTHER, HoldReason::NeedsApproval);
    assert_ne!(story.case(OTHER).awaiting_approval, Some(asked));
}

#[test]
fn an_unused_approval_does_not_outlive_its_hold() {
    let mut story = Story::calm(3);
    lose(&mut story, LOST);
    story.until(LOST, Stage::Cordoned, 120);
    lose(&mut story, OTHER);
    story.run(120);
    let asked = story.case(OTHER).awaiting_approval.unwrap();
    // Approved in the very moment in which the observer turns out to be broken, and well again when that is over.
    freeze(&mut story);
    story.order(Order::Approve { stamp: OTHER.into(), generation: asked });
    heal(&mut story, OTHER);
    story.until(OTHER, Stage::Serving, 400);
    assert_eq!(story.case(OTHER).approval, None);
}

#[test]
fn one_region_per_ten_minutes() {
    let mut story = Story::calm(3);
    story.state.last_removal_at = Some(story.now);
    lose(&mut story, LOST);
    story.run(590);
    is_held(&story, LOST, HoldReason::Velocity);
    story.tick();
    assert!(matches!(story.action(LOST), Action::Cordon { .. }));
}

/// The evaluation that cordons `LOST` of three, not yet stored.
fn about_to_cordon() -> (Story, Situation, Judgement) {
    let mut story = Story::about_to_cordon();
    let situation = story.look_again();
    let judgement = judge(&situation, &story.policy);
    assert!(matches!(judgement.decision.rulings[&StampId::from(LOST)].action, Action::Cordon { .. }));
    (story, situation, judgement)
}

/// The spacing that lint sees in a decision whose ruling forgot to ask.
fn spacing_found(story: &Story, situation: &Situation, judgement: &Judgement) -> Vec<StampId> {
    let found = lint(&judgement.plan, &judgement.decision, situation, &story.policy);
    found.into_iter().filter(|finding| finding.rule == SafetyRule::S3).map(|finding| finding.stamp).collect()
}

#[test]
fn lint_by_itself_spaces_the_removals() {
    let (story, mut situation, judgement) = about_to_cordon();
    assert_eq!(spacing_found(&story, &situation, &judgement), []);
    let span = story.policy.velocity.one_region_per.get();
    situation.state.last_removal_at = Some(story.now.before(span));
    assert_eq!(spacing_found(&story, &situation, &judgement), []);
    situation.state.last_removal_at = Some(story.now.before(span - Duration::from_secs(1)));
    assert_eq!(spacing_found(&story, &situation, &judgement), [StampId::from(LOST)]);

    let override_until = |until| Override {
        by: "ada".into(),
        reason: "drill".into(),
        at: story.now,
        until,
        generation: situation.state.generation,
    };
    let lost = StampId::from(LOST);
    let mut overridden = situation.clone();
    let given = override_until(story.now + Duration::from_secs(1));
    overridden.state.cases.get_mut(&lost).unwrap().overrides.insert(Overridable::S3, given);
    assert_eq!(spacing_found(&story, &overridden, &judgement), []);
    let mut approved = situation.clone();
    let approval = Approval { by: "ada".into(), generation: situation.state.generation };
    approved.state.cases.get_mut(&lost).unwrap().approval = Some(approval);
    assert_eq!(spacing_found(&story, &approved, &judgement), []);
}

/// A gray region is decided on long before its gate moves; the plan of that moment holds no step of it.
#[test]
fn lint_by_itself_finds_two_regions_decided_at_once() {
    let (story, situation, mut judgement) = about_to_cordon();
    let other = StampId::from(OTHER);
    let case = judgement.decision.cases.get_mut(&other).unwrap();
    (case.stage, case.cause, case.decided_at) = (Stage::Evacuating, Some(Cause::Gray), Some(story.now));
    assert_eq!(spacing_found(&story, &situation, &judgement), [other.clone(), LOST.into()]);
    let mut approved = situation.clone();
    let approval = Approval { by: "ada".into(), generation: situation.state.generation };
    approved.state.cases.get_mut(&other).unwrap().approval = Some(approval);
    assert_eq!(spacing_found(&story, &approved, &judgement), [], "one of them is the approved second");
}

#[test]
fn what_cannot_be_read_permits_nothing() {
    let mut story = Story::calm(2);
    lose(&mut story, LOST);
    story.gate_store = Plane::Down;
    story.run(300);
    is_held(&story, LOST, HoldReason::GateUnreadable);
    let mut story = Story::calm(2);
    lose(&mut story, LOST);
    story.scene(LOST).control_plane = Plane::Down;
    let read_at = story.state.topology.read_at.map(|at| at.before(Duration::from_secs(24 * 3_600)));
    story.state.topology.read_at = read_at;
    story.run(300);
    is_held(&story, LOST, HoldReason::TopologyStale);
}

#[test]
fn an_unreadable_capacity_lever_never_keeps_a_gate_from_closing() {
    let mut story = Story::calm(2);
    story.scene(OTHER).control_plane = Plane::Down;
    story.run(200);
    lose(&mut story, LOST);
    story.until(LOST, Stage::Evacuating, 90);
    let effects: Vec<&Effect> = story.created().iter().map(|step| &step.effect).collect();
    assert!(matches!(effects[..], [Effect::SetGate { position: GatePosition::Closed, .. }]), "{effects:?}");
    let findings = &story.last.as_ref().unwrap().findings;
    assert!(findings.iter().all(|f| f.rule == SafetyRule::S8 && f.actuator == Actuator::Capacity));
    assert_eq!(findings.len(), 1);
}

#[test]
fn a_pause_stops_removals_until_it_ends_by_itself() {
    let mut story = Story::calm(2);
    lose(&mut story, LOST);
    story.order(Order::Pause { until: story.now + Duration::from_secs(300) });
    story.run(290);
    is_held(&story, LOST, HoldReason::Paused);
    story.tick();
    assert!(matches!(story.action(LOST), Action::Cordon { .. }));
}

#[test]
fn after_a_gap_in_our_own_evidence_it_is_quiet_for_a_minute() {
    let mut story = Story::calm(2);
    story.gap(110);
    lose(&mut story, LOST);
    story.platform(LOST, Standing::Fired);
    story.tick();
    story.run(50);
    is_held(&story, LOST, HoldReason::Quiet);
    story.tick();
    assert!(matches!(story.action(LOST), Action::Cordon { .. }));
}

#[test]
fn a_hold_is_obeyed_from_the_next_evaluation_on() {
    let mut story = Story::calm(2);
    lose(&mut story, LOST);
    story.run(50);
    story.order(Order::Hold { stamp: LOST.into() });
    story.run(600);
    check(&story, LOST, Stage::Held, GatePosition::Open, &held(HoldReason::Operator));
    story.order(Order::Release { stamp: LOST.into() });
    story.tick();
    assert!(matches!(story.action(LOST), Action::Cordon { .. }));
}

#[test]
fn renewal_goes_on_whatever_forbids_removals() {
    let mut story = Story::calm(2);
    lose(&mut story, LOST);
    story.until(LOST, Stage::Cordoned, 120);
    story.gap(7_200);
    freeze(&mut story);
    story.order(Order::Pause { until: story.now + Duration::from_secs(600) });
    story.tick();
    assert!(story.state.quiet_until.is_some_and(|until| until > story.now));
    assert!(story.state.pause.is_some() && story.state.freeze.is_some());
    let renewed = story
        .created()
        .iter()
        .find(|step| matches!(step.effect, Effect::SetGate { position: GatePosition::Closed, .. }));
    assert_eq!(renewed.map(|step| step.purpose), Some(Purpose::Maintenance));
    assert_eq!(story.documents[&StampId::from(LOST)].heartbeat_at, story.now);
}

#[test]
fn renewal_goes_on_under_an_operators_hold() {
    let mut story = Story::calm(2);
    lose(&mut story, LOST);
    story.until(LOST, Stage::Cordoned, 120);
    story.order(Order::Hold { stamp: LOST.into() });
    story.run(20);
    story.gap(7_200);
    story.tick();
    assert_eq!(story.documents[&StampId::from(LOST)].heartbeat_at, story.now);
}

#[test]
fn orders_are_recorded_in_words() {
    let mut story = Story::calm(2);
    story.order(Order::Pause { until: story.now + Duration::from_secs(600) });
    story.tick();
    let until = story.now + Duration::from_secs(590);
    assert_eq!(story.records.last().unwrap().headline, format!("ada ordered a pause until {until}: drill"));
}

#[test]
fn masked_evidence_has_no_vote() {
    let mut story = Story::calm(2);
    lose(&mut story, LOST);
    story.until(LOST, Stage::Cordoned, 120);
    story.scene(LOST).traffic = Some(100);
    story.run(60);
    let views = &story.decision().assessments[&StampId::from(LOST)].views;
    for class in [EvidenceClass::Edge, EvidenceClass::Traffic] {
        assert_eq!(views[&class].discounted, Some(crate::evidence::Discount::Masked), "{class:?}");
    }
    assert!(story.decision().freeze.is_none());
}

/// Seed 5000065 of the simulation: a false alert stood, our own observers fell silent, and what nobody could contradict any
/// more was believed.
#[test]
fn while_we_are_blind_nobody_is_taken_out_on_the_word_of_an_alert_that_stands() {
    let mut story = Story::calm(3);
    let fired = crate::Signal {
        standing: Standing::Fired,
        ..crate::testing::signal(
            LOST,
            EvidenceClass::Edge,
            "origin-health-eastus2",
            crate::Verdict::Unhealthy,
            story.now,
        )
    };
    story.say(fired);
    story.run(600);
    assert_eq!(story.case(LOST).decided_at, None, "our own probes contradict it");
    for _ in 0..60 {
        story.gap(10);
        story.evaluate();
        assert_eq!(story.case(LOST).decided_at, None);
    }
}
