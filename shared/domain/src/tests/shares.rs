//! What each survivor would carry, to the request, and what a floor that was or was not reached teaches.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use crate::capacity::{Share, cannot_grow, demand, learn_growth, shares_without};
use crate::policy::Redistribution;
use crate::state::{CannotGrow, StampCase};
use crate::testing::{STAMPS, Story, shipped};
use crate::{RegionName, StampId, Timestamp};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";
const THIRD: &str = "westus";
const FOURTH: &str = "westeurope";

/// `LOST`, `OTHER`, `THIRD` and `FOURTH`, as many as are given, by their requests per second.
fn demanding(redistribution: Redistribution, demands: &[f64]) -> Story {
    let mut story = Story::calm(demands.len());
    story.policy.capacity.redistribution = redistribution;
    for (stamp, rps) in STAMPS.iter().zip(demands) {
        story.state.cases.get_mut(&StampId::from(*stamp)).unwrap().demand_rps = *rps;
    }
    story
}

fn shares(story: &Story, out: &[&str]) -> BTreeMap<StampId, Share> {
    let out: BTreeSet<StampId> = out.iter().map(|stamp| StampId::from(*stamp)).collect();
    shares_without(&story.state, &out, &story.policy)
}

#[track_caller]
fn check_carried(story: &Story, out: &[&str], expected: &[(&str, f64)]) {
    let got = shares(story, out);
    assert_eq!(got.len(), expected.len(), "{got:?}");
    for (stamp, rps) in expected {
        let carries = got[&StampId::from(*stamp)].demand_rps;
        assert!((carries - rps).abs() < 1e-6, "{stamp} carries {carries} and not {rps} without {out:?}");
    }
}

fn move_to(story: &mut Story, stamp: &str, region: &str) {
    let stamps = Arc::make_mut(&mut story.state.topology.stamps);
    stamps.get_mut(&StampId::from(stamp)).unwrap().region = RegionName::new(region);
}

#[test]
fn demand_is_what_each_stamp_had() {
    let story = demanding(Redistribution::Proportional, &[400.0, 0.0, 250.0]);
    let expected = [(OTHER, 0.0), (LOST, 400.0), (THIRD, 250.0)];
    assert_eq!(demand(&story.state), expected.map(|(stamp, rps)| (StampId::from(stamp), rps)).into());
}

#[test]
fn in_proportion_is_by_what_each_has_and_in_equal_parts_where_nobody_has_anything() {
    let proportional = |demands: &[f64]| demanding(Redistribution::Proportional, demands);
    check_carried(&proportional(&[400.0, 300.0, 100.0]), &[LOST], &[(OTHER, 600.0), (THIRD, 200.0)]);
    check_carried(&proportional(&[400.0, 0.0, 100.0]), &[LOST], &[(OTHER, 0.0), (THIRD, 500.0)]);
    check_carried(&proportional(&[400.0, 0.0, 0.0]), &[LOST], &[(OTHER, 200.0), (THIRD, 200.0)]);
    check_carried(
        &proportional(&[300.0, 0.0, 0.0, 0.0]),
        &[LOST],
        &[(OTHER, 100.0), (THIRD, 100.0), (FOURTH, 100.0)],
    );
    // What two lose moves together: 600 by 100 to 300.
    check_carried(
        &proportional(&[400.0, 200.0, 100.0, 300.0]),
        &[LOST, OTHER],
        &[(THIRD, 250.0), (FOURTH, 750.0)],
    );
}

#[test]
fn what_is_near_to_nobody_is_spread_over_all_beside_what_goes_to_the_nearest() {
    let mut story = demanding(Redistribution::Nearest, &[400.0, 300.0, 100.0, 200.0]);
    check_carried(&story, &[LOST, FOURTH], &[(OTHER, 900.0), (THIRD, 100.0)]);
    move_to(&mut story, FOURTH, "atlantis");
    // 400 go to the nearest; 200 are spread by 300 to 100.
    check_carried(&story, &[LOST, FOURTH], &[(OTHER, 850.0), (THIRD, 150.0)]);
    move_to(&mut story, LOST, "atlantis");
    // All 600 are spread.
    check_carried(&story, &[LOST, FOURTH], &[(OTHER, 750.0), (THIRD, 250.0)]);
    // A survivor of an unknown region is near to nobody, and has its part of what is.
    move_to(&mut story, LOST, LOST);
    move_to(&mut story, OTHER, "atlantis");
    check_carried(&story, &[LOST, FOURTH], &[(OTHER, 450.0), (THIRD, 550.0)]);
}

/// An instance carries 150 requests per second; 15 % head-room comes on top of the demand.
#[test]
fn instances_are_counted_with_the_head_room_as_a_factor() {
    for (lost, needed) in [
        // 1 200 x 1.15 are 1 380, on 9.2 instances; 1 200 alone would be on eight.
        (900.0, 10),
        // 1 304 x 1.15 are 1 499.6, and 1 305 x 1.15 are 1 500.75.
        (1_004.0, 10),
        (1_005.0, 11),
    ] {
        let story = demanding(Redistribution::Proportional, &[lost, 300.0]);
        let share = shares(&story, &[LOST])[&StampId::from(OTHER)];
        assert_eq!((share.instances_needed, share.instances_asked), (needed, needed), "{lost} lost");
    }
}

