//! The stores in files, for a deployment without Cosmos DB and for every drill: ledger and audit in one redb file each,
//! the gates in a directory that other processes read. Same rules and same results as the stores in memory.

mod audit;
mod chain;
mod examine;
mod file;
mod gates;
mod ledger;
mod lines;
mod places;
#[cfg(test)]
mod temporary;

pub use audit::EmbeddedAudit;
pub use chain::{ChainWalk, walk_lines};
pub use examine::{Examination, examine};
pub use gates::{EmbeddedGateReader, EmbeddedGates};
pub use ledger::EmbeddedLedger;
pub use places::EmbeddedPlaces;
