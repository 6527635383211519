//! What a record is to its reader: the kinds that a receiver of notifications filters on.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::decide::{Action, HoldReason, Situation};
use crate::judge::Judgement;
use crate::shadow::Told;

/// A kind of news. Codes are stable.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Notice {
    /// A stamp is being taken out, in whole or in part, or is out again.
    Cordoned,
    /// A stamp comes back.
    Returned,
    /// Removals are frozen.
    Frozen,
    /// A removal waits for an operator's approval.
    NeedsApproval,
    /// A return waits for an operator's acknowledgement.
    NeedsAcknowledgement,
    /// Something else is held, with its reason.
    Held,
    /// Something in mode `advise` was not done: an operator may want to do it.
    Advised,
    /// Something in mode `observe` was not done. The record has it; nobody is called for it alone.
    Observed,
    /// An order, an event or a step's end was noted.
    Noted,
}

/// The kinds of a judgement's record. Empty when it only says that the watch went on.
pub(crate) fn notices(situation: &Situation, judgement: &Judgement) -> BTreeSet<Notice> {
    let decision = &judgement.decision;
    let mut kinds: BTreeSet<Notice> =
        decision.rulings.values().filter_map(|ruling| of(&ruling.action)).collect();
    if decision.freeze.is_some() {
        kinds.insert(Notice::Frozen);
    }
    if !situation.notes.is_empty() {
        kinds.insert(Notice::Noted);
    }
    kinds.extend(judgement.shadow.as_ref().map(|shadow| match shadow.told {
        Told::Advice => Notice::Advised,
        Told::RecordOnly => Notice::Observed,
    }));
    kinds
}

/// Whether anybody is to be called for a record of these kinds.
pub fn is_told(kinds: &BTreeSet<Notice>) -> bool {
    *kinds != BTreeSet::from([Notice::Observed])
}

const fn of(action: &Action) -> Option<Notice> {
    match action {
        Action::Cordon { .. }
        | Action::CloseGate
        | Action::EvacuatePartly { .. }
        | Action::ConfirmCordon
        | Action::Latch
        | Action::StepBack { .. } => Some(Notice::Cordoned),
        Action::OpenSlice { .. } | Action::ReturnEarly { .. } | Action::EmergencyReturn | Action::Serve => {
            Some(Notice::Returned)
        }
        Action::Hold { reason } => Some(match reason {
            HoldReason::NeedsApproval => Notice::NeedsApproval,
            HoldReason::NeedsAcknowledgement => Notice::NeedsAcknowledgement,
            HoldReason::ModeObserve => Notice::Observed,
            HoldReason::ModeAdvise => Notice::Advised,
            _ => Notice::Held,
        }),
        Action::Stay
        | Action::Wait { .. }
        | Action::Suspect
        | Action::Clear
        | Action::StartWindow { .. }
        | Action::RestartWindow
        | Action::EnableOrigin => None,
    }
}
