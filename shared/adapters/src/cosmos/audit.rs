//! The append-only copy of the audit in a container where the controller's role may create and read, and nothing else.

use async_trait::async_trait;
use azure_data_cosmos::Query;
use domain::WorkloadId;
use domain::audit::AuditRecord;

use super::account::{Container, CosmosAccount, Written};
use super::document::{Document, Place, Stored};
use crate::memory::rules::{self, AUDIT, AUDIT_SCHEMA, unreadable};
use crate::{AuditAppend, AuditStore, StoreError};

/// Records by place, which is number, then hash: a fork after a failover leaves two of one number, and both are evidence.
const RECORDS: &str = "SELECT c.id, c.kind, c.text, c._etag FROM c \
     WHERE c.place > @after AND c.place < @end ORDER BY c.place";

/// Audit records of all workloads, each in its partition.
#[derive(Clone)]
pub struct CosmosAudit {
    account: CosmosAccount,
}

impl CosmosAudit {
    /// The audit container of this account.
    pub const fn new(account: CosmosAccount) -> Self {
        Self { account }
    }
}

#[async_trait]
impl AuditStore for CosmosAudit {
    async fn append(&self, record: &AuditRecord) -> Result<AuditAppend, StoreError> {
        let document = Document::record(record, rules::prepare_record(record)?)?;
        let workload = record.workload.as_str();
        match self.account.write(Container::Audit, workload, &document, None).await? {
            Written::Stored(_) => Ok(AuditAppend::Stored),
            Written::Changed => match self.account.read(Container::Audit, workload, &record.id).await? {
                Some(stored) if decode(&stored)? == *record => Ok(AuditAppend::AlreadyThere),
                Some(_) => Err(rules::other_body(record)),
                None => {
                    let why = format!("record {} is there and cannot be read", record.id);
                    Err(rules::unavailable(AUDIT, why))
                }
            },
        }
    }

    async fn list(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        records(&self.account, Container::Audit, workload, after, records_max).await
    }
}

/// Records with `seq > after` in one of the two containers that hold them, the oldest first.
pub(super) async fn records(
    account: &CosmosAccount,
    container: Container,
    workload: &WorkloadId,
    after: u64,
    records_max: usize,
) -> Result<Vec<AuditRecord>, StoreError> {
    if records_max == 0 {
        return Ok(Vec::new());
    }
    let query = range(RECORDS, &Place::after_record(after), Place::RECORDS_END)?;
    let found =
        account.query(container, workload.as_str(), query, |found| found.len() >= records_max).await?;
    let records = found.iter().take(records_max).map(decode).collect::<Result<Vec<_>, _>>()?;
    // A number of more than ten digits sorts before shorter ones.
    Ok(records.into_iter().filter(|record| record.seq > after).collect())
}

/// A query with its two ends.
pub(super) fn range(text: &str, after: &str, end: &str) -> Result<Query, StoreError> {
    let query = Query::from(text).with_parameter("@after", after).and_then(|q| q.with_parameter("@end", end));
    query.map_err(|error| unreadable(AUDIT, "query".to_owned(), error))
}

pub(super) fn decode(stored: &Stored) -> Result<AuditRecord, StoreError> {
    rules::decode(AUDIT, "audit record", AUDIT_SCHEMA, stored.text.as_bytes())
}
