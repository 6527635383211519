//! The throughput of the workload's databases: read, compared with what the step was planned on, written, and read again.

use std::time::Duration;

use adapters::azure::arm::{Accepted, ResourceId};
use adapters::azure::throughput::{self, STEP, Throughput, ThroughputError};
use domain::policy::ThroughputLever;
use domain::{FailureCode, Step, StepResult, Timestamp};

use super::Controller;
use super::execute::{accepted, chain, failed, of_arm_error, retry};

/// Wait while an earlier change of the setting is under way.
const PENDING_WAIT: Duration = Duration::from_secs(20);

/// Whether a step was tried before: then what it wanted may be its own doing.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Tried {
    Never,
    Before,
}

impl Tried {
    pub(super) const fn of(step: &Step) -> Self {
        if step.attempts > 1 { Self::Before } else { Self::Never }
    }
}

/// The ARM id of a setting, from the policy's account and its name of the setting.
pub(super) fn setting(controller: &Controller, resource: &str) -> Option<ResourceId> {
    ResourceId::parse(&ThroughputLever::setting(resource, &controller.policy)?).ok()
}

/// Why a setting cannot be read or written.
enum Ended {
    NoSetting(String),
    Throughput(ThroughputError),
}

async fn read(controller: &Controller, resource: &str) -> Result<Throughput, Ended> {
    let id = setting(controller, resource).ok_or_else(|| Ended::NoSetting(resource.to_owned()))?;
    throughput::read(&controller.azure.arm, &id).await.map_err(Ended::Throughput)
}

/// Raises the maximum, if it is what was read when the step was planned.
pub(super) async fn raise(
    controller: &Controller,
    resource: &str,
    (before, maximum): (u32, u32),
    tried: Tried,
    now: Timestamp,
) -> StepResult {
    let found = match read(controller, resource).await {
        Ok(found) => found,
        Err(error) => return ended(&error, now),
    };
    if found.maximum == maximum && tried == Tried::Before {
        return StepResult::Done { recorded: Some(maximum) };
    }
    if found.maximum >= maximum {
        // Somebody gave it as much already: there is nothing to do, and nothing of ours to give back.
        return StepResult::Done { recorded: None };
    }
    if found.maximum != before || found.reachable(maximum) != maximum {
        let detail =
            format!("the maximum is {} now, not {before}, or {maximum} is not there at once", found.maximum);
        return failed(FailureCode::Superseded, &detail);
    }
    match found.set(&controller.azure.arm, maximum).await {
        Ok(Accepted::Done(_)) => confirm(controller, resource, maximum, now).await,
        Ok(Accepted::Running { operation, retry_after, .. }) => accepted(&operation, retry_after, now),
        Err(error) => ended(&Ended::Throughput(error), now),
    }
}

/// Azure calls it done: read it again before believing so.
pub(super) async fn confirm(
    controller: &Controller,
    resource: &str,
    maximum: u32,
    now: Timestamp,
) -> StepResult {
    match read(controller, resource).await {
        Ok(found) if found.maximum == maximum => StepResult::Done { recorded: Some(maximum) },
        Ok(found) => {
            let detail = format!("read back, the maximum is {}; somebody wrote after us", found.maximum);
            failed(FailureCode::Superseded, &detail)
        }
        Err(error) => ended(&error, now),
    }
}

/// Gives the maximum back that was before, if it is still ours; not less than Azure takes.
pub(super) async fn restore(
    controller: &Controller,
    resource: &str,
    (before, recorded): (u32, u32),
    now: Timestamp,
) -> StepResult {
    let found = match read(controller, resource).await {
        Ok(found) => found,
        Err(error) => return ended(&error, now),
    };
    let lowest = found.lowest.map_or(0, |lowest| lowest.div_ceil(STEP) * STEP);
    let back = before.max(lowest);
    if found.maximum == back {
        return StepResult::Done { recorded: None };
    }
    if found.maximum != recorded {
        let detail = format!("the maximum is {} now, and not ours any more", found.maximum);
        return failed(FailureCode::NotOurs, &detail);
    }
    match found.set(&controller.azure.arm, back).await {
        Ok(Accepted::Done(_)) => given_back(controller, resource, back, now).await,
        Ok(Accepted::Running { operation, retry_after, .. }) => accepted(&operation, retry_after, now),
        Err(error) => ended(&Ended::Throughput(error), now),
    }
}

async fn given_back(controller: &Controller, resource: &str, back: u32, now: Timestamp) -> StepResult {
    match confirm(controller, resource, back, now).await {
        StepResult::Done { .. } => StepResult::Done { recorded: None },
        other => other,
    }
}

/// The operation of a restore is over: whatever stands there is no longer ours, unless it is still what we had set.
pub(super) async fn confirm_restored(
    controller: &Controller,
    resource: &str,
    recorded: u32,
    now: Timestamp,
) -> StepResult {
    match read(controller, resource).await {
        Ok(found) if found.maximum != recorded => StepResult::Done { recorded: None },
        Ok(_) => failed(FailureCode::Superseded, "read back, our maximum is still there"),
        Err(error) => ended(&error, now),
    }
}

fn ended(error: &Ended, now: Timestamp) -> StepResult {
    match error {
        Ended::NoSetting(resource) => {
            failed(FailureCode::NotFound, &format!("{resource} is no setting of the workload's account"))
        }
        Ended::Throughput(ThroughputError::Arm(error)) => of_arm_error(error, now),
        Ended::Throughput(error @ ThroughputError::Pending) => {
            retry(now + PENDING_WAIT, FailureCode::Rejected, &chain(error))
        }
        Ended::Throughput(error @ ThroughputError::NotAutoscale) => {
            failed(FailureCode::Rejected, &chain(error))
        }
    }
}
