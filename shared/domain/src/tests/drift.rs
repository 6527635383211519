//! Somebody else changes what we hold: it is said, then put back or left, as the policy says.

use std::time::Duration;

use crate::decide::Action;
use crate::facts::{CapacityFacts, OriginFacts};
use crate::fold::FoldNote;
use crate::policy::{OnDrift, Policy};
use crate::state::Stage;
use crate::step::{Effect, StepStatus};
use crate::testing::{Direct, Story, shipped, stored_step};
use crate::{EnabledState, FailureCode, GatePosition, Order, StampId, StoredStep, Timestamp, drift};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";

fn under(on: OnDrift) -> Policy {
    let mut policy = shipped();
    policy.drift.origin = on;
    policy.drift.floor = on;
    // Its load is back at once in these stories.
    policy.ramp.load_factor_max = 1_000.0;
    policy
}

/// The first of three stamps is lost and latched, the others' floors stand.
fn latched(policy: Policy) -> Story {
    let mut story = Story::calm_under(policy, 3);
    story.scene(LOST).direct = Direct::Down;
    for other in [OTHER, "westus"] {
        story.scene(other).ready = 12;
    }
    story.run_until(1_200, |story| story.scenes[&StampId::from(LOST)].origin == EnabledState::Disabled);
    story.run(60);
    assert!(story.case(LOST).latched_at.is_some() && story.case(OTHER).floor_recorded.is_some());
    assert_eq!(told(&story), Vec::<String>::new(), "what we do ourselves is no drift");
    story
}

/// What the audit says that somebody else did.
fn told(story: &Story) -> Vec<String> {
    let notes = story.records.iter().flat_map(|record| {
        serde_json::from_value::<Vec<FoldNote>>(record.situation.to_value()["notes"].clone()).unwrap()
    });
    notes
        .filter_map(|note| match note {
            FoldNote::ChangedElsewhere { text } => Some(text),
            _ => None,
        })
        .collect()
}

fn origin(story: &Story) -> EnabledState {
    story.scenes[&StampId::from(LOST)].origin
}

#[test]
fn an_enabled_origin_is_disabled_again_and_the_audit_says_who_did_what() {
    let mut story = latched(under(OnDrift::ReAssert));
    story.scene(LOST).origin = EnabledState::Enabled;
    story.run(20);
    assert_eq!(origin(&story), EnabledState::Disabled);
    let told = told(&story);
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("somebody else enabled the origin of eastus2"), "{told:?}");
    assert!(told[0].contains("disabled again"), "{told:?}");
    assert_eq!(story.in_force(&StampId::from(LOST)), GatePosition::Closed);
}

#[test]
fn a_latch_that_yields_leaves_the_origin_and_keeps_the_gate_closed() {
    let mut story = latched(under(OnDrift::Yield));
    story.scene(LOST).origin = EnabledState::Enabled;
    story.run(1_200);
    assert_eq!(origin(&story), EnabledState::Enabled, "it is not latched a second time in this cordon");
    assert_eq!(story.case(LOST).latched_at, None);
    assert_eq!(story.in_force(&StampId::from(LOST)), GatePosition::Closed);
    assert_eq!(told(&story).len(), 1);
    // It comes back as one that never was latched.
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Serving, 7_200);
    assert_eq!(story.case(LOST).origin_yielded_at, None, "the next cordon may latch");
}

#[test]
fn nobody_fights_over_an_origin_for_ever() {
    let mut story = latched(under(OnDrift::ReAssert));
    let most = story.policy.drift.reassert_max;
    for _ in 0..most + 3 {
        story.scene(LOST).origin = EnabledState::Enabled;
        story.run(60);
    }
    assert_eq!(origin(&story), EnabledState::Enabled, "we gave it up");
    assert!(told(&story)[usize::try_from(most).unwrap()].contains("given up"), "{:?}", told(&story));
}

#[test]
fn a_floor_that_is_taken_away_is_set_again() {
    let mut story = latched(under(OnDrift::ReAssert));
    let held = story.case(OTHER).floor_recorded.unwrap();
    story.scene(OTHER).our_floor = None;
    story.run(20);
    assert_eq!(story.scenes[&StampId::from(OTHER)].our_floor.map(|(minimum, _)| minimum), Some(held));
    let told = told(&story);
    assert!(told.len() == 1 && told[0].contains("the capacity floor of centralus"), "{told:?}");
}

#[test]
fn a_floor_that_yields_is_left_until_the_cordon_is_over() {
    let mut story = latched(under(OnDrift::Yield));
    story.scene(OTHER).our_floor = Some((2, story.now + Duration::from_secs(20_000)));
    story.run(600);
    assert_eq!(story.scenes[&StampId::from(OTHER)].our_floor.map(|(minimum, _)| minimum), Some(2));
    assert_eq!(told(&story).len(), 1);
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Serving, 7_200);
    story.run(1_200);
    assert_eq!(story.case(OTHER).floor_yielded_at, None);
}

