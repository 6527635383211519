//! What an operator can order. An order is a signal like any other: recorded, then obeyed at the next evaluation.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::modes::ModeCause;
use crate::overriding::Overridable;
use crate::policy::Mode;
use crate::{Generation, StampId, Timestamp};

/// An operator's order with who and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Command {
    /// The caller's identity as the platform reports it.
    pub by: String,
    /// The reason the operator gave; never empty.
    pub reason: String,
    /// The order.
    pub order: Order,
}

/// The order itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "order", rename_all = "snake_case")]
pub enum Order {
    /// Leave this stamp as it is until released.
    Hold {
        /// The stamp.
        stamp: StampId,
    },
    /// End a hold.
    Release {
        /// The stamp.
        stamp: StampId,
    },
    /// Allow the cordon that was held for approval, as decided in that generation; dies with it.
    Approve {
        /// The stamp.
        stamp: StampId,
        /// The generation whose hold is approved.
        generation: Generation,
    },
    /// Allow the return after the cordon budget was spent; resets the budget.
    Acknowledge {
        /// The stamp.
        stamp: StampId,
    },
    /// No removals and no returns until resumed or `until`.
    Pause {
        /// When the pause ends by itself.
        until: Timestamp,
    },
    /// End a pause.
    Resume,
    /// Take this stamp out of rotation as soon as the others can carry its load, and keep it out until its return is
    /// ordered.
    Cordon {
        /// The stamp.
        stamp: StampId,
    },
    /// Let this stamp come back as soon as it is healthy, without waiting for the end of its window.
    Readmit {
        /// The stamp.
        stamp: StampId,
    },
    /// Set a safety rule aside for the removal of this stamp that it holds, as decided in that generation. Never for the
    /// last region; void after `limits.plan_expiry`.
    Override {
        /// The stamp.
        stamp: StampId,
        /// The rule.
        rule: Overridable,
        /// The generation whose hold is overridden.
        generation: Generation,
    },
    /// What a cause may do from now on, whatever the policy's file says.
    Mode {
        /// The cause.
        cause: ModeCause,
        /// What it may do; none gives it back to the policy.
        mode: Option<Mode>,
    },
}
