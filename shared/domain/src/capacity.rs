//! What must be carried, by whom, and what they can carry now.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use serde::{Deserialize, Serialize};

use crate::facts::LoadFacts;
use crate::policy::{Policy, Redistribution};
use crate::regions::distance_km;
use crate::state::{CannotGrow, LoadSample, WorkloadState};
use crate::{EnabledState, StampId, Timestamp, quota};

/// Load facts older than this do not show ready capacity.
const LOAD_AGE_MAX: std::time::Duration = std::time::Duration::from_secs(60);

/// The state tag of a stamp that is on its way out.
const DRAINING: &str = "draining";

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
    /// Instances it can really get: what it may be asked for, less once its scale-outs were seen to fail.
    pub instances_possible: u32,
    /// Instances it will miss.
    pub instances_missing: u32,
}

impl Share {
    /// Whether it carries its share now, with the margin of S2.
    pub fn is_ready(&self) -> bool {
        self.ready_rps >= self.demand_rps * crate::lint::S2_MARGIN
    }

    /// Whether waiting can make it ready, as far as is known.
    pub fn can_become_ready(&self, policy: &Policy) -> bool {
        f64::from(self.instances_possible) * policy.capacity.instance_rps
            >= self.demand_rps * crate::lint::S2_MARGIN
    }
}

/// Ready instances of a stamp; none when nobody saw it lately.
pub fn ready_instances(state: &WorkloadState, stamp: &StampId) -> Option<u32> {
    fresh_load(state, stamp).map(|load| load.ready_instances)
}

/// What a stamp said of its load, unless that is too long ago.
pub(crate) fn fresh_load<'a>(state: &'a WorkloadState, stamp: &StampId) -> Option<&'a LoadFacts> {
    state.load.get(stamp).filter(|load| state.as_of.since(load.observed_at) <= LOAD_AGE_MAX)
}

/// Saturation from which a stamp's own measure of what it carries is believed against the policy's figure: below, a few requests
/// more or less under way make too much of a difference.
const MEASURED_FROM: f64 = 0.7;

/// Ready capacity of a stamp in requests per second; none when nobody saw it lately. By the policy's figure for an instance, or
/// by the stamp's own measure where that is less: instances that something slows down carry less, and say so. (Simulation,
/// seed 90000567.)
pub fn ready_rps(state: &WorkloadState, stamp: &StampId, policy: &Policy) -> Option<f64> {
    let load = fresh_load(state, stamp)?;
    let by_policy = f64::from(load.ready_instances) * policy.capacity.instance_rps;
    let measured = (load.saturation >= MEASURED_FROM).then(|| load.requests_per_second / load.saturation);
    Some(measured.map_or(by_policy, |measured| by_policy.min(measured)))
}

/// Requests per second that arrive at a stamp; none when nobody saw it lately.
pub fn arriving_rps(state: &WorkloadState, stamp: &StampId) -> Option<f64> {
    fresh_load(state, stamp).map(|load| load.requests_per_second)
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
    let moved: BTreeMap<&StampId, f64> =
        out.iter().filter_map(|stamp| Some((stamp, state.cases.get(stamp)?.demand_rps))).collect();
    let survivors = survivors(state, out);
    let extra = spread(state, &moved, &survivors, policy);
    survivors
        .into_iter()
        .map(|stamp| {
            let own = state.cases[stamp].demand_rps;
            let more = extra.get(stamp).copied().unwrap_or(0.0);
            (stamp.clone(), share(state, stamp, own + more, policy))
        })
        .collect()
}

/// The stamps outside of `out` that load can move to: not draining, and not disabled by whomever.
pub(crate) fn survivors<'a>(state: &'a WorkloadState, out: &BTreeSet<StampId>) -> Vec<&'a StampId> {
    let open = |stamp: &StampId| {
        state.origins.get(stamp).is_none_or(|origin| origin.enabled == EnabledState::Enabled)
    };
    state
        .cases
        .keys()
        .filter(|stamp| !out.contains(*stamp) && open(stamp) && !is_draining(state, stamp))
        .collect()
}

