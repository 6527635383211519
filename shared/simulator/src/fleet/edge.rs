//! Front Door's locations, in groups: each probes, judges and routes for itself, and learns of a change of configuration
//! in its own time. The same rules as in [`crate::edge`], with fewer locations and a longer step.

use std::collections::VecDeque;
use std::net::{IpAddr, Ipv4Addr};

use domain::EnabledState;
use domain::gate::slice_of;

use super::STEP_S;
use super::truth::{Incident, StampShape, Truth};
use crate::draw::{About, Seed};
use crate::edge::{CONTROL_PLANE_S, PROPAGATION_S};

/// Groups of locations; each stands for a handful of real ones that share a prefix.
pub(crate) const POPS: usize = 24;
/// The least number of groups nearest to one stamp.
const POPS_PER_STAMP_MIN: usize = 4;
/// Seconds between two probes of one location, samples kept and samples that must be good: the workload's own setting
/// in the built-in scenarios, detection in 30 to 45 s.
pub(crate) const PROBE_INTERVAL_S: u32 = 15;
const SAMPLES: u32 = 4;
const SAMPLES_REQUIRED: u32 = 2;

/// One group of locations.
#[derive(Clone, Debug)]
pub(crate) struct Pop {
    /// Part of all demand that comes in here.
    pub(crate) share: f64,
    /// The nearest stamp.
    pub(crate) home: usize,
    /// The slice of the gate that it falls into, 0 to 99: the production hash of its address.
    pub(crate) slice: u8,
    /// The stamps, the nearest first.
    order: Vec<usize>,
    phase_s: Vec<u32>,
    samples: Vec<u8>,
    pub(crate) healthy: Vec<bool>,
    pub(crate) enabled: Vec<bool>,
}

/// A change of one origin, on its way.
#[derive(Clone, Debug)]
struct Operation {
    origin: usize,
    enabled: bool,
    control_left_s: f64,
    spread_s: f64,
    pop_delay_s: Vec<u32>,
}

/// How one probe was answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reply {
    Good,
    Bad,
}

/// How Front Door answers a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum OriginAnswer {
    /// It stands so already.
    AlreadySo,
    /// Accepted; ask [`Edge::is_running`].
    Accepted,
    /// Another change is under way, or Front Door takes none (409).
    Busy,
    /// It keeps at least one enabled origin (400).
    LastEnabled,
    /// Azure Resource Manager does not answer.
    Down,
}

/// All groups, and the configuration of the profile.
#[derive(Clone, Debug)]
pub(crate) struct Edge {
    seed: Seed,
    pub(crate) pops: Vec<Pop>,
    /// What ARM shows.
    pub(crate) configured: Vec<bool>,
    operations: VecDeque<Operation>,
    accepted: u64,
}

impl Edge {
    pub(crate) fn new(incident: &Incident) -> Self {
        let stamps = incident.stamps.len();
        let mut pops = Vec::with_capacity(POPS);
        let mut left = POPS;
        for (home, shape) in incident.stamps.iter().enumerate() {
            let later = stamps - home - 1;
            let fair = (POPS as f64 * shape.share).round() as usize;
            let count = if later == 0 {
                left
            } else {
                fair.clamp(POPS_PER_STAMP_MIN, left - later * POPS_PER_STAMP_MIN)
            };
            left -= count;
            place(incident.seed, &mut pops, (home, shape), count, stamps);
        }
        Self {
            seed: incident.seed,
            pops,
            configured: vec![true; stamps],
            operations: VecDeque::new(),
            accepted: 0,
        }
    }

    /// Location and stamp of the probes due in the step that begins at `t`.
    pub(crate) fn due(&self, t: u32) -> impl Iterator<Item = (usize, usize)> {
        self.pops.iter().enumerate().flat_map(move |(p, pop)| {
            let due = move |s: &usize| pop.enabled[*s] && (t + pop.phase_s[*s]) % PROBE_INTERVAL_S < STEP_S;
            (0..pop.enabled.len()).filter(due).map(move |s| (p, s))
        })
    }

    /// Takes the outcome of one probe into the location's judgement.
    pub(crate) fn judge(&mut self, pop: usize, stamp: usize, reply: Reply) {
        let pop = &mut self.pops[pop];
        let kept = (1_u16 << SAMPLES) - 1;
        let samples = (u16::from(pop.samples[stamp]) << 1 | u16::from(reply == Reply::Good)) & kept;
        pop.samples[stamp] = samples as u8;
        pop.healthy[stamp] = samples.count_ones() >= SAMPLES_REQUIRED;
    }

