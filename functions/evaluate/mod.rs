//! Queue: a wake-up. It says "look again" and nothing else.

use crate::controller;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};

/// Evaluates, then executes what is due. What the message says is not read: it carries no data.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    envelope.message("wakeup")?;
    let done = app.controllers.each(|one| Box::pin(controller::evaluate(one))).await?;
    let headlines = done.iter().flat_map(|done| &done.transitions);
    Ok(headlines.fold(Reply::default(), |reply, headline| reply.with_log(headline)))
}
