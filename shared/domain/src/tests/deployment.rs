//! Whether a deployment may run now: only while nothing of ours stands, and only if the rest can do without who leaves.

use std::collections::BTreeSet;

use crate::deployment::{Objection, objections};
use crate::state::Stage;
use crate::testing::{Direct, Executor, Story, shipped};
use crate::{EnabledState, StampId};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";

fn asked(story: &Story, leaving: &[&str], held_out: &[&str]) -> Vec<Objection> {
    let set = |names: &[&str]| names.iter().map(|name| StampId::from(*name)).collect::<BTreeSet<_>>();
    let sets = (&set(leaving), &set(held_out));
    objections(&story.state, &story.steps, story.now, sets, &story.policy)
}

#[test]
fn a_calm_workload_may_be_deployed() {
    assert_eq!(asked(&Story::calm(2), &[], &[]), []);
}

#[test]
fn nothing_is_deployed_over_a_cordon_nor_over_the_floors_that_outlast_it() {
    let mut policy = shipped();
    // Its load is back at once in this story.
    policy.ramp.load_factor_max = 1_000.0;
    let mut story = Story::calm_under(policy, 3);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 300);
    let found = asked(&story, &[], &[]);
    let not_serving = Objection::NotServing { stamp: LOST.into(), stage: Stage::Cordoned };
    assert!(found.contains(&not_serving), "{found:?}");
    assert!(found.contains(&Objection::GateNotOpen { stamp: LOST.into() }), "{found:?}");
    story.scene(LOST).direct = Direct::Healthy;
    for other in [OTHER, "westus"] {
        story.scene(other).ready = 12;
    }
    story.until(LOST, Stage::Serving, 7_200);
    let found = asked(&story, &[], &[]);
    assert!(
        found
            .iter()
            .any(|one| matches!(one, Objection::FloorStands { stamp, .. } if stamp.as_str() == OTHER)),
        "{found:?}"
    );
    story.run(1_200);
    assert_eq!(asked(&story, &[], &[]), []);
}

#[test]
fn who_is_suspicious_or_unseen_is_not_deployed_over() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Suspect, 60);
    assert!(matches!(asked(&story, &[], &[])[..], [Objection::NotServing { .. }, ..]));
    for (silent_s, blind) in [(120, false), (121, true)] {
        let mut story = Story::calm(2);
        story.gap(silent_s);
        let is_blind = matches!(asked(&story, &[], &[])[..], [Objection::Blind { observed_at: Some(_) }]);
        assert_eq!(is_blind, blind, "{silent_s}");
    }
}

#[test]
fn an_origin_that_is_disabled_must_be_named() {
    let mut story = Story::calm(3);
    for stamp in [LOST, OTHER, "westus"] {
        story.scene(stamp).ready = 12;
    }
    story.scene(OTHER).origin = EnabledState::Disabled;
    story.run(60);
    assert_eq!(asked(&story, &[], &[]), [Objection::OriginDisabled { stamp: OTHER.into() }]);
    assert_eq!(asked(&story, &[], &[OTHER]), []);
}

#[test]
fn a_stamp_leaves_only_if_the_others_can_carry_what_it_has() {
    // 300 requests per second each on four instances of 150: one can carry the other, with 5 % missing.
    let mut story = Story::calm(2);
    assert!(matches!(
        &asked(&story, &[LOST], &[])[..],
        [Objection::CapacityShort { stamp, share }] if stamp.as_str() == OTHER && share.demand_rps == 600.0
    ));
    story.scene(OTHER).ready = 5;
    story.run(20);
    assert_eq!(asked(&story, &[LOST], &[]), []);
    let both = asked(&story, &[LOST, OTHER], &[]);
    assert_eq!(both, [Objection::TooFewRegions { left: 0, regions_min: 1 }]);
    assert_eq!(asked(&story, &["gone-before"], &[]), [], "who is not there is missed by nobody");
}

#[test]
fn what_is_under_way_is_waited_for() {
    let mut story = Story::calm(2);
    story.executor = Executor::Busy;
    story.scene(LOST).direct = Direct::Down;
    story.run(200);
    let found = asked(&story, &[], &[]);
    assert!(found.iter().any(|one| matches!(one, Objection::StepUnderWay { .. })), "{found:?}");
}
