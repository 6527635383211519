//! Change feed of the audit store: tells the world, one message per audit record and target.

mod chain;
mod template;

use std::collections::BTreeSet;
use std::time::Duration;

use domain::audit::AuditRecord;
use domain::audit_line::AuditQuery;
use domain::notice::{self, Notice};
use domain::policy::NotifyTarget;
use serde_json::Value;
use tokio::task::JoinSet;

use crate::controller::Controller;
use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};
use crate::publish_audit::audit_record;

/// Each post gets this long; all of them run side by side, so a dead webhook delays nobody else.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// Posts what is new. A target that does not answer is a line in the log and not a failure: with a failure the host
/// would deliver the whole page again, to the targets that did answer, too.
///
/// # Errors
/// When the envelope is not what the host promises.
pub async fn run(app: &ControllerApp, envelope: &Envelope) -> Result<Reply, FunctionError> {
    let records: Vec<AuditRecord> = envelope.batch("documents")?.into_iter().filter_map(readable).collect();
    let mut posts = JoinSet::new();
    for controller in app.controllers.iter() {
        let policy = &controller.policy;
        let mut theirs = Vec::new();
        for record in records.iter().filter(|record| record.workload == policy.workload.name) {
            let record = chain::checked(controller, record).await;
            if is_told(&record) {
                theirs.push(News { incident: incident(controller, &record).await, record });
            }
        }
        for target in policy.notify.iter().filter(|_| !theirs.is_empty()) {
            posts.spawn(deliver(app.outbound.clone(), target.clone(), theirs.clone()));
        }
    }
    let mut reply = Reply::default();
    while let Some(finished) = posts.join_next().await {
        for outcome in finished.unwrap_or_default() {
            reply = reply.with_log(outcome);
        }
    }
    Ok(reply)
}

/// A record with the incident that it belongs to.
#[derive(Clone)]
struct News {
    record: AuditRecord,
    incident: Option<u64>,
}

/// By this a receiver keeps one thread for each incident. A ledger that cannot say leaves it out.
async fn incident(controller: &Controller, record: &AuditRecord) -> Option<u64> {
    let query = AuditQuery { before: Some(record.seq + 1), ..AuditQuery::default() };
    let lines = controller.ledger.audit_lines(&record.workload, &query, 1).await.ok()?;
    lines.first().filter(|line| line.seq == record.seq)?.incident
}

/// What cannot be read cannot be told; `publish_audit` has said so already.
fn readable(document: Value) -> Option<AuditRecord> {
    audit_record(document)?.ok()
}

/// Posts the records to one target in their order; after the first failure the rest would fail the same way.
async fn deliver(http: reqwest::Client, target: NotifyTarget, news: Vec<News>) -> Vec<String> {
    let mut outcomes = Vec::new();
    for one in &news {
        let record = &one.record;
        let Some(body) = template::body(&target, record, one.incident) else { continue };
        let outcome = post(&http, &target, &body).await;
        let line = match &outcome {
            Ok(status) => format!("{}: record {} delivered ({status})", target.name, record.seq),
            Err(why) => {
                tracing::warn!(
                    notify.target = target.name,
                    audit.seq = record.seq,
                    why,
                    "a notification target did not take an event; the audit has it"
                );
                format!("{}: record {} not delivered ({why})", target.name, record.seq)
            }
        };
        outcomes.push(line);
        if outcome.is_err() {
            break;
        }
    }
    outcomes
}

async fn post(http: &reqwest::Client, target: &NotifyTarget, body: &Value) -> Result<u16, String> {
    let request = http
        .post(&target.url)
        .header("content-type", template::content_type(target))
        .timeout(POST_TIMEOUT)
        .body(body.to_string());
    match request.send().await {
        Ok(response) if response.status().is_success() => Ok(response.status().as_u16()),
        Ok(response) => Err(format!("answered {}", response.status().as_u16())),
        Err(error) if error.is_timeout() => Err(format!("no answer within {} s", POST_TIMEOUT.as_secs())),
        // Without the URL: webhooks carry their secret in it.
        Err(error) => Err(error.without_url().to_string()),
    }
}

/// What was only observed is recorded and calls nobody. A record from before there were kinds is told.
fn is_told(record: &AuditRecord) -> bool {
    kinds(record).is_none_or(|kinds| notice::is_told(&kinds))
}

/// What a record is to its reader; none where it is from before there were kinds.
fn kinds(record: &AuditRecord) -> Option<BTreeSet<Notice>> {
    serde_json::from_value(record.explanation["notices"].clone()).ok()
}
