//! Ports, and what stands behind them.
