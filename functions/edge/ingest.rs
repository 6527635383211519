//! What every ingest function does after it has read its payload: normalise, append, wake the evaluation.

use adapters::StoreError;
use adapters::meter::{self, METRICS};
use domain::state::Topology;
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
        let appended = if items.is_empty() { 0 } else { append(controller, &items).await? };
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
    // The reply says the same to the host, which logs it; twice for each event is once too often.
    tracing::debug!(
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
    let topology = topology(controller).await?;
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

/// What says whose event it is: the ledger's, or while that is out of reach the last one read, if events can wait.
async fn topology(controller: &Controller) -> Result<Topology, FunctionError> {
    let read = Cadence::topology(controller).await;
    match (read, &controller.spool) {
        (Ok(topology), spool) => {
            if let Some(spool) = spool {
                spool.remember(&topology);
            }
            Ok(topology)
        }
        (Err(error @ StoreError::Unavailable { .. }), Some(spool)) => {
            spool.topology().ok_or(FunctionError::Store(error))
        }
        (Err(error), _) => Err(error.into()),
    }
}

/// Into the inbox, or where events wait for it. Returns how many were new, as far as that can be said.
async fn append(controller: &Controller, items: &[InboxItem]) -> Result<usize, FunctionError> {
    let appended = controller.ledger.append(&controller.policy.workload.name, items).await;
    match (appended, &controller.spool) {
        (Err(error @ StoreError::Unavailable { .. }), Some(spool)) => match spool.put(items).await {
            Ok(()) => {
                tracing::warn!(
                    events = items.len(),
                    error = &error as &dyn std::error::Error,
                    "the ledger is out of reach; events were laid down and wait for it"
                );
                Ok(items.len())
            }
            Err(full) => {
                tracing::error!(
                    error = &full as &dyn std::error::Error,
                    "the ledger is out of reach and events cannot be laid down; their senders must send again"
                );
                Err(error.into())
            }
        },
        (appended, _) => Ok(appended?),
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
