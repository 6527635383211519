//! The places of notification targets: one document each, in the ledger's container, where the controller may write.

use async_trait::async_trait;
use domain::WorkloadId;

use super::account::{Container, CosmosAccount, Written};
use super::document::Document;
use crate::memory::rules::{self, LEDGER};
use crate::{PlaceStore, StoreError, TargetPlace};

/// Places in Cordon's account.
#[derive(Clone)]
pub struct CosmosPlaces {
    account: CosmosAccount,
}

impl CosmosPlaces {
    /// The places in this account.
    pub const fn new(account: CosmosAccount) -> Self {
        Self { account }
    }
}

#[async_trait]
impl PlaceStore for CosmosPlaces {
    async fn read(&self, workload: &WorkloadId, target: &str) -> Result<Option<TargetPlace>, StoreError> {
        let id = Document::place_id(target);
        let stored = self.account.read(Container::Ledger, workload.as_str(), &id).await?;
        stored.map(|stored| decode(&id, &stored.text)).transpose()
    }

    async fn replace(
        &self,
        workload: &WorkloadId,
        target: &str,
        expected: Option<&TargetPlace>,
        next: &TargetPlace,
    ) -> Result<bool, StoreError> {
        let id = Document::place_id(target);
        let present = self.account.read(Container::Ledger, workload.as_str(), &id).await?;
        let place = present.as_ref().map(|stored| decode(&id, &stored.text)).transpose()?;
        if place.as_ref() != expected {
            // Our own write whose answer was lost reads as what we want.
            return Ok(place.as_ref() == Some(next));
        }
        let text = serde_json::to_vec(next).map_err(|error| rules::unreadable(LEDGER, id.clone(), error))?;
        let document = Document::place(workload.as_str(), target, text)?;
        let etag = present.map(|stored| stored.etag);
        let written =
            self.account.write(Container::Ledger, workload.as_str(), &document, etag.as_ref()).await?;
        Ok(matches!(written, Written::Stored(_)))
    }
}

fn decode(id: &str, text: &str) -> Result<TargetPlace, StoreError> {
    serde_json::from_str(text).map_err(|error| rules::unreadable(LEDGER, id.to_owned(), error))
}
