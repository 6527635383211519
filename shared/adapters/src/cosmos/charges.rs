//! What the account charged: request units, by what was asked of it.

use std::sync::atomic::{AtomicU64, Ordering};

/// What was asked of the account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// One document by its id.
    Read,
    /// One page of a query within a partition.
    Query,
    /// One document created, replaced or deleted.
    Write,
    /// One transactional batch.
    Batch,
}

/// How often, and for how much.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Charge {
    /// Requests that were answered; a retry inside the SDK is not seen here.
    pub requests: u64,
    /// Request units, as the answers say.
    pub units: f64,
}

/// The account's charges since the start; shared by all stores on it.
#[derive(Debug, Default)]
pub struct Charges([Counter; 4]);

#[derive(Debug, Default)]
struct Counter {
    requests: AtomicU64,
    /// Hundredths, as the service rounds its charges.
    centi_units: AtomicU64,
}

impl Charges {
    /// What one kind of request cost so far.
    pub fn of(&self, kind: Kind) -> Charge {
        let counter = &self.0[kind as usize];
        let centi = counter.centi_units.load(Ordering::Relaxed);
        // Exact up to 2^53 hundredths: far more than an account can charge in a process's life.
        let units = f64::from(u32::try_from(centi / 100).unwrap_or(u32::MAX))
            + f64::from(u32::try_from(centi % 100).unwrap_or(0)) / 100.0;
        Charge { requests: counter.requests.load(Ordering::Relaxed), units }
    }

    /// What all of it cost so far.
    pub fn total(&self) -> Charge {
        [Kind::Read, Kind::Query, Kind::Write, Kind::Batch].into_iter().fold(
            Charge::default(),
            |sum, kind| {
                let charge = self.of(kind);
                Charge { requests: sum.requests + charge.requests, units: sum.units + charge.units }
            },
        )
    }

    pub(super) fn add(&self, kind: Kind, units: Option<f64>) {
        let counter = &self.0[kind as usize];
        counter.requests.fetch_add(1, Ordering::Relaxed);
        counter.centi_units.fetch_add(centi(units.unwrap_or(0.0)), Ordering::Relaxed);
    }
}

/// Rounded, and nothing for what is no charge. Text is the one conversion from float to integer that cannot wrap.
fn centi(units: f64) -> u64 {
    format!("{:.0}", (units * 100.0).max(0.0)).parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charges_add_up_by_kind() {
        let charges = Charges::default();
        charges.add(Kind::Read, Some(1.0));
        charges.add(Kind::Read, Some(2.25));
        charges.add(Kind::Batch, Some(30.5));
        charges.add(Kind::Query, None);
        for nonsense in [f64::NAN, -1.0] {
            charges.add(Kind::Write, Some(nonsense));
        }
        assert_eq!(charges.of(Kind::Read), Charge { requests: 2, units: 3.25 });
        assert_eq!(charges.of(Kind::Query), Charge { requests: 1, units: 0.0 });
        assert_eq!(charges.of(Kind::Write), Charge { requests: 2, units: 0.0 });
        assert_eq!(charges.total().requests, 6);
    }
}
