//! What must be carried, by whom, and what they can carry now.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::policy::{Policy, Redistribution};
use crate::state::WorkloadState;
use crate::{EnabledState, StampId, Timestamp};

/// Load facts older than this do not show ready capacity.
const LOAD_AGE_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// What one survivor must carry and can.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Share {
    /// Requests per second it must carry.
    pub demand_rps: f64,
    /// Requests per second it can carry now: ready instances, probed, not requested.
    pub ready_rps: f64,
    /// Instances it needs, head-room included.
    pub instances_needed: u32,
    /// Instances it may be asked for; fewer than needed is a shortfall.
    pub instances_asked: u32,
}

/// Ready capacity of a stamp in requests per second; none when nobody saw it lately.
pub fn ready_rps(state: &WorkloadState, stamp: &StampId, policy: &Policy) -> Option<f64> {
    let load = state.load.get(stamp)?;
    (state.as_of.since(load.observed_at) <= LOAD_AGE_MAX)
        .then(|| f64::from(load.ready_instances) * policy.capacity.instance_rps)
}

/// The demand of every stamp before the first symptom of anything, in requests per second.
pub fn demand(state: &WorkloadState) -> BTreeMap<StampId, f64> {
    state.cases.iter().map(|(stamp, case)| (stamp.clone(), case.demand_rps)).collect()
}

/// What each stamp outside of `out` would carry if `out` carried nothing.
pub fn shares_without(
    state: &WorkloadState,
    out: &BTreeSet<StampId>,
    policy: &Policy,
) -> BTreeMap<StampId, Share> {
    let demand = demand(state);
    let moved: f64 = out.iter().filter_map(|stamp| demand.get(stamp)).sum();
    let survivors: Vec<(&StampId, f64)> =
        demand.iter().filter(|(stamp, _)| !out.contains(*stamp)).map(|(stamp, rps)| (stamp, *rps)).collect();
    let own_sum: f64 = survivors.iter().map(|(_, rps)| rps).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few dozen stamps")]
    let count = survivors.len() as f64;
    survivors
        .into_iter()
        .map(|(stamp, own)| {
            let part = match policy.capacity.redistribution {
                Redistribution::WorstCase => 1.0,
                Redistribution::Proportional if own_sum > 0.0 => own / own_sum,
                Redistribution::Proportional => 1.0 / count,
            };
            (stamp.clone(), share(state, stamp, own + moved * part, policy))
        })
        .collect()
}

fn share(state: &WorkloadState, stamp: &StampId, demand_rps: f64, policy: &Policy) -> Share {
    let instances_needed = instances_for(demand_rps * policy.capacity.headroom, policy);
    Share {
        demand_rps,
        ready_rps: ready_rps(state, stamp, policy).unwrap_or(0.0),
        instances_needed,
        instances_asked: instances_needed.min(policy.capacity.instances_max),
    }
}

/// Instances that carry `rps`, at least one.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to 1..=10000 before the cast"
)]
pub fn instances_for(rps: f64, policy: &Policy) -> u32 {
    (rps / policy.capacity.instance_rps).ceil().clamp(1.0, 10_000.0) as u32
}

/// Whether a stamp takes traffic in the effective world, changes in flight taken pessimistically: enabled for sure,
/// gate not closed and not about to be.
pub fn is_effective(state: &WorkloadState, stamp: &StampId) -> bool {
    let case = state.cases.get(stamp);
    let origin_on = state.origins.get(stamp).is_none_or(|origin| origin.enabled == EnabledState::Enabled);
    origin_on && case.is_some_and(|case| case.gate.percent() > 0 && case.latched_at.is_none())
}

/// The demand at a stamp before `symptom`: the last own load sample that is older than it by a probe or two.
pub fn demand_before(
    samples: impl DoubleEndedIterator<Item = crate::state::LoadSample>,
    symptom: Timestamp,
) -> Option<f64> {
    let before = symptom.before(std::time::Duration::from_secs(15));
    samples.rev().find(|sample| sample.at <= before).map(|sample| sample.rps)
}
