//! The floor of compute without autoscale profiles: agent pools and Container Apps. As everywhere here: one idempotent effect,
//! read back.

use std::time::Duration;

use adapters::azure::arm::{ArmError, ResourceId};
use adapters::azure::floors::{self, Compute, FloorError};
use domain::facts::StampFacts;
use domain::{FailureCode, StepResult, Timestamp};

use super::Controller;
use super::execute::{chain, failed, of_arm_error, retry};

/// Wait after somebody changed the pool between our read and our write.
const CHANGED_WAIT: Duration = Duration::from_secs(5);

/// The lever of a stamp, if it is one of these.
pub(super) fn lever(stamp: &StampFacts) -> Option<(ResourceId, Compute)> {
    let id = ResourceId::parse(stamp.autoscale_id.as_deref()?).ok()?;
    Compute::of(&id).map(|compute| (id, compute))
}

/// Raises the floor and reads it back.
pub(super) async fn raise(
    controller: &Controller,
    (id, compute): (ResourceId, Compute),
    (minimum, until): (u32, Timestamp),
    now: Timestamp,
) -> StepResult {
    let set = async {
        let arm = &controller.azure.arm;
        let before = floors::read(arm, compute, &id).await?;
        let floor = before.raised(minimum, until, controller.policy.capacity.instances_max, now)?;
        // What runs on after the answer is the scaling itself; the bounds are in force with the answer.
        let _accepted = before.set(arm, &floor).await?;
        let standing = floors::read(arm, compute, &id).await?.standing(now);
        Ok::<_, FloorError>((floor, standing))
    };
    match set.await {
        Ok((floor, Some(standing))) if standing.minimum == floor.minimum => {
            StepResult::Done { recorded: Some(floor.minimum) }
        }
        Ok(_) => {
            failed(FailureCode::Superseded, "read back, our floor is not there; somebody wrote after us")
        }
        Err(error) => ended(&error, now),
    }
}

/// Gives back what was before, if it is still ours, and reads that back.
pub(super) async fn restore(
    controller: &Controller,
    (id, compute): (ResourceId, Compute),
    recorded: u32,
    now: Timestamp,
) -> StepResult {
    let arm = &controller.azure.arm;
    let given = async {
        if floors::read(arm, compute, &id).await?.give_back(arm, recorded).await?.is_none() {
            return Ok(None);
        }
        Ok::<_, FloorError>(floors::read(arm, compute, &id).await?.standing(now))
    };
    match given.await {
        Ok(None) => StepResult::Done { recorded: None },
        Ok(Some(_)) => failed(FailureCode::Superseded, "read back, our floor is still there"),
        Err(error) => ended(&error, now),
    }
}

fn ended(error: &FloorError, now: Timestamp) -> StepResult {
    match error {
        FloorError::Arm(ArmError::Rejected { status: 412, .. }) => {
            retry(now + CHANGED_WAIT, FailureCode::Superseded, &chain(error))
        }
        FloorError::Arm(error) => of_arm_error(error, now),
        FloorError::NotOurs { .. } => failed(FailureCode::NotOurs, &chain(error)),
        FloorError::AboveCap { .. } => failed(FailureCode::CapacityShort, &chain(error)),
        FloorError::NotScaling | FloorError::Malformed { .. } => failed(FailureCode::Rejected, &chain(error)),
    }
}