#[test]
fn floors_that_expire_or_that_we_give_back_are_no_drift() {
    let mut story = latched(under(OnDrift::Yield));
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Serving, 7_200);
    story.run(1_200);
    assert_eq!(story.scenes[&StampId::from(OTHER)].our_floor, None, "given back");
    assert_eq!(told(&story), Vec::<String>::new());
}

/// Whoever slept folds what was read meanwhile after the end of its own writes. (Simulation, seed 40000682: a floor was given
/// up as somebody else's, and stood until it expired.)
#[test]
fn what_was_read_before_a_write_of_ours_was_over_is_no_change_of_it() {
    let story = latched(under(OnDrift::ReAssert));
    let ended = |about: &str| {
        let of = story.steps.iter().filter(|stored| stored.step.effect.stamp().as_str() == about);
        let done = of.filter(|stored| !matches!(stored.step.effect, Effect::SetGate { .. }));
        done.filter_map(|stored| stored.step.ended_at()).max().unwrap()
    };
    for (read_after_s, expected) in [(-30, 0), (30, 1)] {
        let mut state = story.state.clone();
        let mut found = Vec::new();
        for stamp in [LOST, OTHER] {
            let (stamp, ended) = (StampId::from(stamp), ended(stamp));
            let at = |after_s: i64| Timestamp::from_millis(ended.as_millis() + after_s * 1_000);
            let (before, read_at) = (at(-60), at(read_after_s));
            let origin = |read_at| OriginFacts { read_at, enabled: EnabledState::Enabled, updating: false };
            let floor = |read_at| CapacityFacts {
                our_floor: None,
                our_floor_until: None,
                read_at,
                ..story.state.capacity[&stamp]
            };
            let (steps, policy) = (&story.steps, &story.policy);
            if stamp == LOST.into() {
                state.origins.insert(stamp.clone(), origin(before));
                found.extend(drift::of_origin(&mut state, steps, &stamp, &origin(read_at), policy));
            } else {
                state.capacity.insert(stamp.clone(), floor(before));
                found.extend(drift::of_floor(&mut state, steps, &stamp, &floor(read_at), policy));
            }
        }
        assert_eq!(found.len(), expected * 2, "{found:?}");
    }
}

#[test]
fn an_origin_that_is_not_ours_is_said_and_left() {
    let mut story = Story::calm(3);
    story.scene(OTHER).origin = EnabledState::Disabled;
    story.run(30);
    let told = told(&story);
    assert!(
        told.len() == 1 && told[0].contains("somebody else disabled the origin of centralus"),
        "{told:?}"
    );
    assert_eq!(story.scenes[&StampId::from(OTHER)].origin, EnabledState::Disabled);
    assert_eq!(story.action(OTHER), &Action::Stay);
}

#[test]
fn a_held_stamp_is_not_put_back() {
    let mut story = latched(under(OnDrift::ReAssert));
    story.order(Order::Hold { stamp: LOST.into() });
    story.run(20);
    story.scene(LOST).origin = EnabledState::Enabled;
    story.run(60);
    assert_eq!(origin(&story), EnabledState::Enabled, "a hold outranks it");
    assert_eq!(told(&story).len(), 1);
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(1_800_000_000 + second)
}

fn step(effect: Effect, status: StepStatus, attempts: u32) -> StoredStep {
    stored_step(effect, status, attempts, at(0))
}

fn failed(second: i64) -> StepStatus {
    let at = Timestamp::from_secs(1_800_000_000 + second);
    StepStatus::Failed { at, code: FailureCode::Rejected, detail: String::new() }
}

fn void(second: i64) -> StepStatus {
    StepStatus::Void { at: Timestamp::from_secs(1_800_000_000 + second), why: String::new() }
}

fn done(second: i64) -> StepStatus {
    StepStatus::Done { verified_at: Timestamp::from_secs(1_800_000_000 + second) }
}

/// What is said when an origin was read enabled at 100 s, and is read disabled at 200 s, beside this step of ours.
fn is_said_of_the_origin(stored: StoredStep) -> bool {
    let mut state = Story::calm(2).state;
    let read = |second, enabled| OriginFacts { read_at: at(second), enabled, updating: false };
    state.origins.insert(LOST.into(), read(100, EnabledState::Enabled));
    let new = read(200, EnabledState::Disabled);
    drift::of_origin(&mut state, &[stored], &LOST.into(), &new, &shipped()).is_some()
}

