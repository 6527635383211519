//! What the controller's functions call: evaluate, execute, observe. Everything it touches is a port or Azure's HTTP.

mod azure;
mod epoch;
mod evaluate;
mod execute;
mod floor;
mod gates;
mod observe;
pub mod order;
mod own_clock;
mod several;
mod spool;
mod throughput;

use std::sync::Arc;

use adapters::epoch::EpochStore;
use adapters::{AuditStore, Clock, GateStore, Ledger, StoreError};
use domain::{Policy, Timestamp};

pub use azure::{Azure, DirectClient};
pub use evaluate::{Evaluation, evaluate, situation};
pub use gates::GatesRead;
pub use observe::{Cadence, observe_cosmos, observe_stamps};
pub use several::{Controllers, Turn};
pub use spool::Spool;

/// The controller's ports and policy; one per workload.
pub struct Controller {
    /// What may be done and when.
    pub policy: Policy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// State, plans, inbox and audit.
    pub ledger: Arc<dyn Ledger>,
    /// The gates.
    pub gates: Arc<dyn GateStore>,
    /// Where events wait while the ledger is out of reach; without it their senders must send again.
    pub spool: Option<Spool>,
    /// Where the epoch is kept, outside the ledger.
    pub epoch: Arc<dyn EpochStore>,
    /// The append-only copy of the audit.
    pub audit: Arc<dyn AuditStore>,
    /// ARM, and the way to the stamps.
    pub azure: Azure,
    /// When the slower observers last looked.
    pub cadence: Cadence,
    /// What was last read of the gates.
    pub gates_read: GatesRead,
    /// This process, for claims and logs.
    pub instance: String,
}

/// Why the controller could not do its work; every one of them may pass, so the host should try again.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The ledger, the gates or the audit store.
    #[error("use a store")]
    Store(#[from] StoreError),
    /// The state was written by a newer version of Cordon.
    #[error("read state of schema {found}: this binary knows {known}; upgrade it before it may act")]
    NewerState {
        /// What is stored.
        found: u32,
        /// What we know.
        known: u32,
    },
    /// This machine's clock and ARM's differ, and the last commit is far from both or from this one.
    #[error(
        "believe this machine's clock: it shows {shows}, and ARM says {arm}; nothing is evaluated or observed here until \
         it is set"
    )]
    WrongClock {
        /// What it shows.
        shows: Timestamp,
        /// What ARM says.
        arm: Timestamp,
    },
    /// Others kept committing in between.
    #[error("commit within {rounds} rounds: another instance keeps committing; the next wake-up goes on")]
    Contended {
        /// How often we tried.
        rounds: u32,
    },
}
