//! Generation order: no gate is ever replaced by one of an older generation, and no commit steps back.

use std::collections::BTreeMap;

use domain::state::WorkloadState;
use domain::{Generation, StampId};

use super::{Checker, Commit, Effected, Written};

#[derive(Default)]
pub(super) struct Generations {
    gates: BTreeMap<StampId, Generation>,
    state: Option<(Generation, domain::Timestamp)>,
}

impl Checker for Generations {
    fn name(&self) -> &'static str {
        "generations"
    }

    fn commit(&mut self, seen: &Commit<'_>, found: &mut Vec<String>) {
        let state = &seen.transition.state;
        if let Some((generation, as_of)) = self.state {
            if seen.transition.parent != Some(generation) || state.generation <= generation {
                found.push(format!("{} was committed after {generation}", state.generation));
            }
            if state.as_of < as_of {
                found.push(format!("as_of went back from {as_of} to {}", state.as_of));
            }
        }
        self.state = Some((state.generation, state.as_of));
    }

    fn failed_over(&mut self, state: Option<&WorkloadState>) {
        self.gates.clear();
        self.state = state.map(|state| (state.generation, state.as_of));
    }

    fn effect(&mut self, seen: &Effected<'_>, found: &mut Vec<String>) {
        let Written::Gate(document) = seen.written else { return };
        let newest = self.gates.entry(document.stamp.clone()).or_insert(document.generation);
        if document.generation < *newest {
            let (stamp, old) = (&document.stamp, document.generation);
            found.push(format!("the gate of {stamp} of generation {newest} was replaced by {old}"));
        }
        *newest = document.generation;
    }
}
