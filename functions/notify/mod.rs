//! Change feed of the audit store: tells the world, one CloudEvent per audit record and target.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::audit::AuditRecord;
use domain::notice::{self, Notice};
use domain::policy::NotifyTarget;
use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::edge::{ControllerApp, Envelope, FunctionError, Reply};
use crate::publish_audit::audit_record;

/// Each post gets this long; all of them run side by side, so a dead webhook delays nobody else.
const POST_TIMEOUT: Duration = Duration::from_secs(5);

/// The type of the events. Receivers filter on it; a change of the data's shape changes it.
const EVENT_TYPE: &str = "io.cordon.transition.v1";

/// Posts what is new. A target that does not answer is a line in the log and not a failure: with a failure the host
/// would deliver the whole page again, to the targets that did answer, too.
///
/// # Errors
/// When the envelope is not what the host promises.
pub async fn run(app: &ControllerApp, envelope: &Envelope) -> Result<Reply, FunctionError> {
    let records: Vec<AuditRecord> =
        envelope.batch("documents")?.into_iter().filter_map(readable).filter(is_told).collect();
    let mut posts = JoinSet::new();
    for policy in app.controllers.policies() {
        let theirs: Vec<AuditRecord> =
            records.iter().filter(|record| record.workload == policy.workload.name).cloned().collect();
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

/// What cannot be read cannot be told; `publish_audit` has said so already.
fn readable(document: Value) -> Option<AuditRecord> {
    audit_record(document)?.ok()
}

/// Posts the records to one target in their order; after the first failure the rest would fail the same way.
async fn deliver(http: reqwest::Client, target: NotifyTarget, records: Vec<AuditRecord>) -> Vec<String> {
    let mut outcomes = Vec::new();
    for record in &records {
        let outcome = post(&http, &target, record).await;
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

async fn post(http: &reqwest::Client, target: &NotifyTarget, record: &AuditRecord) -> Result<u16, String> {
    let request = http
        .post(&target.url)
        .header("content-type", "application/cloudevents+json; charset=utf-8")
        .timeout(POST_TIMEOUT)
        .body(cloud_event(record).to_string());
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
    serde_json::from_value(record.explanation["notices"].clone())
        .map_or(true, |kinds: BTreeSet<Notice>| notice::is_told(&kinds))
}

/// A record as a CloudEvent. Without the situation: that is for who re-runs the decision, not for a chat channel.
fn cloud_event(record: &AuditRecord) -> Value {
    json!({
        "specversion": "1.0",
        "id": record.id,
        "source": format!("/cordon/{}", record.workload),
        "type": EVENT_TYPE,
        "subject": format!("{}/{}", record.workload, record.seq),
        "time": record.at,
        "datacontenttype": "application/json",
        "data": {
            "workload": record.workload,
            "seq": record.seq,
            "generation": record.generation,
            "headline": record.headline,
            "because": record.because,
            "decision": record.decision,
            "findings": record.findings,
            "steps": record.steps,
            "explanation": record.explanation,
        }
    })
}
