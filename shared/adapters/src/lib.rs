//! Ports, and what stands behind them: Azure, an embedded file, memory.

mod clock;
pub mod cosmos;
pub mod embedded;
pub mod epoch;
pub mod memory;
pub mod meter;
mod ports;

pub mod azure;

pub use clock::{Clock, ManualClock, SystemClock};
pub use memory::{DOCUMENT_BYTES_MAX, faulty};
pub use ports::{
    AuditAppend, AuditStore, ClaimOutcome, CommitOutcome, GateReader, GateStore, GateWrite, Ledger,
    LedgerView, PlaceStore, StoreError, TargetPlace,
};
