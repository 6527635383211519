//! The queue's wake-up: evaluate now. The message carries nothing; what to do is read from the recorded world.

use std::time::Instant;

use adapters::meter::{self, METRICS};

use crate::controller;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};

/// Evaluates, then executes what is due.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    envelope.message("wakeup")?;
    Ok(every_workload(app).await?.0)
}

/// The same for the queue's wake-up and the timer: the reply, and what each workload's evaluation did.
pub(crate) async fn every_workload(
    app: &ControllerApp,
) -> Result<(Reply, Vec<controller::Evaluation>), FunctionError> {
    let begun = Instant::now();
    let done = app.controllers.each(|one| Box::pin(controller::evaluate(one))).await;
    if meter::is_on() {
        let (seconds, outcome) = (begun.elapsed().as_secs_f64(), if done.is_ok() { "ok" } else { "failed" });
        tracing::event!(target: METRICS, tracing::Level::TRACE, histogram.cordon.evaluation.duration = seconds, outcome);
        for done in done.iter().flatten() {
            let (folded, commits, effects) =
                (done.folded as u64, u64::from(done.commits), u64::from(done.executed));
            tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.evaluation.folded = folded);
            tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.evaluation.commits = commits);
            tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.evaluation.effects = effects);
        }
    }
    let done = done?;
    let headlines = done.iter().flat_map(|done| &done.transitions);
    Ok((headlines.fold(Reply::default(), |reply, headline| reply.with_log(headline)), done))
}
