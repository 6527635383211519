//! Timer: reads the workload's Cosmos account and its per-region request metrics.

use crate::controller;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};

/// Observes once. The evaluation that follows by timer reads what this wrote.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    envelope.timer("timer")?;
    let new = app.controllers.each(|one| Box::pin(controller::observe_cosmos(one))).await?;
    let new: usize = new.into_iter().sum();
    Ok(Reply::default().with_log(format!("{new} new items")))
}
