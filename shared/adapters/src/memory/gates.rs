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
