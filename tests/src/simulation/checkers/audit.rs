//! Audit completeness: a transition is recorded exactly once and completely, and its record judges the same again.

use std::collections::BTreeSet;

use domain::judge::replay;
use domain::state::{StampCase, WorkloadState};
use domain::{StampId, StepStatus};
use serde_json::Value;

use super::{Checker, Commit};
use crate::simulation::draw::mix;

pub(super) struct Completeness {
    sample: u64,
    seq: u64,
}

impl Completeness {
    pub(super) fn new(sample: u64) -> Self {
        Self { sample: sample.max(1), seq: 0 }
    }
}

impl Checker for Completeness {
    fn name(&self) -> &'static str {
        "audit"
    }

    fn failed_over(&mut self, state: Option<&WorkloadState>) {
        self.seq = state.map_or(0, |state| state.audit_seq);
    }

    fn commit(&mut self, seen: &Commit<'_>, found: &mut Vec<String>) {
        let transition = seen.transition;
        let Some(record) = &transition.audit else {
            if let Some(what) = changed(seen) {
                found.push(format!("{} is not recorded: {what}", transition.state.generation));
            }
            return;
        };
        if record.seq != self.seq + 1 {
            found.push(format!("record {} follows record {}", record.seq, self.seq));
        }
        self.seq = record.seq;
        let recorded: BTreeSet<&str> = record
            .steps
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|step| step.pointer("/step/id").and_then(Value::as_str))
            .collect();
        for write in transition.steps.iter().filter(|write| write.expected.is_none()) {
            if !recorded.contains(write.step.id.as_str()) {
                found.push(format!("step {} is in no record", write.step.id));
            }
        }
        if record.consumed.len() != transition.consumed.len() {
            found.push(format!("record {} names other items than were consumed", record.seq));
        }
        if mix(record.generation.n, record.seq).is_multiple_of(self.sample)
            && let Err(error) = replay(record, seen.policy)
        {
            found.push(error.to_string());
        }
    }
}

/// What an operator would see changed.
fn changed(seen: &Commit<'_>) -> Option<String> {
    let after = &seen.transition.state;
    let created = seen.transition.steps.iter().find(|write| write.expected.is_none());
    let voided =
        seen.transition.steps.iter().find(|write| matches!(write.step.status, StepStatus::Void { .. }));
    if let Some(write) = created.or(voided) {
        return Some(format!("step {}", write.step.id));
    }
    if seen.freeze_before.map(|freeze| freeze.cause) != after.freeze.map(|freeze| freeze.cause) {
        return Some("the freeze".to_owned());
    }
    let differs = |(stamp, case): &(&StampId, &StampCase)| {
        seen.before.get(*stamp).is_none_or(|before| essence(before) != essence(case))
    };
    after.cases.iter().find(differs).map(|(stamp, _)| format!("the case of {stamp}"))
}

fn essence(case: &StampCase) -> impl PartialEq + use<> {
    let slice = case.ramp.map(|ramp| ramp.slice);
    (case.stage, case.gate, case.origin, case.floor, case.cause, slice, case.hold.clone())
}
