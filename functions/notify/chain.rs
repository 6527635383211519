//! A record that does not follow from the one before it is told as that, whatever else it says. The feed sees each record
//! once, as it comes in; what is altered later is found by `cordon audit verify`.

use domain::audit::AuditRecord;
use domain::notice::Notice;
use serde_json::{Value, json};

use crate::controller::Controller;

/// Records looked at: the one before and itself, each once for every epoch in which the number was given. Each forced
/// failover that lost commits gives a few numbers anew; four of them over the same two numbers do not happen.
const LOOKED_AT: usize = 8;

/// The record as it is to be told: itself, or with the break as its headline.
pub(super) async fn checked(controller: &Controller, record: &AuditRecord) -> AuditRecord {
    let Some(why) = broken(controller, record).await else { return record.clone() };
    tracing::error!(
        audit.seq = record.seq,
        why,
        "the audit's chain is broken; keep both stores as they are and run `cordon audit verify`"
    );
    let mut told = record.clone();
    let text = format!("the audit's chain is broken at record {}: {why}", record.seq);
    told.headline = format!("{text}; {}", record.headline);
    told.because.insert(0, format!("{text}; keep both stores as they are and run `cordon audit verify`"));
    let mut kinds = told.explanation["notices"].as_array().cloned().unwrap_or_default();
    kinds.push(json!(Notice::ChainBroken));
    if !told.explanation.is_object() {
        told.explanation = json!({});
    }
    told.explanation["notices"] = Value::Array(kinds);
    told
}

/// What is wrong with it. A store that cannot be read now says nothing about the chain.
async fn broken(controller: &Controller, record: &AuditRecord) -> Option<String> {
    if record.content_hash() != record.hash {
        return Some("its content does not match its hash".to_owned());
    }
    let Some(before) = record.seq.checked_sub(1).filter(|before| *before > 0) else {
        return (!record.previous.is_empty()).then(|| "it is the first and names one before it".to_owned());
    };
    let found = controller.audit.list(&record.workload, before - 1, LOOKED_AT).await.ok()?;
    if found.iter().all(|found| found.seq != record.seq) {
        return None; // It is not from the store that we can look into.
    }
    let mut numbered = found.iter().filter(|found| found.seq == before).peekable();
    if numbered.peek().is_none() {
        return Some(format!("record {before} is not in the audit store"));
    }
    let follows = numbered.any(|found| found.hash == record.previous);
    (!follows)
        .then(|| format!("it names another record than {before} of the audit store as the one before it"))
}
