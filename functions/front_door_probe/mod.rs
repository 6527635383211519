//! Front Door's health probe log by Event Hub: failed probes, counted per stamp.

use crate::edge::ingest::ingest;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};
use crate::normalise::probe_log;

/// Takes a batch in. The whole batch is counted together: one edge location that fails in two messages is one.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    let batch = envelope.batch("events")?;
    let batch = batch.array();
    ingest(&app.controllers, "front_door_probe", |ctx| probe_log::items(&batch, ctx)).await
}
