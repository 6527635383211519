//! What stands and is told again: what waits for a person, and a pause. Everything else is told once, when it begins.

use crate::Timestamp;
use crate::policy::Policy;
use crate::state::{HeldFor, WorkloadState};

use super::{Action, HoldReason};

impl HoldReason {
    /// Whether only a person can end it.
    pub const fn waits_for_a_person(self) -> bool {
        matches!(self, Self::NeedsApproval | Self::NeedsAcknowledgement)
    }
}

/// The hold as it stands after this ruling. One that waits for a person is told again every `reminders.unanswered_every`;
/// that it was told changes the decision, and so makes a record and a notification.
pub(super) fn held_for(
    before: Option<HeldFor>,
    action: &Action,
    state: &WorkloadState,
    policy: &Policy,
) -> Option<HeldFor> {
    let Action::Hold { reason } = action else { return None };
    let as_of = state.as_of;
    match before.filter(|held| held.reason == *reason) {
        Some(held)
            if reason.waits_for_a_person()
                && as_of.since(held.told_at) >= policy.reminders.unanswered_every.get() =>
        {
            Some(HeldFor { told_at: as_of, told: held.told.saturating_add(1), ..held })
        }
        Some(held) => Some(held),
        None => {
            let generation = state.generation.next();
            Some(HeldFor { reason: *reason, generation, since: as_of, told_at: as_of, told: 1 })
        }
    }
}

/// When it was last told that the automation is paused: first after `reminders.paused_every`, then as often again.
pub(super) fn pause_told_at(state: &WorkloadState, policy: &Policy) -> Option<Timestamp> {
    let pause = state.pause.as_ref().filter(|pause| pause.until > state.as_of)?;
    let last = pause.told_at.unwrap_or(pause.since);
    let due = state.as_of.since(last) >= policy.reminders.paused_every.get();
    if due { Some(state.as_of) } else { pause.told_at }
}
