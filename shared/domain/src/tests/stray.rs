//! Attempts that were never heard of again, and returns that are only wanted: neither may cost the last region.

use std::time::Duration;

use crate::decide::{Action, GateRead};
use crate::state::Stage;
use crate::testing::{Direct, Executor, Story, stored_step};
use crate::{
    Effect, EnabledState, GatePosition, Order, Purpose, StampId, Step, StepId, StepStatus, StoredStep,
};

const LOST: &str = "eastus2";
const OTHER: &str = "centralus";

/// A stamp is lost and its gate's step claimed by somebody who is not heard of again; then the cordon is withdrawn by a
/// freeze, before the gate closed.
fn unheard_of() -> (Story, Step) {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.executor = Executor::Stopped;
    story.until(LOST, Stage::Evacuating, 180);
    let deadline = story.now + Duration::from_secs(60);
    let claimed = story
        .steps
        .iter_mut()
        .find(|stored| stored.step.purpose == Purpose::Removal)
        .expect("its gate is to be closed");
    claimed.version += 1;
    claimed.step.attempts = 1;
    claimed.step.status = StepStatus::Claimed { owner: "asleep".into(), deadline };
    let asleep = claimed.step.clone();
    for stamp in [LOST, OTHER] {
        story.scene(stamp).direct = Direct::AuthRefused;
    }
    story.run_until(120, |story| story.state.freeze.is_some());
    for stamp in [LOST, OTHER] {
        story.scene(stamp).direct = Direct::Healthy;
    }
    let is_void = |story: &Story| {
        let step = story.steps.iter().find(|stored| stored.step.id == asleep.id);
        step.is_some_and(|stored| matches!(stored.step.status, StepStatus::Void { .. }))
    };
    story.run_until(300, is_void);
    (story, asleep)
}

#[test]
fn a_void_attempt_that_may_still_close_the_gate_is_fenced_off_by_a_newer_document() {
    let (mut story, asleep) = unheard_of();
    assert_eq!(story.documents.get(&StampId::from(LOST)), None, "nobody has written this gate");
    story.executor = Executor::Works;
    story.run(20);
    let document = &story.documents[&StampId::from(LOST)];
    assert_eq!(document.position, GatePosition::Open);
    assert!(document.generation > asleep.generation, "{document:?}");
    let written = document.generation;
    story.run(60);
    assert_eq!(story.documents[&StampId::from(LOST)].generation, written, "once is enough");
}

#[test]
fn until_it_is_fenced_off_the_other_gate_stays_open() {
    let (mut story, _) = unheard_of();
    story.run_until(900, |story| story.state.freeze.is_none());
    story.scene(OTHER).direct = Direct::Down;
    for _ in 0..60 {
        story.tick();
        let removes = |step: &Step| step.purpose == Purpose::Removal && step.effect.stamp().as_str() == OTHER;
        assert!(!story.created().iter().any(removes), "{:?}", story.created());
    }
    story.executor = Executor::Works;
    story.run_until(120, |story| story.in_force(&StampId::from(OTHER)) == GatePosition::Closed);
}

#[test]
fn a_return_that_is_only_wanted_is_no_survivor() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 300);
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Proving, 300);
    story.executor = Executor::Stopped;
    story.scene(OTHER).direct = Direct::Down;
    story.run_until(300, |story| *story.action(LOST) == Action::EmergencyReturn);
    story.order(Order::Resume);
    for _ in 0..60 {
        story.tick();
        assert_eq!(story.in_force(&StampId::from(LOST)), GatePosition::Closed, "nobody opens it");
        let removes = |step: &Step| step.purpose == Purpose::Removal && step.effect.stamp().as_str() == OTHER;
        assert!(!story.created().iter().any(removes), "{:?}", story.created());
    }
}

