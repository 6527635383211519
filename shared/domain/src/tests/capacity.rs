//! Who carries what: how load spreads, who can grow, and what would do more harm than good.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use crate::capacity::{Share, shares_without};
use crate::decide::{Action, HoldReason, StepBackReason, WaitReason};
use crate::facts::QuotaFacts;
use crate::policy::{Policy, Redistribution};
use crate::state::Stage;
use crate::testing::{Direct, Story, check, held, shipped, waits};
use crate::{Effect, GatePosition, StampId};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";
const THIRD: &str = "westus";

fn spreading(redistribution: Redistribution) -> Policy {
    let mut policy = shipped();
    policy.capacity.redistribution = redistribution;
    policy
}

fn share_of(story: &Story, stamp: &str) -> Share {
    let out = BTreeSet::from([StampId::from(LOST)]);
    shares_without(&story.state, &out, &story.policy)[&StampId::from(stamp)]
}

#[test]
fn load_spreads_as_the_policy_says() {
    let table = [
        (Redistribution::Proportional, [450.0, 450.0]),
        (Redistribution::Nearest, [600.0, 300.0]),
        (Redistribution::WorstCase, [600.0, 600.0]),
    ];
    for (redistribution, expected) in table {
        let story = Story::calm_under(spreading(redistribution), 3);
        let got = [OTHER, THIRD].map(|stamp| share_of(&story, stamp).demand_rps);
        assert_eq!(got, expected, "{redistribution:?}");
    }
}

#[test]
fn the_nearest_that_can_take_it_is_asked_and_a_draining_or_disabled_one_never() {
    for prevent in [
        (|story: &mut Story| {
            let facts =
                Arc::make_mut(&mut story.state.topology.stamps).get_mut(&StampId::from(OTHER)).unwrap();
            facts.state = Some("draining".into());
        }) as fn(&mut Story),
        |story| {
            story.state.origins.get_mut(&StampId::from(OTHER)).unwrap().enabled =
                crate::EnabledState::Disabled;
        },
    ] {
        let mut story = Story::calm_under(spreading(Redistribution::Nearest), 3);
        prevent(&mut story);
        let out = BTreeSet::from([StampId::from(LOST)]);
        let shares = shares_without(&story.state, &out, &story.policy);
        assert_eq!(shares.keys().map(StampId::as_str).collect::<Vec<_>>(), [THIRD]);
        assert!((share_of(&story, THIRD).demand_rps - 600.0).abs() < 1e-9);
    }
}

#[test]
fn every_survivor_must_be_ready_and_not_all_of_them_together() {
    let mut story = Story::calm_under(spreading(Redistribution::Nearest), 3);
    story.scene(LOST).direct = Direct::Errors(4);
    story.scene(LOST).traffic = Some(20);
    story.scene(OTHER).ready = 3;
    story.scene(THIRD).ready = 20;
    story.until(LOST, Stage::Evacuating, 120);
    story.run(60);
    check(&story, LOST, Stage::Evacuating, GatePosition::Open, &waits(WaitReason::SurvivorsReady));
    story.scene(OTHER).ready = 5;
    story.tick();
    check(&story, LOST, Stage::Evacuating, GatePosition::Closed, &Action::CloseGate);
}

#[test]
fn the_quota_bounds_what_is_asked_for_and_the_rest_is_missing() {
    let mut story = Story::calm(2);
    let quota = QuotaFacts { read_at: story.now, instances_max: 4 };
    story.state.quota.insert(OTHER.into(), quota);
    let share = share_of(&story, OTHER);
    assert_eq!(
        (share.instances_needed, share.instances_asked, share.instances_possible, share.instances_missing),
        (5, 4, 4, 1)
    );
}

/// The survivor has been asked for five instances and has three.
fn not_growing() -> Story {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.scene(OTHER).ready = 3;
    story.until(LOST, Stage::Cordoned, 200);
    story
}

#[test]
fn a_floor_that_is_not_reached_in_time_says_that_the_region_cannot_grow_for_a_while() {
    let mut story = not_growing();
    let set_at = story.case(OTHER).floor_set_at.unwrap();
    story.run_until(700, |story| story.case(OTHER).cannot_grow.is_some());
    let found = story.case(OTHER).cannot_grow.unwrap();
    assert_eq!(story.now.since(set_at), Duration::from_secs(600));
    assert_eq!((found.ready, found.asked), (3, 5));
    let share = share_of(&story, OTHER);
    assert_eq!((share.instances_asked, share.instances_possible, share.instances_missing), (5, 3, 2));
    let record = story.records.last().unwrap();
    let line = record.because.iter().find(|line| line.contains("cannot grow")).unwrap();
    assert!(line.starts_with("centralus cannot grow: 3 of 5 instances are ready, 2 missing"), "{line}");
    let notices = record.explanation["notices"].as_array().unwrap();
    assert!(notices.iter().any(|kind| kind == "cannot_grow"), "{notices:?}");
    // Then it gets another chance, of ten minutes.
    story.run_until(1_900, |story| story.case(OTHER).cannot_grow.is_none());
    story.run(300);
    assert_eq!(story.case(OTHER).cannot_grow, None);
    story.run_until(400, |story| story.case(OTHER).cannot_grow.is_some());
    // Instances that are there say that it can.
    story.scene(OTHER).ready = 5;
    story.tick();
    assert_eq!(story.case(OTHER).cannot_grow, None);
}

