//! From the runs of one policy in one family to the figures of the table.

use std::collections::BTreeMap;

use simulator::fleet::{Expected, Family, Played};

/// A figure over the seeds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Spread {
    /// Mean.
    pub mean: f64,
    /// Median.
    pub median: f64,
    /// 95th percentile.
    pub p95: f64,
    /// The worst seed's.
    pub worst: f64,
    /// Which seed that is.
    pub worst_seed: u64,
}

impl Spread {
    fn of(values: &[(u64, f64)]) -> Self {
        let mut sorted = values.to_vec();
        sorted.sort_by(|a, b| a.1.total_cmp(&b.1));
        let at = |rank: f64| {
            let index = (rank * sorted.len() as f64).ceil() as usize;
            sorted.get(index.saturating_sub(1)).map_or(0.0, |(_, value)| *value)
        };
        let (worst_seed, worst) = sorted.last().copied().unwrap_or_default();
        Self {
            mean: values.iter().map(|(_, value)| value).sum::<f64>() / (values.len() as f64).max(1.0),
            median: at(0.5),
            p95: at(0.95),
            worst,
            worst_seed,
        }
    }
}

/// One row of the table.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Figures {
    /// Incidents played.
    pub incidents: usize,
    /// Region-years that they stand for, by the family's rate.
    pub region_years: f64,
    /// Failed requests per incident, in thousands.
    pub failed_k: Spread,
    /// Minutes below the floor per incident.
    pub below_min: Spread,
    /// Minutes below the floor for which a removal of a serving region by the policy is the reason.
    pub sunk_min: Spread,
    /// Minutes below the floor in which what the policy holds out would have helped.
    pub held_below_min: Spread,
    /// Minutes in which next to nothing was served.
    pub zero_min: Spread,
    /// Wrong cordons in all, whoever caused them.
    pub wrong: u32,
    /// Wrong cordons caused by an effect of the policy.
    pub wrong_caused: u32,
    /// Minutes in which an able region stood held out by the policy, windows included.
    pub held_able_min: Spread,
    /// Failures of ten minutes and more that were not cordoned.
    pub missed: u32,
    /// Failures of ten minutes and more.
    pub to_cordon: u32,
    /// Drops after a return.
    pub flaps: Spread,
    /// Seconds until a failure was cordoned.
    pub cordoned_after_s: Spread,
    /// Minutes from the end of the last failure to full service.
    pub full_service_min: Spread,
    /// Incidents in which the policy did what a reviewer expects, of those with an expectation.
    pub as_expected: u32,
    /// Incidents with an expectation.
    pub with_expectation: u32,
    /// Simulated hours.
    pub hours: f64,
}

impl Figures {
    pub(super) fn of(family: Family, runs: &BTreeMap<u64, Played>) -> Self {
        let spread = |of: &dyn Fn(&Played) -> f64| {
            Spread::of(&runs.iter().map(|(seed, played)| (*seed, of(played))).collect::<Vec<_>>())
        };
        let minutes = |of: &dyn Fn(&Played) -> u32| spread(&|played| f64::from(of(played)) / 60.0);
        let sum = |of: &dyn Fn(&Played) -> u32| runs.values().map(of).sum();
        let each = |of: &dyn Fn(&Played) -> Vec<u32>, unit: f64| {
            let values = runs
                .iter()
                .flat_map(|(seed, played)| of(played).into_iter().map(move |value| (*seed, value)));
            Spread::of(&values.map(|(seed, value)| (seed, f64::from(value) / unit)).collect::<Vec<_>>())
        };
        let rate = family.rate().per_workload_year;
        Self {
            incidents: runs.len(),
            region_years: runs.values().map(|played| played.stamps as f64 / rate).sum(),
            failed_k: spread(&|played| played.outcome.failed / 1_000.0),
            below_min: minutes(&|played| played.outcome.below_floor_s),
            sunk_min: minutes(&|played| played.outcome.sunk_by_removal_s),
            held_below_min: minutes(&|played| played.outcome.held_below_s),
            zero_min: minutes(&|played| played.outcome.zero_serving_s),
            wrong: sum(&|played| played.outcome.wrong),
            wrong_caused: sum(&|played| played.outcome.wrong_caused),
            held_able_min: minutes(&|played| played.outcome.held_able_s),
            missed: sum(&|played| played.outcome.missed),
            to_cordon: sum(&|played| played.outcome.to_cordon),
            flaps: spread(&|played| f64::from(played.outcome.flaps)),
            cordoned_after_s: each(&|played| played.outcome.cordoned_after_s.clone(), 1.0),
            full_service_min: each(&|played| played.outcome.full_service_after_s.into_iter().collect(), 60.0),
            as_expected: sum(&|played| u32::from(met(played) == Some(Met::AsExpected))),
            with_expectation: sum(&|played| u32::from(met(played).is_some())),
            hours: runs.values().map(|played| f64::from(played.outcome.seconds) / 3_600.0).sum(),
        }
    }

    /// Wrong cordons caused, per region-year.
    pub fn wrong_caused_per_region_year(&self) -> f64 {
        f64::from(self.wrong_caused) / self.region_years.max(f64::MIN_POSITIVE)
    }

    /// Wrong cordons in all, per region-year.
    pub fn wrong_per_region_year(&self) -> f64 {
        f64::from(self.wrong) / self.region_years.max(f64::MIN_POSITIVE)
    }
}

/// Whether a policy did what a reviewer expects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Met {
    AsExpected,
    Otherwise,
}

/// The judgement of one run; none where either would be right. The failing region of a recorded incident is its first.
pub(super) fn met(played: &Played) -> Option<Met> {
    let outcome = &played.outcome;
    let right = match played.expected {
        Expected::Either => return None,
        Expected::Cordon => outcome.missed == 0 && outcome.wrong_caused == 0,
        Expected::NoCordon => outcome.cordoned_by_policy == 0,
    };
    Some(if right { Met::AsExpected } else { Met::Otherwise })
}
