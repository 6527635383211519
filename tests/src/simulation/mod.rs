//! Deterministic simulation of the whole controller. A seed makes a world; the production `evaluate` and `execute` of
//! several instances run in it over simulated ports, on simulated time, on one thread; they crash at any await, stand
//! still for minutes, and lose the ledger, the gates or ARM. Workload, faults and checkers know nothing of each other.
//! The same seed is the same run.

pub mod draw;

pub mod workload;
pub mod faults;
pub mod operators;

pub mod truth;
pub mod arm;
pub mod observers;

pub mod checkers;
pub mod sabotage;
pub mod hub;
pub mod ports;
pub mod instance;

pub mod quiet;
pub mod run;
pub mod report;
pub mod adversary;

pub use run::{Options, Outcome, Store, Story, run};
pub use sabotage::Sabotage;

/// The shipped policy, as every run has it unless told otherwise.
///
/// # Panics
/// Never: the shipped policy is valid, by its own tests.
pub fn shipped_policy() -> domain::Policy {
    domain::policy::parse(cordon::drill::SHIPPED_POLICY).expect("the shipped policy is valid")
}
