//! Everything across crates.
