//! Whether this machine's clock may be believed. `as_of` is the latest of all instances' clocks and never goes back, so a
//! single machine that is hours ahead would leave the whole workload blind until the others have caught up.

use std::time::Duration;

use adapters::azure::arm::ResourceId;
use adapters::azure::front_door;
use domain::Timestamp;
use tokio::time::timeout;

use super::{Controller, ControllerError};

/// Clocks that differ by less agree. Machines in Azure differ by milliseconds; what is seen is believed for 150 s.
const OFF_MAX: Duration = Duration::from_secs(120);

/// How long ARM may take to say what time it is: nothing is evaluated meanwhile.
const PATIENCE: Duration = Duration::from_secs(2);

/// Whether `now`, just read from it, is the time. Asks only where it is far from the last commit's, which is written every few
/// seconds: either nobody was there to commit, or this clock is wrong, and ARM's own time tells which. An ARM that does not
/// answer settles nothing, and then the clock is believed: it is far more often ARM that fails, and gates must be renewed
/// while it does.
///
/// # Errors
/// When ARM's time is another than this clock's: nothing may be evaluated or observed here.
pub(super) async fn check(
    controller: &Controller,
    now: Timestamp,
    as_of: Option<Timestamp>,
) -> Result<(), ControllerError> {
    if as_of.is_some_and(|as_of| apart(now, as_of) <= OFF_MAX) {
        return Ok(());
    }
    let Some(arm) = arm_time(controller).await else {
        tracing::warn!(
            "this clock shows {now}, far from the last commit, and ARM does not say what time it is"
        );
        return Ok(());
    };
    if apart(now, arm) <= OFF_MAX {
        return Ok(());
    }
    Err(ControllerError::WrongClock { shows: now, arm })
}

async fn arm_time(controller: &Controller) -> Option<Timestamp> {
    let group = ResourceId::parse(&controller.policy.workload.origin_group).ok()?;
    timeout(PATIENCE, controller.azure.arm_observed.time(&group, front_door::API_VERSION)).await.ok()?
}

fn apart(one: Timestamp, other: Timestamp) -> Duration {
    one.since(other).max(other.since(one))
}
