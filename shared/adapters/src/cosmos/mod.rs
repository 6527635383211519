//! The stores in Cordon's own Cosmos DB account: one partition per workload, so that one transactional batch commits
//! state, steps, audit and consumed items together. Same rules and same results as the stores in memory and in files.
//!
//! The account has one write region, where every compare-and-swap is decided; an ETag in a multi-write account is no lock.
//!
//! And one look at an account that is not ours: [`CosmosCheck`], the stamps' check of the workload's own.

mod account;
mod audit;
mod charges;
mod check;
mod document;
#[cfg(feature = "cosmos-emulator")]
pub mod emulator;
mod gates;
mod known;
mod ledger;
mod lines;
mod places;
mod topology;

pub use account::{Connect, CosmosAccount, CosmosSettings};
pub use audit::CosmosAudit;
pub use charges::{Charge, Charges, Kind};
pub use check::{Answer, CosmosCheck, Look};
pub use document::record_in;
pub use gates::CosmosGates;
pub use ledger::CosmosLedger;
pub use places::CosmosPlaces;
