//! The edge: one folder per Azure function.
