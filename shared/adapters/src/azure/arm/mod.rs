//! A client for Azure Resource Manager: get, list, write, and look once at a long-running operation.
//!
//! It never waits for an operation and never repeats a request for longer than [`CALL_BUDGET`]. What cannot be done
//! now comes back as a typed [`ArmError`], and the ledger says when to try again.

mod client;
mod endpoint;
mod error;
mod operation;
mod resource_id;

pub use client::{ArmClient, BODY_BYTES_MAX, CALL_BUDGET, LIST_BUDGET, PAGES_MAX, RETRIES_MAX};
pub use endpoint::{ArmEndpoint, EndpointError};
pub use error::ArmError;
pub use operation::{Accepted, OperationStatus, OperationUrl};
pub use resource_id::{RESOURCE_ID_BYTES_MAX, ResourceId, ResourceIdError};
