//! The edge: one folder per Azure function, the controller behind them, the command line.

pub mod controller;
