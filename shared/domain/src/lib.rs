//! The decision core: signals in, decisions and plans out. Pure: no async, no I/O, no clock, no logging.

mod time;
mod ids;

pub use ids::{Generation, ItemId, OperationId, RegionName, StampId, StepId, WorkloadId};
pub use time::{NotATimestamp, Timestamp};
