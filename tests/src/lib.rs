//! Everything across crates.

pub mod conformance;
