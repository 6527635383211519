//! Everything across crates.

pub mod fakes;
pub mod fixtures;
pub mod host_double;
