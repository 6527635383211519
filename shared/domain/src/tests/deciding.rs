//! Decisions at their bounds: when a freeze ends, when a removal counts, what a floor is made of, and which gates are believed.

use std::time::Duration;

use crate::decide::{Basis, Decision, GateRead, Situation, decide};
use crate::gate::{GATE_SCHEMA, GateDocument};
use crate::state::{Freeze, FreezeCause, Stage};
use crate::testing::{Direct, Story};
use crate::{GatePosition, Generation, StampId, Timestamp};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";

const MOMENT: Duration = Duration::from_millis(1);

fn decided(story: &Story, situation: &Situation) -> Decision {
    decide(situation, &story.policy, &Default::default())
}

/// `freeze.clear_after` is two minutes.
#[test]
fn a_freeze_ends_two_minutes_after_its_cause_was_last_seen_and_not_before() {
    let story = Story::calm(3);
    let now = story.now;
    let before = Some(now.before(Duration::from_secs(5_000)));
    for (ago, stands) in [
        (Duration::ZERO, true),
        (Duration::from_secs(120) - MOMENT, true),
        (Duration::from_secs(120), false),
        (Duration::from_secs(120) + MOMENT, false),
    ] {
        let mut situation = story.situation(&[]);
        let freeze = Freeze {
            cause: FreezeCause::MostRegionsAtOnce,
            since: now.before(Duration::from_secs(1_000)),
            last_seen: now.before(ago),
        };
        (situation.state.freeze, situation.state.freeze_ended_at) = (Some(freeze), before);
        let decision = decided(&story, &situation);
        assert_eq!(decision.freeze, stands.then_some(freeze), "{ago:?} ago");
        let ended = if stands { before } else { Some(now) };
        assert_eq!(decision.freeze_ended_at, ended, "{ago:?} ago");
    }
}

#[test]
fn a_removal_counts_for_the_next_one_also_when_its_region_is_back() {
    let mut story = Story::calm(3);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Evacuating, 200);
    let removed_at = story.now;
    assert_eq!(story.state.last_removal_at, Some(removed_at));
    story.scene(LOST).direct = Direct::Healthy;
    story.policy.ramp.load_factor_max = 1_000.0;
    story.until(LOST, Stage::Serving, 7_200);
    assert_eq!(story.state.last_removal_at, Some(removed_at));
}

/// One instance carries 150 requests per second, and 15 % of head-room are asked for.
#[test]
fn a_survivors_floor_carries_what_arrives_there_with_head_room() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    assert_eq!(story.case(OTHER).floor, Some(5), "600 x 1.15 over 150");
    story.scene(OTHER).load_rps = 1_000.0;
    story.tick();
    assert_eq!(story.case(OTHER).floor, Some(8), "1000 x 1.15 over 150");
}

#[test]
fn a_returning_stamps_floor_carries_its_own_demand_with_head_room() {
    let mut story = Story::calm(2);
    story.scene(LOST).load_rps = 1_000.0;
    for stamp in [LOST, OTHER] {
        story.scene(stamp).ready = 12;
    }
    story.run(300);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 200);
    assert_eq!(story.case(LOST).floor, None);
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Proving, 200);
    assert_eq!(story.case(LOST).floor, Some(8), "1000 x 1.15 over 150");
}

#[test]
fn a_full_stamps_floor_carries_what_arrives_there_with_head_room() {
    let mut story = Story::calm(2);
    let scene = story.scene(OTHER);
    (scene.direct, scene.load_rps, scene.saturation) = (Direct::Full, 1_000.0, 1.0);
    story.tick();
    assert_eq!(story.case(OTHER).floor, Some(8), "1000 x 1.15 over 150");
    assert_eq!(story.case(LOST).floor, None);
}

#[test]
fn a_gate_of_an_earlier_epoch_is_not_believed() {
    let mut story = Story::calm(2);
    let document = |epoch| GateRead::Is {
        document: GateDocument {
            schema: GATE_SCHEMA,
            stamp: LOST.into(),
            position: GatePosition::Open,
            generation: Generation { epoch, n: 1 },
            heartbeat_at: Timestamp::from_secs(1_800_000_000),
            expires_at: Timestamp::from_secs(1_900_000_000),
            reopen_percents: vec![5, 25, 50],
            reopen_step_s: 180,
            reason: String::new(),
        },
    };
    for (epoch, read, doubted, lets_in) in [
        (2, Some(document(1)), true, false),
        (2, Some(document(2)), false, true),
        (2, Some(document(3)), false, true),
        (2, Some(GateRead::Absent), true, false),
        (1, Some(document(1)), false, true),
        (1, Some(GateRead::Absent), false, true),
        (2, Some(GateRead::Unreadable), false, false),
        (2, None, false, true),
    ] {
        story.state.generation.epoch = epoch;
        let mut situation = story.situation(&[]);
        situation.gates = read.clone().into_iter().map(|read| (StampId::from(LOST), read)).collect();
        let stamp = LOST.into();
        let found = (situation.may_obey_a_lost_gate(&stamp), situation.lets_somebody_in(&stamp));
        assert_eq!(found, (doubted, lets_in), "in epoch {epoch}: {read:?}");
    }
}

#[test]
fn a_record_says_only_of_what_was_not_judged_that_it_was_not() {
    let story = Story::calm(2);
    let written = |basis| {
        let decision = Decision { basis, ..story.decision().clone() };
        serde_json::to_value(&decision).unwrap().get("basis").cloned()
    };
    assert_eq!(written(Basis::Judged), None);
    assert_eq!(written(Basis::FoldedOnly), Some("folded_only".into()));
}
