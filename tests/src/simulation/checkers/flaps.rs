//! The flap budget: under any signal whatever no region is taken out more than twice in a day without a person.

use std::collections::BTreeMap;

use domain::state::{Stage, WorkloadState};
use domain::{GatePosition, StampId, Timestamp};

use super::{Checker, Commit};

#[derive(Default)]
pub(super) struct Flaps {
    cordons: BTreeMap<StampId, Vec<Timestamp>>,
}

impl Checker for Flaps {
    fn name(&self) -> &'static str {
        "flaps"
    }

    fn failed_over(&mut self, state: Option<&WorkloadState>) {
        // A removal that nobody remembers is in no budget.
        let known = state.map(|state| state.as_of);
        self.cordons.values_mut().for_each(|cordons| cordons.retain(|at| Some(*at) <= known));
    }

    fn commit(&mut self, seen: &Commit<'_>, found: &mut Vec<String>) {
        let state = &seen.transition.state;
        let span = seen.policy.budget.span.get();
        for (stamp, case) in &state.cases {
            let Some(before) = seen.before.get(stamp) else { continue };
            let cordons = self.cordons.entry(stamp.clone()).or_default();
            // It may come in the very moment of the return.
            let order = format!("ordered the return of {stamp} although its budget is spent");
            let now = seen.transition.audit.iter().flat_map(|record| &record.because);
            let acknowledged = before.acknowledged
                || now.into_iter().any(|line| line.contains(&order) && !line.starts_with("refused"));
            if acknowledged && case.stage == Stage::Serving && before.stage != Stage::Serving {
                // An operator looked at it: that resets the budget.
                cordons.clear();
            }
            let withdrawn =
                before.decided_at.is_some() && case.decided_at.is_none() && case.stage == Stage::Suspect;
            if withdrawn && before.gate == GatePosition::Open {
                cordons.pop();
            }
            if case.decided_at.is_some() && before.decided_at != case.decided_at && before.approval.is_none()
            {
                cordons.push(state.as_of);
                cordons.retain(|at| state.as_of.since(*at) < span);
                if cordons.len() > 2 {
                    found.push(format!(
                        "{stamp} was taken out {} times in {} h",
                        cordons.len(),
                        span.as_secs() / 3_600
                    ));
                }
            }
        }
    }
}
