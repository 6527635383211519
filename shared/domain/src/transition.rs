//! What one commit writes, all or nothing.

use serde::{Deserialize, Serialize};

use crate::audit::AuditRecord;
use crate::state::WorkloadState;
use crate::{Generation, ItemId, Step};

/// Most inbox items that one commit consumes: a Cosmos DB batch holds 100 operations and 2 MB.
pub const CONSUMED_MAX: usize = 80;

/// A step as the ledger holds it: the version is what a claim compares and swaps.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredStep {
    /// Rises with each write.
    pub version: u64,
    /// The step.
    pub step: Step,
}

/// A step to be written by a commit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepWrite {
    /// The version it replaces; none creates.
    pub expected: Option<u64>,
    /// The step.
    pub step: Step,
}

/// State, steps, audit and consumed inbox items of one commit.
#[derive(Clone, Debug, PartialEq)]
pub struct Transition {
    /// The generation that must still be the current one; none for the first commit.
    pub parent: Option<Generation>,
    /// The new state; its generation follows the parent.
    pub state: WorkloadState,
    /// Steps created or changed.
    pub steps: Vec<StepWrite>,
    /// Steps that were over in the ledger itself and may be forgotten by it. Ended steps only: nobody claims one, so no
    /// claim is lost although no version is compared.
    pub forgotten: Vec<crate::StepId>,
    /// The audit record, if this is more than evidence.
    pub audit: Option<AuditRecord>,
    /// Inbox items folded into the state.
    pub consumed: Vec<ItemId>,
}

impl Transition {
    /// The steps as the ledger holds them once this is committed, given those that it was made from.
    pub fn steps_after(&self, mut steps: Vec<StoredStep>) -> Vec<StoredStep> {
        let written = |id: &crate::StepId| self.steps.iter().any(|write| write.step.id == *id);
        steps.retain(|stored| !self.forgotten.contains(&stored.step.id) && !written(&stored.step.id));
        steps.extend(self.steps_written());
        steps
    }

    /// The steps that this writes, at the versions that they will have.
    pub fn steps_written(&self) -> impl Iterator<Item = StoredStep> {
        self.steps
            .iter()
            .map(|write| StoredStep { version: write.expected.unwrap_or(0) + 1, step: write.step.clone() })
    }
}
