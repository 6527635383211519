//! The epoch in memory.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;

use crate::StoreError;
use crate::epoch::{Epoch, EpochStore, EpochWrite, StoredEpoch};

/// An epoch that lives as long as the process. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct MemoryEpoch(Arc<Mutex<Option<(u64, Epoch)>>>);

impl MemoryEpoch {
    /// No epoch yet.
    pub fn new() -> Self {
        Self::default()
    }
}

#[async_trait]
impl EpochStore for MemoryEpoch {
    async fn read(&self) -> Result<Option<StoredEpoch>, StoreError> {
        let stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(stored.as_ref().map(|(tag, epoch)| StoredEpoch { epoch: epoch.clone(), tag: tag.to_string() }))
    }

    async fn write(&self, replaces: Option<&str>, epoch: &Epoch) -> Result<EpochWrite, StoreError> {
        let mut stored = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let present = stored.as_ref().map(|(tag, _)| tag.to_string());
        if present.as_deref() != replaces {
            return Ok(EpochWrite::Changed);
        }
        let tag = stored.as_ref().map_or(1, |(tag, _)| tag + 1);
        *stored = Some((tag, epoch.clone()));
        Ok(EpochWrite::Written)
    }
}
