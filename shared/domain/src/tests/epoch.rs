//! A new epoch: what the first commit of it says, and that no gate which the ledger lost stays in force.

use serde_json::json;

use crate::decide::{GateRead, Situation};
use crate::judge::{judge, replay, transition};
use crate::testing::Story;
use crate::{Effect, GatePosition, Generation, OperationId, Purpose, StampId, Transition};

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
