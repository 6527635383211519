//! A span and metrics for each call that leaves the process. Both are `tracing`'s: who exports them is the program's affair,
//! and where nobody does they cost a comparison.
//!
//! A metric is an event of the target `METRICS` with a field that begins with `monotonic_counter.`, `histogram.` or `gauge.`
//! and goes on with the metric's name; its other fields are attributes. README.md lists all of them.

use std::time::Instant;

use tracing::{Instrument, Level};

use crate::StoreError;

/// The target of the events that are metrics. They are of the finest level, so that no log shows them unasked.
pub const METRICS: &str = "cordon::metrics";

/// Whether somebody collects metrics.
pub fn is_on() -> bool {
    tracing::enabled!(target: METRICS, Level::TRACE)
}

/// A call of a store, with its span, its duration and its failure.
pub(crate) async fn call<T>(
    store: &'static str,
    call: &'static str,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    let begun = Instant::now();
    let done = work.instrument(tracing::debug_span!("store", store, call)).await;
    if is_on() {
        let outcome = match &done {
            Ok(_) => "ok",
            Err(StoreError::Unavailable { .. }) => "unavailable",
            Err(StoreError::Unreadable { .. }) => "unreadable",
            Err(StoreError::Refused { .. }) => "refused",
        };
        let seconds = begun.elapsed().as_secs_f64();
        tracing::event!(target: METRICS, Level::TRACE, histogram.cordon.store.duration = seconds, store, call, outcome);
        if done.is_err() {
            tracing::event!(target: METRICS, Level::TRACE, monotonic_counter.cordon.store.errors = 1_u64, store, call, outcome);
        }
    }
    done
}
