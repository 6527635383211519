//! A new epoch: what the first commit of it says, and that no gate which the ledger lost stays in force.

use std::time::Duration;

use serde_json::json;

use crate::decide::{GateRead, Situation};
use crate::drift;
use crate::facts::OriginFacts;
use crate::judge::{judge, replay, transition};
use crate::state::Stage;
use crate::testing::{Direct, Story, shipped};
use crate::{
    Effect, EnabledState, GatePosition, Generation, OperationId, Purpose, StampId, Timestamp, Transition,
};

const ONE: &str = "eastus2";
const OTHER: &str = "centralus";

fn committed(story: &Story, situation: &Situation) -> Transition {
    let judgement = judge(situation, &story.policy);
    let parent = Some(story.state.generation);
    transition(situation, &judgement, vec![], parent, OperationId::new("next"), &story.policy)
}

#[test]
fn the_first_commit_of_an_epoch_says_so_and_its_record_can_be_run_again() {
    let story = Story::calm(2);
    let before = story.state.generation;
    let next = committed(&story, &story.situation(&[]).in_epoch(7, "commits are decided in eastus2 now"));
    assert_eq!(next.state.generation, Generation { epoch: 7, n: before.n + 1 });
    let record = next.audit.unwrap();
    assert_eq!(record.begins_epoch_after(), Some(before));
    assert!(record.because.iter().any(|line| line.contains("decided in eastus2")), "{:?}", record.because);
    assert_eq!(record.situation.to_value()["notes"][0]["note"], json!("epoch_began"));
    assert_eq!(replay(&record, &story.policy), Ok(()));
    assert_eq!(story.records.iter().find_map(|record| record.begins_epoch_after()), None);
}

#[test]
fn every_gate_is_written_anew_in_a_new_epoch_whatever_the_ledger_knows_of_it() {
    let story = Story::calm(2);
    let mut situation = story.situation(&[]).in_epoch(7, "moved");
    let next = committed(&story, &situation);
    let written = |next: &Transition| -> Vec<(StampId, GatePosition, Purpose)> {
        let gates = next.steps.iter().filter_map(|write| match &write.step.effect {
            Effect::SetGate { stamp, position, .. } if write.expected.is_none() => {
                assert_eq!(write.step.generation.epoch, 7);
                Some((stamp.clone(), *position, write.step.purpose))
            }
            _ => None,
        });
        gates.collect()
    };
    let mut all = written(&next);
    all.sort_by(|a, b| a.0.cmp(&b.0));
    let open = |stamp: &str| (StampId::from(stamp), GatePosition::Open, Purpose::Maintenance);
    assert_eq!(all, [open(OTHER), open(ONE)]);
    // Until it is written nobody may count on it: a stamp may obey a gate that the ledger forgot.
    assert!(!situation.lets_somebody_in(&ONE.into()));
    // Once it is in force there is nothing more to do.
    for write in &next.steps {
        let Effect::SetGate { stamp, position, expires_at, reason } = &write.step.effect else { continue };
        let document = crate::GateDocument {
            schema: crate::gate::GATE_SCHEMA,
            stamp: stamp.clone(),
            position: *position,
            generation: write.step.generation,
            heartbeat_at: story.now,
            expires_at: *expires_at,
            reopen_percents: vec![],
            reopen_step_s: 60,
            reason: reason.clone(),
        };
        situation.gates.insert(stamp.clone(), GateRead::Is { document });
    }
    assert!(situation.lets_somebody_in(&ONE.into()));
    assert_eq!(written(&committed(&story, &situation)), []);
}

/// Three stamps of which the first is lost, cordoned and latched, in a ledger that is then replaced by what it was when
/// `then` held.
fn failed_over_to(then: impl Fn(&Story) -> bool) -> Story {
    let mut story = Story::calm_under(shipped(), 3);
    story.scene(ONE).direct = Direct::Down;
    for other in [OTHER, "westus"] {
        story.scene(other).ready = 12;
    }
    story.run_until(1_200, then);
    let kept = (story.state.clone(), story.steps.clone());
    story.run_until(1_200, |story| story.scenes[&StampId::from(ONE)].origin == EnabledState::Disabled);
    (story.state, story.steps) = kept;
    story.state.begin_epoch(story.now);
    story.state.generation.epoch += 1;
    story
}

/// Simulation, seed 71000003: the commit that disabled the origin was lost with the write region. The stamp came back, its gate
/// was open, and nobody was ever sent to it.
#[test]
fn a_latch_whose_commit_was_lost_is_taken_for_ours_and_undone_on_the_return() {
    let mut story = failed_over_to(|story| story.case(ONE).stage == Stage::Cordoned);
    assert_eq!(story.case(ONE).latched_at, None);
    story.run(60);
    assert!(story.case(ONE).latched_at.is_some());
    let told: Vec<&String> = story.records.iter().flat_map(|record| &record.because).collect();
    assert_eq!(told.iter().filter(|line| line.contains("a commit of ours that was lost")).count(), 1);
    assert!(!told.iter().any(|line| line.contains("somebody else")), "{told:?}");
    story.scene(ONE).direct = Direct::Healthy;
    story.run_until(14_400, |story| story.case(ONE).stage == Stage::Serving);
    assert_eq!(story.scenes[&StampId::from(ONE)].origin, EnabledState::Enabled);
}

#[test]
fn a_floor_whose_commit_was_lost_is_taken_for_ours_and_given_back() {
    let mut story = failed_over_to(|story| story.state.cases.len() == 3);
    let floor = |story: &Story| story.scenes[&StampId::from(OTHER)].our_floor;
    assert!(floor(&story).is_some() && story.case(OTHER).floor_recorded.is_none());
    story.scene(ONE).direct = Direct::Healthy;
    story.run(120);
    story.run_until(14_400, |story| story.case(OTHER).floor_recorded.is_none());
    assert_eq!(floor(&story), None);
}

#[test]
fn what_was_so_before_or_comes_much_later_is_not_ours() {
    let disabled = |second: u64| OriginFacts {
        read_at: Timestamp::from_secs(1_800_000_000) + Duration::from_secs(second),
        enabled: EnabledState::Disabled,
        updating: false,
    };
    let began = Timestamp::from_secs(1_800_000_000);
    for (stage, was, second, adopted) in [
        (Stage::Cordoned, EnabledState::Enabled, 3_600, true),
        (Stage::Proving, EnabledState::Enabled, 1, true),
        (Stage::Cordoned, EnabledState::Enabled, 3_601, false),
        (Stage::Cordoned, EnabledState::Disabled, 1, false),
        (Stage::Serving, EnabledState::Enabled, 1, false),
        (Stage::Readmitting, EnabledState::Enabled, 1, false),
    ] {
        let mut state = Story::calm(2).state;
        let one = StampId::from(ONE);
        state.origins.insert(one.clone(), OriginFacts { read_at: began, enabled: was, updating: false });
        state.begin_epoch(began);
        let case = state.cases.get_mut(&one).unwrap();
        case.stage = stage;
        case.decided_at = (stage != Stage::Serving).then_some(began);
        let _ = drift::of_origin(&mut state, &[], &one, &disabled(second), &shipped());
        let latched = adopted.then(|| disabled(second).read_at);
        assert_eq!(state.cases[&one].latched_at, latched, "{stage:?} {was:?} {second}");
    }
}