#[test]
fn an_origin_is_given_back_only_after_our_own_change_of_it_is_over() {
    let mut story = Story::calm(3);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 300);
    story.run_until(900, |story| story.case(LOST).latched_at.is_some());
    // The operation that disables it is under way, and the origin still reads as it was.
    let running = |story: &mut Story| {
        let latch = |step: &Step| matches!(step.effect, Effect::SetOrigin { .. });
        let stored = story.steps.iter_mut().find(|stored| latch(&stored.step)).expect("the latch");
        let poll_at = story.now + Duration::from_secs(3_600);
        stored.step.status =
            StepStatus::Running { operation: "slow".into(), poll_at, accepted_at: story.now };
    };
    running(&mut story);
    story.scene(LOST).origin = EnabledState::Enabled;
    story.scene(LOST).direct = Direct::Healthy;
    story.until(LOST, Stage::Proving, 300);
    for _ in 0..30 {
        running(&mut story);
        story.tick();
        assert!(story.case(LOST).latched_at.is_some(), "it is still ours: {:?}", story.steps);
    }
}

#[test]
fn a_gate_read_older_than_what_is_known_to_be_done_permits_nothing() {
    let mut story = Story::calm(2);
    story.scene(LOST).direct = Direct::Down;
    story.until(LOST, Stage::Cordoned, 300);
    let seen = story.situation(&[]);
    assert!(matches!(seen.gates[&StampId::from(LOST)], GateRead::Is { .. }));
    story.documents.remove(&StampId::from(LOST));
    let stale = story.situation(&[]);
    assert_eq!(stale.gates[&StampId::from(LOST)], GateRead::Unreadable);
    assert!(!stale.lets_somebody_in(&StampId::from(LOST)));
}

/// The model's finding with four decisions: the answer to a write that closed a gate was lost, the gate was read back
/// closed, and the step became void. A replica that still showed the gate as it was before was then believed: the region
/// counted as serving while another left.
#[test]
fn a_write_whose_answer_was_lost_is_done_once_its_document_is_read() {
    for claimed in [false, true] {
        let mut story = Story::calm(2);
        story.scene(LOST).direct = Direct::Down;
        story.executor = Executor::Stopped;
        story.until(LOST, Stage::Evacuating, 180);
        story.executor = Executor::Works;
        story.run_until(120, |story| story.in_force(&StampId::from(LOST)) == GatePosition::Closed);
        let written = story.documents[&StampId::from(LOST)].generation;
        // As it was before anybody heard of the end of that attempt.
        story.inbox.clear();
        let now = story.now;
        let closes =
            |step: &Step| step.generation == written && matches!(step.effect, Effect::SetGate { .. });
        let stored = story.steps.iter_mut().find(|stored| closes(&stored.step)).expect("its step");
        stored.step.attempts = 1;
        stored.step.status = if claimed {
            StepStatus::Claimed { owner: "gone".into(), deadline: now }
        } else {
            StepStatus::Pending { not_before: now }
        };
        let id = stored.step.id.clone();
        story.executor = Executor::Stopped;
        story.until(LOST, Stage::Cordoned, 120);
        let step = &story.steps.iter().find(|stored| stored.step.id == id).expect("remembered").step;
        assert!(matches!(step.status, StepStatus::Done { .. }), "{step:?}");
        story.documents.remove(&StampId::from(LOST));
        let stale = story.situation(&[]);
        assert_eq!(stale.gates[&StampId::from(LOST)], GateRead::Unreadable, "older than what was read");
    }
}

#[test]
fn a_void_attempt_that_arrives_after_all_is_done() {
    let (mut story, asleep) = unheard_of();
    let _ = story.perform(&asleep);
    assert_eq!(story.in_force(&StampId::from(LOST)), GatePosition::Closed);
    story.tick();
    let of_it = |story: &Story| {
        let found = story.steps.iter().find(|stored| stored.step.id == asleep.id);
        found.map(|stored| stored.step.status.clone())
    };
    assert!(matches!(of_it(&story), Some(StepStatus::Done { .. })), "{:?}", of_it(&story));
    story.documents.remove(&StampId::from(LOST));
    assert_eq!(story.situation(&[]).gates[&StampId::from(LOST)], GateRead::Unreadable);
}