#[test]
fn what_nobody_sees_teaches_nothing_about_growth() {
    let mut story = not_growing();
    story.scene(OTHER).direct = Direct::Silent;
    story.run(1_200);
    assert_eq!(story.case(OTHER).cannot_grow, None);
}

#[test]
fn nobody_waits_for_a_survivor_that_cannot_grow() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Errors(4);
    story.scene(LOST).traffic = Some(20);
    story.scene(OTHER).ready = 3;
    let quota = QuotaFacts { read_at: story.now, instances_max: 4 };
    story.state.quota.insert(OTHER.into(), quota);
    story.until(LOST, Stage::Evacuating, 120);
    // The plan says four, three are ready: one more may come, and is not enough.
    story.state.capacity.get_mut(&StampId::from(OTHER)).unwrap().instances = 3;
    story.tick();
    let partly = Action::EvacuatePartly { open_percent: 58 };
    check(&story, LOST, Stage::Evacuating, GatePosition::Slice(58), &partly);
}

#[test]
fn a_draining_stamp_never_comes_back() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.scene(LOST).direct = Direct::Healthy;
    story.scene(LOST).draining = true;
    story.run(1_800);
    check(&story, LOST, Stage::Proving, GatePosition::Closed, &held(HoldReason::Draining));
}

#[test]
fn a_region_half_dropped_is_not_pushed_onto_survivors_that_are_full() {
    let mut story = Story::calm(2);
    // Front Door's probes fail at six of ten locations and the database is bad; requests mostly succeed.
    story.scene(LOST).edge = Some(60);
    story.scene(LOST).direct = Direct::Errors(2);
    story.scene(LOST).data = Some(crate::Verdict::Unhealthy);
    story.scene(OTHER).ready = 2;
    story.until(LOST, Stage::Evacuating, 120);
    assert_eq!(story.case(LOST).gate, GatePosition::Open, "{:?}", story.action(LOST));
    story.scene(OTHER).ready = 5;
    story.tick();
    check(&story, LOST, Stage::Evacuating, GatePosition::Closed, &Action::CloseGate);
}

#[test]
fn a_step_back_that_would_sink_the_survivors_is_held() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Readmitting, 1_800);
    story.scene(LOST).load_rps = 15.0;
    story.run_until(900, |story| story.case(LOST).gate == GatePosition::Slice(50));
    // Some requests fail here; the survivor has not even room for its own.
    story.scene(LOST).direct = Direct::Errors(2);
    story.scene(OTHER).ready = 2;
    story.run(60);
    check(&story, LOST, Stage::Readmitting, GatePosition::Slice(50), &held(HoldReason::MoreHarm));
    story.scene(OTHER).ready = 5;
    story.tick();
    let why = StepBackReason::BadSample;
    check(&story, LOST, Stage::Cordoned, GatePosition::Closed, &Action::StepBack { why });
}

#[test]
fn floors_are_asked_of_the_nearest_alone() {
    let mut story = Story::calm_under(spreading(Redistribution::Nearest), 3);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Evacuating, 200);
    let floors: Vec<(&str, u32)> = story
        .created()
        .iter()
        .filter_map(|step| match &step.effect {
            Effect::RaiseFloor { stamp, minimum, .. } => Some((stamp.as_str(), *minimum)),
            _ => None,
        })
        .collect();
    assert_eq!(floors, [(OTHER, 5), (THIRD, 3)]);
}

#[test]
fn a_lost_stamp_that_waits_for_approval_is_no_survivor() {
    let mut story = Story::calm(3);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    story.scene(OTHER).direct = Direct::Down;
    story.scene(THIRD).ready = 6;
    story.run(600);
    // 900 requests per second on 900, and 5 % are missing: no latch.
    check(&story, LOST, Stage::Cordoned, GatePosition::Closed, &held(HoldReason::CapacityShort));
    story.scene(THIRD).ready = 7;
    story.tick();
    assert_eq!(story.action(LOST), &Action::Latch);
}
