//! Change feed of the ledger: copies each audit record to the append-only store.

use adapters::meter::{self, METRICS};
use adapters::{AuditAppend, StoreError};
use domain::audit::AuditRecord;
use domain::audit_line::AuditLine;

use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};

/// Copies the audit records among the documents. Everything else in the ledger is none of its business. A record that is
/// there already, with an equal body, was copied by an earlier delivery.
///
/// # Errors
/// When the envelope is not what the host promises, or a store cannot be used. With the host's unlimited
/// retry nothing is skipped.
pub async fn run(app: &ControllerApp, envelope: &Envelope<'_>) -> Result<Reply, FunctionError> {
    let mut copied = 0;
    let mut reply = Reply::default();
    for document in envelope.batch("documents")?.messages() {
        // What cannot be read is damaged, or a newer instance's during an upgrade: the host delivers the page again, and
        // the newer instance can read it. Skipping it would leave a gap in the copy for good.
        let Some(record) = audit_record(document.to_value()).transpose()? else { continue };
        // Every workload's records go into the one store; a record of a workload that is not ours is somebody else's.
        let Some(controller) = app.controllers.of(&record.workload) else {
            reply =
                reply.with_log(format!("left a record of {}, which no policy here names", record.workload));
            continue;
        };
        match controller.audit.append(&record).await {
            Ok(appended) => {
                copied += 1;
                if appended == AuditAppend::Stored && meter::is_on() {
                    count(&record);
                }
            }
            // Another body under the same id: altered, or a fork after a lost write region. Trying again cannot help and
            // would hold up every later record; `cordon audit verify` shows both.
            Err(StoreError::Refused { reason, .. }) => {
                tracing::error!(
                    audit.id = %record.id,
                    reason,
                    "an audit record differs from its copy; run `cordon audit verify` and keep both stores as they are"
                );
                reply = reply.with_log(format!("audit record {} was refused: {reason}", record.id));
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(reply.with_log(format!("{copied} audit records are in the audit store")))
}

/// What was decided, once for each record: a second delivery is no second decision.
fn count(record: &AuditRecord) {
    let workload = record.workload.as_str();
    for act in AuditLine::of(record, None).acts {
        let (code, stamp) = (act.code, act.stamp.as_str());
        tracing::event!(target: METRICS, tracing::Level::TRACE, monotonic_counter.cordon.decisions = 1_u64, workload, stamp, code);
    }
}

/// An audit record as Cosmos DB holds it, as text in a document of its kind; or bare, as the local feed sends it; none if
/// the document is of another kind.
///
/// # Errors
/// When it is a record that cannot be read.
pub(crate) fn audit_record(mut document: serde_json::Value) -> Option<Result<AuditRecord, StoreError>> {
    if let Some(record) = adapters::cosmos::record_in(&document) {
        return Some(record);
    }
    let inner = document.get_mut("record").map(serde_json::Value::take).filter(serde_json::Value::is_object);
    serde_json::from_value(inner.unwrap_or(document)).ok().map(Ok)
}
