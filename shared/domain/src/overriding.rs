//! The named override of a safety rule: which rules a person may set aside, for which removal, and for how long.
//!
//! Only a rule that weighs one harm against another, or that waits, may be set aside: a person can know more about either
//! (a region that corrupts data does more harm than requests that fail). Never one whose breach takes everything down
//! or whose truth nobody can see: the last region and the floor of regions (S1, S2), an older generation over a newer one
//! (S4), what cannot be read (S8), the database account (S10), the store (S11). A freeze is none of them either: while the
//! observer may be broken nobody can say that something else serves. A pause and a hold (S9) end by resuming and
//! releasing, a mode (S12) by changing it, a second region (S3) by approving it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::decide::HoldReason;
use crate::lint::SafetyRule;
use crate::state::{Stage, StampCase};
use crate::{Generation, Timestamp};

/// A safety rule that an operator may override, in the part that is named here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Overridable {
    /// The survivors' capacity. Never its other part: the last serving region.
    S2,
    /// The span between two regions. Never its other part: a second region is approved.
    S3,
    /// The quiet period after a gap in our own evidence. Never a freeze.
    S6,
}

impl Overridable {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::S2, Self::S3, Self::S6];

    /// The whole rule.
    pub const fn safety_rule(self) -> SafetyRule {
        match self {
            Self::S2 => SafetyRule::S2,
            Self::S3 => SafetyRule::S3,
            Self::S6 => SafetyRule::S6,
        }
    }

    /// Its part that is set aside, in words.
    pub const fn in_words(self) -> &'static str {
        match self {
            Self::S2 => "the survivors must be able to carry the load",
            Self::S3 => "one region per span of time",
            Self::S6 => "quiet after a gap in our own evidence",
        }
    }

    /// The rule by which the removal of a stamp in this stage is held; none where nobody may set it aside. Only a removal:
    /// the same reason also keeps a cordoned stamp's origin from being disabled, which no override hastens.
    pub const fn of(reason: HoldReason, stage: Stage) -> Option<Self> {
        match (reason, stage) {
            (HoldReason::CapacityShort, Stage::Evacuating) => Some(Self::S2),
            (HoldReason::Velocity, Stage::Serving | Stage::Suspect) => Some(Self::S3),
            (HoldReason::Quiet, Stage::Serving | Stage::Suspect | Stage::Evacuating) => Some(Self::S6),
            _ => None,
        }
    }
}

/// An operator's override, as the case keeps it until it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Override {
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
    /// It is void from then on: as a plan that was not affirmed in time.
    pub until: Timestamp,
    /// The generation whose hold it names.
    pub generation: Generation,
}

impl StampCase {
    /// Whether this rule is set aside for the removal of this stamp.
    pub fn overrides(&self, rule: Overridable, as_of: Timestamp) -> bool {
        self.overrides.get(&rule).is_some_and(|given| as_of < given.until)
    }

    /// What an override of this stamp would name now: the rule that holds its removal, and since which generation.
    pub fn overridable(&self) -> Option<(Overridable, Generation)> {
        let held = self.held_for.as_ref()?;
        Some((Overridable::of(held.reason, self.stage)?, held.generation))
    }
}
