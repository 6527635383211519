//! The epoch of a commit: observed after the ledger was read and before it is written, so that a failover in between shows
//! as a conflict or as a new epoch, never as a generation given twice.

use adapters::epoch::{Epoch, EpochWrite, Shown, due};
use domain::state::WorkloadState;

use super::{Controller, ControllerError};

/// Tries to write the epoch against other instances. Each failed one means that somebody else's succeeded.
const TRIES_MAX: u32 = 4;

/// The epoch that a commit on this state is in; none where the ledger is in one place and needs none. What cannot be read
/// is an error: there is no commit then, and so no action (S8).
pub(super) async fn present(
    controller: &Controller,
    state: Option<&WorkloadState>,
) -> Result<Option<Epoch>, ControllerError> {
    let Some(region) = controller.ledger.write_region().await? else { return Ok(None) };
    let shown = state.map(|state| Shown { epoch: state.generation.epoch, as_of: state.as_of });
    for _ in 0..TRIES_MAX {
        let stored = controller.epoch.read().await?;
        let (epoch, tag) = match stored {
            Some(stored) => (Some(stored.epoch), Some(stored.tag)),
            None => (None, None),
        };
        let Some(next) = due(epoch.as_ref(), &region, shown, controller.clock.now()) else {
            return Ok(epoch);
        };
        if controller.epoch.write(tag.as_deref(), &next).await? == EpochWrite::Written {
            tracing::warn!(epoch = next.number, write_region = %region, "a new epoch began: {}", next.why);
            return Ok(Some(next));
        }
    }
    Err(ControllerError::Contended { rounds: TRIES_MAX })
}

/// Whether what was committed in this state may still be acted on. After a change of write region it may be lost.
pub(super) async fn stands(controller: &Controller, state: &WorkloadState) -> Result<bool, ControllerError> {
    let Some(region) = controller.ledger.write_region().await? else { return Ok(true) };
    let stored = controller.epoch.read().await?.map(|stored| stored.epoch);
    let stands =
        stored.is_some_and(|epoch| epoch.number == state.generation.epoch && epoch.write_region == region);
    if !stands {
        tracing::warn!(generation = %state.generation, "the epoch changed after the commit: nothing is done on it");
    }
    Ok(stands)
}
