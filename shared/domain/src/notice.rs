//! What a record is to its reader: the kinds that a receiver of notifications filters on. News is what begins or ends, not
//! what merely stands: what stood in the record before is no news in this one, or every record would be a page.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::decide::{Action, HoldReason, Situation};
use crate::explanation::takes_more_out;
use crate::fold::FoldNote;
use crate::judge::Judgement;
use crate::shadow::Told;
use crate::state::StampCase;
use crate::{StampId, Timestamp};

/// A kind of news. Codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A stamp is being taken out, in whole or in part, or is out again.
    Cordoned,
    /// A stamp begins to come back: its first slice opens, or all of it in an emergency.
    ReturnStarted,
    /// A stamp is fully back.
    Returned,
    /// Removals are frozen.
    Frozen,
    /// Removals are no longer frozen.
    Thawed,
    /// A removal waits for an operator's approval, for the first time or still.
    NeedsApproval,
    /// A return waits for an operator's acknowledgement, for the first time or still.
    NeedsAcknowledgement,
    /// Something else is held, with its reason.
    Held,
    /// The survivors cannot carry what should be taken out.
    CapacityShort,
    /// A region does not grow as it was asked to.
    CannotGrow,
    /// A region's quota would not let it carry the loss of another: nothing is wrong yet.
    QuotaShort,
    /// The automation has been paused for long.
    StillPaused,
    /// An operator set a safety rule aside.
    Overridden,
    /// Something in mode `advise` was not done: an operator may want to do it.
    Advised,
    /// Something in mode `observe` was not done. The record has it; nobody is called for it alone.
    Observed,
    /// An order, an event or a step's end was noted.
    Noted,
    /// The audit's chain is broken at this record. Found when it is told, so no record says it of itself.
    ChainBroken,
}

/// The kinds of a judgement's record. Empty when it only says that the watch went on.
pub(crate) fn notices(situation: &Situation, judgement: &Judgement) -> BTreeSet<Notice> {
    let (state, decision) = (&situation.state, &judgement.decision);
    let as_of = state.as_of;
    let mut kinds = BTreeSet::new();
    for (stamp, ruling) in &decision.rulings {
        let before = state.cases.get(stamp);
        kinds.extend(of(&ruling.action, before, decision.cases.get(stamp), as_of));
    }
    kinds.extend((decision.freeze.is_some() && state.freeze.is_none()).then_some(Notice::Frozen));
    kinds.extend((decision.freeze.is_none() && state.freeze.is_some()).then_some(Notice::Thawed));
    let learnt = |case: &StampCase| case.cannot_grow.is_some_and(|found| found.since == as_of);
    kinds.extend(decision.cases.values().any(learnt).then_some(Notice::CannotGrow));
    kinds.extend((decision.pause_told_at == Some(as_of)).then_some(Notice::StillPaused));
    kinds.extend(overridden(situation, judgement).then_some(Notice::Overridden));
    let short = |note: &FoldNote| matches!(note, FoldNote::QuotaShort { .. });
    kinds.extend(situation.notes.iter().any(short).then_some(Notice::QuotaShort));
    if !situation.notes.is_empty() {
        kinds.insert(Notice::Noted);
    }
    kinds.extend(judgement.shadow.as_ref().map(|shadow| match shadow.told {
        Told::Advice => Notice::Advised,
        Told::RecordOnly => Notice::Observed,
    }));
    kinds
}

/// Given in this very fold, or used by this decision.
fn overridden(situation: &Situation, judgement: &Judgement) -> bool {
    let decision = &judgement.decision;
    let used = |(stamp, case): (&StampId, &StampCase)| {
        let acts = decision.rulings.get(stamp).is_some_and(|ruling| takes_more_out(&ruling.action));
        acts && !case.overrides.is_empty()
    };
    let given = |note: &FoldNote| matches!(note, FoldNote::Overridden { .. });
    situation.notes.iter().any(given) || decision.cases.iter().any(used)
}

/// Whether anybody is to be called for a record of these kinds.
pub fn is_told(kinds: &BTreeSet<Notice>) -> bool {
    *kinds != BTreeSet::from([Notice::Observed])
}

fn of(
    action: &Action,
    before: Option<&StampCase>,
    after: Option<&StampCase>,
    as_of: Timestamp,
) -> Option<Notice> {
    match action {
        Action::Cordon { .. }
        | Action::CloseGate
        | Action::CloseByOverride
        | Action::Latch
        | Action::StepBack { .. } => Some(Notice::Cordoned),
        // Only the first slice: the others follow from it.
        Action::EvacuatePartly { .. } => {
            before.is_none_or(|case| case.sliced_at.is_none()).then_some(Notice::Cordoned)
        }
        Action::OpenSlice { .. } | Action::ReturnEarly { .. } | Action::EmergencyReturn => {
            before.is_none_or(|case| case.ramp.is_none()).then_some(Notice::ReturnStarted)
        }
        Action::Serve => Some(Notice::Returned),
        Action::Hold { reason } => {
            let is_new = after.and_then(|case| case.held_for).is_none_or(|held| held.told_at == as_of);
            is_new.then(|| of_hold(*reason))
        }
        Action::Stay
        | Action::Wait { .. }
        | Action::Suspect
        | Action::Clear
        | Action::ConfirmCordon
        | Action::StartWindow { .. }
        | Action::RestartWindow
        | Action::EnableOrigin => None,
    }
}

const fn of_hold(reason: HoldReason) -> Notice {
    match reason {
        HoldReason::NeedsApproval => Notice::NeedsApproval,
        HoldReason::NeedsAcknowledgement => Notice::NeedsAcknowledgement,
        HoldReason::CapacityShort => Notice::CapacityShort,
        HoldReason::ModeObserve => Notice::Observed,
        HoldReason::ModeAdvise => Notice::Advised,
        _ => Notice::Held,
    }
}
