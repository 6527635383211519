//! What every ingest function does after it has read its payload: normalise, append, wake the evaluation.

use adapters::meter::{self, METRICS};
use domain::{InboxItem, ItemBody, RefusalCode};
use serde_json::{Map, Value};

use super::{FunctionError, Reply};
use crate::controller::{Cadence, Controller, Controllers};
use crate::normalise::Context;

/// Normalises one payload for each workload and appends what came of it to that workload's inbox. `function` is the
/// folder's name.
///
/// # Errors
/// When the ledger cannot be used; nothing is lost, because the sender sends again.
pub async fn ingest(
    controllers: &Controllers,
    function: &'static str,
    normalise: impl Fn(&Context<'_>) -> Vec<InboxItem>,
) -> Result<Reply, FunctionError> {
    let mut taken = Vec::new();
    for controller in controllers.iter() {
        taken.push((controller, normalised(controller, &normalise).await?));
    }
    if taken.iter().any(|(_, items)| items.iter().any(is_evidence)) {
        for (_, items) in taken.iter_mut().filter(|(_, items)| !items.iter().any(is_evidence)) {
            items.retain(|item| !concerns_another(item));
        }
    }
    let (mut all, mut new, mut refused, mut woken) = (0, 0, 0, Vec::new());
    let mut taken_codes = Vec::new();
    for (controller, items) in taken {
        let workload = &controller.policy.workload.name;
        let appended = if items.is_empty() { 0 } else { controller.ledger.append(workload, &items).await? };
        all += items.len();
        new += appended;
        let codes = items.iter().filter_map(|item| match &item.body {
            ItemBody::Refused { refusal } => Some(refusal.code),
            _ => None,
        });
        let before = taken_codes.len();
        taken_codes.extend(codes);
        refused += taken_codes.len() - before;
        if appended > 0 {
            woken.push(workload.as_str());
        }
    }
    if meter::is_on() {
        count(function, &taken_codes, all - refused, new);
    }
    tracing::info!(
        function.name = function,
        inbox.items = all,
        inbox.new = new,
        inbox.refused = refused,
        "took events in"
    );
    let reply = Reply::default().with_log(format!("{all} items, {new} new, {refused} refused"));
    Ok(if woken.is_empty() { reply } else { with_wakeup(reply, &woken.join(","), function) })
}

async fn normalised(
    controller: &Controller,
    normalise: &impl Fn(&Context<'_>) -> Vec<InboxItem>,
) -> Result<Vec<InboxItem>, FunctionError> {
    let topology = Cadence::topology(controller).await?;
    let context =
        Context { policy: &controller.policy, topology: &topology, received_at: controller.clock.now() };
    Ok(normalise(&context))
}

fn count(function: &'static str, refused: &[RefusalCode], evidence: usize, new: usize) {
    let (evidence, new) = (evidence as u64, new as u64);
    tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.inbox.evidence = evidence, function);
    tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.inbox.items = new, function);
    for code in refused {
        tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.inbox.refusals = 1_u64, function, code = ?code);
    }
}

fn is_evidence(item: &InboxItem) -> bool {
    matches!(item.body, ItemBody::Observed { .. })
}

/// An event about one workload is none of the others' business: where somebody believed it, nobody else records that it
/// was not for him. Where nobody did, all do, so that it is not lost.
fn concerns_another(item: &InboxItem) -> bool {
    let ItemBody::Refused { refusal } = &item.body else { return false };
    matches!(
        refusal.code,
        RefusalCode::UnknownSpeaker
            | RefusalCode::RegionWithoutStamp
            | RefusalCode::ServiceNotUsed
            | RefusalCode::UnknownStamp
    )
}

/// Adds the wake-up. It carries no data: whoever wakes reads the recorded world, and the timers do the same if the
/// wake-up is lost. The workloads are named for the reader of the queue. No field is named `id` or the like, which the
/// host would copy over the queue's own metadata.
fn with_wakeup(reply: Reply, workloads: &str, function: &'static str) -> Reply {
    let mut wakeup = Map::new();
    wakeup.insert("workload".to_owned(), workloads.into());
    wakeup.insert("reason".to_owned(), Value::from(function));
    reply.with_output("wakeup", wakeup)
}
