//! Cordon and its rivals on the same streams: plays the incidents, sums the figures, prints them.

mod figures;
mod table;
mod verdict;
mod chart;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use simulator::fleet::{Family, Played, PolicyKind, play};

pub use chart::svg;
pub use figures::Figures;
pub use table::{definitions, markdown, seeds_to_look_at, text};
pub use verdict::{Kept, Promise, Worse, promises, worse};

/// What was played so far, by family and policy, in the order of the seeds.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Results {
    runs: BTreeMap<(Family, PolicyKind), BTreeMap<u64, Played>>,
}

impl Results {
    /// The figures of one policy in one family; none before the first run.
    pub fn figures(&self, family: Family, policy: PolicyKind) -> Option<Figures> {
        self.runs.get(&(family, policy)).map(|runs| Figures::of(family, runs))
    }

    /// The families that were played at all, in the order of the table.
    pub fn families(&self) -> impl Iterator<Item = Family> {
        Family::ALL.into_iter().filter(|family| self.runs.keys().any(|(played, _)| played == family))
    }

    /// The runs of one policy in one family, by seed.
    pub fn runs(&self, family: Family, policy: PolicyKind) -> impl Iterator<Item = (u64, &Played)> {
        self.runs.get(&(family, policy)).into_iter().flatten().map(|(seed, played)| (*seed, played))
    }
}

/// How far a comparison is.
#[derive(Clone, Copy, Debug)]
pub struct Progress {
    /// Incidents played, each under every policy.
    pub done: usize,
    /// Incidents in all.
    pub all: usize,
    /// Seconds since the start.
    pub elapsed_s: f64,
}

/// Plays every seed of every family under every policy, on as many threads as asked for. Stops early, with what it has,
/// once `stop` is set. `told` hears of the progress after each incident.
pub fn compare(
    families: &[Family],
    seeds: Range<u64>,
    threads: usize,
    stop: &AtomicBool,
    told: &(dyn Fn(Progress) + Sync),
) -> Results {
    let mut jobs: Vec<(Family, u64)> = Vec::new();
    for seed in seeds {
        jobs.extend(families.iter().map(|family| (*family, seed)));
    }
    let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let results = Mutex::new(Results::default());
    let began = Instant::now();
    let work = || {
        while !stop.load(Ordering::Relaxed) {
            let Some((family, seed)) = jobs.get(next.fetch_add(1, Ordering::Relaxed)) else { return };
            let played = PolicyKind::ALL.map(|policy| (policy, play(*family, *seed, policy)));
            let mut results = results.lock().unwrap_or_else(PoisonError::into_inner);
            for (policy, played) in played {
                results.runs.entry((*family, policy)).or_default().insert(*seed, played);
            }
            drop(results);
            let done = done.fetch_add(1, Ordering::Relaxed) + 1;
            told(Progress { done, all: jobs.len(), elapsed_s: began.elapsed().as_secs_f64() });
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(work);
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}
