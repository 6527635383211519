//! What the controller's functions call: evaluate, execute, observe. Everything it touches is a port.

mod evaluate;
mod observe;

use std::sync::Arc;

use adapters::{AuditStore, Clock, GateStore, Ledger, StoreError};
use domain::Policy;

pub use evaluate::{Evaluation, evaluate};
pub use observe::{observe_cosmos, observe_stamps};

/// The controller's ports and policy; one per process.
pub struct Controller {
    /// What may be done and when.
    pub policy: Policy,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// State, plans, inbox and audit.
    pub ledger: Arc<dyn Ledger>,
    /// The gates.
    pub gates: Arc<dyn GateStore>,
    /// The append-only copy of the audit.
    pub audit: Arc<dyn AuditStore>,
    /// This process, for claims and logs.
    pub instance: String,
}

/// Why the controller could not do its work; every one of them may pass, so the host should try again.
#[derive(Debug, thiserror::Error)]
pub enum ControllerError {
    /// The ledger, the gates or the audit store.
    #[error("use a store")]
    Store(#[from] StoreError),
}
