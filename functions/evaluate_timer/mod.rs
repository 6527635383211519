//! Timer: the same call as `evaluate`, so that a lost wake-up delays nothing for long.

use crate::controller;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};

/// What each run says of a workload that it watches: the alert outside Cordon (infra/modules/controller/alerts.bicep) asks for
/// this text, and speaks when it is missing for five minutes.
pub const HEARTBEAT: &str = "cordon heartbeat";

/// Evaluates, then executes what is due. A missed tick needs no catching up: the world is read anew each time.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    envelope.timer("timer")?;
    // It only signals: nothing is waited for.
    app.notifier.wake_all(&app.controllers);
    let done = app.controllers.each(|one| Box::pin(controller::evaluate(one))).await?;
    let beats = app.controllers.policies().zip(&done).filter(|(_, done)| done.watches);
    let beats = beats.map(|(policy, _)| format!("{HEARTBEAT} {}", policy.workload.name));
    let headlines = done.iter().flat_map(|done| &done.transitions).cloned();
    Ok(headlines.chain(beats).fold(Reply::default(), Reply::with_log))
}
