//! The places of notification targets in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use domain::WorkloadId;

use crate::{PlaceStore, StoreError, TargetPlace};

type Places = BTreeMap<(WorkloadId, String), TargetPlace>;

/// Places that live as long as the process. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct MemoryPlaces(Arc<Mutex<Places>>);

#[async_trait]
impl PlaceStore for MemoryPlaces {
    async fn read(&self, workload: &WorkloadId, target: &str) -> Result<Option<TargetPlace>, StoreError> {
        let places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(places.get(&(workload.clone(), target.to_owned())).cloned())
    }

    async fn replace(
        &self,
        workload: &WorkloadId,
        target: &str,
        expected: Option<&TargetPlace>,
        next: &TargetPlace,
    ) -> Result<bool, StoreError> {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (workload.clone(), target.to_owned());
        let as_expected = places.get(&key) == expected;
        if as_expected {
            places.insert(key, next.clone());
        }
        Ok(as_expected)
    }
}