/// How much of the moved demand lands where, in requests per second, by the policy's redistribution. Under `worst-case`
/// all of it may land on each, so the parts add up to more than what moves.
pub(crate) fn spread<'a>(
    state: &WorkloadState,
    moved: &BTreeMap<&StampId, f64>,
    survivors: &[&'a StampId],
    policy: &Policy,
) -> BTreeMap<&'a StampId, f64> {
    let all: f64 = moved.values().sum();
    match policy.capacity.redistribution {
        Redistribution::WorstCase => survivors.iter().map(|stamp| (*stamp, all)).collect(),
        Redistribution::Proportional => in_proportion(state, all, survivors),
        Redistribution::Nearest => {
            let mut parts: BTreeMap<&StampId, f64> = BTreeMap::new();
            let mut nowhere = 0.0;
            for (from, rps) in moved {
                match nearest(state, from, survivors) {
                    Some(stamp) => *parts.entry(stamp).or_default() += rps,
                    None => nowhere += rps,
                }
            }
            // A region that the table does not know is near to nobody.
            for (stamp, rps) in in_proportion(state, nowhere, survivors) {
                *parts.entry(stamp).or_default() += rps;
            }
            parts
        }
    }
}

fn in_proportion<'a>(
    state: &WorkloadState,
    moved: f64,
    survivors: &[&'a StampId],
) -> BTreeMap<&'a StampId, f64> {
    let own = |stamp: &StampId| state.cases[stamp].demand_rps;
    let own_sum: f64 = survivors.iter().map(|stamp| own(stamp)).sum();
    #[expect(clippy::cast_precision_loss, reason = "a few dozen stamps")]
    let count = survivors.len() as f64;
    survivors
        .iter()
        .map(|stamp| (*stamp, moved * if own_sum > 0.0 { own(stamp) / own_sum } else { 1.0 / count }))
        .collect()
}

/// The survivor whose region is nearest; of two equally near the first by name.
fn nearest<'a>(state: &WorkloadState, from: &StampId, survivors: &[&'a StampId]) -> Option<&'a StampId> {
    let region = |stamp: &StampId| state.topology.stamps.get(stamp).map(|facts| &facts.region);
    let from = region(from)?;
    survivors
        .iter()
        .filter_map(|stamp| Some((distance_km(from, region(stamp)?)?, *stamp)))
        .min()
        .map(|(_, stamp)| stamp)
}

fn share(state: &WorkloadState, stamp: &StampId, demand_rps: f64, policy: &Policy) -> Share {
    let instances_needed = instances_for(demand_rps * policy.capacity.headroom, policy);
    let ready = ready_instances(state, stamp).unwrap_or(0);
    let may = may_ask(state, stamp, policy);
    // It is still asked for all of it: a region that could not grow may be able to again.
    let instances_possible = if cannot_grow(state, stamp).is_some() { may.min(ready) } else { may };
    Share {
        demand_rps,
        ready_rps: ready_rps(state, stamp, policy).unwrap_or(0.0),
        instances_needed,
        instances_asked: instances_needed.min(may),
        instances_possible,
        instances_missing: instances_needed.saturating_sub(instances_possible),
    }
}

/// Instances that a stamp may be asked for: the policy's bound and the quota. A minimum over the quota would get none at
/// all, since the engine asks for the whole difference at once.
pub(crate) fn may_ask(state: &WorkloadState, stamp: &StampId, policy: &Policy) -> u32 {
    let within_quota = quota::instances_max(state, stamp).map_or(u32::MAX, |most| {
        // What is there is there, whatever the quota says.
        let has = state.capacity.get(stamp).map_or(0, |capacity| capacity.instances);
        most.max(has).max(ready_instances(state, stamp).unwrap_or(0))
    });
    policy.capacity.instances_max.min(within_quota)
}

/// That a stamp was seen not to grow, while it is believed.
pub fn cannot_grow(state: &WorkloadState, stamp: &StampId) -> Option<CannotGrow> {
    state.cases.get(stamp)?.cannot_grow.filter(|found| found.until > state.as_of)
}