/// A step of ours for the origin of `LOST`, which is over.
fn ended(story: &Story, attempts: u32, status: StepStatus) -> StoredStep {
    let effect = Effect::SetOrigin { stamp: LOST.into(), enabled: EnabledState::Disabled };
    let stored = stored_step(effect, status, attempts, story.now);
    StoredStep { step: Step { generation: story.state.generation, ..stored.step }, ..stored }
}

#[test]
fn an_origin_that_a_lost_attempt_disabled_is_enabled_again() {
    let at = Story::calm(3).now.before(Duration::from_secs(120));
    let void = StepStatus::Void { at, why: "no longer wanted".into() };
    let done = StepStatus::Done { verified_at: at };
    for (attempts, status, repaired) in [
        (1, void.clone(), true),
        (2, done.clone(), true),
        // Nobody ever had it, or the one who had it has reported: somebody else disabled the origin.
        (0, void, false),
        (1, done, false),
    ] {
        let mut story = Story::calm(3);
        let step = ended(&story, attempts, status.clone());
        story.steps.push(step);
        story.scene(LOST).origin = EnabledState::Disabled;
        story.run(60);
        let now = story.scene(LOST).origin;
        assert_eq!(now == EnabledState::Enabled, repaired, "{attempts} attempts, {status:?}");
    }
}

/// The model's finding with four decisions: an operation of somebody else kept both waiting, and each evaluation made the
/// steps void that the one before had planned.
#[test]
fn of_two_origins_to_change_one_has_its_turn_and_keeps_it() {
    let mut story = Story::calm(3);
    let mut situation = story.situation(&[]);
    let mut decision = crate::judge::judge(&situation, &story.policy).decision;
    for stamp in [LOST, OTHER] {
        let case = decision.cases.get_mut(&StampId::from(stamp)).expect("its case");
        (case.latched_at, case.origin) = (Some(story.now), EnabledState::Disabled);
    }
    let mut planned = |situation: &crate::decide::Situation| {
        let generation = situation.state.generation.next();
        story.state.generation = generation;
        crate::plan::plan(&decision, situation, &story.policy, generation)
    };
    let first = planned(&situation).created;
    let origins =
        |steps: &[Step]| steps.iter().filter(|step| matches!(step.effect, Effect::SetOrigin { .. })).count();
    assert_eq!(origins(&first), 1, "{first:?}");
    // Somebody else's operation is under way: the step waits for another attempt, and goes on waiting.
    situation.steps.extend(first.into_iter().map(|step| StoredStep { version: 1, step }));
    let second = planned(&situation);
    assert_eq!((origins(&second.created), second.changed.len()), (0, 0), "{second:?}");
    // One that has just failed is not planned anew for a while, and nobody waits for it.
    let mut failed = situation.clone();
    let ended = failed.steps.last_mut().expect("just planned");
    let (at, code, detail) = (failed.state.as_of, crate::FailureCode::Rejected, String::new());
    ended.step.status = StepStatus::Failed { at, code, detail };
    let instead = planned(&failed).created;
    assert_eq!(origins(&instead), 1, "{instead:?}");
    assert_ne!(instead[0].effect.stamp(), failed.steps[0].step.effect.stamp());
    // Two that an earlier version planned at once: the older of them has the turn.
    let mut other = situation.steps.last().expect("just planned").clone();
    other.step.id = StepId::new("9.9-1");
    other.step.generation = other.step.generation.next();
    let about = if other.step.effect.stamp().as_str() == LOST { OTHER } else { LOST };
    other.step.effect = Effect::SetOrigin { stamp: about.into(), enabled: EnabledState::Disabled };
    situation.steps.push(other.clone());
    let third = planned(&situation);
    let void: Vec<&StepId> = third.changed.iter().map(|write| &write.step.id).collect();
    assert_eq!((origins(&third.created), void), (0, vec![&other.step.id]), "{third:?}");
}
