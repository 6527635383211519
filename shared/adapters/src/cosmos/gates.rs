//! The gates: one document per stamp, in the workload's partition. The stamp reads its local replica.

use async_trait::async_trait;
use azure_core::http::Etag;
use domain::{GateDocument, StampId, WorkloadId};

use super::account::{Container, CosmosAccount, Written};
use super::document::Document;
use crate::memory::rules::{self, GATES};
use crate::{GateReader, GateStore, GateWrite, StoreError};

/// Tries of one write against others that write the same gate. Each failed try means that somebody else's succeeded.
const TRIES_MAX: u32 = 16;

/// The gates of one workload. No document expires in the store: what it says is bounded by its own expiry, and the
/// generation in it is what keeps an older one from being written after.
#[derive(Clone)]
pub struct CosmosGates {
    account: CosmosAccount,
    workload: WorkloadId,
}

impl CosmosGates {
    /// The gates of a workload in this account.
    pub const fn new(account: CosmosAccount, workload: WorkloadId) -> Self {
        Self { account, workload }
    }

    async fn read_with_etag(&self, stamp: &StampId) -> Result<Option<(GateDocument, Etag)>, StoreError> {
        let stored = self.account.read(Container::Gates, self.workload.as_str(), stamp.as_str()).await?;
        let Some(stored) = stored else { return Ok(None) };
        let gate = rules::decode_gate(stamp, stored.text.as_bytes())?;
        Ok(Some((gate, stored.etag)))
    }
}

#[async_trait]
impl GateReader for CosmosGates {
    async fn read(&self, stamp: &StampId) -> Result<Option<GateDocument>, StoreError> {
        rules::check_stamp(stamp)?;
        Ok(self.read_with_etag(stamp).await?.map(|(gate, _)| gate))
    }
}

#[async_trait]
impl GateStore for CosmosGates {
    async fn write(&self, document: &GateDocument) -> Result<GateWrite, StoreError> {
        let text = rules::prepare_gate(document)?;
        let workload = self.workload.as_str();
        let stored = Document::gate(workload, document, text)?;
        for _ in 0..TRIES_MAX {
            let present = self.read_with_etag(&document.stamp).await?;
            if let Some((present, _)) = &present
                && rules::gate_yields(Some(present.generation), document.generation)
            {
                return Ok(GateWrite::Newer(present.clone()));
            }
            let etag = present.map(|(_, etag)| etag);
            match self.account.write(Container::Gates, workload, &stored, etag.as_ref()).await? {
                Written::Stored(_) => return self.read_back(document).await,
                // Somebody else's write, or our own whose answer was lost: look again.
                Written::Changed => {}
            }
        }
        let why = format!("the gate of {} was changed by others {TRIES_MAX} times in a row", document.stamp);
        Err(rules::unavailable(GATES, why))
    }
}

impl CosmosGates {
    async fn read_back(&self, document: &GateDocument) -> Result<GateWrite, StoreError> {
        match self.read_with_etag(&document.stamp).await? {
            Some((read, _)) if read == *document => Ok(GateWrite::Written(read)),
            Some((read, _)) if rules::gate_yields(Some(read.generation), document.generation) => {
                Ok(GateWrite::Newer(read))
            }
            _ => {
                let why = format!("the gate of {} reads otherwise than written", document.stamp);
                Err(rules::unavailable(GATES, why))
            }
        }
    }
}