/// Learns which stamps can grow: a floor of ours that stands and was not reached within the policy's time says that the
/// region cannot, for a while; instances that are there say that it can. What nobody sees teaches nothing.
pub(crate) fn learn_growth(state: &mut WorkloadState, policy: &Policy) {
    let as_of = state.as_of;
    let ready: BTreeMap<StampId, u32> = state
        .cases
        .keys()
        .filter_map(|stamp| Some((stamp.clone(), ready_instances(state, stamp)?)))
        .collect();
    for (stamp, case) in &mut state.cases {
        let (Some(asked), Some(since)) = (case.floor_recorded, case.floor_set_at) else {
            case.cannot_grow = case.cannot_grow.filter(|found| found.until > as_of);
            continue;
        };
        let Some(ready) = ready.get(stamp).copied() else { continue };
        if ready >= asked {
            case.cannot_grow = None;
        } else if case.cannot_grow.is_some_and(|found| found.until <= as_of) {
            // Tried for long enough: it gets another chance to show what it can do.
            case.cannot_grow = None;
            case.floor_set_at = Some(as_of);
        } else if case.cannot_grow.is_none() && as_of.since(since) >= policy.capacity.grow_within.get() {
            let until = as_of + policy.capacity.grow_retry.get();
            case.cannot_grow = Some(CannotGrow { since: as_of, until, ready, asked });
        }
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

/// Whether the stamp's own tag says that it is on its way out: it is not counted as capacity and never comes back.
pub fn is_draining(state: &WorkloadState, stamp: &StampId) -> bool {
    let tag = state.topology.stamps.get(stamp).and_then(|facts| facts.state.as_deref());
    tag.is_some_and(|tag| tag.eq_ignore_ascii_case(DRAINING))
}

/// Whether a stamp takes traffic in the effective world, changes in flight taken pessimistically: enabled for sure,
/// gate not closed and not about to be, and not on its way out.
pub fn is_effective(state: &WorkloadState, stamp: &StampId) -> bool {
    let case = state.cases.get(stamp);
    let origin_on = state.origins.get(stamp).is_none_or(|origin| origin.enabled == EnabledState::Enabled);
    origin_on
        && case.is_some_and(|case| case.gate.percent() > 0 && case.latched_at.is_none())
        && !is_draining(state, stamp)
}

/// A load that falls below this share of what it was minutes ago has gone elsewhere.
const COLLAPSED: f64 = 0.5;

/// What has not shown within this time did not happen: the minute metrics of the edge come one to three minutes late.
const SHOWN_WITHIN: std::time::Duration = std::time::Duration::from_secs(180);

/// The demand at a stamp before `symptom`: the last own load sample that is older than it by a probe or two. Where the load
/// collapsed before anybody said why, it is what two samples before the collapse agree on: clients do not leave a region
/// within minutes, Front Door takes them away. (Simulation, seed 7000009.)
pub fn demand_before(samples: impl Iterator<Item = LoadSample>, symptom: Timestamp) -> Option<f64> {
    let before = symptom.before(std::time::Duration::from_secs(15));
    let (mut last, mut most, mut second) = (None, 0.0_f64, 0.0_f64);
    for sample in samples.filter(|sample| sample.at <= before) {
        last = Some(sample.rps);
        second = second.max(most.min(sample.rps));
        most = most.max(sample.rps);
    }
    last.map(|last| if last < second * COLLAPSED { second } else { last })
}

/// The demand of each stamp in requests per second, while nobody says anything bad: its newest load, unless some region has
/// just lost most of it. Front Door drops a region at once and tells minutes later; its clients are elsewhere by then, and who
/// sleeps for minutes has no older sample left to learn from. Then it is what all of them had some minutes ago. One moment for
/// all: what one has lost another has, and a sum of two moments counts it twice. (Simulation, seed 90000427.)
pub fn demand_in_calm(
    samples: &BTreeMap<StampId, VecDeque<LoadSample>>,
    as_of: Timestamp,
) -> BTreeMap<&StampId, f64> {
    let shown = as_of.before(SHOWN_WITHIN);
    let loads = samples.iter().filter_map(|(stamp, samples)| {
        let settled = samples.iter().rfind(|sample| sample.at <= shown).or(samples.front())?;
        Some((stamp, settled.rps, samples.back()?.rps))
    });
    let loads: Vec<(&StampId, f64, f64)> = loads.collect();
    let kept = |from: f64, to: f64| if from > 0.0 { to / from } else { 1.0 };
    let since = loads.iter().map(|(_, then, now)| kept(*then, *now)).fold(1.0, f64::min);
    let before = loads.iter().map(|(_, then, now)| kept(*now, *then)).fold(1.0, f64::min);
    // A region that was empty then and is full now came back: what is now is the usual.
    let went = since < COLLAPSED && since < before;
    loads.into_iter().map(|(stamp, then, now)| (stamp, if went { then } else { now })).collect()
}
