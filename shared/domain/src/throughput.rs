//! The throughput of the workload's databases: raised while a stamp is out, if the policy asks for it, and given back when all
//! serve again. It holds in every region of the account alike, so there is one step for each setting and none for each stamp.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::{Decision, Situation};
use crate::fold::FoldNote;
use crate::policy::Policy;
use crate::state::{Stage, StampCase, WorkloadState};
use crate::step::{Effect, Purpose, Step, StepOutcome, StepResult};
use crate::transition::StoredStep;
use crate::{FailureCode, StampId, Timestamp};

/// The step of an autoscale maximum, in request units a second.
pub const STEP: u32 = 1_000;

/// A throughput setting as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ThroughputFacts {
    /// When it was read.
    pub read_at: Timestamp,
    /// The autoscale maximum, in request units a second.
    pub maximum: u32,
    /// The most that is there at once: above it partitions are split for hours. None where Azure does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instant: Option<u32>,
}

/// A maximum that we raised and have not given back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HeldThroughput {
    /// When.
    pub since: Timestamp,
    /// The maximum before.
    pub before: u32,
    /// The maximum that we set; another one there now is somebody else's.
    pub set: u32,
    /// When somebody else changed it: it is left to them, and not raised again in this cordon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub yielded_at: Option<Timestamp>,
}

/// What is wanted of the settings now: raised while a stamp is out, given back once all have served for the policy's time and
/// no floor is wanted any more.
pub(crate) fn wanted(decision: &Decision, situation: &Situation, policy: &Policy) -> Vec<(Effect, Purpose)> {
    let state = &situation.state;
    let out = decision.cases.iter().find(|(_, case)| is_out(case)).map(|(stamp, _)| stamp);
    let raise = out.into_iter().flat_map(|stamp| {
        policy
            .throughput
            .iter()
            .filter_map(move |lever| raise(state, stamp, (&lever.resource, lever.maximum)))
    });
    let calm = out.is_none() && is_calm(decision, state, policy);
    // What is held is given back also after the policy has forgotten it.
    let give_back = state.throughput_held.iter().filter(|_| calm).filter_map(|(resource, held)| {
        let stamp = decision.cases.keys().next()?.clone();
        let (resource, before, recorded) = (resource.clone(), held.before, held.set);
        held.yielded_at
            .is_none()
            .then_some((Effect::RestoreThroughput { stamp, resource, before, recorded }, Purpose::Restore))
    });
    raise.chain(give_back).filter(|(effect, _)| !is_ahead(effect, situation)).collect()
}

fn raise(
    state: &WorkloadState,
    stamp: &StampId,
    (resource, wanted): (&str, u32),
) -> Option<(Effect, Purpose)> {
    let facts = state.throughput.get(resource)?;
    let most = facts.instant.map_or(wanted, |instant| wanted.min(instant)) / STEP * STEP;
    if state.throughput_held.contains_key(resource) || most <= facts.maximum {
        return None;
    }
    let (stamp, resource, before) = (stamp.clone(), resource.to_owned(), facts.maximum);
    let effect = Effect::RaiseThroughput { stamp, resource, before, maximum: most };
    Some((effect, Purpose::Reinforcement))
}

/// It was decided to take the stamp out, and it is not back.
fn is_out(case: &StampCase) -> bool {
    case.decided_at.is_some() && case.stage != Stage::Serving
}

fn is_calm(decision: &Decision, state: &WorkloadState, policy: &Policy) -> bool {
    let rested = |case: &StampCase| {
        case.stage == Stage::Serving
            && case.floor.is_none()
            && state.as_of.since(case.since) >= policy.capacity.restore_after.get()
    };
    decision.cases.values().all(rested)
}

/// Whether a step has done this since the setting was read: the world is ahead of our picture of it.
fn is_ahead(effect: &Effect, situation: &Situation) -> bool {
    let Some(resource) = effect.throughput() else { return false };
    let read_at = situation.state.throughput.get(resource).map(|facts| facts.read_at).unwrap_or_default();
    situation.steps.iter().any(|stored| {
        stored.step.effect.same_target(effect)
            && matches!(stored.step.status, crate::StepStatus::Done { verified_at } if verified_at >= read_at)
    })
}

/// Takes what was read. What we hold and somebody else changed is theirs.
pub(crate) fn take_facts(
    state: &mut WorkloadState,
    steps: &[StoredStep],
    read: &BTreeMap<String, ThroughputFacts>,
) -> Vec<FoldNote> {
    let mut notes = Vec::new();
    for (resource, facts) in read {
        if state.throughput.get(resource).is_some_and(|old| facts.read_at < old.read_at) {
            continue;
        }
        state.throughput.insert(resource.clone(), *facts);
        let gives_back = |stored: &StoredStep| {
            matches!(&stored.step.effect, Effect::RestoreThroughput { resource: of, .. } if of == resource)
                && (stored.step.attempts > 0)
                && !matches!(stored.step.status, crate::StepStatus::Failed { .. })
        };
        let Some(held) = state.throughput_held.get_mut(resource) else {
            let lost = steps.iter().find_map(|stored| lost_raise(&stored.step, resource, facts.maximum));
            state.throughput_held.extend(lost.map(|before| {
                let held =
                    HeldThroughput { since: facts.read_at, before, set: facts.maximum, yielded_at: None };
                (resource.clone(), held)
            }));
            continue;
        };
        let changed = facts.maximum != held.set && facts.read_at > held.since && held.yielded_at.is_none();
        if changed && !steps.iter().any(gives_back) {
            held.yielded_at = Some(state.as_of);
            let text = format!(
                "somebody else changed the throughput of {resource} to {} RU/s, which we had raised to {}; it is left to them",
                facts.maximum, held.set
            );
            notes.push(FoldNote::ChangedElsewhere { text });
        }
    }
    if !state.cases.values().any(is_out) {
        state.throughput_held.retain(|_, held| held.yielded_at.is_none());
    }
    notes
}

/// The maximum before an attempt of ours whose end nobody heard of, if what it wanted is what stands: then it is ours to give
/// back. Known for as long as the step is remembered.
fn lost_raise(step: &Step, resource: &str, stands: u32) -> Option<u32> {
    let ended = matches!(step.status, crate::StepStatus::Failed { .. } | crate::StepStatus::Void { .. });
    match &step.effect {
        Effect::RaiseThroughput { resource: of, before, maximum, .. }
            if of == resource && *maximum == stands && *before < stands && ended && step.attempts > 0 =>
        {
            Some(*before)
        }
        _ => None,
    }
}

/// What we set is ours to give back; what was there already, or is somebody else's by now, is not.
pub(crate) fn remember(state: &mut WorkloadState, step: &Step, outcome: &StepOutcome) {
    match (&step.effect, &outcome.result) {
        (Effect::RaiseThroughput { resource, before, .. }, StepResult::Done { recorded: Some(set) }) => {
            let held = HeldThroughput { since: outcome.at, before: *before, set: *set, yielded_at: None };
            state.throughput_held.insert(resource.clone(), held);
        }
        (
            Effect::RestoreThroughput { resource, .. },
            StepResult::Done { .. } | StepResult::Failed { code: FailureCode::NotOurs, .. },
        ) => {
            state.throughput_held.remove(resource);
        }
        _ => {}
    }
}
