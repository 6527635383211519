//! Timer: reads the workload's Cosmos account and its per-region request metrics.

use crate::controller;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};

/// Observes once. The evaluation that follows by timer reads what this wrote.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope) -> Result<Reply, FunctionError> {
    envelope.timer("timer")?;
    let new = controller::observe_cosmos(&app.controller).await?;
    Ok(Reply::default().with_log(format!("{new} new items")))
}
