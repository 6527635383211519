//! Event Grid: HealthResources events, and events of custom topics in the allow-list.

use crate::edge::ingest::ingest;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};
use crate::normalise::event_grid;

/// Takes an event in, or an array of them.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    let event = envelope.message("event")?;
    ingest(&app.controllers, "event_grid_signal", |ctx| event_grid::items(&event, ctx)).await
}
