//! The append-only audit in a file of its own, so that no ledger write can reach it.

use std::path::Path;

use async_trait::async_trait;
use domain::WorkloadId;
use domain::audit::AuditRecord;
use redb::{Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::file::{File, broken};
use crate::memory::rules::{self, AUDIT, AUDIT_SCHEMA};
use crate::{AuditAppend, AuditStore, StoreError};

/// Workload, number, id: a fork after a failover leaves two records of one number, and both are evidence.
const RECORDS: TableDefinition<'_, (&str, u64, &str), &[u8]> = TableDefinition::new("records");

/// Audit records in one file. Clones share it.
#[derive(Clone)]
pub struct EmbeddedAudit(File);

impl EmbeddedAudit {
    /// Opens the file, or creates it.
    ///
    /// # Errors
    /// When another process has it open, or when it is damaged or of a newer layout.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        File::open(path, AUDIT, |transaction| {
            transaction.open_table(RECORDS)?;
            Ok(())
        })
        .map(Self)
    }
}

#[async_trait]
impl AuditStore for EmbeddedAudit {
    async fn append(&self, record: &AuditRecord) -> Result<AuditAppend, StoreError> {
        let document = rules::prepare_record(record)?;
        let record = record.clone();
        self.0.run(move |database| store(database, &record, &document)).await
    }

    async fn list(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let workload = workload.clone();
        self.0.run(move |database| list(database, &workload, after, records_max)).await
    }
}

fn store(database: &Database, record: &AuditRecord, document: &[u8]) -> Result<AuditAppend, StoreError> {
    let transaction = database.begin_write().map_err(failed)?;
    {
        let mut records = transaction.open_table(RECORDS).map_err(failed)?;
        let key = (record.workload.as_str(), record.seq, record.id.as_str());
        let present = records.get(key).map_err(failed)?;
        if let Some(present) = present {
            let stored: AuditRecord = rules::decode(AUDIT, "audit record", AUDIT_SCHEMA, present.value())?;
            return if stored == *record {
                Ok(AuditAppend::AlreadyThere)
            } else {
                Err(rules::other_body(record))
            };
        }
        drop(present);
        records.insert(key, document).map_err(failed)?;
    }
    transaction.commit().map_err(failed)?;
    Ok(AuditAppend::Stored)
}

fn list(
    database: &Database,
    workload: &WorkloadId,
    after: u64,
    records_max: usize,
) -> Result<Vec<AuditRecord>, StoreError> {
    let transaction = database.begin_read().map_err(failed)?;
    let records = transaction.open_table(RECORDS).map_err(failed)?;
    let later = records.range((workload.as_str(), after, "")..).map_err(failed)?;
    let mut listed = Vec::new();
    for entry in later {
        let (key, document) = entry.map_err(failed)?;
        let (whose, seq, _) = key.value();
        if whose != workload.as_str() || listed.len() == records_max {
            break;
        }
        if seq > after {
            listed.push(rules::decode(AUDIT, "audit record", AUDIT_SCHEMA, document.value())?);
        }
    }
    Ok(listed)
}

fn failed(error: impl Into<redb::Error>) -> StoreError {
    broken(AUDIT, error)
}
