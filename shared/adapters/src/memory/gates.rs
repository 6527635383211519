//! The gates in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::{GateDocument, StampId};

use super::rules;
use crate::{GateReader, GateStore, GateWrite, StoreError};

/// Gates that live as long as the process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryGates {
    documents: Arc<Mutex<BTreeMap<StampId, GateDocument>>>,
}

impl MemoryGates {
    /// No stamp has a gate yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// A replica as it is now: what a forced failover leaves of these if it happens later.
    #[must_use]
    pub fn replica(&self) -> Self {
        let documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Self { documents: Arc::new(Mutex::new(documents)) }
    }

    /// A forced failover to a replica: whatever was stored since it was taken is lost, for all clones.
    pub fn fail_over_to(&self, replica: &Self) {
        let kept = replica.documents.lock().unwrap_or_else(PoisonError::into_inner).clone();
        *self.documents.lock().unwrap_or_else(PoisonError::into_inner) = kept;
    }
}

#[async_trait]
impl GateReader for MemoryGates {
    async fn read(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError> {
        rules::check_stamp(stamp)?;
        Ok(self.documents.lock().unwrap_or_else(PoisonError::into_inner).get(stamp).cloned())
    }
}

#[async_trait]
impl GateStore for MemoryGates {
    async fn write(&self, document: &GateDocument) -> Result<GateWrite, StoreError> {
        rules::prepare_gate(document)?;
        let mut documents = self.documents.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(present) = documents.get(&document.stamp)
            && rules::gate_yields(Some(present.generation), document.generation)
        {
            return Ok(GateWrite::Newer(present.clone()));
        }
        documents.insert(document.stamp.clone(), document.clone());
        Ok(GateWrite::Written(document.clone()))
    }
}
