//! Attempts that were never heard of again: the claim ran out, or the answer was lost. What one of them writes may still
//! arrive, long after the ledger has gone on; so they are remembered for as long as they can do harm.

use crate::decide::GateRead;
use crate::step::{Effect, Step, StepStatus};
use crate::{StampId, StoredStep};

/// Whether some attempt of this step, which is over, ended unheard of: a void one that was ever claimed, or one that was
/// claimed anew.
pub const fn has_lost_attempt(step: &Step) -> bool {
    match step.status {
        StepStatus::Void { .. } => step.attempts > 0,
        StepStatus::Done { .. } | StepStatus::Failed { .. } => step.attempts > 1,
        StepStatus::Pending { .. } | StepStatus::Claimed { .. } | StepStatus::Running { .. } => false,
    }
}

/// Whether a lost attempt of this step can still move the gate that was read: nothing newer is there, which alone the
/// gate store would not let it replace.
pub fn may_move_the_gate(step: &Step, read: Option<&GateRead>) -> bool {
    let Effect::SetGate { position, .. } = &step.effect else { return false };
    has_lost_attempt(step)
        && match read {
            Some(GateRead::Is { document }) => {
                document.generation <= step.generation && document.position != *position
            }
            Some(GateRead::Absent) => *position != crate::GatePosition::Open,
            Some(GateRead::Unreadable) | None => true,
        }
}

/// Whether the document that was read is the one that this step writes: then an attempt of it has been heard of, by what it
/// left. It is done, and what the ledger knows of the gate is that generation; void, it would be remembered as nothing.
pub fn is_read_back(step: &Step, read: Option<&GateRead>) -> bool {
    let Effect::SetGate { position, .. } = &step.effect else { return false };
    match read {
        Some(GateRead::Is { document }) => {
            document.generation == step.generation && document.position == *position
        }
        Some(GateRead::Absent | GateRead::Unreadable) | None => false,
    }
}

/// Whether what was read of a gate is older than a write that the ledger knows to be done: a replica that lags, which shows
/// nothing that one may build on.
pub fn is_older_than_known(stamp: &StampId, read: &GateRead, steps: &[StoredStep]) -> bool {
    let read = match read {
        GateRead::Is { document } => Some(document.generation),
        GateRead::Absent => None,
        GateRead::Unreadable => return false,
    };
    let done = steps.iter().map(|stored| &stored.step).filter(|step| {
        let writes = matches!(&step.effect, Effect::SetGate { stamp: about, .. } if about == stamp);
        writes && matches!(step.status, StepStatus::Done { .. })
    });
    done.map(|step| step.generation).max() > read
}
