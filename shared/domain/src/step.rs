//! One effect on the world: what it is, how it is claimed, what became of it.

use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::facts::EnabledState;
use crate::gate::GatePosition;
use crate::{Generation, StampId, StepId, Timestamp};

/// What a step does. Each is idempotent: doing it twice leaves the same world.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "effect", rename_all = "snake_case")]
pub enum Effect {
    /// Write the stamp's gate document. The fast plane.
    SetGate {
        /// The stamp.
        stamp: StampId,
        /// How far open.
        position: GatePosition,
        /// When the document stops to bind by itself.
        expires_at: Timestamp,
        /// For the reader at the stamp.
        reason: String,
    },
    /// Set Front Door's `enabledState`. The slow plane: a global operation.
    SetOrigin {
        /// The stamp.
        stamp: StampId,
        /// Wanted.
        enabled: EnabledState,
    },
    /// Raise the stamp's capacity floor and stop its scale-in until `until`.
    RaiseFloor {
        /// The stamp.
        stamp: StampId,
        /// Instances at the least.
        minimum: u32,
        /// When the floor expires by itself if we die.
        until: Timestamp,
    },
    /// Take our floor away again, if it is still ours.
    RestoreFloor {
        /// The stamp.
        stamp: StampId,
        /// The minimum that we had set; another one there now is somebody else's.
        recorded: u32,
    },
    /// Raise the autoscale maximum of a database or container; it holds in every region of the account.
    RaiseThroughput {
        /// The stamp whose loss it is for.
        stamp: StampId,
        /// The database or container, as the policy names it.
        resource: String,
        /// The maximum that was read, in request units a second; another one there now is somebody else's.
        before: u32,
        /// The maximum that is wanted.
        maximum: u32,
    },
    /// Give the autoscale maximum back, if it is still ours.
    RestoreThroughput {
        /// A stamp that serves.
        stamp: StampId,
        /// The database or container.
        resource: String,
        /// The maximum before ours, in request units a second.
        before: u32,
        /// The maximum that we had set; another one there now is somebody else's.
        recorded: u32,
    },
}

/// The actuator behind an effect: permission is judged for each apart (S8).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Actuator {
    /// The gate document.
    Gate,
    /// Front Door's origin.
    Origin,
    /// The capacity lever.
    Capacity,
    /// The throughput of the workload's databases.
    Throughput,
}

impl Effect {
    /// The stamp it acts on.
    pub const fn stamp(&self) -> &StampId {
        match self {
            Self::SetGate { stamp, .. }
            | Self::SetOrigin { stamp, .. }
            | Self::RaiseFloor { stamp, .. }
            | Self::RestoreFloor { stamp, .. }
            | Self::RaiseThroughput { stamp, .. }
            | Self::RestoreThroughput { stamp, .. } => stamp,
        }
    }

    /// The database or container whose throughput it changes, if it does.
    pub fn throughput(&self) -> Option<&str> {
        match self {
            Self::RaiseThroughput { resource, .. } | Self::RestoreThroughput { resource, .. } => {
                Some(resource)
            }
            _ => None,
        }
    }

    /// The actuator it needs.
    pub const fn actuator(&self) -> Actuator {
        match self {
            Self::SetGate { .. } => Actuator::Gate,
            Self::SetOrigin { .. } => Actuator::Origin,
            Self::RaiseFloor { .. } | Self::RestoreFloor { .. } => Actuator::Capacity,
            Self::RaiseThroughput { .. } | Self::RestoreThroughput { .. } => Actuator::Throughput,
        }
    }

    /// How long it takes to undo, at the longest. Gate: one probe detection (AZURE.md 4.2: 15 to 90 s). Origin: a
    /// global configuration operation (AZURE.md 4.1: up to 20 min). Capacity: an instance start (2 to 5 min). Throughput: one
    /// operation of Cosmos DB (AZURE.md 6: at once, as long as no partition is split for it); it is billed by the hour.
    pub const fn undo_time_max(&self) -> Duration {
        match self {
            Self::SetGate { .. } => Duration::from_secs(90),
            Self::SetOrigin { .. } => Duration::from_secs(20 * 60),
            Self::RaiseFloor { .. }
            | Self::RestoreFloor { .. }
            | Self::RaiseThroughput { .. }
            | Self::RestoreThroughput { .. } => Duration::from_secs(5 * 60),
        }
    }

    /// Whether two effects want the same thing of the same actuator, times and texts apart.
    pub fn same_target(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::SetGate { stamp: a, position: p, .. }, Self::SetGate { stamp: b, position: q, .. }) => {
                a == b && p == q
            }
            (Self::SetOrigin { stamp: a, enabled: p }, Self::SetOrigin { stamp: b, enabled: q }) => {
                a == b && p == q
            }
            (
                Self::RaiseFloor { stamp: a, minimum: p, .. },
                Self::RaiseFloor { stamp: b, minimum: q, .. },
            ) => a == b && p == q,
            (Self::RestoreFloor { stamp: a, .. }, Self::RestoreFloor { stamp: b, .. }) => a == b,
            (
                Self::RaiseThroughput { resource: a, maximum: p, .. },
                Self::RaiseThroughput { resource: b, maximum: q, .. },
            ) => a == b && p == q,
            (Self::RestoreThroughput { resource: a, .. }, Self::RestoreThroughput { resource: b, .. }) => {
                a == b
            }
            _ => false,
        }
    }
}

