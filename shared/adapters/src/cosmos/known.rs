//! What a process knows of a partition from its last look: enough to judge a commit and to name the ETags that it builds
//! on. The batch proves it: whatever has changed since has another ETag.

use std::collections::BTreeMap;

use azure_core::http::Etag;
use domain::{ItemId, StepId, Timestamp};

use crate::StoreError;
use crate::memory::rules::{Head, Present};

/// State, steps and waiting items as last seen.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    pub(super) head: Option<(Head, Etag)>,
    pub(super) steps: BTreeMap<StepId, (u64, Etag)>,
    pub(super) items: BTreeMap<ItemId, (Timestamp, Etag)>,
}

impl Present for Known {
    fn head(&self) -> Result<Option<Head>, StoreError> {
        Ok(self.head.as_ref().map(|(head, _)| head.clone()))
    }

    fn step_version(&self, id: &StepId) -> Result<Option<u64>, StoreError> {
        Ok(self.steps.get(id).map(|(version, _)| *version))
    }

    fn waits(&self, id: &ItemId) -> Result<bool, StoreError> {
        Ok(self.items.contains_key(id))
    }
}
