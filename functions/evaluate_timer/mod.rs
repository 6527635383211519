//! Timer: the same call as `evaluate`, so that a lost wake-up delays nothing for long.

use crate::controller;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};

/// Evaluates, then executes what is due. A missed tick needs no catching up: the world is read anew each time.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    envelope.timer("timer")?;
    // It only signals: nothing is waited for.
    app.notifier.wake_all(&app.controllers);
    let done = app.controllers.each(|one| Box::pin(controller::evaluate(one))).await?;
    let headlines = done.iter().flat_map(|done| &done.transitions);
    Ok(headlines.fold(Reply::default(), |reply, headline| reply.with_log(headline)))
}
