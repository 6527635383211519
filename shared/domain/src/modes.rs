//! Modes that an operator changed: they stand over the policy's file until they are given back to it.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::Timestamp;
use crate::policy::{Mode, Policy};
use crate::state::WorkloadState;

/// A cause with a mode of its own in the policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ModeCause {
    /// Cordon of a region that serves nothing any more.
    HardLoss,
    /// Cordon of a gray region.
    Gray,
    /// Pre-scaling on a platform alert alone.
    PlatformAlert,
    /// Capacity for a region that is merely full.
    Overload,
    /// Letting a region back.
    Readmit,
}

impl ModeCause {
    /// Every cause, in the policy's order.
    pub const ALL: [Self; 5] =
        [Self::HardLoss, Self::Gray, Self::PlatformAlert, Self::Overload, Self::Readmit];

    /// Its mode under a policy.
    pub const fn mode(self, policy: &Policy) -> Mode {
        match self {
            Self::HardLoss => policy.modes.hard_loss,
            Self::Gray => policy.modes.gray,
            Self::PlatformAlert => policy.modes.platform_alert,
            Self::Overload => policy.modes.overload,
            Self::Readmit => policy.modes.readmit,
        }
    }
}

/// A mode that an operator set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct OrderedMode {
    /// What the cause may do.
    pub mode: Mode,
    /// Who set it.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// The policy in force: the file's, with the modes that an operator changed. A record's `policy_hash` is the file's, since
/// the changed modes are in its situation.
pub fn in_force<'a>(policy: &'a Policy, state: &WorkloadState) -> Cow<'a, Policy> {
    if state.modes.is_empty() {
        return Cow::Borrowed(policy);
    }
    let mut policy = policy.clone();
    for (cause, ordered) in &state.modes {
        let mode = match cause {
            ModeCause::HardLoss => &mut policy.modes.hard_loss,
            ModeCause::Gray => &mut policy.modes.gray,
            ModeCause::PlatformAlert => &mut policy.modes.platform_alert,
            ModeCause::Overload => &mut policy.modes.overload,
            ModeCause::Readmit => &mut policy.modes.readmit,
        };
        *mode = ordered.mode;
    }
    Cow::Owned(policy)
}