#[test]
fn a_share_is_ready_with_five_per_cent_on_top_and_can_be_by_the_instances_it_may_get() {
    let share = |demand_rps, ready_rps, instances_possible| Share {
        demand_rps,
        ready_rps,
        instances_needed: 1,
        instances_asked: 1,
        instances_possible,
        instances_missing: 0,
    };
    for (demand, ready, is_ready) in [
        (1_000.0, 1_050.1, true),
        (1_000.0, 1_049.9, false),
        (1_000.0, 1_002.0, false),
        (0.0, 0.0, true),
        (0.0, 1.0, true),
    ] {
        assert_eq!(share(demand, ready, 0).is_ready(), is_ready, "{demand} on {ready}");
    }
    // Seven instances carry 1 050.
    for (demand, instances, can) in
        [(999.0, 7, true), (1_001.0, 7, false), (1_001.0, 8, true), (0.0, 0, true), (1.0, 0, false)]
    {
        let share = share(demand, 0.0, instances);
        assert_eq!(share.can_become_ready(&shipped()), can, "{demand} on {instances} instances");
    }
}

fn seconds(start: Timestamp, second: i64) -> Timestamp {
    Timestamp::from_secs(start.as_millis() / 1_000 + second)
}

/// Learnt ten minutes ago; believed until so many seconds from now.
fn found(story: &Story, until_s: i64) -> CannotGrow {
    let (since, until) = (story.now.before(Duration::from_secs(600)), seconds(story.now, until_s));
    CannotGrow { since, until, ready: 3, asked: 5 }
}

fn case_of_other(story: &mut Story) -> &mut StampCase {
    story.state.cases.get_mut(&StampId::from(OTHER)).unwrap()
}

#[test]
fn that_a_region_cannot_grow_is_believed_until_its_moment_and_not_at_it() {
    for (until_s, believed) in [(1, true), (0, false), (-1, false)] {
        let mut story = demanding(Redistribution::Proportional, &[900.0, 300.0]);
        let found = found(&story, until_s);
        case_of_other(&mut story).cannot_grow = Some(found);
        assert_eq!(cannot_grow(&story.state, &OTHER.into()), believed.then_some(found), "{until_s} s");
        // Four are ready, ten are needed, and 30 may be asked for.
        let share = shares(&story, &[LOST])[&StampId::from(OTHER)];
        let (possible, missing) = if believed { (4, 6) } else { (30, 0) };
        assert_eq!((share.instances_possible, share.instances_missing), (possible, missing), "{until_s} s");
        assert_eq!(share.instances_asked, 10, "{until_s} s: it is asked for all the same");
        // Without a floor of ours nothing is learnt anew, and the case forgets it at the same moment.
        learn_growth(&mut story.state, &story.policy);
        let case = case_of_other(&mut story);
        assert_eq!(case.cannot_grow, believed.then_some(found), "{until_s} s, without a floor");
    }
}

/// Our floor of five instances was set twenty minutes ago; four are ready.
fn short_of_its_floor() -> Story {
    let mut story = demanding(Redistribution::Proportional, &[300.0, 300.0]);
    let set_at = story.now.before(Duration::from_secs(1_200));
    let case = case_of_other(&mut story);
    (case.floor, case.floor_recorded, case.floor_set_at) = (Some(5), Some(5), Some(set_at));
    story
}

#[test]
fn a_region_that_did_not_grow_gets_another_chance_when_its_time_is_over() {
    for (until_s, over) in [(1, false), (0, true), (-1, true)] {
        let mut story = short_of_its_floor();
        let (found, set_at) = (found(&story, until_s), case_of_other(&mut story).floor_set_at);
        case_of_other(&mut story).cannot_grow = Some(found);
        learn_growth(&mut story.state, &story.policy);
        let now = story.state.as_of;
        let case = case_of_other(&mut story);
        let expected = if over { (None, Some(now)) } else { (Some(found), set_at) };
        assert_eq!((case.cannot_grow, case.floor_set_at), expected, "{until_s} s");
    }
}

#[test]
fn a_floor_is_missed_after_the_policys_time_and_reached_by_what_is_ready() {
    let within = i64::try_from(shipped().capacity.grow_within.get().as_secs()).unwrap();
    for (age_s, ready, learnt) in
        [(within, 4, true), (within - 1, 4, false), (within, 5, false), (within, 6, false)]
    {
        let mut story = short_of_its_floor();
        case_of_other(&mut story).floor_set_at = Some(seconds(story.now, -age_s));
        story.state.load.get_mut(&StampId::from(OTHER)).unwrap().ready_instances = ready;
        learn_growth(&mut story.state, &story.policy);
        let (since, until) = (story.now, story.now + story.policy.capacity.grow_retry.get());
        let expected = learnt.then_some(CannotGrow { since, until, ready, asked: 5 });
        assert_eq!(case_of_other(&mut story).cannot_grow, expected, "{age_s} s, {ready} ready");
    }
}
