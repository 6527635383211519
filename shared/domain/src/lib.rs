//! The decision core: signals in, decisions and plans out. Pure: no async, no I/O, no clock, no logging.
//!
//! Read it in this order: what comes in (`signal`, `facts`, `command`), what is remembered (`state`), how it gets there
//! (`fold`, `evidence`), what is true (`assess`), what is done (`decide`, `plan`, `lint`, `judge`), what is written
//! (`transition`, `audit`), and in words (`explain`).

mod time;
mod ids;
pub mod regions;
pub mod policy;

mod signal;
mod command;
pub mod facts;
pub mod gate;
mod step;

pub mod state;
pub mod modes;
pub mod overriding;
pub mod fold;
mod drift;
pub mod evidence;
pub mod assess;
pub mod capacity;
pub mod quota;
pub mod harm;

pub mod decide;
pub mod stray;
pub mod throughput;
pub mod plan;
pub mod lint;
pub mod judge;
pub mod deployment;
pub mod shadow;
pub mod notice;
pub mod alternatives;
pub mod counterfactual;
pub mod explanation;
mod transition;
pub mod canonical;
pub mod audit;
pub mod audit_line;
pub mod fork;
pub mod explain;

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

pub use command::{Command, Order};
pub use facts::{EnabledState, Facts};
pub use gate::{GateDocument, GatePosition};
pub use ids::{FIRST_EPOCH, Generation, ItemId, OperationId, RegionName, StampId, StepId, WorkloadId};
pub use policy::Policy;
pub use signal::{
    EvidenceClass, FailureKind, InboxItem, ItemBody, Measure, NOTE_CHARS_MAX, Refusal, RefusalCode, Scope,
    Signal, Standing, Verdict, note,
};
pub use step::{Actuator, Effect, FailureCode, Purpose, Step, StepOutcome, StepResult, StepStatus};
pub use time::{NotATimestamp, Timestamp};
pub use transition::{CONSUMED_MAX, StepWrite, StoredStep, Transition};
