//! Everything across crates.

pub mod bench;
pub mod compare;
pub mod conformance;
pub mod drills;
pub mod fakes;
pub mod fixtures;
pub mod host_double;
pub mod peer;
pub mod simulation;
pub mod model;