/// Why a step is in a plan: removals are what freeze, velocity and quiet periods forbid; maintenance is what they never
/// stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// Takes serving capacity away.
    Removal,
    /// Adds capacity, or keeps it.
    Reinforcement,
    /// Lets a region back.
    Return,
    /// Renews an effect already in force.
    Maintenance,
    /// Takes temporary capacity away again.
    Restore,
}

/// Where a step stands.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "status", rename_all = "snake_case")]
pub enum StepStatus {
    /// Nobody has it yet.
    Pending {
        /// Not before this moment: a retry after 409 or 429 waits.
        not_before: Timestamp,
    },
    /// Somebody has it; after the deadline it may be taken over. No effect starts that could outlive the claim.
    Claimed {
        /// Which instance.
        owner: String,
        /// End of the claim.
        deadline: Timestamp,
    },
    /// Accepted by Azure as a long-running operation, tracked across invocations.
    Running {
        /// The operation's address, opaque.
        operation: String,
        /// Next look.
        poll_at: Timestamp,
        /// When Azure accepted it.
        accepted_at: Timestamp,
    },
    /// Done, and seen by reading it back.
    Done {
        /// When it was read back.
        verified_at: Timestamp,
    },
    /// Refused or failed for good; the next evaluation plans anew.
    Failed {
        /// When.
        at: Timestamp,
        /// Stable code.
        code: FailureCode,
        /// One line.
        detail: String,
    },
    /// Superseded before anybody claimed it.
    Void {
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
    },
}

/// Why a step did not come to pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureCode {
    /// Front Door keeps at least one enabled origin: a safe refusal, not an outage.
    LastEnabledOrigin,
    /// A newer generation is already in force.
    Superseded,
    /// Over the quota or the plan's maximum.
    CapacityShort,
    /// Our rights do not cover it.
    Forbidden,
    /// The resource is gone.
    NotFound,
    /// What we had set was changed by somebody else; we leave theirs.
    NotOurs,
    /// Azure accepted the operation and then failed it, or refused it for another reason.
    Rejected,
    /// Tried as often as allowed.
    AttemptsSpent,
    /// The actuator could not be reached.
    Unreachable,
}

/// A step as stored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Step {
    /// `generation-position`.
    pub id: StepId,
    /// The commit that planned it; carried by the effect.
    pub generation: Generation,
    /// What to do.
    pub effect: Effect,
    /// Why.
    pub purpose: Purpose,
    /// When it was planned.
    pub planned_at: Timestamp,
    /// When an evaluation last found it still wanted (S5).
    pub affirmed_at: Timestamp,
    /// How often it was claimed.
    pub attempts: u32,
    /// Where it stands.
    pub status: StepStatus,
}

impl Step {
    /// When it came to an end, if it has.
    pub const fn ended_at(&self) -> Option<Timestamp> {
        match self.status {
            StepStatus::Done { verified_at: at }
            | StepStatus::Failed { at, .. }
            | StepStatus::Void { at, .. } => Some(at),
            StepStatus::Pending { .. } | StepStatus::Claimed { .. } | StepStatus::Running { .. } => None,
        }
    }

    /// Neither done, failed nor void.
    pub const fn is_live(&self) -> bool {
        matches!(
            self.status,
            StepStatus::Pending { .. } | StepStatus::Claimed { .. } | StepStatus::Running { .. }
        )
    }
}

/// What became of one attempt, handed back through the inbox like any other signal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StepOutcome {
    /// Which step.
    pub step: StepId,
    /// Which attempt.
    pub attempt: u32,
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub result: StepResult,
}

/// The result of one attempt.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "result", rename_all = "snake_case")]
pub enum StepResult {
    /// Done and read back.
    Done {
        /// A floor's minimum or a throughput's maximum as it was set, which may be more than was asked for; ours to give
        /// back is only this.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        recorded: Option<u32>,
    },
    /// Accepted; look again at `poll_at`.
    Accepted {
        /// The operation's address, opaque.
        operation: String,
        /// Next look.
        poll_at: Timestamp,
    },
    /// Not now (409, 429, unreachable): try again at `not_before`.
    Retry {
        /// Earliest next attempt.
        not_before: Timestamp,
        /// Stable code.
        code: FailureCode,
        /// One line.
        detail: String,
    },
    /// Not at all.
    Failed {
        /// Stable code.
        code: FailureCode,
        /// One line.
        detail: String,
    },
}
