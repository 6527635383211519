//! Reading the gate: the local replica first, then the write region, and what to keep when neither helps.

use std::time::Duration;

use adapters::{GateReader, StoreError};
use domain::gate::{GATE_SCHEMA, GateMemory};
use domain::{GateDocument, StampId, Timestamp};
use serde::{Deserialize, Serialize};

/// Each read gets this long: a prober waits for the two of them at the worst.
const READ_TIMEOUT: Duration = Duration::from_secs(1);

/// Where the last reading came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GateSource {
    /// The local replica.
    Replica,
    /// The write region, because the replica was unreadable or old.
    WriteRegion,
    /// The replica, although its heartbeat is old, because the write region did not answer.
    StaleReplica,
    /// Nothing could be read: what was known before stands.
    Memory,
}

/// What is known of the gate, and from where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GateReading {
    /// What is known.
    pub memory: GateMemory,
    /// From where.
    pub source: GateSource,
}

/// The two places that hold the gate.
pub(super) struct GatePlaces<'a> {
    pub(super) stamp: &'a StampId,
    pub(super) replica: &'a dyn GateReader,
    pub(super) write_region: &'a dyn GateReader,
    pub(super) heartbeat_max: Duration,
}

impl GatePlaces<'_> {
    /// Reads the gate anew.
    pub(super) async fn read(&self, memory: GateMemory, now: Timestamp) -> GateReading {
        let replica = self.ask(self.replica).await;
        if let Some(Some(document)) = &replica
            && now.since(document.heartbeat_at) <= self.heartbeat_max
        {
            return GateReading { memory: newest(memory, document), source: GateSource::Replica };
        }
        match self.ask(self.write_region).await {
            Some(Some(document)) => {
                GateReading { memory: newest(memory, &document), source: GateSource::WriteRegion }
            }
            Some(None) => GateReading { memory: absent(memory), source: GateSource::WriteRegion },
            // S11: the write region may be lost for hours, and a process that starts then must not reopen a closed
            // gate at full load. An old document still binds until it expires; its age only made us ask elsewhere.
            None => match &replica {
                Some(Some(document)) => {
                    GateReading { memory: newest(memory, document), source: GateSource::StaleReplica }
                }
                _ => GateReading { memory, source: GateSource::Memory },
            },
        }
    }

    /// None when it could not be read; `Some(None)` when there is no gate.
    async fn ask(&self, place: &dyn GateReader) -> Option<Option<GateDocument>> {
        let answer: Result<_, StoreError> =
            tokio::time::timeout(READ_TIMEOUT, place.read(self.stamp)).await.ok()?;
        match answer {
            Ok(Some(document)) if document.stamp != *self.stamp || document.schema > GATE_SCHEMA => {
                tracing::warn!(
                    gate.stamp = %document.stamp,
                    gate.schema = document.schema,
                    "this gate document is not ours or newer than this binary; it counts as unreadable"
                );
                None
            }
            Ok(answer) => Some(answer),
            Err(error) => {
                tracing::warn!(error = %error, "could not read the gate; what was known before stands");
                None
            }
        }
    }
}

/// A document replaces what is known only if it is newer; the same generation with a newer heartbeat is a renewal.
fn newest(memory: GateMemory, document: &GateDocument) -> GateMemory {
    match memory {
        GateMemory::Read(known)
            if (known.generation, known.heartbeat_at) >= (document.generation, document.heartbeat_at) =>
        {
            GateMemory::Read(known)
        }
        _ => GateMemory::Read(document.clone()),
    }
}

/// No document in the write region: nobody closed this gate. One that was read before binds on until it expires.
fn absent(memory: GateMemory) -> GateMemory {
    match memory {
        GateMemory::Read(known) => GateMemory::Read(known),
        _ => GateMemory::Absent,
    }
}