#[test]
fn what_a_step_of_ours_may_have_done_is_no_change_by_somebody_else() {
    let disables = |stamp: &str| Effect::SetOrigin { stamp: stamp.into(), enabled: EnabledState::Disabled };
    let enables = || Effect::SetOrigin { stamp: LOST.into(), enabled: EnabledState::Enabled };
    let claimed = || StepStatus::Claimed { owner: "one".into(), deadline: at(300) };
    let pending = || StepStatus::Pending { not_before: at(0) };
    for (effect, status, attempts, said) in [
        (disables(LOST), pending(), 0, true),
        (disables(LOST), pending(), 1, false),
        (disables(LOST), claimed(), 1, false),
        (disables(OTHER), claimed(), 1, true),
        (enables(), claimed(), 1, true),
        (disables(LOST), failed(99), 1, true),
        (disables(LOST), failed(100), 1, false),
        (disables(LOST), failed(99), 2, false),
        (disables(LOST), void(99), 0, true),
        (disables(LOST), void(99), 1, false),
        (disables(LOST), done(99), 1, true),
        (disables(LOST), done(100), 1, false),
        (disables(LOST), done(200), 1, false),
        (disables(OTHER), done(150), 1, true),
        (enables(), done(150), 1, true),
        // Read before ours was over, whatever ours was.
        (enables(), done(200), 1, true),
        (enables(), done(201), 1, false),
    ] {
        let stored = step(effect, status, attempts);
        assert_eq!(is_said_of_the_origin(stored.clone()), said, "{stored:?}");
    }
}

/// What is said when a floor of 8 that we recorded, and read at 100 s if `stood`, is read anew at 200 s.
fn is_said_of_the_floor(
    (stood, until_s): (Option<u32>, i64),
    now: Option<u32>,
    steps: &[StoredStep],
) -> Option<u32> {
    let mut state = Story::calm(2).state;
    state.cases.get_mut(&StampId::from(OTHER)).unwrap().floor_recorded = Some(8);
    let read = |second, our_floor: Option<u32>| CapacityFacts {
        read_at: at(second),
        our_floor,
        our_floor_until: our_floor.map(|_| at(until_s)),
        ..state.capacity[&StampId::from(OTHER)]
    };
    let (old, new) = (read(100, stood), read(200, now));
    state.capacity.insert(OTHER.into(), old);
    let mut policy = shipped();
    policy.drift.floor = OnDrift::ReAssert;
    drift::of_floor(&mut state, steps, &OTHER.into(), &new, &policy)?;
    Some(state.cases[&StampId::from(OTHER)].floor_reasserted)
}

#[test]
fn a_floor_is_taken_away_only_if_it_stood_and_neither_expired_nor_was_ours_to_move() {
    let raise = |stamp: &str, minimum, status| {
        step(Effect::RaiseFloor { stamp: stamp.into(), minimum, until: at(900) }, status, 1)
    };
    let restore =
        |stamp: &str, status| step(Effect::RestoreFloor { stamp: stamp.into(), recorded: 8 }, status, 1);
    for (before, now, steps, said) in [
        ((Some(8), 900), None, vec![], true),
        ((Some(8), 900), Some(7), vec![], true),
        ((Some(8), 900), Some(8), vec![], false),
        ((Some(8), 900), Some(9), vec![], false),
        ((Some(9), 900), None, vec![], true),
        // It did not stand when it was last read, and nobody has confirmed it since.
        ((Some(7), 900), None, vec![], false),
        ((None, 0), None, vec![], false),
        ((Some(7), 900), None, vec![raise(OTHER, 8, done(150))], true),
        ((None, 0), None, vec![raise(LOST, 8, done(150))], false),
        // It expires of itself.
        ((Some(8), 200), None, vec![], false),
        ((Some(8), 201), None, vec![], true),
        // A write of ours that may explain it.
        ((Some(8), 900), None, vec![restore(OTHER, failed(150))], false),
        ((Some(8), 900), None, vec![restore(LOST, failed(150))], true),
        ((Some(8), 900), Some(5), vec![raise(OTHER, 5, failed(150))], false),
        ((Some(8), 900), Some(5), vec![raise(LOST, 5, failed(150))], true),
        ((Some(8), 900), Some(5), vec![raise(OTHER, 6, failed(150))], true),
        ((Some(8), 900), Some(5), vec![raise(OTHER, 5, failed(99))], true),
    ] {
        let reasserted = is_said_of_the_floor(before, now, &steps);
        assert_eq!(reasserted, said.then_some(1), "{before:?} {now:?} {steps:?}");
    }
}

