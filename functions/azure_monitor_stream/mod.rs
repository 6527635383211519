//! Azure Monitor by Event Hub: the same alerts on the durable path, and diagnostic-setting exports.

use crate::edge::ingest::ingest;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};
use crate::normalise;

/// Takes a batch in. One message that is no JSON is refused by itself.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used. The host's retry policy then
/// delivers the same batch again, and nothing of it counts twice.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    let batch = envelope.batch("events")?;
    let messages = batch.messages();
    ingest(&app.controllers, "azure_monitor_stream", |ctx| {
        messages.iter().flat_map(|body| normalise::azure_monitor(body, ctx)).collect()
    })
    .await
}
