//! A simulated Azure.