    /// Asks for a change of one origin.
    pub(crate) fn set_origin(&mut self, origin: usize, wanted: EnabledState, truth: &Truth) -> OriginAnswer {
        let enabled = wanted == EnabledState::Enabled;
        if truth.arm_down {
            return OriginAnswer::Down;
        }
        if truth.front_door_frozen || self.is_running() {
            return OriginAnswer::Busy;
        }
        if self.configured[origin] == enabled {
            return OriginAnswer::AlreadySo;
        }
        if !enabled && self.configured.iter().filter(|on| **on).count() == 1 {
            return OriginAnswer::LastEnabled;
        }
        self.accepted += 1;
        let n = self.accepted;
        let factor = truth.front_door_factor;
        let scaled = |seconds: u32| (f64::from(seconds) * factor) as u32;
        let delay = |p: usize| scaled(self.seed.seconds(PROPAGATION_S, About::Propagation, n, p as u64));
        let operation = Operation {
            origin,
            enabled,
            control_left_s: f64::from(scaled(self.seed.seconds(CONTROL_PLANE_S, About::ControlPlane, n, 0))),
            spread_s: 0.0,
            pop_delay_s: (0..self.pops.len()).map(delay).collect(),
        };
        self.configured[origin] = enabled;
        self.operations.push_back(operation);
        OriginAnswer::Accepted
    }

    /// A change is running in the control plane and keeps others out.
    pub(crate) fn is_running(&self) -> bool {
        self.operations.iter().any(|op| op.control_left_s > 0.0)
    }

    /// Something is still on its way to the locations.
    pub(crate) fn is_settled(&self) -> bool {
        self.operations.is_empty()
    }

    /// One step of the changes under way; a later one spreads only after the one before.
    pub(crate) fn advance(&mut self, truth: &Truth) {
        if truth.front_door_frozen {
            return;
        }
        for op in &mut self.operations {
            op.control_left_s -= f64::from(STEP_S);
        }
        let Some(op) = self.operations.front_mut() else { return };
        op.spread_s += f64::from(STEP_S);
        for (pop, delay) in self.pops.iter_mut().zip(&op.pop_delay_s) {
            if f64::from(*delay) <= op.spread_s {
                pop.enabled[op.origin] = op.enabled;
            }
        }
        let spread = op.pop_delay_s.iter().all(|delay| f64::from(*delay) <= op.spread_s);
        if spread && op.control_left_s <= 0.0 {
            self.operations.pop_front();
        }
    }
}

impl Pop {
    /// Stamps and the part of this location's requests that goes to each: the nearest that is enabled and healthy, or
    /// round robin over all enabled ones if none is healthy.
    pub(crate) fn routes(&self, mut to: impl FnMut(usize, f64)) {
        if let Some(stamp) = self.order.iter().find(|s| self.enabled[**s] && self.healthy[**s]) {
            to(*stamp, 1.0);
            return;
        }
        let enabled = self.enabled.iter().filter(|on| **on).count();
        for stamp in (0..self.enabled.len()).filter(|s| self.enabled[*s]) {
            to(stamp, 1.0 / enabled as f64);
        }
    }

    /// It holds the stamp in: enabled and healthy.
    pub(crate) fn holds_in(&self, stamp: usize) -> bool {
        self.enabled[stamp] && self.healthy[stamp]
    }
}

fn place(seed: Seed, pops: &mut Vec<Pop>, (home, shape): (usize, &StampShape), count: usize, stamps: usize) {
    // Real edges are uneven: the weight falls with the rank, as in the detailed world.
    let weight = |rank: usize| {
        seed.between((0.6, 1.4), About::PopWeight, home as u64, rank as u64) / (rank as f64 + 2.0)
    };
    let sum: f64 = (0..count).map(weight).sum();
    for rank in 0..count {
        let index = pops.len() as u64;
        let mut order: Vec<usize> = (0..stamps).collect();
        let distance = |s: usize| match s == home {
            true => 0,
            false => 1 + (seed.bits(About::PopLatency, index, s as u64) >> 1),
        };
        order.sort_by_key(|s| distance(*s));
        let phase = |s: usize| seed.seconds((0, PROBE_INTERVAL_S - 1), About::ProbePhase, index, s as u64);
        pops.push(Pop {
            share: shape.share * weight(rank) / sum,
            home,
            slice: slice_of(IpAddr::V4(Ipv4Addr::new(147, 243, index as u8, 10))),
            order,
            phase_s: (0..stamps).map(phase).collect(),
            samples: vec![u8::MAX; stamps],
            healthy: vec![true; stamps],
            enabled: vec![true; stamps],
        });
    }
}
