//! What every ingest function does after it has read its payload: normalise, append, wake the evaluation.

use domain::state::Topology;
use domain::{InboxItem, ItemBody};
use serde_json::{Map, Value};

use super::{FunctionError, Reply};
use crate::controller::Controller;
use crate::normalise::Context;

/// Normalises one payload and appends what came of it to the inbox. `function` is the folder's name.
///
/// # Errors
/// When the ledger cannot be used; nothing is lost, because the sender sends again.
pub async fn ingest(
    controller: &Controller,
    function: &'static str,
    normalise: impl FnOnce(&Context<'_>) -> Vec<InboxItem>,
) -> Result<Reply, FunctionError> {
    let workload = &controller.policy.workload.name;
    let topology = match controller.ledger.load(workload, 0).await?.state {
        Some(state) => state.topology,
        None => Topology::default(),
    };
    let context =
        Context { policy: &controller.policy, topology: &topology, received_at: controller.clock.now() };
    let items = normalise(&context);
    let new = controller.ledger.append(workload, &items).await?;
    let refused = items.iter().filter(|item| matches!(item.body, ItemBody::Refused { .. })).count();
    tracing::info!(
        function.name = function,
        inbox.items = items.len(),
        inbox.new = new,
        inbox.refused = refused,
        "took events in"
    );
    let reply = Reply::default().with_log(format!("{} items, {new} new, {refused} refused", items.len()));
    Ok(if new > 0 { woken(reply, controller, function) } else { reply })
}

/// Adds the wake-up. It carries no data: whoever wakes reads the recorded world, and the timers do the same if the
/// wake-up is lost. No field is named `id` or the like, which the host would copy over the queue's own metadata.
fn woken(reply: Reply, controller: &Controller, function: &'static str) -> Reply {
    let mut wakeup = Map::new();
    wakeup.insert("workload".to_owned(), controller.policy.workload.name.as_str().into());
    wakeup.insert("reason".to_owned(), Value::from(function));
    reply.with_output("wakeup", wakeup)
}
