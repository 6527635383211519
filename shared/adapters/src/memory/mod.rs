//! The stores in memory: what tests and drills run on, and the plainest statement of the ports' meaning. The rules
//! that every store must keep are in `rules`; the embedded stores use the same ones, so that the two cannot drift.

mod audit;
mod epoch;
pub mod faulty;
mod gates;
mod ledger;
mod places;
pub mod rules;

pub use audit::MemoryAudit;
pub use epoch::MemoryEpoch;
pub use gates::MemoryGates;
pub use ledger::MemoryLedger;
pub use places::MemoryPlaces;
pub use rules::{COMMIT_BYTES_MAX, COMMIT_OPERATIONS_MAX, DOCUMENT_BYTES_MAX, GATE_BYTES_MAX};
