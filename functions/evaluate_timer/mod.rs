//! Timer: the same call as `evaluate`, so that a lost wake-up delays nothing for long.

use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};
use crate::evaluate::every_workload;

/// What each run says of a workload that it watches: the alert outside Cordon (infra/modules/controller/alerts.bicep) asks for
/// this text, and speaks when it is missing for five minutes.
pub const HEARTBEAT: &str = "cordon heartbeat";

/// Evaluates, then executes what is due. A missed tick needs no catching up: the world is read anew each time.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    envelope.timer("timer")?;
    // Nothing is waited for.
    app.notifier.start_all(&app.controllers);
    let (reply, done) = every_workload(app).await?;
    let beats = app.controllers.policies().zip(&done).filter(|(_, done)| done.watches);
    Ok(beats
        .fold(reply, |reply, (policy, _)| reply.with_log(format!("{HEARTBEAT} {}", policy.workload.name))))
}
