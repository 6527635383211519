//! Timer: the same call as `evaluate`, so that a lost wake-up delays nothing for long.

use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};
use crate::evaluate::every_workload;

/// Evaluates, then executes what is due. A missed tick needs no catching up: the world is read anew each time.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    envelope.timer("timer")?;
    // Nothing is waited for.
    app.notifier.start_all(&app.controllers);
    every_workload(app).await
}
