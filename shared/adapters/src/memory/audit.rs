//! The append-only audit in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::WorkloadId;
use domain::audit::AuditRecord;

use super::rules;
use crate::{AuditAppend, AuditStore, StoreError};

/// Records that live as long as the process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryAudit {
    records: Arc<Mutex<BTreeMap<Key, AuditRecord>>>,
}

/// By number, then id: a fork after a failover leaves two records of one number, and both are evidence.
type Key = (WorkloadId, u64, String);

impl MemoryAudit {
    /// No record yet.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl AuditStore for MemoryAudit {
    async fn append(&self, record: &AuditRecord) -> Result<AuditAppend, StoreError> {
        rules::prepare_record(record)?;
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (record.workload.clone(), record.seq, record.id.clone());
        match records.get(&key) {
            Some(stored) if stored == record => Ok(AuditAppend::AlreadyThere),
            Some(_) => Err(rules::other_body(record)),
            None => {
                records.insert(key, record.clone());
                Ok(AuditAppend::Stored)
            }
        }
    }

    async fn list(
        &self,
        workload: &WorkloadId,
        after: u64,
        records_max: usize,
    ) -> Result<Vec<AuditRecord>, StoreError> {
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let later = records.range((workload.clone(), after, String::new())..);
        let ours = later.map(|(_, record)| record).take_while(|record| record.workload == *workload);
        Ok(ours.filter(|record| record.seq > after).take(records_max).cloned().collect())
    }
}
