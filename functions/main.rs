//! The `cordon` binary.
fn main() {}
