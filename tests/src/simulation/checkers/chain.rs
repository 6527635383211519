//! The chain: each record follows the one before, and its hash is that of its content.

use domain::state::WorkloadState;

use super::{Checker, Commit};
use crate::simulation::draw::mix;

pub(super) struct Chain {
    sample: u64,
    seq: u64,
    head: String,
}

impl Chain {
    pub(super) fn new(sample: u64) -> Self {
        Self { sample: (sample / 4).max(1), seq: 0, head: String::new() }
    }
}

impl Checker for Chain {
    fn name(&self) -> &'static str {
        "chain"
    }

    fn failed_over(&mut self, state: Option<&WorkloadState>) {
        (self.seq, self.head) =
            state.map(|state| (state.audit_seq, state.audit_head.clone())).unwrap_or_default();
    }

    fn commit(&mut self, seen: &Commit<'_>, found: &mut Vec<String>) {
        if let Some(record) = &seen.transition.audit {
            if record.previous != self.head || record.seq != self.seq + 1 {
                found.push(format!("record {} does not follow record {}", record.seq, self.seq));
            }
            let drawn = mix(record.seq, record.generation.n).is_multiple_of(self.sample);
            if drawn && record.content_hash() != record.hash {
                found.push(format!("record {} is not what its hash says", record.seq));
            }
            (self.seq, self.head) = (record.seq, record.hash.clone());
        }
        let state = &seen.transition.state;
        if state.audit_seq != self.seq || state.audit_head != self.head {
            found.push(format!("the state names record {} as the last, not {}", state.audit_seq, self.seq));
        }
    }
}
