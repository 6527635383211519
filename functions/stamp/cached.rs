//! A value that is refreshed on demand, by one caller at a time, and read by everybody without waiting.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use domain::Timestamp;

/// A cached value. Readers on the hot path never wait for a refresh that another caller is making.
pub(super) struct Cached<T> {
    age_max: Duration,
    slot: Mutex<Slot<T>>,
    /// Held across the refresh, but nobody on the hot path ever waits for it.
    flight: tokio::sync::Mutex<()>,
}

struct Slot<T> {
    value: T,
    refreshed_at: Option<Timestamp>,
}

impl<T: Clone> Cached<T> {
    pub(super) fn new(initial: T, age_max: Duration) -> Self {
        Self {
            age_max,
            slot: Mutex::new(Slot { value: initial, refreshed_at: None }),
            flight: tokio::sync::Mutex::new(()),
        }
    }

    /// The value, refreshed by this caller if it is old and nobody is at it; else as it is.
    pub(super) async fn latest(&self, now: Timestamp, refresh: impl AsyncFnOnce(T) -> T) -> T {
        let (value, stale) = self.peek(now);
        if !stale {
            return value;
        }
        match self.flight.try_lock() {
            Ok(_flight) => self.refresh(now, refresh).await,
            Err(_) => value,
        }
    }

    /// The value, not older than `age_max`: waits for whoever is refreshing it. Not for the hot path.
    pub(super) async fn fresh(&self, now: Timestamp, refresh: impl AsyncFnOnce(T) -> T) -> T {
        let (value, stale) = self.peek(now);
        if !stale {
            return value;
        }
        let _flight = self.flight.lock().await;
        self.refresh(now, refresh).await
    }

    async fn refresh(&self, now: Timestamp, refresh: impl AsyncFnOnce(T) -> T) -> T {
        // Somebody may have been faster between our look and the lock.
        let (value, stale) = self.peek(now);
        if !stale {
            return value;
        }
        let value = refresh(value).await;
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        slot.value = value.clone();
        slot.refreshed_at = Some(now);
        value
    }

    /// Looks at the value without a copy of it; none if it is old.
    pub(super) fn look<R>(&self, now: Timestamp, read: impl FnOnce(&T) -> R) -> Option<R> {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        (!self.is_stale(&slot, now)).then(|| read(&slot.value))
    }

    fn peek(&self, now: Timestamp) -> (T, bool) {
        let slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        (slot.value.clone(), self.is_stale(&slot, now))
    }

    /// A clock that went back makes the value stale, too: an age of zero for ever would freeze it.
    fn is_stale(&self, slot: &Slot<T>, now: Timestamp) -> bool {
        slot.refreshed_at.is_none_or(|at| now < at || now.since(at) >= self.age_max)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use tokio::sync::Notify;

    use super::*;

    const MAX: Duration = Duration::from_secs(5);

    #[tokio::test]
    async fn refreshes_only_when_old() {
        let cached = Cached::new(0, MAX);
        let at = Timestamp::from_secs;
        assert_eq!(cached.latest(at(100), async |old| old + 1).await, 1);
        assert_eq!(cached.latest(at(104), async |old| old + 1).await, 1);
        assert_eq!(cached.latest(at(105), async |old| old + 1).await, 2);
        assert_eq!(cached.latest(at(50), async |old| old + 1).await, 3);
    }

    #[tokio::test]
    async fn one_flight_at_a_time_and_the_others_do_not_wait() {
        let cached = Arc::new(Cached::new(0, MAX));
        let (started, go) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let flights = Arc::new(AtomicU32::new(0));
        let leader = tokio::spawn({
            let (cached, started, go, flights) =
                (Arc::clone(&cached), Arc::clone(&started), Arc::clone(&go), Arc::clone(&flights));
            async move {
                cached
                    .latest(Timestamp::from_secs(1), async |_| {
                        flights.fetch_add(1, Ordering::SeqCst);
                        started.notify_one();
                        go.notified().await;
                        7
                    })
                    .await
            }
        });
        started.notified().await;
        for _ in 0..100 {
            assert_eq!(cached.latest(Timestamp::from_secs(1), async |_| unreachable!()).await, 0);
        }
        go.notify_one();
        assert_eq!(leader.await.unwrap(), 7);
        assert_eq!(flights.load(Ordering::SeqCst), 1);
        assert_eq!(cached.fresh(Timestamp::from_secs(2), async |_| unreachable!()).await, 7);
    }
}
