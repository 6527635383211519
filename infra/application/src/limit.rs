//! How many requests are served at once. What an instance cannot serve it refuses at once: the clients that it has admitted,
//! those who were here before a surge among them, keep their answer times, and the refused ones know when to ask again.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The limit, and what it has seen since the last tally.
pub(crate) struct Limit {
    most: usize,
    free: Arc<Semaphore>,
    arrived: AtomicU64,
    refused: AtomicU64,
    most_at_once: AtomicUsize,
}

/// What arrived in one span.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Tally {
    pub(crate) requests_per_second: f64,
    /// Share of the limit in use at the fullest moment; above 1 where requests were refused.
    pub(crate) saturation: f64,
}

impl Limit {
    pub(crate) fn new(most: usize) -> Self {
        Self {
            most,
            free: Arc::new(Semaphore::new(most)),
            arrived: AtomicU64::new(0),
            refused: AtomicU64::new(0),
            most_at_once: AtomicUsize::new(0),
        }
    }

    /// A place for one request, held for as long as it is served; none when all are taken. Nobody queues: a queue only
    /// adds waiting to what cannot be served anyway.
    pub(crate) fn enter(&self) -> Option<OwnedSemaphorePermit> {
        self.arrived.fetch_add(1, Ordering::Relaxed);
        match Arc::clone(&self.free).try_acquire_owned() {
            Ok(permit) => {
                let used = self.most.saturating_sub(self.free.available_permits());
                self.most_at_once.fetch_max(used, Ordering::Relaxed);
                Some(permit)
            }
            Err(_) => {
                self.refused.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }

    pub(crate) fn is_full(&self) -> bool {
        self.free.available_permits() == 0
    }

    /// What arrived since the last tally, `span` ago.
    #[expect(clippy::cast_precision_loss, reason = "counts of a few seconds")]
    pub(crate) fn tally(&self, span: Duration) -> Tally {
        let arrived = self.arrived.swap(0, Ordering::Relaxed);
        let refused = self.refused.swap(0, Ordering::Relaxed);
        let used = self.most_at_once.swap(0, Ordering::Relaxed);
        let over = if arrived > 0 { refused as f64 / arrived as f64 } else { 0.0 };
        Tally {
            requests_per_second: arrived as f64 / span.as_secs_f64().max(0.001),
            saturation: used as f64 / self.most as f64 + over,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_place_is_given_once_and_comes_back() {
        let limit = Limit::new(2);
        let first = limit.enter();
        let second = limit.enter();
        assert!(first.is_some() && second.is_some() && limit.enter().is_none() && limit.is_full());
        drop(second);
        assert!(limit.enter().is_some());
    }

    #[test]
    fn a_tally_counts_what_was_refused_and_begins_anew() {
        let limit = Limit::new(1);
        let _held = limit.enter();
        assert!(limit.enter().is_none());
        let tally = limit.tally(Duration::from_secs(2));
        assert_eq!(tally, Tally { requests_per_second: 1.0, saturation: 1.5 });
        let idle = limit.tally(Duration::from_secs(2));
        assert_eq!(idle, Tally { requests_per_second: 0.0, saturation: 0.0 });
    }
}
