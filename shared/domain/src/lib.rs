//! The decision core: signals in, decisions and plans out. Pure: no async, no I/O, no clock, no logging.

pub mod audit;
mod command;
pub mod facts;
pub mod gate;
mod ids;
pub mod policy;
pub mod regions;
mod signal;
pub mod state;
mod step;
mod time;
mod transition;

pub use command::{Command, Order};
pub use facts::{EnabledState, Facts};
pub use gate::{GateDocument, GatePosition};
pub use ids::{Generation, ItemId, OperationId, RegionName, StampId, StepId, WorkloadId};
pub use policy::Policy;
pub use signal::{
    EvidenceClass, FailureKind, InboxItem, ItemBody, Measure, NOTE_CHARS_MAX, Refusal, RefusalCode, Scope,
    Signal, Standing, Verdict, note,
};
pub use step::{Actuator, Effect, FailureCode, Purpose, Step, StepOutcome, StepResult, StepStatus};
pub use time::{NotATimestamp, Timestamp};
pub use transition::{CONSUMED_MAX, StepWrite, StoredStep, Transition};
