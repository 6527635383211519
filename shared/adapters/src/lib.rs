//! Ports, and what stands behind them: Azure, an embedded file, memory.

mod clock;

pub mod azure;

pub use clock::{Clock, ManualClock, SystemClock};