#[test]
fn a_floor_that_nobody_recorded_is_adopted_from_an_attempt_that_wanted_exactly_it() {
    let raise = |stamp: &str, minimum, status, attempts| {
        step(Effect::RaiseFloor { stamp: stamp.into(), minimum, until: at(900) }, status, attempts)
    };
    let restore =
        |stamp: &str, status| step(Effect::RestoreFloor { stamp: stamp.into(), recorded: 8 }, status, 1);
    let ours = || raise(OTHER, 8, void(50), 1);
    for (steps, adopted) in [
        (vec![ours()], true),
        (vec![raise(OTHER, 8, failed(50), 1)], true),
        (vec![raise(OTHER, 8, void(50), 0)], false),
        (vec![raise(OTHER, 7, void(50), 1)], false),
        (vec![raise(LOST, 8, void(50), 1)], false),
        (vec![raise(OTHER, 8, done(50), 1)], false),
        // Given back since it was read, or about to be.
        (vec![ours(), restore(OTHER, done(199))], true),
        (vec![ours(), restore(OTHER, done(200))], false),
        (vec![ours(), restore(OTHER, StepStatus::Pending { not_before: at(0) })], false),
        (vec![ours(), restore(LOST, done(200))], true),
    ] {
        // Simulation, seed 71000257: the attempt was to raise a floor that was recorded, and died.
        for before in [None, Some((7, at(20)))] {
            assert_eq!(
                floor_beside(before, &steps),
                (if adopted { Some((8, at(200))) } else { before }, adopted)
            );
        }
        for before in [(8, at(20)), (9, at(20))] {
            assert_eq!(floor_beside(Some(before), &steps), (Some(before), false), "{steps:?}");
        }
    }
}

/// The floor that is recorded after one of 8 was read at 200 s beside these steps, and whether anything is said of it.
fn floor_beside(before: Option<(u32, Timestamp)>, steps: &[StoredStep]) -> (Option<(u32, Timestamp)>, bool) {
    let mut state = Story::calm(2).state;
    let case = state.cases.get_mut(&StampId::from(OTHER)).unwrap();
    (case.floor_recorded, case.floor_set_at) = before.unzip();
    let new = CapacityFacts {
        read_at: at(200),
        our_floor: Some(8),
        our_floor_until: Some(at(900)),
        ..state.capacity[&StampId::from(OTHER)]
    };
    let said = drift::of_floor(&mut state, steps, &OTHER.into(), &new, &shipped());
    let case = &state.cases[&StampId::from(OTHER)];
    (case.floor_recorded.zip(case.floor_set_at), said.is_some())
}

#[test]
fn what_was_given_back_is_not_put_back_and_nothing_is_more_often_than_allowed() {
    let most = shipped().drift.reassert_max;
    let change = |latched: bool, wanted, reasserted| {
        let mut state = Story::calm(2).state;
        let read = |second, enabled| OriginFacts { read_at: at(second), enabled, updating: false };
        state.origins.insert(LOST.into(), read(100, EnabledState::Disabled));
        let case = state.cases.get_mut(&StampId::from(LOST)).unwrap();
        (case.latched_at, case.origin, case.origin_reasserted) =
            (latched.then(|| at(50)), wanted, reasserted);
        let new = read(200, EnabledState::Enabled);
        let policy = under(OnDrift::ReAssert);
        let Some(FoldNote::ChangedElsewhere { text }) =
            drift::of_origin(&mut state, &[], &LOST.into(), &new, &policy)
        else {
            panic!("nothing is said");
        };
        (text.contains("not held by us"), text.contains("disabled again"))
    };
    assert_eq!(change(true, EnabledState::Disabled, 0), (false, true));
    assert_eq!(change(true, EnabledState::Disabled, most - 1), (false, true));
    assert_eq!(change(true, EnabledState::Disabled, most), (false, false), "given up");
    assert_eq!(change(true, EnabledState::Enabled, 0), (true, false), "on its way in");
    assert_eq!(change(false, EnabledState::Disabled, 0), (true, false), "never latched by us");

    let floor = |reasserted| {
        let mut state = Story::calm(2).state;
        let case = state.cases.get_mut(&StampId::from(OTHER)).unwrap();
        (case.floor_recorded, case.floor_reasserted) = (Some(8), reasserted);
        let read = |second, our_floor: Option<u32>| CapacityFacts {
            read_at: at(second),
            our_floor,
            our_floor_until: our_floor.map(|_| at(900)),
            ..state.capacity[&StampId::from(OTHER)]
        };
        let (old, new) = (read(100, Some(8)), read(200, None));
        state.capacity.insert(OTHER.into(), old);
        let said = drift::of_floor(&mut state, &[], &OTHER.into(), &new, &under(OnDrift::ReAssert));
        assert!(said.is_some());
        state.cases[&StampId::from(OTHER)].floor_recorded.is_some()
    };
    assert_eq!((floor(0), floor(most - 1), floor(most)), (true, true, false));
}
